package consumer_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/consumer"
	"github.com/kinesiskit/kinesiskit/kinesistest"
	"github.com/kinesiskit/kinesiskit/lease"
)

const retention = 24 * time.Hour

// forget leaves the application alone until the stream has forgotten shard 0, which was split, and of which only a part was read.
func (f *fleet) forget() checkpoint.Position {
	f.t.Helper()
	f.put("k", "a")
	w := f.start("w1")
	f.delivered(1)
	if err := w.leave(); err != nil {
		f.t.Fatal(err)
	}
	f.put("k", "lost")
	f.s.Split(streamName, shard0)
	time.Sleep(retention + time.Hour)
	f.put(keyIn(0, 2), "b")
	f.put(keyIn(1, 2), "c")
	return f.row(shard0).Checkpoint.Position
}

func TestAShardThatIsGoneIsFinishedSoThatItsChildrenAreRead(t *testing.T) {
	for name, fanOut := range map[string]*consumer.FanOut{"polling": nil, "fan-out": {}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, func(f *fleet) {
				at := f.forget()
				cfg := fast("w2")
				cfg.FanOut = fanOut
				began := time.Now()
				f.run(cfg, nil)
				f.delivered(3)
				if d := time.Since(began); d < 30*time.Second {
					t.Errorf("believed after %v", d)
				}
				if got := f.data(); !slices.Contains(got, "b") || !slices.Contains(got, "c") {
					t.Errorf("delivered %q", got)
				}
				want := consumer.DropEvent{Stream: streamName, Shard: shard0, Why: consumer.Expired, Records: -1, First: at}
				if drops := f.dropped(); len(drops) != 1 || drops[0] != want {
					t.Errorf("dropped %+v, want %+v", drops, want)
				}
				if l := f.row(shard0); !l.Ended() || len(l.Children) != 2 {
					t.Errorf("row %+v", l)
				}
			})
		})
	}
}

func TestAProcessorOfAShardThatIsGoneIsNotAskedToConfirmIt(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.forget()
		var flushed []consumer.Reason
		var causes []error
		f.run(fast("w2"), consumer.PerShard(func(_ context.Context, s *consumer.Shard) (consumer.Processor, error) {
			return &processor{
				process: func(_ context.Context, b *consumer.Batch) error {
					for i := range b.Records {
						f.note("w2", &b.Records[i])
					}
					return nil
				},
				flush: func(_ context.Context, why consumer.Reason) error {
					if s.ID() == shard0 {
						flushed = append(flushed, why)
					}
					return nil
				},
				close: func(_ context.Context, cause error) {
					if s.ID() == shard0 {
						causes = append(causes, cause)
					}
				},
			}, nil
		}))
		f.delivered(3)
		if len(flushed) != 0 || len(causes) != 1 || !errors.Is(causes[0], consumer.ErrExpired) {
			t.Errorf("flushed %v, closed with %v", flushed, causes)
		}
	})
}

func TestAShardThatIsGoneWithoutKnownChildrenIsLeftAlone(t *testing.T) {
	bubble(t, 2, func(f *fleet) {
		f.javaRow(lease.Lease{Key: "shardId-000000000007", Checkpoint: checkpoint.Checkpoint{Position: checkpoint.TrimHorizon}})
		w := f.start("w1")
		time.Sleep(5 * time.Minute)
		f.until("three shards", time.Minute, func() bool { return len(w.Health().Shards) == 3 })
		if l := f.row("shardId-000000000007"); l.Ended() || w.Health().Shards[2].Err == nil || len(f.dropped()) != 0 {
			t.Errorf("row %+v, health %+v, dropped %v", l, w.Health().Shards[2], f.dropped())
		}
	})
}

func TestAListingThatLagsDoesNotMakeAShardGone(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		w := f.start("w1")
		f.put("k", "a")
		f.delivered(1)
		f.s.Split(streamName, shard0)
		f.until("children", time.Minute, func() bool { return len(w.Health().Shards) == 2 })
		// For twenty seconds the service does not know the shard, though its children.
		gone := kinesistest.Exception("ResourceNotFoundException", "gone")
		for _, op := range []string{"GetRecords", "GetShardIterator"} {
			f.s.On(op, gone).From("w1").Shard(shard1).For(20 * time.Second)
		}
		f.s.On("ListShards", answers(func(b map[string]any) {
			b["Shards"] = slices.DeleteFunc(b["Shards"].([]any), func(s any) bool { return s.(map[string]any)["ShardId"] == shard1 })
		})).From("w1").For(20 * time.Second)
		f.put(keyIn(0, 2), "b")
		f.s.Split(streamName, shard1)
		f.delivered(2)
		f.want("a", "b")
		if drops := f.dropped(); len(drops) != 0 {
			t.Errorf("dropped %v", drops)
		}
	})
}

func TestAPositionThatRetentionHasPassedIsToldOnce(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("k", "a")
		w := f.start("w1")
		f.delivered(1)
		if err := w.leave(); err != nil {
			t.Fatal(err)
		}
		f.put("k", "lost")
		time.Sleep(retention + time.Hour)
		stored := f.row(shard0).Checkpoint.Position
		core, logs := observer.New(zap.ErrorLevel)
		hold := make(chan struct{})
		w = f.run(fast("w2"), consumer.Each(func(_ context.Context, r *consumer.Record) error {
			<-hold
			f.note("w2", r)
			return nil
		}), consumer.WithLogger(zap.New(core)))
		f.put("k", "b")
		f.until("shown", time.Minute, func() bool { hs := w.Health().Shards; return len(hs) == 1 && hs[0].Expired == stored })
		close(hold)
		f.delivered(2)
		if n := logs.Len(); n != 1 {
			t.Errorf("logged %d times: %v", n, logs.All())
		}
	})
}
