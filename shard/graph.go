package shard

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"sort"
)

// Shard is one shard as a listing of the stream shows it.
type Shard struct {
	ID string
	// Parents has none, one (after a split) or two ids (after a merge). The
	// parents themselves may be gone from the stream.
	Parents []string
	Range   HashRange
	// First is the shard's starting sequence number, decimal.
	First string
	// Last is its ending sequence number; empty while the shard is open.
	Last string
}

// Open reports whether the shard still takes records.
func (s Shard) Open() bool { return s.Last == "" }

// Graph is an immutable view of one stream's shards and their lineage, safe for
// concurrent use. The Parents of the shards it returns are shared: read only.
// Its answers are in a fixed order that depends on the listing alone.
type Graph struct {
	shards   map[string]Shard
	children map[string][]string // sorted; the parent need not be in shards

	// open holds the open shards by hash range, those without a known range
	// last. reach[i] is the furthest End of open[0] … open[i], over the known
	// ones only.
	open  []Shard
	reach []HashKey
}

// NewGraph takes a listing as it is: in any order, with parents that are absent,
// even with lineage that runs in a circle, which Kinesis never reports but a
// damaged table may. Of two shards with one id the later counts.
func NewGraph(shards []Shard) *Graph {
	g := &Graph{shards: make(map[string]Shard, len(shards)), children: make(map[string][]string)}
	for _, s := range shards {
		s.Parents = slices.Clone(s.Parents)
		g.shards[s.ID] = s
	}
	for _, id := range slices.Sorted(maps.Keys(g.shards)) {
		s := g.shards[id]
		for i, parent := range s.Parents {
			if !slices.Contains(s.Parents[:i], parent) {
				g.children[parent] = append(g.children[parent], id)
			}
		}
		if s.Open() {
			g.open = append(g.open, s)
		}
	}
	slices.SortFunc(g.open, byRange)
	for _, s := range g.open {
		if !s.Range.Known() {
			break
		}
		end := s.Range.End
		if n := len(g.reach); n > 0 && g.reach[n-1].Compare(end) > 0 {
			end = g.reach[n-1]
		}
		g.reach = append(g.reach, end)
	}
	return g
}

// byRange orders by range, then id; unknown ranges come last.
func byRange(a, b Shard) int {
	if a.Range.Known() != b.Range.Known() {
		if a.Range.Known() {
			return -1
		}
		return 1
	}
	return cmp.Or(a.Range.Start.Compare(b.Range.Start), cmp.Compare(a.ID, b.ID))
}

// Shard returns the shard with this id, and whether the listing had it.
func (g *Graph) Shard(id string) (Shard, bool) {
	s, ok := g.shards[id]
	return s, ok
}

// Children returns the shards that name id as a parent, by id. It knows them
// also when id itself has aged out of the listing.
func (g *Graph) Children(id string) []Shard {
	ids := g.children[id]
	if len(ids) == 0 {
		return nil
	}
	children := make([]Shard, len(ids))
	for i, child := range ids {
		children[i] = g.shards[child]
	}
	return children
}

// Ancestors yields the parents of id, then their parents, and so on, as far as
// the listing has them: nearest first, by id among equally near ones, each once,
// never id itself.
func (g *Graph) Ancestors(id string) iter.Seq[Shard] {
	return g.walk(id, func(id string) []string { return g.shards[id].Parents })
}

// Descendants yields the children of id, then theirs, and so on: nearest first,
// by id among equally near ones, each once, never id itself. The child of a
// merge is as near as its nearer parent, so it may come before the other one.
func (g *Graph) Descendants(id string) iter.Seq[Shard] {
	return g.walk(id, func(id string) []string { return g.children[id] })
}

// walk yields what can be reached from id, level by level. What was seen is not
// entered again: that is what ends it in a circle, and what keeps a shard that
// two ways lead to (split, then merge again) from coming twice.
func (g *Graph) walk(id string, step func(id string) []string) iter.Seq[Shard] {
	return func(yield func(Shard) bool) {
		seen := map[string]bool{id: true}
		for level := []string{id}; len(level) > 0; {
			var further []string
			for _, from := range level {
				for _, to := range step(from) {
					if _, listed := g.shards[to]; listed && !seen[to] {
						seen[to] = true
						further = append(further, to)
					}
				}
			}
			slices.Sort(further)
			for _, to := range further {
				if !yield(g.shards[to]) {
					return
				}
			}
			level = further
		}
	}
}

// Open returns the open shards by hash range, then id; those whose range is not
// known come last.
func (g *Graph) Open() []Shard { return slices.Clone(g.open) }

// Owner returns the open shard that takes k, by binary search; false where the
// listing has a hole. Where open shards overlap, which a complete listing never
// shows, it is the one that starts last, of those the one with the highest id:
// after a split that is the child.
func (g *Graph) Owner(k HashKey) (Shard, bool) {
	// The last shard that starts at or before k, then back only as long as some
	// earlier one still reaches k: without overlaps that is one step.
	at := sort.Search(len(g.reach), func(i int) bool { return g.open[i].Range.Start.Compare(k) > 0 })
	for at--; at >= 0 && g.reach[at].Compare(k) >= 0; at-- {
		if g.open[at].Range.Contains(k) {
			return g.open[at], true
		}
	}
	return Shard{}, false
}
