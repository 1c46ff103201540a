package consumer

import (
	"github.com/kinesiskit/kinesiskit/aggregation"
	"github.com/kinesiskit/kinesiskit/shard"
)

// Filter says what becomes of a user record that lies outside its shard: it stands in an aggregate, and its hash key is not in the range of the shard that
// the aggregate is in. Producers with an outdated shard map make such aggregates when a stream is resharded, and send them once more, divided; so do
// aggregators that know nothing of shards, and these send them once.
//
// Records outside aggregates are never filtered, and nothing is where the shard's range is not known, where the stream spreads its records by itself
// (the distribution AUTO), or while it is not known whether it does. What is dropped is told by Hooks.Dropped, and counts as done.
type Filter int

const (
	// Stale drops a record only where an outdated shard map explains it: the aggregate's outer partition key is "a", as KPL and package producer have it, and
	// an ancestor of the shard held all of its records. It loses nothing that KPL, package producer or an aggregator with outer keys of its own
	// were told is stored, and delivers what a producer sent twice twice at times.
	Stale Filter = iota

	// PerRecord drops every record that lies outside. A shard then delivers its own keys and no others; what an aggregator that knows nothing of
	// shards packed for other shards is lost.
	PerRecord

	// Whole drops an aggregate, with what does belong to the shard, if one record of it lies outside. It is KCL's rule. It loses what PerRecord loses; and of
	// KPL 0.15.11 and later, the records that KPL took for stored because they lay inside.
	Whole

	// Everything drops nothing.
	Everything
)

// String returns the filter in lower case, as logs show it.
func (f Filter) String() string {
	names := [...]string{"stale", "per record", "whole", "everything"}
	if f < 0 || int(f) >= len(names) {
		return "unknown"
	}
	return names[f]
}

// aggregateKey is the partition key that KPL, and package producer, give to the Kinesis record around an aggregate. Other aggregators choose keys of
// their own, and know nothing of shards: what they pack is where it belongs by definition.
const aggregateKey = "a"

// sieve carries a Filter out for one shard.
type sieve struct {
	filter    Filter
	own       shard.HashRange // unknown: nothing lies outside
	ancestors []shard.HashRange
}

// newSieve looks the ranges up in the listing, never in the lease's row: a row can be wrong, and a wrong range would drop records.
func newSieve(f Filter, id string, g *shard.Graph) sieve {
	s := sieve{filter: f}
	listed, ok := g.Shard(id)
	if !ok {
		return s
	}
	s.own = listed.Range
	for a := range g.Ancestors(id) {
		if a.Range.Known() {
			s.ancestors = append(s.ancestors, a.Range)
		}
	}
	return s
}

// looks reports whether hash keys matter at all: computing them costs more than reading a record.
func (s *sieve) looks() bool {
	switch {
	case s.filter == Everything, !s.own.Known(), s.own == shard.HashRange{End: shard.MaxHashKey}:
		return false
	case s.filter == Stale:
		return len(s.ancestors) > 0
	default:
		return true
	}
}

// fate is what becomes of an aggregate.
type fate int

const (
	keepAll fate = iota
	dropOutside
	dropAll
)

// judge notes in outside, for each entry of an aggregate, whether it lies outside the shard, and returns how many do and what the filter says.
// whole says that there are no other entries, ones that cannot be read.
func (s *sieve) judge(outer string, entries []aggregation.Record, whole bool, outside []bool) (n int, f fate) {
	low, high := shard.MaxHashKey, shard.HashKey{}
	for i := range entries {
		k, err := entries[i].HashKey()
		if err != nil {
			whole = false
			continue
		}
		if k.Compare(low) < 0 {
			low = k
		}
		if k.Compare(high) > 0 {
			high = k
		}
		if outside[i] = !s.own.Contains(k); outside[i] {
			n++
		}
	}
	switch {
	case n == 0:
		return 0, keepAll
	case s.filter == PerRecord:
		return n, dropOutside
	case s.filter == Whole:
		return n, dropAll
	// Where an entry belongs that cannot be read is not known, so its aggregate is never taken for stale.
	case outer == aggregateKey && whole && s.inherited(low, high):
		return n, dropOutside
	default:
		return n, keepAll
	}
}

// inherited reports whether one ancestor held everything from low to high: then the aggregate was packed for that ancestor, before the producer learned
// of the reshard, and what is outside this shard's range was sent to its own shard once more.
func (s *sieve) inherited(low, high shard.HashKey) bool {
	for _, a := range s.ancestors {
		if a.Contains(low) && a.Contains(high) {
			return true
		}
	}
	return false
}
