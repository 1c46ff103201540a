// Package lease divides the shards of a stream among workers, so that each is read by one of them at a time, and keeps how far each was read.
//
// # The table
//
// There is one row a shard, a [Lease], in a table that all workers share, a [Store]. The row says who owns the shard, carries a counter that the owner moves
// every few seconds to show that it is alive, and the checkpoint: the position up to which everything was processed. An owner that falls silent loses its
// leases: another worker sees a counter stand still for FailoverTime, and takes the lease with a write on condition that it still stands there.
// All writes are conditional on that counter; that alone makes it impossible for a former owner to store anything, whatever the clocks do.
// The rows are those of the Java Kinesis Client Library, so a fleet can move over, or back.
//
// # Holding a lease
//
// A [Coordinator] is one worker's side. [Coordinator.Run] calls a function of yours for each lease that was won, with a [Tenure] and a context. The context is the
// lease: it ends with cause [ErrLost] before another worker may hold it. How can a worker know without asking? It counts from the moment at which it sent
// the last request that moved the counter. Whoever saw the counter move saw it later, and waits for FailoverTime from there; so a worker that stops after
// FailoverTime less a margin for the difference in speed of two clocks has stopped before anyone else may start. No two hosts' clocks are compared.
//
// What no lease can prevent is a process that is stopped between [Tenure.Admit] and the first line of your code, and goes on much later. Its context has
// ended when it wakes, whatever it stores here is refused, and a sink that can compare a [Token] refuses it too.
//
// # Moving a lease
//
// Between workers that run this package a lease moves by consent. A worker that has less than its share asks the owner of another lease: it writes its name
// into the row, which changes nothing for anybody else. The owner sees that in the row that its next renewal returns, closes [Tenure.Leaving], waits until
// your code has returned, and gives the lease away in one write that also stores the final position; the new owner begins there. Nothing is processed twice
// and nothing at the same time. If the code does not return within Config.HandoffTimeout the owner declines, keeps the lease, and calls the code again:
// nothing is ever taken from a worker that lives. A worker that stops gives its leases away in the same manner, to those that have least.
//
// Of an owner that does not speak this protocol nothing is asked: its mark (Lease.Speaks) is missing or not its own.
//
// # Beside workers of Java
//
// A worker of KCL 1.x or 2.x takes what it thinks is its share, and tells nobody. While one lives, a Coordinator takes from it in the same way, one lease at a look and
// only from one that has at least two more, and keeps its finished leases owned, which KCL counts like others. Records are still processed at least
// once, and those of a key for the first time in order; our own writes are still fenced. But a lease that KCL took is noticed with the next renewal only: for
// RenewInterval, RequestTimeout and the running call both process the shard; if the table does not answer, until the lease's time is up. And since KCL
// writes a checkpoint whatever is stored, a position may move back.
//
// All workers must have the same FailoverTime (failoverTimeMillis) and the same initial position, and worker ids must differ. A lease that is released is
// free at once for KCL 2.6 and later, for older ones after FailoverTime.
//
// # Requests without an answer
//
// A write whose answer was lost may have been applied, may be applied later, or never. The lease stays ours until its time is up; the next write expects
// the same counter, and if it is refused the row is compared with everything we tried. What is recognised as ours is ours, what is not means that
// the lease is lost. [Tenure.Checkpoint] never answers nil for something that was not stored.
//
// # Parents and children
//
// When a shard is split or merged its children continue it. Their rows are made by whoever finishes the parent ([Tenure.Spawn], then [Tenure.End]), and a
// child waits ([Tenure.Gate]) until all its parents are finished, so that a partition key's records are processed in order across the change.
//
// # What decides
//
// The protocol is a state machine of values (machine.go): told what happened and when, it says what to do. The goroutines around it do I/O and nothing else,
// so that the simulation in this package's tests runs what ships, under clocks that jump, hosts that pause and requests that are applied late.
package lease
