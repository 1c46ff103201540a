package lease

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/kinesiskit/kinesiskit/internal/retry"
)

// Bounds of hand-offs under way. A worker that moves everything at once stops everything at once.
const (
	maxAsks   = 4 // requests of one worker that are open
	maxMoves  = 8 // leases that one worker is asked for, and gets ready to give
	askPoll   = 500 * time.Millisecond
	settledIn = 3 // looks for which an owner must have stood in a row before the lease is asked for
)

// The writes of a worker that asks. None of them moves the counter: for everybody but owner and asker nothing happened.

// asking is the request of me for l. It holds only while nobody else asks, and while the owner is the one that was seen and speaks.
func asking(me string, l Lease) (Condition, Change) {
	return Condition{Owner: &l.Owner, Speaks: &l.Owner, AskedBy: &l.AskedBy, AskedOf: &l.AskedOf}, Change{AskedBy: &me, AskedOf: &l.Owner}
}

// withdrawing takes the request back. Whoever has given the lease already has given it.
func withdrawing(me string, l Lease) (Condition, Change) {
	none := ""
	return Condition{AskedBy: &me, AskedOf: &l.Owner}, Change{AskedBy: &none, AskedOf: &none}
}

// verdict is what a row says to the worker that asked its owner for the lease.
type verdict int

const (
	pending verdict = iota
	given           // a claim may follow; the row alone proves nothing, since its counter may have stood for long
	refused         // by the owner, which keeps it
	moot            // finished, or another's
)

// judgeRequest reads row for me, who asked of for it.
func judgeRequest(me, of string, row Lease) verdict {
	switch {
	case row.Owner == me:
		return given
	case row.Owner != of || row.Ended():
		return moot
	case row.request() != me:
		return refused
	}
	return pending
}

// ask asks the owner of l for it, in a goroutine that ends with the request, and waits for the answer.
func (c *Coordinator) ask(ctx context.Context, l Lease, r *running) {
	c.mu.Lock()
	c.asks[l.Key] = true
	c.mu.Unlock()
	r.asks.Go(func() {
		declined := c.negotiate(ctx, l, r)
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.asks, l.Key)
		if declined {
			c.rests[l.Key] = c.clock.now().mono + c.cfg.HandoffTimeout
		}
	})
}

// negotiate leads one request to its end, and reports whether the same owner is better left alone for a while.
func (c *Coordinator) negotiate(ctx context.Context, l Lease, r *running) (declined bool) {
	if ctx.Err() != nil {
		return false
	}
	patience := c.clock.now().mono + c.cfg.HandoffTimeout + c.cfg.FailoverTime
	when, set := asking(c.owner, l)
	err := c.write(r.io, l.Key, when, set)
	var conflict *ConflictError
	if errors.As(err, &conflict) {
		return false // somebody else was first, or the owner is another
	}
	c.log.Debug("lease asked for", zap.String("lease", l.Key), zap.String("owner", l.Owner), zap.Error(err))
	heard := err == nil
	for retry.Sleep(ctx, askPoll) == nil && c.clock.now().mono < patience {
		row, err := c.get(ctx, l.Key)
		if errors.Is(err, ErrNotFound) {
			return false
		} else if err != nil {
			continue
		}
		switch judgeRequest(c.owner, l.Owner, row) {
		case pending:
			heard = true
		case given:
			c.begin(row, r)
			return false
		case refused:
			return heard // else the request was lost on its way
		case moot:
			return false
		}
	}
	when, set = withdrawing(c.owner, l)
	_ = c.write(r.io, l.Key, when, set) // what it does not reach is given to us, and claimed or passed on
	return true
}

// write is one attempt.
func (c *Coordinator) write(ctx context.Context, key string, when Condition, set Change) error {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.RequestTimeout)
	defer cancel()
	_, err := c.store.Write(ctx, key, when, set)
	return err
}

// moves counts a lease among those that this worker gets ready to give, unless there are enough of them.
func (c *Coordinator) moves(k *keeper) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.keepers[k.key] != k: // the tenure is over, and was forgotten
		return true
	case !c.moving[k.key] && len(c.moving) >= maxMoves:
		return false
	}
	c.moving[k.key] = true
	return true
}

// stays takes it out again: the lease is kept, or gone.
func (c *Coordinator) stays(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.moving, key)
}
