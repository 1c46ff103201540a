package fetch

import (
	"context"
	"errors"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
)

// patience is how long subscriptions may fail before polling begins: two generations of a subscription that is in the way.
const patience = 10 * time.Second

// breather is how many times as long as an attempt at a subscription took, polls have the shard to themselves after it failed. An attempt that hangs
// holds up the polls meanwhile.
const breather = 5

// Either subscribes, and polls while no subscription can be had. Both read on from one cursor, so that a change loses and repeats nothing. It is
// not safe for concurrent use.
type Either struct {
	sub     *Subscriber
	poll    *Poller
	changed func(polling bool, why error)

	polling bool
	told    bool      // that it polls
	failing time.Time // since when there was no event; zero if the last attempt brought one
}

// NewEither returns an Either that begins with a subscription. changed is called, on Next's goroutine, when the way of reading changes: after
// why, or back, with nil, at the first event.
func NewEither(api interface {
	API
	SubscribeAPI
}, opts Options, consumer Registration, changed func(polling bool, why error),
) *Either {
	at := newCursor(opts.Start)
	return &Either{
		sub:     newSubscriber(api, SubscriberOptions{Consumer: consumer, Shard: opts.Shard, Start: opts.Start, Memory: opts.Memory, Rand: opts.Rand}, at),
		poll:    newPoller(api, opts, at),
		changed: changed,
	}
}

// Next is that of a Subscriber or of a Poller.
func (e *Either) Next(ctx context.Context) (*Page, error) {
	for {
		if e.polling && !e.back(ctx) {
			return e.poll.Next(ctx)
		}
		got, err := e.sub.Next(ctx)
		if err == nil {
			e.failing = time.Time{}
			e.tell(false, nil)
			return got, nil
		}
		if ctx.Err() != nil {
			return nil, err
		}
		if e.failing.IsZero() {
			e.failing = time.Now()
		}
		// A subscription that took the place of polls, and brought nothing, has used up its patience before.
		var unregistered *unregisteredError
		if !errors.As(err, &unregistered) && time.Since(e.failing) < patience {
			return nil, err
		}
		e.polling = true
		e.poll.iterator = "" // of a place that events may have gone beyond
		e.tell(true, err)
	}
}

// back tries to subscribe again, if it is time for that.
func (e *Either) back(ctx context.Context) bool {
	if time.Now().Before(e.sub.next) || ctx.Err() != nil {
		return false
	}
	if err := e.sub.subscribe(ctx); err != nil {
		_ = e.sub.failed(ctx, err)
		if at := time.Now().Add(breather * e.sub.took); at.After(e.sub.next) {
			e.sub.next = at
		}
		return false
	}
	e.polling = false
	return true
}

func (e *Either) tell(polling bool, why error) {
	if e.told != polling {
		e.told = polling
		e.changed(polling, why)
	}
}

// Took is that of the way which the last Next took.
func (e *Either) Took() time.Duration {
	if e.polling {
		return e.poll.Took()
	}
	return e.sub.Took()
}

// FanOut reports whether the last Next waited for an event.
func (e *Either) FanOut() bool { return !e.polling }

// Rewind is that of both.
func (e *Either) Rewind(to checkpoint.Position) {
	e.sub.Close()
	e.poll.Rewind(to)
}

// Close ends the subscription, if there is one.
func (e *Either) Close() { e.sub.Close() }
