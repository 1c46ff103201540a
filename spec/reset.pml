/*
 * Does an operator's reset hold against workers that run, and against what they have on its way?
 *
 * Two workers as in lease.pml, and an operator who sets the stored position to any value, at any moment: one write on condition that counter and position are
 * those it planned on, which removes the owner and moves the counter. The lease package honours such a write wherever a row is not what it should be
 * (machine.answered, resolve: "edited by hand"); checkpoint/reset makes it.
 *
 * Handling counts for at_least_once only if its tenure began on this side of the reset, so that invariant says here: after a reset to r, nothing past r is
 * stored that was not handled again by a tenure that began at r. Positions move back at the reset and only there.
 *
 * Must fail:
 *   KEEPOWNER                 the counter moves by one and the owner stays: the row looks like the owner's own next write
 *   NOCOUNTER KEEPOWNER       the counter is left alone and the owner stays: if the position is the one the owner knew, its writes go on
 *   NOCOUNTER COUNTERONLY     the owner is removed, but the counter is left alone, and a worker writes as KCL does, on condition of the counter only
 *
 * Must hold:
 *   PLUSTWO KEEPOWNER         the counter moves by two: no write of the owner's leaves that
 *   COUNTERONLY               the right reset, against workers that write as KCL does
 */
#ifndef RESETS
#define RESETS 1
#endif

#include "machine.pml"

#if defined(NOCOUNTER)
#define STEP 0
#elif defined(PLUSTWO)
#define STEP 2
#else
#define STEP 1
#endif

proctype Operator() {
	byte j, p, resets;
	do
	:: atomic { resets < RESETS && row.counter < MAXC ->
		p = 0;
		do :: p < N -> p++ :: break od;
		d_step {
			COPY_ROW(before, row);
#ifdef NOCOUNTER
			before.counter = 0;
#endif
			row.pos = p;
			row.counter = row.counter + STEP;
#ifndef KEEPOWNER
			row.owner = NOBODY;
#endif
			epoch++;
			done = UPTO(p);
			reached = (p > reached -> p : reached);
			resets++;
			forget();
			p = 0 } }
	od
}

init { atomic { start(); run Operator() } }
