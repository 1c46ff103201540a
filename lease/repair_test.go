package lease

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/shard"
)

// workedExample is that of KCL's own tests: 0 and 1 became 6, 2 and 3 became 7, 6 and 7 became 8; 5 became 9 and 10; 4 is as it was.
var workedExample = [][]string{
	{"0!"}, {"1!"}, {"2!"}, {"3!"}, {"4"}, {"5!"}, {"6!", "0", "1"}, {"7!", "2", "3"}, {"8", "6", "7"}, {"9", "5"}, {"a", "5"},
}

func TestRepairsTraceOpenShardsBack(t *testing.T) {
	t.Parallel()
	split := [][]string{{"a!"}, {"b", "a"}, {"c", "a"}, {"d"}}
	for name, c := range map[string]struct {
		shards   [][]string
		rows     []string
		openThen []string
		want     []string
	}{
		"KCL's worked example":                           {workedExample, []string{"4", "5", "7"}, nil, []string{"0", "1"}},
		"the same, begun when 6 was open":                {workedExample, []string{"4", "5", "7"}, []string{"4", "5", "6", "7"}, []string{"6"}},
		"the same, begun when 8 was open":                {workedExample, []string{"4", "9", "a"}, []string{"4", "5", "8"}, []string{"8"}},
		"nothing is missing":                             {split, []string{"a", "d"}, nil, nil},
		"children wait for the parent's end":             {split, []string{"a", "b", "d"}, nil, nil},
		"a child of a finished parent":                   {split, []string{"a!", "b", "d"}, nil, []string{"c"}},
		"both children of a finished parent":             {split, []string{"a!", "d"}, nil, []string{"b", "c"}},
		"a child whose parent was cleaned up":            {split, []string{"b", "d"}, nil, []string{"a"}},
		"the same, open when the application began":      {split, []string{"b", "d"}, []string{"b", "c", "d"}, []string{"c"}},
		"a shard that was always there":                  {split, []string{"a"}, nil, []string{"d"}},
		"no rows at all":                                 {split, nil, nil, []string{"a", "d"}},
		"a parent that the stream has forgotten":         {[][]string{{"b", "a"}, {"c", "a"}}, []string{"b"}, nil, []string{"c"}},
		"the same, its row unfinished":                   {[][]string{{"b", "a"}, {"c", "a"}}, []string{"a"}, nil, nil},
		"the same, its row finished":                     {[][]string{{"b", "a"}, {"c", "a"}}, []string{"a!", "b"}, nil, []string{"c"}},
		"a merge with one parent lost":                   {[][]string{{"a!"}, {"b!"}, {"m", "a", "b"}}, []string{"a"}, nil, []string{"b"}},
		"a merge with one parent lost, the other done":   {[][]string{{"a!"}, {"b!"}, {"m", "a", "b"}}, []string{"a!"}, nil, []string{"b"}},
		"a merge with one parent forgotten, one done":    {[][]string{{"b!"}, {"m", "a", "b"}}, []string{"b!"}, nil, []string{"m"}},
		"elder ones first":                               {[][]string{{"z!"}, {"b", "z"}, {"c", "z"}, {"a!"}, {"x!", "a"}, {"y!", "a"}, {"m", "x", "y"}}, []string{"z!", "b", "x!"}, nil, []string{"a", "c"}},
		"reshard at the instant: both generations count": {split, nil, []string{"a", "b", "c", "d"}, []string{"a", "d"}},
	} {
		g := graphOf(c.shards...)
		var openThen []shard.Shard
		for _, id := range c.openThen {
			s, _ := g.Shard(id)
			openThen = append(openThen, s)
		}
		if len(openThen) > 0 { // ranges do not matter here, but that there is no gap does
			openThen[0].Range = shard.HashRange{End: shard.MaxHashKey}
		}
		if got := idsOf(repairs(g, rowsOf(c.rows...), openThen)); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestAFinishedLeaseStaysWhileSomebodyMayAskForIt(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		l    Lease
		rows []string
		want bool
	}{
		"children begun":          {Lease{Children: []string{"b", "c"}}, []string{"b", "c"}, true},
		"one child finished":      {Lease{Children: []string{"b", "c"}}, []string{"b!", "c"}, true},
		"a child's row lost":      {Lease{Children: []string{"b", "c"}}, []string{"b"}, false},
		"children not known":      {Lease{}, []string{"b", "c"}, false},
		"a parent's row is there": {Lease{Children: []string{"b"}, Parents: []string{"o", "p"}}, []string{"b", "p!"}, false},
		"parents' rows are gone":  {Lease{Children: []string{"b"}, Parents: []string{"o", "p"}}, []string{"b"}, true},
	} {
		l := c.l
		l.Key, l.Checkpoint.Position = "a", checkpoint.ShardEnd
		rows := rowsOf(c.rows...)
		rows["a"] = l
		if got := cleanable(l, rows); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
		if l.Checkpoint.Position = pos(7); cleanable(l, rows) {
			t.Errorf("%s, but it is not finished", name)
		}
	}
	for _, p := range []checkpoint.Position{{}, checkpoint.TrimHorizon, checkpoint.Latest, checkpoint.AtTimestamp} {
		rows := rowsOf("b", "c")
		rows["c"] = Lease{Key: "c", Checkpoint: checkpoint.Checkpoint{Position: p}}
		if cleanable(Lease{Key: "a", Checkpoint: checkpoint.Checkpoint{Position: checkpoint.ShardEnd}, Children: []string{"b", "c"}}, rows) {
			t.Errorf("a child stands at %q", p)
		}
	}
}

// history is a stream that is resharded, and an application that reads it, as far as rows tell.
type history struct {
	rng    *rand.Rand
	shards []shard.Shard // all there ever were
	kept   int           // the eldest of them that the stream still lists
	rows   map[string]Lease
}

func (h *history) graph() *shard.Graph { return shard.NewGraph(h.shards[h.kept:]) }

func (h *history) add(parents []string, r shard.HashRange) {
	h.shards = append(h.shards, shard.Shard{ID: fmt.Sprintf("s%04d", len(h.shards)), Parents: parents, Range: r, First: fmt.Sprint(1000 + len(h.shards))})
}

// reshard splits an open shard, or merges two neighbours.
func (h *history) reshard() {
	open := h.graph().Open()
	i := h.rng.IntN(len(open))
	closing := func(id string) {
		for j := range h.shards {
			if h.shards[j].ID == id {
				h.shards[j].Last = fmt.Sprint(9000 + j)
			}
		}
	}
	closing(open[i].ID)
	if h.rng.IntN(2) == 0 && i+1 < len(open) {
		closing(open[i+1].ID)
		h.add([]string{open[i].ID, open[i+1].ID}, shard.HashRange{Start: open[i].Range.Start, End: open[i+1].Range.End})
		return
	}
	middle := open[i].Range.Middle()
	below := middle
	if below.Lo--; middle.Lo == 0 {
		below.Hi--
	}
	h.add([]string{open[i].ID}, shard.HashRange{Start: open[i].Range.Start, End: below})
	h.add([]string{open[i].ID}, shard.HashRange{Start: middle, End: open[i].Range.End})
}

// read lets the owner of some row do what is next: begin the shard if its gate lets it, finish it if it is closed. It reports whether there was anything.
func (h *history) read(id string) bool {
	l, ok := h.rows[id]
	if !ok || l.Ended() {
		return false
	}
	g := h.graph()
	s, listed := g.Shard(id)
	if !started(l.Checkpoint.Position) {
		for _, p := range l.Parents {
			parent, there := h.rows[p]
			lost, canBeRead := g.Shard(p)
			var row *Lease
			if there {
				row = &parent
			}
			switch judgeParent(row, canBeRead) {
			case gateWait:
				return false
			case gateRestore:
				h.rows[p] = newLease(lost, origin{inherits: hasParent(lost, h.rows)}, time.Unix(1, 0))
				return true
			}
		}
		l.Checkpoint.Position = pos(1)
		h.rows[id] = l
		return true
	}
	children := g.Children(id)
	if listed && s.Open() || len(children) == 0 {
		return false
	}
	l.Children = nil
	for _, c := range children {
		l.Children = append(l.Children, c.ID)
		if _, there := h.rows[c.ID]; !there {
			h.rows[c.ID] = newLease(c, origin{inherits: true}, time.Unix(1, 0))
		}
	}
	l.Checkpoint.Position = checkpoint.ShardEnd
	h.rows[id] = l
	return true
}

func (h *history) step() {
	ids := slices.Sorted(maps.Keys(h.rows))
	switch h.rng.IntN(8) {
	case 0:
		h.reshard()
	case 1: // retention takes the eldest, once it is closed and was finished
		if s := h.shards[h.kept]; !s.Open() && (h.rows[s.ID].Key == "" || h.rows[s.ID].Ended()) {
			h.kept++
		}
	case 2:
		if id := ids[h.rng.IntN(len(ids))]; cleanable(h.rows[id], h.rows) {
			delete(h.rows, id)
		}
	default:
		h.read(ids[h.rng.IntN(len(ids))])
	}
}

// settle reads on until there is nothing left to do.
func (h *history) settle() {
	for again := true; again; {
		again = false
		for _, id := range slices.Sorted(maps.Keys(h.rows)) {
			again = h.read(id) || again
		}
	}
}

func (h *history) String() string {
	s := ""
	for i, x := range h.shards {
		s += fmt.Sprintf("\n%s parents %v open %v listed %v row %v", x.ID, x.Parents, x.Open(), i >= h.kept, h.rows[x.ID].Checkpoint.Position)
	}
	return s
}

// Random lineages: as long as nothing is lost there is nothing to repair, however far the application has come; and whatever rows are lost, repairs lead to
// every open shard again.
func TestRandomLineagesAreFollowedAndRepaired(t *testing.T) {
	t.Parallel()
	lost := 0
	for seed := range uint64(120) {
		h := &history{rng: rand.New(rand.NewPCG(seed, 1)), rows: make(map[string]Lease)}
		h.add(nil, shard.HashRange{End: shard.MaxHashKey})
		for range h.rng.IntN(6) {
			h.reshard()
		}
		for _, s := range firstShards(h.graph(), nil) {
			h.rows[s.ID] = newLease(s, origin{}, time.Unix(1, 0))
		}
		for range 60 {
			h.step()
			if got := repairs(h.graph(), h.rows, nil); len(got) > 0 {
				t.Fatalf("seed %d: repairs %v of a table that lacks nothing:%v", seed, idsOf(got), h)
			}
		}
		for _, id := range slices.Sorted(maps.Keys(h.rows)) {
			if h.rng.IntN(3) == 0 {
				delete(h.rows, id)
				lost++
			}
		}
		for range 10 {
			h.settle()
			g := h.graph()
			create := repairs(g, h.rows, nil)
			if len(create) == 0 {
				break
			}
			for _, s := range create {
				h.rows[s.ID] = newLease(s, origin{inherits: hasParent(s, h.rows)}, time.Unix(1, 0))
			}
		}
		for _, s := range h.graph().Open() {
			if l, there := h.rows[s.ID]; !there || !started(l.Checkpoint.Position) {
				t.Fatalf("seed %d: open shard %s is not read, row %+v:%v", seed, s.ID, l, h)
			}
		}
	}
	if lost < 150 {
		t.Errorf("%d rows were lost", lost)
	}
}

func TestIdentityIsTheStartingNumberOrWhateverARowOfJavaSays(t *testing.T) {
	t.Parallel()
	lower, upper := shard.HashRange{End: shard.HashKey{Hi: 1}}, shard.HashRange{Start: shard.HashKey{Hi: 2}, End: shard.MaxHashKey}
	s := shard.Shard{ID: "s", First: "100", Range: lower, Parents: []string{"a", "b"}}
	closed := s
	closed.Last = "900"
	number := func(sequence string, sub int64) checkpoint.Checkpoint {
		p, err := checkpoint.At(sequence, sub)
		if err != nil {
			t.Fatal(err)
		}
		return checkpoint.Checkpoint{Position: p}
	}
	end := checkpoint.Checkpoint{Position: checkpoint.ShardEnd}
	for name, c := range map[string]struct {
		row  Lease
		of   shard.Shard
		same bool
	}{
		"ours, the same":                   {Lease{First: "100", Checkpoint: end}, s, true},
		"ours, another":                    {Lease{First: "99"}, s, false},
		"ours, at the listing's mercy":     {Lease{First: "100"}, shard.Shard{ID: "s"}, true},
		"Java's, a number of it":           {Lease{Checkpoint: number("101", 0)}, s, true},
		"Java's, before its first record":  {Lease{Checkpoint: number("100", -1)}, s, true},
		"Java's, a number before it":       {Lease{Checkpoint: number("99", 7)}, s, false},
		"Java's, not started":              {Lease{Checkpoint: checkpoint.Checkpoint{Position: checkpoint.TrimHorizon}}, s, true},
		"Java's, finished and closed":      {Lease{Checkpoint: end}, closed, true},
		"Java's, finished and open":        {Lease{Checkpoint: end}, s, false},
		"Java's, hash keys and parents":    {Lease{HashRange: lower, Parents: []string{"b", "a"}}, s, true},
		"Java's, other hash keys":          {Lease{HashRange: upper}, s, false},
		"Java's, other parents":            {Lease{Parents: []string{"a"}}, s, false},
		"Java's, parents out of retention": {Lease{Parents: []string{"a"}}, shard.Shard{ID: "s", First: "100"}, true},
		"Java's, without a position":       {Lease{}, s, true},
	} {
		c.row.Key = "s"
		err := c.row.Identify(c.of)
		var identity *IdentityError
		if c.same != (err == nil) || !c.same && (!errors.As(err, &identity) || identity.Key != "s" || identity.Stored == "" || identity.Found == "") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
