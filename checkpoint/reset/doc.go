// Package reset changes where an application stands in a stream: to its oldest records, to now, to a time, or to given positions. It plans, shows,
// writes conditionally, and can undo.
//
// # What a plan is
//
// [Make] reads the lease table and the stream, and writes nothing. The [Plan] it returns says for each row of the table where it stands, where it would
// stand, and why. [Plan.Execute] writes it. After a reset to a time, exactly the records that arrived at or after it are delivered, and those of a parent
// shard before those of its children.
//
// A time is found in each shard by asking the service for its first record since then. What is stored is a place before that record, (number, -1), so no
// neighbour has to be searched for and an aggregate is delivered whole. Where nothing has arrived since, the place behind the last record is stored.
//
// # Lineage
//
// Shards continue each other, so they cannot be moved one by one:
//
//   - A shard of which something is left to be read holds its descendants back: they are set to TRIM_HORIZON, which on a shard with parents means "not
//     started", and wait until every parent is finished. A worker that goes on in the middle of a child, while its parent is read again, would process
//     the records of a key in the wrong order, and would never deliver what it had done of the child before.
//   - A shard that has to be read from its beginning while its parents are done is set to (its starting sequence number, -1). TRIM_HORIZON would not do: its
//     parents' rows may have been cleaned up, and the worker that looks for them would make them again and replay them.
//   - A shard of which nothing is left becomes SHARD_END, with the ids of its children. If it was not finished, what it still held is skipped, and the plan warns.
//   - A shard that has to be read and has no row gets one, as does every shard between it and a descendant that has one: a missing row between two others
//     would hold nothing back. Other descendants without a row stay without: the worker that finishes their parent makes it.
//
// Rows are written parents first, and a row of which an ancestor could not be written is not written either. Whenever a reset ends early, no shard has
// been told to start over while what it continues stands where it stood.
//
// # Running workers
//
// A row is changed in one conditional write that moves its counter and removes its owner. Both are needed. A worker that finds its write refused looks whether
// the row is its own work; one that runs KCL takes a row with its own name and a counter one higher for that, carries on, and stores its old position
// over the new one. A row whose counter did not move would accept a write that is on its way already. With both, a former owner can store nothing, and
// drops the shard within one renewal, after the batch it is working on.
//
// Still, Execute refuses while owners are alive, unless it is told to go on: what they have in hand is processed meanwhile. Whether they live is
// judged by counters that move while it watches, never by a clock. A fleet that owns no lease at the time cannot be seen, and needs not to be:
// what it takes between plan and write is found changed, and is not written.
//
// # Permissions
//
// On the stream: kinesis:ListShards, DescribeStreamSummary, GetShardIterator, GetRecords. On the lease table, with package dynamostore: dynamodb:Scan,
// GetItem, and to execute or undo, UpdateItem, PutItem, DeleteItem.
package reset
