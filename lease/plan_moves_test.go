package lease

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// unevenFleet is a fleet at rest that plans in rounds: requests are granted between rounds, at most as many as an owner gives at a time.
type unevenFleet struct {
	rows  []Lease
	past  [][]Lease // what the table was like, newest last
	names []string
	seen  []observer
	now   time.Duration
	moves int
}

func newMoving(rng *rand.Rand, leases, workers int) *unevenFleet {
	m := &unevenFleet{rows: freeRows(leases), seen: make([]observer, workers)}
	for w := range workers {
		m.names = append(m.names, fmt.Sprintf("w%03d", w))
	}
	for i := range m.rows {
		to := m.names[int(float64(workers)*rng.Float64()*rng.Float64())] // some have many, some few
		if i < workers {
			to = m.names[i] // and all have one, by which they are seen: whoever has none is met when it asks
		}
		m.rows[i].Owner, m.rows[i].Speaks = to, to
	}
	return m
}

func (m *unevenFleet) held(name string) map[string]bool {
	held := make(map[string]bool)
	for _, r := range m.rows {
		if r.Owner == name {
			held[r.Key] = true
		}
	}
	return held
}

// surplus is how many leases have to move until shares differ by one at most: what is held beyond the larger share, or what is missing of the smaller one.
func (m *unevenFleet) surplus() int {
	low, high := len(m.rows)/len(m.names), (len(m.rows)+len(m.names)-1)/len(m.names)
	above, below := 0, 0
	for _, name := range m.names {
		n := len(m.held(name))
		above, below = above+max(0, n-high), below+max(0, low-n)
	}
	return max(above, below)
}

// round lets every worker plan, on what the table was like up to so many rounds ago, and lets owners give.
func (m *unevenFleet) round(rng *rand.Rand, stale int) {
	m.now += time.Second
	for i := range m.rows {
		m.rows[i].Counter++
	}
	m.past = append(m.past, slices.Clone(m.rows))
	for w, name := range m.names {
		rows := m.past[max(0, len(m.past)-1-rng.IntN(stale+1))]
		m.seen[w].lookAt(m.now, rows...)
		asks := make(map[string]bool)
		for _, r := range m.rows {
			if r.request() == name {
				asks[r.Key] = true
			}
		}
		v := view{me: name, rows: rows, seen: m.seen[w].seen, held: m.held(name), asks: asks, overdue: testFailover, now: m.now}
		for _, l := range makePlan(v).ask {
			i, _ := slices.BinarySearchFunc(m.rows, l.Key, func(r Lease, key string) int { return strings.Compare(r.Key, key) })
			if when, set := asking(name, l); when.Holds(m.rows[i]) {
				m.rows[i] = set.Apply(m.rows[i])
			}
		}
	}
	given := make(map[string]int)
	for i, r := range m.rows {
		if to := r.request(); to != "" && given[r.Owner] < maxMoves {
			given[r.Owner]++
			none := ""
			m.rows[i] = Change{AddCounter: 1, Owner: &to, Speaks: &to, AskedBy: &none, AskedOf: &none}.Apply(r)
			m.moves++
		}
	}
}

// Beyond what has to move nothing moves, and then nothing ever again.
func TestTheNumberOfMovesIsBounded(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		stale int
		times float64
	}{{0, 1}, {2, 1.5}} {
		worst := 0.0
		for seed := range uint64(20) {
			rng := rand.New(rand.NewPCG(seed, uint64(c.stale)))
			m := newMoving(rng, 20+rng.IntN(60), 2+rng.IntN(7))
			surplus := m.surplus()
			for range 60 {
				m.round(rng, c.stale)
			}
			if m.surplus() > 0 {
				t.Errorf("stale %d, seed %d: %d leases above the shares after 60 rounds", c.stale, seed, m.surplus())
			}
			worst = max(worst, float64(m.moves)/float64(max(1, surplus)))
			if float64(m.moves) > c.times*float64(surplus) {
				t.Errorf("stale %d, seed %d: %d moves of %d leases between %d workers, %d had to be", c.stale, seed, m.moves, len(m.rows), len(m.names), surplus)
			}
			before := m.moves
			for range 100 {
				m.round(rng, c.stale)
			}
			if m.moves != before {
				t.Errorf("stale %d, seed %d: %d moves in 100 rounds of a fleet at rest", c.stale, seed, m.moves-before)
			}
		}
		t.Logf("listings up to %d rounds old: at most %.2f moves for one that had to be", c.stale, worst)
	}
}
