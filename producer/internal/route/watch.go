package route

import (
	"math/rand/v2"
	"time"

	"github.com/kinesiskit/kinesiskit/internal/retry"
)

// Spread is how a stream distributes records over its shards.
type Spread int

const (
	// SpreadUnknown: not learned yet. Records go alone, which is right whatever it is.
	SpreadUnknown Spread = iota
	// SpreadByKeys: by partition key or explicit hash key, so records of one shard can be sent together.
	SpreadByKeys
	// SpreadAuto: as the service likes. Hash keys mean nothing, and readers take no aggregates.
	SpreadAuto
)

const (
	// DescribePeriod is how often a stream is described while there is something to send (KPL's describeStreamSummaryIntervalMs), with up to a fifth
	// more at random.
	DescribePeriod = 5 * time.Minute

	// describeGap is the least time between two descriptions, whatever was unexpected: an account has 20 of them in a second, for all of its streams and
	// programs.
	describeGap = 5 * time.Second

	// A description that fails is asked for again after 5 s, then up to 60 s (the bounds are KPL's).
	describeFirst = 5 * time.Second
	describeMost  = 60 * time.Second

	// unexpectedMost is after how many records on unexpected shards the stream may have changed how it distributes them (KPL's number).
	unexpectedMost = 3
)

// Watch says when to describe a stream: at once at the start, after each DescribePeriod, when several records were stored where their keys do not belong,
// and after a failure with a growing delay. One description at a time.
type Watch struct {
	rng        *rand.Rand
	backoff    *retry.Backoff
	running    bool
	tried      bool
	unexpected int
	notBefore  time.Time
	next       time.Time
}

// NewWatch returns the Watch of a stream of which nothing is known. rng is used by the caller's goroutine only.
func NewWatch(rng *rand.Rand) *Watch {
	return &Watch{rng: rng, backoff: retry.NewBackoff(rng, describeFirst, describeMost)}
}

// Unexpected notes that a record was stored on a shard that its hash key does not belong to by the map. That is what resharding looks like, and also
// a stream that has begun to distribute records by itself.
func (w *Watch) Unexpected() { w.unexpected++ }

// Tried reports whether an answer was here, of whatever kind.
func (w *Watch) Tried() bool { return w.tried }

// Start reports whether the stream is to be described now. If so that counts as running until Done.
func (w *Watch) Start(now time.Time) bool {
	if at := w.Wake(); at.IsZero() || now.Before(at) {
		return false
	}
	w.running, w.unexpected = true, 0
	return true
}

// Wake is when the stream is to be described next; zero while it is.
func (w *Watch) Wake() time.Time {
	switch {
	case w.running:
		return time.Time{}
	case !w.tried:
		return time.Unix(0, 0) // the first one: long due
	case w.unexpected >= unexpectedMost:
		return w.notBefore
	default:
		return w.next
	}
}

// Done reports how the description ended at now. A refusal counts as an answer.
func (w *Watch) Done(now time.Time, ok bool) {
	w.running, w.tried = false, true
	w.notBefore = now.Add(describeGap)
	if !ok {
		w.next = now.Add(w.backoff.Next())
		return
	}
	w.backoff.Reset()
	w.next = now.Add(DescribePeriod + time.Duration(w.rng.Int64N(int64(DescribePeriod/5))))
}
