package shard

import (
	"fmt"
	"math/bits"
	"slices"
	"strconv"
)

// HashRange is the part of the ring that a shard owns, inclusive at both ends,
// as Kinesis reports it. Comparable with ==. The zero value means "not known";
// it is also what a range of the single key 0 would look like, which no stream
// has in practice.
type HashRange struct{ Start, End HashKey }

// ParseHashRange reads the two ends as Kinesis writes them, see ParseHashKey.
// Errors match strconv.ErrSyntax, or strconv.ErrRange, also when start lies
// after end.
func ParseHashRange(start, end string) (HashRange, error) {
	first, err := ParseHashKey(start)
	if err != nil {
		return HashRange{}, fmt.Errorf("shard: start of hash range: %w", err)
	}
	last, err := ParseHashKey(end)
	if err != nil {
		return HashRange{}, fmt.Errorf("shard: end of hash range: %w", err)
	}
	if first.Compare(last) > 0 {
		return HashRange{}, fmt.Errorf("shard: hash range %v to %v: starts after its end: %w", first, last, strconv.ErrRange)
	}
	return HashRange{Start: first, End: last}, nil
}

// Contains reports whether k lies in the range. A range that is not known
// contains nothing: a caller to whom "unknown" must not mean "outside" asks
// Known first.
func (r HashRange) Contains(k HashKey) bool {
	return r.Known() && r.Start.Compare(k) <= 0 && k.Compare(r.End) <= 0
}

// Known is false for the zero value.
func (r HashRange) Known() bool { return r != HashRange{} }

// Middle is where the upper half of an even split starts, SplitShard's
// NewStartingHashKey; of an odd number of keys the upper half takes one more. A
// range of a single key has no halves: Middle is then Start, which Kinesis
// refuses.
func (r HashRange) Middle() HashKey {
	if r.Start.Compare(r.End) >= 0 {
		return r.Start
	}
	// Start + ceil((End-Start)/2): it cannot exceed End, so it cannot overflow,
	// as (Start+End)/2 would.
	lo, borrow := bits.Sub64(r.End.Lo, r.Start.Lo, 0)
	hi, _ := bits.Sub64(r.End.Hi, r.Start.Hi, borrow)
	half := HashKey{Hi: hi >> 1, Lo: hi<<63 | lo>>1}
	sum, carry := bits.Add64(r.Start.Lo, half.Lo, lo&1)
	return HashKey{Hi: r.Start.Hi + half.Hi + carry, Lo: sum}
}

// Holes is what is missing of the whole ring when these ranges are covered, as
// few ranges as possible, in order; none if nothing is missing. The ranges may
// overlap and come in any order; those that are not known, and those that start
// after their end, cover nothing.
//
// A listing of shards whose open ranges have a hole is not complete.
func Holes(covered []HashRange) []HashRange {
	sorted := slices.Clone(covered)
	slices.SortFunc(sorted, func(a, b HashRange) int { return a.Start.Compare(b.Start) })

	var holes []HashRange
	var missing HashKey // everything before it is covered or already in holes
	for _, r := range sorted {
		if !r.Known() || r.Start.Compare(r.End) > 0 || r.End.Compare(missing) < 0 {
			continue
		}
		if r.Start.Compare(missing) > 0 {
			holes = append(holes, HashRange{Start: missing, End: r.Start.before()})
		}
		if r.End == MaxHashKey {
			return holes
		}
		missing = r.End.next()
	}
	return append(holes, HashRange{Start: missing, End: MaxHashKey})
}
