package checkpoint

import (
	"context"
	"errors"
)

// Checkpoint is what is stored for a shard.
type Checkpoint struct {
	// Position is where the shard is continued: behind it, or with it if its
	// sub-sequence number is -1.
	Position Position
	// Pending is a position that KCL's two-phase checkpoint has announced and
	// not committed (pendingCheckpoint in the lease table); zero if there is none.
	Pending Position
	// State is the application's own bytes, stored with Pending.
	State []byte
}

// Checkpointer stores progress for a shard that is held. A sink that decides
// itself when its work is durable may ask for no more than this.
type Checkpointer interface {
	// Checkpoint stores that everything up to and including p is done. A nil
	// error means: stored, and no later owner starts before p.
	//
	// Errors: lease.ErrLost if the shard is not held any more, ErrBackwards and
	// ErrNotDelivered, after all of which nothing was stored; ErrUncertain if
	// no answer came. Anything else is an error of I/O; it and ErrUncertain may
	// be retried. The end of ctx ends the wait: a write that is on its way may
	// still be stored.
	Checkpoint(ctx context.Context, p Position) error
}

// What a Checkpointer answers; match with errors.Is.
var (
	// ErrBackwards: a stored position never moves back.
	ErrBackwards = errors.New("checkpoint: position is before the stored one")
	// ErrNotDelivered: nobody can be done with a record not yet handed over.
	ErrNotDelivered = errors.New("checkpoint: position is past what was delivered")
	// ErrUncertain: the request was sent and its answer was lost.
	ErrUncertain = errors.New("checkpoint: no answer; it may be stored")
)
