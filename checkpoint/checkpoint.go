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
	// Pending is a position that Prepare (KCL's two-phase checkpoint) has
	// announced and nothing has committed yet (pendingCheckpoint in the lease
	// table); zero if there is none.
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

	// Prepare announces p and stores state with it, and leaves the stored
	// position where it is. It is the first of two phases for a sink that makes
	// its own work durable in two phases: prepare there, Prepare here, commit
	// there, Commit here. Whoever holds the shard after a crash finds p and
	// state as Pending and State, and can ask the sink which of the two it was.
	//
	// Any checkpoint of the shard takes the announcement back. state is copied.
	// Errors are those of Checkpoint, and ErrStateTooLarge.
	Prepare(ctx context.Context, p Position, state []byte) (Prepared, error)
}

// Prepared is an announced position.
type Prepared interface {
	// Commit stores the announced position, as Checkpoint does, with the same
	// errors. Once the shard is lost, a Prepared of that time answers
	// lease.ErrLost, even if the same worker comes to hold the shard again.
	Commit(ctx context.Context) error
}

// MaxState is how many bytes of state Prepare takes: a DynamoDB item has 400 KiB,
// and the rest of the row has to fit. Every KiB costs a write unit with each
// write of the row until the announcement is gone.
const MaxState = 350 << 10

// What a Checkpointer answers; match with errors.Is.
var (
	// ErrBackwards: a stored position never moves back.
	ErrBackwards = errors.New("checkpoint: position is before the stored one")
	// ErrNotDelivered: nobody can be done with a record not yet handed over.
	ErrNotDelivered = errors.New("checkpoint: position is past what was delivered")
	// ErrStateTooLarge: the state of a Prepare has more than MaxState bytes.
	ErrStateTooLarge = errors.New("checkpoint: state is too large")
	// ErrUncertain: the request was sent and its answer was lost.
	ErrUncertain = errors.New("checkpoint: no answer; it may be stored")
)
