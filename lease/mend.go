package lease

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"go.uber.org/zap"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/internal/retry"
	"github.com/kinesiskit/kinesiskit/shard"
)

const (
	// mendInterval is between two rounds of the worker that mends the table, and what lies at least between two listings that show the same hole: KCL takes
	// three of them, two minutes apart.
	mendInterval = 30 * time.Second

	// mendMax bounds the interval of workers that leave it to others.
	mendMax = time.Hour

	// keepEnded is how long a finished lease stays after it was seen to be: an earlier request to create a child of it may still be on its way, and would
	// bring back a child that was finished and cleaned up meanwhile. KCL waits as long (leaseCleanupConfig completedLeaseCleanupIntervalMillis).
	keepEnded = 5 * time.Minute
)

// Mend keeps the rows of the stream that Seed was told in order until ctx ends: it makes rows again that were lost, so that every open shard is read, and
// deletes rows of finished shards that nobody needs any more. Every worker of a fleet calls it, beside Run; among those of the last look one does most of the
// work, and the others come less often the further behind they stand in an order that all agree on.
//
// A listing that is not complete decides nothing. A row is made only if two listings 30 s apart and a strong look at the table agree that it is missing, and
// deleted only on condition that it still says SHARD_END, five minutes after this worker saw that first.
//
// Errors: *StreamError, *IdentityError: the table is not about this stream, or not any more. Otherwise nil, when ctx has ended.
func (c *Coordinator) Mend(ctx context.Context) error {
	t := mender{c: c, rng: rand.New(rand.NewPCG(c.seed, hash64("mend "+c.owner))), ended: make(map[string]time.Duration)}
	last := c.clock.now().mono
	for retry.Sleep(ctx, mendInterval+time.Duration(t.rng.Int64N(int64(mendInterval)/5))) == nil {
		if c.clock.now().mono-last < mendEvery(c.rank()) {
			continue
		}
		err := t.round(ctx)
		last = c.clock.now().mono
		var stream *StreamError
		var identity *IdentityError
		switch {
		case errors.As(err, &stream):
			return err
		case errors.As(err, &identity) && t.suspected == *identity:
			return err
		case identity != nil:
			// A listing may lag behind a shard's end. What it says once more, half a minute later, is so.
			t.suspected, last = *identity, last-mendMax
		}
		t.tell(ctx, err)
	}
	return nil
}

// mendEvery is the interval of the worker that so many others come before.
func mendEvery(rank int) time.Duration {
	n := 1 + rank
	return min(time.Duration(n*n)*mendInterval, mendMax)
}

// rank is how many workers of the last look come before this one as those who mend the table. Beside workers of KCL each of ours comes first: KCL elects who does it
// out of the owners in the table, ours among them, and if it elects one of ours no worker of KCL does it.
func (c *Coordinator) rank() (rank int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.beside {
		return 0
	}
	mine := rendezvous("mend", c.owner)
	for owner := range c.succession.seen.owners {
		if owner != "" && owner != c.owner && rendezvous("mend", owner) > mine {
			rank++
		}
	}
	return rank
}

// mender is what one worker remembers from round to round.
type mender struct {
	c      *Coordinator
	rng    *rand.Rand
	ended  map[string]time.Duration // when each finished lease was first seen to be, monotonic
	holes  map[string]bool          // what the round before would have made
	failed bool
	warned bool

	suspected IdentityError
}

// tell logs that rounds begin to fail, or succeed again.
func (t *mender) tell(ctx context.Context, err error) {
	switch {
	case ctx.Err() != nil: // which is why it failed
	case err != nil && !t.failed:
		t.c.log.Warn("lease table cannot be checked against the stream", zap.Error(err))
	case err == nil && t.failed:
		t.c.log.Info("lease table is checked against the stream again")
	}
	t.failed = err != nil
}

// round compares the table with the stream once.
func (t *mender) round(ctx context.Context) error {
	s := t.c.seeded()
	rows, bad, err := t.list(ctx, false)
	if err != nil {
		return err
	}
	g, at, err := s.List(ctx)
	if err != nil {
		return err
	}
	t.c.knows(s, at)
	if err := check(s, g, rows); err != nil {
		return err
	}
	byKey := indexed(rows, bad)
	holes, err := t.repairs(ctx, s, g, rows, byKey)
	if err != nil {
		return err
	}
	before := t.holes
	t.holes = make(map[string]bool, len(holes))
	agreed := 0
	for _, h := range holes {
		t.holes[h.ID] = true
		if before[h.ID] {
			agreed++
		}
	}
	if agreed > 0 {
		if err := t.repair(ctx, s, g, at, before); err != nil {
			return err
		}
	}
	return t.clean(ctx, rows, byKey)
}

func (c *Coordinator) seeded() Stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stream
}

func (t *mender) list(ctx context.Context, consistent bool) (rows []Lease, bad []*RowError, err error) {
	ctx, cancel := context.WithTimeout(ctx, mendInterval)
	defer cancel()
	if consistent {
		return readAll(t.c.store.ListConsistent(ctx))
	}
	return readAll(t.c.store.List(ctx))
}

// repairs asks for the shards of the application's first moment only if there is something to repair.
func (t *mender) repairs(ctx context.Context, s Stream, g *shard.Graph, rows []Lease, byKey map[string]Lease) ([]shard.Shard, error) {
	holes := repairs(g, byKey, nil)
	instant := instantOf(rows)
	if len(holes) == 0 || instant.IsZero() {
		return holes, nil
	}
	openThen, err := s.OpenAt(ctx, instant)
	if err != nil {
		return nil, err
	}
	return repairs(g, byKey, openThen), nil
}

// repair makes what this round and the one before miss, and the table as it is now.
func (t *mender) repair(ctx context.Context, s Stream, g *shard.Graph, at time.Time, before map[string]bool) error {
	rows, bad, err := t.list(ctx, true)
	if err != nil {
		return err
	}
	if err := check(s, g, rows); err != nil {
		return err
	}
	byKey := indexed(rows, bad)
	holes, err := t.repairs(ctx, s, g, rows, byKey)
	if err != nil {
		return err
	}
	for _, h := range holes {
		if !before[h.ID] || !t.holes[h.ID] {
			continue
		}
		o := origin{stream: s.Name, instant: instantOf(rows), inherits: hasParent(h, byKey)}
		if err := t.c.create(ctx, newLease(h, o, orNow(at))); err != nil {
			return err
		}
		t.c.log.Warn("lease of a shard that nothing led to is made again", zap.String("lease", h.ID), zap.Stringer("checkpoint", o.position()))
		if s.Start.position() != checkpoint.TrimHorizon && o.instant.IsZero() && !o.inherits && !t.warned {
			t.warned = true
			t.c.log.Warn("no row tells when the application began: the shard is read from its oldest record")
		}
	}
	t.c.lookSoon()
	return nil
}

// clean deletes what has been finished for long enough.
func (t *mender) clean(ctx context.Context, rows []Lease, byKey map[string]Lease) error {
	now := t.c.clock.now().mono
	ended := make(map[string]time.Duration)
	for _, r := range rows {
		if !r.Ended() {
			continue
		}
		since, seen := t.ended[r.Key]
		if !seen {
			since = now
		}
		ended[r.Key] = since
		if now-since < keepEnded || !cleanable(r, byKey) {
			continue
		}
		if err := t.c.remove(ctx, r); err != nil {
			return err
		}
		t.c.log.Info("lease of a finished shard deleted", zap.String("lease", r.Key))
	}
	t.ended = ended
	return nil
}

// remove deletes a finished lease if nobody has touched it meanwhile.
func (c *Coordinator) remove(ctx context.Context, l Lease) error {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.RequestTimeout)
	defer cancel()
	end := checkpoint.ShardEnd
	err := c.store.Delete(ctx, l.Key, Condition{Counter: &l.Counter, Position: &end})
	var conflict *ConflictError
	if errors.As(err, &conflict) {
		return nil // whoever did will say what comes of it
	}
	return err
}
