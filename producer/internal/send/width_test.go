package send

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/kinesiskit/kinesiskit/internal/awsx"
)

// serve answers n requests, as many at once as w allows, each of which takes what took says of those under way.
func serve(w *width, n int, took func(under int) time.Duration) {
	var ends []time.Duration // of requests under way, sorted
	lasting := make(map[time.Duration]time.Duration)
	now := time.Duration(0)
	for n > 0 {
		for len(ends) < w.requests() {
			d := took(len(ends) + 1)
			end := now + d
			for lasting[end] != 0 {
				end++
			}
			lasting[end] = d
			ends = append(ends, end)
			w.launched(len(ends))
		}
		slices.Sort(ends)
		now = ends[0]
		w.answered(50_000, lasting[now], false)
		delete(lasting, now)
		ends = ends[1:]
		n--
	}
}

func TestRequestsAtOnceGrowToInFlightWhereTheServiceIsQuick(t *testing.T) {
	t.Parallel()
	w := newWidth(24)
	if n := w.requests(); n != firstWidth {
		t.Errorf("%d requests at first", n)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	serve(&w, 500, func(int) time.Duration {
		if rng.Float64() < 0.05 { // a late answer is no trouble
			return 2 * time.Second
		}
		return 50*time.Millisecond + time.Duration(rng.Int64N(int64(30*time.Millisecond)))
	})
	if n := w.requests(); n != 24 {
		t.Errorf("%d requests", n)
	}
	for _, most := range []int{1, 2, 3} {
		w := newWidth(most)
		serve(&w, 100, func(int) time.Duration { return 50 * time.Millisecond })
		if n := w.requests(); n != most {
			t.Errorf("%d requests, want %d", n, most)
		}
	}
}

func TestRequestsAtOnceStayFewWhereTheyWaitForEachOther(t *testing.T) {
	t.Parallel()
	w := newWidth(100)
	most := 0
	serve(&w, 600, func(under int) time.Duration {
		most = max(most, under)
		return 50 * time.Millisecond * time.Duration(max(under, 4)) / 4
	})
	if most > 16 || w.requests() <= leastWidth {
		t.Errorf("%d requests at once, of which four do not wait", most)
	}
}

func TestAServiceThatIsFurtherAwayThanItWasIsNotInTrouble(t *testing.T) {
	t.Parallel()
	w := newWidth(24)
	serve(&w, 500, func(int) time.Duration { return 20 * time.Millisecond })
	serve(&w, 100, func(int) time.Duration { return 200 * time.Millisecond })
	if n := w.requests(); n > 4 {
		t.Errorf("%d requests while all answers are slow", n)
	}
	serve(&w, 1000, func(int) time.Duration { return 200 * time.Millisecond })
	if n := w.requests(); n != 24 {
		t.Errorf("%d requests when that is usual", n)
	}
}

func TestRequestsAtOnceBecomeFewInAnOutageAndManyAfterIt(t *testing.T) {
	h := newHarness(t, Limits{InFlight: 24}, 1)
	failing := Reply{Failure: Failure{Err: errors.New("503"), Class: awsx.Transient, Ambiguous: true}}
	together := func() (rs []*Request) {
		for {
			h.add(lower, 1, 100)
			r, _ := h.Next(h.now)
			if r == nil {
				return rs
			}
			rs = append(rs, r)
		}
	}
	round := func(reply func(*Request) Reply) int {
		h.now = h.now.Add(10 * time.Second)
		rs := together()
		h.now = h.now.Add(50 * time.Millisecond)
		for _, r := range rs {
			h.answer(r, reply(r))
		}
		return len(rs)
	}
	for range 30 {
		round(all)
	}
	if n := round(all); n != 24 {
		t.Errorf("%d requests at once", n)
	}
	for range 10 {
		round(func(*Request) Reply { return failing })
	}
	if n := round(all); n != leastWidth {
		t.Errorf("%d requests at once after an outage", n)
	}
	for range 40 {
		round(all)
	}
	if n := round(all); n != 24 {
		t.Errorf("%d requests at once long after it", n)
	}
}
