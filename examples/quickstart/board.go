package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kinesiskit/kinesiskit/lease"
	"github.com/kinesiskit/kinesiskit/shard"
)

// board is what the parent knows at the moment. Everything that happens is noted here as it comes in, and whoever waits for something looks here.
type board struct {
	started time.Time

	mu         sync.Mutex
	input      *input
	ledger     *ledger
	shards     map[string]*shardState
	workers    map[string]*workerState
	happenings []happening
	step       int
	round      int  // the one that is being put, from 1
	produced   bool // the producer is done
	moves      int
	counts     map[kind]int
	first      time.Time // of the first delivery
	last       time.Time // of the last
}

// shardState is a shard, and who has it.
type shardState struct {
	id        string
	parents   []string
	keys      shard.HashRange
	weight    int    // events of a round that go here; 0 for a shard that no key of the input belongs to
	listed    bool   // it is known from the stream and not only from a lease
	reader    string // the worker that acquired it last
	since     int    // records handed over in this worker's time
	delivered int
	owner     string // as the lease table has it
	ended     bool   // likewise
	children  []string
}

// read reports whether this shard's reader has it in hand.
func (s *shardState) read() bool { return s.reader != "" && (s.since > 0 || s.weight == 0) }

type workerState struct {
	name      string
	delivered int
	fate      kind          // killed, stopped, or nothing
	at        time.Duration // of its fate
}

// kind of a happening.
type kind string

const (
	start   kind = "start"
	split   kind = "split"
	merge   kind = "merge"
	killed  kind = "kill"
	stopped kind = "stop"
	moved   kind = "move"
	expired kind = "lost" // a live worker found its lease lost
	finish  kind = "finish"
)

// happening is one thing that the summary tells.
type happening struct {
	Seconds float64 `json:"seconds"` // since the start
	Kind    kind    `json:"kind"`
	Text    string  `json:"text"`
}

func newBoard(in *input) *board {
	return &board{
		started: time.Now(), input: in, ledger: newLedger(in), shards: make(map[string]*shardState), workers: make(map[string]*workerState),
		counts: make(map[kind]int), round: 1,
	}
}

// with runs f on the board. f must not wait for anything.
func (b *board) with(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

// holds asks the board.
func (b *board) holds(f func() bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return f()
}

// happened notes something for the summary. The caller is in with or holds.
func (b *board) happened(k kind, at time.Duration, format string, args ...any) {
	b.counts[k]++
	b.happenings = append(b.happenings, happening{Seconds: at.Seconds(), Kind: k, Text: fmt.Sprintf(format, args...)})
}

func (b *board) elapsed() time.Duration { return time.Since(b.started) }

func (b *board) shard(id string) *shardState {
	s := b.shards[id]
	if s == nil {
		s = &shardState{id: id}
		b.shards[id] = s
	}
	return s
}

// list takes in the stream's shards.
func (b *board) list(shards []shard.Shard) {
	b.with(func() {
		for _, sh := range shards {
			s := b.shard(sh.ID)
			s.listed, s.parents, s.keys, s.weight = true, sh.Parents, sh.Range, b.input.weight(sh.Range)
		}
		for _, s := range b.shards {
			s.children = nil
		}
		for _, id := range slices.Sorted(maps.Keys(b.shards)) {
			for _, parent := range b.shards[id].parents {
				if p := b.shards[parent]; p != nil {
					p.children = append(p.children, id)
				}
			}
		}
	})
}

// looked takes in the lease table.
func (b *board) looked(rows []lease.Lease) {
	b.with(func() {
		for _, row := range rows {
			s := b.shard(row.Key)
			s.owner, s.ended = workerOf(row.Owner), row.Ended()
			if s.owner != "" {
				b.ledger.stored(holding{s.owner, row.Key}, row.Checkpoint.Position)
			}
		}
	})
}

// workerOf takes the suffix of its start from an owner's name.
func workerOf(owner string) string {
	if i := strings.LastIndexByte(owner, '-'); i >= 0 {
		return owner[:i]
	}
	return owner
}

// heard takes in what a worker says.
func (b *board) heard(worker string, l line) {
	b.with(func() {
		switch {
		case l.Handed != nil:
			b.ledger.handed(worker, *l.Handed)
			b.last = time.Now()
			if b.first.IsZero() {
				b.first = b.last
			}
			s := b.shard(l.Handed.Shard)
			s.delivered++
			s.since++
			b.workers[worker].delivered++
		case l.Acquired != "":
			b.ledger.acquired(holding{worker, l.Acquired})
			b.acquired(worker, b.shard(l.Acquired))
		case l.Lost != "":
			b.ledger.lost(holding{worker, l.Lost})
			b.happened(expired, b.elapsed(), "%s found its lease of shard %s expired", worker, short(l.Lost))
		}
	})
}

func (b *board) acquired(worker string, s *shardState) {
	from := b.workers[s.reader]
	s.reader, s.since = worker, 0
	if from == nil || from.name == worker {
		return
	}
	b.moves++
	now := b.elapsed()
	why := ""
	switch from.fate {
	case killed:
		why = fmt.Sprintf(", %.1f s after the kill", (now - from.at).Seconds())
	case stopped:
		why = fmt.Sprintf(", %.1f s after it was asked to stop", (now - from.at).Seconds())
	}
	b.happened(moved, now, "shard %s from %s to %s%s", short(s.id), from.name, worker, why)
}

// doomed notes that a worker is about to get a signal.
func (b *board) doomed(worker string, by kind) {
	w := b.workers[worker]
	w.fate, w.at = by, b.elapsed()
}

// dead notes that a killed worker is gone and that all it said has been heard.
func (b *board) dead(worker string) {
	for _, s := range b.of(worker) {
		b.ledger.killed(holding{worker, s.id})
	}
}

// open are the shards that take records, by the place of their keys.
func (b *board) open() []*shardState {
	var open []*shardState
	for _, s := range b.shards {
		if s.listed && len(s.children) == 0 {
			open = append(open, s)
		}
	}
	slices.SortFunc(open, func(x, y *shardState) int { return x.keys.Start.Compare(y.keys.Start) })
	return open
}

// those are shards by their ids.
func (b *board) those(ids []string) []*shardState {
	var those []*shardState
	for _, id := range ids {
		those = append(those, b.shard(id))
	}
	return those
}

// of are the shards that a worker has and has not finished.
func (b *board) of(worker string) []*shardState {
	var of []*shardState
	for _, id := range slices.Sorted(maps.Keys(b.shards)) {
		if s := b.shards[id]; s.reader == worker && !s.ended {
			of = append(of, s)
		}
	}
	return of
}

// short is a shard's number: 7 for shardId-000000000007.
func short(id string) string {
	number, ok := strings.CutPrefix(id, "shardId-")
	if !ok {
		return id
	}
	if number = strings.TrimLeft(number, "0"); number == "" {
		return "0"
	}
	return number
}
