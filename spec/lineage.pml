/*
 * Is a shard read before all its parents are, or never?
 *
 * A split and a merge: shard 0 becomes 1 and 2, those become 3. Each shard has a tenure that holds its lease and may have one that lost it and has not noticed,
 * each of any worker. Tenures die between any two steps, requests that create rows arrive late and twice, a row is lost, retention takes the oldest shards.
 *
 *   tenure, phase GATE      Tenure.passGate, judge (gate.go), judgeParent, started (lineage.go): parents one after the other, all again if one holds back
 *   HALF, READ              Tenure.Admit and what is behind it: the first record, the rest
 *   SPAWN                   Tenure.Spawn (end.go): the rows of the children one by one, then their ids on the parent's row
 *   END                     machine.end: refused before the ids are recorded; one conditional write
 *   seed                    Coordinator.Seed (gate.go), unseeded (lineage.go)
 *   HOLDS                   the condition of every write on a held lease, which lease.pml is about: who takes a lease fences the former owner's writes
 *
 * What is not modelled: cleanup of finished rows and the audit of holes. So of the rows lost, one at a time, only those of shards with children are:
 * nobody brings back the row of a shard that has no row below it to ask for it, but a new start when its parents are gone from the listing.
 *
 * Must fail:
 *   ANYPARENT     one finished parent opens the gate
 *   ENDFIRST      SHARD_END is stored before the children's rows are made
 *   NOCHILDREN    SHARD_END is stored without them: machine.end does not refuse it
 *   ABSENTOPEN    a parent without a row counts as finished although it is listed
 */

#include "check.pml"

#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef STEALS
#define STEALS 1
#endif
#ifndef LOSSES
#define LOSSES 1
#endif
#ifndef TRIMS
#define TRIMS 1
#endif

bool order_violated, children_violated, stuck_violated;

#define SHARDS 4

/* What a row says; ABSENT: there is none. */
#define ABSENT  0
#define TRIM    1 /* TRIM_HORIZON: not started */
#define STARTED 2 /* a sequence number */
#define ENDED   3 /* SHARD_END */

/* A tenure. */
#define NONE  0
#define GATE  1
#define READY 2 /* the gate is passed */
#define HALF  3 /* a first record is delivered */
#define READ  4 /* all are */
#define SPAWN 5 /* the first child's row is made */
#define MADE  6 /* the other's too */
#define TOLD  7 /* their ids are recorded */

typedef Tenure { byte phase, passed; bool absent };

Tenure t[2 * SHARDS];  /* of each shard the holder, then the one that has not noticed */
byte state[SHARDS];
bool told[SHARDS];     /* the row has its children's ids */
bool late[SHARDS];     /* a request to make the row is on its way */
bool listed[SHARDS];
byte deaths, steals, losses, trims;

/* Ghosts. */
bool done[SHARDS];     /* every record was processed, or retention took it */
bool made[SHARDS];     /* there was a row once */

#define T     t[2 * s + k]
#define HELD  t[2 * s]
#define FORMER t[2 * s + 1]
#define IS_OPEN(s) ((s) == 3)
#define PARENTS(s) ((s) == 0 -> 0 : ((s) == 3 -> 2 : 1))
#define PARENT(s, n) ((s) == 3 -> 1 + (n) : 0)
#define CHILD(s, n) ((s) == 0 -> 1 + (n) : 3)
#define CHILDREN(s) ((s) == 0 -> 2 : 1)
#define NOW PARENT(s, T.passed) /* the parent that is judged */

/* A request that makes a row finds one that is there and leaves it as it is. If no row is lost any more, what is still on its way is forgotten. */
#define CREATE(x) \
	if \
	:: state[x] == ABSENT -> state[x] = TRIM; made[x] = true \
	:: else \
	fi; \
	TIDY(x)

#define TIDY(x) late[x] = (losses == LOSSES && state[x] != ABSENT -> false : late[x])

/* The condition of a write on a held lease. */
#define HOLDS (k == 0)

#define OVER T.phase = NONE; T.passed = 0; T.absent = 0

/* The holder loses the lease and does not notice. */
#define LOSE FORMER.phase = HELD.phase; FORMER.passed = HELD.passed; FORMER.absent = HELD.absent; HELD.phase = NONE; HELD.passed = 0; HELD.absent = 0

/* No record of a shard is processed before every record of its parents was, or was taken by retention. */
#define ORDER INVARIANT(order_violated, PARENTS(s) == 0 || (done[PARENT(s, 0)] && (PARENTS(s) == 1 || done[PARENT(s, 1)])))

/* A finished shard's children have rows: nobody else will make them. */
#define CHILDREN_MADE INVARIANT(children_violated, made[CHILD(s, 0)] && (CHILDREN(s) == 1 || made[CHILD(s, 1)]))

#ifdef ANYPARENT
#define OPENED T.passed = PARENTS(s)
#else
#define OPENED T.passed++
#endif

proctype Run(byte s; byte k) {
	do
	/* take */
	:: d_step { HOLDS && T.phase == NONE && (state[s] == TRIM || state[s] == STARTED) -> T.phase = (state[s] == STARTED -> READY : GATE) }
	:: d_step { HOLDS && T.phase != NONE && FORMER.phase == NONE && steals < STEALS -> steals++; LOSE }
	/* the gate */
	:: d_step { T.phase == GATE && T.passed == PARENTS(s) -> T.passed = 0; T.phase = READY }
	:: d_step { T.phase == GATE && T.passed < PARENTS(s) && !T.absent && state[NOW] == ENDED -> OPENED }
	:: d_step { T.phase == GATE && T.passed < PARENTS(s) && T.passed > 0 && !T.absent && (state[NOW] == TRIM || state[NOW] == STARTED) -> T.passed = 0 }
	:: d_step { T.phase == GATE && T.passed < PARENTS(s) && !T.absent && state[NOW] == ABSENT -> T.absent = true }
#ifdef ABSENTOPEN
	:: d_step { T.absent -> T.absent = false; OPENED }
#else
	:: d_step { T.absent && !listed[NOW] -> REACHED(1); T.absent = false; OPENED }
	:: d_step { T.absent && listed[NOW] -> REACHED(2); late[NOW] = true; TIDY(NOW); T.absent = false; T.passed = 0 }
#endif
	/* read */
	:: d_step { T.phase == READY -> ORDER; T.phase = HALF }
	:: d_step { T.phase == HALF -> done[s] = true; T.phase = READ }
	:: d_step { (T.phase == HALF || T.phase == READ) && state[s] == TRIM && HOLDS -> state[s] = STARTED }
	/* end */
#ifdef NOCHILDREN
	:: d_step { T.phase == READ && !IS_OPEN(s) && HOLDS -> CHILDREN_MADE; state[s] = ENDED; OVER }
#endif
#ifdef ENDFIRST /* the children's rows follow, unless the process dies */
	:: d_step { T.phase == READ && !IS_OPEN(s) && HOLDS && state[s] != ENDED -> state[s] = ENDED }
#endif
	:: d_step { T.phase == READ && !IS_OPEN(s) -> CREATE(CHILD(s, 0)); T.phase = (CHILDREN(s) == 2 -> SPAWN : MADE) }
	:: d_step { T.phase == READ && !IS_OPEN(s) && losses < LOSSES -> CREATE(CHILD(s, 0)); late[CHILD(s, 0)] = true; T.phase = (CHILDREN(s) == 2 -> SPAWN : MADE) }
	:: d_step { T.phase == SPAWN -> CREATE(CHILD(s, 1)); T.phase = MADE }
	:: d_step { T.phase == MADE && HOLDS -> told[s] = true; T.phase = TOLD }
	:: d_step { T.phase == TOLD && HOLDS && told[s] -> CHILDREN_MADE; state[s] = ENDED; OVER }
	/* a write is refused, or belief is over and noticed; or the process dies */
	:: d_step { T.phase != NONE && !HOLDS -> OVER }
	:: d_step { T.phase != NONE && HOLDS && deaths < DEATHS -> deaths++; OVER }
	od
}

proctype Environment() {
	byte s;
	do
	/* a row is lost */
	:: atomic { losses < LOSSES ->
		if
		:: s = 0
		:: s = 1
		:: s = 2
		fi;
		if
		:: state[s] != ABSENT && FORMER.phase == NONE -> d_step { LOSE; state[s] = ABSENT; told[s] = false; losses++; TIDY(0); TIDY(1); TIDY(2); TIDY(3); s = 0 }
		:: else -> s = 0
		fi }
	/* retention takes the oldest shard */
	:: d_step { trims < TRIMS && listed[0] -> listed[0] = false; done[0] = true; trims++ }
	:: d_step { trims < TRIMS && !listed[0] && listed[1] -> listed[1] = false; done[1] = true; trims++ }
	:: d_step { trims < TRIMS && !listed[0] && listed[2] -> listed[2] = false; done[2] = true; trims++ }
	/* a request that makes a row arrives */
	:: d_step { late[0] && state[0] == ABSENT -> CREATE(0); late[0] = false }
	:: d_step { late[1] && state[1] == ABSENT -> CREATE(1); late[1] = false }
	:: d_step { late[2] && state[2] == ABSENT -> CREATE(2); late[2] = false }
	:: d_step { late[3] && state[3] == ABSENT -> CREATE(3); late[3] = false }
	/* seed: a start asks for the rows of the oldest shards, unless they or a shard that came from them has one */
	:: d_step { listed[0] && !late[0] && state[0] == ABSENT && state[1] == ABSENT && state[2] == ABSENT && state[3] == ABSENT -> late[0] = true }
	:: d_step { listed[1] && !listed[0] && !late[1] && state[1] == ABSENT && state[3] == ABSENT -> late[1] = true }
	:: d_step { listed[2] && !listed[0] && !late[2] && state[2] == ABSENT && state[3] == ABSENT -> late[2] = true }
	:: d_step { !listed[1] && !listed[2] && !late[3] && state[3] == ABSENT -> late[3] = true }
	/* nothing can happen any more: then everything has been read, and no shard waits for ever */
	:: timeout -> INVARIANT(stuck_violated, done[0] && done[1] && done[2] && done[3]); REACHED(3); break
	od
}

init {
	atomic {
		listed[0] = true; listed[1] = true; listed[2] = true; listed[3] = true;
		run Run(0, 0); run Run(1, 0); run Run(2, 0); run Run(3, 0);
		run Run(0, 1); run Run(1, 1); run Run(2, 1); run Run(3, 1);
		run Environment()
	}
}
