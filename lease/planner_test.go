package lease

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
)

func row(key, owner string, counter int64) Lease {
	return Lease{Key: key, Owner: owner, Counter: counter, Checkpoint: checkpoint.Checkpoint{Position: pos(1)}}
}

func freeRows(n int) []Lease {
	rows := make([]Lease, n)
	for i := range rows {
		rows[i] = row(fmt.Sprintf("s%03d", i), "", 1)
	}
	return rows
}

// lookAt is a look whose read took no time.
func (o *observer) lookAt(now time.Duration, rows ...Lease) {
	o.look(rows, at(now), at(now), testFailover)
}

func (o *observer) isFree(key string) bool { return o.seen[key].isFree }

func viewOf(me string, rows []Lease, held ...string) view {
	var o observer
	o.lookAt(0, rows...)
	v := view{me: me, rows: rows, seen: o.seen, held: map[string]bool{}, overdue: testFailover}
	for _, k := range held {
		v.held[k] = true
	}
	return v
}

func keysOf(rows []Lease) []string {
	var keys []string
	for _, r := range rows {
		keys = append(keys, r.Key)
	}
	return keys
}

func TestObserverWaitsForFailoverTimeOfAStandingCounter(t *testing.T) {
	t.Parallel()
	l := row("s", "you", 7)
	moved := row("s", "you", 8)
	short, long := row("s", "you", 7), row("s", "you", 7)
	short.FailoverTime, long.FailoverTime = testFailover/2, 2*testFailover
	for name, c := range map[string]struct {
		looks func(*observer)
		want  bool
	}{
		"just before":            {func(o *observer) { o.lookAt(0, l); o.lookAt(testFailover-1, l) }, false},
		"exactly":                {func(o *observer) { o.lookAt(0, l); o.lookAt(testFailover, l) }, true},
		"many looks":             {func(o *observer) { o.lookAt(0, l); o.lookAt(testFailover/2, l); o.lookAt(testFailover, l) }, true},
		"the counter moved":      {func(o *observer) { o.lookAt(0, l); o.lookAt(1, moved); o.lookAt(testFailover, moved) }, false},
		"the counter moved back": {func(o *observer) { o.lookAt(0, l); o.lookAt(1, moved); o.lookAt(testFailover, l) }, false},
		"another owner":          {func(o *observer) { o.lookAt(0, row("s", "x", 7)); o.lookAt(testFailover, l) }, false},
		"owner's time is longer": {func(o *observer) { o.lookAt(0, long); o.lookAt(2*testFailover-1, long) }, false},
		"owner's longer is over": {func(o *observer) { o.lookAt(0, long); o.lookAt(2*testFailover, long) }, true},
		"owner's is shorter":     {func(o *observer) { o.lookAt(0, short); o.lookAt(testFailover-1, short) }, false},
		"nobody owns it":         {func(o *observer) { o.lookAt(0, row("s", "", 7)) }, true},
		"the row went and came":  {func(o *observer) { o.lookAt(0, l); o.lookAt(1); o.lookAt(testFailover, l) }, false},
		"the first read was slow": {func(o *observer) {
			o.look([]Lease{l}, at(0), at(testFailover/2), testFailover)
			o.lookAt(testFailover, l)
		}, false},
		"the last read was slow": {func(o *observer) {
			o.lookAt(0, l)
			o.look([]Lease{l}, at(testFailover-1), at(2*testFailover), testFailover)
		}, false},
		"only the wall clock advanced": {func(o *observer) {
			o.lookAt(0, l)
			o.look([]Lease{l}, skewed(1, time.Hour), skewed(1, time.Hour), testFailover)
		}, false},
		"the wall clock was set back": {func(o *observer) {
			o.lookAt(0, l)
			o.look([]Lease{l}, skewed(testFailover, -time.Hour), skewed(testFailover, -time.Hour), testFailover)
		}, true},
	} {
		var o observer
		c.looks(&o)
		if o.isFree("s") != c.want {
			t.Errorf("%s: free %v, want %v", name, o.isFree("s"), c.want)
		}
	}
}

func TestNextExpiryIsThatOfTheFirstLiveLease(t *testing.T) {
	t.Parallel()
	ended := row("a", "you", 1)
	ended.Checkpoint.Position = checkpoint.ShardEnd
	early, late := row("b", "you", 1), row("c", "you", 1)
	var o observer
	o.lookAt(0, ended, early, row("d", "", 1))
	rows := []Lease{ended, early, late, row("d", "", 1)}
	o.lookAt(time.Second, rows...)
	if got, ok := o.nextExpiry(rows, testFailover); !ok || got != testFailover {
		t.Errorf("%v, %v; want %v", got, ok, testFailover)
	}
	if _, ok := o.nextExpiry([]Lease{ended, row("d", "", 1)}, testFailover); ok {
		t.Error("what is finished or free expires")
	}
}

func TestPlanSharesEqually(t *testing.T) {
	t.Parallel()
	rows := freeRows(10)
	for i := range 4 {
		rows[i].Owner = "you"
	}
	rows[4].Owner, rows[5].Owner = "me", "me"
	p := makePlan(viewOf("me", rows, "s004", "s005"))
	if p.workers != 2 || p.active != 10 || p.wanted != 3 || p.unowned != 4 || p.expired != 0 {
		t.Errorf("%+v: want a share of 5, 3 of it missing", p)
	}
	if len(p.take) != 2 {
		t.Errorf("takes %v: want as many as it holds", keysOf(p.take))
	}
}

func TestPlanTakesInBites(t *testing.T) {
	t.Parallel()
	rows := freeRows(100)
	if p := makePlan(viewOf("me", rows)); len(p.take) != 1 || p.wanted != 100 {
		t.Errorf("the first round takes %d of %d, want 1", len(p.take), p.wanted)
	}
	var held []string
	for i := range 10 {
		rows[i].Owner = "me"
		held = append(held, rows[i].Key)
	}
	if p := makePlan(viewOf("me", rows, held...)); len(p.take) != 10 {
		t.Errorf("with 10 held a round takes %d, want 10", len(p.take))
	}
}

func TestPlanTakesOverdueLeasesWhateverTheSharesSay(t *testing.T) {
	t.Parallel()
	rows := freeRows(3)
	rows[0].Owner, rows[1].Owner = "me", "you"
	v := viewOf("me", rows, "s000")
	v.held["s000"] = true
	rows = append(rows, row("s003", "me", 1))
	v = viewOf("me", rows, "s000", "s003")
	if p := makePlan(v); p.wanted != 0 || len(p.take) != 0 {
		t.Fatalf("%+v: has its share", p)
	}
	v.now = testFailover
	if p := makePlan(v); len(p.take) != 0 {
		t.Errorf("takes %v at FailoverTime: not yet", keysOf(p.take))
	}
	v.now = testFailover + 1
	if p := makePlan(v); !slices.Equal(keysOf(p.take), []string{"s002"}) {
		t.Errorf("takes %v: want what nobody has taken for FailoverTime", keysOf(p.take))
	}
	v.max = 2
	if p := makePlan(v); len(p.take) != 0 {
		t.Errorf("takes %v beyond MaxLeases", keysOf(p.take))
	}
}

func TestPlanStaysWithinMaxLeases(t *testing.T) {
	t.Parallel()
	rows := freeRows(10)
	rows[0].Owner, rows[1].Owner = "me", "me"
	v := viewOf("me", rows, "s000", "s001")
	v.max = 3
	if p := makePlan(v); len(p.take) != 1 || p.wanted != 1 {
		t.Errorf("%+v: want one more", p)
	}
	v.max = 2
	if p := makePlan(v); len(p.take) != 0 || p.wanted != 0 {
		t.Errorf("%+v: want no more", p)
	}
}

func TestPlanGivesFinishedAndBlockedLeasesNoWeight(t *testing.T) {
	t.Parallel()
	parent := row("p", "you", 1)
	ended := row("e", "", 1)
	ended.Checkpoint.Position = checkpoint.ShardEnd
	child := func(key string, at checkpoint.Position, parents ...string) Lease {
		l := row(key, "", 1)
		l.Checkpoint.Position, l.Parents = at, parents
		return l
	}
	rows := []Lease{
		child("c1", checkpoint.TrimHorizon, "p"),
		child("c2", checkpoint.TrimHorizon, "e"),
		child("c3", checkpoint.TrimHorizon, "e", "p"),
		child("c4", pos(1), "p"),
		child("c5", checkpoint.TrimHorizon, "gone"),
		ended, parent,
	}
	p := makePlan(viewOf("me", rows))
	if p.active != 4 || p.unowned != 3 {
		t.Errorf("%+v: want c2, c4, c5 to be takeable and p to count", p)
	}
	var got []string
	for range 3 {
		p = makePlan(viewOf("me", rows, got...))
		for _, l := range p.take {
			got = append(got, l.Key)
		}
	}
	for _, key := range []string{"c1", "c3", "e", "p"} {
		if slices.Contains(got, key) {
			t.Errorf("took %s", key)
		}
	}
}

// A row with our own id and no tenure behind it is what a request without an answer left: nobody holds it, so nobody's patience is needed.
func TestPlanTakesItsOwnStraysAtOnce(t *testing.T) {
	t.Parallel()
	rows := []Lease{row("a", "me", 1), row("b", "you", 1), row("c", "me", 1)}
	p := makePlan(viewOf("me", rows, "c"))
	if !slices.Equal(keysOf(p.take), []string{"a"}) || p.expired != 1 || p.workers != 2 {
		t.Errorf("%+v: want the stray, and nothing of what is held or another's", p)
	}
}

func TestRendezvousSpreadsLeasesOverWorkers(t *testing.T) {
	t.Parallel()
	const workers, keys = 8, 4000
	first := make(map[string]int)
	for k := range keys {
		key := fmt.Sprintf("shardId-%012d", k)
		var best string
		var most uint64
		for w := range workers {
			if x := rendezvous(key, fmt.Sprintf("worker-%d", w)); x >= most {
				best, most = fmt.Sprintf("worker-%d", w), x
			}
		}
		first[best]++
	}
	for w, n := range first {
		if n < keys/workers*8/10 || n > keys/workers*12/10 {
			t.Errorf("%s is first for %d of %d, want about %d", w, n, keys, keys/workers)
		}
	}
	if rendezvous("a", "b") == rendezvous("b", "a") {
		t.Error("worker and key are exchangeable")
	}
}

// Every worker plans on a listing of its own that is some rounds old, and of two that try one lease one is refused: in the end all leases are owned,
// by shares that differ by little.
func TestWorkersConvergeOnStaleListings(t *testing.T) {
	t.Parallel()
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 1))
		n, workers := 1+rng.IntN(60), 1+rng.IntN(6)
		table := freeRows(n)
		past := [][]Lease{slices.Clone(table)}
		held := make([]map[string]bool, workers)
		seen := make([]observer, workers)
		rounds := 0
		for owned := 0; owned < n; rounds++ {
			if rounds > 60 {
				t.Fatalf("seed %d: %d of %d leases owned by %d workers after %d rounds", seed, owned, n, workers, rounds)
			}
			now := time.Duration(rounds) * time.Second
			for i := range table {
				if table[i].Owner != "" {
					table[i].Counter++
				}
			}
			for w := range workers {
				me := fmt.Sprintf("w%d", w)
				if held[w] == nil {
					held[w] = map[string]bool{}
				}
				rows := past[max(0, len(past)-1-rng.IntN(3))]
				seen[w].lookAt(now, rows...)
				for _, l := range makePlan(view{me: me, rows: rows, seen: seen[w].seen, held: held[w], overdue: testFailover, now: now}).take {
					i := slices.IndexFunc(table, func(r Lease) bool { return r.Key == l.Key })
					if table[i].Counter == l.Counter {
						table[i].Owner, table[i].Counter = me, l.Counter+1
						held[w][l.Key] = true
						owned++
					}
				}
			}
			past = append(past, slices.Clone(table))
		}
		for w := range workers {
			if share := (n + workers - 1) / workers; len(held[w]) > 2*share {
				t.Errorf("seed %d: worker %d holds %d of %d, its share is %d", seed, w, len(held[w]), n, share)
			}
		}
	}
}

// Beside workers of KCL finished leases and those that wait for parents are leases like any other, as they are for those: otherwise both would take the same
// ones from each other for ever.
func TestSharesBesideKCLAreCountedAsKCLCounts(t *testing.T) {
	t.Parallel()
	rows := []Lease{}
	for i, owner := range []string{"me", "me", "java", "java", "java", "java"} {
		r := row(fmt.Sprintf("s%d", i), owner, 1)
		if owner == "me" {
			r.Speaks = "me"
		}
		rows = append(rows, r)
	}
	end := func(key, owner string) Lease {
		l := row(key, owner, 1)
		l.Checkpoint.Position = checkpoint.ShardEnd
		return l
	}
	v := viewOf("me", rows, "s0", "s1")
	for key, s := range v.seen {
		s.looks = settledIn
		v.seen[key] = s
	}
	v.others = map[string]bool{"java": true}
	if p := makePlan(v); len(p.steal) != 1 || p.steal[0].Owner != "java" || len(p.ask) != 0 || p.active != 6 {
		t.Errorf("with 2 of 6: %+v", p)
	}
	v.rows = append(v.rows, end("e0", "me"), end("e1", "me"))
	if p := makePlan(v); len(p.steal) != 0 || len(p.tend) != 2 || len(p.take) != 0 || p.active != 8 {
		t.Errorf("with 4 of 8, two of them finished: takes %v, keeps %v of %d", keysOf(p.steal), keysOf(p.tend), p.active)
	}
	v.rows = append(v.rows[:6], end("e0", "java"), end("e1", ""))
	if p := makePlan(v); len(p.steal) != 1 || p.steal[0].Ended() || len(p.take) != 0 {
		t.Errorf("a finished lease is taken: %v %v", keysOf(p.steal), keysOf(p.take))
	}
	v.others = nil
	if p := makePlan(v); len(p.steal) != 0 || len(p.tend) != 0 || p.active != 6 {
		t.Errorf("without KCL: %+v", p)
	}
}
