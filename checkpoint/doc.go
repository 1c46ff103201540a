// Package checkpoint is about places in a shard: what a position is, how
// positions are ordered, how one is stored.
//
// A shard of a Kinesis data stream is a sequence of records, each with a
// sequence number: a decimal number, of some 56 digits today, that only grows
// within its shard. Producers pack many small records of their users into one
// Kinesis record (see package aggregation); these share its sequence number and
// are told apart by a sub-sequence number, their place in the pack, from 0. The
// two numbers together are a [Position]: the place of one record.
//
// A consumer stores the position up to which it is done; whoever continues the
// shard, after a restart or on another machine, starts behind it. That stored
// position is the [Checkpoint]. Before the first record there is no number, and
// after the last there is none either: the sentinels [TrimHorizon] (from the
// oldest record), [Latest], [AtTimestamp] and [ShardEnd] (everything is done)
// stand in their place. Their names and their order are those of KCL, Amazon's
// Kinesis Client Library, whose tables of checkpoints can be read and continued.
//
// A record processor stores progress through a [Checkpointer].
package checkpoint
