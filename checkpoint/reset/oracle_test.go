package reset_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint/reset"
)

// history lets three generations of splits and merges happen while records arrive and, now and then, workers read.
func (w *world) history() {
	for generation := range 4 {
		if generation > 0 {
			w.reshard()
		}
		for range w.rng.IntN(12) {
			w.put()
			w.pause()
		}
		if w.rng.IntN(3) == 0 {
			w.run(fmt.Sprint("early", generation), 1)
		}
	}
	if w.rng.IntN(2) == 0 {
		w.run("before", 1+w.rng.IntN(2))
	}
	if w.rng.IntN(2) == 0 {
		w.clean()
	}
}

// moment is a time to reset to: that of a record, one between, before all of them, or after.
func (w *world) moment(begin time.Time) time.Time {
	switch n := w.rng.IntN(10); {
	case n == 0:
		return begin.Add(-time.Hour)
	case n == 1:
		return time.Now()
	case n < 6 && len(w.sent) > 0:
		return w.sent[w.rng.IntN(len(w.sent))].at
	}
	return begin.Add(time.Duration(w.rng.Int64N(int64(time.Since(begin)) + 1)))
}

// Whatever happened before, and wherever the workers stood: after a reset to a time exactly what arrived since is delivered, in order, and what comes
// later as well.
func TestAfterAResetToATimeExactlyWhatArrivedSinceIsDelivered(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			bubble(t, seed, 1+int(seed%3), func(t *testing.T, w *world) {
				begin := time.Now()
				w.history()
				to := w.moment(begin)
				var plan *reset.Plan
				if w.rng.IntN(6) == 0 {
					plan, _ = w.reset(reset.Now(), reset.ExecuteOptions{})
					to = plan.Time
				} else {
					plan, _ = w.reset(reset.Time(to), reset.ExecuteOptions{})
				}
				for range w.rng.IntN(6) {
					w.put()
				}
				w.want(fmt.Sprint("since ", to), w.run("after", 1+w.rng.IntN(2)), w.since(to))
				if t.Failed() {
					t.Logf("%+v", plan)
				}
			})
		})
	}
}

func TestAfterAResetToTheOldestEverythingIsDelivered(t *testing.T) {
	t.Parallel()
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			bubble(t, 1000+seed, 1+int(seed%3), func(t *testing.T, w *world) {
				w.history()
				w.reset(reset.Oldest(), reset.ExecuteOptions{})
				w.want("oldest", w.run("after", 2), w.since(time.Time{}))
			})
		})
	}
}
