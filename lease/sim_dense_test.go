package lease

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"
)

// The dense simulation is about number: what moves a lease happens all the time, and little else does. simLong seeds and more are the long form, whose numbers are
// promised: it takes three minutes on two cores, with all tests named Sim.
const (
	simLong     = 1200
	denseChaos  = 3 * time.Minute
	denseLong   = 15 * time.Minute
	denseWorlds = 12 // one dense world for so many seeds
)

// newDenseWorld has short failover times, slow shards without children, and a fault every second.
func newDenseWorld(seed uint64, chaos time.Duration, trace func(string)) *world {
	w := emptyWorld(seed, trace)
	w.rows, w.history, w.shards, w.byID = map[string]Lease{}, map[string][]version{}, nil, map[string]*simShard{}
	for i := range 8 {
		s := &simShard{id: fmt.Sprintf("s%d", i), every: time.Second, total: int(chaos / time.Second)}
		w.shards, w.byID[s.id] = append(w.shards, s), s
		w.create(s)
	}
	w.faults = faults{
		drop: 0.02, lostReply: 0.04, late: 0.005, slow: 0.01, throttle: 0.01, stale: 0.01, noItem: 0.05, rate: 0.001,
		crash: 2 * time.Second, stop: 2 * time.Second, pause: 3 * time.Second, suspend: 20 * time.Second, jump: 20 * time.Second, cut: 10 * time.Second,
	}
	for i := range 4 {
		w.addHost(i, time.Second)
	}
	w.disturb()
	return w
}

func TestSimDense(t *testing.T) {
	t.Parallel()
	chaos, worlds := denseChaos, max(1, *simSeeds/denseWorlds)
	if *simSeeds >= simLong {
		chaos = denseLong
	}
	if testing.Short() {
		worlds = 1
	}
	if *simSeed != 0 {
		w := newDenseWorld(*simSeed, chaos, func(s string) { t.Log(s) })
		w.live(chaos)
		t.Logf("hash %016x, %d steps, %+v", w.hash, w.steps, w.count)
		for _, s := range w.wrong {
			t.Error(s)
		}
		return
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	var total counts
	steps := 0
	seeds := make(chan uint64)
	began := time.Now()
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for seed := range seeds {
				w := newDenseWorld(seed, chaos, nil)
				w.live(chaos)
				mu.Lock()
				total.add(w.count)
				steps += w.steps
				mu.Unlock()
				for _, s := range w.wrong {
					t.Errorf("seed %d: %s\n\treplay: go test ./lease -run TestSimDense -sim.seed %d -sim.seeds %d -v", seed, s, seed, *simSeeds)
				}
			}
		})
	}
	for seed := range uint64(worlds) {
		seeds <- seed + 1
	}
	close(seeds)
	wg.Wait()
	t.Logf("%d worlds of %v, %d steps in %v: %+v", worlds, chaos, steps, time.Since(began).Round(time.Second), total)
	t.Logf("take-overs %d, ambiguous writes applied %d and not %d, hand-offs %d, pauses beyond FailoverTime %d",
		total.takeOvers, total.resolvedDone, total.resolvedNot, total.gives, total.longPauses)
	for what, n := range map[string]struct{ got, short, long int }{
		"take-overs": {total.takeOvers, 1_500, 100_000}, "ambiguous writes that were applied": {total.resolvedDone, 500, 10_000},
		"ambiguous writes that were not": {total.resolvedNot, 500, 10_000}, "hand-offs": {total.gives, 200, 10_000},
		"pauses beyond FailoverTime": {total.longPauses, 100, 1_000},
	} {
		if want := n.short; worlds > 8 && n.got < want {
			t.Errorf("%s: %d, want %d", what, n.got, want)
		}
		if want := n.long; chaos == denseLong && n.got < want {
			t.Errorf("%s: %d, want %d in the long form", what, n.got, want)
		}
	}
}
