// Package dynamostore keeps leases in a DynamoDB table, in the rows that KCL, Amazon's Kinesis Client Library for Java, writes and reads. An
// application can so change from Java to Go and back, or run both for a while, without losing its place.
//
// # The row
//
// One row is one shard of the application's stream. Attributes that are not in this list belong to others and survive every write.
//
//	leaseKey                            S   the shard's id; the table's only key
//	leaseOwner                          S   who holds the lease; absent: nobody
//	leaseCounter                        N   moves with every write of an owner; a row must have it
//	ownerSwitchesSinceCheckpoint        N   owner changes since the last checkpoint
//	checkpoint                          S   a sequence number, or TRIM_HORIZON, LATEST, AT_TIMESTAMP, SHARD_END
//	checkpointSubSequenceNumber         N   the place within an aggregate; absent: 0; -1: before the first record of the number
//	pendingCheckpoint                   S   KCL's two-phase checkpoint: announced, not committed
//	pendingCheckpointSubSequenceNumber  N
//	pendingCheckpointState              B   the application's bytes that came with it; an N, as KCL may write at creation, is none
//	checkpointOwner                     S   the old owner during a hand-off of KCL 3.x
//	parentShardId                       SS  one (after a split) or two (after a merge)
//	childShardIds                       SS  known once the shard is finished
//	startingHashKey, endingHashKey      S   decimal, inclusive
//	entityType                          S   LEASE; KCL 3.5 keeps rows of other types in the same table
//	kkStream                            S   ours: the stream's name, shortened if it has more than 48 bytes
//	kkFailover                          N   ours: the owner's failover time in milliseconds
//	kkNext, kkFrom                      S   ours: who asks whom for the lease
//	kkOwner                             S   ours: the owner, if it can be asked
//	kkStart                             N   ours: the instant that LATEST or AT_TIMESTAMP means, in Unix milliseconds
//	kkFirst                             S   ours: the shard's starting sequence number
//	kkEnd                               N   ours: what arrived before is done, of an application that ends at a time; Unix milliseconds
//
// A row that cannot be read as a lease is reported as a *lease.RowError and left alone: one of another entityType, one without a counter, one whose
// checkpoint is neither a number nor a sentinel, one of an application that reads several streams (streamName, shardId).
//
// A row stays below 1,024 bytes with the longest names that are legal, apart from pendingCheckpointState, so that each write costs one write unit.
//
// # The table
//
// Open creates a table that is not there, on demand unless units are configured, with the index LeaseOwnerToLeaseKeyIndex (leaseOwner, leaseKey; keys
// only) that KCL 3.x wants: declared at creation it costs nothing, added to a full table it takes minutes. An existing table may lack it, see lease.OwnerLister. Nothing but
// Open ever creates a table. One that vanishes while workers run may be about to be restored, and an empty one in its place would start every shard
// again: the methods answer types.ResourceNotFoundException instead.
//
// What KCL 3.x keeps beside leases, there and in tables of its own, is read to see whether it runs ([Store.Signs]), and never written.
//
// Permissions on the table: dynamodb:DescribeTable, GetItem, PutItem, UpdateItem, DeleteItem, Scan; on its index (table/…/index/*): Query, Scan; for Open
// to create it also CreateTable, TagResource if there are tags, and UpdateContinuousBackups for point-in-time recovery. Without those on the index
// everything works, but every worker reads the whole table every two seconds.
package dynamostore
