package kinesis

import (
	"crypto/md5" //nolint:gosec // what Kinesis places records by
	"encoding/binary"
	"math/bits"
	"strconv"
)

// hashKey is a place on the ring of 2^128 hash keys.
type hashKey struct{ hi, lo uint64 }

var lastHashKey = hashKey{^uint64(0), ^uint64(0)}

func hashOf(partitionKey string) hashKey {
	sum := md5.Sum([]byte(partitionKey)) //nolint:gosec // as above
	return hashKey{binary.BigEndian.Uint64(sum[:8]), binary.BigEndian.Uint64(sum[8:])}
}

// decimalForm reports whether s is written as Kinesis wants a hash key: digits without sign or leading zero, at most 39 of them.
func decimalForm(s string) bool {
	if s == "" || len(s) > 39 || s[0] == '0' && len(s) > 1 {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// parseHashKey reads the decimal form; ok is false for anything else and beyond 2^128-1.
func parseHashKey(s string) (k hashKey, ok bool) {
	if !decimalForm(s) {
		return hashKey{}, false
	}
	for i := range len(s) {
		overHi, hi := bits.Mul64(k.hi, 10)
		overLo, lo := bits.Mul64(k.lo, 10)
		lo, carry := bits.Add64(lo, uint64(s[i]-'0'), 0)
		hi, over := bits.Add64(hi, overLo, carry)
		if overHi != 0 || over != 0 {
			return hashKey{}, false
		}
		k = hashKey{hi, lo}
	}
	return k, true
}

func (k hashKey) String() string {
	if k.hi == 0 {
		return strconv.FormatUint(k.lo, 10)
	}
	const chunk = 1e19 // the largest power of ten in a uint64
	hi, rest := bits.Div64(0, k.hi, chunk)
	lo, low := bits.Div64(rest, k.lo, chunk)
	digits := strconv.FormatUint(low, 10)
	for len(digits) < 19 {
		digits = "0" + digits
	}
	return hashKey{hi, lo}.String() + digits
}

func (k hashKey) compare(o hashKey) int {
	switch {
	case k == o:
		return 0
	case k.hi < o.hi || k.hi == o.hi && k.lo < o.lo:
		return -1
	}
	return 1
}

func (k hashKey) plus(n uint64) hashKey {
	lo, carry := bits.Add64(k.lo, n, 0)
	return hashKey{k.hi + carry, lo}
}

func (k hashKey) minus(o hashKey) hashKey {
	lo, borrow := bits.Sub64(k.lo, o.lo, 0)
	return hashKey{k.hi - o.hi - borrow, lo}
}

// times is k multiplied by n, modulo 2^128.
func (k hashKey) times(n uint64) hashKey {
	over, lo := bits.Mul64(k.lo, n)
	return hashKey{k.hi*n + over, lo}
}

// share is 2^128/n, rounded down; for n = 1, which does not fit, it is 0.
func share(n uint64) hashKey {
	hi, rest := bits.Div64(0, lastHashKey.hi, n)
	lo, rest := bits.Div64(rest, lastHashKey.lo, n)
	if rest == n-1 { // 2^128-1 was one short of a multiple
		return hashKey{hi, lo}.plus(1)
	}
	return hashKey{hi, lo}
}

// half is k/2, rounded down.
func (k hashKey) half() hashKey { return hashKey{k.hi >> 1, k.lo>>1 | k.hi<<63} }

// hashRange is inclusive at both ends.
type hashRange struct{ start, end hashKey }

// middle is where an even split starts its upper half.
func (r hashRange) middle() hashKey {
	half := r.end.minus(r.start).half()
	lo, carry := bits.Add64(r.start.lo, half.lo, 0)
	return hashKey{r.start.hi + half.hi + carry, lo}.plus(1)
}
