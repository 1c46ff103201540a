package consumer

import (
	"context"
	"runtime/debug"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
)

// The calls of your code, as logs and hooks name them.
const (
	inOpen    = "open"
	inEach    = "Each"
	inBatches = "Batches"
	inProcess = "Process"
	inFlush   = "Flush"
	inClose   = "Close"
	inPolicy  = "ErrorPolicy"
)

// nothing is handed over with a call that has no records.
var nothing checkpoint.Position

// place is where the first of records stands, for those who ask what a call is about.
func place(records []Record) checkpoint.Position {
	if len(records) == 0 {
		return nothing
	}
	return records[0].Position
}

// hand calls your code once, if the lease is held at this moment; the records become storable with that.
func (s *session) hand(ctx context.Context, unit []Record, behind time.Duration, t *try) (admitted bool, err error) {
	last := unit[len(unit)-1].Position
	s.shard.handing(last)
	return s.process(ctx, unit, last, behind, t)
}

// process calls your code with unit. Everything the call needs is made before Admit, hooks are called before it: between its answer and the first line
// of your code nothing may take time, or the answer would be about a moment that has passed.
func (s *session) process(ctx context.Context, unit []Record, upTo checkpoint.Position, behind time.Duration, t *try) (admitted bool, err error) {
	var b *Batch
	if s.c.handler.each == nil || s.c.watched {
		b = &Batch{Shard: s.shard, Records: unit, Behind: behind, Attempt: t.attempt}
	}
	slot, now := s.view.begin(s.c.handler.call(), unit)
	t.begin(now)
	defer s.view.end(slot)
	watched := s.c.processStart(ctx, b)
	user := watched.context(ctx)
	if err := s.tenure.Admit(ctx, upTo); err != nil {
		s.c.processEnd(watched, b, err)
		return false, err
	}
	switch {
	case s.processor != nil:
		err = s.callProcess(user, b)
	case s.c.handler.each == nil:
		err = s.callBatch(user, b)
	default:
		err = s.callEach(user, &unit[0])
	}
	s.c.processEnd(watched, b, err)
	return true, err
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
