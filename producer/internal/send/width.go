package send

import (
	"math/bits"
	"time"
)

const (
	// firstWidth is how many requests may be under way at first, and leastWidth at any time: one that is late must not stop everything.
	firstWidth = 4
	leastWidth = 2

	// narrowing is what is left of the width when the service is found to be in trouble.
	narrowing = 0.7

	// A request is slow if it takes twice as long as usual for its size, and some more than that does not matter.
	slowBy = 10 * time.Millisecond

	// What is usual follows in a few requests when they get faster, and in some dozens when they get slower, if that cannot be for their number: a service
	// that is further away than it was is not in trouble.
	usualDown = 4
	usualUp   = 64
)

// width is how many requests may be under way at once. It begins small and grows by one for each round of answers that came as usual while it was used
// up. When most of a round was slow, or failed as a whole, there are too many for the service or the way to it, and more would only wait for each
// other: then it shrinks. Throttles of single entries are no reason. They are about one shard, see flow.
type width struct {
	least, most int
	now         float64

	usual         [8]time.Duration // by size, each class twice as large as the one before; 0: no answer yet
	answers, slow int              // of this round
	reached       bool             // in this round
}

func newWidth(most int) width {
	return width{least: min(leastWidth, most), most: most, now: float64(min(firstWidth, most))}
}

// requests is the width in requests.
func (w *width) requests() int { return int(w.now) }

// launched notes that n requests are under way now.
func (w *width) launched(n int) { w.reached = w.reached || n >= w.requests() }

// answered notes the end of a request of so many bytes. failed: as a whole, and not because of what was in it.
func (w *width) answered(bytes int, took time.Duration, failed bool) {
	w.answers++
	if failed || w.late(bytes, took) {
		w.slow++
	}
	if w.answers < w.requests() {
		return
	}
	switch {
	case 2*w.slow > w.answers:
		w.now = max(w.now*narrowing, float64(w.least))
	case w.reached && w.now < float64(w.most):
		w.now = min(w.now+1, float64(w.most))
	}
	w.answers, w.slow, w.reached = 0, 0, false
}

// late reports whether an answer took longer than usual, and learns what is usual.
func (w *width) late(bytes int, took time.Duration) bool {
	usual := &w.usual[min(bits.Len(uint(bytes)>>16), len(w.usual)-1)]
	slow := 2**usual + slowBy
	switch {
	case *usual == 0:
		*usual = took
		return false
	case took < *usual:
		*usual -= (*usual - took) / usualDown
	case !w.reached || w.requests() <= w.least:
		*usual += (min(took, slow) - *usual) / usualUp
	}
	return took > slow
}
