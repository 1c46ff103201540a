package lease

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/kinesiskit/kinesiskit/internal/retry"
	"github.com/kinesiskit/kinesiskit/shard"
)

// Spawn creates the rows of the shard's children, then records their ids on this one: in this order, so that whoever finds the ids finds the rows. at is the
// service's clock. It repeats itself until it succeeds, the lease is lost (ErrLost), or ctx ends, which should be a context of the tenure.
//
// A child of two parents may be due while the other one has no row yet, since its own parents are still being read: then that one's row is made first, and
// before it those of its ancestors. list is what [Tenure.Gate] has; it is asked only then.
func (t *Tenure) Spawn(ctx context.Context, children []shard.Shard, at time.Time, list func(context.Context) (*shard.Graph, time.Time, error)) error {
	ids := make([]string, len(children))
	row := t.Lease()
	backoff := t.k.backoff()
	for i, child := range children {
		ids[i] = child.ID
		for t.spawn(ctx, child, row, at, list) != nil {
			if retry.Sleep(ctx, backoff.Next()) != nil {
				return context.Cause(ctx)
			}
		}
	}
	answer := make(chan error, 1)
	var id int
	var err error
	t.k.do(func(now instant) (e effects) {
		id, e, err = t.k.m.spawn(now, ids)
		if id != 0 {
			t.k.waits[id] = answer
		}
		return e
	})
	if err != nil || id == 0 {
		return err
	}
	select {
	case err = <-answer:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// spawn is one attempt at the row of one child.
func (t *Tenure) spawn(ctx context.Context, child shard.Shard, row Lease, at time.Time, list listShards) error {
	for {
		made, err := t.otherParents(ctx, child, list, func(s shard.Shard, at time.Time) error { return t.restore(ctx, s, row, at) })
		if err != nil {
			return err
		}
		if !made {
			return t.k.c.create(ctx, newLease(child, origin{stream: row.Stream, instant: row.StartAt, inherits: true}, at))
		}
		if err := retry.Sleep(ctx, settle); err != nil {
			return err
		}
	}
}

// End stores SHARD_END: everything of the shard is processed. [Tenure.Spawn] comes first. Belief in the lease ends before the request leaves, whatever its
// answer will be: after End the tenure is over. Requests are repeated until one is answered or the time of the lease is up; ctx bounds the wait.
//
// Errors: ErrLost. Beside it, if no request was answered, checkpoint.ErrUncertain: whoever takes the lease next sees whether the end was stored.
func (t *Tenure) End(ctx context.Context) error {
	var err error
	t.k.do(func(now instant) (e effects) {
		e, err = t.k.m.end(now)
		return e
	})
	if err != nil {
		return err
	}
	select {
	case <-t.k.over:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	t.k.mu.Lock()
	defer t.k.mu.Unlock()
	return t.k.m.why
}

// create adds a row unless it is there.
func (c *Coordinator) create(ctx context.Context, l Lease) error {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.RequestTimeout)
	defer cancel()
	if err := c.store.Create(ctx, l); err != nil && !errors.Is(err, ErrExists) {
		return err
	}
	return nil
}

func (k *keeper) backoff() *retry.Backoff {
	return retry.NewBackoff(rand.New(rand.NewPCG(k.c.seed, hash64(k.key))), 100*time.Millisecond, 5*time.Second)
}
