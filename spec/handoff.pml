/*
 * Can two of our workers believe at once because one gave the lease to the other, or because a worker of KCL 2.x steals it meanwhile?
 *
 * Two workers of ours, a thief that knows nothing of hand-offs, one row. The protocol is specified, the lease package does not have it yet:
 *
 *   Speak   Every write of ours that makes an owner also sets the mark, which names that owner. A thief changes the owner only, so its rows do not speak.
 *   Ask     SET next=N, from=O                            IF owner=O AND mark=O AND (no next OR from<>O). The counter is left alone.
 *   Hear    The owner sees next and from in the answers of its own writes; a request counts if from = owner = itself.
 *   Give    SET owner=N, mark=N, counter+1, no next, from IF owner=O AND counter=c AND next=N AND from=O. User code has returned, and belief ended
 *           before the request left, for good: it is repeated until it is answered, or left to expiry.
 *   Direct  A worker that stops gives unasked: the same write on condition of owner and counter, to whoever it last knew, who may be dead.
 *   Decline REMOVE next, from IF next=N AND from=O. The owner goes on.   Withdraw: REMOVE next, from IF next=N.
 *   Claim   SET counter+1 IF owner=N AND counter=c AND no checkpointOwner. Being named as owner is a hint: belief starts with this write.
 *
 * What is in the package and is mirrored: machine.emit, resolve, recognise, applied, finish, acquire, claim; see machine.pml for the names.
 *
 * Time is assumed to work for what it is responsible for, and no further: nobody takes a lease for expired at counter k while another of ours believes by a
 * write of its own that moved the counter to k or less, and once somebody has, no such belief begins any more: it is over when it arrives. That is what
 * "belief counts from before the counter moved" buys (GROUNDED), and nothing is bought for a belief that came otherwise, or for a thief.
 *
 * Must fail:
 *   RESUME        who emitted a give and got no answer goes on
 *   BELIEFONREAD  being named as owner in a row that was read is enough
 *   KCL3ROWS      hand-off by checkpointOwner as KCL 3 does it, and a write read back is ours if the actual owner (checkpointOwner, else leaseOwner) is us
 *   KCL3ROWS TRUSTING   the same, to see what it costs: the thief steals, and the victim goes on for as long as its writes succeed
 *   GIVERUNNING   the lease is given while user code runs
 *   TAKEREADBACK  a refused take is read back as a refused renewal is
 */

#include "check.pml"

#ifndef MAXC
#define MAXC 4
#endif
#ifndef CRASHES
#define CRASHES 1
#endif

bool exclusive_violated, belief_violated, recognised_violated, steal_violated, overlap_violated;

#define NOBODY 0
#define THIEF  9

/* Requests; 0 is none. */
#define TAKE     1
#define CLAIM    2
#define RENEW    3
#define GIVE     4
#define DIRECT   5
#define ASK      6
#define WITHDRAW 7
#define DECLINE  8
#define HANDED   9 /* KCL3ROWS: a renewal of who is being asked */

#define IDLE      0
#define ACQUIRING 1
#define HELD      2
#define GIVING    3

typedef Req { byte kind, c, owner, to };

typedef Worker {
	byte me, phase;
	bool running;               /* user code of this worker's tenure runs */
	byte c, owner;              /* the row as it knows it */
	bool first, early;          /* see machine.pml */
	bool claims;                /* it acquires by a claim */
	byte heard;                 /* who asks */
	byte gives;                 /* to whom it gives */
	bool direct, handed;
	byte overAt;                /* time: a belief by a counter up to here is over */
	Req req;                    /* the one lease write in flight */
	Req late;                   /* a lease write that was given up and may still be applied */
	Req note;                   /* an ask, withdrawal or refusal on its way: nobody waits for its answer */
};

Worker w[2];

/* The row. */
byte owner, c, mark, next, from, co;

/* The row before its counter moved last. */
byte beforeOwner, beforeC;

/* Ghosts. */
byte mover; /* who moved the counter last */
byte giver; /* worker + 1 whose give made the owner, until the owner's first renewal */

byte thiefC, crashes;

#define W w[i]
#define OTHER w[1 - i]
#define CLEAR(r)      r.kind = 0; r.c = 0; r.owner = 0; r.to = 0
#define COPY_REQ(x,y) x.kind = y.kind; x.c = y.c; x.owner = y.owner; x.to = y.to

/* ---- the table and the network ---- */

#ifdef KCL3ROWS
#define CONDITION(r) ( \
	(r.kind == TAKE && c == r.c && owner == r.owner) || \
	((r.kind == CLAIM || r.kind == RENEW) && c == r.c && owner == r.owner && co == NOBODY) || \
	(r.kind == HANDED && c == r.c) || \
	(r.kind == GIVE && owner == r.to && co == r.owner) || \
	(r.kind == ASK && owner == r.owner && co == NOBODY))
#define DEAD(r) (r.kind != GIVE && r.c < c)
#define ACTUAL (co == NOBODY -> owner : co)
#else
#define CONDITION(r) ( \
	(r.kind <= DIRECT && c == r.c && owner == r.owner && (r.kind != GIVE || (next == r.to && from == r.owner))) || \
	(r.kind == ASK && owner == r.owner && mark == r.owner && (next == NOBODY || from != r.owner)) || \
	(r.kind == WITHDRAW && next == r.to) || \
	(r.kind == DECLINE && next == r.to && from == r.owner))
#define DEAD(r) (r.c < c)
#define ACTUAL owner
#endif

#define FORGET(k) if :: w[k].late.kind != 0 && DEAD(w[k].late) -> CLEAR(w[k].late) :: else fi

#define MOVE(by) beforeOwner = owner; beforeC = c; c++; mover = by

#define APPLY(r) \
	if \
	:: r.kind == TAKE -> \
		MOVE(r.to); owner = r.to; mark = r.to; next = 0; from = 0; co = 0; giver = 0 \
	:: r.kind == CLAIM -> MOVE(r.owner) \
	:: r.kind == RENEW || r.kind == HANDED -> MOVE(r.owner); giver = 0 \
	:: r.kind == GIVE || r.kind == DIRECT -> \
		MOVE(r.owner); owner = r.to; mark = r.to; next = 0; from = 0; co = 0; giver = (r.owner - 1) % 2 + 1 \
	:: r.kind == WITHDRAW || r.kind == DECLINE -> next = 0; from = 0 \
	:: r.kind == ASK -> ASKED(r) \
	fi; \
	FORGET(0); FORGET(1)

#ifdef KCL3ROWS
#define ASKED(r) owner = r.to; co = r.owner
#else
#define ASKED(r) next = r.to; from = r.owner
#endif

/* ---- the machine ---- */

#define HANG_UP CLEAR(W.req)

#define SEND(kindOf,toWhom) \
	W.early = (W.first -> W.early : c > W.c); \
	W.first = true; \
	W.req.kind = kindOf; W.req.c = W.c; W.req.owner = W.owner; W.req.to = toWhom

#define BEGIN(k,o) W.phase = ACQUIRING; W.c = k; W.owner = o

inline finish() {
	W.phase = IDLE; W.c = 0; W.owner = 0; W.first = 0; W.early = 0; W.claims = 0;
	W.heard = 0; W.gives = 0; W.direct = 0; W.handed = 0
}

/* Two of our workers never believe at once. */
#define EXCLUSIVE INVARIANT(exclusive_violated, OTHER.phase != HELD)

/* Belief is counted from before the counter moved. */
#define GROUNDED INVARIANT(belief_violated, !W.early)

/* What a worker takes for its own write is its own write. */
#ifdef TRUSTING
#define RECOGNISED skip
#else
#define RECOGNISED INVARIANT(recognised_violated, mover == W.me)
#endif

/* A thief's overlap with us ends with our next answered write: one that leaves us believing finds that the lease is not the thief's. */
#define STEAL_NOTICED INVARIANT(steal_violated, owner != THIEF)

/* A hand-off has no overlap: when the new owner begins, no user code of the giver runs. */
#define NO_OVERLAP INVARIANT(overlap_violated, giver == 0 || !w[giver - 1].running)

#ifdef KCL3ROWS
#define HEAR skip
#else
#define HEAR W.heard = (next != NOBODY && from == owner && owner == W.me -> next : 0)
#endif

/* A write of ours other than a give is known to be applied. */
#define APPLIED \
	if \
	:: W.phase == ACQUIRING && W.c + 1 <= W.overAt -> finish() \
	:: else -> BELIEVE \
	fi

#define BELIEVE \
	W.c = W.c + 1; W.owner = W.me; \
	W.first = 0; W.early = 0; \
	if \
	:: W.phase == ACQUIRING -> \
		EXCLUSIVE; \
		if \
		:: W.claims -> \
			if \
			:: giver == 2 - i -> REACHED(1) \
			:: else \
			fi; \
			NO_OVERLAP \
		:: else \
		fi; \
		W.phase = HELD; W.claims = 0 \
	:: else \
	fi; \
	HEAR; \
	STEAL_NOTICED

#define ANSWERED \
	if \
	:: W.phase == GIVING && (W.req.kind == GIVE || W.req.kind == DIRECT) -> finish() \
	:: else -> APPLIED \
	fi

/* A refused take is not read back: a row that names us at the next counter may be a give to us as well as our own take, and we would believe without a write
   of our own, from a moment that may lie behind it. The row is claimed instead. */
#ifdef TAKEREADBACK
#define READ_BACK true
#else
#define READ_BACK (W.phase != ACQUIRING)
#endif

#define REFUSED \
	if \
	:: READ_BACK && c == W.c + 1 && ACTUAL == W.me -> \
		REACHED(2); \
		GROUNDED; \
		RECOGNISED; \
		APPLIED \
	:: !READ_BACK && owner == W.me && co == NOBODY && c > W.c -> W.claims = 1; BEGIN(c, W.me); W.first = 0; W.early = 0 \
	:: ASKED_3X -> W.handed = 1; W.heard = owner \
	:: else -> finish() \
	fi

#ifdef KCL3ROWS
#define ASKED_3X (W.phase == HELD && c == W.c && co == W.me && !W.handed)
#else
#define ASKED_3X false
#endif

#ifdef GIVERUNNING
#define RETURNED true
#else
#define RETURNED !W.running
#endif

/* A lease is taken for expired only when time has ended every belief that a write of ours up to counter k began. */
#define EXPIRED(k) !(OTHER.phase == HELD && OTHER.c <= k)
#define PATIENT(k,o) OTHER.overAt = ((o) != NOBODY && OTHER.overAt < k -> k : OTHER.overAt)

proctype Run(byte i) {
	do
	/* take: nobody's, or expired; of the row as it stands, or as a stale listing shows it when a write of this worker moved it since */
	:: d_step { W.phase == IDLE && !W.running && c < MAXC && owner != W.me && (owner == NOBODY || EXPIRED(c)) ->
		PATIENT(c, owner); BEGIN(c, owner); SEND(TAKE, W.me) }
	:: d_step { W.phase == IDLE && !W.running && owner == W.me && beforeC != 0 && beforeC < MAXC && beforeOwner != W.me && (beforeOwner == NOBODY || EXPIRED(beforeC)) ->
		PATIENT(beforeC, beforeOwner); BEGIN(beforeC, beforeOwner); SEND(TAKE, W.me) }
	/* claim: read, then written; a late write of ours may come between the two */
	:: d_step { W.phase == IDLE && !W.running && owner == W.me && co == NOBODY && c < MAXC ->
		W.claims = 1; BEGIN(c, W.me); SEND(CLAIM, W.me) }
	:: d_step { W.phase == IDLE && !W.running && owner == W.me && co == NOBODY && beforeOwner == W.me && beforeC < MAXC ->
		W.claims = 1; BEGIN(beforeC, W.me); SEND(CLAIM, W.me) }
	:: d_step { W.phase == ACQUIRING && W.req.kind == 0 && W.c < MAXC ->
		if
		:: W.claims -> SEND(CLAIM, W.me)
		:: else -> SEND(TAKE, W.me)
		fi }
	/* hold */
	:: d_step { W.phase == HELD && W.req.kind == 0 && W.c < MAXC ->
		if
		:: W.handed -> SEND(HANDED, NOBODY)
		:: else -> SEND(RENEW, NOBODY)
		fi }
	:: d_step { W.phase == HELD && !W.running -> W.running = true }
	:: d_step { W.running -> W.running = false }
	/* ask, withdraw, decline */
	:: d_step { W.phase == IDLE && W.note.kind == 0 && owner != NOBODY && owner != THIEF && owner != W.me && mark == owner && next != W.me ->
		W.note.kind = ASK; W.note.owner = owner; W.note.to = W.me }
#ifndef KCL3ROWS
	:: d_step { W.note.kind == 0 && next == W.me -> W.note.kind = WITHDRAW; W.note.to = W.me }
	:: d_step { W.phase == HELD && W.heard != 0 && W.note.kind == 0 ->
		W.note.kind = DECLINE; W.note.owner = W.me; W.note.to = W.heard; W.heard = 0 }
	/* give without being asked: to the other worker as it is, or as it was before it died */
	:: d_step { W.phase == HELD && RETURNED && W.req.kind == 0 && W.c < MAXC ->
		W.phase = GIVING; W.direct = 1; W.gives = OTHER.me; SEND(DIRECT, W.gives) }
	:: d_step { W.phase == HELD && RETURNED && W.req.kind == 0 && W.c < MAXC && OTHER.me > 2 ->
		W.phase = GIVING; W.direct = 1; W.gives = OTHER.me - 2; SEND(DIRECT, W.gives) }
#endif
	/* give */
	:: d_step { W.phase == HELD && RETURNED && W.req.kind == 0 && W.c < MAXC && W.heard != 0 ->
		W.phase = GIVING; W.gives = W.heard; W.heard = 0; SEND(GIVE, W.gives) }
	:: d_step { W.phase == GIVING && W.req.kind == 0 && W.c < MAXC ->
		if
		:: W.direct -> SEND(DIRECT, W.gives)
		:: else -> SEND(GIVE, W.gives)
		fi }
	/* the request arrives, and its answer; only it; neither; or it is on its way for longer than anybody waits */
	:: d_step { W.req.kind != 0 && CONDITION(W.req) -> APPLY(W.req); ANSWERED; HANG_UP }
	:: d_step { W.req.kind != 0 && !CONDITION(W.req) -> REFUSED; HANG_UP }
	:: d_step { W.req.kind != 0 && CONDITION(W.req) -> APPLY(W.req); HANG_UP }
	:: d_step { W.req.kind != 0 -> HANG_UP }
	:: d_step { W.req.kind != 0 && !DEAD(W.req) -> COPY_REQ(W.late, W.req); HANG_UP }
	:: d_step { W.late.kind != 0 && CONDITION(W.late) -> APPLY(W.late); CLEAR(W.late) }
	:: d_step { W.note.kind != 0 && CONDITION(W.note) -> APPLY(W.note); CLEAR(W.note) }
	:: d_step { W.note.kind != 0 -> CLEAR(W.note) }
	/* belief is over, or patience */
	:: d_step { W.phase != IDLE && W.req.kind == 0 -> finish() }
	/* the process dies, and another one starts */
	:: d_step { W.req.kind == 0 && crashes < CRASHES -> crashes++; finish(); W.me = W.me + 2; W.running = 0 }
#ifdef RESUME
	:: d_step { W.phase == GIVING && W.req.kind == 0 -> W.phase = HELD; W.gives = 0; W.direct = 0 }
#endif
#ifdef BELIEFONREAD
	/* the row was read when it named us, and believed in later */
	:: d_step { W.phase == IDLE && !W.running && beforeOwner == W.me -> W.c = beforeC; W.owner = W.me; EXCLUSIVE; W.phase = HELD }
	:: d_step { W.phase == IDLE && !W.running && owner == W.me -> W.c = c; W.owner = W.me; EXCLUSIVE; W.phase = HELD }
#endif
	od
}

/* The thief takes on condition of the counter and sets the owner, nothing else. It renews on condition of the counter. When it stands still it is dead. Its
   requests carry nothing that a later moment could make wrong, so one that comes late is one that is sent late. */
proctype Thief() {
	do
	:: d_step { owner != THIEF && c < MAXC -> MOVE(THIEF); owner = THIEF; giver = 0; thiefC = c; FORGET(0); FORGET(1) }
	:: d_step { owner == THIEF && thiefC == c && c < MAXC -> MOVE(THIEF); thiefC = c; FORGET(0); FORGET(1) }
	od
}

init {
	atomic {
		c = 1;
		w[0].me = 1;
		w[1].me = 2;
		run Run(0);
		run Run(1);
		run Thief()
	}
}
