package route

import (
	"math/rand/v2"
	"time"

	"github.com/kinesiskit/kinesiskit/internal/retry"
)

const (
	// Period is how often the shards are listed while there is something to send, with up to a fifth more at random so that the producers of a
	// fleet do not list together.
	Period = 60 * time.Second

	// gap is the least time between two listings that succeeded, however many surprises come in: ListShards has a low quota per stream, which all
	// its producers and consumers share.
	gap = time.Second

	// A listing that fails is repeated after 1 s, then up to 30 s (the bounds are KPL's).
	retryFirst = time.Second
	retryMost  = 30 * time.Second
)

// Schedule says when to list the shards: at once at the start, when an answer was a surprise, after each Period, and after a failure with a growing
// delay. One listing at a time.
type Schedule struct {
	rng       *rand.Rand
	backoff   *retry.Backoff
	running   bool
	wanted    bool
	surprised bool // wanted for more than a failure or the time that has passed
	full      bool
	notBefore time.Time
	periodic  time.Time
}

// NewSchedule returns the schedule of a producer that has no map yet. rng is used by the caller's goroutine only.
func NewSchedule(rng *rand.Rand) *Schedule {
	return &Schedule{rng: rng, backoff: retry.NewBackoff(rng, retryFirst, retryMost), wanted: true}
}

// Want asks for a listing that starts from now on: one under way may have been answered before the surprise happened. full asks for closed shards
// too, for a shard that was split again before a listing of the open ones could show it.
func (s *Schedule) Want(full bool) {
	s.wanted, s.surprised = true, true
	s.full = s.full || full
}

// Start reports whether a listing is to be started now, and whether it has to be full. If so it counts as running until Done.
func (s *Schedule) Start(now time.Time) (start, full bool) {
	if at := s.Wake(); at.IsZero() || now.Before(at) {
		return false, false
	}
	full = s.full
	s.running, s.wanted, s.surprised, s.full = true, false, false, false
	return true, full
}

// Surprised reports whether the map is known to be old. Then a listing is worth its call even if nothing is to be sent: the next record is sent by it.
func (s *Schedule) Surprised() bool { return s.surprised }

// Wake is when the next listing is due; zero while one is running.
func (s *Schedule) Wake() time.Time {
	switch {
	case s.running:
		return time.Time{}
	case s.wanted && s.notBefore.IsZero():
		return time.Unix(0, 0) // the first one: long due
	case s.wanted || s.periodic.Before(s.notBefore):
		return s.notBefore
	default:
		return s.periodic
	}
}

// Done reports how the listing ended at now.
func (s *Schedule) Done(now time.Time, ok bool) {
	s.running = false
	if !ok {
		s.wanted = true
		s.notBefore = now.Add(s.backoff.Next())
		return
	}
	s.backoff.Reset()
	s.notBefore = now.Add(gap)
	s.periodic = now.Add(Period + time.Duration(s.rng.Int64N(int64(Period/5))))
}

// NoLater brings the next listing forward to t if it is later.
func (s *Schedule) NoLater(t time.Time) {
	if s.notBefore.After(t) {
		s.notBefore = t
	}
}
