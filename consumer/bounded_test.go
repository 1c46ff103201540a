package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/consumer"
	"github.com/kinesiskit/kinesiskit/kinesistest"
)

// until is the configuration of a worker of an application that ends at end.
func until(name string, end time.Time) consumer.Config {
	cfg := fast(name)
	cfg.End = end
	return cfg
}

// ends demands that Run returns nil within limit.
func (w *worker) ends(limit time.Duration) {
	w.f.t.Helper()
	select {
	case <-w.done:
	case <-time.After(limit):
		w.f.t.Fatalf("%s runs on: health %+v", w.name, w.Health())
	}
	if w.err != nil {
		w.f.t.Errorf("%s: run returned %v", w.name, w.err)
	}
}

func TestABoundedReplayEndsAtTheFirstLaterRecord(t *testing.T) {
	for name, fanOut := range map[string]*consumer.FanOut{"polling": nil, "fan-out": {}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 2, func(f *fleet) {
				low := keyIn(0, 2)
				last := f.putRaw("a", "0", aggregate(low+"=1", low+"=2"))
				time.Sleep(time.Minute)
				end := time.Now()
				f.put(low, "late")
				time.Sleep(time.Minute)
				cfg := until("w1", end)
				cfg.FanOut = fanOut
				w := f.run(cfg, nil)
				w.ends(time.Minute) // the other shard is idle
				f.want("1", "2")
				if l := f.row(shard0); l.Checkpoint.Position != at(t, last, 1) || !l.ReadTo.Equal(end) || l.Owner != "" {
					t.Errorf("row %+v", l)
				}
				if h := w.Health(); h.State != consumer.Stopped || h.Err != nil {
					t.Errorf("health %+v", h)
				}
				// A later end, or none, goes on where this one stopped.
				f.run(until("w2", end), nil).ends(time.Minute)
				f.want("1", "2")
				f.run(until("w3", end.Add(time.Second)), nil).ends(time.Minute)
				f.want("1", "2", "late")
				f.start("w4")
				f.put(low, "more")
				f.delivered(4)
				f.want("1", "2", "late", "more")
				f.until("the mark is gone", time.Minute, func() bool { return f.row(shard0).ReadTo.IsZero() })
			})
		})
	}
}

func TestAnEndThatIsStillToComeIsWaitedFor(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		end := time.Now().Add(2 * time.Minute)
		w := f.run(until("w1", end), nil)
		for i := range 5 {
			f.put("k", fmt.Sprint(i))
			time.Sleep(29 * time.Second)
		}
		w.ends(time.Minute)
		if now := time.Now(); now.Before(end) {
			t.Errorf("ended %v early", end.Sub(now))
		}
		f.want("0", "1", "2", "3", "4")
	})
}

func TestABoundedReplayOfAFleetEndsForAllOfIt(t *testing.T) {
	bubble(t, 3, func(f *fleet) {
		for i := range 30 {
			f.put(fmt.Sprint("k", i), fmt.Sprint(i))
		}
		f.s.Split(streamName, shard0)
		merged := f.s.Merge(streamName, shard1, shard2)
		for i := 30; i < 60; i++ {
			f.put(fmt.Sprint("k", i), fmt.Sprint(i))
		}
		time.Sleep(time.Minute)
		end := time.Now()
		f.s.Split(streamName, merged)
		for i := range 30 {
			f.put(fmt.Sprint("k", i), "late")
		}
		time.Sleep(time.Minute)
		w1, w2, w3 := f.run(until("w1", end), nil), f.run(until("w2", end), nil), f.run(until("w3", end), nil)
		time.Sleep(2 * time.Second)
		w3.cut() // and others do its part
		w1.ends(5 * time.Minute)
		w2.ends(time.Minute)
		seen := make(map[string]bool)
		for _, d := range f.data() {
			seen[d] = true
		}
		if len(seen) != 60 || seen["late"] {
			t.Errorf("delivered %d different records: %q", len(seen), f.data())
		}
	})
}

func TestAChildOfAShardThatIsReadToTheEndIsNotWaitedFor(t *testing.T) {
	bubble(t, 2, func(f *fleet) {
		low, high := keyIn(0, 2), keyIn(1, 2)
		f.put(low, "l")
		f.put(high, "h")
		time.Sleep(time.Minute)
		end := time.Now()
		f.put(low, "late") // the lower parent is not read to its own end, the upper one is
		child := f.s.Merge(streamName, shard0, shard1)
		f.put(low, "later")
		time.Sleep(time.Minute)
		f.run(until("w1", end), nil).ends(time.Minute)
		if got := f.data(); len(got) != 2 || slices.Contains(got, "late") || slices.Contains(got, "later") {
			t.Errorf("delivered %q", got)
		}
		if l := f.row(child); l.Checkpoint.Position != checkpoint.TrimHorizon || !f.row(shard1).Ended() {
			t.Errorf("child %+v, upper parent %+v", l, f.row(shard1))
		}
	})
}

func TestAtTheEndAProcessorConfirmsBeforeItsShardCounts(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("k", "a", "b")
		time.Sleep(time.Minute)
		end := time.Now()
		f.put("k", "late")
		time.Sleep(time.Minute)
		var why []consumer.Reason
		var causes []error
		w := f.run(until("w1", end), consumer.PerShard(func(context.Context, *consumer.Shard) (consumer.Processor, error) {
			return &processor{
				process: func(_ context.Context, b *consumer.Batch) error {
					for i := range b.Records {
						f.note("w1", &b.Records[i])
					}
					return nil
				},
				flush: func(_ context.Context, r consumer.Reason) error {
					if why = append(why, r); len(why) < 8 {
						if l := f.row(shard0); !l.ReadTo.IsZero() {
							t.Errorf("counts before it is confirmed: %+v", l)
						}
						return errors.New("not yet")
					}
					return nil
				},
				close: func(_ context.Context, cause error) { causes = append(causes, cause) },
			}, nil
		}))
		w.ends(5 * time.Minute)
		f.want("a", "b")
		for _, r := range why {
			if r != consumer.EndReached {
				t.Errorf("flushed because %v", r)
			}
		}
		if len(why) != 8 || !slices.Equal(causes, []error{nil}) || f.row(shard0).Checkpoint.Position != f.deliveries()[1].position {
			t.Errorf("%d flushes, closed with %v, row %+v", len(why), causes, f.row(shard0))
		}
	})
}

func TestARunDoesNotEndWhileTheTableOrTheStreamCannotBeSeen(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("k", "a")
		time.Sleep(time.Minute)
		w := f.run(until("w1", time.Now().Add(-time.Second)), nil)
		f.until("read", time.Minute, func() bool { return !f.row(shard0).ReadTo.IsZero() })
		down := f.s.On("ListShards", kinesistest.Status(500)).From("w1")
		time.Sleep(time.Minute)
		select {
		case <-w.done:
			t.Error("ended, although a shard may be missing")
		default:
		}
		down.Remove()
		w.ends(time.Minute)
	})
}

func TestAnEndHasToComeAfterTheStart(t *testing.T) {
	t.Parallel()
	start := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	for end, ok := range map[time.Time]bool{start.Add(time.Second): true, start: false, start.Add(-time.Hour): false, time.Unix(-1, 0): false, {}: true} {
		cfg := consumer.Config{Application: "app", Stream: "orders", Start: consumer.At(start), End: end}
		var bad *consumer.ConfigError
		if err := cfg.Validate(); ok != (err == nil) || !ok && (!errors.As(err, &bad) || bad.Field != "End") {
			t.Errorf("end %v: %v", end, err)
		}
	}
}
