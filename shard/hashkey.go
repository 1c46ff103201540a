package shard

import (
	"cmp"
	"crypto/md5" //nolint:gosec // Kinesis defines a record's place on the ring by MD5; nothing is protected by it.
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"strconv"
)

// maxDigits is the number of decimal digits of the largest hash key.
const maxDigits = 39

// maxPartitionKeyBytes is what a partition key can take: Kinesis allows 256
// Unicode characters, each up to four bytes in UTF-8.
const maxPartitionKeyBytes = 256 * 4

// MaxHashKey is the last place of the ring, 2^128-1. Read only.
var MaxHashKey = HashKey{Hi: math.MaxUint64, Lo: math.MaxUint64}

// HashKey is a place on Kinesis's ring, 0 … 2^128-1: Hi·2^64 + Lo. Comparable
// with ==; the zero value is the ring's first place.
type HashKey struct{ Hi, Lo uint64 }

// HashOf is the hash key that Kinesis gives a record with this partition key and
// no explicit hash key: the MD5 digest of the key's bytes, read as a big-endian
// number. It allocates nothing for any key that Kinesis accepts (1 to 256
// Unicode characters).
func HashOf(partitionKey string) HashKey {
	// A copy on the stack: the digest wants bytes, and a conversion of a long
	// key would take them from the heap, once for each record produced.
	var buf [maxPartitionKeyBytes]byte
	var key []byte
	if len(partitionKey) <= len(buf) {
		key = buf[:copy(buf[:], partitionKey)]
	} else {
		key = []byte(partitionKey)
	}
	sum := md5.Sum(key) //nolint:gosec // see the import
	return HashKey{Hi: binary.BigEndian.Uint64(sum[:8]), Lo: binary.BigEndian.Uint64(sum[8:])}
}

// ParseHashKey reads a hash key as Kinesis writes it: decimal digits without a
// sign, a space or a leading zero, at most MaxHashKey. Errors match
// strconv.ErrSyntax or strconv.ErrRange.
func ParseHashKey(decimal string) (HashKey, error) {
	if decimal == "" || decimal[0] == '0' && len(decimal) > 1 {
		return HashKey{}, hashKeyError(decimal, strconv.ErrSyntax)
	}
	for i := range len(decimal) {
		if decimal[i] < '0' || decimal[i] > '9' {
			return HashKey{}, hashKeyError(decimal, strconv.ErrSyntax)
		}
	}
	if len(decimal) > maxDigits {
		return HashKey{}, hashKeyError(decimal, strconv.ErrRange)
	}
	var k HashKey
	for i := range len(decimal) {
		carry, lo := bits.Mul64(k.Lo, 10)
		over, hi := bits.Mul64(k.Hi, 10)
		lo, c := bits.Add64(lo, uint64(decimal[i]-'0'), 0)
		hi, c = bits.Add64(hi, carry, c)
		if over != 0 || c != 0 {
			return HashKey{}, hashKeyError(decimal, strconv.ErrRange)
		}
		k = HashKey{Hi: hi, Lo: lo}
	}
	return k, nil
}

// hashKeyError quotes at most a little more than the longest legal text, so that
// a hostile one does not fill a log.
func hashKeyError(text string, cause error) error {
	return fmt.Errorf("shard: hash key %.*q: %w", maxDigits+1, text, cause)
}

// Compare is -1, 0 or +1 as k lies before, at or after o on the ring.
func (k HashKey) Compare(o HashKey) int {
	if c := cmp.Compare(k.Hi, o.Hi); c != 0 {
		return c
	}
	return cmp.Compare(k.Lo, o.Lo)
}

// String is the decimal number, the form in which Kinesis takes and gives hash
// keys; ParseHashKey reads it back.
func (k HashKey) String() string {
	// 10^19 is the largest power of ten in 64 bits, so two divisions leave
	// three groups of digits: at most 3, then 19, then 19. Each division's high
	// word is below the divisor (the remainder of Hi; then Hi's quotient, which
	// is 0 or 1), which is what Div64 needs.
	const group, groupDigits = 1e19, 19
	high, low := bits.Div64(k.Hi%group, k.Lo, group)
	top, middle := bits.Div64(k.Hi/group, high, group)

	var buf [maxDigits]byte
	at := len(buf)
	for _, part := range [...]uint64{low, middle, top} {
		for range groupDigits {
			if at == 0 {
				break
			}
			at--
			buf[at] = byte('0' + part%10)
			part /= 10
		}
	}
	for at < len(buf)-1 && buf[at] == '0' {
		at++
	}
	return string(buf[at:])
}

// next is the place after k; past the ring's end it wraps to 0.
func (k HashKey) next() HashKey {
	lo, carry := bits.Add64(k.Lo, 1, 0)
	return HashKey{Hi: k.Hi + carry, Lo: lo}
}

// before is the place before k; before the ring's start it wraps to MaxHashKey.
func (k HashKey) before() HashKey {
	lo, borrow := bits.Sub64(k.Lo, 1, 0)
	return HashKey{Hi: k.Hi - borrow, Lo: lo}
}
