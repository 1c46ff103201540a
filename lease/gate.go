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
// A row that says LATEST or AT_TIMESTAMP, and a parent of which has a row too, is about a shard that came into being after the application's start: it counts
// as TRIM_HORIZON, and [Tenure.Start] says so once Gate has returned nil.
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
	if first, err := t.isFirst(ctx, l); first || err != nil {
		return first, err
	}
	open = true
	for _, id := range l.Parents {
		verdict, err := t.judge(ctx, id, l, list)
		if err != nil {
			return false, fmt.Errorf("parent %s: %w", id, err)
		}
		open = open && verdict == gateOpen
	}
	if open && symbolic(l.Checkpoint.Position) {
		t.k.fromTheBeginning()
	}
	return open, nil
}

// isFirst reports whether l is one of the application's first shards, which wait for nobody: it is to start at an instant, and no parent has a row.
func (t *Tenure) isFirst(ctx context.Context, l Lease) (bool, error) {
	if !symbolic(l.Checkpoint.Position) {
		return false, nil
	}
	for _, id := range l.Parents {
		switch _, err := t.k.c.get(ctx, id); {
		case err == nil:
			return false, nil
		case !errors.Is(err, ErrNotFound):
			return false, fmt.Errorf("parent %s: %w", id, err)
		}
	}
	return true, nil
}

// judge reads one parent's row, and makes it again if it was lost.
func (t *Tenure) judge(ctx context.Context, id string, child Lease, list func(context.Context) (*shard.Graph, time.Time, error)) (gate, error) {
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
		first, err := t.firstShards(ctx, g)
		if err != nil {
			return verdict, err
		}
		made, err := t.rootsFirst(ctx, g, id, first, func(s shard.Shard) error { return t.restore(ctx, s, child, at) })
		if made && err == nil {
			t.k.pause(ctx, settle)
		}
		return verdict, err
	}
	return verdict, nil
}

// restore makes a row that was lost, or comes before its turn. A shard that came of it knows the instant at which the application began; without one it began
// with the oldest records.
func (t *Tenure) restore(ctx context.Context, lost shard.Shard, child Lease, at time.Time) error {
	o := origin{stream: child.Stream, instant: child.StartAt}
	for _, id := range lost.Parents {
		switch _, err := t.k.c.get(ctx, id); {
		case err == nil:
			o.inherits = true
		case !errors.Is(err, ErrNotFound):
			return err
		}
	}
	return t.k.c.create(ctx, newLease(lost, o, at))
}

func (c *Coordinator) get(ctx context.Context, key string) (Lease, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.RequestTimeout)
	defer cancel()
	return c.store.Get(ctx, key)
}
