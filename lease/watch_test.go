package lease

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
)

const watcherLabel = "w%02d-0000beef"

// watchFor is the watch of a worker in a large fleet of others, none of which it has met yet.
func watchFor(me string) *watch {
	return newWatch(me, testFailover, true, rand.New(rand.NewPCG(1, 2)))
}

// mapOf has so many owners with so many leases each.
func mapOf(owners, each int) []Owned {
	var list []Owned
	for o := range owners {
		for i := range each {
			list = append(list, Owned{fmt.Sprintf("s%02d-%02d", o, i), fmt.Sprintf(watcherLabel, o)})
		}
	}
	return list
}

// leasesOf are the rows of such a map.
func leasesOf(list []Owned, counter int64) []Lease {
	var rows []Lease
	for _, o := range list {
		l := row(o.Key, o.Owner, counter)
		l.Speaks = o.Owner
		rows = append(rows, l)
	}
	return rows
}

func emptyView(me string) view {
	return view{me: me, held: map[string]bool{}, asks: map[string]bool{}, rests: map[string]bool{}}
}

// sharing is a worker in a fleet of 60 with 10 leases each that a few watch.
func sharing(t *testing.T, me string) *watch {
	t.Helper()
	w := watchFor(me)
	w.units, w.size = 200, 600
	w.mapped(at(0), mapOf(60, 10), 10)
	if !w.sharing {
		t.Fatal("sixty workers list a large table each")
	}
	return w
}

func TestHowAFleetReadsDependsOnItsSize(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		workers int
		units   float64
		sharing bool
	}{{1, 200, false}, {2, 200, true}, {10, 20, false}, {60, 3, false}, {60, 20, true}, {500, 200, true}} {
		w := watchFor(fmt.Sprintf(watcherLabel, 0))
		w.units = c.units
		w.mapped(at(0), mapOf(c.workers, 5), 5)
		if w.sharing != c.sharing {
			t.Errorf("%d workers, %v units: sharing %v", c.workers, c.units, w.sharing)
		}
	}
}

func TestReadingsThatFailAreRepeatedMoreAndMoreRarely(t *testing.T) {
	t.Parallel()
	w := newWatch("me", testFailover, false, rand.New(rand.NewPCG(1, 2)))
	last := time.Duration(0)
	for i := range 6 {
		w.failed(0, readTable, false)
		if pause := w.at[readTable]; pause < last && pause < testFailover/3 || pause > testFailover/2 || pause <= 0 {
			t.Errorf("after failure %d it waits %v, before %v", i+1, pause, last)
		}
		last = w.at[readTable]
	}
	if last < testFailover/3 {
		t.Errorf("after six failures it waits %v", last)
	}
	w.list(nil, at(0), at(0), emptyView("me"))
	w.failed(0, readTable, false)
	if w.at[readTable] > lookEvery(testFailover) {
		t.Errorf("after a success it waits %v", w.at[readTable])
	}
}

func TestWithoutAnIndexTheTableIsListed(t *testing.T) {
	t.Parallel()
	w := sharing(t, "me-0000beef")
	w.failed(time.Second, readOwned, true)
	if e := w.next(); w.sharing || e.what != readTable || e.at != time.Second {
		t.Errorf("sharing %v, next %+v; want a listing at once", w.sharing, e)
	}
	w.list(leasesOf(mapOf(60, 100), 1), at(time.Second), at(time.Second), emptyView("me-0000beef"))
	if w.sharing {
		t.Error("relies on an index that is not there")
	}
}

func TestAnOwnerThatIsNotOursMakesEverybodyList(t *testing.T) {
	t.Parallel()
	me := fmt.Sprintf(watcherLabel, 0)
	w := sharing(t, me)
	foreign := Owned{"x", "ip-10-0-0-1:3f0b8a52-5c5e-4f7a-9d2e-0f5b6c7d8e9f"}
	w.mapped(at(time.Second), append(mapOf(60, 10), foreign), 10)
	if w.sharing {
		t.Fatal("relies on watchers beside a worker that does not know them")
	}
	rows := append(leasesOf(mapOf(60, 100), 1), row(foreign.Key, foreign.Owner, 1))
	w.list(rows, at(0), at(0), emptyView(me))
	if w.sharing {
		t.Error("relies on watchers while the other lives")
	}
	for i := range rows[:len(rows)-1] {
		rows[i].Counter++
	}
	w.list(rows, at(testFailover), at(testFailover), emptyView(me))
	if !w.sharing {
		t.Error("lists for ever because of a worker that is dead")
	}
	for owner, ours := range map[string]bool{
		"w-0000beef": true, "a-b-12345678": true, "w": false, "w-1234567": false, "w-123456789": false, "w-1234567G": false,
		"host:3f0b8a52-5c5e-4f7a-9d2e-0f5b6c7d8e9f": false, "": false,
	} {
		if isOurs(owner) != ours {
			t.Errorf("%q is ours: %v", owner, !ours)
		}
	}
}

// A counter that was never read has not stood still, however long its owner is known.
func TestAMapStartsNoPatience(t *testing.T) {
	t.Parallel()
	var o observer
	o.met([]Owned{{"s", "you"}}, 0)
	l := row("s", "you", 7)
	o.lookAt(2*testFailover, l)
	if o.isFree("s") || o.seen["s"].moved {
		t.Errorf("at the first sight of its counter: %+v; want it neither expired nor moved", o.seen["s"])
	}
	o.met([]Owned{{"s", "you"}}, 2*testFailover+1)
	o.lookAt(3*testFailover, l)
	if !o.isFree("s") {
		t.Error("a map makes a patience begin again")
	}
	if got := o.seen["s"].looks; got != 4 {
		t.Errorf("%d looks, want 4", got)
	}
}

func TestAWorkerAsksForLittleWhileOthersCome(t *testing.T) {
	t.Parallel()
	const me = "me-0000beef"
	w := sharing(t, me)
	rows := leasesOf(mapOf(60, 10), 1)
	ask := func(now time.Duration, held int) int {
		v := emptyView(me)
		for i := range held {
			v.held[fmt.Sprint("own", i)] = true
		}
		for i := range rows {
			rows[i].Counter++
		}
		return len(w.list(rows, at(now), at(now), v).ask)
	}
	ask(time.Second, 0)
	if n := ask(2*time.Second, 0); n != 1 {
		t.Errorf("a worker without leases asks for %d at first, want 1", n)
	}
	if n := ask(3*time.Second, 1); n != 0 {
		t.Errorf("with one it asks for %d, want 0", n)
	}
	if n := ask(calm, 1); n != maxAsks {
		t.Errorf("when nobody has come for a while it asks for %d, want %d", n, maxAsks)
	}
	rows = append(rows, leasesOf([]Owned{{"n", "new-0000beef"}}, 1)...)
	if n := ask(calm+time.Second, 1); n != 0 {
		t.Errorf("when another comes it asks for %d, want 0", n)
	}
}

func TestOnlyWhatTheRowSaysIsClaimed(t *testing.T) {
	t.Parallel()
	const me = "me-0000beef"
	w := sharing(t, me)
	v := emptyView(me)
	v.held["held"] = true
	if keys := w.owned(0, []string{"a", "held", "b"}, v); !slices.Equal(keys, []string{"a", "b"}) {
		t.Errorf("asks for %v, want a and b", keys)
	}
	ended, taken := row("b", me, 1), row("a", me, 1)
	ended.Checkpoint.Position = checkpoint.ShardEnd
	taken.CheckpointOwner = "java"
	for _, l := range []Lease{row("a", "you", 1), row("a", "", 1), taken, ended} {
		if take, spare := w.claim(l, v, 0); take || spare {
			t.Errorf("claims %+v", l)
		}
	}
	if keys := w.owned(0, []string{"a", "b"}, v); !slices.Equal(keys, []string{"a"}) {
		t.Errorf("asks for %v, although b is finished", keys)
	}
	if take, _ := w.claim(row("a", me, 1), v, 0); !take {
		t.Error("does not claim what is its own")
	}
	v.max = 2
	if take, spare := w.claim(row("a", me, 1), v, 1); take || !spare {
		t.Error("claims beyond MaxLeases")
	}
}

// firstWatcher is the watcher of the fleet whose name comes first.
func firstWatcher() string {
	owners := make([]string, 60)
	for i := range owners {
		owners[i] = fmt.Sprintf(watcherLabel, i)
	}
	return topOf(owners)[0]
}

func TestAWatcherGivesWhatIsFreeToWhoHasLeast(t *testing.T) {
	t.Parallel()
	me := firstWatcher()
	w := sharing(t, me)
	rows := leasesOf(mapOf(60, 10), 1)
	v := emptyView(me)
	poor := ""
	for i := range rows {
		if rows[i].Owner == me {
			v.held[rows[i].Key] = true
		} else if poor == "" {
			poor = rows[i].Owner
		}
	}
	rows = slices.DeleteFunc(rows, func(l Lease) bool { return l.Owner == poor && l.Key[4:] > "03" }) // four are left of ten
	for i := range 4 {
		rows = append(rows, row(fmt.Sprint("z", i), "", 1))
	}
	if d := w.list(rows, at(time.Second), at(time.Second), v); len(d.give)+len(d.take) > 0 {
		t.Errorf("gives %d, takes %d while workers are coming", len(d.give), len(d.take))
	}
	now := 2*time.Second + crowded
	d := w.list(rows, at(now), at(now), v)
	if len(d.give) != 4 || len(d.take) != 0 {
		t.Fatalf("gives %d, takes %d; want to give 4", len(d.give), len(d.take))
	}
	for _, g := range d.give {
		if g.to != poor {
			t.Errorf("gives %s to %s, want %s", g.lease.Key, g.to, poor)
		}
	}
	// Who returns it may not hold more.
	for i := range rows {
		if rows[i].Counter++; rows[i].Owner == "" {
			rows[i].Counter++
		}
	}
	now += time.Second
	d = w.list(rows, at(now), at(now), v)
	for _, g := range d.give {
		if g.to == poor {
			t.Errorf("gives %s to %s again, which returned it", g.lease.Key, g.to)
		}
	}
	if len(d.give)+len(d.take) != 4 {
		t.Errorf("gives %d, takes %d; want 4 together", len(d.give), len(d.take))
	}
}

func TestALeaseIsGivenOnOnlyAsItWasSeen(t *testing.T) {
	t.Parallel()
	l := row("s", "dead", 7)
	when, set := giving(grant{lease: l, to: "heir"}, testFailover)
	if !when.Holds(l) {
		t.Fatal("refused as it was seen")
	}
	moved, other := l, l
	moved.Counter++
	other.Owner = "heir"
	if when.Holds(moved) || when.Holds(other) {
		t.Error("given on although its owner lives, or it has another")
	}
	if got := set.Apply(l); got.Owner != "heir" || got.Speaks != "heir" || got.Counter != 8 || got.OwnerSwitches != 1 || got.FailoverTime != testFailover {
		t.Errorf("row %+v", got)
	}
}

func TestAWatcherWhoseCounterStandsIsReplaced(t *testing.T) {
	t.Parallel()
	owners := make([]string, 60)
	for i := range owners {
		owners[i] = fmt.Sprintf(watcherLabel, i)
	}
	slices.SortFunc(owners, func(a, b string) int {
		if rendezvous("table", a) > rendezvous("table", b) {
			return -1
		}
		return 1
	})
	fourth := owners[maxWatchers]
	w := sharing(t, fourth)
	if w.watching() || !slices.Contains(owners[:maxWatchers], w.netOwner) {
		t.Fatalf("watches %v, keeps an eye on %q", w.watching(), w.netOwner)
	}
	look := func(now time.Duration, counter int64) {
		w.row(at(now), at(now), errand{what: readRow, key: w.netKey}, row(w.netKey, w.netOwner, counter), true)
	}
	look(0, 1)
	look(netEvery, 2)
	look(netEvery+testFailover-1, 2)
	if w.watching() {
		t.Fatal("takes over from a watcher that lives")
	}
	look(netEvery+testFailover, 2)
	if e := w.next(); !w.watching() || w.at[readTable] > netEvery+testFailover {
		t.Errorf("watching %v, next %+v; want a listing at once", w.watching(), e)
	}
}

// The map may be old: a watcher may have gone in good order, and its lease is another's.
func TestAWatcherThatIsGoneMakesTheMapOld(t *testing.T) {
	t.Parallel()
	w := sharing(t, "me-0000beef")
	w.at[readOwners] = time.Hour
	w.row(at(time.Second), at(time.Second), errand{what: readRow, key: w.netKey}, row(w.netKey, "another", 1), true)
	if w.at[readOwners] > 2*time.Second {
		t.Errorf("the next map comes at %v", w.at[readOwners])
	}
}

func TestChildrenAreLookedForWhereTheirParentEnded(t *testing.T) {
	t.Parallel()
	w := sharing(t, "me-0000beef")
	w.prompt(0, []string{"left", "right"})
	for _, key := range []string{"left", "right"} {
		e := w.next()
		if e.what != readRow || e.key != key {
			t.Fatalf("next %+v, want %s", e, key)
		}
		child := row(key, "", 1)
		child.Parents = []string{"parent"}
		if !w.row(at(0), at(0), e, child, true) {
			t.Errorf("does not take %s", key)
		}
	}
	w.prompt(0, []string{"merged", "gone", "owned"})
	merged := row("merged", "", 1)
	merged.Parents = []string{"a", "b"}
	if w.row(at(0), at(0), w.next(), merged, true) || w.row(at(0), at(0), w.next(), Lease{}, false) || w.row(at(0), at(0), w.next(), row("owned", "you", 1), true) {
		t.Error("takes a child that has another parent, that is not there, or that somebody has")
	}
	if e := w.next(); e.what == readRow && e.key != w.netKey {
		t.Errorf("next %+v", e)
	}
}

// With several plans at once whoever has least would get a lease from each of them.
func TestOnlyTheFirstWatcherSharesOutWhatNobodyOwns(t *testing.T) {
	t.Parallel()
	owners := make([]string, 60)
	for i := range owners {
		owners[i] = fmt.Sprintf(watcherLabel, i)
	}
	me := topOf(owners)[1]
	w := sharing(t, me)
	rows := append(leasesOf(mapOf(60, 10), 1), row("z", "", 1))
	v := emptyView(me)
	for _, r := range rows {
		if r.Owner == me {
			v.held[r.Key] = true
		}
	}
	free := time.Second
	for now := free; now <= free+mostCrowded+nextInLine; now += time.Second {
		if d := w.list(rows, at(now), at(now), v); len(d.give)+len(d.take) > 0 {
			t.Fatalf("the second watcher gives %d, takes %d after %v", len(d.give), len(d.take), now-free)
		}
		for i := range rows[:600] {
			rows[i].Counter++
		}
	}
	now := free + mostCrowded + nextInLine + time.Second
	if d := w.list(rows, at(now), at(now), v); len(d.give)+len(d.take) != 1 {
		t.Errorf("what the first watcher has left alone for long, the second leaves too: gives %d, takes %d", len(d.give), len(d.take))
	}
}
