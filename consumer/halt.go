package consumer

import (
	"context"
	"fmt"

	"go.uber.org/zap"
)

// Resume lets a shard that the error policy halted go on: the call that was halted is made again at once, as if for the first time. The shard is named by
// its id; stream is the name of the stream. Safe for concurrent use, also from an error policy or a hook of another shard.
//
// Errors: ErrNotHalted, if this consumer does not hold the shard or the shard is not halted at this moment.
func (c *Consumer) Resume(stream, shardID string) error {
	c.mu.Lock()
	var held []*session
	for s := range c.sessions {
		if stream == c.stream.Name && s.id() == shardID {
			held = append(held, s)
		}
	}
	c.mu.Unlock()
	for _, s := range held {
		if resumed := s.view.resume(); resumed != nil {
			close(resumed)
			return nil
		}
	}
	return fmt.Errorf("resume: shard %s of %s: %w", shardID, stream, ErrNotHalted)
}

// halt keeps the shard and does nothing with it until somebody resumes it (nil), or the session has to end. The lease is renewed by itself.
func (s *session) halt(ctx, stay context.Context, t *try, err error) error {
	s.hold(stay, s.halting(err))
	if stop := s.resumed(ctx); stop != nil {
		return stop
	}
	t.reset()
	s.moves()
	return nil
}

// halting tells that the shard is halted. The channel is closed when it is resumed.
func (s *session) halting(err error) <-chan struct{} {
	s.log.Error("shard halted by the error policy: nothing of it is delivered until it is resumed", zap.Error(err))
	return s.view.halt(fmt.Errorf("%w: %w", ErrHalted, err))
}

// resumed tells that it is resumed, or returns why it cannot be any more.
func (s *session) resumed(ctx context.Context) error {
	if stop := s.stopped(ctx); stop != nil {
		s.view.resume()
		return stop
	}
	s.log.Info("halted shard resumed")
	return nil
}

// hold waits, and gives up what a shard that does not move has no need of while other shards do.
func (s *session) hold(stay context.Context, resumed <-chan struct{}) {
	for press := s.sticks(); ; {
		select {
		case <-resumed:
			return
		case <-stay.Done():
			return
		case <-press:
			press = nil
			s.giveUpRest()
		}
	}
}
