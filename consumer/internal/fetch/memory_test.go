package fetch_test

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/consumer/internal/fetch"
	"github.com/kinesiskit/kinesiskit/kinesistest"
)

// rewinder is a source that can go back.
type rewinder interface {
	nexter
	Rewind(to checkpoint.Position)
}

// ways runs a test with each way to read, and a budget of 32 MiB.
func ways(t *testing.T, test func(b *bench, op string, s rewinder, budget *fetch.Budget)) {
	t.Helper()
	t.Run("polling", func(t *testing.T) {
		bubble(t, func(b *bench) {
			budget := fetch.NewBudget(32 << 20)
			test(b, "GetRecords", b.poller(checkpoint.TrimHorizon, func(o *fetch.Options) { o.Memory = budget.Open() }), budget)
		})
	})
	t.Run("fan-out", func(t *testing.T) {
		bubble(t, func(b *bench) {
			budget := fetch.NewBudget(32 << 20)
			s := fetch.NewSubscriber(b.spy, fetch.SubscriberOptions{
				Consumer: b.register("app"), Shard: shardID, Start: fetch.Place{Position: checkpoint.TrimHorizon}, Rand: rand.New(rand.NewPCG(1, 1)), Memory: budget.Open(),
			})
			defer s.Close()
			test(b, "SubscribeToShard", s, budget)
		})
	})
}

func TestNothingIsFetchedWithoutMemory(t *testing.T) {
	ways(t, func(b *bench, op string, s rewinder, budget *fetch.Budget) {
		b.put("a")
		full := budget.Open()
		full.Land(32 << 20)
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, err := s.Next(ctx); !errors.Is(err, context.DeadlineExceeded) || b.s.Calls(op) != 0 {
			b.t.Errorf("%d calls: %v", b.s.Calls(op), err)
		}
		full.Done(32 << 20)
		if got := b.records(s, 1); got != "a" || budget.Buffered() != int64(len("ka")) {
			b.t.Errorf("got %q, %d bytes are buffered", got, budget.Buffered())
		}
	})
}

func TestAnEventThatDoesNotFitWaits(t *testing.T) {
	ways(t, func(b *bench, _ string, s rewinder, budget *fetch.Budget) {
		b.next(s) // the subscription is open, or the poll answered
		full := budget.Open()
		full.Land(32 << 20)
		b.put("a")
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		for ctx.Err() == nil {
			if page, err := s.Next(ctx); err == nil && len(page.Records) > 0 {
				b.t.Fatalf("got %q", data(page))
			}
		}
		full.Done(32 << 20)
		if got := b.records(s, 1); got != "a" {
			b.t.Errorf("got %q", got)
		}
	})
}

func TestWhatWasGivenUpIsFetchedOnceMore(t *testing.T) {
	ways(t, func(b *bench, _ string, s rewinder, _ *fetch.Budget) {
		seq := b.put("a", "b", "c")
		got := b.records(s, 3)
		s.Rewind(at(b.t, seq[1], 7))
		if got += b.records(s, 2); got != "abcbc" {
			b.t.Errorf("got %q", got)
		}
		time.Sleep(time.Second)
		b.s.Trim(streamName, time.Now())
		s.Rewind(at(b.t, seq[1], 7))
		b.put("d")
		for {
			page := b.next(s)
			if len(page.Records) == 0 {
				continue
			}
			if data(page) != "d" || !page.Trimmed {
				b.t.Errorf("got %q, trimmed: %v", data(page), page.Trimmed)
			}
			return
		}
	})
}

func TestEmptyPagesBehindTheTipAreFollowedSoon(t *testing.T) {
	bubble(t, func(b *bench) {
		b.put("a")
		b.s.On("GetRecords", kinesistest.Do(func(_ context.Context, r *kinesistest.Request, _ func() kinesistest.Reply) kinesistest.Reply {
			var in struct{ ShardIterator string }
			if err := json.Unmarshal(r.Body, &in); err != nil {
				t.Error(err)
			}
			body, _ := json.Marshal(map[string]any{"Records": []any{}, "NextShardIterator": in.ShardIterator, "MillisBehindLatest": 5000})
			return kinesistest.Reply{Status: 200, Body: body}
		})).Times(4)
		p := b.poller(checkpoint.TrimHorizon, nil)
		for range 4 {
			if page := b.next(p); len(page.Records) != 0 || page.Behind != 5*time.Second {
				t.Fatalf("page %+v", page)
			}
		}
		if got := data(b.next(p)); got != "a" {
			t.Errorf("got %q", got)
		}
		ms := time.Millisecond
		if want := []time.Duration{0, 250 * ms, 500 * ms, 750 * ms, time.Second}; !slices.Equal(b.polls, want) {
			t.Errorf("polled at %v, want %v", b.polls, want)
		}
	})
}
