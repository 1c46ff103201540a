package lease

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/shard"
)

// graphOf lists shards: "a" is open, "a!" closed, and the rest of an element are its parents.
func graphOf(elements ...[]string) *shard.Graph {
	var shards []shard.Shard
	for _, e := range elements {
		s := shard.Shard{ID: e[0], First: "1", Parents: e[1:]}
		if id := e[0]; id[len(id)-1] == '!' {
			s.ID, s.Last = id[:len(id)-1], "9"
		}
		shards = append(shards, s)
	}
	return shard.NewGraph(shards)
}

func TestUnseededCreatesRootsAndNothingThatWasRead(t *testing.T) {
	t.Parallel()
	split := [][]string{{"a!"}, {"b", "a"}, {"c", "a"}, {"d"}}
	deep := [][]string{{"a!"}, {"b!", "a"}, {"c!", "a"}, {"m!", "b", "c"}, {"x", "m"}, {"y", "m"}}
	for name, c := range map[string]struct {
		shards [][]string
		rows   []string
		want   []string
	}{
		"a stream that was never resharded":                  {[][]string{{"a"}, {"b"}}, nil, []string{"a", "b"}},
		"the oldest, not their children":                     {split, nil, []string{"a", "d"}},
		"only what is missing":                               {split, []string{"a"}, []string{"d"}},
		"a parent that is gone from the stream":              {[][]string{{"b", "a"}, {"c", "a"}}, nil, []string{"b", "c"}},
		"one parent of a merge is gone":                      {[][]string{{"b!"}, {"m", "a", "b"}}, nil, []string{"b"}},
		"finished and cleaned up: a child has a row":         {split, []string{"b", "d"}, nil},
		"finished and cleaned up: a grandchild has a row":    {deep, []string{"y"}, nil},
		"nothing of a deep lineage has a row":                {deep, nil, []string{"a"}},
		"sibling roots are judged by themselves":             {[][]string{{"a!"}, {"b", "a"}, {"d!"}, {"e", "d"}}, []string{"b"}, []string{"d"}},
		"rows of all":                                        {split, []string{"a", "b", "c", "d"}, nil},
		"a closed shard without children is not listed open": {[][]string{{"a!"}, {"d"}}, nil, []string{"d"}},
	} {
		g := graphOf(c.shards...)
		if got := idsOf(unseeded(g, firstShards(g, nil), rowsOf(c.rows...))); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v; want %v", name, got, c.want)
		}
	}
}

// rowsOf has a row that is being read for each id, and a finished one for each id with an exclamation mark.
func rowsOf(ids ...string) map[string]Lease {
	rows := make(map[string]Lease)
	for _, id := range ids {
		l := Lease{Key: id, Checkpoint: checkpoint.Checkpoint{Position: pos(1)}}
		if strings.HasSuffix(id, "!") {
			l.Key, l.Checkpoint.Position = id[:len(id)-1], checkpoint.ShardEnd
		}
		rows[l.Key] = l
	}
	return rows
}

func idsOf(shards []shard.Shard) (ids []string) {
	for _, s := range shards {
		ids = append(ids, s.ID)
	}
	return ids
}

func TestParentIsJudgedByRowAndListing(t *testing.T) {
	t.Parallel()
	ended, running := row("p", "", 1), row("p", "", 1)
	ended.Checkpoint.Position = checkpoint.ShardEnd
	for name, c := range map[string]struct {
		parent *Lease
		listed bool
		want   gate
	}{
		"finished":                     {&ended, true, gateOpen},
		"finished, gone from the list": {&ended, false, gateOpen},
		"running":                      {&running, true, gateWait},
		"running, gone from the list":  {&running, false, gateWait},
		"no row, still listed":         {nil, true, gateRestore},
		"no row, gone from the list":   {nil, false, gateOpen},
	} {
		if got := judgeParent(c.parent, c.listed); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestNewRowStartsAboveItsPredecessor(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 2, 3, 4, 5, 6e6, time.UTC)
	l := newLease(shard.Shard{ID: "s", Parents: []string{"a", "b"}}, origin{stream: "stream"}, now)
	if l.Counter != now.UnixMilli() || l.Owner != "" || l.Stream != "stream" || l.Checkpoint.Position != checkpoint.TrimHorizon || !slices.Equal(l.Parents, []string{"a", "b"}) {
		t.Errorf("%+v", l)
	}
	if started(l.Checkpoint.Position) {
		t.Error("a new row counts as started: its gate is open")
	}
	for _, p := range []checkpoint.Position{checkpoint.Latest, checkpoint.AtTimestamp} {
		if started(p) {
			t.Errorf("%v counts as started", p)
		}
	}
	for _, p := range []checkpoint.Position{pos(1), checkpoint.ShardEnd} {
		if !started(p) {
			t.Errorf("%v does not count as started", p)
		}
	}
}
