package consumer

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/kinesiskit/kinesiskit/internal/retry"
)

// flushEnded asks the processor until it confirms that everything is done. There is no bound: a shard that ended without that would have lost what the
// processor holds back.
func (s *session) flushEnded(ctx, stay context.Context, why Reason) error {
	if s.processor == nil {
		return nil
	}
	s.view.enter(Flushing)
	s.view.flush(why)
	defer s.view.flush(0)
	try := s.newTry()
	for {
		if stop := s.stopped(ctx); stop != nil {
			return stop
		}
		admitted, err := s.flush(ctx, why, try)
		if !admitted {
			return err
		}
		if err == nil {
			s.well(try)
			return nil
		}
		s.unflushed = err
		verdict, stop := s.failed(ctx, try, nil, err)
		switch {
		case stop != nil:
		case verdict == Halt:
			s.unflushed = fmt.Errorf("%w: %w", ErrHalted, err)
			stop = s.halt(ctx, stay, try, err)
		default:
			stop = s.again(ctx, stay, try)
		}
		if stop != nil {
			return stop
		}
	}
}

// flushLeaving asks the processor to finish what it holds back, for as long as there is time, and lets the write that gives the lease away store what it
// confirms. The error is why nothing is stored.
func (s *session) flushLeaving(ctx context.Context) error {
	if s.processor == nil {
		return nil
	}
	if s.unflushed != nil {
		return s.unflushed // it was asked at the shard's end, and failed: no further attempt
	}
	bounded, why, cancel := s.leaving(ctx)
	defer cancel()
	s.view.enter(Flushing)
	s.view.flush(why)
	defer s.view.flush(0)
	try := s.newTry()
	for {
		admitted, err := s.flush(bounded, why, try)
		switch {
		case !admitted:
			return err
		case err == nil:
			s.well(try)
			return s.confirmed()
		}
		verdict, stop := s.failed(bounded, try, nil, err)
		switch {
		case stop != nil:
			return stop
		case verdict == Halt:
			err = fmt.Errorf("%w: %w", ErrHalted, err)
		case s.inTime(bounded, why, try):
			continue
		case bounded.Err() != nil:
			return context.Cause(bounded)
		}
		s.log.Warn("flush failed: the next owner continues at the stored position", zap.Error(err))
		return err
	}
}

// confirmed stores what Flush has confirmed.
func (s *session) confirmed() error {
	if s.accepted == nothing {
		return nil
	}
	return s.mark(s.accepted)
}

// inTime waits before another attempt at Flush, if there is time for one. A shard that moves is given away before the request for it is declined: what
// fails here may well work elsewhere.
func (s *session) inTime(ctx context.Context, why Reason, t *try) bool {
	by, bounded := ctx.Deadline()
	if why == Moving && !bounded {
		return false // it stays, and should be read again
	}
	wait := t.backoff.Next()
	return (!bounded || wait < time.Until(by)) && retry.Sleep(ctx, wait) == nil
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
	slot, now := s.view.begin(inFlush, nil)
	t.begin(now)
	defer s.view.end(slot)
	if err := s.tenure.Admit(ctx, nothing); err != nil {
		return false, err
	}
	return true, s.callFlush(ctx, why)
}
