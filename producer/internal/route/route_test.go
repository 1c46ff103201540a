package route

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/kinesiskit/kinesiskit/shard"
)

var start = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// at is the hash key at n sixteenths of the ring; end the last one before it.
func at(n uint64) shard.HashKey { return shard.HashKey{Hi: n << 60} }

func end(n uint64) shard.HashKey {
	if n == 16 {
		return shard.MaxHashKey
	}
	return shard.HashKey{Hi: n<<60 - 1, Lo: 1<<64 - 1}
}

// open is a shard that is made the later the greater its name; p and q come before all others.
func open(id string, from, to uint64) shard.Shard {
	first := "2" + id
	if id == "p" || id == "q" {
		first = "1" + id
	}
	return shard.Shard{ID: id, Range: shard.HashRange{Start: at(from), End: end(to)}, First: first}
}

func closed(id string, from, to uint64) shard.Shard {
	s := open(id, from, to)
	s.Last = "9"
	return s
}

func next(t *testing.T, old *Map, now time.Time, listing ...shard.Shard) *Map {
	t.Helper()
	m, err := Next(old, listing, now)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestPredictFindsTheShardThatTakesAHashKey(t *testing.T) {
	t.Parallel()
	m := next(t, nil, start, open("c", 12, 16), open("a", 0, 4), open("b", 4, 12), closed("p", 0, 12))
	for _, c := range []struct {
		k    shard.HashKey
		want string
	}{{shard.HashKey{}, "a"}, {end(4), "a"}, {at(4), "b"}, {end(12), "b"}, {at(12), "c"}, {shard.MaxHashKey, "c"}} {
		if got := m.Open()[m.Predict(c.k)].ID; got != c.want {
			t.Errorf("%v goes to %s, want %s", c.k, got, c.want)
		}
	}
}

func TestAListingThatDoesNotCoverTheRingOnceDecidesNothing(t *testing.T) {
	t.Parallel()
	for name, listing := range map[string][]shard.Shard{
		"empty":    nil,
		"hole":     {open("a", 0, 4), open("b", 5, 16)},
		"tail":     {open("a", 0, 4)},
		"overlap":  {open("p", 0, 16), open("a", 0, 8)},
		"no range": {{ID: "a"}},
		"closed":   {closed("a", 0, 16)},
	} {
		if _, err := Next(nil, listing, start); !errors.Is(err, ErrIncomplete) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAVersionIsOneDivisionOfTheRing(t *testing.T) {
	t.Parallel()
	one := next(t, nil, start, open("p", 0, 16))
	if same := next(t, one, start, open("p", 0, 16)); same != one {
		t.Error("the same listing made another map")
	}
	two := next(t, one, start, open("a", 0, 8), open("b", 8, 16))
	if one.Version() != 1 || two.Version() != 2 {
		t.Errorf("versions %d, %d", one.Version(), two.Version())
	}
	full := next(t, two, start, open("a", 0, 8), open("b", 8, 16), closed("p", 0, 16), closed("q", 0, 16))
	if full.Version() != 2 || !full.Range("q").Known() {
		t.Errorf("version %d, range of q %v", full.Version(), full.Range("q"))
	}
	again := next(t, two, start, open("a", 0, 4), open("b", 4, 16))
	if again.Version() != 3 {
		t.Error("a re-created stream with the same ids is no new version")
	}
}

func TestRangesOfClosedShardsAreRememberedForAWhile(t *testing.T) {
	t.Parallel()
	m := next(t, nil, start, open("p", 0, 16))
	now := start.Add(24 * time.Hour) // p has been open all the time
	m = next(t, m, now, open("a", 0, 8), open("b", 8, 16))
	if !m.Range("p").Known() {
		t.Fatal("p is forgotten although it closed only now")
	}
	m = next(t, m, now.Add(remember), open("c", 0, 16))
	if !m.Range("p").Known() || !m.Range("a").Known() {
		t.Error("forgotten too early")
	}
	m = next(t, m, now.Add(remember+1), open("d", 0, 8), open("e", 8, 16))
	if m.Range("p").Known() || !m.Range("a").Known() {
		t.Error("p is remembered for ever, or a was forgotten with it")
	}
}

func TestAnOlderListingIsRefusedButNotARecreatedStream(t *testing.T) {
	t.Parallel()
	m := next(t, nil, start, open("p", 0, 16))
	m = next(t, m, start, open("a", 0, 8), open("b", 8, 16))
	if _, err := Next(m, []shard.Shard{open("p", 0, 16)}, start); !errors.Is(err, ErrStale) {
		t.Errorf("got %v", err)
	}
	reborn := open("p", 0, 16)
	reborn.First = "another"
	if _, err := Next(m, []shard.Shard{reborn}, start); err != nil {
		t.Errorf("re-created: %v", err)
	}
}

// The map knows a shard whose parent it has never seen: a listing from before it was made shows the parent, and nothing of it.
func TestAListingFromBeforeAShardWasMadeIsRefused(t *testing.T) {
	t.Parallel()
	m := next(t, nil, start, open("a", 0, 8), open("b", 8, 16))
	for name, listing := range map[string][]shard.Shard{
		"before both": {open("p", 0, 16)}, "before one": {open("a", 0, 8), open("q", 8, 16)},
	} {
		if _, err := Next(m, listing, start); !errors.Is(err, ErrStale) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Next(m, []shard.Shard{open("c", 0, 16)}, start); err != nil {
		t.Errorf("a merge: %v", err)
	}
}

func TestDecide(t *testing.T) {
	t.Parallel()
	one := next(t, nil, start, open("p", 0, 8), open("q", 8, 16))
	split := next(t, one, start, open("a", 0, 4), open("b", 4, 8), open("q", 8, 16))
	reborn := next(t, one, start, shard.Shard{ID: "p", Range: shard.HashRange{End: end(2)}, First: "x"}, open("r", 2, 16))
	made := func(low, high uint64) Sent {
		return Sent{Aggregate: true, Low: at(low), High: at(high), Expected: "p", Version: 1}
	}
	solo := made(1, 1)
	solo.Aggregate = false
	for name, c := range map[string]struct {
		m      *Map
		sent   Sent
		actual string
		want   Verdict
	}{
		"expected":                           {one, made(1, 7), "p", Settled},
		"expected, answered under a new map": {split, made(1, 7), "p", Settled},
		"alone anywhere":                     {one, solo, "a", Settled},
		"alone on a shard of others":         {one, solo, "q", Settled},
		"child unknown":                      {one, made(1, 7), "a", NeedMap},
		"child that holds all":               {split, made(1, 3), "a", Settled},
		"child that holds the low end":       {split, made(1, 7), "a", Resend},
		"child that holds the high end":      {split, made(1, 7), "b", Resend},
		"another shard":                      {split, made(1, 7), "q", Resend},
		"same id in a re-created stream":     {reborn, made(1, 7), "p", Resend},
	} {
		if got := c.m.Decide(c.sent, c.actual); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	if !one.Surprised(at(1), "a") || one.Surprised(at(1), "p") || !split.Surprised(at(1), "b") || split.Surprised(at(1), "p") {
		t.Error("surprise: a new shard and a wrong one are one; the expected one and one that has closed are not")
	}
}

func TestTheScheduleListsOnceThenOnSurpriseAndPeriodically(t *testing.T) {
	t.Parallel()
	s := NewSchedule(rand.New(rand.NewPCG(1, 1)))
	now := start
	expect := func(what string, want, wantFull bool) {
		t.Helper()
		if got, full := s.Start(now); got != want || full != wantFull {
			t.Errorf("%s: start %v, full %v", what, got, full)
		}
	}
	expect("at the start", true, false)
	s.Want(true)
	expect("while one is running", false, false)
	s.Done(now, true)
	expect("right after it", false, false)
	now = now.Add(gap)
	expect("for the surprise that came meanwhile", true, true)
	s.Done(now, true)
	now = now.Add(Period - 1)
	expect("before the period", false, false)
	now = now.Add(Period/5 + 1)
	expect("after the period", true, false)

	for wait := retryFirst; wait < 4*retryMost; wait *= 2 {
		s.Done(now, false)
		now = now.Add(min(wait, retryMost)/2 - 1)
		expect("too soon after a failure", false, false)
		now = now.Add(min(wait, retryMost)/2 + 2)
		expect("after a failure", true, false)
	}
	s.Done(now, false)
	s.NoLater(now.Add(time.Second))
	now = now.Add(time.Second)
	expect("brought forward", true, false)
}
