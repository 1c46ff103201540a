// Package route decides where records go: which shard a hash key belongs to, what it means that a record was stored in another one, and when the
// shards have to be listed again. Values only: time comes in as an argument, and the listing is made by the caller.
package route

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"time"

	"github.com/kinesiskit/kinesiskit/shard"
)

// remember is how long the range of a shard that is no longer listed is kept. Only answers to requests that were under way when it closed can still
// name it, and a request lasts seconds; ten minutes leave room for any retry, and bound what a stream that is resharded all day can occupy.
const remember = 10 * time.Minute

var (
	// ErrIncomplete: the open shards of a listing do not cover every hash key exactly once. It decides nothing.
	ErrIncomplete = errors.New("incomplete listing")
	// ErrStale: the listing is older than the map at hand, see Next.
	ErrStale = errors.New("stale listing")
)

// Map says which shard takes which hash key. It is immutable: whoever holds one can work with it while the next is being made, so that nothing
// stops, and nothing is sent blindly, during a refresh.
type Map struct {
	version int64
	open    []shard.Shard // by range; together they cover the ring once
	known   map[string]memory
}

// memory is what stays known of a shard: its range never changes while its stream lives.
type memory struct {
	hashes shard.HashRange
	first  string
	closed bool
	listed time.Time // when a listing last had it
}

// Next makes the map that follows old (nil at the start) from a listing, complete or of the open shards only, obtained at now. While the open shards
// are the same the version stays, so that it stands for one division of the ring; when there is nothing new to remember either, it returns old itself.
//
// ListShards is eventually consistent, so a listing may be older than the one before. That shows where one that was open is missing
// and what covers its range is older than it: the listing is refused with ErrStale. Sequence numbers grow with time, so what was made later begins with a
// greater one, also a shard of the same name in a re-created stream.
func Next(old *Map, listing []shard.Shard, now time.Time) (*Map, error) {
	m := &Map{version: 1, known: make(map[string]memory, len(listing))}
	ranges := make([]shard.HashRange, 0, len(listing))
	for _, s := range listing {
		if !s.Range.Known() {
			return nil, fmt.Errorf("%w: shard %s has no range", ErrIncomplete, s.ID)
		}
		if s.Open() {
			m.open = append(m.open, s)
			ranges = append(ranges, s.Range)
		}
		m.known[s.ID] = memory{hashes: s.Range, first: s.First, closed: !s.Open(), listed: now}
	}
	slices.SortFunc(m.open, func(a, b shard.Shard) int { return a.Range.Start.Compare(b.Range.Start) })
	if holes := shard.Holes(ranges); len(holes) > 0 {
		return nil, fmt.Errorf("%w: no open shard from hash key %v to %v", ErrIncomplete, holes[0].Start, holes[0].End)
	}
	for i := 1; i < len(m.open); i++ {
		if m.open[i].Range.Start.Compare(m.open[i-1].Range.End) <= 0 {
			return nil, fmt.Errorf("%w: shards %s and %s overlap", ErrIncomplete, m.open[i-1].ID, m.open[i].ID)
		}
	}
	if old == nil {
		return m, nil
	}
	if gone, cover := m.older(old); gone != "" {
		return nil, fmt.Errorf("%w: shard %s is missing, and %s is older", ErrStale, gone, cover)
	}
	m.inherit(old, now)
	if !sameShards(old.open, m.open) {
		m.version = old.version + 1
		return m, nil
	}
	m.version = old.version
	if maps.EqualFunc(old.known, m.known, sameMemory) {
		return old, nil
	}
	return m, nil
}

// older finds an open shard of old that m does not have, and one in its place that began before it.
func (m *Map) older(old *Map) (gone, cover string) {
	for _, was := range old.open {
		if _, listed := m.known[was.ID]; listed {
			continue
		}
		for i := m.Predict(was.Range.Start); i <= m.Predict(was.Range.End); i++ {
			if before(m.open[i].First, was.First) {
				return was.ID, m.open[i].ID
			}
		}
	}
	return "", ""
}

// before compares sequence numbers, which are decimal and without leading zeros.
func before(a, b string) bool {
	if len(a) != len(b) {
		return len(a) < len(b)
	}
	return a < b
}

// inherit keeps what old knows of shards that this listing does not show: a listing of the open shards shows no closed one.
func (m *Map) inherit(old *Map, now time.Time) {
	for id, past := range old.known {
		if _, listed := m.known[id]; listed || past.closed && now.Sub(past.listed) > remember {
			continue
		}
		if !past.closed { // it closed since the last listing, which may have been the same for hours
			past.closed, past.listed = true, now
		}
		m.known[id] = past
	}
}

func sameShards(a, b []shard.Shard) bool {
	return slices.EqualFunc(a, b, func(x, y shard.Shard) bool { return x.ID == y.ID && x.Range == y.Range && x.First == y.First })
}

func sameMemory(a, b memory) bool {
	return a.hashes == b.hashes && a.first == b.first && a.closed == b.closed
}

// Version counts the divisions of the ring, from 1.
func (m *Map) Version() int64 { return m.version }

// Open are the open shards by hash range. Read only.
func (m *Map) Open() []shard.Shard { return m.open }

// Predict is the index in Open of the shard that takes k.
func (m *Map) Predict(k shard.HashKey) int {
	return sort.Search(len(m.open)-1, func(i int) bool { return m.open[i].Range.End.Compare(k) >= 0 })
}

// Range is the range of a shard, open or not, not known if no listing has shown it.
func (m *Map) Range(id string) shard.HashRange { return m.known[id].hashes }
