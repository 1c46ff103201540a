// Package kcl is a worker of Amazon's Kinesis Client Library 2.x for Java as values: what it reads from a lease table, what it decides, and what it writes. It
// does no I/O and has no clock. Tests of mixed fleets run it beside workers of this module, in simulations and against a server.
//
// It follows the library in what matters to others, its weaknesses included: it judges a lease by scans that may be stale, it takes what it thinks is its
// share without asking, every write holds on condition of the counter alone, and a checkpoint is written whatever position is stored.
package kcl
