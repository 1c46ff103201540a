package fetch_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/consumer/internal/fetch"
	"github.com/kinesiskit/kinesiskit/kinesistest"
)

func (b *bench) either(c fetch.Registration, start checkpoint.Position, changed *[]string) *fetch.Either {
	e := fetch.NewEither(b.spy, fetch.Options{
		Stream: fetch.Stream{Name: streamName}, Shard: shardID, Start: fetch.Place{Position: start}, MaxRecords: 100,
		MinInterval: 250 * time.Millisecond, MaxInterval: time.Second, Rand: rand.New(rand.NewPCG(1, 1)), Memory: fetch.NewBudget(1 << 30).Open(),
	}, c, func(polling bool, why error) {
		if polling != (why != nil) {
			b.t.Errorf("polling %v because of %v", polling, why)
		}
		*changed = append(*changed, fmt.Sprint(polling))
	})
	b.t.Cleanup(e.Close)
	return e
}

func TestPollsStandInUntilAConsumerIsThere(t *testing.T) {
	bubble(t, func(b *bench) {
		consumer := b.register("app")
		consumer.err = errors.New("it is CREATING")
		seq := b.put("a", "b", "c")
		var changed []string
		e := b.either(consumer, at(t, seq[1], 0), &changed)
		defer e.Close()
		if got := b.records(e, 2); got != "bc" || e.FanOut() || time.Since(b.begin) != 0 {
			t.Errorf("got %q after %v, by fan-out: %v", got, time.Since(b.begin), e.FanOut())
		}
		consumer.err = nil
		b.put("d")
		if got := b.records(e, 1); got != "d" {
			t.Errorf("got %q", got)
		}
		for !e.FanOut() {
			if page := b.next(e); len(page.Records) > 0 || page.Trimmed {
				t.Errorf("page %+v", page)
			}
		}
		b.put("e")
		if got := b.records(e, 1); got != "e" || !slices.Equal(changed, []string{"true", "false"}) {
			t.Errorf("got %q, changed %q", got, changed)
		}
		if last := b.positions[len(b.positions)-1]; !strings.HasPrefix(last, "AFTER_SEQUENCE_NUMBER ") {
			t.Errorf("subscribed at %q", b.positions)
		}
	})
}

// One record a second, while subscriptions come and go: every record comes once, in order, and none waits for longer than patience and a poll.
func TestAChangeOfTheWayLosesAndRepeatsNothing(t *testing.T) {
	bubble(t, func(b *bench) {
		consumer := b.register("app")
		var changed []string
		e := b.either(consumer, checkpoint.TrimHorizon, &changed)
		defer e.Close()
		const minutes = 12
		var wg sync.WaitGroup
		defer wg.Wait()
		wg.Go(func() {
			for i := range minutes * 60 {
				b.put(fmt.Sprintf("%d ", i))
				time.Sleep(time.Second)
			}
		})
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(3, 3))
			faults := []kinesistest.Fault{
				kinesistest.Throttle(), kinesistest.Exception("ResourceInUseException", "by a rule"), kinesistest.Status(500), kinesistest.Delay(20 * time.Second),
				kinesistest.CutStream(1, 50), kinesistest.CutStream(0, 0), kinesistest.LoseReply(),
			}
			for i := range minutes {
				if i%2 == 0 {
					_ = b.tryOther(consumer.arn) // it ends what is subscribed to, if that is old enough
				}
				b.s.On("SubscribeToShard", faults[rng.IntN(len(faults))]).From("reader").For(time.Duration(10+rng.IntN(40)) * time.Second)
				time.Sleep(time.Minute)
			}
		})
		next, latest := 0, time.Duration(0)
		for next < minutes*60 {
			page, err := e.Next(context.Background())
			if err != nil {
				continue
			}
			for _, r := range page.Records {
				if want := fmt.Sprintf("%d ", next); string(r.Data) != want {
					t.Fatalf("got %q, want %q", r.Data, want)
				}
				next++
				latest = max(latest, time.Since(r.Arrival))
			}
		}
		if latest > 40*time.Second || len(changed) < 4 {
			t.Errorf("the latest record waited for %v; changed %q", latest, changed)
		}
	})
}

// An attempt that hangs must not take the time of the polls.
func TestAttemptsThatHangLeaveTimeForPolls(t *testing.T) {
	bubble(t, func(b *bench) {
		b.s.On("SubscribeToShard", kinesistest.Delay(time.Hour))
		var changed []string
		e := b.either(b.register("app"), checkpoint.TrimHorizon, &changed)
		defer e.Close()
		for time.Since(b.begin) < 10*time.Minute {
			_, _ = e.Next(context.Background())
		}
		if n := len(b.polls); n < 400 || n > 600 || len(b.positions) < 9 {
			t.Errorf("%d polls and %d attempts in 10 minutes", n, len(b.positions))
		}
	})
}

func TestAShardEndsInEitherWay(t *testing.T) {
	for _, polling := range []bool{false, true} {
		t.Run(fmt.Sprint(polling), func(t *testing.T) {
			bubble(t, func(b *bench) {
				consumer := b.register("app")
				if polling {
					consumer.err = errors.New("gone")
				}
				b.put("a")
				b.s.Split(streamName, shardID)
				var changed []string
				e := b.either(consumer, checkpoint.TrimHorizon, &changed)
				defer e.Close()
				if page := b.next(e); data(page) != "a" || !page.Closed || len(page.Children) != 2 || e.FanOut() == polling {
					t.Errorf("page %+v, by fan-out: %v", page, e.FanOut())
				}
			})
		})
	}
}
