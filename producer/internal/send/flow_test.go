package send

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/kinesiskit/kinesiskit/internal/awsx"
)

// sendFor counts the bytes that lanes send in d, when everything is answered at once, by answer.
func (h *harness) sendFor(d time.Duration, answer func(*Request) Reply) map[string]int {
	of := make(map[string]int)
	for end := h.now.Add(d); h.now.Before(end); h.now = h.now.Add(5 * time.Millisecond) {
		for {
			r, _ := h.Next(h.now)
			if r == nil {
				break
			}
			for _, e := range r.Entries {
				of[e.lane] += e.Bytes
			}
			h.answer(r, answer(r))
		}
	}
	return of
}

func flowing() Limits { return Limits{AggregateBytes: 50_000, RatePercent: 100} }

func all(r *Request) Reply { return stored(r) }

func TestALaneBeginsSmallAndGrowsToWhatItsShardTakes(t *testing.T) {
	h := newHarness(t, flowing(), 1)
	h.add(lower, 300_000, 100)
	if n := h.sendFor(time.Second, all)["s0"]; n < shardBytes/50 || n > shardBytes/5 {
		t.Errorf("%d bytes in the first second", n)
	}
	h.sendFor(7*time.Second, all)
	if rate := float64(h.sendFor(4*time.Second, all)["s0"]) / 4 / shardBytes; rate < 0.95 || rate > 1.05 {
		t.Errorf("%.2f of the limit after eight seconds", rate)
	}
}

func TestAThrottleSlowsItsShardAndNoOther(t *testing.T) {
	h := newHarness(t, flowing(), 2)
	h.add(lower, 200_000, 100)
	h.add(upper, 200_000, 100)
	h.sendFor(8*time.Second, all) // both at full rate
	once := true
	h.sendFor(200*time.Millisecond, func(r *Request) Reply {
		for _, e := range r.Entries {
			if e.lane == "s0" && once {
				once = false
				return stored(r, "s0")
			}
		}
		return stored(r)
	})
	after := h.sendFor(time.Second, all)
	if a, b := float64(after["s0"])/shardBytes, float64(after["s1"])/shardBytes; a < 0.2 || a > 0.6 || b < 0.9 {
		t.Errorf("after a throttle of one, lanes at %.2f and %.2f of the limit", a, b)
	}
}

func TestAFailureThatIsNoThrottleCostsNothing(t *testing.T) {
	h := newHarness(t, flowing(), 1)
	h.add(lower, 100_000, 100)
	h.sendFor(8*time.Second, all)
	f := h.lanes[0].flow
	for f.open(h.now).After(h.now) {
		h.now = h.now.Add(time.Millisecond)
	}
	before := *f
	reply := func(r *Request) Reply {
		reply := stored(r, "s0")
		for i := range reply.Results {
			reply.Results[i].Class = awsx.Transient
		}
		return reply
	}
	r := h.request()
	h.answer(r, reply(r))
	if f.rate != before.rate || f.bytes < before.bytes-1e-9 || f.records < before.records-1e-9 {
		t.Errorf("flow %+v, then %+v", before, *f)
	}
	r = h.request() // at once: such a fault is usually over
	h.answer(r, reply(r))
	if again := h.lanes[0].delay.until; !again.After(h.now) {
		t.Error("a fault that comes again and again is not waited out")
	}
}

// used is a flow that has stored for some seconds at its rate.
func used(percent int, rate float64) *flow {
	f := newFlow(Limits{RatePercent: percent}, rand.New(rand.NewPCG(1, 1)))
	f.fill(start)
	f.rate = rate
	return f
}

func TestARateFallsToTheLeastAndComesBackWhenThrottlesStayAway(t *testing.T) {
	t.Parallel()
	f := used(150, 1)
	now := start
	for range 50 {
		f.throttle(now, now, 0)
		now = now.Add(time.Second)
	}
	if f.rate != leastRate {
		t.Fatalf("rate %v after fifty throttles", f.rate)
	}
	f.fill(now.Add(news - 2*time.Second))
	if f.rate != leastRate || f.starting {
		t.Errorf("rate %v before a minute has passed", f.rate)
	}
	f.fill(now.Add(news))
	if f.rate != firstRate || !f.starting {
		t.Errorf("rate %v a minute after the latest throttle", f.rate)
	}
}

func TestThrottlesOfOneMomentLowerTheRateOnce(t *testing.T) {
	t.Parallel()
	f := used(100, 1)
	f.steps, f.starting, f.throttled = 100, false, start.Add(-time.Second)
	for i := range 10 {
		at := start.Add(time.Duration(i) * 20 * time.Millisecond)
		f.throttle(at, at, 0)
	}
	if f.rate != cut {
		t.Errorf("rate %v", f.rate)
	}
	f.throttle(start, start.Add(time.Second), 0) // sent before it was lowered
	if f.rate != cut {
		t.Errorf("rate %v after an answer that was late", f.rate)
	}
	f.throttle(start.Add(time.Second), start.Add(time.Second), 0)
	if f.rate != cut*cutSoon {
		t.Errorf("rate %v after a throttle of the new rate", f.rate)
	}
}

func TestAfterAThrottleOneRecordAsksWhetherThereIsRoom(t *testing.T) {
	h := newHarness(t, Limits{RatePercent: 100}, 1)
	h.add(lower, 5000, 100)
	h.sendFor(8*time.Second, all)
	h.add(lower, 5000, 100)
	r := h.request()
	h.answer(r, stored(r, "s0"))
	h.now = h.now.Add(200 * time.Millisecond)
	if r = h.request(); len(r.Entries) != 1 {
		t.Fatalf("%d entries ask", len(r.Entries))
	}
	h.now = h.now.Add(100 * time.Millisecond)
	h.none()
	h.answer(r, stored(r))
	h.now = h.now.Add(100 * time.Millisecond)
	if r = h.request(); len(r.Entries) < 2 {
		t.Errorf("%d entries after one was stored", len(r.Entries))
	}
	h.answer(r, stored(r, "s0"))
	h.now = h.now.Add(200 * time.Millisecond)
	h.request() // its answer is late
	h.now = h.now.Add(time.Second)
	h.request()
}

func TestChildrenOfAShardInheritItsRate(t *testing.T) {
	h := newHarness(t, flowing(), 1)
	h.add(lower, 100_000, 100)
	h.sendFor(8*time.Second, all)
	once := true
	h.sendFor(200*time.Millisecond, func(r *Request) Reply {
		if once {
			once = false
			return stored(r, "s0")
		}
		return stored(r)
	})
	rate := h.lanes[0].flow.rate
	h.now = h.now.Add(time.Minute / 2)
	m := h.setMap(h.shards, "c", 2)
	for _, l := range h.lanes {
		if l.flow.rate != rate || l.flow.starting {
			t.Errorf("rate %v after a split, %v before", l.flow.rate, rate)
		}
	}
	h.lanes[1].flow.rate = rate / 2
	h.setMap(m, "m", 1)
	if got := h.lanes[0].flow.rate; got != rate/2 {
		t.Errorf("rate %v after a merge of %v and %v", got, rate, rate/2)
	}
}
