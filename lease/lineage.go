package lease

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/shard"
)

// newLease is the row of a shard that nobody has read yet. at is the service's clock: counters of rows made anew start above those of their
// predecessors, so that a fencing token never falls back.
func newLease(s shard.Shard, stream string, at time.Time) Lease {
	return Lease{
		Key:        s.ID,
		Counter:    at.UnixMilli(),
		Checkpoint: checkpoint.Checkpoint{Position: checkpoint.TrimHorizon},
		Parents:    s.Parents,
		HashRange:  s.Range,
		Stream:     stream,
	}
}

// unseeded returns the shards that need a row before anything can be read: those whose parents the stream no longer knows, unless they or a shard that
// came from them has a row. Every other row is made when a parent ends, and waits for it.
//
// A shard without a row whose descendant has one was read by this application, and its row was cleaned up after it was finished: to create it again would
// replay it.
func unseeded(g *shard.Graph, hasRow func(id string) (bool, error)) ([]shard.Shard, error) {
	var missing []shard.Shard
next:
	for _, s := range listed(g) {
		if slices.ContainsFunc(s.Parents, func(id string) bool { _, listed := g.Shard(id); return listed }) {
			continue
		}
		if has, err := hasRow(s.ID); err != nil {
			return nil, err
		} else if has {
			continue
		}
		for d := range g.Descendants(s.ID) {
			if has, err := hasRow(d.ID); err != nil {
				return nil, err
			} else if has {
				continue next
			}
		}
		missing = append(missing, s)
	}
	return missing, nil
}

// listed returns every shard of the graph that an open one came from, and the open ones, by id.
func listed(g *shard.Graph) []shard.Shard {
	byID := make(map[string]shard.Shard)
	for _, open := range g.Open() {
		byID[open.ID] = open
		for a := range g.Ancestors(open.ID) {
			byID[a.ID] = a
		}
	}
	return slices.SortedFunc(maps.Values(byID), func(a, b shard.Shard) int { return strings.Compare(a.ID, b.ID) })
}

// gate is what the parents say about a shard that has not been started.
type gate int

const (
	gateOpen gate = iota
	gateWait
	gateRestore // a parent's row was lost although its shard can still be read: it is made again, and waited for
)

// judgeParent decides whether one parent holds its child back. A child is started when all its parents are finished, so that no record of a partition key
// is processed before an earlier one of the same key. parent is nil if it has no row; listed says whether a complete listing still has the shard.
func judgeParent(parent *Lease, listed bool) gate {
	switch {
	case parent != nil && parent.Ended():
		return gateOpen
	case parent != nil:
		return gateWait
	case listed:
		return gateRestore
	}
	return gateOpen // retention has taken the shard, and its row was cleaned up
}

// started reports whether the gate was passed before: a position other than TRIM_HORIZON is only stored by who passed it, or marks one of the
// application's first shards.
func started(p checkpoint.Position) bool { return p != checkpoint.TrimHorizon }

// StreamError says that a row of the table belongs to another stream than the one that is read: two applications share a table by mistake, or one was
// pointed at another stream. Nothing is written.
type StreamError struct {
	Key    string
	Stored string // the stream that the row names
	Stream string // the one that is read
}

func (e *StreamError) Error() string {
	return fmt.Sprintf("lease %s: belongs to stream %q, not to %q", e.Key, e.Stored, e.Stream)
}
