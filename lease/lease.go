package lease

import (
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/shard"
)

// Lease is one row of the lease table: the attributes that KCL writes, and five of ours that KCL keeps and ignores.
//
// A Lease is a value read from the table or meant for it; holding one is a [Tenure], never a Lease.
type Lease struct {
	Key             string                // the shard's id, for an application that reads one stream (leaseKey)
	Owner           string                // who holds it; empty means nobody (leaseOwner)
	CheckpointOwner string                // the old owner during a hand-off of KCL 3.x; we respect it and never write it (checkpointOwner)
	Counter         int64                 // moves with every write of an owner; standing still is how an owner dies (leaseCounter)
	OwnerSwitches   int64                 // owner changes since the last checkpoint (ownerSwitchesSinceCheckpoint)
	Checkpoint      checkpoint.Checkpoint // where the next owner starts (checkpoint, checkpointSubSequenceNumber, pending…)
	Parents         []string              // ids of the shards this one came from: none, one (split) or two (merge) (parentShardId)
	Children        []string              // ids of the shards that continue it, known once it is finished (childShardIds)
	HashRange       shard.HashRange       // zero if the row does not say (startingHashKey, endingHashKey)

	// A hand-off between workers of ours: AskedBy would like to have the lease, and asks AskedOf for it. A request counts only while AskedOf owns the
	// lease. An owner that speaks this protocol has written itself into Speaks, with a minus sign before it once it stops and is not to be asked any more;
	// KCL changes Owner alone, so what it takes does not speak.
	AskedBy string // kkNext
	AskedOf string // kkFrom
	Speaks  string // kkOwner

	Stream       string        // the stream's name, so that rows of one stream are never used for another (kkStream); empty in KCL's rows
	FailoverTime time.Duration // the owner's; an observer never judges by a shorter one (kkFailover); 0 in KCL's rows
}

// Ended reports whether the shard is finished: closed, and every record of it processed.
func (l Lease) Ended() bool { return l.Checkpoint.Position == checkpoint.ShardEnd }

// speaks reports whether the owner can be asked for the lease.
func (l Lease) speaks() bool { return l.Owner != "" && l.Speaks == l.Owner }

// ours reports whether the owner runs this protocol, asked or not.
func (l Lease) ours() bool { return l.speaks() || l.Owner != "" && l.Speaks == leavingMark(l.Owner) }

// leavingMark is the mark of an owner that stops. It says as much as no mark to whoever would ask, and tells the owner from a worker of KCL.
func leavingMark(owner string) string { return "-" + owner }

// request returns who asks the owner for the lease, "" if nobody does. A request to a former owner is none.
func (l Lease) request() string {
	if l.Owner == "" || l.AskedOf != l.Owner {
		return ""
	}
	return l.AskedBy
}

// Token fences side effects outside Kinesis: of two tokens with the same Key, the one with the higher Counter belongs to the later owner, so a
// sink that remembers the highest it has seen can refuse a former owner's late writes. Rows that this package creates start their counter
// at the creation time in Unix milliseconds, so that it keeps growing when a row is deleted and created again; rows that Java creates start at 0.
type Token struct {
	Key     string
	Counter int64
}
