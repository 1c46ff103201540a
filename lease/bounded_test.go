package lease

import (
	"slices"
	"testing"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
)

func TestWhatIsReadUpToTheEndCarriesNoWeight(t *testing.T) {
	t.Parallel()
	end := time.UnixMilli(1_700_000_000_000)
	row := func(key string, p checkpoint.Position, readTo time.Time, parents ...string) Lease {
		return Lease{Key: key, Checkpoint: checkpoint.Checkpoint{Position: p}, ReadTo: readTo, Parents: parents}
	}
	rows := []Lease{
		row("a", pos(1), end),
		row("b", pos(1), end.Add(time.Hour)),
		row("c", pos(1), end.Add(-time.Millisecond)),
		row("d", pos(1), time.Time{}),
		row("e", checkpoint.ShardEnd, end),
		row("f", checkpoint.TrimHorizon, time.Time{}, "a", "e"), // waits for a, which is read
		row("g", checkpoint.TrimHorizon, time.Time{}, "f", "x"), // waits for f, which waits for a
		row("h", checkpoint.TrimHorizon, time.Time{}, "e"),
		row("i", checkpoint.TrimHorizon, time.Time{}, "d"),
		row("j", pos(9), time.Time{}, "a"), // was begun, whatever its parent's row says
		row("k", checkpoint.TrimHorizon, time.Time{}, "k"),
	}
	keys := func(rows []Lease) (keys []string) {
		for _, r := range rows {
			keys = append(keys, r.Key)
		}
		return keys
	}
	if got, want := keys(readUpTo(rows, end)), []string{"c", "d", "e", "h", "i", "j", "k"}; !slices.Equal(got, want) {
		t.Errorf("left %v, want %v", got, want)
	}
	if got := readUpTo(rows, time.Time{}); len(got) != len(rows) {
		t.Errorf("without an end %v are left", keys(got))
	}
}

func TestAllIsReadOnlyIfEveryRowSaysSoAndNoneIsMissing(t *testing.T) {
	t.Parallel()
	end := time.UnixMilli(1_700_000_000_000)
	g := graphOf([]string{"a!"}, []string{"b", "a"}, []string{"c", "a"})
	done := func(key string) Lease {
		return Lease{Key: key, Checkpoint: checkpoint.Checkpoint{Position: pos(1)}, ReadTo: end}
	}
	finished := Lease{Key: "a", Checkpoint: checkpoint.Checkpoint{Position: checkpoint.ShardEnd}}
	reading := Lease{Key: "c", Checkpoint: checkpoint.Checkpoint{Position: pos(1)}}
	for name, c := range map[string]struct {
		rows []Lease
		bad  []*RowError
		want bool
	}{
		"children read":                 {[]Lease{finished, done("b"), done("c")}, nil, true},
		"the parent cleaned up":         {[]Lease{done("b"), done("c")}, nil, true},
		"the parent read":               {[]Lease{done("a")}, nil, true},
		"one child is still read":       {[]Lease{finished, done("b"), reading}, nil, false},
		"one child's row is lost":       {[]Lease{finished, done("b")}, nil, false},
		"a row that cannot be read":     {[]Lease{finished, done("b")}, []*RowError{{Key: "c"}}, false},
		"an empty table":                {nil, nil, false},
		"only the parent, and finished": {[]Lease{finished}, nil, false},
	} {
		if got := allRead(g, c.rows, c.bad, end); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
