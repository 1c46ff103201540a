package send

import (
	"container/heap"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/kinesiskit/kinesiskit/internal/awsx"
	"github.com/kinesiskit/kinesiskit/producer/internal/route"
	"github.com/kinesiskit/kinesiskit/shard"
)

var crowds = flag.Int("crowds", 2, "with how many seeds crowds of producers are measured")

// crowd is producers that saturate one shard, and a model of the shard: two buckets, which hold burst of what it takes.
type crowd struct {
	limits    Limits
	producers int
	size      int     // of a user record's data
	faults    float64 // share of entries that fail without being throttled
	throttles float64 // share of entries that are throttled although there is room
	churn     bool    // every fifth producer leaves at some moment, and others join at other moments

	burst     time.Duration
	roundTrip time.Duration
	late      float64 // share of answers that come up to 2 s late

	t              *testing.T
	rng            *rand.Rand
	now            time.Time
	events         events
	n              int       // of events: those of one moment happen in the order in which they were made
	bytes, records time.Time // up to when each has been used
	peers          []*peer
	measured       [2]measure // in the first minute, and in the second
}

// measure is what the shard was asked for and what it took.
type measure struct{ attempts, throttled, bytes, records int }

func (m measure) throttledShare() float64 { return float64(m.throttled) / float64(max(m.attempts, 1)) }

// goodput is the used share of what a shard takes in a minute.
func (m measure) goodput() float64 {
	return max(float64(m.bytes)/shardBytes, float64(m.records)/shardRecords) / 60
}

type event struct {
	at time.Time
	n  int
	do func()
}

type events []event

func (q *events) Len() int { return len(*q) }
func (q *events) Less(i, j int) bool {
	a, b := (*q)[i], (*q)[j]
	return a.at.Before(b.at) || a.at.Equal(b.at) && a.n < b.n
}
func (q *events) Swap(i, j int) { (*q)[i], (*q)[j] = (*q)[j], (*q)[i] }
func (q *events) Push(x any)    { *q = append(*q, x.(event)) }
func (q *events) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

func (c *crowd) at(t time.Time, do func()) {
	c.n++
	heap.Push(&c.events, event{t, c.n, do})
}

// peer is one producer of a crowd: a Core, and what an engine does with it.
type peer struct {
	*Core
	crowd  *crowd
	seq    uint64
	data   []byte
	wake   time.Time
	left   bool
	last   uint64 // item that was stored
	amount int    // of bytes that were stored
}

func (c *crowd) join(m *route.Map) *peer {
	rng := rand.New(rand.NewPCG(c.rng.Uint64(), 1))
	p := &peer{Core: New(c.limits, rng, Errors{errExpired, errStopped, errPredecessor}), crowd: c, data: make([]byte, c.size)}
	c.peers = append(c.peers, p)
	var step Step
	p.SetSpread(route.SpreadByKeys)
	p.SetMap(m, &step)
	p.turn()
	return p
}

// turn takes new records, of which there are always more than can be sent, and sends what may be sent.
func (p *peer) turn() {
	c := p.crowd
	if p.left {
		return
	}
	var step Step
	for p.lanes[0].bytes < 3<<20 {
		items := make([]*Item, 100)
		for i := range items {
			p.seq++
			items[i] = &Item{Key: "key", Data: p.data, Hash: shard.HashKey{Lo: p.seq % 1000}, Seq: p.seq, Accepted: c.now}
		}
		p.Add(items, &step)
	}
	for {
		r, wake := p.Next(c.now)
		if r == nil {
			if !wake.IsZero() && (!p.wake.After(c.now) || wake.Before(p.wake)) {
				p.wake = wake
				c.at(wake, p.turn)
			}
			return
		}
		for _, e := range r.Entries {
			e.release()
		}
		c.at(c.now.Add(c.roundTrip/2), func() {
			reply, back := p.arrive(r), c.roundTrip/2
			if c.rng.Float64() < c.late {
				back += time.Duration(c.rng.Int64N(int64(2 * time.Second)))
			}
			c.at(c.now.Add(back), func() {
				p.Answer(r, reply, c.now, &step)
				p.turn()
			})
		})
	}
}

// arrive is what the service does with a request. In order, what it stores is in order.
func (p *peer) arrive(r *Request) Reply {
	c := p.crowd
	m := &c.measured[min(int(c.now.Sub(start)/time.Minute), 1)]
	results := make([]Result, len(r.Entries))
	for i, e := range r.Entries {
		m.attempts++
		switch {
		case c.rng.Float64() < c.faults:
			results[i].Failure = Failure{Err: errors.New("fault"), Class: awsx.Transient, Code: "InternalFailure"}
		case c.rng.Float64() < c.throttles || !c.takes(e.Bytes):
			m.throttled++
			results[i].Failure = Failure{Err: errors.New("busy"), Class: awsx.Throttle, Code: "busy"}
		default:
			m.bytes += e.Bytes
			m.records++
			results[i] = Result{Shard: e.lane, Sequence: "1"}
			p.amount += e.Bytes
			if c.limits.Ordered && e.Items[0].Seq != p.last+1 {
				c.t.Fatalf("%d is stored behind %d", e.Items[0].Seq, p.last)
			}
			p.last = e.Items[len(e.Items)-1].Seq
		}
	}
	return Reply{Results: results}
}

// takes is the model of kinesistest with another burst.
func (c *crowd) takes(size int) bool {
	use := func(used time.Time, cost time.Duration) (time.Time, bool) {
		if used.Before(c.now) {
			used = c.now
		}
		used = used.Add(cost)
		return used, used.Sub(c.now) <= c.burst
	}
	bytes, ok := use(c.bytes, time.Duration(size)*time.Second/shardBytes)
	if !ok {
		return false
	}
	records, ok := use(c.records, time.Second/shardRecords)
	if ok {
		c.bytes, c.records = bytes, records
	}
	return ok
}

// begin lets the producers of a crowd that will live for d start cold. The first seeds are the corners of what is varied, the others are drawn.
func (c *crowd) begin(t *testing.T, seed uint64, d time.Duration) {
	t.Helper()
	c.t, c.rng = t, rand.New(rand.NewPCG(seed, 7))
	c.now, c.bytes, c.records = start, start, start
	c.roundTrip = 10*time.Millisecond + time.Duration(c.rng.Int64N(int64(190*time.Millisecond)))
	c.burst = time.Second + time.Duration(c.rng.Int64N(int64(9*time.Second)))
	c.late = c.rng.Float64() * 0.05
	switch seed {
	case 0:
		c.roundTrip, c.burst, c.late = 10*time.Millisecond, time.Second, 0
	case 1:
		c.roundTrip, c.burst, c.late = 200*time.Millisecond, 10*time.Second, 0.05
	case 2:
		c.roundTrip, c.burst, c.late = 200*time.Millisecond, time.Second, 0.05
	case 3:
		c.roundTrip, c.burst, c.late = 10*time.Millisecond, 10*time.Second, 0.05
	}
	m, err := route.Next(nil, []shard.Shard{{ID: "s0", First: "1", Range: shard.HashRange{End: shard.MaxHashKey}}}, start)
	if err != nil {
		t.Fatal(err)
	}
	within := func(d time.Duration) time.Time { return start.Add(time.Duration(c.rng.Int64N(int64(d)))) }
	for i := range c.producers {
		c.at(within(100*time.Millisecond), func() {
			p := c.join(m)
			if c.churn && i%5 == 0 && c.producers > 1 {
				c.at(within(d), func() { p.left = true })
				c.at(within(d), func() { c.join(m) })
			}
		})
	}
}

// until simulates up to d after the start.
func (c *crowd) until(d time.Duration) {
	for end := start.Add(d); len(c.events) > 0 && c.events[0].at.Before(end); {
		e := heap.Pop(&c.events).(event)
		c.now = e.at
		e.do()
	}
}

// worst measures a crowd with many seeds: the first minute from a cold start, and with all of -crowds also the second.
func worst(t *testing.T, crowd func() *crowd) (worst measures) {
	t.Helper()
	d := time.Minute
	if *crowds > 2 {
		d *= 2
	}
	worst = measures{{0, 9}, {0, 9}}
	for seed := range uint64(*crowds) {
		c := crowd()
		c.begin(t, seed, d)
		c.until(d)
		line := fmt.Sprintf("seed %d: round trip %v, burst %v, %.1f%% late:", seed, c.roundTrip.Round(time.Millisecond), c.burst.Round(100*time.Millisecond), 100*c.late)
		for i, m := range c.measured[:d/time.Minute] {
			line += fmt.Sprintf("  %.1f%% of %d throttled, %.1f%% used", 100*m.throttledShare(), m.attempts, 100*m.goodput())
			worst[i].throttled = max(worst[i].throttled, m.throttledShare())
			worst[i].goodput = min(worst[i].goodput, m.goodput())
		}
		t.Log(line)
	}
	t.Logf("worst: %.1f%% throttled, %.1f%% used", 100*worst[0].throttled, 100*worst[0].goodput)
	if d > time.Minute {
		t.Logf("worst in the second minute: %.1f%% throttled, %.1f%% used", 100*worst[1].throttled, 100*worst[1].goodput)
	}
	return worst
}

type measures [2]struct{ throttled, goodput float64 }

func limits() Limits {
	return Limits{Linger: 100 * time.Millisecond, AggregateBytes: 50 << 10, BatchRecords: 500, BatchBytes: 5 << 20, InFlight: 24, RatePercent: 150}
}

func TestProducersShareASaturatedShard(t *testing.T) {
	for _, n := range []struct {
		producers                  int
		mostThrottled, leastStored float64
	}{
		{1, 0.05, 0.90}, // alone and far away: it begins small all the same
		{2, 0.05, 0.93},
		{10, 0.05, 0.95},
		{50, 0.10, 0.90},
	} {
		for _, size := range []int{1000, 100} {
			for _, churn := range []bool{false, true} {
				if churn == (n.producers == 1) && (churn || *crowds == 2) {
					continue
				}
				t.Run(fmt.Sprintf("%d producers, %d bytes, churn %v", n.producers, size, churn), func(t *testing.T) {
					t.Parallel()
					got := worst(t, func() *crowd {
						c := &crowd{limits: limits(), producers: n.producers, size: size, churn: churn}
						if size < 1000 {
							c.limits.AggregateBytes = 0 // so that a shard's records are what is scarce
						}
						return c
					})
					for i, m := range got {
						if m.throttled > n.mostThrottled || m.goodput < n.leastStored {
							t.Errorf("minute %d: want at most %.0f%% throttled, at least %.0f%% used", i, 100*n.mostThrottled, 100*n.leastStored)
						}
					}
				})
			}
		}
	}
}

// Every third attempt fails, and some answers are up to 2 s late: all of it holds up the lane.
func TestInOrderMostOfAShardIsUsedAlthoughEntriesFail(t *testing.T) {
	t.Parallel()
	got := worst(t, func() *crowd {
		c := &crowd{limits: limits(), producers: 1, size: 1000, faults: 0.3}
		c.limits.Ordered = true
		return c
	})
	for i, m := range got {
		if m.goodput < 0.8 {
			t.Errorf("minute %d: want at least 80%%", i)
		}
	}
}

// Throttles at random look like a shard that is shared by very many: the rate falls to the least, and no further.
func TestInOrderRandomThrottlesDoNotStopALane(t *testing.T) {
	t.Parallel()
	got := worst(t, func() *crowd {
		c := &crowd{limits: limits(), producers: 1, size: 1000, throttles: 0.3}
		c.limits.Ordered = true
		return c
	})
	for i, m := range got {
		if m.goodput < 0.005 {
			t.Errorf("minute %d: want at least 0.5%%", i)
		}
	}
}

func TestALatecomerGetsItsShare(t *testing.T) {
	t.Parallel()
	c := &crowd{limits: limits(), producers: 4, size: 1000}
	c.begin(t, 0, time.Minute)
	c.until(time.Minute)
	late := c.join(c.peers[0].shards)
	c.until(2 * time.Minute)
	before := late.amount
	c.until(3 * time.Minute)
	if share := float64(late.amount-before) / (60 * shardBytes); share < 0.1 || share > 0.4 {
		t.Errorf("the fifth producer of a shard gets %.2f of it", share)
	}
}
