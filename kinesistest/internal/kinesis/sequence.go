package kinesis

import (
	"fmt"
	"strconv"
	"strings"
)

// sequence numbers one shard's records. A number has 56 digits:
//
//	4959 | epoch, 16 digits | digits mixed from the epoch, 16 | counter, 20
//
// The epoch is the shard's own and grows from shard to shard over the whole service, so a child's numbers are above its parents', and
// a stream that is created anew under the same name has other numbers than the old one. All parts have fixed widths, so that the order
// of the strings is that of the numbers. The counter goes up in strides, as AWS's numbers have gaps: a client that computes a
// neighbour of a number gets one that no record has.
type sequence struct {
	prefix string
	base   uint64
}

const (
	stride        = 1_000_003
	counterDigits = 20
	prefixDigits  = 36
	smallestBase  = 10_000_000_000_000_000_000 // 20 digits
	largestBase   = smallestBase + 4e18        // leaves room for 4e12 records
)

func newSequence(epoch uint64) sequence {
	mixed := mix(epoch)
	return sequence{
		prefix: fmt.Sprintf("4959%016d%016d", epoch, mixed%1e16),
		base:   smallestBase + mixed%(largestBase-smallestBase),
	}
}

// mix is the finalizer of SplitMix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// starting is the shard's StartingSequenceNumber; it is no record's.
func (s sequence) starting() string { return s.prefix + strconv.FormatUint(s.base, 10) }

// ending is the EndingSequenceNumber of a shard that was closed after n records; it is above every record's.
func (s sequence) ending(n uint64) string { return string(s.appendNumber(nil, n)) }

// appendNumber appends the number of record i, counted from 0.
func (s sequence) appendNumber(dst []byte, i uint64) []byte {
	dst = append(dst, s.prefix...)
	return strconv.AppendUint(dst, s.base+(i+1)*stride, 10)
}

// place finds a number among this shard's: at is the index of the first record that is not below it, after that of the first above it.
// ok is false for a number that was not taken from this shard, or is beyond the ending number after n records.
func (s sequence) place(number string, n uint64) (at, after uint64, ok bool) {
	digits, found := strings.CutPrefix(number, s.prefix)
	if !found || len(digits) != counterDigits {
		return 0, 0, false
	}
	counter, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || counter < s.base || counter > s.base+(n+1)*stride {
		return 0, 0, false
	}
	from := counter - s.base
	at = (from + stride - 1) / stride
	if at > 0 {
		at--
	}
	return at, from / stride, true
}
