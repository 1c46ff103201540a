package sim_test

import (
	"flag"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesiskit/kinesiskit/internal/sim"
)

var (
	simSeeds = flag.Int("sim.seeds", 12, "number of simulations")
	simFirst = flag.Uint64("sim.first", 1, "the first of them")
	simSeed  = flag.Uint64("sim.seed", 0, "replay one simulation with its trace")
)

func simulate(t *testing.T, seed uint64, trace func(format string, args ...any)) (r sim.Result) {
	synctest.Test(t, func(*testing.T) { r = sim.Run(seed, trace) })
	return r
}

func TestFleetHoldsEveryInvariant(t *testing.T) {
	if *simSeed != 0 {
		r := simulate(t, *simSeed, t.Logf)
		t.Logf("hash %016x, %v, %+v", r.Hash, r.Lasted, r.Counts)
		for _, s := range r.Wrong {
			t.Error(s)
		}
		return
	}
	seeds := *simSeeds
	if testing.Short() {
		seeds = min(seeds, 3)
	}
	var total sim.Counts
	var lasted time.Duration
	for n := range uint64(seeds) {
		seed := *simFirst + n
		r := simulate(t, seed, nil)
		total.Add(r.Counts)
		lasted += r.Lasted
		for i, s := range r.Wrong {
			t.Errorf("seed %d: %s\n\treplay: go test ./internal/sim -run TestFleetHolds -sim.seed %d -v", seed, s, seed)
			if i == 3 {
				t.Errorf("seed %d: and %d more", seed, len(r.Wrong)-4)
				break
			}
		}
	}
	t.Logf("%d seeds, %v of virtual time: %+v", seeds, lasted, total)
	if seeds < 100 {
		return // too few to insist on every kind of event
	}
	counts := reflect.ValueOf(total)
	for i := range counts.NumField() {
		if n := counts.Field(i).Int(); n < 10 {
			t.Errorf("%s: %d; the simulation does not exercise them", counts.Type().Field(i).Name, n)
		}
	}
}

// A seed decides everything: what is asked of the services, in which order, and when.
func TestFleetIsDecidedByItsSeed(t *testing.T) {
	for seed := range uint64(2) {
		a, b := simulate(t, seed+20, nil), simulate(t, seed+20, nil)
		if a.Hash != b.Hash || a.Counts != b.Counts {
			t.Errorf("seed %d: %016x, then %016x\n%+v\n%+v", seed+20, a.Hash, b.Hash, a.Counts, b.Counts)
		}
	}
}
