package send

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/kinesiskit/kinesiskit/internal/awsx"
	"github.com/kinesiskit/kinesiskit/producer/internal/route"
	"github.com/kinesiskit/kinesiskit/shard"
)

var (
	start          = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	errExpired     = errors.New("expired")
	errStopped     = errors.New("stopped")
	errPredecessor = errors.New("predecessor")
)

// harness drives a Core by hand.
type harness struct {
	*testing.T
	*Core
	now  time.Time
	seq  uint64
	step Step
}

func newHarness(t *testing.T, l Limits, shards int) *harness {
	t.Helper()
	t.Parallel()
	if l.InFlight == 0 {
		l.InFlight = 24
	}
	if l.BatchRecords == 0 {
		l.BatchRecords = 500
	}
	if l.BatchBytes == 0 {
		l.BatchBytes = 5 << 20
	}
	h := &harness{T: t, Core: New(l, rand.New(rand.NewPCG(1, 1)), Errors{errExpired, errStopped, errPredecessor}), now: start}
	h.SetSpread(route.SpreadByKeys)
	h.setMap(nil, "s", shards)
	return h
}

// setMap divides the ring into 2, 4, 8 … equal shards.
func (h *harness) setMap(old *route.Map, prefix string, shards int) *route.Map {
	h.Helper()
	var list []shard.Shard
	width := ^uint64(0)/uint64(shards) + 1
	for i := range shards {
		end := shard.MaxHashKey
		if i < shards-1 {
			end = shard.HashKey{Hi: width*uint64(i+1) - 1, Lo: ^uint64(0)}
		}
		list = append(list, shard.Shard{
			ID: fmt.Sprint(prefix, i), First: "1", Range: shard.HashRange{Start: shard.HashKey{Hi: width * uint64(i)}, End: end},
		})
	}
	m, err := route.Next(old, list, h.now)
	if err != nil {
		h.Fatal(err)
	}
	h.SetMap(m, &h.step)
	return m
}

// add accepts n records for the place on the ring, of 100 bytes each.
func (h *harness) add(hi uint64, n, size int) {
	var items []*Item
	for range n {
		h.seq++
		items = append(items, &Item{Key: "k", Data: make([]byte, size), Hash: shard.HashKey{Hi: hi, Lo: h.seq}, Seq: h.seq, Accepted: h.now})
	}
	h.Add(items, &h.step)
}

func (h *harness) request() *Request {
	h.Helper()
	r, _ := h.Next(h.now)
	if r == nil {
		h.Fatal("no request")
	}
	return r
}

func (h *harness) none() {
	h.Helper()
	if r, _ := h.Next(h.now); r != nil {
		h.Fatalf("a request of %d entries", len(r.Entries))
	}
}

func (h *harness) answer(r *Request, reply Reply) {
	h.Answer(r, reply, h.now, &h.step)
}

// stored answers that every entry is where it was expected, but for those of failing lanes.
func stored(r *Request, failing ...string) Reply {
	results := make([]Result, len(r.Entries))
	for i, e := range r.Entries {
		results[i] = Result{Shard: e.lane, Sequence: "1"}
		for _, l := range failing {
			if e.lane == l {
				results[i] = Result{Failure: Failure{Err: errors.New("busy"), Class: awsx.Throttle, Code: "busy"}}
			}
		}
	}
	return Reply{Results: results}
}

const lower, upper = 0, 1 << 63

func TestWholeAggregatesGoInTheNextRequestAndTheRestLingers(t *testing.T) {
	h := newHarness(t, Limits{Linger: time.Second, AggregateBytes: 10_000}, 2)
	h.add(lower, 2600, 100) // more than 256 KiB
	h.add(upper, 10, 100)
	r := h.request()
	n := r.UserRecords()
	for _, e := range r.Entries {
		if e.lane != "s0" || e.Bytes > 10_000 || e.Bytes < 9_800 {
			t.Errorf("entry for %s of %d bytes", e.lane, e.Bytes)
		}
	}
	if n >= 2600 || n < 2400 {
		t.Errorf("%d records", n)
	}
	h.none()
	h.now = h.now.Add(time.Second)
	if got := h.request().UserRecords(); got != 2610-n {
		t.Errorf("%d records, want the other %d", got, 2610-n)
	}
	h.none()
}

func TestNoLaneGetsMoreOfARequestThanItsShardTakesInASecond(t *testing.T) {
	h := newHarness(t, Limits{AggregateBytes: 50_000}, 2)
	h.add(lower, 40_000, 100)
	h.add(upper, 10, 100)
	r := h.request()
	of := make(map[string]int)
	for _, e := range r.Entries {
		of[e.lane] += e.Bytes
	}
	if of["s0"] > 1<<20 || of["s0"] < 990_000 || of["s1"] == 0 {
		t.Errorf("bytes by lane: %v", of)
	}
}

func TestEachRequestBeginsWithAnotherLane(t *testing.T) {
	h := newHarness(t, Limits{BatchRecords: 10}, 4)
	for i := range uint64(4) {
		h.add(i<<62, 100, 10)
	}
	of := make(map[string]int)
	for range 4 {
		for _, e := range h.request().Entries {
			of[e.lane]++
		}
	}
	for i := range 4 {
		if n := of[fmt.Sprint("s", i)]; n != 10 {
			t.Errorf("lanes had %v entries in four requests", of)
			break
		}
	}
}

func TestWithOneRequestAtATimeALaneHasOneRecordInIt(t *testing.T) {
	h := newHarness(t, Limits{InFlight: 1, AggregateBytes: 1000}, 2)
	h.add(lower, 50, 100)
	h.add(upper, 50, 100)
	r := h.request()
	if len(r.Entries) != 2 || r.Entries[0].lane == r.Entries[1].lane {
		t.Errorf("%d entries", len(r.Entries))
	}
	h.none()
	first := r.Entries[0].Items
	h.answer(r, stored(r, r.Entries[0].lane))
	r = h.request() // of the other lane
	if len(r.Entries) != 1 {
		t.Fatalf("%d entries while one lane waits", len(r.Entries))
	}
	h.answer(r, stored(r))
	h.now = h.now.Add(time.Second)
	r = h.request()
	for _, e := range r.Entries {
		if e.lane == "s0" && &e.Items[0] != &first[0] {
			t.Error("the failed record does not come first, or not unchanged")
		}
	}
}

func TestARetryHasTheSameBytes(t *testing.T) {
	h := newHarness(t, Limits{AggregateBytes: 1000}, 1)
	h.add(lower, 5, 100)
	r := h.request()
	key, hash, data := r.Entries[0].Payload()
	h.answer(r, stored(r, "s0"))
	h.add(lower, 5, 100)
	h.now = h.now.Add(time.Second)
	again := h.request().Entries[0]
	key2, hash2, data2 := again.Payload()
	if key != "a" || key2 != key || hash2 != hash || !bytes.Equal(data, data2) || len(data) != again.Bytes-1 {
		t.Errorf("%s %s %x, then %s %s %x", key, hash, data, key2, hash2, data2)
	}
}

func TestRequestsThatFailTogetherDelayOnce(t *testing.T) {
	h := newHarness(t, Limits{}, 1)
	var requests []*Request
	for range firstWidth {
		h.add(lower, 1, 10)
		requests = append(requests, h.request())
	}
	h.now = h.now.Add(time.Millisecond)
	for _, r := range requests {
		h.answer(r, Reply{Failure: Failure{Err: errors.New("x"), Class: awsx.Transient, Ambiguous: true}})
	}
	if wait := h.gate.until.Sub(h.now); wait < gateFirst/2 || wait > gateFirst {
		t.Errorf("waits %v after failures of one moment", wait)
	}
	h.now = h.gate.until
	h.answer(h.request(), Reply{Failure: Failure{Err: errors.New("x"), Class: awsx.Transient}})
	if wait := h.gate.until.Sub(h.now); wait < gateFirst || wait > 2*gateFirst {
		t.Errorf("waits %v after the second failure", wait)
	}
}

func TestAfterASplitFailedRecordsMoveToTheLanesOfTheChildren(t *testing.T) {
	h := newHarness(t, Limits{AggregateBytes: 10_000}, 1)
	h.add(lower, 2, 100)
	h.add(upper, 2, 100)
	r := h.request()
	h.answer(r, stored(r, "s0"))
	h.add(lower, 1, 100)
	h.add(upper, 1, 100)
	h.setMap(h.Shards(), "t", 2)
	h.now = h.now.Add(time.Second)
	r = h.request()
	if len(r.Entries) != 2 {
		t.Fatalf("%d entries", len(r.Entries))
	}
	for _, e := range r.Entries {
		if len(e.Items) != 3 || e.Items[0].Seq > e.Items[1].Seq || e.Items[1].Seq > e.Items[2].Seq {
			t.Errorf("lane %s: %d items", e.lane, len(e.Items))
		}
		if _, tries := e.Items[0].Attempts(e.attempts, e.tries); tries != 1 {
			t.Errorf("the history is lost: %d tries", tries)
		}
	}
	h.answer(r, stored(r))
	if len(h.step.Outcomes) != 2 || h.step.Outcomes[0].Err != nil || h.step.Outcomes[0].MayExist {
		t.Errorf("outcomes %+v", h.step.Outcomes)
	}
}

func TestAShardOfTheSameNameWithAnotherRangeIsAnotherLane(t *testing.T) {
	h := newHarness(t, Limits{AggregateBytes: 10_000, Linger: time.Second}, 2)
	h.add(lower, 1, 100)
	h.add(1<<62, 1, 100)
	h.setMap(nil, "s", 4) // s0 and s1 are quarters now
	h.now = h.now.Add(time.Second)
	r := h.request()
	if len(r.Entries) != 2 || r.Entries[0].lane != "s0" || r.Entries[1].lane != "s1" {
		t.Errorf("%d entries", len(r.Entries))
	}
}

func TestAnAnswerWithTheWrongNumberOfResultsIsNone(t *testing.T) {
	h := newHarness(t, Limits{}, 1)
	h.add(lower, 3, 10)
	r := h.request()
	h.answer(r, Reply{Results: stored(r).Results[:2]})
	if len(h.step.Outcomes) != 0 {
		t.Fatalf("outcomes %+v", h.step.Outcomes)
	}
	h.now = h.now.Add(time.Second)
	r = h.request()
	h.answer(r, stored(r))
	if len(h.step.Outcomes) != 3 || !h.step.Outcomes[0].MayExist {
		t.Errorf("outcomes %+v", h.step.Outcomes)
	}
}

func TestAnUnknownErrorCodeOfAnEntryIsRetried(t *testing.T) {
	h := newHarness(t, Limits{}, 1)
	h.add(lower, 1, 10)
	r := h.request()
	h.answer(r, Reply{Results: []Result{{Failure: Failure{Err: errors.New("?"), Class: awsx.Transient, Code: "Unheard"}}}})
	if len(h.step.Outcomes) != 0 {
		t.Errorf("outcomes %+v", h.step.Outcomes)
	}
	h.now = h.now.Add(time.Second)
	h.request()
}

func TestWhatIsSentAgainGoesOldestFirst(t *testing.T) {
	t.Parallel()
	l := newLane(shard.Shard{ID: "s"}, nil)
	for _, seq := range []uint64{5, 2, 9, 7, 1} {
		l.putReady(&Entry{Items: []*Item{{Seq: seq}}})
	}
	var got []uint64
	for _, e := range l.ready {
		got = append(got, e.Items[0].Seq)
	}
	if want := []uint64{1, 2, 5, 7, 9}; !slices.Equal(got, want) {
		t.Errorf("order %v, want %v", got, want)
	}
}

func TestAStopSettlesWhatNobodyKnowsTheShardOfOnce(t *testing.T) {
	h := newHarness(t, Limits{AggregateBytes: 10_000}, 2)
	h.add(lower, 10, 100)
	r := h.request()
	h.answer(r, Reply{Results: []Result{{Shard: "unheard-of", Sequence: "1"}}})
	if len(h.step.Outcomes) != 0 {
		t.Fatalf("%d outcomes before the shard is known", len(h.step.Outcomes))
	}
	h.Stop(&h.step)
	old := h.Shards()
	h.setMap(old, "t", 4) // a listing that was on its way
	h.Refuse(errors.New("denied"), &h.step)
	settled := 0
	for _, o := range h.step.Outcomes {
		settled += len(o.Items)
		if !errors.Is(o.Err, errStopped) || !o.MayExist {
			t.Errorf("%v, may exist %v; want stopped, and that it may", o.Err, o.MayExist)
		}
	}
	if settled != 10 {
		t.Errorf("%d records settled, want each of 10 once", settled)
	}
}

func TestAggregatesGrowWithTheTimeOfACycle(t *testing.T) {
	h := newHarness(t, Limits{Ordered: true, AggregateBytes: 10_000}, 1)
	cycle := func(d time.Duration) int {
		h.add(lower, 50_000, 100)
		r := h.request()
		h.none()
		h.now = h.now.Add(d)
		h.answer(r, stored(r))
		return r.Entries[0].Bytes
	}
	if n := cycle(100 * time.Millisecond); n > 10_000 {
		t.Errorf("the first has %d bytes", n)
	}
	if n := cycle(100 * time.Millisecond); n < 200_000 || n > 220_000 {
		t.Errorf("%d bytes after a cycle of 100 ms: the shard takes 105,000 in that time", n)
	}
	for range 10 {
		cycle(3 * time.Second)
	}
	if n := cycle(time.Millisecond); n < 500_000 || n > mostAggregate {
		t.Errorf("%d bytes after cycles of 3 s", n)
	}
	for range 20 {
		cycle(time.Millisecond)
	}
	if n := cycle(time.Millisecond); n > 20_000 {
		t.Errorf("%d bytes after cycles of 1 ms", n)
	}
}

// A split while a record of the parent is under way: what its children have to send waits for its verdict, and the rest does not.
func TestALaneOfALaterMapWaitsForWhatMeetsItsHashKeys(t *testing.T) {
	h := newHarness(t, Limits{Ordered: true, AggregateBytes: 10_000}, 2)
	h.add(lower, 1, 100)
	h.add(1<<62, 1, 100)
	r := h.request() // of s0
	h.add(lower, 1, 100)
	h.add(1<<62, 1, 100)
	h.add(upper, 1, 100)
	old := h.Shards()
	h.setMap(old, "t", 4)
	other := h.request()
	if len(other.Entries) != 1 || other.Entries[0].lane != "t2" {
		t.Fatalf("%d entries, the first for %s", len(other.Entries), other.Entries[0].lane)
	}
	h.none()
	h.answer(r, Reply{Results: []Result{{Shard: "unheard-of", Sequence: "1"}}})
	h.none() // it may have to be sent again
	old = h.Shards()
	h.setMap(old, "u", 8)
	h.none()
	h.answer(other, stored(other))
	h.Refuse(errors.New("denied"), &h.step)
	next := h.request()
	for _, e := range next.Entries {
		if len(e.Items) != 1 || e.Items[0].Seq < 3 || e.Items[0].Seq > 4 {
			t.Errorf("%d items from %d", len(e.Items), e.Items[0].Seq)
		}
	}
	if len(next.Entries) != 2 {
		t.Errorf("%d entries", len(next.Entries))
	}
}
