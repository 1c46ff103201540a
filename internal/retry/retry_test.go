package retry_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesiskit/kinesiskit/internal/retry"
)

func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, seed)) }

func delays(b *retry.Backoff, n int) []time.Duration {
	out := make([]time.Duration, n)
	for i := range out {
		out[i] = b.Next()
	}
	return out
}

func TestDelayStaysInTheUpperHalfOfAnIntervalThatDoublesUpToMax(t *testing.T) {
	t.Parallel()
	const base, limit = 100 * time.Millisecond, 1500 * time.Millisecond
	for seed := range uint64(200) {
		b := retry.NewBackoff(seeded(seed), base, limit)
		interval := base
		for attempt := range 20 {
			if d := b.Next(); d < interval/2 || d > interval {
				t.Fatalf("seed %d, attempt %d: delay %v is outside [%v, %v]", seed, attempt, d, interval/2, interval)
			}
			interval = min(2*interval, limit)
		}
	}
}

func TestDelayIsSpreadOverItsWholeRange(t *testing.T) {
	t.Parallel()
	const d = time.Second
	low, high := d, time.Duration(0)
	for seed := range uint64(500) {
		v := retry.NewBackoff(seeded(seed), d, d).Next()
		low, high = min(low, v), max(high, v)
	}
	if low > 520*time.Millisecond || high < 980*time.Millisecond {
		t.Fatalf("500 draws lie in [%v, %v], want them to reach both ends of [500ms, 1s]", low, high)
	}
}

func TestDelayIsNeverZeroNorAboveMaxForAnyArguments(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ base, max, limit time.Duration }{
		{0, 0, 1},
		{-time.Second, -time.Second, 1},
		{1, 1, 1},
		{1, time.Hour, time.Hour},
		{time.Second, time.Millisecond, time.Second},
		{1 << 62, 1<<63 - 1, 1<<63 - 1},
	} {
		for _, d := range delays(retry.NewBackoff(seeded(1), c.base, c.max), 100) {
			if d <= 0 || d > c.limit {
				t.Fatalf("base %v, max %v: delay %v is not in (0, %v]", c.base, c.max, d, c.limit)
			}
		}
	}
}

func TestSameSeedGivesTheSameDelays(t *testing.T) {
	t.Parallel()
	a := delays(retry.NewBackoff(seeded(7), time.Millisecond, time.Minute), 50)
	b := delays(retry.NewBackoff(seeded(7), time.Millisecond, time.Minute), 50)
	c := delays(retry.NewBackoff(seeded(8), time.Millisecond, time.Minute), 50)
	if !slices.Equal(a, b) {
		t.Fatal("two backoffs with one seed differ: there is randomness from elsewhere")
	}
	if slices.Equal(a, c) {
		t.Fatal("two backoffs with different seeds are equal: the seed is not used")
	}
}

func TestResetStartsAgainFromBase(t *testing.T) {
	t.Parallel()
	b := retry.NewBackoff(seeded(1), time.Second, time.Hour)
	delays(b, 10)
	b.Reset()
	if d := b.Next(); d > time.Second {
		t.Fatalf("after Reset the delay is %v, want at most the base of 1s", d)
	}
}

func TestBackoffNeverGivesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := retry.NewBackoff(seeded(1), time.Second, time.Minute)
		start := time.Now()
		for time.Since(start) < 24*time.Hour {
			d := b.Next()
			if d <= 0 || d > time.Minute {
				t.Fatalf("after %v the delay is %v", time.Since(start), d)
			}
			time.Sleep(d)
		}
	})
}

func TestSleepWaitsExactlyItsTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		if err := retry.Sleep(t.Context(), time.Hour); err != nil {
			t.Fatal(err)
		}
		if got := time.Since(start); got != time.Hour {
			t.Fatalf("slept %v, want 1h", got)
		}
	})
}

func TestSleepEndsAtOnceWhenTheContextEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		if err := retry.Sleep(ctx, time.Hour); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("error %v, want the context's", err)
		}
		if got := time.Since(start); got != time.Minute {
			t.Fatalf("slept %v, want 1m", got)
		}
	})
}

func TestSleepLooksAtTheContextFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for range 100 { // a select over two ready cases would let some of these through
			for _, d := range []time.Duration{-1, 0, 1, time.Hour} {
				if err := retry.Sleep(ctx, d); !errors.Is(err, context.Canceled) {
					t.Fatalf("Sleep(%v) with an ended context: %v", d, err)
				}
			}
		}
	})
}

func TestSleepOfNothingDoesNotWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		if err := errors.Join(retry.Sleep(t.Context(), 0), retry.Sleep(t.Context(), -time.Hour)); err != nil {
			t.Fatal(err)
		}
		if got := time.Since(start); got != 0 {
			t.Fatalf("slept %v", got)
		}
	})
}
