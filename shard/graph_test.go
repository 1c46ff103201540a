package shard_test

import (
	"cmp"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/kinesiskit/kinesiskit/shard"
)

func ids(shards []shard.Shard) string {
	var s []string
	for _, one := range shards {
		s = append(s, cmp.Or(one.ID, "nameless"))
	}
	return strings.Join(s, " ")
}

func seq(s iter.Seq[shard.Shard]) string { return ids(slices.Collect(s)) }

// lineage makes shards from "child:parent,parent" and "!" before a closed one;
// they have no ranges.
func lineage(text string) []shard.Shard {
	var shards []shard.Shard
	for one := range strings.FieldsSeq(text) {
		var s shard.Shard
		id, parents, _ := strings.Cut(one, ":")
		if id, s.Last = strings.TrimPrefix(id, "!"), ""; strings.HasPrefix(one, "!") {
			s.Last = "9"
		}
		s.ID = id
		if parents != "" {
			s.Parents = strings.Split(parents, ",")
		}
		shards = append(shards, s)
	}
	return shards
}

func TestLineageIsNearestFirstAndEachOnce(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, shards, id, ancestors, descendants, children string }{
		{"alone", "a", "a", "", "", ""},
		{"split", "!a c:a b:a", "a", "", "b c", "b c"},
		{"child of a split", "!a c:a b:a", "c", "a", "", ""},
		{"child of a merge", "!b !a c:b,a", "c", "a b", "", ""},
		{"diamond from below", "!a !b:a !c:a d:c,b", "d", "b c a", "", ""},
		{"diamond from above", "!a !b:a !c:a d:c,b", "a", "", "b c d", "b c"},
		{"nearest way counts", "!a !b:a !c:a !d:b !e:b f:c,d", "f", "c d a b", "", ""},
		{"three generations", "!a !b:a !c:b d:c", "d", "c b a", "", ""},
		{"parent absent", "b:a", "b", "", "", ""},
		{"asked by the absent parent", "c:a b:a", "a", "", "b c", "b c"},
		{"nobody knows it", "b:a", "x", "", "", ""},
		{"a parent named twice", "!a b:a,a", "a", "", "b", "b"},
		{"its own parent", "a:a", "a", "", "", "a"},
		{"circle of two", "a:b b:a", "a", "b", "b", "b"},
		{"circle of three", "a:c b:a c:b", "a", "c b", "b c", "b"},
		{"circle above", "a:b b:a c:a", "c", "a b", "", ""},
		{"of two with one id the later counts", "b:x b:a !a", "a", "", "b", "b"},
	} {
		shards := lineage(c.shards)
		for range 2 {
			g := shard.NewGraph(shards)
			if got := seq(g.Ancestors(c.id)); got != c.ancestors {
				t.Errorf("%s: ancestors %q, want %q", c.name, got, c.ancestors)
			}
			if got := seq(g.Descendants(c.id)); got != c.descendants {
				t.Errorf("%s: descendants %q, want %q", c.name, got, c.descendants)
			}
			if got := ids(g.Children(c.id)); got != c.children {
				t.Errorf("%s: children %q, want %q", c.name, got, c.children)
			}
			if !strings.Contains(c.name, "later") {
				slices.Reverse(shards)
			}
		}
	}
}

func TestIterationCanStopAnywhere(t *testing.T) {
	t.Parallel()
	g := shard.NewGraph(lineage("!a !b:a !c:a d:b,c"))
	for want := 1; want <= 3; want++ {
		n := 0
		for range g.Descendants("a") {
			if n++; n == want {
				break
			}
		}
		if n != want {
			t.Errorf("stopped after %d, want %d", n, want)
		}
	}
}

func TestGraphIsImmutable(t *testing.T) {
	t.Parallel()
	shards := lineage("!a b:a")
	g := shard.NewGraph(shards)
	shards[1].Parents[0] = "x"
	shards[0].Last = ""
	g.Open()[0].ID = "changed"
	g.Children("a")[0].ID = "changed"
	if a, ok := g.Shard("a"); !ok || a.Open() {
		t.Errorf("a is %+v", a)
	}
	if got := ids(g.Open()) + "/" + ids(g.Children("a")) + "/" + seq(g.Ancestors("b")); got != "b/b/a" {
		t.Errorf("got %s", got)
	}
	if _, ok := g.Shard("x"); ok {
		t.Error("a shard that nobody listed")
	}
	if empty := new(shard.Graph); len(empty.Open())+len(empty.Children("a")) != 0 || seq(empty.Ancestors("a")) != "" {
		t.Error("the zero Graph is not empty")
	}
}

func TestOpenIsByRangeAndUnknownRangesComeLast(t *testing.T) {
	t.Parallel()
	g := shard.NewGraph([]shard.Shard{
		{ID: "unknown-b"},
		{ID: "high", Range: mustRange(t, "100", maxDecimal)},
		{ID: "closed", Range: mustRange(t, "0", "99"), Last: "5"},
		{ID: "unknown-a"},
		{ID: "low", Range: mustRange(t, "0", "99")},
	})
	if got, want := ids(g.Open()), "low high unknown-a unknown-b"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestOwnerWithHolesOverlapsAndUnknownRanges(t *testing.T) {
	t.Parallel()
	g := shard.NewGraph([]shard.Shard{
		{ID: "0-parent", Range: mustRange(t, "0", "99")}, // listed as open beside its children
		{ID: "1-left", Range: mustRange(t, "0", "49")},
		{ID: "2-right", Range: mustRange(t, "50", "60")},
		{ID: "3-high", Range: mustRange(t, "200", "300")},
		{ID: "4-closed", Range: mustRange(t, "0", maxDecimal), Last: "1"},
		{ID: "5-unknown"},
	})
	for key, want := range map[string]string{
		"0": "1-left", "49": "1-left", "50": "2-right", "60": "2-right", "61": "0-parent", "99": "0-parent",
		"100": "", "199": "", "200": "3-high", "300": "3-high", "301": "", maxDecimal: "",
	} {
		s, ok := g.Owner(mustKey(t, key))
		if s.ID != want || ok != (want != "") {
			t.Errorf("%s: got %q, %v, want %q", key, s.ID, ok, want)
		}
	}
	if s, ok := shard.NewGraph(nil).Owner(shard.HashKey{}); ok {
		t.Errorf("of nothing: %v", s)
	}
}

// reshard makes a stream and splits and merges it at random. Its shards come in
// order of creation, parents before children.
func reshard(r *rand.Rand, steps int) []shard.Shard {
	var shards []shard.Shard
	add := func(hr shard.HashRange, parents ...string) {
		for i := range shards {
			if slices.Contains(parents, shards[i].ID) {
				shards[i].Last = "1"
			}
		}
		shards = append(shards, shard.Shard{ID: fmt.Sprintf("shardId-%012d", len(shards)), Range: hr, Parents: parents, First: "1"})
	}
	add(ring())
	for range steps {
		var open []shard.Shard
		for _, s := range shards {
			if s.Open() {
				open = append(open, s)
			}
		}
		slices.SortFunc(open, func(a, b shard.Shard) int { return a.Range.Start.Compare(b.Range.Start) })
		i := r.IntN(len(open))
		if i+1 < len(open) && r.IntN(2) == 0 {
			add(shard.HashRange{Start: open[i].Range.Start, End: open[i+1].Range.End}, open[i].ID, open[i+1].ID)
			continue
		}
		middle := open[i].Range.Middle()
		below := shard.HashKey{Hi: middle.Hi, Lo: middle.Lo - 1}
		if middle.Lo == 0 {
			below.Hi--
		}
		add(shard.HashRange{Start: open[i].Range.Start, End: below}, open[i].ID)
		add(shard.HashRange{Start: middle, End: open[i].Range.End}, open[i].ID)
	}
	return shards
}

func TestGraphOfAnyReshardedStream(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 9))
		shards := reshard(r, r.IntN(40))
		listing := slices.Clone(shards)
		r.Shuffle(len(listing), func(i, j int) { listing[i], listing[j] = listing[j], listing[i] })
		g := shard.NewGraph(listing)

		var open []shard.HashRange
		for _, s := range g.Open() {
			open = append(open, s.Range)
		}
		if holes := shard.Holes(open); holes != nil {
			t.Fatalf("seed %d: holes %v", seed, holes)
		}
		for range 100 {
			k := randomKey(r)
			owner, ok := g.Owner(k)
			if !ok || !owner.Open() || !owner.Range.Contains(k) {
				t.Fatalf("seed %d: owner of %v is %+v", seed, k, owner)
			}
		}
		checkLineage(t, seed, g, shards)
	}
}

// checkLineage compares the graph with distances computed by relaxation, which
// knows nothing of how the graph walks.
func checkLineage(t *testing.T, seed uint64, g *shard.Graph, shards []shard.Shard) {
	t.Helper()
	for _, from := range shards {
		far := map[string]int{from.ID: 0}
		for changed := true; changed; {
			changed = false
			for _, s := range shards {
				d, ok := far[s.ID]
				if !ok {
					continue
				}
				for _, p := range s.Parents {
					if old, known := far[p]; !known || d+1 < old {
						far[p], changed = d+1, true
					}
				}
			}
		}
		ancestors := slices.Collect(g.Ancestors(from.ID))
		if len(ancestors) != len(far)-1 {
			t.Fatalf("seed %d: %s has %d ancestors, want %d", seed, from.ID, len(ancestors), len(far)-1)
		}
		if !slices.IsSortedFunc(ancestors, func(a, b shard.Shard) int {
			if far[a.ID] != far[b.ID] {
				return far[a.ID] - far[b.ID]
			}
			return strings.Compare(a.ID, b.ID)
		}) {
			t.Fatalf("seed %d: ancestors of %s not nearest first: %s", seed, from.ID, ids(ancestors))
		}
		for _, a := range ancestors {
			if !slices.ContainsFunc(slices.Collect(g.Descendants(a.ID)), func(s shard.Shard) bool { return s.ID == from.ID }) {
				t.Fatalf("seed %d: %s is an ancestor of %s but not the other way round", seed, a.ID, from.ID)
			}
		}
	}
}

// FuzzGraph builds graphs of any lineage, circles included: every walk ends, and
// yields each shard at most once.
func FuzzGraph(f *testing.F) {
	f.Add("!a b:a c:a d:b,c")
	f.Add("a:b b:a")
	f.Add("a:a,a :a a:")
	f.Fuzz(func(t *testing.T, text string) {
		shards := lineage(text)
		if len(shards) > 200 {
			return
		}
		g := shard.NewGraph(shards)
		for _, s := range shards {
			for _, walk := range []iter.Seq[shard.Shard]{g.Ancestors(s.ID), g.Descendants(s.ID)} {
				seen := map[string]bool{s.ID: true}
				for other := range walk {
					if _, listed := g.Shard(other.ID); !listed || seen[other.ID] {
						t.Fatalf("%q: %q comes twice or from nowhere", s.ID, other.ID)
					}
					seen[other.ID] = true
				}
			}
		}
	})
}
