package consumer

import (
	"context"
	"errors"
	"runtime/debug"
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
	try := s.newTry()
	for len(records) > 0 {
		if stop := s.stopped(ctx); stop != nil {
			return stop
		}
		unit := records
		if s.c.handler.each != nil {
			unit = records[:1]
		}
		s.unit, s.rest = unit, records[len(unit):]
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
			s.well(try)
		}
		if err != nil {
			if err := s.again(ctx, stay, try, failing, err); err != nil {
				return err
			}
		}
		records = records[n : len(unit)+len(s.rest)] // the rest may have been given up meanwhile
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

// hand calls your code once, if the lease is held at this moment. Everything the call needs is made before Admit: between its answer and the first line
// of your code nothing may take time, or the answer would be about a moment that has passed.
func (s *session) hand(ctx context.Context, unit []Record, behind time.Duration, t *try) (admitted bool, err error) {
	last := unit[len(unit)-1].Position
	s.shard.handing(last)
	var b *Batch
	if s.c.handler.each == nil {
		b = &Batch{Shard: s.shard, Records: unit, Behind: behind, Attempt: t.attempt}
	}
	t.begin(s.view.begin())
	defer s.view.end()
	if err := s.tenure.Admit(ctx, last); err != nil {
		return false, err
	}
	switch {
	case s.processor != nil:
		err = s.callProcess(ctx, b)
	case b != nil:
		err = s.callBatch(ctx, b)
	default:
		err = s.callEach(ctx, &unit[0])
	}
	return true, err
}

// done accounts for records that your code is done with or, a processor, has accepted.
func (s *session) done(p checkpoint.Position) error {
	if s.processor != nil {
		s.accepted = p
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

// again follows a call of your code that failed: nil means that the time for another attempt has come. failing is what to report.
func (s *session) again(ctx, stay context.Context, t *try, failing []Record, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx) // your code was told to stop, and did
	}
	if s.view.failing(t.attempt, err, true) {
		s.log.Warn("call of the application's code failed, it is repeated", zap.Error(err))
	}
	s.c.failed(&Failure{Shard: s.shard, Records: failing, Err: err, Attempt: t.attempt, Since: t.since})
	t.attempt++
	if s.pause(stay, t.backoff.Next()) != nil {
		return s.because(ctx, errLeaving)
	}
	return nil
}

// well takes back what again has told.
func (s *session) well(t *try) {
	if t.attempt > 1 && s.view.well() {
		s.log.Info("call of the application's code succeeded", zap.Int("attempt", t.attempt))
	}
	if t.attempt > 1 {
		t.reset()
		s.moves()
	}
}

// The calls of your code, each with its panics turned into errors.

func (s *session) callOpen(ctx context.Context) (p Processor, err error) {
	defer capture(&err)
	p, err = s.c.handler.open(ctx, s.shard)
	if err == nil && p == nil {
		err = errNoProcessor
	}
	return p, err
}

func (s *session) callEach(ctx context.Context, r *Record) (err error) {
	defer capture(&err)
	return s.c.handler.each(ctx, r)
}

func (s *session) callBatch(ctx context.Context, b *Batch) (err error) {
	defer capture(&err)
	return s.c.handler.batches(ctx, b)
}

func (s *session) callProcess(ctx context.Context, b *Batch) (err error) {
	defer capture(&err)
	return s.processor.Process(ctx, b)
}

func (s *session) callFlush(ctx context.Context, why Reason) (err error) {
	defer capture(&err)
	return s.processor.Flush(ctx, why)
}

func (s *session) callClose(ctx context.Context, cause error) (err error) {
	defer capture(&err)
	s.processor.Close(ctx, cause)
	return nil
}

// capture is deferred by itself, which is what lets it recover.
func capture(err *error) {
	if v := recover(); v != nil {
		*err = &PanicError{Value: v, Stack: debug.Stack()}
	}
}
