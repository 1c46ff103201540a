// Package retry is the one backoff policy of the module: jittered exponential delays and a sleep that a context ends.
//
// It is the only importer of github.com/cenkalti/backoff, so that the module's retry timing can be read, and replaced, in one file. Two of that
// library's defaults are deliberately unreachable from here: it gives up after 15 minutes (an outage may last longer, and what bounds a retry in
// this module is always a context), and it jitters from math/rand's global source (a run with the same seed must make the same calls).
package retry

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// multiplier doubles the interval: five failures take a loop from 100 ms to 3.2 s, soon enough to relieve a service in trouble and late enough
// that one lost packet costs little.
const multiplier = 2

// Backoff yields the delays between the attempts of one retry loop. It is not safe for concurrent use: each loop has its own.
type Backoff struct {
	rng *rand.Rand
	exp *backoff.ExponentialBackOff
}

// NewBackoff returns a Backoff whose interval starts at base and doubles up to limit; each delay is drawn from rng (see Next). rng is used only
// inside Next, on the goroutine that calls it, so loops of one goroutine may share it. A base below 1 ns counts as 1 ns, a limit below base as base.
func NewBackoff(rng *rand.Rand, base, limit time.Duration) *Backoff {
	base = atLeast(base, 1)
	exp := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(base),
		backoff.WithMaxInterval(atLeast(limit, base)),
		backoff.WithMultiplier(multiplier),
		backoff.WithRandomizationFactor(0),
		backoff.WithMaxElapsedTime(0),
	)
	return &Backoff{rng: rng, exp: exp}
}

// Next returns the delay before the next attempt, drawn evenly from the upper half of the current interval, [d/2, d], and doubles the interval.
// The lower half stays empty so that a delay is never 0 (a loop that spins) and grows with every failure; the spread is what keeps a fleet that
// failed together from coming back together. Next never says stop, and never returns more than the limit.
func (b *Backoff) Next() time.Duration {
	d := b.exp.NextBackOff()
	half := d / 2
	return d - time.Duration(b.rng.Int64N(int64(half)+1))
}

// Reset starts again from base. It is called after an attempt that succeeded.
func (b *Backoff) Reset() { b.exp.Reset() }

// Sleep waits for d and returns nil, or ctx.Err() as soon as ctx has ended. The context is looked at before the timer, so that a caller whose
// context is already done never waits and the outcome does not depend on which of two ready cases a select picks. A d of 0 or less does not wait.
func Sleep(ctx context.Context, d time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return ctx.Err() // both may have become ready before this goroutine ran: the context decides
	}
}

func atLeast(d, floor time.Duration) time.Duration {
	if d < floor {
		return floor
	}
	return d
}
