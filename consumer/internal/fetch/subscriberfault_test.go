package fetch_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/kinesistest"
)

func TestASubscriptionOfADeadWorkerIsWaitedForAndReplaced(t *testing.T) {
	for _, age := range []time.Duration{0, 2 * time.Second, 4900 * time.Millisecond, 5 * time.Second, time.Minute} {
		t.Run(age.String(), func(t *testing.T) {
			bubble(t, func(b *bench) {
				consumer := b.register("app")
				b.other(consumer.arn)
				b.put("a")
				time.Sleep(age)
				s := b.subscriber(consumer, checkpoint.TrimHorizon)
				defer s.Close()
				begin := time.Now()
				for {
					page, err := s.Next(context.Background())
					if err == nil {
						if data(page) != "a" {
							t.Errorf("got %q", data(page))
						}
						break
					}
					var inUse *types.ResourceInUseException
					if !errors.As(err, &inUse) {
						t.Fatal(err)
					}
				}
				if took, left := time.Since(begin), max(0, 5*time.Second-age); took > left+1250*time.Millisecond {
					t.Errorf("it took %v, though the other one could be replaced after %v", took, left)
				}
			})
		})
	}
}

func TestATakeOverIsNotAnsweredBeforeItCanSucceed(t *testing.T) {
	bubble(t, func(b *bench) {
		consumer := b.register("app")
		s := b.subscriber(consumer, checkpoint.TrimHorizon)
		defer s.Close()
		b.put("a")
		b.records(s, 1)
		time.Sleep(6 * time.Second)
		taken := time.Since(b.begin)
		b.other(consumer.arn)
		b.put("b")
		var failed error
		got := ""
		for got == "" {
			page, err := s.Next(context.Background())
			if err == nil {
				got = data(page)
			} else {
				failed = err
			}
		}
		var inUse *types.ResourceInUseException
		if got != "b" || !errors.As(failed, &inUse) {
			t.Errorf("got %q after %v", got, failed)
		}
		if wait := b.subscribed[1] - taken; len(b.subscribed) != 2 || wait < 5*time.Second || wait > 7*time.Second {
			t.Errorf("subscribed at %v, taken over at %v", b.subscribed, taken)
		}
	})
}

func TestAConsumerThatIsGoneIsAskedForAgain(t *testing.T) {
	bubble(t, func(b *bench) {
		consumer := b.register("app")
		s := b.subscriber(consumer, checkpoint.TrimHorizon)
		defer s.Close()
		b.put("a")
		b.records(s, 1)
		operator := kinesis.NewFromConfig(b.s.Config("operator"))
		if _, err := operator.DeregisterStreamConsumer(context.Background(), &kinesis.DeregisterStreamConsumerInput{ConsumerARN: &consumer.arn}); err != nil {
			t.Fatal(err)
		}
		b.fails(s) // in the stream
		if consumer.missing != 1 {
			t.Errorf("told %d times in the stream", consumer.missing)
		}
		b.fails(s) // and of the call
		if consumer.missing != 2 {
			t.Errorf("told %d times of the call", consumer.missing)
		}
		consumer.arn = b.register("app").arn
		b.put("b")
		if got := b.records(s, 1); got != "b" {
			t.Errorf("got %q", got)
		}
	})
}

func TestRefusedSubscriptionsAreRepeatedMoreAndMoreRarely(t *testing.T) {
	for name, fault := range map[string]kinesistest.Fault{
		"throttle": kinesistest.Throttle(), "500": kinesistest.Status(500), "lost": kinesistest.LoseRequest(), "slow": kinesistest.Delay(time.Hour),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(b *bench) {
				b.put("a")
				b.s.On("SubscribeToShard", fault).Times(5)
				s := b.subscriber(b.register("app"), checkpoint.TrimHorizon)
				defer s.Close()
				for range 5 {
					b.fails(s)
				}
				if want := map[string]time.Duration{"slow": 10 * time.Second}[name]; s.Took() != want {
					t.Errorf("the call took %v, want %v", s.Took(), want)
				}
				got := ""
				for got == "" { // a call that was slow has made a subscription
					if page, err := s.Next(context.Background()); err == nil {
						got = data(page)
					}
				}
				if pause := b.subscribed[5] - b.subscribed[4]; got != "a" || pause < 2*time.Second {
					t.Errorf("got %q; the fifth failure was followed by a pause of %v", got, pause)
				}
			})
		})
	}
}

func TestOnlyASubscriptionAtARecordCanFindItTrimmed(t *testing.T) {
	for name, c := range map[string]struct {
		sub  int64
		trim bool
		want bool
	}{
		"there": {0, false, false}, "trimmed": {0, true, true}, "inside, trimmed": {7, true, true}, "before it, trimmed": {-1, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(b *bench) {
				seq := b.put("a")
				time.Sleep(time.Second)
				if c.trim {
					b.s.Trim(streamName, time.Now())
				}
				s := b.subscriber(b.register("app"), at(t, seq[0], c.sub))
				defer s.Close()
				if c.trim && b.next(s).Trimmed {
					t.Error("an empty event proves nothing")
				}
				b.put("b")
				if page := b.next(s); page.Trimmed != c.want || b.positions[0] != "AT_SEQUENCE_NUMBER "+seq[0] {
					t.Errorf("trimmed: %v, want %v; subscribed at %q", page.Trimmed, c.want, b.positions)
				}
			})
		})
	}
}

func TestTheLastEventHasRecordsAndChildren(t *testing.T) {
	bubble(t, func(b *bench) {
		b.put("a", "b")
		left, right := b.s.Split(streamName, shardID)
		s := b.subscriber(b.register("app"), checkpoint.TrimHorizon)
		defer s.Close()
		page := b.next(s)
		if data(page) != "ab" || !page.Closed || len(page.Children) != 2 {
			t.Fatalf("page %+v", page)
		}
		ids := []string{page.Children[0].ID, page.Children[1].ID}
		slices.Sort(ids)
		if !slices.Equal(ids, []string{left, right}) || !slices.Equal(page.Children[0].Parents, []string{shardID}) {
			t.Errorf("children %+v", page.Children)
		}
		if again := b.next(s); !again.Closed || len(again.Records) != 0 {
			t.Errorf("asked again it answers %+v", again)
		}
	})
}

func TestTheEndOfTheContextEndsTheSubscriptionEvenWhileNobodyReads(t *testing.T) {
	bubble(t, func(b *bench) {
		body := &counting{next: b.s.Config("reader").HTTPClient}
		cfg := b.s.Config("reader")
		cfg.HTTPClient = body
		b.spy.Client = kinesis.NewFromConfig(cfg)
		for range 5 {
			b.put(strings.Repeat("x", 600_000))
		}
		s := b.subscriber(b.register("app"), checkpoint.TrimHorizon)
		ctx, cancel := context.WithCancel(context.Background())
		if _, err := s.Next(ctx); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		before := body.closed.Load()
		cancel()
		synctest.Wait()
		if body.closed.Load() == before {
			t.Error("the connection is kept until somebody calls Next or Close")
		}
		if _, err := s.Next(ctx); !errors.Is(err, context.Canceled) || len(b.positions) != 1 {
			t.Errorf("%v, %d subscriptions", err, len(b.positions))
		}
	}, kinesistest.WithoutLimits())
}
