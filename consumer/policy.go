package consumer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/kinesiskit/kinesiskit/checkpoint"
)

// ErrorPolicy decides what follows a call of your code that failed: of Each's or Batches' function, open, Process or Flush. See [WithErrorPolicy].
//
// It runs where the failed call ran: for many shards at once, and with Config.ParallelizationFactor for many records of one shard. It may block, to write
// to a dead-letter queue say. Its ctx is that of the failed call; the lease is held when it begins, and nothing more of what failed is delivered
// meanwhile. What it does counts as a call of your code: a shard is not given away before it has returned.
//
// A panic of the policy is logged and means Retry, as does a Verdict that is none.
type ErrorPolicy func(ctx context.Context, f *Failure) Verdict

// Verdict is what an [ErrorPolicy] decides.
type Verdict int

const (
	// Retry hands the same records over again after a backoff that grows from 250 ms to 30 s. Nothing of the shard overtakes them; with
	// Config.ParallelizationFactor, nothing of their partition key does. It is what happens without a policy.
	Retry Verdict = iota

	// Skip counts Failure.Records as done: they are not delivered again, and their position is stored like any other. They are logged, and reported by
	// Hooks.Dropped. What Process accepted before stays accepted. Skip means Retry for open and for Flush, which have no records: there is no
	// position that says "done without its buffer".
	Skip

	// Split hands the batch over in two halves, one after the other, each with attempts of its own: repeated, it isolates the bad record. It means Retry for
	// anything but two records or more: for Each, for the one record that a *RecordError names, for open and Flush.
	Split

	// Halt delivers nothing more of the shard until [Consumer.Resume]; then the same records are handed over again. The lease is kept and renewed, the
	// shard's children wait, and Health shows it as Halted. When another worker asks for the shard, or this one stops, the shard moves on as it
	// does in a backoff: what Process accepted is flushed, what failed is not done, and the next owner begins with it, not halted.
	Halt
)

// String returns the verdict in lower case, as logs and metrics show it.
func (v Verdict) String() string {
	names := [...]string{"retry", "skip", "split", "halt"}
	if v < 0 || int(v) >= len(names) {
		return "unknown"
	}
	return names[v]
}

// errNoVerdict is told when a policy answers with a number that means nothing.
var errNoVerdict = errors.New("consumer: the error policy returned no verdict")

// failed follows a call of your code that failed: it returns what is to be done about it. Its error ends the session.
func (s *session) failed(ctx context.Context, t *try, failing []Record, err error) (Verdict, error) {
	if ctx.Err() != nil {
		return Retry, context.Cause(ctx) // your code was told to stop, and did
	}
	f := &Failure{Shard: s.shard, Records: failing, Err: err, Attempt: t.attempt, Since: t.since}
	if s.view.failing(t.attempt, err, true) {
		s.log.Warn("call of the application's code failed", zap.Error(err))
	}
	v, err := s.judge(ctx, f)
	if err != nil {
		return Retry, err
	}
	s.c.failed(f, v)
	t.attempt++
	return v, nil
}

// judge asks the policy, and makes Retry of a verdict that cannot be carried out.
func (s *session) judge(ctx context.Context, f *Failure) (Verdict, error) {
	if s.c.policy == nil {
		return Retry, nil
	}
	slot, _ := s.view.begin(inPolicy, f.Records)
	defer s.view.end(slot)
	if err := s.tenure.Admit(ctx, nothing); err != nil {
		return Retry, err
	}
	v, err := s.callPolicy(ctx, f)
	switch {
	case err != nil:
	case v < Retry || v > Halt:
		err = fmt.Errorf("%w: %d", errNoVerdict, v)
	case v == Skip && len(f.Records) == 0, v == Split && len(f.Records) < 2:
		return Retry, nil
	default:
		return v, nil
	}
	if s.view.failing(f.Attempt, errors.Join(f.Err, fmt.Errorf("consumer: error policy: %w", err)), true) || f.Attempt == 1 {
		s.log.Warn("error policy failed, the call is repeated", zap.Error(err))
	}
	return Retry, nil
}

func (s *session) callPolicy(ctx context.Context, f *Failure) (v Verdict, err error) {
	defer capture(&err)
	return s.c.policy(ctx, f), nil
}

// skipLogs is how often a shard's log tells of skipped records.
const skipLogs = time.Minute

// skipLog is what the log has not told yet of a shard's skipped records.
type skipLog struct {
	mu      sync.Mutex
	records int
	last    checkpoint.Position
	told    time.Time
}

// add returns how many records the log is to tell of now, 0 if it is too early.
func (l *skipLog) add(records int, last checkpoint.Position) (tell int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.records, l.last = l.records+records, last
	if !l.told.IsZero() && time.Since(l.told) < skipLogs {
		return 0
	}
	tell = l.records
	l.records, l.told = 0, time.Now()
	return tell
}

// rest returns what was not told.
func (l *skipLog) rest() (records int, last checkpoint.Position) {
	l.mu.Lock()
	defer l.mu.Unlock()
	records, l.records = l.records, 0
	return records, l.last
}

// skip reports records that the policy gave up.
func (s *session) skip(records []Record) {
	first, last := records[0].Position, records[len(records)-1].Position
	s.c.dropped(DropEvent{Stream: s.c.stream.Name, Shard: s.shard.ID(), Why: Skipped, Records: len(records), First: first, Last: last})
	if n := s.skips.add(len(records), last); n > 0 {
		s.tellSkips(n, last)
	}
}

func (s *session) tellSkips(records int, last checkpoint.Position) {
	s.log.Warn("records skipped by the error policy", zap.Int("records", records), zap.Stringer("last", last))
}
