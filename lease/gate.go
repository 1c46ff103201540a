package lease

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/kinesiskit/kinesiskit/shard"
)

// Gate waits until the shard may be read: a shard that has not been started waits until all its parents are finished. list returns a complete listing of the
// stream's shards and the service's clock; it is asked only when a parent has no row, to tell a parent that was cleaned up from one whose row was
// lost. Rows are read strongly, at the start of every tenure.
//
// Errors: ErrLeaving when the lease should be given away, else ctx's cause. Failures of the table or the listing are waited out.
func (t *Tenure) Gate(ctx context.Context, list func(context.Context) (*shard.Graph, time.Time, error)) error {
	backoff := t.k.backoff()
	reported := ""
	for !t.k.isLeaving() {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		open, err := t.passGate(ctx, list)
		if open {
			return nil
		}
		wait := t.k.c.interval()
		switch {
		case err == nil:
			backoff.Reset()
			reported = ""
		case ctx.Err() != nil:
			return context.Cause(ctx)
		default:
			wait = backoff.Next()
			if reported != err.Error() {
				reported = err.Error()
				t.k.c.log.Warn("parents of a shard cannot be judged", zap.String("lease", t.k.key), zap.Error(err))
			}
		}
		t.k.pause(ctx, wait)
	}
	return ErrLeaving
}

// passGate judges all parents once.
func (t *Tenure) passGate(ctx context.Context, list func(context.Context) (*shard.Graph, time.Time, error)) (open bool, err error) {
	l := t.Lease()
	if started(l.Checkpoint.Position) {
		return true, nil
	}
	open = true
	for _, id := range l.Parents {
		verdict, err := t.judge(ctx, id, l.Stream, list)
		if err != nil {
			return false, fmt.Errorf("parent %s: %w", id, err)
		}
		open = open && verdict == gateOpen
	}
	return open, nil
}

// judge reads one parent's row, and makes it again if it was lost.
func (t *Tenure) judge(ctx context.Context, id, stream string, list func(context.Context) (*shard.Graph, time.Time, error)) (gate, error) {
	parent, err := t.k.c.get(ctx, id)
	if err == nil {
		return judgeParent(&parent, true), nil
	}
	if !errors.Is(err, ErrNotFound) {
		return gateWait, err
	}
	g, at, err := list(ctx)
	if err != nil {
		return gateWait, err
	}
	_, listed := g.Shard(id)
	verdict := judgeParent(nil, listed)
	if verdict == gateRestore {
		made, err := t.rootsFirst(ctx, g, id, func(s shard.Shard) error { return t.k.c.create(ctx, newLease(s, stream, at)) })
		if made && err == nil {
			t.k.pause(ctx, settle)
		}
		return verdict, err
	}
	return verdict, nil
}

func (c *Coordinator) get(ctx context.Context, key string) (Lease, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.RequestTimeout)
	defer cancel()
	return c.store.Get(ctx, key)
}

// Seed creates the rows without which nothing of a stream can be read: those of its oldest shards. Every other row is made when a parent ends. It is called
// before Run, with a complete listing g and the service's clock at; workers that call it at the same time do no harm, nor does calling it again.
//
// Errors: *StreamError if a row of the table belongs to another stream, and nothing was written; anything else may be retried.
func (c *Coordinator) Seed(ctx context.Context, stream string, g *shard.Graph, at time.Time) error {
	rows, bad, err := readAll(ctx, c.store)
	if err != nil {
		return err
	}
	there := make(map[string]bool, len(rows))
	for _, r := range rows {
		if r.Stream != "" && r.Stream != stream {
			return &StreamError{Key: r.Key, Stored: r.Stream, Stream: stream}
		}
		there[r.Key] = true
	}
	for _, r := range bad {
		there[r.Key] = true
	}
	missing, err := unseeded(g, func(id string) (bool, error) {
		if there[id] {
			return true, nil
		}
		// The listing may be stale. To take a row for missing that is not would replay a shard.
		_, err := c.get(ctx, id)
		var unreadable *RowError
		switch {
		case errors.Is(err, ErrNotFound):
			return false, nil
		case errors.As(err, &unreadable):
			return true, nil
		}
		return err == nil, err
	})
	if err != nil {
		return err
	}
	for _, s := range missing {
		if err := c.create(ctx, newLease(s, stream, at)); err != nil {
			return fmt.Errorf("lease %s: create: %w", s.ID, err)
		}
	}
	return nil
}
