package lease

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"go.uber.org/zap"
)

func TestOnlyWhatMovesProvesAFleetOfKCL3(t *testing.T) {
	t.Parallel()
	leader := func(beat string) Sign { return Sign{Place: "t/Leader", Owner: "j1", Beat: beat, Leads: true} }
	worker := func(beat string) Sign { return Sign{Place: "t/j2", Owner: "j2", Beat: beat} }
	hand := func(beat string) Sign { return Sign{Place: "t/shard", Owner: "j3", Beat: beat, Leads: true} }
	mode := func(cv string) Sign { return Sign{Place: "t/Migration3.0", Mode: "CLIENT_VERSION_" + cv} }
	for name, c := range map[string]struct {
		before, now []Sign
		want        []string
	}{
		"nothing":                         {nil, nil, nil},
		"all stands":                      {[]Sign{mode("3X"), leader("1"), worker("1")}, []Sign{mode("3X"), leader("1"), worker("1")}, nil},
		"the leader":                      {[]Sign{mode("3X"), leader("1"), worker("1")}, []Sign{mode("3X"), leader("2"), worker("1")}, []string{"j1"}},
		"a worker":                        {[]Sign{mode("3X"), worker("1")}, []Sign{mode("3X"), worker("2")}, []string{"j2"}},
		"both":                            {[]Sign{mode("3X"), leader("1"), worker("1")}, []Sign{leader("2"), worker("2"), mode("3X")}, []string{"j1", "j2"}},
		"a number that falls":             {[]Sign{mode("3X"), worker("5")}, []Sign{mode("3X"), worker("4")}, []string{"j2"}},
		"a hand-off comes":                {nil, []Sign{hand("a to b")}, []string{"j3"}},
		"a hand-off stands":               {[]Sign{hand("a to b")}, []Sign{hand("a to b")}, nil},
		"a hand-off goes":                 {[]Sign{hand("a to b")}, nil, nil},
		"a leader comes":                  {[]Sign{mode("3X")}, []Sign{mode("3X"), leader("1")}, []string{"j1"}},
		"a leader goes":                   {[]Sign{mode("3X"), leader("1")}, []Sign{mode("3X")}, nil},
		"may be rolled back":              {[]Sign{worker("1")}, []Sign{mode("3X_WITH_ROLLBACK"), worker("2")}, []string{"j2"}},
		"an upgrade, still 2.x":           {[]Sign{mode("UPGRADE_FROM_2X"), worker("1")}, []Sign{mode("UPGRADE_FROM_2X"), worker("2")}, nil},
		"rolled back":                     {[]Sign{mode("2X"), leader("1"), worker("1")}, []Sign{mode("2X"), leader("2"), worker("2")}, nil},
		"a worker of a fleet without row": {[]Sign{worker("1")}, []Sign{worker("2")}, nil},
		"a leader of a fleet without row": {[]Sign{leader("1")}, []Sign{leader("2")}, []string{"j1"}},
		"what never moves":                {[]Sign{mode("3X")}, []Sign{mode("3X"), {Place: "t-WorkerMetricStats"}}, nil},
	} {
		if got := moving(c.before, c.now); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// What is not there for a while, as when it may not be read, has not come anew.
func TestASignThatComesBackAsItWasProvesNothing(t *testing.T) {
	t.Parallel()
	mode, worker := Sign{Place: "t/Migration3.0", Mode: "CLIENT_VERSION_3X"}, Sign{Place: "m/j", Owner: "j", Beat: "1"}
	seen := newest([]Sign{mode, worker}, []Sign{mode})
	seen = newest(seen, []Sign{mode})
	if got := moving(seen, []Sign{mode, worker}); len(got) > 0 {
		t.Errorf("%q lives", got)
	}
	worker.Beat = "2"
	if got := moving(seen, []Sign{mode, worker}); len(got) != 1 {
		t.Error("what moved meanwhile is not noticed")
	}
}

// KCL elects whoever owns leases to compare the table with the stream: if that is one of ours, nobody else does it.
func TestEveryWorkerMendsTheTableBesideWorkersOfKCL(t *testing.T) {
	t.Parallel()
	c := &Coordinator{owner: "me", log: zap.NewNop()}
	c.succession.seen.owners = map[string]time.Duration{"me": 0}
	for i := range 9 {
		c.succession.seen.owners[fmt.Sprint("java", i)] = 0
	}
	if c.rank() == 0 {
		t.Fatal("this proves nothing")
	}
	c.meet(map[string]bool{"java0": true})
	if n := c.rank(); n != 0 {
		t.Errorf("%d come before", n)
	}
	c.meet(nil)
	if c.rank() == 0 {
		t.Error("without workers of KCL one of many does it")
	}
}
