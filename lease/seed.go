package lease

import (
	"context"
	"fmt"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/shard"
)

// Stream is what a coordinator has to know of the stream whose shards it divides.
type Stream struct {
	Name  string
	Start Start // of an application that has no rows yet

	// List returns a complete listing of the stream's shards, asked for after the call, and the service's clock then, zero if the answer did not show it. A
	// listing that lacks a part of the ring is an error.
	List func(ctx context.Context) (*shard.Graph, time.Time, error)

	// OpenAt returns the shards that were open at t, as far as the stream still knows them. It is called only for an application that begins at an instant.
	OpenAt func(ctx context.Context, t time.Time) ([]shard.Shard, error)
}

// Seed creates the rows without which nothing of a stream can be read: those of an application's first shards. Every other row is made when a parent ends. It
// is called before Run, with a complete listing g and the service's clock at; workers that call it at the same time do no harm, nor does calling it again.
//
// An application that begins at an instant has it in its rows: Start.At, or of Start.Latest the service's clock at the first Seed. From then on the instant
// counts, whatever Start says.
//
// Errors: *StreamError or *IdentityError if a row of the table is about another stream, *FutureError; nothing was written then. Anything else may be retried.
func (c *Coordinator) Seed(ctx context.Context, s Stream, g *shard.Graph, at time.Time) error {
	c.knows(s, at)
	rows, bad, err := readAll(c.store.List(ctx))
	if err != nil {
		return err
	}
	if err := check(s, g, rows); err != nil {
		return err
	}
	if len(repairs(g, indexed(rows, bad), nil)) == 0 {
		return nil
	}
	// The listing may be stale, and two workers may start at once. To take a row for missing that is not would replay a shard, and the instant is that of
	// whoever was first.
	if rows, bad, err = readAll(c.store.ListConsistent(ctx)); err != nil {
		return err
	}
	if err := check(s, g, rows); err != nil {
		return err
	}
	o, first, err := begins(ctx, s, g, at, rows, len(rows)+len(bad) == 0)
	if err != nil {
		return err
	}
	have := indexed(rows, bad)
	for _, m := range unseeded(g, first, have) {
		o.inherits = hasParent(m, have)
		if err := c.create(ctx, newLease(m, o, orNow(at))); err != nil {
			return fmt.Errorf("lease %s: create: %w", m.ID, err)
		}
	}
	return nil
}

// begins finds out where the application begins, and with which shards. anew says that it has no rows.
func begins(ctx context.Context, s Stream, g *shard.Graph, at time.Time, rows []Lease, anew bool) (o origin, first []shard.Shard, err error) {
	o = origin{stream: s.Name, instant: instantOf(rows)}
	oldest := s.Start.position() == checkpoint.TrimHorizon
	switch {
	case !anew && o.instant.IsZero() && !oldest:
		return o, nil, nil // rows of Java's, which do not tell: what they lack is for Mend to judge
	case anew && !oldest:
		if o, err = s.Start.begin(s.Name, at); err != nil {
			return o, nil, err
		}
	}
	switch {
	case o.instant.IsZero():
		return o, firstShards(g, nil), nil
	case anew && s.Start.Latest:
		return o, firstShards(g, g.Open()), nil
	}
	openThen, err := s.OpenAt(ctx, o.instant)
	return o, firstShards(g, openThen), err
}

// check refuses rows that are about another stream, or about an earlier one of the same name.
func check(s Stream, g *shard.Graph, rows []Lease) error {
	for _, r := range rows {
		if !r.OfStream(s.Name) {
			return &StreamError{Key: r.Key, Stored: r.Stream, Stream: s.Name}
		}
		if listed, ok := g.Shard(r.Key); ok {
			if err := r.Identify(listed); err != nil {
				return err
			}
		}
	}
	return nil
}

// knows keeps what Seed is told. A row of Java's that says LATEST is pinned by whoever of us takes it first.
func (c *Coordinator) knows(s Stream, at time.Time) {
	mono := c.clock.now().mono
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stream = s
	if !at.IsZero() {
		c.service = serviceClock{at: at, mono: mono}
	}
}

// serviceClock is the service's clock at a moment of ours. From there on it is counted by our monotonic clock, which may fall behind and does not run ahead:
// what arrived before the moment it names is read again at worst, and nothing is passed over.
type serviceClock struct {
	at   time.Time
	mono time.Duration
}

// pin is the instant that the first write of a tenure puts into a row which lacks one and needs it, zero if there is none. Such rows are Java's: LATEST means
// there whatever comes after whoever opens the shard has opened it, AT_TIMESTAMP the time that the workers are configured with.
func (c *Coordinator) pin(l Lease) time.Time {
	mono := c.clock.now().mono
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !l.StartAt.IsZero():
		return time.Time{}
	case l.Checkpoint.Position == checkpoint.AtTimestamp:
		return c.stream.Start.At
	case l.Checkpoint.Position == checkpoint.Latest && !c.service.at.IsZero():
		return c.service.at.Add(mono - c.service.mono).Truncate(time.Second)
	}
	return time.Time{}
}

// orNow is for what needs a clock that grows, and nothing more.
func orNow(at time.Time) time.Time {
	if at.IsZero() {
		return time.Now()
	}
	return at
}
