package lease

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/shard"
)

// firstShards returns the shards that an application begins with which has no rows, by id: of one that begins with the oldest records those whose
// parents the stream no longer knows, of one that begins at an instant those that were open then. openThen has the latter if they are known.
func firstShards(g *shard.Graph, openThen []shard.Shard) []shard.Shard {
	var first []shard.Shard
	if covers(openThen) {
		in := make(map[string]Lease, len(openThen))
		for _, s := range openThen {
			in[s.ID] = Lease{}
		}
		for _, s := range openThen {
			// At the very instant of a reshard both generations count as open. The elder one leads to the younger.
			if !hasAncestor(g, s.ID, in) {
				first = append(first, s)
			}
		}
	} else { // an instant before the stream's own beginning, too
		for _, s := range listed(g) {
			if !slices.ContainsFunc(s.Parents, func(id string) bool { _, listed := g.Shard(id); return listed }) {
				first = append(first, s)
			}
		}
	}
	slices.SortFunc(first, func(a, b shard.Shard) int { return strings.Compare(a.ID, b.ID) })
	return first
}

func covers(shards []shard.Shard) bool {
	var ranges []shard.HashRange
	for _, s := range shards {
		ranges = append(ranges, s.Range)
	}
	return len(shards) > 0 && len(shard.Holes(ranges)) == 0
}

// hasAncestor reports whether a shard that id came from is among rows, parents that the listing knows by name only included.
func hasAncestor(g *shard.Graph, id string, rows map[string]Lease) bool {
	self, _ := g.Shard(id)
	if hasParent(self, rows) {
		return true
	}
	for a := range g.Ancestors(id) {
		if hasParent(a, rows) {
			return true
		}
	}
	return false
}

func hasParent(s shard.Shard, rows map[string]Lease) bool {
	return slices.ContainsFunc(s.Parents, func(id string) bool { _, there := rows[id]; return there })
}

// unseeded returns those of the first shards that need a row before anything can be read. Every other row is made when a parent ends, and waits for it.
//
// A shard without a row whose descendant has one was read by this application, and its row was cleaned up after it was finished: to create it again would
// replay it.
func unseeded(g *shard.Graph, first []shard.Shard, rows map[string]Lease) []shard.Shard {
	var missing []shard.Shard
	for _, s := range first {
		if _, there := rows[s.ID]; !there && !hasDescendant(g, s.ID, rows) {
			missing = append(missing, s)
		}
	}
	return missing
}

func hasDescendant(g *shard.Graph, id string, rows map[string]Lease) bool {
	for d := range g.Descendants(id) {
		if _, there := rows[d.ID]; there {
			return true
		}
	}
	return false
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

// started reports whether the gate was passed before: any other position is only stored by who passed it.
func started(p checkpoint.Position) bool { return p != checkpoint.TrimHorizon && !symbolic(p) }

// symbolic reports whether p stands for an instant.
func symbolic(p checkpoint.Position) bool {
	return p == checkpoint.Latest || p == checkpoint.AtTimestamp
}

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
