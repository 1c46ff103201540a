package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/consumer"
	"github.com/kinesiskit/kinesiskit/kinesistest"
)

// traced is a context key of the tests' hooks.
type traced string

// tracer notes the pairs of start and end, and hands a value on to your code.
func tracer(j *journal, name traced) consumer.Option {
	return consumer.WithHooks(consumer.Hooks{
		ProcessStart: func(ctx context.Context, b *consumer.Batch) context.Context {
			j.add("%s starts %s #%d", name, words(b), b.Attempt)
			return context.WithValue(ctx, name, words(b))
		},
		ProcessEnd: func(ctx context.Context, b *consumer.Batch, err error) {
			j.add("%s ends %s of %v: %v", name, words(b), ctx.Value(name), err)
		},
	})
}

func TestProcessStartAndEndSurroundEveryCallThatDelivers(t *testing.T) {
	var j *journal
	left := 0
	work := func(ctx context.Context, data string) error {
		j.add("called with %s: %v %v", data, ctx.Value(traced("x")), ctx.Value(traced("y")))
		if left--; left >= 0 {
			return errUser
		}
		return nil
	}
	handlers := map[string]consumer.Handler{
		"Each":    consumer.Each(func(ctx context.Context, r *consumer.Record) error { return work(ctx, string(r.Data)) }),
		"Batches": consumer.Batches(func(ctx context.Context, b *consumer.Batch) error { return work(ctx, words(b)) }),
		"PerShard": consumer.PerShard(func(context.Context, *consumer.Shard) (consumer.Processor, error) {
			return &processor{process: func(ctx context.Context, b *consumer.Batch) error { return work(ctx, words(b)) }}, nil
		}),
	}
	bubble(t, 1, func(f *fleet) {
		for _, name := range []string{"Each", "Batches", "PerShard"} {
			j, left = &journal{}, 1
			f.put("k", name)
			w := f.run(fast(name), handlers[name], tracer(j, "x"), tracer(j, "y"))
			f.until("done", time.Minute, func() bool { return len(j.all()) == 10 })
			if err := w.leave(); err != nil {
				t.Fatal(err)
			}
			var want []string
			for i, err := range []string{"user", "<nil>"} {
				want = append(want, fmt.Sprintf("x starts %s #%d", name, i+1), fmt.Sprintf("y starts %s #%d", name, i+1), fmt.Sprintf("called with %[1]s: %[1]s %[1]s", name),
					fmt.Sprintf("y ends %[1]s of %[1]s: %[2]s", name, err), fmt.Sprintf("x ends %[1]s of %[1]s: %[2]s", name, err))
			}
			j.want(t, want...)
		}
	})
}

func TestAProcessStartThatReturnsNothingLeavesTheContext(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("k", "a")
		h := consumer.WithHooks(consumer.Hooks{ProcessStart: func(context.Context, *consumer.Batch) context.Context { return nil }})
		f.run(fast("w1"), nil, h)
		f.delivered(1)
	})
}

func TestEveryStoredPositionIsReported(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		var j journal
		told := consumer.WithHooks(consumer.Hooks{Checkpointed: func(e consumer.CheckpointEvent) {
			j.add("%s %s %s renewal: %v, err: %v", e.Stream, e.Shard, e.Position, e.WithRenewal, e.Err)
		}})
		f.put("k", "a", "b", "c")
		var positions []checkpoint.Position
		h := consumer.PerShard(func(_ context.Context, s *consumer.Shard) (consumer.Processor, error) {
			return &processor{process: func(ctx context.Context, b *consumer.Batch) error {
				for i := range b.Records {
					positions = append(positions, b.Records[i].Position)
				}
				if len(positions) != 3 {
					return nil
				}
				if err := s.Checkpoint(ctx, positions[0]); err != nil {
					t.Errorf("checkpoint: %v", err)
				}
				late := at(t, positions[2].Sequence(), 1)
				if err := s.Checkpoint(ctx, late); !errors.Is(err, checkpoint.ErrNotDelivered) {
					t.Errorf("checkpoint ahead: %v", err)
				}
				return s.Mark(positions[1])
			}}, nil
		})
		w := f.run(fast("w1"), h, told)
		f.stored(shard0, at(t, f.s.Records(streamName)[1].Sequence, 0))
		if err := w.leave(); err != nil {
			t.Fatal(err)
		}
		line := func(p checkpoint.Position, renewal bool, err error) string {
			return fmt.Sprintf("%s %s %s renewal: %v, err: %v", streamName, shard0, p, renewal, err)
		}
		j.want(t, line(positions[0], false, nil), line(at(t, positions[2].Sequence(), 1), false, checkpoint.ErrNotDelivered),
			line(positions[1], true, nil), line(positions[2], true, nil))
	})
}

func TestTheEndOfAShardIsReportedAsStored(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		var j journal
		told := consumer.WithHooks(consumer.Hooks{Checkpointed: func(e consumer.CheckpointEvent) { j.add("%s %s %v", e.Shard, e.Position, e.WithRenewal) }})
		f.s.Split(streamName, shard0)
		f.run(fast("w1"), nil, told)
		f.until("told", time.Minute, func() bool { return slices.Contains(j.all(), shard0+" SHARD_END true") })
	})
}

func TestAThrottledRequestIsReportedWithItsPause(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		var events []consumer.ThrottleEvent
		told := consumer.WithHooks(consumer.Hooks{Throttled: func(e consumer.ThrottleEvent) { events = append(events, e) }})
		f.s.On("GetRecords", kinesistest.Throttle()).Times(2)
		f.s.On("GetShardIterator", kinesistest.Throttle()).Times(1)
		f.put("k", "a")
		f.run(fast("w1"), nil, told)
		f.delivered(1)
		var ops []string
		for _, e := range events {
			ops = append(ops, e.Op)
			if e.Stream != streamName || e.Shard != shard0 || e.Wait < 100*time.Millisecond || e.Wait > 2*time.Second {
				t.Errorf("%+v", e)
			}
		}
		if want := []string{"GetShardIterator", "GetRecords", "GetRecords"}; !slices.Equal(ops, want) {
			t.Errorf("throttled %q, want %q", ops, want)
		}
	})
}

func TestALongCallIsReportedOnceAMinuteUntilItReturns(t *testing.T) {
	for _, c := range []struct {
		after time.Duration
		runs  time.Duration
		want  []time.Duration
	}{
		{0, 59 * time.Second, nil},
		{0, 200 * time.Second, []time.Duration{60 * time.Second, 120 * time.Second, 180 * time.Second}},
		{5 * time.Second, 70 * time.Second, []time.Duration{5 * time.Second, 65 * time.Second}},
		{-1, 200 * time.Second, nil},
	} {
		t.Run(fmt.Sprintf("%v of %v", c.runs, c.after), func(t *testing.T) {
			bubble(t, 1, func(f *fleet) {
				core, logs := observer.New(zap.WarnLevel)
				var events []consumer.SlowEvent
				told := consumer.WithHooks(consumer.Hooks{Slow: func(e consumer.SlowEvent) { events = append(events, e) }})
				cfg := fast("w1")
				cfg.SlowCall = c.after
				var began time.Time
				f.put("k", "quick", "long", "quick")
				f.run(cfg, consumer.Each(func(_ context.Context, r *consumer.Record) error {
					f.note("w1", r)
					time.Sleep(700 * time.Millisecond) // never long, but the timer is set in the middle of one
					if string(r.Data) == "long" {
						began = time.Now()
						time.Sleep(c.runs)
						began = began.Add(-700 * time.Millisecond)
					}
					return nil
				}), told, consumer.WithLogger(zap.New(core)))
				f.until("delivered", 10*time.Minute, func() bool { return len(f.deliveries()) == 3 })
				time.Sleep(90 * time.Second)
				synctest.Wait()
				var ran []time.Duration
				for _, e := range events {
					ran = append(ran, e.Running.Truncate(time.Second))
					if e.Stream != streamName || e.Shard != shard0 || e.Call != "Each" || e.Position != f.deliveries()[1].position || !e.Since.Equal(began) {
						t.Errorf("%+v, began %v", e, began)
					}
				}
				if !slices.Equal(ran, c.want) {
					t.Errorf("reported after %v, want %v", ran, c.want)
				}
				if n := logs.FilterMessage("call of the application's code runs for long").Len(); n != len(c.want) {
					t.Errorf("logged %d times", n)
				}
			})
		})
	}
}

func TestALongCallOfAnyKindIsReported(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("k", "a")
		var j journal
		told := consumer.WithHooks(consumer.Hooks{Slow: func(e consumer.SlowEvent) { j.add("%s %v", e.Call, e.Position == nothing) }})
		long := func() { time.Sleep(61 * time.Second) }
		failed := false
		h := consumer.PerShard(func(context.Context, *consumer.Shard) (consumer.Processor, error) {
			long()
			return &processor{
				process: func(context.Context, *consumer.Batch) error {
					long()
					if failed {
						return nil
					}
					failed = true
					return errUser
				},
				flush: func(context.Context, consumer.Reason) error { long(); return nil },
				close: func(context.Context, error) { long() },
			}, nil
		})
		policy := consumer.WithErrorPolicy(func(context.Context, *consumer.Failure) consumer.Verdict { long(); return consumer.Retry })
		cfg := fast("w1")
		cfg.ShutdownTimeout = -1
		w := f.run(cfg, h, policy, told)
		f.until("processed", 10*time.Minute, func() bool { return len(j.all()) == 4 })
		if err := w.leave(); err != nil {
			t.Fatal(err)
		}
		j.want(t, "open true", "Process false", "ErrorPolicy false", "Process false", "Flush true", "Close true")
	})
}

var nothing checkpoint.Position
