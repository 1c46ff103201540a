package lease

import (
	"cmp"
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"
)

var (
	sizeFull  = flag.Bool("size.full", false, "run fleets of 3,800 leases and 500 workers")
	sizeSeeds = flag.Int("size.seeds", 1, "fleets of each kind")
)

// fleet is the size of a fleet, and how many of its workers a deployment replaces at a time.
type fleet struct{ leases, workers, batch int }

func sizes() fleet {
	if *sizeFull {
		return fleet{3800, 500, 25}
	}
	return fleet{760, 100, 10}
}

// forSeeds runs one kind of fleet several times, and reports the worst of each figure.
func forSeeds(t *testing.T, run func(t *testing.T, f fleet, seed uint64)) {
	t.Helper()
	t.Parallel()
	f := sizes()
	for seed := range uint64(*sizeSeeds) {
		t.Run(fmt.Sprintf("%d leases, %d workers, seed %d", f.leases, f.workers, seed), func(t *testing.T) { run(t, f, seed) })
	}
}

// bound demands that a figure is within its bound.
func bound[T cmp.Ordered](t *testing.T, what string, got, limit T) {
	t.Helper()
	t.Logf("%s: %v, bound %v", what, got, limit)
	if got > limit {
		t.Errorf("%s: %v, want at most %v", what, got, limit)
	}
}

// started is a fleet that has come up and is at rest.
func (f fleet) started(seed uint64) *sizeWorld {
	w := newSizeWorld(seed, f.leases)
	for range f.workers {
		w.after(w.within(time.Second), func() { w.start() })
	}
	w.run(time.Minute)
	return w
}

func TestSizeColdStart(t *testing.T) {
	forSeeds(t, func(t *testing.T, f fleet, seed uint64) {
		w := newSizeWorld(seed, f.leases)
		for range f.workers {
			w.after(w.within(time.Second), func() { w.start() })
		}
		owned, even := w.until(time.Minute)
		_, most := w.spent(0, time.Minute)
		least, top, all := w.loads()
		if !all || even == 0 {
			t.Errorf("after a minute loads are %d to %d, all owned: %v", least, top, all)
		}
		bound(t, "all leases owned after", owned, 25*time.Second)
		bound(t, "shares even after", even, time.Minute)
		bound(t, "writes a lease", w.perLease(), 2)
		bound(t, "read units in a second", most, 12_000)
		t.Logf("writes %v, %d of them refused", w.writes, w.refused)
	})
}

func TestSizeStartOverAMinute(t *testing.T) {
	forSeeds(t, func(t *testing.T, f fleet, seed uint64) {
		w := newSizeWorld(seed, f.leases)
		for range f.workers {
			w.after(w.within(time.Minute), func() { w.start() })
		}
		owned, even := w.until(4 * time.Minute)
		_, most := w.spent(0, 4*time.Minute)
		t.Logf("owned after %v, even after %v, read units in a second %.0f, writes %v, %d of them refused", owned, even, most, w.writes, w.refused)
		bound(t, "writes a lease", w.perLease(), 4)
		if even == 0 {
			least, top, all := w.loads()
			t.Errorf("after four minutes loads are %d to %d, all owned: %v", least, top, all)
		}
	})
}

func TestSizeSteadyState(t *testing.T) {
	forSeeds(t, func(t *testing.T, f fleet, seed uint64) {
		w := f.started(seed)
		writes := w.written()
		end := 4 * time.Minute
		if *sizeFull {
			end = 11 * time.Minute
		}
		w.run(end)
		mean, _ := w.spent(time.Minute, end)
		bound(t, "read units a second", mean, workerUnits*float64(f.workers)+140)
		bound(t, "writes of a fleet at rest", w.written()-writes, 0)
	})
}

func TestSizeRollingDeployment(t *testing.T) {
	forSeeds(t, func(t *testing.T, f fleet, seed uint64) {
		w := f.started(seed)
		for _, r := range w.rows {
			r.moves, r.longest = 1, 0
		}
		old := w.living()
		began := w.now
		for len(old) > 0 {
			for range min(f.batch, len(old)) {
				old[0].stop()
				old = old[1:]
			}
			w.run(w.now + 5*time.Second)
			for range f.batch {
				w.after(w.within(time.Second), func() { w.start() })
			}
			w.run(w.now + 25*time.Second)
		}
		took := w.now - began
		owned, even := w.until(2 * time.Minute)
		moves := make([]int, len(w.rows))
		total, longest := 0, time.Duration(0)
		for i, r := range w.rows {
			moves[i] = r.moves - 1
			total += moves[i]
			longest = max(longest, r.longest)
		}
		slices.Sort(moves)
		mean, most := w.spent(began, began+took)
		t.Logf("took %v, then owned after %v, even after %v; read units a second %.0f, at most %.0f; writes %v", took, owned, even, mean, most, w.writes)
		bound(t, "moves a lease, mean", float64(total)/float64(len(moves)), 2)
		bound(t, "moves a lease, 99th percentile", moves[len(moves)*99/100], 4)
		bound(t, "longest without an owner", longest, 2*time.Second)
		if even == 0 {
			t.Error("shares are not even two minutes later")
		}
	})
}

func TestSizeCrash(t *testing.T) {
	forSeeds(t, func(t *testing.T, f fleet, seed uint64) {
		limit := sizeFailover + 4*time.Second
		if f.leases > 500 {
			limit = sizeFailover + 7*time.Second
		}
		crashes := map[string]func(w *sizeWorld) []*sizeWorker{
			"a tenth":      func(w *sizeWorld) []*sizeWorker { return w.living()[:f.workers/10] },
			"two watchers": func(w *sizeWorld) []*sizeWorker { return w.watching()[:2] },
		}
		if *sizeFull {
			crashes["one"] = func(w *sizeWorld) []*sizeWorker { return w.living()[:1] }
			crashes["a watcher"] = func(w *sizeWorld) []*sizeWorker { return w.watching()[:1] }
		}
		for name, victims := range crashes {
			w := f.started(seed)
			for _, r := range w.rows {
				r.longest = 0
			}
			w.run(w.now + w.within(10*time.Second))
			for _, o := range victims(w) {
				o.crash()
			}
			owned, _ := w.until(90 * time.Second)
			longest := time.Duration(0)
			for _, r := range w.rows {
				longest = max(longest, r.longest)
			}
			if owned == 0 {
				t.Errorf("%s: leases without an owner", name)
			}
			bound(t, "taken over after the crash of "+name, longest, limit)
		}
	})
}

// What reading costs beside KCL 2.x, each of whose workers scans the table every 20 s, eventually consistent, at the price of the same rows.
func TestSizeReadsBesideKCL(t *testing.T) {
	t.Parallel()
	const kclScan = 20.05 // seconds
	fleets := []fleet{{100, 10, 1}, {1000, 10, 1}}
	if *sizeFull {
		fleets = append(fleets, fleet{3800, 500, 25})
	}
	for _, f := range fleets {
		w := f.started(1)
		w.run(3 * time.Minute)
		ours, _ := w.spent(time.Minute, 3*time.Minute)
		kcl := float64(f.workers) * weigh(w.listing(0, 1)) / kclScan
		t.Logf("%d leases, %d workers: %.0f read units a second, KCL's %.0f, %.2f of it", f.leases, f.workers, ours, kcl, ours/kcl)
		bound(t, "read units a second", ours, workerUnits*float64(f.workers)+140)
	}
}
