package consumer

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/internal/retry"
)

// Delays between attempts at a call of your code that fails: soon enough for a hiccup of what it depends on, rare enough not to keep it down.
const (
	userBackoff    = 250 * time.Millisecond
	userBackoffMax = 30 * time.Second
)

var errNoProcessor = errors.New("consumer: open returned no processor")

// try counts the attempts at one call of your code.
type try struct {
	attempt int       // of the next call, from 1
	since   time.Time // of the first attempt
	backoff *retry.Backoff
}

func (s *session) newTry() *try {
	return &try{attempt: 1, backoff: retry.NewBackoff(s.rng, userBackoff, userBackoffMax)}
}

// begin is called before each attempt.
func (t *try) begin(now time.Time) {
	if t.attempt == 1 {
		t.since = now
	}
}

// reset starts over: something was done, and what fails from now on is something else.
func (t *try) reset() {
	t.attempt = 1
	t.backoff.Reset()
}

// deliver hands records over until all are done. What is not done when it returns with an error was never stored as done, and is delivered again by
// whoever reads the shard next.
func (s *session) deliver(ctx, stay context.Context, records []Record, behind time.Duration) error {
	if s.parallel != nil {
		s.rest = records
		return s.parallel.deliver(s.feed.lend(), behind)
	}
	try := s.newTry()
	for len(records) > 0 {
		unit := records
		if s.c.handler.each != nil {
			unit = records[:1]
		}
		s.unit, s.rest = unit, records[len(unit):]
		if err := s.settle(ctx, stay, unit, behind, try); err != nil {
			return err
		}
		records = s.rest // which may have been given up meanwhile
	}
	return nil
}

// settle hands one unit over until all of it is done, or given up by the policy.
func (s *session) settle(ctx, stay context.Context, unit []Record, behind time.Duration, try *try) error {
	for len(unit) > 0 {
		if stop := s.stopped(ctx); stop != nil {
			return stop
		}
		admitted, err := s.hand(ctx, unit, behind, try)
		if !admitted {
			return err
		}
		n, failing := len(unit), unit
		if err != nil {
			n, failing = doneBefore(unit, err)
		}
		if n > 0 {
			if err := s.done(unit[n-1].Position); err != nil {
				return err
			}
			unit = unit[n:]
			s.well(try)
		}
		if err != nil {
			if unit, err = s.after(ctx, stay, unit, failing, behind, try, err); err != nil {
				return err
			}
		}
	}
	return nil
}

// after carries out what the policy says about a call that failed. It returns what is left to hand over of the unit, which begins with failing.
func (s *session) after(ctx, stay context.Context, unit, failing []Record, behind time.Duration, try *try, err error) (rest []Record, stop error) {
	verdict, stop := s.failed(ctx, try, failing, err)
	if stop != nil {
		return nil, stop
	}
	switch verdict {
	case Skip:
		s.over(try)
		return unit[len(failing):], s.giveUp(failing)
	case Split:
		s.over(try)
		half := len(unit) / 2
		return unit[half:], s.settle(ctx, stay, unit[:half], behind, try)
	case Halt:
		return unit, s.halt(ctx, stay, try, err)
	default:
		return unit, s.again(ctx, stay, try)
	}
}

// giveUp accounts for records that the policy skips: they are done.
func (s *session) giveUp(records []Record) error {
	s.skip(records)
	end := records[len(records)-1].Position
	if s.processor == nil {
		return s.mark(end)
	}
	s.accepted = end
	if s.shard.skipped(s.kept, end) {
		return s.mark(end)
	}
	return nil
}

// doneBefore returns how many records of the unit an error says are done, and which failed.
func doneBefore(unit []Record, err error) (n int, failing []Record) {
	var at *RecordError
	if !errors.As(err, &at) || at.Record == nil {
		return 0, unit
	}
	for i := range unit {
		if unit[i].Position == at.Record.Position {
			return i, unit[i : i+1]
		}
	}
	return 0, unit
}

// done accounts for records that your code is done with or, a processor, has accepted.
func (s *session) done(p checkpoint.Position) error {
	if s.processor != nil {
		s.accepted, s.kept = p, p
		return nil
	}
	return s.mark(p)
}

// mark stores p with the next renewal. Your code may have stored a later position itself.
func (s *session) mark(p checkpoint.Position) error {
	if err := s.tenure.Mark(p); err != nil && !errors.Is(err, checkpoint.ErrBackwards) {
		return err
	}
	return nil
}

// passed accounts for the end of a page, whose last records may not have been delivered. Without it a shard full of what is not delivered would never
// move. A processor's position moves only if nothing it was given is open; else its next checkpoint takes the end along.
func (s *session) passed(end checkpoint.Position) error {
	if end.Compare(s.tenure.Start().Position) <= 0 {
		return nil // an empty page, or one that was done before
	}
	if s.parallel != nil {
		s.parallel.pass(end)
		return nil
	}
	s.tenure.Pass(end)
	if s.processor == nil {
		return s.mark(end)
	}
	s.accepted = end
	if s.shard.passed(end) {
		return s.mark(end)
	}
	return nil
}

// again waits until it is time for another attempt.
func (s *session) again(ctx, stay context.Context, t *try) error {
	if s.pause(stay, t.backoff.Next()) != nil {
		return s.because(ctx, errLeaving)
	}
	return nil
}

// well takes back what failed has told.
func (s *session) well(t *try) {
	if t.attempt > 1 && s.view.well() {
		s.log.Info("call of the application's code succeeded", zap.Int("attempt", t.attempt))
	}
	if t.attempt > 1 {
		t.reset()
		s.moves()
	}
}

// over is well for a call that is not made again: the policy has decided something else.
func (s *session) over(t *try) {
	s.view.well()
	t.reset()
	s.moves()
}
