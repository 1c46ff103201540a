package lease

import (
	"context"
	"iter"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
)

// Store is the lease table. Implement it to keep leases elsewhere than in DynamoDB; package leasetest is this contract in executable form.
//
// Every method is one attempt: it does not retry, and it ends when ctx does, with an error that is ctx's; a ctx that has ended already sends nothing. Methods are
// called from many goroutines at once. An error that is none of those named below means that the outcome is unknown: a write may have been applied, or may
// be applied later. Parents and Children of a row are sets: their order is not kept.
type Store interface {
	// Open makes the table usable: it is called once, before anything else, and again after it failed. It is the only method that may create the
	// table. A table that can never be used, because it is something else or may not be created, is a *TableError.
	Open(ctx context.Context) error

	// List yields every lease, in any order. It may be stale. A row that cannot be read as a lease comes as *RowError and does not end the listing;
	// any other error does.
	List(ctx context.Context) iter.Seq2[Lease, error]

	// ListConsistent is List that is never stale: every row that was written before the call comes as it stood then, or later. It may cost twice as much, and
	// is asked before a row is made or deleted because of what a listing lacks.
	ListConsistent(ctx context.Context) iter.Seq2[Lease, error]

	// Get reads one lease, never a stale one. Errors: ErrNotFound, *RowError.
	Get(ctx context.Context, key string) (Lease, error)

	// Create adds a lease unless its key exists: ErrExists, and the row that is there stays as it is. A lease without a key is refused.
	Create(ctx context.Context, l Lease) error

	// Write changes a row in one step if when holds, and returns the row as it stands then. It never creates one. *ConflictError: nothing was written.
	Write(ctx context.Context, key string, when Condition, set Change) (Lease, error)

	// Delete removes a row if when holds. *ConflictError: nothing was deleted, or there was no such row.
	Delete(ctx context.Context, key string, when Condition) error
}

// Condition says what a row must hold for a write: every field that is set. The row must exist in any case. A Condition in which nothing is set is
// refused with an error, since it would make the write unconditional.
type Condition struct {
	Counter         *int64
	Owner           *string              // "" means: nobody owns it
	CheckpointOwner *string              // "" means: no hand-off of KCL 3.x is going on
	AskedBy         *string              // "" means: there is no such attribute; AskedOf and Speaks alike
	AskedOf         *string              //
	Speaks          *string              //
	Position        *checkpoint.Position // the stored position, compared for equality: order is not DynamoDB's to judge
}

func (c Condition) empty() bool {
	return c == Condition{}
}

// Validate refuses a Condition in which nothing is set. Stores call it first in Write and Delete.
func (c Condition) Validate() error {
	if c.empty() {
		return errUnconditional
	}
	return nil
}

// Holds reports whether l satisfies c.
func (c Condition) Holds(l Lease) bool {
	return (c.Counter == nil || *c.Counter == l.Counter) &&
		(c.Owner == nil || *c.Owner == l.Owner) &&
		(c.CheckpointOwner == nil || *c.CheckpointOwner == l.CheckpointOwner) &&
		(c.AskedBy == nil || *c.AskedBy == l.AskedBy) &&
		(c.AskedOf == nil || *c.AskedOf == l.AskedOf) &&
		(c.Speaks == nil || *c.Speaks == l.Speaks) &&
		(c.Position == nil || *c.Position == l.Checkpoint.Position)
}

// Change is what a write sets. Fields that are not set stay as they are.
type Change struct {
	AddCounter      int64
	Owner           *string                // "" removes it
	CheckpointOwner *string                // "" removes it
	AskedBy         *string                // "" removes it
	AskedOf         *string                // "" removes it
	Speaks          *string                // "" removes it
	OwnerSwitches   *int64                 //
	Checkpoint      *checkpoint.Checkpoint // whole: a zero Pending removes what was pending, as a checkpoint of KCL does
	Children        []string               // replaces the set, unless empty
	FailoverTime    time.Duration          // unless 0
	StartAt         time.Time              // unless zero, and unless the row has one
	First           string                 // unless empty
	ReadTo          time.Time              // unless zero; a Checkpoint without it removes it, since that was said of the one before
}

// Apply returns l with c applied: what a store's row holds after the write.
func (c Change) Apply(l Lease) Lease {
	l.Counter += c.AddCounter
	if c.Owner != nil {
		l.Owner = *c.Owner
	}
	if c.CheckpointOwner != nil {
		l.CheckpointOwner = *c.CheckpointOwner
	}
	if c.AskedBy != nil {
		l.AskedBy = *c.AskedBy
	}
	if c.AskedOf != nil {
		l.AskedOf = *c.AskedOf
	}
	if c.Speaks != nil {
		l.Speaks = *c.Speaks
	}
	if c.OwnerSwitches != nil {
		l.OwnerSwitches = *c.OwnerSwitches
	}
	if c.Checkpoint != nil {
		l.Checkpoint = *c.Checkpoint
		if l.Checkpoint.Pending == (checkpoint.Position{}) {
			l.Checkpoint.State = nil // it belongs to what is pending
		}
	}
	if len(c.Children) > 0 {
		l.Children = c.Children
	}
	if c.FailoverTime != 0 {
		l.FailoverTime = c.FailoverTime
	}
	if l.StartAt.IsZero() {
		l.StartAt = c.StartAt
	}
	if c.First != "" {
		l.First = c.First
	}
	if !c.ReadTo.IsZero() || c.Checkpoint != nil {
		l.ReadTo = c.ReadTo
	}
	return l
}
