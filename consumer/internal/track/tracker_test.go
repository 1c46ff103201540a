package track

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
)

// model is what a Tracker should say, by looking at everything each time.
type model struct {
	t      *testing.T
	rng    *rand.Rand
	now    time.Time
	limits Limits
	all    []*record // in the order in which they were added, done or not; ends of pages too
	closed bool
	bound  int // once it is closed: nothing from here on begins

	tracker *Tracker[int]
	ids     map[int]uint64 // of those that run
}

type record struct {
	key           string
	at            checkpoint.Position
	bytes         int
	added, due    time.Time
	end           bool // of a page
	runs, parked  bool
	begun, isDone bool
}

func newModel(t *testing.T, seed uint64) *model {
	rng := rand.New(rand.NewPCG(seed, 1))
	limits := Limits{Records: 1 + rng.IntN(20), Bytes: 1 + rng.Int64N(200), Age: time.Duration(1 + rng.IntN(60))}
	return &model{t: t, rng: rng, now: time.Unix(1000, 0), limits: limits, tracker: New[int](limits), ids: make(map[int]uint64)}
}

func (m *model) next() checkpoint.Position {
	p, err := checkpoint.At(strconv.Itoa(1000+len(m.all)), 0)
	if err != nil {
		m.t.Fatal(err)
	}
	return p
}

// span is the window: from the oldest undone record to the newest of all.
func (m *model) span() []*record {
	for i, r := range m.all {
		if !r.isDone {
			return m.all[i:]
		}
	}
	return nil
}

func (m *model) full() bool {
	var bytes int64
	span, places := m.span(), 0
	for i, r := range span {
		bytes += int64(r.bytes)
		if !r.end || !span[i-1].end { // neighbouring ends of pages are one place
			places++
		}
	}
	return len(span) > 0 && (places >= m.limits.Records || bytes >= m.limits.Bytes || m.now.Sub(span[0].added) >= m.limits.Age)
}

// done is the position of the last record before the first that is not done.
func (m *model) done() (p checkpoint.Position) {
	for _, r := range m.all {
		if !r.isDone {
			return p
		}
		p = r.at
	}
	return p
}

// may reports whether record i may begin.
func (m *model) may(i int) bool {
	r := m.all[i]
	if r.end || r.isDone || r.runs || r.parked || m.closed && i >= m.bound {
		return false
	}
	for _, before := range m.all[:i] {
		if before.key == r.key && !before.end && !before.isDone {
			return false
		}
	}
	return true
}

func (m *model) count(is func(*record) bool) (n int) {
	for _, r := range m.all {
		if is(r) {
			n++
		}
	}
	return n
}

func (m *model) pick(is func(*record) bool) int {
	var of []int
	for i, r := range m.all {
		if is(r) {
			of = append(of, i)
		}
	}
	if len(of) == 0 {
		return -1
	}
	return of[m.rng.IntN(len(of))]
}

// step does one thing that may be done.
func (m *model) step() {
	m.now = m.now.Add(time.Duration(m.rng.IntN(4)))
	switch n := m.rng.IntN(100); {
	case n < 30 && !m.closed && !m.full():
		key, bytes := fmt.Sprint(m.rng.IntN(6)), m.rng.IntN(40)
		at := m.next()
		m.all = append(m.all, &record{key: key, at: at, bytes: bytes, added: m.now})
		m.tracker.Add(key, at, bytes, m.now, len(m.all)-1)
	case n < 35 && !m.closed:
		at := m.next()
		m.all = append(m.all, &record{end: true, isDone: true, at: at})
		m.tracker.Pass(at)
	case n < 60:
		m.begin()
	case n < 80:
		if i := m.pick(func(r *record) bool { return r.runs }); i >= 0 {
			m.all[i].runs, m.all[i].isDone = false, true
			m.tracker.Done(m.ids[i])
		}
	case n < 88:
		if i := m.pick(func(r *record) bool { return r.runs }); i >= 0 {
			r := m.all[i]
			r.runs, r.parked, r.due = false, true, m.now.Add(time.Duration(m.rng.IntN(30)))
			m.tracker.Park(m.ids[i], r.due)
			if m.closed {
				m.bound = min(m.bound, i)
			}
		}
	case n < 97:
		for _, r := range m.all {
			if !m.closed && r.parked && !r.due.After(m.now) {
				r.parked = false
			}
		}
		if !m.closed {
			m.tracker.Wake(m.now)
		}
	case n == 99 && m.rng.IntN(20) == 0 && !m.closed:
		m.close()
	}
}

func (m *model) begin() {
	id, i, ok := m.tracker.Next()
	if !ok {
		for i := range m.all {
			if m.may(i) {
				m.t.Fatalf("record %d may begin, and does not", i)
			}
		}
		return
	}
	if !m.may(i) {
		m.t.Fatalf("record %d begins: %+v", i, m.all[i])
	}
	m.all[i].runs, m.all[i].begun, m.ids[i] = true, true, id
}

func (m *model) close() {
	m.closed = true
	for i, r := range m.all {
		if r.begun {
			m.bound = i + 1
		}
	}
	for i, r := range m.all {
		if r.parked {
			m.bound = min(m.bound, i)
			break
		}
	}
	m.tracker.Close()
}

func (m *model) check() {
	t := m.t
	if got := m.tracker.Full(m.now); got != m.full() {
		t.Fatalf("full: %v", got)
	}
	p, _ := m.tracker.Progress()
	if want := m.done(); p != want {
		t.Fatalf("done up to %s, want %s", p, want)
	}
	if _, again := m.tracker.Progress(); again {
		t.Fatal("progress is told twice")
	}
	undone := m.count(func(r *record) bool { return !r.isDone })
	runs := m.count(func(r *record) bool { return r.runs })
	parked := m.count(func(r *record) bool { return r.parked })
	if m.tracker.Undone() != undone || m.tracker.Running() != runs || m.tracker.Parked() != parked {
		t.Fatalf("%d undone, %d run, %d parked; want %d, %d, %d", m.tracker.Undone(), m.tracker.Running(), m.tracker.Parked(), undone, runs, parked)
	}
	var due time.Time
	for _, r := range m.all {
		if r.parked && (due.IsZero() || r.due.Before(due)) {
			due = r.due
		}
	}
	if at, ok := m.tracker.Due(); ok == due.IsZero() || !at.Equal(due) {
		t.Fatalf("due %v, want %v", at, due)
	}
	key, at, added, ok := m.tracker.Oldest()
	if span := m.span(); ok != (len(span) > 0) || ok && (key != span[0].key || at != span[0].at || !added.Equal(span[0].added) || m.tracker.Stuck() != span[0].parked) {
		t.Fatalf("oldest %s at %s, stuck: %v, ok: %v", key, at, m.tracker.Stuck(), ok)
	}
}

func TestTheTrackerDoesAsTheModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(150) {
		m := newModel(t, seed)
		for range 600 {
			m.step()
			m.check()
		}
	}
}

// Whatever is parked and woken on the way, everything that was added is done once, each key in its order, and all of it counts.
func TestEverythingIsDoneInTheOrderOfItsKey(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 2))
		tr := New[int](Limits{Records: 50, Bytes: 1 << 20, Age: time.Hour})
		now := time.Unix(1000, 0)
		const n = 300
		order := map[string][]int{}
		var last checkpoint.Position
		for added, done := 0, 0; done < n; now = now.Add(time.Second) {
			for added < n && !tr.Full(now) {
				at, _ := checkpoint.At(strconv.Itoa(1000+added), 0)
				tr.Add(strconv.Itoa(added%7), at, 1, now, added)
				last = at
				added++
			}
			for range rng.IntN(5) {
				id, i, ok := tr.Next()
				if !ok {
					break
				}
				if rng.IntN(4) == 0 {
					tr.Park(id, now.Add(time.Duration(rng.IntN(10))*time.Second))
					continue
				}
				order[strconv.Itoa(i%7)] = append(order[strconv.Itoa(i%7)], i)
				tr.Done(id)
				done++
			}
			tr.Wake(now)
		}
		for key, got := range order {
			if !slices.IsSorted(got) {
				t.Fatalf("seed %d: key %s: %v", seed, key, got)
			}
		}
		if p, _ := tr.Progress(); p != last || tr.Undone() != 0 || !tr.Low() {
			t.Fatalf("seed %d: done up to %s, want %s", seed, p, last)
		}
	}
}
