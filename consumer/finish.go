package consumer

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/consumer/internal/fetch"
	"github.com/kinesiskit/kinesiskit/shard"
)

// closeTimeout is what Close is given. The shard may be another worker's by then, so there is nothing left that it could be bounded by.
const closeTimeout = 5 * time.Second

// children returns the shards that continue this one, nil if nothing proves yet that it has ended: an answer without an iterator is not proof, and a
// parent that is finished by mistake would leave records unread for ever.
func (s *session) children(stay context.Context, page *fetch.Page) []shard.Shard {
	if continues(s.shard.ID(), page.Children) {
		return page.Children
	}
	graph, _, err := s.c.listing.refresh(stay)
	if err != nil {
		s.trouble("end of shard cannot be confirmed", err)
		return nil
	}
	listed, ok := graph.Shard(s.shard.ID())
	children := graph.Children(s.shard.ID())
	if !ok || listed.Open() || !continues(s.shard.ID(), children) {
		return nil
	}
	return children
}

// finish ends a shard of which everything was delivered. The children's rows come first: whoever sees a finished parent can rely on them. at is the
// service's clock.
func (s *session) finish(ctx, stay context.Context, children []shard.Shard, at time.Time) error {
	if at.IsZero() {
		_, at = s.c.listing.known()
	}
	if err := s.tenure.Spawn(stay, children, serviceTime(at)); err != nil {
		return s.because(ctx, err)
	}
	if err := s.flushEnded(ctx, stay); err != nil {
		return err
	}
	// From here on a stop waits: Flush has said that all is done, and one write says so to everybody.
	if err := s.tenure.End(ctx); err != nil {
		return err
	}
	ids := make([]string, len(children))
	for i, c := range children {
		ids[i] = c.ID
	}
	s.log.Info("shard finished", zap.Strings("children", ids))
	return nil
}

// flushEnded asks the processor until it confirms that everything is done.
func (s *session) flushEnded(ctx, stay context.Context) error {
	if s.processor == nil {
		return nil
	}
	s.view.enter(Flushing)
	try := s.newTry()
	for {
		if stop := s.stopped(ctx); stop != nil {
			return stop
		}
		admitted, err := s.flush(ctx, ShardEnded, try)
		if !admitted {
			return err
		}
		if err == nil {
			s.well(try)
			return nil
		}
		s.unflushed = err
		if err := s.again(ctx, stay, try, nil, err); err != nil {
			return err
		}
	}
}

// flushLeaving asks the processor, once, to finish what it holds back, and lets the write that gives the lease away store what it confirms. The error is
// why nothing is stored.
func (s *session) flushLeaving(ctx context.Context) error {
	if s.processor == nil {
		return nil
	}
	if s.unflushed != nil {
		return s.unflushed // it was asked at the shard's end, and failed: no further attempt
	}
	s.view.enter(Flushing)
	bounded, why, cancel := s.leaving(ctx)
	defer cancel()
	try := s.newTry()
	admitted, err := s.flush(bounded, why, try)
	switch {
	case !admitted:
		return err
	case err != nil && bounded.Err() != nil:
		return context.Cause(bounded)
	case err != nil:
		s.log.Warn("flush failed: the next owner continues at the stored position", zap.Error(err))
		s.c.failed(&Failure{Shard: s.shard, Err: err, Attempt: try.attempt, Since: try.since})
		return err
	case s.accepted == checkpoint.Position{}:
		return nil
	}
	return s.mark(s.accepted)
}

// leaving returns why the shard is left, and the context that says for how long it may take.
func (s *session) leaving(ctx context.Context) (context.Context, Reason, context.CancelFunc) {
	if by, moving := s.tenure.Moving(); moving {
		if !time.Now().Before(by) {
			return ctx, Moving, func() {} // the shard stays: there is no hurry
		}
		bounded, cancel := context.WithDeadline(ctx, by)
		return bounded, Moving, cancel
	}
	s.c.mu.Lock()
	by := s.c.drainBy
	s.c.mu.Unlock()
	if by.IsZero() {
		return ctx, Stopping, func() {}
	}
	bounded, cancel := context.WithDeadlineCause(ctx, by, ErrStopped)
	return bounded, Stopping, cancel
}

func (s *session) flush(ctx context.Context, why Reason, t *try) (admitted bool, err error) {
	t.begin(s.view.begin())
	defer s.view.end()
	if err := s.tenure.Admit(ctx, checkpoint.Position{}); err != nil {
		return false, err
	}
	return true, s.callFlush(ctx, why)
}

// close is the processor's last call.
func (s *session) close(ctx context.Context, cause error) {
	if s.processor == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	s.view.begin()
	defer s.view.end()
	if err := s.callClose(ctx, cause); err != nil {
		s.log.Warn("close failed", zap.Error(err))
	}
}
