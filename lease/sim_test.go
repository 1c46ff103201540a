package lease

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

var (
	simSeeds = flag.Int("sim.seeds", 120, "number of simulations")
	simSeed  = flag.Uint64("sim.seed", 0, "replay one simulation with its trace")
)

const (
	simChaos = 3 * time.Minute
	simHeal  = 90 * time.Second // within which every lease must have found an owner
	simEnd   = 4 * time.Minute  // within which every record must have been processed
)

// drawFaults chooses the kinds of faults of one simulation. Two of sixteen are calm: in one of them nothing is wrong, in the other single replies are lost.
func drawFaults(seed uint64, rng *rand.Rand) faults {
	switch seed % 16 {
	case 0:
		return faults{}
	case 1:
		return faults{single: true, lostReply: 0.1}
	}
	var f faults
	rare := func() float64 { return []float64{0, 0, 0.01, 0.05, 0.15}[rng.IntN(5)] }
	often := func() time.Duration {
		return []time.Duration{0, 0, 40 * time.Second, 15 * time.Second, 5 * time.Second}[rng.IntN(5)]
	}
	f.drop, f.lostReply, f.late, f.slow, f.throttle = rare(), rare(), rare(), rare(), rare()
	f.stale, f.noItem = rare(), rare()
	f.cut, f.pause, f.suspend, f.jump, f.crash, f.stop, f.edit = often(), often(), often(), often(), often(), often(), often()
	f.stepPause = []float64{0, 0, 0.0005, 0.002}[rng.IntN(4)]
	f.rate = 0.001
	return f
}

// emptyWorld has a table and faults, and no worker yet.
func emptyWorld(seed uint64, trace func(string)) *world {
	rng := rand.New(rand.NewPCG(seed, 0x6b6b))
	w := &world{seed: seed, rng: rng, rows: map[string]Lease{}, gifts: map[string]gift{}, history: map[string][]version{}, deleted: map[string]bool{}, byID: map[string]*simShard{}, trace: trace, now: time.Minute}
	w.faults = drawFaults(seed, rng)
	w.shardsOf(2 + rng.IntN(3))
	return w
}

func (w *world) addHost(i int, failover time.Duration) *host {
	rng := w.rng
	h := &host{w: w, name: fmt.Sprintf("h%d", i), last: w.now, wall: w.between(0, time.Hour), mono: w.between(0, time.Hour), backwards: rng.IntN(2) == 0}
	h.rate = w.faults.rate * (2*rng.Float64() - 1)
	w.hosts = append(w.hosts, h)
	w.start(h, failover)
	return h
}

func newWorld(seed uint64, trace func(string)) *world {
	w := emptyWorld(seed, trace)
	rng := w.rng
	failover := []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 10 * time.Second}[rng.IntN(4)]
	mixed := rng.IntN(4) == 0
	for i := range 2 + rng.IntN(3) {
		if mixed {
			failover = []time.Duration{time.Second, 3 * time.Second, 9 * time.Second}[rng.IntN(3)]
		}
		w.addHost(i, failover)
	}
	w.disturb()
	return w
}

// shardsOf makes n first shards; the first of them is split, and what came from it is merged again.
func (w *world) shardsOf(n int) {
	add := func(id string, parents ...string) {
		s := &simShard{id: id, parents: parents, total: 20 + w.rng.IntN(120), every: w.between(50*time.Millisecond, 500*time.Millisecond)}
		for _, p := range parents {
			w.byID[p].children = append(w.byID[p].children, id)
		}
		w.shards, w.byID[id] = append(w.shards, s), s
	}
	for i := range n {
		add(fmt.Sprintf("s%d", i))
	}
	add("s0a", "s0")
	add("s0b", "s0")
	add("s0ab", "s0a", "s0b")
	add("s0abs1", "s0ab", "s1")
	for i := range n {
		w.create(w.shards[i])
	}
}

// simulate runs chaos, then peace, and returns the world at its end.
func simulate(seed uint64, trace func(string)) *world {
	w := newWorld(seed, trace)
	w.live(simChaos)
	return w
}

// live is a world's whole history, with faults for as long as chaos.
func (w *world) live(chaos time.Duration) {
	start := w.now
	w.run(start + chaos)
	w.quiet = true
	for _, h := range w.hosts {
		h.cutUntil = 0
	}
	w.note("quiet", "", 0, 0)
	w.run(start + chaos + simHeal)
	if missing := w.owned(); len(missing) > 0 && len(w.wrong) == 0 {
		w.violated("no owner long after the last fault: %v", missing)
	}
	w.run(start + chaos + simEnd)
	if missing := w.unprocessed(); len(missing) > 0 && len(w.wrong) == 0 {
		w.violated("records that nobody processed, in %v", missing)
	}
}

func TestSimHoldsEveryInvariant(t *testing.T) {
	t.Parallel()
	if *simSeed != 0 {
		w := simulate(*simSeed, func(s string) { t.Log(s) })
		t.Logf("faults %+v", w.faults)
		t.Logf("hash %016x, %d steps, %+v", w.hash, w.steps, w.count)
		for _, s := range w.wrong {
			t.Error(s)
		}
		return
	}
	seeds := *simSeeds
	if testing.Short() {
		seeds = min(seeds, 12)
	}
	var total counts
	steps := 0
	failed := 0
	for seed := range uint64(seeds) {
		w := simulate(seed+1, nil)
		total.add(w.count)
		steps += w.steps
		for _, s := range w.wrong {
			failed++
			t.Errorf("seed %d: %s\n\treplay: go test ./lease -run TestSimHolds -sim.seed %d -v", seed+1, s, seed+1)
		}
		if failed > 10 {
			t.Fatal("no further seeds are tried")
		}
	}
	t.Logf("%d seeds, %d steps: %+v", seeds, steps, total)
	if seeds < 100 {
		return // too few to insist on every kind of event
	}
	for what, n := range map[string]int{
		"take-overs": total.takeOvers, "ambiguous writes that were applied": total.resolvedDone, "ambiguous writes that were not": total.resolvedNot,
		"pauses beyond FailoverTime": total.longPauses, "doubts": total.doubts, "edits by an operator": total.edits,
		"writes applied late": total.lateApplied, "late writes refused": total.lateRefused, "takes of stale rows": total.staleTakes,
		"claims of rows that refused a take": total.reclaims, "gates that waited": total.gateWaits, "rows restored": total.restored,
		"shards finished": total.ended, "crashes": total.crashes, "suspends": total.suspends, "clock jumps": total.jumps,
		"checkpoints acknowledged": total.acks, "checkpoints uncertain": total.uncertain, "checkpoints abandoned": total.abandoned,
		"positions refused": total.notDelivered, "admissions refused": total.expiredAtAdmit, "releases": total.released,
		"earlier payloads found": total.otherPayload, "announcements": total.announced, "leases lost": total.lost,
		"requests": total.asks, "gives": total.gives, "gives to an heir": total.inherits, "claims": total.claims, "requests declined": total.declines,
		"requests withdrawn": total.withdrawals, "tenures that went on after a request": total.resumed, "leases passed on": total.passedOn,
		"requests applied late": total.lateAsks, "crashes of a worker that asks": total.askerDied, "crashes of a worker that is asked": total.ownerDied,
	} {
		if n < 2 {
			t.Errorf("%s: %d; the simulation does not exercise them", what, n)
		}
	}
}

func TestSimIsDecidedByItsSeed(t *testing.T) {
	t.Parallel()
	distinct := map[uint64]bool{}
	const seeds = 8
	for seed := range uint64(seeds) {
		a, b := simulate(seed+2, nil), simulate(seed+2, nil)
		if a.hash != b.hash || a.steps != b.steps {
			t.Errorf("seed %d: %016x after %d steps, then %016x after %d", seed+2, a.hash, a.steps, b.hash, b.steps)
		}
		distinct[a.hash] = true
	}
	if len(distinct) != seeds {
		t.Errorf("%d traces of %d seeds: the trace says nothing", len(distinct), seeds)
	}
}
