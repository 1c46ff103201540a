package lease

import (
	"fmt"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/shard"
)

// Lease is one row of the lease table: the attributes that KCL writes, and eight of ours that KCL keeps and ignores.
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

	// StartAt is the instant at which the application began, of one that does not begin with the oldest records: LATEST and AT_TIMESTAMP mean this instant
	// for every owner. Rows of later shards have it too, where it means nothing by itself. Whole milliseconds; zero in KCL's rows, and where there is no
	// such instant (kkStart).
	StartAt time.Time

	// First is the shard's StartingSequenceNumber, which tells a shard from one of the same id in a stream that was deleted and made again; empty in KCL's
	// rows until a worker of ours has read the shard (kkFirst).
	First string

	// ReadTo says that an application which ends at a time has done everything of the shard that arrived before this instant, and would go on behind
	// Checkpoint if it were to end later. Whole milliseconds; zero where no end was reached (kkEnd).
	ReadTo time.Time

	Stream       string        // the stream, as StreamLabel names it, so that rows of one are never used for another (kkStream); empty in KCL's rows
	FailoverTime time.Duration // the owner's; an observer never judges by a shorter one (kkFailover); 0 in KCL's rows
}

// maxStreamLabel bounds what a row spends on the stream's name: with the longest one, of 128 characters, it would cost a second write unit.
const maxStreamLabel = 48

// StreamLabel is what a row has for the stream of this name: the name, or of one that has more than 48 bytes the beginning and a hash of all of it.
func StreamLabel(name string) string {
	if len(name) <= maxStreamLabel {
		return name
	}
	hash := fmt.Sprintf("~%016x", hash64(name))
	return name[:maxStreamLabel-len(hash)] + hash
}

// OfStream reports whether nothing in the row says that it is about another stream.
func (l Lease) OfStream(name string) bool {
	return l.Stream == "" || l.Stream == name || l.Stream == StreamLabel(name)
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
