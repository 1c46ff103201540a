package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/consumer"
)

// always is a policy with one answer.
func always(v consumer.Verdict) consumer.Option {
	return consumer.WithErrorPolicy(func(context.Context, *consumer.Failure) consumer.Verdict { return v })
}

// verdicts writes down what Hooks.Failed is told.
func verdicts(j *journal) consumer.Option {
	return consumer.WithHooks(consumer.Hooks{Failed: func(f *consumer.Failure, v consumer.Verdict) {
		data := ""
		for i := range f.Records {
			data += string(f.Records[i].Data)
		}
		j.add("%s #%d %s", data, f.Attempt, v)
	}})
}

// unless notes records up to the first whose data is one of bad.
func (f *fleet) unless(bad string) func(context.Context, *consumer.Record) error {
	return func(_ context.Context, r *consumer.Record) error {
		f.note("w1", r)
		if strings.Contains(bad, string(r.Data)) {
			return errUser
		}
		return nil
	}
}

func TestSkippedRecordsAreDoneAndReported(t *testing.T) {
	whole := func(f *fleet) consumer.Handler {
		return f.batches(func(b *consumer.Batch) error {
			if b.Attempt == 1 && words(b) == "abc" {
				return errUser
			}
			return nil
		})
	}
	one := func(f *fleet) consumer.Handler {
		return f.batches(func(b *consumer.Batch) error {
			for i := range b.Records {
				if string(b.Records[i].Data) == "b" {
					return &consumer.RecordError{Record: &b.Records[i], Err: errUser}
				}
			}
			return nil
		})
	}
	cases := map[string]struct {
		handler     func(f *fleet) consumer.Handler
		want        []string
		told        string
		first, last int
	}{
		"Each":        {func(f *fleet) consumer.Handler { return consumer.Each(f.unless("b")) }, []string{"a", "b", "c"}, "b #1 skip", 1, 1},
		"Batches":     {whole, []string{"a", "b", "c"}, "abc #1 skip", 0, 2},
		"RecordError": {one, []string{"a", "b", "c", "c"}, "b #1 skip", 1, 1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, func(f *fleet) {
				f.put("k", "a", "b", "c")
				var j journal
				w := f.run(fast("w1"), c.handler(f), always(consumer.Skip), verdicts(&j))
				f.delivered(len(c.want))
				end := at(t, f.s.Records(streamName)[2].Sequence, 0)
				f.stored(shard0, end)
				time.Sleep(time.Minute)
				f.want(c.want...)
				j.want(t, c.told)
				drops := f.dropped()
				first, last := f.s.Records(streamName)[c.first].Sequence, f.s.Records(streamName)[c.last].Sequence
				if len(drops) != 1 || drops[0].Why != consumer.Skipped || drops[0].Records != c.last-c.first+1 ||
					drops[0].First != at(t, first, 0) || drops[0].Last != at(t, last, 0) {
					t.Errorf("dropped %+v", drops)
				}
				if hs := w.Health().Shards; len(hs) != 1 || hs[0].State != consumer.Processing || hs[0].Err != nil {
					t.Errorf("health %+v", hs)
				}
			})
		})
	}
}

func TestASkipDoesNotStoreWhatTheProcessorHoldsBack(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("k", "a")
		var s *consumer.Shard
		h := consumer.PerShard(func(_ context.Context, open *consumer.Shard) (consumer.Processor, error) {
			s = open
			return &processor{process: func(_ context.Context, b *consumer.Batch) error {
				for i := range b.Records {
					if err := f.unless("bd")(t.Context(), &b.Records[i]); err != nil {
						return &consumer.RecordError{Record: &b.Records[i], Err: err}
					}
				}
				return nil
			}}, nil
		})
		f.run(fast("w1"), h, always(consumer.Skip))
		f.delivered(1)
		f.put("k", "b")
		f.delivered(2)
		time.Sleep(2 * failover)
		a, b := f.deliveries()[0].position, f.deliveries()[1].position
		if p := f.row(shard0).Checkpoint.Position; p != checkpoint.TrimHorizon {
			t.Errorf("stored %s although the processor has not said that %s is done", p, a)
		}
		if err := s.Checkpoint(context.Background(), a); err != nil {
			t.Fatal(err)
		}
		if p := f.row(shard0).Checkpoint.Position; p != b {
			t.Errorf("stored %s, want %s: what was skipped is done", p, b)
		}
		f.put("k", "d") // nothing is held back now
		f.delivered(3)
		f.stored(shard0, f.deliveries()[2].position)
	})
}

func TestASkipThatIsRepeatedIsLoggedOnceAMinuteAndCounted(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		core, logs := observer.New(zap.InfoLevel)
		w := f.run(fast("w1"), consumer.Each(func(context.Context, *consumer.Record) error { return errUser }), always(consumer.Skip), consumer.WithLogger(zap.New(core)))
		for i := range 90 {
			f.put("k", fmt.Sprint(i))
			time.Sleep(time.Second)
		}
		f.until("all skipped", time.Minute, func() bool { return len(f.dropped()) == 90 })
		if err := w.leave(); err != nil {
			t.Fatal(err)
		}
		var counts []int64
		var sum int64
		for _, e := range logs.FilterMessage("records skipped by the error policy").All() {
			n := e.ContextMap()["records"].(int64)
			counts, sum = append(counts, n), sum+n
		}
		if len(counts) != 3 || counts[0] != 1 || sum != 90 || len(f.dropped()) != 90 {
			t.Errorf("logged %v of %d", counts, len(f.dropped()))
		}
	})
}

func TestSplitIsolatesTheBadRecord(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("k", strings.Split("abcdefg", "")...)
		var calls, told journal
		h := consumer.Batches(func(_ context.Context, b *consumer.Batch) error {
			calls.add("%s #%d", words(b), b.Attempt)
			if strings.Contains(words(b), "e") {
				return errUser
			}
			return nil
		})
		policy := consumer.WithErrorPolicy(func(_ context.Context, f *consumer.Failure) consumer.Verdict {
			switch {
			case f.Attempt < 2:
				return consumer.Retry
			case len(f.Records) > 1:
				return consumer.Split
			}
			return consumer.Skip
		})
		w := f.run(fast("w1"), h, policy, verdicts(&told))
		f.until("all done", time.Minute, func() bool { return len(f.dropped()) == 1 && len(calls.all()) == 11 })
		calls.want(t, "abcdefg #1", "abcdefg #2", "abc #1", "defg #1", "defg #2", "de #1", "de #2", "d #1", "e #1", "e #2", "fg #1")
		told.want(t, "abcdefg #1 retry", "abcdefg #2 split", "defg #1 retry", "defg #2 split", "de #1 retry", "de #2 split", "e #1 retry", "e #2 skip")
		if err := w.leave(); err != nil {
			t.Fatal(err)
		}
		if got, want := f.row(shard0).Checkpoint.Position.Sequence(), f.s.Records(streamName)[6].Sequence; got != want {
			t.Errorf("stored %s, want %s", got, want)
		}
	})
}

// A drain that meets one half of a batch that was split leaves the rest undone.
func TestAStopBetweenTheHalvesLeavesTheSecondUndone(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("k", "a", "b", "c", "d")
		var w *worker
		h := consumer.Batches(func(_ context.Context, b *consumer.Batch) error {
			for i := range b.Records {
				f.note("w1", &b.Records[i])
			}
			if len(b.Records) == 4 {
				return errUser
			}
			w.stop()
			time.Sleep(time.Second)
			return nil
		})
		w = f.make(fast("w1"), h, always(consumer.Split))
		w.run()
		<-w.done
		f.want("a", "b", "c", "d", "a", "b")
		if p := f.row(shard0).Checkpoint.Position; p != f.deliveries()[1].position {
			t.Errorf("stored %s", p)
		}
	})
}

func TestVerdictsThatCannotBeCarriedOutMeanRetry(t *testing.T) {
	for _, c := range []struct {
		say  consumer.Verdict
		kind string // what fails once
	}{
		{consumer.Split, "process"}, {consumer.Skip, "open"}, {consumer.Split, "open"}, {consumer.Skip, "flush"}, {consumer.Split, "flush"},
		{consumer.Verdict(-1), "process"}, {consumer.Halt + 1, "process"},
	} {
		t.Run(fmt.Sprintf("%s of %s", c.say, c.kind), func(t *testing.T) {
			bubble(t, 1, func(f *fleet) {
				f.put("k", "a")
				var calls, told journal
				w := f.run(fast("w1"), calls.handler(failTimes(c.kind, 1)), always(c.say), verdicts(&told))
				f.until("processed", time.Minute, func() bool { return slices.Contains(calls.all(), "process a #1") })
				time.Sleep(5 * time.Second)
				if err := w.leave(); err != nil {
					t.Fatal(err)
				}
				want := map[string][]string{
					"open":    {"open " + shard0, "open " + shard0, "process a #1", "flush stopping", "close <nil>"},
					"process": {"open " + shard0, "process a #1", "process a #2", "flush stopping", "close <nil>"},
					"flush":   {"open " + shard0, "process a #1", "flush stopping", "flush stopping", "close <nil>"},
				}
				calls.want(t, want[c.kind]...)
				if got := told.all(); len(got) != 1 || !strings.HasSuffix(got[0], "#1 retry") {
					t.Errorf("told %q", got)
				}
				if len(f.dropped()) != 0 {
					t.Errorf("dropped %+v", f.dropped())
				}
			})
		})
	}
}

func TestAPolicyThatPanicsMeansRetry(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("k", "a")
		core, logs := observer.New(zap.InfoLevel)
		policy := consumer.WithErrorPolicy(func(context.Context, *consumer.Failure) consumer.Verdict { panic("policy") })
		var told journal
		h := f.unless("a")
		var calls atomic.Int32
		w := f.run(fast("w1"), consumer.Each(func(ctx context.Context, r *consumer.Record) error {
			if calls.Add(1) == 4 {
				return nil
			}
			return h(ctx, r)
		}), policy, verdicts(&told), consumer.WithLogger(zap.New(core)))
		f.until("in retry", time.Minute, func() bool { return len(told.all()) == 2 })
		var panicked *consumer.PanicError
		if hs := w.Health().Shards; !errors.As(hs[0].Err, &panicked) || !errors.Is(hs[0].Err, errUser) {
			t.Errorf("health says %v: want the error, and the policy's", hs[0].Err)
		}
		f.until("done", time.Minute, func() bool { return calls.Load() == 4 })
		told.want(t, "a #1 retry", "a #2 retry", "a #3 retry")
		if n := logs.FilterMessage("error policy failed, the call is repeated").Len(); n != 1 {
			t.Errorf("logged %d times", n)
		}
	})
}

// A policy may write to a queue that is slow. Its shard waits, and others do not.
func TestAPolicyThatBlocksHoldsItsShardOnly(t *testing.T) {
	bubble(t, 2, func(f *fleet) {
		f.putRaw("k", "0", []byte("bad"))
		f.putRaw("k", "0", []byte("next"))
		f.putRaw("k", "340282366920938463463374607431768211455", []byte("good"))
		var once sync.Once
		policy := consumer.WithErrorPolicy(func(ctx context.Context, _ *consumer.Failure) consumer.Verdict {
			once.Do(func() { time.Sleep(3 * failover) })
			if ctx.Err() != nil {
				t.Error("the lease was not renewed")
			}
			return consumer.Skip
		})
		w := f.run(fast("w1"), consumer.Each(f.unless("bad")), policy)
		f.delivered(2)
		time.Sleep(2 * failover)
		if data := f.data(); slices.Contains(data, "next") || !slices.Contains(data, "good") {
			t.Errorf("delivered %q", data)
		}
		if hs := w.Health().Shards; hs[0].BusySince.IsZero() || hs[0].State != consumer.Retrying {
			t.Errorf("health %+v", hs[0])
		}
		f.delivered(3)
	})
}
