package lease

import (
	"cmp"
	"slices"

	"github.com/kinesiskit/kinesiskit/shard"
)

// indexed has rows by key. Those that could not be read are among them, as leases that say nothing: their shards are somebody's.
func indexed(rows []Lease, bad []*RowError) map[string]Lease {
	byKey := make(map[string]Lease, len(rows)+len(bad))
	for _, r := range rows {
		byKey[r.Key] = r
	}
	for _, r := range bad {
		byKey[r.Key] = Lease{Key: r.Key}
	}
	return byKey
}

// repairs returns the shards that need a row because nothing leads to an open one any more, elder ones first. A row that is not finished leads to all that
// comes of its shard, since whoever finishes it makes the next ones. An open shard without a row is traced back from there:
//
//   - Where all its parents are finished it lacks its row by mistake, and gets it.
//   - Where a parent has no row either, that one is traced back in the same way. What was read of it before, and cleaned up since, is read again:
//     nobody can tell it from what was never read.
//   - The trace ends at a shard whose parents the stream has forgotten, or at one of those that the application began with: shards that were open at
//     its instant, which openThen has, and that no row leads to.
func repairs(g *shard.Graph, rows map[string]Lease, openThen []shard.Shard) []shard.Shard {
	t := trace{g: g, rows: rows, first: make(map[string]bool), seen: make(map[string]bool)}
	for _, s := range firstShards(g, openThen) {
		t.first[s.ID] = true
	}
	for _, s := range g.Open() {
		t.back(s)
	}
	slices.SortFunc(t.create, func(a, b step) int { return cmp.Or(a.depth-b.depth, cmp.Compare(a.shard.ID, b.shard.ID)) })
	create := make([]shard.Shard, len(t.create))
	for i, s := range t.create {
		create[i] = s.shard
	}
	return create
}

type trace struct {
	g      *shard.Graph
	rows   map[string]Lease
	first  map[string]bool
	seen   map[string]bool
	create []step
}

type step struct {
	shard shard.Shard
	depth int // more for what comes later
}

// back decides about one shard that something has to lead to.
func (t *trace) back(s shard.Shard) {
	if _, there := t.rows[s.ID]; there || t.seen[s.ID] {
		return
	}
	t.seen[s.ID] = true // also what ends it where lineage runs in a circle
	if t.first[s.ID] && !hasAncestor(t.g, s.ID, t.rows) {
		t.add(s)
		return
	}
	lost := true // whoever finished the parents did not leave the row, or it was deleted
	for _, id := range s.Parents {
		row, there := t.rows[id]
		parent, listed := t.g.Shard(id)
		switch {
		case there:
			lost = lost && row.Ended()
		case listed:
			lost = false
			t.back(parent)
		}
	}
	if lost {
		t.add(s)
	}
}

func (t *trace) add(s shard.Shard) {
	depth := 0
	for range t.g.Ancestors(s.ID) {
		depth++
	}
	t.create = append(t.create, step{s, depth})
}

// cleanable reports whether a finished lease has nothing left to say: all that continues its shard has rows, and was begun, so that nobody asks for
// it any more; and no row is left of what it came from, so that rows go in the order of their shards.
func cleanable(l Lease, rows map[string]Lease) bool {
	if !l.Ended() || len(l.Children) == 0 {
		return false
	}
	for _, id := range l.Children {
		if child, there := rows[id]; !there || !begun(child) {
			return false
		}
	}
	return !slices.ContainsFunc(l.Parents, func(id string) bool { _, there := rows[id]; return there })
}

// begun reports whether a shard's gate was passed for good.
func begun(l Lease) bool {
	return l.Checkpoint.Position.Sequence() != "" && started(l.Checkpoint.Position)
}
