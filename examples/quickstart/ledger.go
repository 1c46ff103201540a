package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
)

// ledger judges a run from outside: it knows the input file, what the workers' processes said they were handed, and what stood in the
// lease table. It believes no counter of the library under test, but the producer's word for which records it may have sent twice.
//
// It is pure: no clock, no I/O. Not safe for concurrent use.
type ledger struct {
	input   *input
	puts    map[string][]int64 // by key and ordinal: when it was put
	firsts  map[string][]first // by key and ordinal; may be shorter than puts
	tenures map[holding][]*tenure
	broken  []*tenure

	put       int // records that the stream has acknowledged
	delivered int // every one that was the input's, repeated ones too
	distinct  int
	altered   int // deliveries of something that was never put
	repeats   int // records that the producer may have sent once more, each time counted
}

// first is the earliest delivery of a record. Deliveries in several processes are ordered by the machine's clock, read when the record was handed
// over. Not by their arrival here: two pipes may be read in any order.
type first struct {
	seen    bool
	clock   int64 // ns
	arrival int   // decides between equal clocks
}

func (f first) after(g first) bool {
	return cmp.Or(cmp.Compare(f.clock, g.clock), cmp.Compare(f.arrival, g.arrival)) > 0
}

// holding is one worker having one shard.
type holding struct{ worker, shard string }

// tenure is one time of it, from acquired on.
type tenure struct {
	stored   checkpoint.Position // as last seen in the lease table
	handed   []checkpoint.Position
	isBroken bool // it did not end by the worker's own will
	isFrozen bool // stored is final
}

// delivery is one record in the hands of a worker's code.
type delivery struct {
	Key     string              `json:"key"`
	Ordinal int                 `json:"ordinal"`
	Sum     string              `json:"sum"` // of the event's bytes
	Shard   string              `json:"shard"`
	Clock   int64               `json:"clock"` // ns, see clock
	At      checkpoint.Position `json:"at"`
}

func newLedger(in *input) *ledger {
	return &ledger{input: in, puts: make(map[string][]int64), firsts: make(map[string][]first), tenures: make(map[holding][]*tenure)}
}

// sent notes that the next record of a key is about to be put.
func (l *ledger) sent(key string, clock int64) { l.puts[key] = append(l.puts[key], clock) }

// acknowledged notes that a record is in the stream, and how many more times it may be there.
func (l *ledger) acknowledged(repeats int) {
	l.put++
	l.repeats += repeats
}

// acquired notes that a worker begins to hold a shard.
func (l *ledger) acquired(h holding) { l.tenures[h] = append(l.tenures[h], &tenure{}) }

func (l *ledger) current(h holding) *tenure {
	if len(l.tenures[h]) == 0 {
		l.acquired(h)
	}
	return l.tenures[h][len(l.tenures[h])-1]
}

// stored notes the position that stands in the table while the worker is the shard's owner there.
func (l *ledger) stored(h holding, p checkpoint.Position) {
	if t := l.current(h); !t.isFrozen && p.Compare(t.stored) > 0 {
		t.stored = p
	}
}

// lost notes that a worker found its lease lost. What is stored from now on is another tenure's.
func (l *ledger) lost(h holding) {
	l.breakOff(h)
	l.current(h).isFrozen = true
}

// killed notes that a worker is dead. A write of it that was on its way may still show in the table.
func (l *ledger) killed(h holding) { l.breakOff(h) }

func (l *ledger) breakOff(h holding) {
	if t := l.current(h); !t.isBroken {
		t.isBroken = true
		l.broken = append(l.broken, t)
	}
}

// handed notes that a worker's code was handed a record.
func (l *ledger) handed(worker string, d delivery) {
	e := l.input.at(d.Key, d.Ordinal)
	if e == nil || e.sum != d.Sum || d.Ordinal >= len(l.puts[d.Key]) {
		l.altered++
		return
	}
	l.delivered++
	t := l.current(holding{worker, d.Shard})
	t.handed = append(t.handed, d.At)

	for len(l.firsts[d.Key]) <= d.Ordinal {
		l.firsts[d.Key] = append(l.firsts[d.Key], first{})
	}
	f := &l.firsts[d.Key][d.Ordinal]
	this := first{seen: true, clock: d.Clock, arrival: l.delivered}
	switch {
	case !f.seen:
		l.distinct++
		*f = this
	case f.after(this):
		*f = this
	}
}

// bound is how many duplicates are legitimate: what the broken tenures were handed beyond the position that stood in the table, and what the
// producer may have sent again.
func (l *ledger) bound() (unstored, repeats int) {
	for _, t := range l.broken {
		for _, p := range t.handed {
			if p.Compare(t.stored) > 0 {
				unstored++
			}
		}
	}
	return unstored, l.repeats
}

// verdict is what the ledger says in the end. Its zero value would be a perfect run of nothing.
type verdict struct {
	lost, outOfOrder int
	examples         []string // of both, at most maxExamples
	median, p99, max time.Duration
}

const maxExamples = 3

// judge compares with the file, times rounds.
func (l *ledger) judge(rounds int) verdict {
	var v verdict
	var delays []time.Duration
	for _, key := range slices.Sorted(maps.Keys(l.input.places)) {
		firsts := l.firsts[key]
		total := rounds * len(l.input.places[key])
		var earliest *first // of the records behind the one looked at
		for ordinal := total - 1; ordinal >= 0; ordinal-- {
			if ordinal >= len(firsts) || !firsts[ordinal].seen {
				v.lost++
				v.example("lost: record %d of key %s", ordinal, key)
				continue
			}
			f := &firsts[ordinal]
			delays = append(delays, time.Duration(f.clock-l.puts[key][ordinal]))
			if earliest != nil && f.after(*earliest) {
				v.outOfOrder++
				v.example("out of order: record %d of key %s came after a later one", ordinal, key)
				continue
			}
			earliest = f
		}
	}
	slices.Sort(delays)
	if n := len(delays); n > 0 {
		v.median, v.p99, v.max = delays[n/2], delays[n*99/100], delays[n-1]
	}
	return v
}

func (v *verdict) example(format string, args ...any) {
	if len(v.examples) < maxExamples {
		v.examples = append(v.examples, fmt.Sprintf(format, args...))
	}
}
