package kinesistest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesiskit/kinesiskit/kinesistest"
)

// Wherever a stream is cut, the SDK reports no error, all whole events have come, and nothing is lost by going on behind the last of them.
func TestAStreamThatIsCutEndsWithoutAnError(t *testing.T) {
	bubble(t, 1, func(t *testing.T, s *kinesistest.Server, c *client) {
		arn := c.register("app")
		c.put("k", "a")
		first := c.get(c.start(shardID(0))).Records[0].SequenceNumber
		time.Sleep(time.Second)
		s.On("SubscribeToShard", kinesistest.CutStream(0, 1<<30)).Times(1)
		if events, err := ok(c.subscribe(arn, 0, horizon))(t).rest(); err != nil || len(events) != 0 {
			t.Errorf("one byte short: %d events, %v", len(events), err)
		}
		c.put("k", "b")
		for _, bytes := range []int{
			0, 1, 3, 4, 7, 8, 11, // the prelude
			12, 13, 20, 26, 27, 29, 33, 60, 80, 100, 110, 114, // the headers, each in its name, its type, its length and its value
			115, 116, 150, 200, 300, 350, 1 << 30, // the payload and the last sum
		} {
			time.Sleep(5 * time.Second)
			rule := s.On("SubscribeToShard", kinesistest.CutStream(1, bytes)).Times(1)
			begin := time.Now()
			events, err := ok(c.subscribe(arn, 0, horizon))(t).rest()
			if err != nil || len(events) != 1 || rule.Hits() != 1 {
				t.Errorf("cut after %d bytes: %d events, %v", bytes, len(events), err)
				continue
			}
			equal(t, "before the cut", all(events), []string{"a", "b"})
			if waited := time.Since(begin); bytes == 0 && waited != 0 || bytes > 0 && waited != 5*time.Second {
				t.Errorf("cut after %d bytes: %v", bytes, waited)
			}
		}
		time.Sleep(5 * time.Second)
		s.On("SubscribeToShard", kinesistest.CutStream(-1, 20)).Times(1)
		if _, err := c.subscribe(arn, 0, horizon); err == nil || !strings.Contains(err.Error(), "initial response") {
			t.Error("cut in the initial response:", err)
		}
		time.Sleep(5 * time.Second)
		equal(t, "afterwards", c.follow(arn, 0, after(first)).records(), []string{"b"})
		s.On("*", kinesistest.CutStream(0, 0))
		c.put("k", "of no other operation's business")
	})
}

func TestSubscribeToShardMeetsRules(t *testing.T) {
	bubble(t, 2, func(t *testing.T, s *kinesistest.Server, c *client) {
		ctx, arn := context.Background(), c.register("app")
		s.On("SubscribeToShard", kinesistest.Throttle()).Stream("orders").Shard(shardID(0)).From("app").Times(1)
		c.follow(arn, 1, latest)
		_, err := c.subscribe(arn, 0, latest)
		if e := new(types.LimitExceededException); !errors.As(err, &e) {
			t.Error(err)
		}
		s.On("SubscribeToShard", kinesistest.Exception("KMSThrottlingException", "no")).Times(1)
		_, err = c.subscribe(arn, 0, latest)
		want(t, err, "KMSThrottlingException")
		s.On("SubscribeToShard", kinesistest.Status(503)).Times(1)
		if _, err = c.subscribe(arn, 0, latest); err == nil || !strings.Contains(err.Error(), "503") {
			t.Error(err)
		}
		s.On("SubscribeToShard", kinesistest.LoseRequest()).Times(1)
		if _, err = c.subscribe(arn, 0, latest); !errors.Is(err, syscall.ECONNRESET) {
			t.Error(err)
		}

		// Nothing of that was applied, so this one is not within five seconds of another.
		begin := time.Now()
		s.On("SubscribeToShard", kinesistest.Delay(3*time.Second)).Times(1)
		sub := c.follow(arn, 0, latest)
		if time.Since(begin) != 3*time.Second {
			t.Errorf("delayed by %v", time.Since(begin))
		}
		sub.next()

		// A lost reply leaves a subscription that nobody reads, and that is in the way.
		time.Sleep(5 * time.Second)
		s.On("SubscribeToShard", kinesistest.LoseReply()).Times(1)
		if _, err = c.subscribe(arn, 0, latest); !errors.Is(err, syscall.ECONNRESET) {
			t.Error(err)
		}
		_, err = sub.rest()
		want(t, err, "ResourceInUseException")
		_, err = c.subscribe(arn, 0, latest)
		want(t, err, "ResourceInUseException")

		// One that comes late ends its successor.
		time.Sleep(5 * time.Second)
		s.On("SubscribeToShard", kinesistest.ApplyLate(7*time.Second)).Times(1)
		if _, err = c.subscribe(arn, 0, latest); !errors.Is(err, syscall.ECONNRESET) {
			t.Error(err)
		}
		begin, sub = time.Now(), c.follow(arn, 0, latest)
		_, err = sub.rest()
		if want(t, err, "ResourceInUseException"); time.Since(begin) != 7*time.Second {
			t.Errorf("ended after %v", time.Since(begin))
		}

		// With Do the answer can be passed on, or replaced.
		time.Sleep(5 * time.Second)
		s.On("SubscribeToShard", kinesistest.Do(func(_ context.Context, r *kinesistest.Request, next func() kinesistest.Reply) kinesistest.Reply {
			if r.Stream != "orders" || r.Shard != shardID(0) || r.Op != "SubscribeToShard" {
				t.Errorf("%+v", r)
			}
			return next()
		})).Times(1)
		c.follow(arn, 0, latest).next()
		time.Sleep(5 * time.Second)
		s.On("SubscribeToShard", kinesistest.Do(func(_ context.Context, _ *kinesistest.Request, next func() kinesistest.Reply) kinesistest.Reply {
			reply := next()
			reply.Status, reply.Body = 400, []byte(`{"__type":"KMSDisabledException","message":"no"}`)
			return reply
		})).Times(1)
		_, err = c.subscribeCtx(ctx, arn, 0, latest)
		want(t, err, "KMSDisabledException")
	})
}

// A bubble ends only when all its goroutines have, so its end is the check that the client's are let go.
func TestNoSubscriptionOutlivesItsEnd(t *testing.T) {
	for name, end := range map[string]struct {
		do   func(s *kinesistest.Server, sub *subscription, cancel func())
		want error
	}{
		"the client closes":    {func(_ *kinesistest.Server, sub *subscription, _ func()) { _ = sub.Close() }, nil},
		"its ctx ends":         {func(_ *kinesistest.Server, _ *subscription, cancel func()) { cancel() }, context.Canceled},
		"its deadline passes":  {func(*kinesistest.Server, *subscription, func()) {}, context.DeadlineExceeded},
		"the server is closed": {func(s *kinesistest.Server, _ *subscription, _ func()) { _ = s.Close() }, syscall.ECONNRESET},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, func(t *testing.T, s *kinesistest.Server, c *client) {
				// The deadline falls on the moment of an event.
				ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
				defer cancel()
				sub := ok(c.subscribeCtx(ctx, c.register("app"), 0, latest))(t)
				sub.next()
				synctest.Wait() // the client waits for an event now
				end.do(s, sub, cancel)
				events, err := sub.rest()
				if len(events) != 0 || !errors.Is(err, end.want) {
					t.Errorf("%d more events, %v", len(events), err)
				}
			})
		})
	}
}

// A server from outside the bubble must keep nothing of one: what a subscription that is over, or given up, has waited for.
func TestSubscriptionsOfDifferentBubblesShareAServer(t *testing.T) {
	t.Parallel()
	s := kinesistest.New()
	cfg := s.Config("app")
	for i := range 3 {
		synctest.Test(t, func(t *testing.T) {
			if i == 0 {
				s.CreateStream("orders", 1) // here, for it to be of this time
			}
			c := newClient(t, cfg)
			sub := c.follow(c.register(fmt.Sprint(i)), 0, latest)
			sub.next()
			synctest.Wait()
			c.put("k", "x")
			equal(t, "pushed", sub.records(), []string{"x"})
		})
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
