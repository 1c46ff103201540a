// Package progress follows the shards that a worker holds, by what its hooks tell, for adapters that export gauges of them.
package progress

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/consumer"
	"github.com/kinesiskit/kinesiskit/lease"
)

// Shards is what one consumer holds. Its methods are what hooks of the same names should call; the zero value is ready. Safe for concurrent use.
type Shards struct {
	mu   sync.Mutex
	held map[place]*held
}

// place is a shard. The stream is empty where the lease does not name it: an application that reads one stream, and rows that KCL made.
type place struct{ stream, shard string }

// held is one shard, from Acquired to Ended.
type held struct {
	stream  string        // learned from what is read, if the lease does not say
	read    bool          // a page was fetched: behind says something
	behind  time.Duration // of the page that was fetched last
	high    checkpoint.Position
	stored  time.Time // when a position was stored last, or the shard acquired
	undone  []run
	running []time.Time // starts of the calls of user code that run
}

// run is neighbouring records that were delivered and not stored.
type run struct {
	last    checkpoint.Position
	arrival time.Time // of the first
	records int
}

// Runs whose records arrived within mergeWithin are one, so that memory and work do not grow with the records; and there are maxRuns at most.
const (
	mergeWithin = time.Second
	maxRuns     = 1024
)

// Shard is a shard that is held, at the moment of Held.
type Shard struct {
	Stream, ID string
	Read       bool          // Behind and Lag say something
	Behind     time.Duration // how far what was fetched is behind the tip
	Lag        time.Duration // how old the oldest record is that was delivered and is not stored as done; Behind if all is stored
	Undone     int           // records that were delivered and are not stored as done
	Unstored   time.Duration // since a position was stored last
	Busy       time.Duration // how long the longest running call of user code has been running
}

// Acquired begins a shard. It returns which one it is, as Ended does.
func (s *Shards) Acquired(e lease.Event) (stream, shard string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held == nil {
		s.held = map[place]*held{}
	}
	at := placeOf(e.Lease)
	s.held[at] = &held{stream: at.stream, stored: time.Now(), high: e.Lease.Checkpoint.Position}
	return at.stream, at.shard
}

// Ended ends a shard: whatever its goroutines still report is of no account. It returns which one it was; the stream is empty if nobody named it.
func (s *Shards) Ended(e lease.Event) (stream, shard string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := placeOf(e.Lease)
	if h := s.held[at]; h != nil {
		at.stream = h.stream
	}
	delete(s.held, placeOf(e.Lease))
	return at.stream, at.shard
}

// placeOf: keys of an application that reads several streams are account:stream:epoch:shard, others are shards.
func placeOf(l lease.Lease) place {
	parts := strings.Split(l.Key, ":")
	if len(parts) == 4 {
		return place{parts[1], parts[3]}
	}
	return place{l.Stream, l.Key}
}

// at finds a held shard, nil if it is not held. The caller has the lock.
func (s *Shards) at(stream, shard string) *held {
	if h := s.held[place{stream, shard}]; h != nil {
		return h
	}
	return s.held[place{"", shard}]
}

// Fetched notes how far a page is behind.
func (s *Shards) Fetched(e consumer.FetchEvent) {
	if e.Err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.at(e.Stream, e.Shard); h != nil {
		h.stream, h.read, h.behind = e.Stream, true, e.Behind
	}
}

// ProcessStart notes a call of user code. The time is for ProcessEnd.
func (s *Shards) ProcessStart(b *consumer.Batch) time.Time {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.at(b.Shard.Stream(), b.Shard.ID())
	if h == nil {
		return now
	}
	h.running = append(h.running, now)
	// What is not higher was delivered before, and failed; or, with several keys at a time, a neighbour was a moment faster, which then stands for both.
	if last := b.Records[len(b.Records)-1].Position; last.Compare(h.high) > 0 {
		h.high = last
		h.deliver(run{last, b.Records[0].ArrivalTime, len(b.Records)})
	}
	return now
}

func (h *held) deliver(r run) {
	if n := len(h.undone); n > 0 {
		if end := &h.undone[n-1]; n == maxRuns || r.arrival.Sub(end.arrival) < mergeWithin {
			end.last = r.last
			end.records += r.records
			return
		}
	}
	h.undone = append(h.undone, r)
}

// ProcessEnd ends the call that began then.
func (s *Shards) ProcessEnd(b *consumer.Batch, began time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.at(b.Shard.Stream(), b.Shard.ID()); h != nil {
		if i := slices.Index(h.running, began); i >= 0 {
			h.running = slices.Delete(h.running, i, i+1)
		}
	}
}

// Checkpointed notes a position that was stored.
func (s *Shards) Checkpointed(e consumer.CheckpointEvent) {
	if e.Err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.at(e.Stream, e.Shard)
	if h == nil {
		return
	}
	h.stored = time.Now()
	done := 0
	for done < len(h.undone) && h.undone[done].last.Compare(e.Position) <= 0 {
		done++
	}
	h.undone = slices.Delete(h.undone, 0, done)
}

// Held returns the shards that are held, by stream and id.
func (s *Shards) Held() []Shard {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Shard, 0, len(s.held))
	for at, h := range s.held {
		all = append(all, h.show(at.shard, now))
	}
	slices.SortFunc(all, func(a, b Shard) int {
		return cmp.Or(strings.Compare(a.Stream, b.Stream), strings.Compare(a.ID, b.ID))
	})
	return all
}

func (h *held) show(id string, now time.Time) Shard {
	sh := Shard{Stream: h.stream, ID: id, Read: h.read, Behind: h.behind, Lag: h.behind, Unstored: now.Sub(h.stored)}
	for _, r := range h.undone {
		sh.Undone += r.records
	}
	if len(h.undone) > 0 {
		sh.Lag = max(0, now.Sub(h.undone[0].arrival)) // the service's clock may be ahead
	}
	for _, began := range h.running {
		sh.Busy = max(sh.Busy, now.Sub(began))
	}
	return sh
}
