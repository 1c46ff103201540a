package progress_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesiskit/kinesiskit/consumer"
	"github.com/kinesiskit/kinesiskit/internal/progress"
	"github.com/kinesiskit/kinesiskit/kinesistest"
	"github.com/kinesiskit/kinesiskit/lease"
	"github.com/kinesiskit/kinesiskit/lease/dynamostore"
	"github.com/kinesiskit/kinesiskit/producer"
)

type began struct{}

// world is a stream and one worker whose hooks tell shards.
type world struct {
	t      *testing.T
	s      *kinesistest.Server
	shards progress.Shards
}

// bubble runs a worker on one shard, with a function for each batch, and stops it when the test returns.
func bubble(t *testing.T, process func(ctx context.Context, b *consumer.Batch) error, test func(w *world)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, s: kinesistest.New()}
		defer func() { _ = w.s.Close() }()
		w.s.CreateStream("orders", 1)
		hooks := consumer.Hooks{
			Fetched:      w.shards.Fetched,
			Checkpointed: w.shards.Checkpointed,
			ProcessStart: func(ctx context.Context, b *consumer.Batch) context.Context {
				return context.WithValue(ctx, began{}, w.shards.ProcessStart(b))
			},
			ProcessEnd: func(ctx context.Context, b *consumer.Batch, _ error) {
				w.shards.ProcessEnd(b, ctx.Value(began{}).(time.Time))
			},
		}
		hooks.Lease.Acquired = func(e lease.Event) { w.shards.Acquired(e) }
		hooks.Lease.Ended = func(e lease.Event) { w.shards.Ended(e) }
		c, err := consumer.New(consumer.Config{Application: "app", Stream: "orders", Worker: "w"}, kinesis.NewFromConfig(w.s.Config("worker")),
			dynamostore.New(dynamodb.NewFromConfig(w.s.Config("worker")), dynamostore.Config{Table: "orders-app"}),
			consumer.Batches(process), consumer.WithHooks(hooks))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- c.Run(ctx) }()
		test(w)
		cancel()
		<-done
		if held := w.shards.Held(); len(held) != 0 {
			t.Errorf("after the end %+v is held", held)
		}
	})
}

func (w *world) put(n int) {
	w.t.Helper()
	p, err := producer.New(producer.Config{Stream: "orders"}, kinesis.NewFromConfig(w.s.Config("producer")))
	if err != nil {
		w.t.Fatal(err)
	}
	records := make([]producer.Record, n)
	for i := range records {
		records[i] = producer.Record{PartitionKey: fmt.Sprint("key ", i), Data: []byte("data")}
	}
	if _, err := p.PutAll(w.t.Context(), records); err != nil {
		w.t.Fatal(err)
	}
	if err := p.Close(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) one() progress.Shard {
	w.t.Helper()
	held := w.shards.Held()
	if len(held) != 1 {
		w.t.Fatalf("held are %+v, want one shard", held)
	}
	return held[0]
}

func between(t *testing.T, what string, got, least, most time.Duration) {
	t.Helper()
	if got < least || got > most {
		t.Errorf("%s is %v, want %v to %v", what, got, least, most)
	}
}

// While a call runs its records are undone, their age is the lag, and the call is busy; when they are stored, nothing is left of it.
func TestLagIsTheAgeOfWhatIsNotStored(t *testing.T) {
	bubble(t, func(context.Context, *consumer.Batch) error {
		time.Sleep(30 * time.Second)
		return nil
	}, func(w *world) {
		time.Sleep(time.Minute)
		if s := w.one(); !s.Read || s.Stream != "orders" || s.ID != "shardId-000000000000" || s.Lag != 0 || s.Undone != 0 || s.Busy != 0 {
			w.t.Errorf("at rest: %+v", s)
		}
		w.put(5)
		time.Sleep(20 * time.Second)
		s := w.one()
		between(w.t, "lag", s.Lag, 18*time.Second, 22*time.Second)
		between(w.t, "busy", s.Busy, 18*time.Second, 22*time.Second)
		if s.Undone != 5 {
			w.t.Errorf("%d records are undone, want 5", s.Undone)
		}
		time.Sleep(20 * time.Second)
		s = w.one()
		between(w.t, "time since a position was stored", s.Unstored, 0, 10*time.Second)
		if s.Lag != 0 || s.Undone != 0 || s.Busy != 0 {
			w.t.Errorf("when all is stored: %+v", s)
		}
	})
}

// Records that are handed over again are not delivered twice, and wait for as long as they fail.
func TestWhatFailsIsCountedOnce(t *testing.T) {
	var works atomic.Bool
	bubble(t, func(_ context.Context, b *consumer.Batch) error {
		if !works.Load() {
			return fmt.Errorf("attempt %d", b.Attempt)
		}
		return nil
	}, func(w *world) {
		w.put(3)
		time.Sleep(10 * time.Minute)
		s := w.one()
		between(w.t, "lag", s.Lag, 9*time.Minute, 10*time.Minute)
		if s.Undone != 3 || s.Busy != 0 {
			w.t.Errorf("%+v, want 3 undone records and no call that runs", s)
		}
		works.Store(true)
		time.Sleep(time.Minute)
		if s := w.one(); s.Undone != 0 || s.Lag != 0 {
			w.t.Errorf("when it works again: %+v", s)
		}
	})
}

// A shard that is finished, and one that is lost while its code still runs, are gone for good.
func TestAShardThatIsGoneIsNotShown(t *testing.T) {
	var block atomic.Pointer[chan struct{}] // made inside the bubble
	bubble(t, func(context.Context, *consumer.Batch) error {
		if c := block.Load(); c != nil {
			<-*c
		}
		return nil
	}, func(w *world) {
		w.put(3)
		time.Sleep(10 * time.Second)
		left, right := w.s.Split("orders", "shardId-000000000000")
		time.Sleep(time.Minute)
		if held := w.shards.Held(); len(held) != 2 || held[0].ID != left || held[1].ID != right {
			w.t.Fatalf("after a split %+v is held", held)
		}
		blocked := make(chan struct{})
		block.Store(&blocked)
		w.put(20)
		time.Sleep(10 * time.Second)
		cut := w.s.On("UpdateItem", kinesistest.Status(503))
		time.Sleep(time.Minute)
		if held := w.shards.Held(); len(held) != 0 {
			w.t.Errorf("lost, and %+v is held", held)
		}
		close(blocked)
		time.Sleep(time.Second)
		if held := w.shards.Held(); len(held) != 0 {
			w.t.Errorf("the code of lost shards returned, and %+v is held", held)
		}
		cut.Remove()
		time.Sleep(2 * time.Minute)
	})
}
