/*
 * The lease table's row, the network and the two workers that lease.pml and reset.pml share. Not a model by itself.
 *
 * What mirrors what in package lease:
 *
 *   BEGIN_TAKE, CLAIM  machine.acquire, claim (machine_take.go); what it expects may come from a stale listing, see below
 *   SEND               machine.emit: first is set by the first request that expects the counter, and by no other
 *   CARRY, TARGET      machine.carry, target, renewal, closingWrite (machine_progress.go): the payload of a renewal, a checkpoint, a release
 *   CONDITION, APPLY   Condition.Holds, Change.Apply (store.go): one conditional update
 *   ANSWERED           machine.answered, applied (machine_answer.go)
 *   REFUSED            machine.refused, resolve, recognise, gone (machine_answer.go)
 *   FINISH             machine.finish, lose (machine.go)
 *   HANDLE             machine.admit and the return of the program's code: from then on the record may be stored
 *
 * There is no time here. A lease is taken at any moment, belief ends at any moment, a request that was given up is applied at any later moment or never: what
 * holds here holds whatever clocks, pauses and networks do. That two workers do not believe at once is a matter of time, and is not asked, with one
 * exception: the moment from which belief is counted must lie before the counter moved, or the arithmetic that forbids two believers has no ground.
 *
 * Bounds: N records, counters below MAXC expected by requests, LATE requests a worker that were given up and may still be applied, CRASHES in all.
 *
 * Left out because nothing can come of it: a request whose counter has passed is forgotten, since no table ever applies it; a take that expects an older
 * row than the last but one is always refused, and by a row that nobody can mistake for its work. An answer arrives when the request is performed: what
 * a worker does between the two it could as well have done before or after.
 */

#ifndef N
#define N 2
#endif
#ifndef MAXC
#define MAXC 4
#endif
#ifndef LATE
#define LATE 1
#endif
#ifndef CRASHES
#define CRASHES 1
#endif

/* One worker, its restarts and its own late requests are enough for some counterexamples. */
#ifndef WORKERS
#define WORKERS 2
#endif

#include "check.pml"

bool at_least_once_violated, monotone_violated, acknowledged_violated, belief_violated;

#define NOBODY  0
#define KEEP  255 /* a request that leaves the position alone, or does not ask for one */

/* Kinds of request; 0 is none. */
#define TAKE    1
#define RENEW   2 /* with or without a position: an explicit checkpoint is a renewal that is due at once */
#define RELEASE 3

/* Phases of a machine. */
#define IDLE      0 /* no machine */
#define ACQUIRING 1
#define HELD      2
#define CLOSING   3

typedef Row { byte owner, counter, pos };
typedef Req { byte kind, c, owner, pos, to, carries }; /* condition: counter, owner, stored position; change: owner, position */

typedef Worker {
	byte me;                    /* owner id: another one after every start */
	byte phase;
	Row row;                    /* as it stands in the table, as far as it knows */
	bool first;                 /* a request that expects row.counter was sent */
	bool early;                 /* ghost: the counter had moved on before that request was sent */
	byte tried;                 /* set of positions that unanswered renewals carried */
	byte triedRelease;          /* position of an unanswered release, plus one */
	byte got;                   /* everything up to here is handled in this tenure, or was stored when it began */
	byte want;                  /* everything up to here is to be stored */
	Req req;                    /* the one request in flight */
	byte epoch;                 /* ghost: the side of an operator's reset on which the tenure began */
};

Row row, before;                    /* the row, and as it stood before its counter moved last */
Worker w[2];
Req late[2 * LATE];
byte crashes;

/* Ghosts. */
byte done;      /* set of records whose handling has returned */
byte reached;   /* the highest position that ever stood in the row */
byte epoch;     /* changes with an operator's reset */
byte rowEpoch;  /* of the take that made the row's owner */

#define W w[i]
#define UPTO(p) ((2 << (p)) - 2) /* the set of records 1..p */

#define CLEAR(r)      r.kind = 0; r.c = 0; r.owner = 0; r.pos = 0; r.to = 0; r.carries = 0
#define COPY_ROW(x,y) x.owner = y.owner; x.counter = y.counter; x.pos = y.pos
#define COPY_REQ(x,y) x.kind = y.kind; x.c = y.c; x.owner = y.owner; x.pos = y.pos; x.to = y.to; x.carries = y.carries

/* ---- the table and the network ---- */

#if defined(UNCOND)
#define CONDITION(r) ((r.kind == RENEW && r.carries != KEEP) || (row.counter == r.c && row.owner == r.owner))
#define DEAD(r) false
#elif defined(OWNERCOND)
#define CONDITION(r) (row.owner == r.owner && (r.kind != TAKE || row.counter == r.c))
#define DEAD(r) false
#elif defined(COUNTERONLY) /* as KCL writes */
#define CONDITION(r) (row.counter == r.c)
#define DEAD(r) (r.c < row.counter)
#else
#define CONDITION(r) (row.counter == r.c && row.owner == r.owner && (r.pos == KEEP || row.pos == r.pos))
#define DEAD(r) (r.c < row.counter)
#endif

/* forget empties the slots of requests that no table will ever apply. */
inline forget() {
	j = 0;
	do
	:: j < 2 * LATE ->
		if
		:: late[j].kind != 0 && DEAD(late[j]) -> CLEAR(late[j])
		:: else
		fi;
		j++
	:: else -> break
	od;
	j = 0
}

/* No stored position ever moves back: the next owner would process again what was acknowledged as done. */
#define MONOTONE(p) INVARIANT(monotone_violated, p >= row.pos)

/* Whatever a stored position passes has been handled: nobody will ever look at it again. */
#define AT_LEAST_ONCE(p) INVARIANT(at_least_once_violated, (done & UPTO(p)) == UPTO(p))

#define APPLY(r) \
	COPY_ROW(before, row); \
	if \
	:: r.carries != KEEP -> \
		MONOTONE(r.carries); \
		AT_LEAST_ONCE(r.carries); \
		row.pos = r.carries; \
		reached = (row.pos > reached -> row.pos : reached) \
	:: else \
	fi; \
	row.counter++; \
	row.owner = (r.kind == RENEW -> row.owner : r.to); \
	rowEpoch = (r.kind == TAKE -> epoch : rowEpoch); \
	forget()

/* ---- the machine ---- */

#define HANG_UP CLEAR(W.req)

#define SEND(kindOf,condPos,changeOwner,changePos) \
	W.early = (W.first -> W.early : row.counter > W.row.counter); \
	W.first = true; \
	W.req.kind = kindOf; W.req.c = W.row.counter; W.req.owner = W.row.owner; \
	W.req.pos = condPos; W.req.to = changeOwner; W.req.carries = changePos

#define BEGIN_TAKE(listed) \
	W.phase = ACQUIRING; \
	COPY_ROW(W.row, listed); \
	SEND(TAKE, KEEP, W.me, KEEP)

/* What the next write leaves in the row. A position is written only if it moves, on condition that the stored one is the one we know. */
#define TARGET (W.want > W.row.pos -> W.want : W.row.pos)

#define CARRY(kindOf) \
	if \
	:: TARGET > W.row.pos -> SEND(kindOf, W.row.pos, NOBODY, TARGET) \
	:: else -> SEND(kindOf, KEEP, NOBODY, KEEP) \
	fi

inline finish() {
	W.phase = IDLE;
	W.row.owner = 0; W.row.counter = 0; W.row.pos = 0;
	W.first = 0; W.early = 0; W.tried = 0; W.triedRelease = 0; W.got = 0; W.want = 0; W.epoch = 0
}

/* What a program is told is stored, has been stored: explicit checkpoints up to W.row.pos are acknowledged here. */
#define ACKNOWLEDGED INVARIANT(acknowledged_violated, reached >= W.row.pos)

/* A write of kind kindOf is known to be applied and to have left position in the row. */
#define APPLIED(kindOf,position) \
	COPY_ROW(W.row, row); \
	W.row.pos = position; \
	W.first = 0; W.early = 0; W.tried = 0; W.triedRelease = 0; \
	ACKNOWLEDGED; \
	if \
	:: kindOf == TAKE -> \
		W.phase = HELD; W.got = W.row.pos; W.want = W.row.pos; W.epoch = rowEpoch \
	:: kindOf == RELEASE -> finish() \
	:: else \
	fi

/* The direct answer: belief counts from this very request. A row that does not hold the position it should was edited by hand. */
#define ANSWERED \
	if \
	:: W.req.kind == RENEW && row.pos != (W.req.carries == KEEP -> W.row.pos : W.req.carries) -> finish() \
	:: else -> APPLIED(W.req.kind, row.pos) \
	fi

/* Belief is counted from the first request that can have moved the counter. It must have left before the counter moved: only then has nobody seen the new
   counter earlier, and nobody's patience ends before our belief does. */
#if defined(UNCOND) || defined(OWNERCOND) || defined(RESETS)
#define GROUNDED skip /* where the counter proves nothing, or is not the question */
#else
#define GROUNDED INVARIANT(belief_violated, !W.early)
#endif

/* A take is never read back: whose work it is that the row names us, and since when, a read cannot tell. The row is claimed as it stands. */
#ifdef TAKEREADBACK
#define TAKE_READ_BACK (W.phase == ACQUIRING && row.counter == W.row.counter + 1 && row.owner == W.me && row.pos == W.row.pos)
#else
#define TAKE_READ_BACK false
#endif

#define CLAIM \
	REACHED(1); \
	COPY_ROW(W.row, row); \
	W.first = 0; W.early = 0

#if defined(NOREADBACK) || defined(COUNTERONLY)
#define REFUSED \
	if \
	:: row.counter == W.row.counter + 1 && row.owner == W.me -> REACHED(4) \
	:: else \
	fi; \
	finish()
#else
#if defined(WEAKREADBACK)
#define OURS (W.tried != 0)
#define STORED (W.req.carries == KEEP -> W.row.pos : W.req.carries) /* what was asked for last */
#else
#define OURS ((W.tried >> row.pos) & 1)
#define STORED row.pos
#endif
#define REFUSED \
	if \
	:: TAKE_READ_BACK -> \
		GROUNDED; \
		APPLIED(TAKE, row.pos) \
	:: !(TAKE_READ_BACK) && W.phase == ACQUIRING && row.owner == W.me && row.counter > W.row.counter -> CLAIM \
	:: W.phase != ACQUIRING && row.counter == W.row.counter + 1 -> \
		if \
		:: W.phase != ACQUIRING && row.owner == W.me && OURS -> \
			if \
			:: row.pos < W.want -> REACHED(2) \
			:: else \
			fi; \
			GROUNDED; \
			APPLIED(RENEW, STORED) \
		:: W.phase == CLOSING && row.owner == NOBODY && W.triedRelease == row.pos + 1 -> \
			REACHED(3); \
			APPLIED(RELEASE, row.pos) \
		:: else -> finish() \
		fi \
	:: else -> finish() \
	fi
#endif

/* Handling counts for the side of a reset on which its tenure began. */
#define HANDLE \
	W.got++; \
	done = (W.epoch == epoch -> (done | (1 << W.got)) : done)

#ifdef OWNERCOND
#define NEW_ID
#else
#define NEW_ID W.me = W.me + 2
#endif

#define RESTART \
	crashes++; \
	finish(); \
	NEW_ID

proctype Run(byte i) {
	byte j, s;
	do
	/* A take of the row as it stands, or as a stale listing shows it when a write of this worker, unknown to itself, has moved it since. */
	:: d_step { W.phase == IDLE && row.counter < MAXC -> BEGIN_TAKE(row) }
	:: d_step { W.phase == IDLE && row.owner == W.me && before.counter != 0 && before.counter < MAXC -> BEGIN_TAKE(before) }
	:: d_step { W.phase == ACQUIRING && W.req.kind == 0 && W.row.counter < MAXC -> SEND(TAKE, KEEP, W.me, KEEP) }
	:: d_step { W.phase == HELD && W.got < N -> HANDLE }
	:: d_step { W.phase == HELD && W.want < W.got -> W.want = W.got }
	:: d_step { W.phase == HELD && W.req.kind == 0 && W.row.counter < MAXC ->
		W.tried = W.tried | (1 << TARGET);
		CARRY(RENEW) }
	:: d_step { (W.phase == HELD || W.phase == CLOSING) && W.req.kind == 0 && W.row.counter < MAXC ->
		W.phase = CLOSING;
		W.triedRelease = TARGET + 1;
		CARRY(RELEASE) }
	/* The request arrives, and its answer. */
	:: d_step { W.req.kind != 0 && CONDITION(W.req) -> APPLY(W.req); ANSWERED; HANG_UP }
	:: d_step { W.req.kind != 0 && !CONDITION(W.req) -> REFUSED; HANG_UP }
	/* It arrives, the answer does not; it does not arrive; it is on its way for longer than anybody waits, and stays there in place of another. */
	:: d_step { W.req.kind != 0 && CONDITION(W.req) -> APPLY(W.req); HANG_UP }
	:: d_step { W.req.kind != 0 -> HANG_UP }
	:: atomic { W.req.kind != 0 && !DEAD(W.req) ->
		s = i * LATE;
		do :: s < i * LATE + LATE - 1 -> s++ :: break od;
		d_step { COPY_REQ(late[s], W.req); HANG_UP; s = 0 } }
	/* Belief is over, or patience. */
	:: d_step { W.phase != IDLE && W.req.kind == 0 -> finish() }
	/* The process dies, and another one starts. */
	:: d_step { W.req.kind == 0 && crashes < CRASHES -> RESTART }
	od
}

/* What was given up is applied when the network likes, if the condition holds then. */
proctype Network() {
	byte j, s;
	do
	:: atomic {
		s = 0;
		do :: s < 2 * LATE - 1 -> s++ :: break od;
		late[s].kind != 0 && CONDITION(late[s]) ->
		d_step { APPLY(late[s]); CLEAR(late[s]); s = 0 } }
	od
}

inline start() {
	row.counter = 1;
	w[0].me = 1;
	w[1].me = 2;
	run Run(0);
	if
	:: WORKERS > 1 -> run Run(1)
	:: else
	fi;
	run Network()
}
