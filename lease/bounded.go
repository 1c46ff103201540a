package lease

import (
	"context"
	"slices"
	"time"

	"github.com/kinesiskit/kinesiskit/shard"
)

// WithEnd makes leases of shards that were read up to t carry no weight: nobody takes them who has the same end, or an earlier one. See [Tenure.ReadTo].
// Default: shards have no end but their own.
func WithEnd(t time.Time) Option { return optionFunc(func(o *options) { o.end = t }) }

// ReadTo says that everything of the shard that arrived before t is done. The write that gives the lease away stores it, once serve has returned; from then
// on nobody takes the lease who ends at t or earlier. A later change of the checkpoint takes it back.
func (t *Tenure) ReadTo(end time.Time) {
	t.k.mu.Lock()
	defer t.k.mu.Unlock()
	t.k.m.readTo = end
}

// readUpTo returns the rows in which something is left to read for an application that ends at end, in their order. Without an end these are all.
func readUpTo(rows []Lease, end time.Time) (left []Lease) {
	if end.IsZero() {
		return rows
	}
	byKey := indexed(rows, nil)
	return slices.DeleteFunc(slices.Clone(rows), func(l Lease) bool { return l.readTo(end) || waitsBeyond(l, byKey, end, len(rows)) })
}

// readTo reports whether the shard's records up to end are done, although the shard itself is not.
func (l Lease) readTo(end time.Time) bool {
	return !l.Ended() && !l.ReadTo.IsZero() && !l.ReadTo.Before(end)
}

// waitsBeyond reports whether a shard that was not begun waits for one that was read up to end: whatever it has arrived later. depth ends it where
// lineage runs in a circle.
func waitsBeyond(l Lease, byKey map[string]Lease, end time.Time, depth int) bool {
	if started(l.Checkpoint.Position) || depth == 0 {
		return false
	}
	return slices.ContainsFunc(l.Parents, func(id string) bool {
		parent, there := byKey[id]
		return there && (parent.readTo(end) || waitsBeyond(parent, byKey, end, depth-1))
	})
}

// allRead reports whether nothing is left to read up to end: every row says so or is finished, and none is missing.
func allRead(g *shard.Graph, rows []Lease, bad []*RowError, end time.Time) bool {
	unfinished := func(l Lease) bool { return !l.Ended() }
	return len(rows) > 0 && len(bad) == 0 && !slices.ContainsFunc(readUpTo(rows, end), unfinished) && len(repairs(g, indexed(rows, bad), nil)) == 0
}

// AllRead reports whether nothing is left to read for an application that ends at the time that WithEnd gave: all shards were read up to there, or are finished, and so
// is what continues those, whoever did it. Rows that cannot be read leave it open. It lists the table once, and if all seems to be read the stream, and the
// table once more. An error says that it is not known.
func (c *Coordinator) AllRead(ctx context.Context) (bool, error) {
	s := c.seeded()
	rows, bad, err := readAll(c.store.List(ctx))
	if err != nil || len(bad) > 0 || slices.ContainsFunc(readUpTo(rows, c.end), func(l Lease) bool { return !l.Ended() }) {
		return false, err
	}
	g, _, err := s.List(ctx)
	if err != nil {
		return false, err
	}
	if rows, bad, err = readAll(c.store.ListConsistent(ctx)); err != nil {
		return false, err
	}
	return allRead(g, rows, bad, c.end), nil
}
