package firehose

import "time"

// AWS's default rates of a Direct PUT stream in us-east-1, PutRecord and PutRecordBatch together.
const (
	recordsPerSecond  = 5_000
	bytesPerSecond    = 5 << 20
	requestsPerSecond = 2_000
)

// tagCallsPerSecond is AWS's rate of each operation on tags, per account.
const tagCallsPerSecond = 5

// bucket holds tokens of one second's rate. It fills with time and needs no goroutine.
type bucket struct {
	rate   float64 // tokens per second, and the most that it holds
	tokens float64
	filled time.Time
}

// newBucket is full.
func newBucket(rate float64, now time.Time) *bucket {
	return &bucket{rate: rate, tokens: rate, filled: now}
}

// fill adds what has come since the last time. A wall clock that goes back adds nothing.
func (b *bucket) fill(now time.Time) {
	if passed := now.Sub(b.filled); passed > 0 {
		b.tokens = min(b.rate, b.tokens+b.rate*passed.Seconds())
		b.filled = now
	}
}

func (b *bucket) take(n float64, now time.Time) bool {
	b.fill(now)
	if b.tokens < n {
		return false
	}
	b.tokens -= n
	return true
}

// rates are the buckets of one stream.
type rates struct{ requests, records, bytes *bucket }

func newRates(now time.Time) rates {
	return rates{
		requests: newBucket(requestsPerSecond, now),
		records:  newBucket(recordsPerSecond, now),
		bytes:    newBucket(bytesPerSecond, now),
	}
}

// takeRecord takes a record and its bytes, or nothing.
func (r rates) takeRecord(size int, now time.Time) bool {
	r.records.fill(now)
	if r.records.tokens < 1 || !r.bytes.take(float64(size), now) {
		return false
	}
	r.records.tokens--
	return true
}
