/* What every model here checks with. */

/* An invariant has a name, which is what the checker prints when it does not hold. */
#define INVARIANT(name, cond) if :: (cond) :: else -> name = 1; assert(!name) fi

/* A run with -DREACH=n must stop at the place numbered n. A model that cannot get there proves nothing about it. */
#ifndef REACH
#define REACH 0
#endif
byte place;
#define REACHED(n) place = n; assert(place != REACH); place = 0
