package consumer

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/consumer/internal/fetch"
)

// source is where a session's pages come from.
type source interface {
	// Next waits for the next page; see fetch.Poller and fetch.Subscriber.
	Next(ctx context.Context) (*fetch.Page, error)
	// Took is how long the requests of the last Next took.
	Took() time.Duration
	// Wait is how long the next Next waits before it asks for anything.
	Wait() time.Duration
	// FanOut reports whether the last Next waited for a subscription's event.
	FanOut() bool
	// Rewind lets the next page begin at a record that was fetched before.
	Rewind(to checkpoint.Position)
	// Close ends what is open. Next would open it again.
	Close()
}

// source makes what Config asks for.
func (s *session) source(memory *fetch.Account) source {
	opts := fetch.Options{
		Stream: s.c.stream, Shard: s.shard.ID(), Start: s.place, Memory: memory,
		Rand:       s.c.rng("fetch " + s.id()), // not the session's: a page is fetched while the session waits for your code, or for its next attempt
		MaxRecords: s.c.cfg.Polling.MaxRecords, MinInterval: s.c.cfg.Polling.MinInterval, MaxInterval: s.c.cfg.Polling.MaxInterval,
	}
	switch fanOut := s.c.cfg.FanOut; {
	case fanOut == nil:
		return fetch.New(s.c.api, opts)
	case fanOut.OrElsePoll:
		return fetch.NewEither(s.c.api, opts, s.c.registration, s.changed)
	default:
		return fetch.NewSubscriber(s.c.api, fetch.SubscriberOptions{
			Consumer: s.c.registration, Shard: opts.Shard, Start: opts.Start, Memory: memory, Rand: opts.Rand,
		})
	}
}

// changed tells of another way of reading.
func (s *session) changed(polling bool, why error) {
	if polling {
		s.log.Warn("shard cannot be subscribed to, it is polled", zap.Error(why))
		return
	}
	s.log.Info("shard is subscribed to again")
}
