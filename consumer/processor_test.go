package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/consumer"
	"github.com/kinesiskit/kinesiskit/lease"
)

// processor is a Processor of functions; those that are nil succeed.
type processor struct {
	process func(ctx context.Context, b *consumer.Batch) error
	flush   func(ctx context.Context, why consumer.Reason) error
	close   func(ctx context.Context, cause error)
}

func (p *processor) Process(ctx context.Context, b *consumer.Batch) error {
	if p.process == nil {
		return nil
	}
	return p.process(ctx, b)
}

func (p *processor) Flush(ctx context.Context, why consumer.Reason) error {
	if p.flush == nil {
		return nil
	}
	return p.flush(ctx, why)
}

func (p *processor) Close(ctx context.Context, cause error) {
	if p.close != nil {
		p.close(ctx, cause)
	}
}

// journal is what a processor's calls were, in order.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, fmt.Sprintf(format, args...))
}

func (j *journal) all() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.lines)
}

func (j *journal) want(t *testing.T, lines ...string) {
	t.Helper()
	if got := j.all(); !slices.Equal(got, lines) {
		t.Errorf("calls %q, want %q", got, lines)
	}
}

// handler writes every call down, and fails those that fail says.
func (j *journal) handler(fail func(call string) error) consumer.Handler {
	if fail == nil {
		fail = func(string) error { return nil }
	}
	return consumer.PerShard(func(_ context.Context, s *consumer.Shard) (consumer.Processor, error) {
		j.add("open %s", s.ID())
		if err := fail("open"); err != nil {
			return nil, err
		}
		return &processor{
			process: func(_ context.Context, b *consumer.Batch) error {
				j.add("process %s #%d", words(b), b.Attempt)
				return fail("process")
			},
			flush: func(_ context.Context, why consumer.Reason) error {
				j.add("flush %s", why)
				return fail("flush")
			},
			close: func(_ context.Context, cause error) { j.add("close %v", cause) },
		}, nil
	})
}

func words(b *consumer.Batch) string {
	s := ""
	for i := range b.Records {
		s += string(b.Records[i].Data)
	}
	return s
}

var errUser = errors.New("user")

// failTimes fails the first n calls of a kind.
func failTimes(kind string, n int) func(string) error {
	return func(call string) error {
		if call != kind || n == 0 {
			return nil
		}
		n--
		return errUser
	}
}

func TestFlushAtAStopConfirmsWhatProcessAccepted(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("k", "a", "b")
		var j journal
		w := f.run(fast("w1"), j.handler(nil))
		f.until("processed", time.Minute, func() bool { return len(j.all()) == 2 })
		time.Sleep(2 * failover)
		if p := f.row(shard0).Checkpoint.Position; p != checkpoint.TrimHorizon {
			t.Errorf("stored %s before anything was confirmed", p)
		}
		if err := w.leave(); err != nil {
			t.Fatal(err)
		}
		j.want(t, "open "+shard0, "process ab #1", "flush stopping", "close <nil>")
		if got, want := f.row(shard0).Checkpoint.Position.Sequence(), f.s.Records(streamName)[1].Sequence; got != want {
			t.Errorf("stored %s, want %s", got, want)
		}
	})
}

func TestADrainThatMeetsABatchInRetryMakesNoFurtherAttempt(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("k", "a")
		var j journal
		bad := false
		h := j.handler(func(call string) error {
			if call == "process" && bad {
				return errUser
			}
			return nil
		})
		w1 := f.run(fast("w1"), h)
		f.until("processed", time.Minute, func() bool { return len(j.all()) == 2 })
		bad = true
		f.put("k", "b")
		f.until("retrying", time.Minute, func() bool {
			hs := w1.Health().Shards
			return len(hs) == 1 && hs[0].State == consumer.Retrying && hs[0].Attempt == 3 && errors.Is(hs[0].Err, errUser)
		})
		begin := time.Now()
		if err := w1.leave(); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took > 0 {
			t.Errorf("the stop waited %v for the backoff", took)
		}
		j.want(t, "open "+shard0, "process a #1", "process b #1", "process b #2", "process b #3", "flush stopping", "close <nil>")
		f.start("w2")
		f.delivered(1)
		f.want("b")
	})
}

func TestALostShardIsClosedWithItsCauseAndNotFlushed(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("k", "a")
		var j journal
		var s *consumer.Shard
		h := consumer.PerShard(func(_ context.Context, open *consumer.Shard) (consumer.Processor, error) {
			s = open
			return &processor{
				flush: func(context.Context, consumer.Reason) error { j.add("flush"); return nil },
				close: func(ctx context.Context, cause error) {
					left, _ := ctx.Deadline()
					j.add("close %v, alive: %v, for %v", errors.Is(cause, lease.ErrLost), ctx.Err() == nil, time.Until(left))
				},
			}, nil
		})
		w := f.run(fast("w1"), h)
		f.until("held", time.Minute, func() bool { return s != nil && len(w.Health().Shards) == 1 })
		w.cut()
		f.until("closed", time.Minute, func() bool { return len(j.all()) > 0 })
		j.want(t, "close true, alive: true, for 5s")
		p := at(t, f.s.Records(streamName)[0].Sequence, 0)
		if err := s.Checkpoint(context.Background(), p); !errors.Is(err, lease.ErrLost) {
			t.Errorf("checkpoint of a lost shard: %v", err)
		}
		if err := s.Mark(p); !errors.Is(err, lease.ErrLost) {
			t.Errorf("mark of a lost shard: %v", err)
		}
	})
}

func TestAHardStopClosesWithErrStopped(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("k", "a")
		var j journal
		h := consumer.PerShard(func(context.Context, *consumer.Shard) (consumer.Processor, error) {
			return &processor{
				process: func(ctx context.Context, _ *consumer.Batch) error { <-ctx.Done(); return ctx.Err() },
				flush:   func(context.Context, consumer.Reason) error { j.add("flush"); return nil },
				close:   func(_ context.Context, cause error) { j.add("close %v", cause) },
			}, nil
		})
		w := f.run(fast("w1"), h)
		f.until("busy", time.Minute, func() bool { hs := w.Health().Shards; return len(hs) == 1 && !hs[0].BusySince.IsZero() })
		if err := w.leave(); err != nil {
			t.Fatal(err)
		}
		j.want(t, "close "+consumer.ErrStopped.Error())
		if l := f.row(shard0); l.Checkpoint.Position != checkpoint.TrimHorizon || l.Owner != "" {
			t.Errorf("row %+v", l)
		}
		if fails := f.failures(); len(fails) != 0 {
			t.Errorf("failures %q: code that obeys its context has not failed", fails)
		}
	})
}

func TestFlushAtAStopIsBoundedByWhatIsLeft(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("k", "a")
		var j journal
		h := consumer.PerShard(func(context.Context, *consumer.Shard) (consumer.Processor, error) {
			return &processor{
				process: func(context.Context, *consumer.Batch) error { j.add("process"); return nil },
				flush: func(ctx context.Context, _ consumer.Reason) error {
					by, ok := ctx.Deadline()
					j.add("flush %v %v", ok, time.Until(by))
					<-ctx.Done()
					return ctx.Err()
				},
				close: func(_ context.Context, cause error) { j.add("close %v", cause) },
			}, nil
		})
		cfg := fast("w1")
		cfg.ShutdownTimeout = 7 * time.Second
		w := f.run(cfg, h)
		f.until("processed", time.Minute, func() bool { return len(j.all()) == 1 })
		if err := w.leave(); err != nil {
			t.Fatal(err)
		}
		j.want(t, "process", "flush true 7s", "close "+consumer.ErrStopped.Error())
	})
}

func TestOpenIsRepeatedUntilItSucceeds(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("k", "a")
		var j journal
		w := f.run(fast("w1"), j.handler(failTimes("open", 2)))
		f.until("processed", time.Minute, func() bool { return len(j.all()) == 4 })
		if err := w.leave(); err != nil {
			t.Fatal(err)
		}
		j.want(t, "open "+shard0, "open "+shard0, "open "+shard0, "process a #1", "flush stopping", "close <nil>")
		if fails := f.failures(); !slices.Equal(fails, []string{"1/0: user", "2/0: user"}) {
			t.Errorf("failures %q", fails)
		}
	})
}

func TestAnOpenThatReturnsNothingIsAFailure(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		h := consumer.PerShard(func(context.Context, *consumer.Shard) (consumer.Processor, error) { return nil, nil })
		w := f.run(fast("w1"), h)
		f.until("reported", time.Minute, func() bool {
			hs := w.Health().Shards
			return len(hs) == 1 && hs[0].State == consumer.Opening && hs[0].Err != nil
		})
		if err := w.leave(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestAShardIsNotFinishedBeforeFlushConfirmsIt(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("k", "a")
		var j journal
		h := j.handler(failTimes("flush", 3))
		w := f.run(fast("w1"), h)
		f.until("processed", time.Minute, func() bool { return len(j.all()) == 2 })
		f.s.Split(streamName, shard0)
		f.until("flush fails", time.Minute, func() bool {
			hs := w.Health().Shards
			return len(hs) > 0 && hs[0].State == consumer.Flushing && hs[0].Attempt > 0
		})
		if h := w.Health(); !errors.Is(h.Err, errUser) {
			t.Errorf("health says %v: its children wait, which must not be overlooked", h.Err)
		}
		if f.row(shard0).Ended() {
			t.Error("finished before it was confirmed")
		}
		f.until("finished", time.Minute, func() bool { return f.row(shard0).Ended() })
		f.until("children opened", time.Minute, func() bool { return len(j.all()) == 9 })
		want := []string{
			"open " + shard0, "process a #1", "flush shard ended", "flush shard ended", "flush shard ended", "flush shard ended", "close <nil>",
		}
		if got := j.all()[:7]; !slices.Equal(got, want) {
			t.Errorf("calls %q, want %q", got, want)
		}
	})
}

func TestAStopDuringAFailingFlushAtShardEndLeavesTheShardUnfinished(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("k", "a")
		var j journal
		w := f.run(fast("w1"), j.handler(failTimes("flush", 99)))
		f.until("processed", time.Minute, func() bool { return len(j.all()) == 2 })
		f.s.Split(streamName, shard0)
		f.until("flush failed", time.Minute, func() bool { return len(f.failures()) == 1 })
		if err := w.leave(); err != nil {
			t.Fatal(err)
		}
		j.want(t, "open "+shard0, "process a #1", "flush shard ended", "close user")
		if l := f.row(shard0); l.Ended() || l.Owner != "" {
			t.Errorf("row %+v", l)
		}
	})
}

func TestAProcessorsOwnCheckpointIsWhereTheNextOwnerStarts(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("k", "a", "b", "c")
		h := consumer.PerShard(func(_ context.Context, s *consumer.Shard) (consumer.Processor, error) {
			return &processor{
				process: func(ctx context.Context, b *consumer.Batch) error {
					if err := s.Checkpoint(ctx, b.Records[1].Position); err != nil {
						t.Errorf("checkpoint: %v", err)
					}
					if err := s.Checkpoint(ctx, b.Records[0].Position); !errors.Is(err, checkpoint.ErrBackwards) {
						t.Errorf("checkpoint back: %v", err)
					}
					late := at(t, b.Records[2].Position.Sequence(), 1)
					if err := s.Checkpoint(ctx, late); !errors.Is(err, checkpoint.ErrNotDelivered) {
						t.Errorf("checkpoint ahead: %v", err)
					}
					f.note("w1", &b.Records[1])
					return nil
				},
				flush: func(context.Context, consumer.Reason) error { return errUser },
			}, nil
		})
		w := f.run(fast("w1"), h)
		f.delivered(1)
		if err := w.leave(); err != nil {
			t.Fatal(err)
		}
		f.start("w2")
		f.delivered(2)
		f.want("b", "c")
	})
}
