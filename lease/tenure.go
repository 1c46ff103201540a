package lease

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
)

// Tenure is one uninterrupted time of holding one lease. It ends when the lease is lost, released or finished, and never comes back: a later tenure of the
// same lease, even by the same worker, is another value, and everything here answers [ErrLost] from then on. Safe for concurrent use.
type Tenure struct{ k *keeper }

// ErrLeaving is answered by Gate when the lease should be given away while it waits.
var ErrLeaving = errors.New("lease: asked to leave")

// Lease returns the row as this worker last knew it to stand in the table.
func (t *Tenure) Lease() Lease {
	t.k.mu.Lock()
	defer t.k.mu.Unlock()
	return t.k.m.row
}

// Start returns where this call of serve begins: the checkpoint that stood in the row when the lease was acquired, or, if serve is called again, the last
// position that was stored or marked since.
func (t *Tenure) Start() checkpoint.Checkpoint {
	t.k.mu.Lock()
	defer t.k.mu.Unlock()
	return t.k.start
}

// Token returns the fencing token of this tenure.
func (t *Tenure) Token() Token { return t.k.token }

// Leaving is closed when the lease should be given away: finish what was begun, then return from serve. Each call of serve has a channel of its own.
func (t *Tenure) Leaving() <-chan struct{} { return t.k.leave() }

// Moving tells why Leaving is closed: true means that another worker asks for the lease, and waits until by for serve to return; false that this one stops,
// or that Leaving is not closed. After by the lease is kept, and serve is called again once it has returned.
func (t *Tenure) Moving() (by time.Time, moving bool) {
	t.k.mu.Lock()
	defer t.k.mu.Unlock()
	if !t.k.moving || t.k.stopping {
		return time.Time{}, false
	}
	return t.k.moveBy, true
}

// Admit is the only way to user code. The goroutine that is about to call it asks immediately before the call, with nothing that blocks in between: nil
// means that the lease is held at this moment. It is asked once for every call, a repeated one included.
//
// upTo is the last position that is handed over with the call; positions up to it may be stored from now on. The zero value hands over nothing.
//
// When the host's two clocks disagree (it was suspended, or its clock was set) Admit waits for one renewal to show whose the lease is. Errors: ErrLost, and
// ctx's cause.
func (t *Tenure) Admit(ctx context.Context, upTo checkpoint.Position) error {
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var err error
		var settled chan struct{}
		t.k.do(func(now instant) (e effects) {
			e, err = t.k.m.admit(now, upTo)
			if errors.Is(err, errDoubt) {
				if t.k.settled == nil {
					t.k.settled = make(chan struct{})
				}
				settled = t.k.settled
			}
			return e
		})
		if settled == nil {
			return err
		}
		select {
		case <-settled:
		case <-ctx.Done():
		}
	}
}

// Identify says which shard the row is about, by its starting sequence number: it rides on the next renewal, unless the row says so already.
func (t *Tenure) Identify(first string) {
	t.k.mu.Lock()
	defer t.k.mu.Unlock()
	t.k.m.identity = first
}

// Pass says that nothing up to p needs delivery any more, as when a page ends with records that were filtered out: p may be stored. It stores nothing.
func (t *Tenure) Pass(p checkpoint.Position) {
	t.k.mu.Lock()
	defer t.k.mu.Unlock()
	t.k.m.pass(p)
}

// Mark says that everything up to p is processed. p is stored with the next renewal, and at the latest when the lease is given away; no request is
// made for it. Errors: ErrLost, checkpoint.ErrNotDelivered, checkpoint.ErrBackwards.
func (t *Tenure) Mark(p checkpoint.Position) error {
	t.k.mu.Lock()
	defer t.k.mu.Unlock()
	return t.k.m.mark(p)
}

// Checkpoint stores p now and waits until it is stored; the write counts as the renewal. Calls that overlap share one write. nil means: stored, and no later
// owner starts before p. Requests are repeated while the lease is held; ctx bounds the wait, not the write: a position whose call ended early may still be stored.
//
// Errors: ErrLost, checkpoint.ErrNotDelivered, checkpoint.ErrBackwards; checkpoint.ErrUncertain beside ErrLost or ctx's error: it may be stored.
func (t *Tenure) Checkpoint(ctx context.Context, p checkpoint.Position) error {
	return t.write(ctx, "checkpoint", p, func(now instant) (int, effects, error) { return t.k.m.store(now, p) }, t.k.m.abandon)
}

// Prepare announces p: it is written as pending, with state, beside the stored position, which stays. Whoever holds the lease next finds both in
// [Tenure.Start]. The next checkpoint of this lease, made by Checkpoint, by Mark or at its end, takes the announcement back; Checkpoint(p) commits it.
// A position that was marked before rides along. Calls are written one by one, in order, behind the explicit checkpoints that wait.
//
// state is copied and may have up to [checkpoint.MaxState] bytes. Errors: those of Checkpoint; ErrBackwards too if p is before a position
// that was marked; checkpoint.ErrStateTooLarge.
func (t *Tenure) Prepare(ctx context.Context, p checkpoint.Position, state []byte) error {
	if len(state) > checkpoint.MaxState {
		return fmt.Errorf("lease %s: prepare %s: %d bytes: %w", t.k.key, p, len(state), checkpoint.ErrStateTooLarge)
	}
	state = bytes.Clone(state) // a request may still be on its way when the call has returned
	return t.write(ctx, "prepare", p, func(now instant) (int, effects, error) { return t.k.m.prepare(now, p, state) }, t.k.m.unprepare)
}

// write asks the machine for something to be written and waits for the answer. abandon tells the machine that nobody waits any longer, and reports whether
// it may be written all the same.
func (t *Tenure) write(
	ctx context.Context, what string, p checkpoint.Position, ask func(now instant) (id int, e effects, err error), abandon func(id int) (maybe bool),
) error {
	var id int
	var err error
	answer := make(chan error, 1)
	t.k.do(func(now instant) (e effects) {
		id, e, err = ask(now)
		if id != 0 {
			t.k.waits[id] = answer
		}
		return e
	})
	if err != nil || id == 0 {
		return err
	}
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
	}
	var answered, maybe bool
	t.k.do(func(instant) effects {
		if _, waiting := t.k.waits[id]; waiting {
			delete(t.k.waits, id)
			maybe = abandon(id)
		} else {
			answered = true
		}
		return effects{}
	})
	if answered {
		return <-answer
	}
	err = fmt.Errorf("lease %s: %s %s: %w", t.k.key, what, p, context.Cause(ctx))
	if maybe {
		err = errors.Join(err, checkpoint.ErrUncertain)
	}
	return err
}
