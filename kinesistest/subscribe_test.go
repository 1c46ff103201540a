package kinesistest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesiskit/kinesiskit/internal/awsx"
	"github.com/kinesiskit/kinesiskit/kinesistest"
)

var (
	latest  = types.StartingPosition{Type: types.ShardIteratorTypeLatest}
	horizon = types.StartingPosition{Type: types.ShardIteratorTypeTrimHorizon}
)

func after(number *string) types.StartingPosition {
	return types.StartingPosition{Type: types.ShardIteratorTypeAfterSequenceNumber, SequenceNumber: number}
}

func at(number *string) types.StartingPosition {
	return types.StartingPosition{Type: types.ShardIteratorTypeAtSequenceNumber, SequenceNumber: number}
}

// subscription is the client's side of one.
type subscription struct {
	*kinesis.SubscribeToShardEventStream
	t *testing.T
}

func (c *client) subscribeCtx(ctx context.Context, arn *string, shard int, from types.StartingPosition) (*subscription, error) {
	out, err := c.SubscribeToShard(ctx, &kinesis.SubscribeToShardInput{
		ConsumerARN: arn, ShardId: aws.String(shardID(shard)), StartingPosition: &from,
	}, awsx.SubscribeOnce)
	if err != nil {
		return nil, err
	}
	return &subscription{out.GetStream(), c.t}, nil
}

func (c *client) subscribe(arn *string, shard int, from types.StartingPosition) (*subscription, error) {
	return c.subscribeCtx(context.Background(), arn, shard, from)
}

// follow subscribes, and closes the stream when the test ends.
func (c *client) follow(arn *string, shard int, from types.StartingPosition) *subscription {
	c.t.Helper()
	sub := ok(c.subscribe(arn, shard, from))(c.t)
	c.t.Cleanup(func() { _ = sub.Close() })
	return sub
}

// next waits for an event.
func (sub *subscription) next() types.SubscribeToShardEvent {
	sub.t.Helper()
	event, more := <-sub.Events()
	if !more {
		sub.t.Fatalf("the stream has ended: %v", sub.Err())
	}
	return event.(*types.SubscribeToShardEventStreamMemberSubscribeToShardEvent).Value
}

// records waits for an event with records, and returns their texts.
func (sub *subscription) records() []string {
	sub.t.Helper()
	for {
		if e := sub.next(); len(e.Records) > 0 {
			return texts(e.Records)
		}
	}
}

// rest reads until the stream ends.
func (sub *subscription) rest() (events []types.SubscribeToShardEvent, err error) {
	for event := range sub.Events() {
		events = append(events, event.(*types.SubscribeToShardEventStreamMemberSubscribeToShardEvent).Value)
	}
	return events, sub.Err()
}

func all(events []types.SubscribeToShardEvent) []string {
	found := []string{}
	for _, e := range events {
		found = append(found, texts(e.Records)...)
	}
	return found
}

func TestWhatIsWrittenIsPushedAtOnce(t *testing.T) {
	bubble(t, 1, func(t *testing.T, _ *kinesistest.Server, c *client) {
		c.put("k", "before")
		sub := c.follow(c.register("app"), 0, latest)
		if e := sub.next(); len(e.Records) != 0 || e.ContinuationSequenceNumber == nil || *e.MillisBehindLatest != 0 || e.ChildShards != nil {
			t.Errorf("the first event: %+v", e)
		}
		for i := range 20 {
			time.Sleep(time.Duration(i) * 137 * time.Millisecond)
			written := time.Now()
			put := c.put("k", "a", "b")
			e := sub.next()
			for len(e.Records) == 0 {
				e = sub.next() // one that was on its way
			}
			if latency := time.Since(written); latency != 0 {
				t.Errorf("event %d came after %v", i, latency)
			}
			equal(t, "records", texts(e.Records), []string{"a", "b"})
			last := e.Records[1]
			if *last.SequenceNumber != *put[1].SequenceNumber || *e.ContinuationSequenceNumber != *last.SequenceNumber ||
				*last.PartitionKey != "k" || !last.ApproximateArrivalTimestamp.Equal(written.Truncate(time.Millisecond)) {
				t.Errorf("event %d: %+v", i, e)
			}
		}
	})
}

// An idle subscription shows that it lives and moves, and ends after five minutes to the moment, without an error.
func TestASubscriptionLastsFiveMinutes(t *testing.T) {
	bubble(t, 1, func(t *testing.T, _ *kinesistest.Server, c *client) {
		arn, begin := c.register("app"), time.Now()
		sub := c.follow(arn, 0, latest)
		heard, number := begin, "0"
		events := 0
		for event := range sub.Events() {
			e := event.(*types.SubscribeToShardEventStreamMemberSubscribeToShardEvent).Value
			if silence := time.Since(heard); silence > 5*time.Second || len(e.Records) != 0 || *e.MillisBehindLatest != 0 {
				t.Errorf("after %v: %+v", silence, e)
			}
			if *e.ContinuationSequenceNumber <= number || len(*e.ContinuationSequenceNumber) != 56 {
				t.Errorf("%s follows %s", *e.ContinuationSequenceNumber, number)
			}
			heard, number = time.Now(), *e.ContinuationSequenceNumber
			events++
		}
		if life := time.Since(begin); life != 5*time.Minute || events < 60 || sub.Err() != nil {
			t.Errorf("%d events, %v, %v", events, life, sub.Err())
		}
		// What resumes there goes on, and never back.
		sub = c.follow(arn, 0, after(&number))
		if e := sub.next(); *e.ContinuationSequenceNumber <= number {
			t.Errorf("%s follows %s", *e.ContinuationSequenceNumber, number)
		}
		c.put("k", "a")
		equal(t, "after resuming", sub.records(), []string{"a"})
	})
}

func TestEveryStartingPosition(t *testing.T) {
	bubble(t, 2, func(t *testing.T, s *kinesistest.Server, c *client) {
		var numbers []*string
		var times []time.Time
		for i := range 4 {
			time.Sleep(time.Second)
			times = append(times, time.Now())
			put := ok(c.PutRecord(context.Background(), &kinesis.PutRecordInput{
				StreamARN: ordersARN, PartitionKey: aws.String("k"), ExplicitHashKey: aws.String("0"), Data: fmt.Append(nil, i),
			}))(t)
			numbers = append(numbers, put.SequenceNumber)
		}
		atTime := func(at time.Time) types.StartingPosition {
			return types.StartingPosition{Type: types.ShardIteratorTypeAtTimestamp, Timestamp: &at}
		}
		first := c.shards(kinesis.ListShardsInput{})[0].SequenceNumberRange.StartingSequenceNumber
		time.Sleep(time.Second)
		s.Trim("orders", times[1])
		arn := c.register("app")
		for _, p := range []struct {
			name string
			from types.StartingPosition
			want []string
		}{
			{"TRIM_HORIZON", horizon, []string{"1", "2", "3"}},
			{"LATEST", latest, nil},
			{"AT the second", at(numbers[1]), []string{"1", "2", "3"}},
			{"AFTER the second", after(numbers[1]), []string{"2", "3"}},
			{"AT one that is trimmed", at(numbers[0]), []string{"1", "2", "3"}},
			{"AFTER the shard's first number", after(first), []string{"1", "2", "3"}},
			{"AFTER the last", after(numbers[3]), nil},
			{"AT a time", atTime(times[2]), []string{"2", "3"}},
			{"AT a time between", atTime(times[2].Add(time.Millisecond)), []string{"3"}},
			{"AT a time before all", atTime(times[0].Add(-time.Hour)), []string{"1", "2", "3"}},
			{"AT now", atTime(times[3].Add(time.Second)), nil},
		} {
			time.Sleep(5 * time.Second)
			sub := ok(c.subscribe(arn, 0, p.from))(t)
			equal(t, p.name, texts(sub.next().Records), p.want)
			_ = sub.Close()
		}
		for _, p := range []struct {
			name  string
			shard int
			from  types.StartingPosition
			code  string
		}{
			{"a future time", 0, atTime(time.Now().Add(time.Hour)), "InvalidArgumentException"},
			{"no time", 0, types.StartingPosition{Type: types.ShardIteratorTypeAtTimestamp}, "InvalidArgumentException"},
			{"no number", 0, types.StartingPosition{Type: types.ShardIteratorTypeAtSequenceNumber}, "InvalidArgumentException"},
			{"a number too many", 0, types.StartingPosition{Type: types.ShardIteratorTypeLatest, SequenceNumber: numbers[3]}, "InvalidArgumentException"},
			{"another shard's number", 1, at(numbers[3]), "InvalidArgumentException"},
			{"no type", 0, types.StartingPosition{Type: "x"}, "ValidationException"},
			{"no shard", 7, latest, "ResourceNotFoundException"},
		} {
			time.Sleep(5 * time.Second)
			_, err := c.subscribe(arn, p.shard, p.from)
			wantAs(t, p.name, err, p.code)
		}
		_, err := c.subscribe(aws.String(*arn+"0"), 0, latest)
		want(t, err, "ResourceNotFoundException")
		_, err = c.SubscribeToShard(context.Background(), &kinesis.SubscribeToShardInput{
			ConsumerARN: arn, ShardId: aws.String(shardID(0)), StartingPosition: &latest, DryRun: aws.Bool(true),
		}, awsx.SubscribeOnce)
		want(t, err, "DryRunOperationException")
		c.follow(arn, 0, latest) // the call that was none does not count
	})
}

// From wherever a stream ends, the last continuation number goes on: nothing is lost, and with AFTER nothing comes twice.
func TestSubscriptionsGoOnWhereTheLastOneEnded(t *testing.T) {
	bubble(t, 1, func(t *testing.T, _ *kinesistest.Server, c *client) {
		arn, position := c.register("app"), horizon
		var got, put []string
		for i := range 30 {
			text := fmt.Sprint(i)
			if put = append(put, text); i%3 == 0 {
				c.put("k", text)
			}
			sub := ok(c.subscribe(arn, 0, position))(t)
			var e types.SubscribeToShardEvent
			for range i % 4 {
				e = sub.next()
				got = append(got, texts(e.Records)...)
			}
			if i%3 != 0 {
				c.put("k", text)
			}
			_ = sub.Close()
			if e.ContinuationSequenceNumber != nil {
				position = after(e.ContinuationSequenceNumber)
				if i%2 == 0 && len(e.Records) == 0 {
					position = at(e.ContinuationSequenceNumber)
				}
			}
			time.Sleep(5 * time.Second)
		}
		sub := c.follow(arn, 0, position)
		got = append(got, texts(sub.next().Records)...)
		equal(t, "records", got, put)
	})
}

func TestAShardsEndIsTheLastEvent(t *testing.T) {
	bubble(t, 1, func(t *testing.T, s *kinesistest.Server, c *client) {
		arn := c.register("app")
		sub := c.follow(arn, 0, horizon)
		sub.next()
		c.put("k", "a")
		equal(t, "before", sub.records(), []string{"a"})
		time.Sleep(1234 * time.Millisecond)
		begin := time.Now()
		c.put("k", "b")
		s.Split("orders", shardID(0))
		c.put("k", "for a child")
		events, err := sub.rest()
		if err != nil || time.Since(begin) != 0 {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		equal(t, "at the end", all(events), []string{"b"})
		last := events[len(events)-1]
		if last.ContinuationSequenceNumber != nil || len(last.ChildShards) != 2 || *last.MillisBehindLatest != 0 {
			t.Fatalf("the last event: %+v", last)
		}
		for i, child := range last.ChildShards {
			if *child.ShardId != shardID(i+1) || !slices.Equal(child.ParentShards, []string{shardID(0)}) || child.HashKeyRange == nil {
				t.Errorf("child %d: %+v", i, child)
			}
		}
		// Whoever comes later sees the same.
		time.Sleep(5 * time.Second)
		for _, late := range []struct {
			from types.StartingPosition
			want []string
		}{{horizon, []string{"a", "b"}}, {latest, nil}, {after(c.shards(kinesis.ListShardsInput{})[0].SequenceNumberRange.EndingSequenceNumber), nil}} {
			events, err = ok(c.subscribe(arn, 0, late.from))(t).rest()
			equal(t, "late", all(events), late.want)
			if last := events[len(events)-1]; err != nil || len(last.ChildShards) != 2 || last.ContinuationSequenceNumber != nil {
				t.Errorf("late: %+v %v", last, err)
			}
			time.Sleep(5 * time.Second)
		}
		left := c.follow(arn, 1, horizon)
		right := c.follow(arn, 2, horizon)
		left.next()
		right.next()
		time.Sleep(time.Second)
		begin = time.Now()
		child := s.Merge("orders", shardID(1), shardID(2))
		for i, sub := range []*subscription{left, right} {
			events, _ := sub.rest()
			last := events[len(events)-1]
			if len(last.ChildShards) != 1 || *last.ChildShards[0].ShardId != child ||
				!slices.Equal(last.ChildShards[0].ParentShards, []string{shardID(1), shardID(2)}) {
				t.Errorf("parent %d: %+v", i, last)
			}
			if latency := time.Since(begin); latency != 0 {
				t.Errorf("parent %d ended after %v", i, latency)
			}
		}
	})
}

func TestASecondSubscriptionIsRefusedAtFirstAndThenTakesOver(t *testing.T) {
	bubble(t, 2, func(t *testing.T, _ *kinesistest.Server, c *client) {
		arn, other := c.register("app"), c.register("other")
		old := c.follow(arn, 0, latest)
		c.follow(arn, 1, latest)
		c.follow(other, 0, latest)
		var inUse *types.ResourceInUseException
		for range 2 {
			if _, err := c.subscribe(arn, 0, latest); !errors.As(err, &inUse) {
				t.Fatal(err)
			}
			time.Sleep(5*time.Second - 1)
		}
		time.Sleep(2) // 10 s; a refused call does not start the five seconds anew
		newer := c.follow(arn, 0, latest)
		_, err := old.rest()
		if !errors.As(err, &inUse) {
			t.Error("the older one ended with", err)
		}
		newer.next()
		c.put("\x00", "a", "b", "c", "d", "e", "f", "g", "h")
		if c.put("k", "x"); newer.Err() != nil {
			t.Error(newer.Err())
		}
		// A subscription that its client has left is as any other.
		_ = newer.Close()
		if _, err := c.subscribe(arn, 0, latest); !errors.As(err, &inUse) {
			t.Error(err)
		}
		time.Sleep(5 * time.Second)
		c.follow(arn, 0, latest)
	})
}

func TestSubscribingTooOftenIsThrottled(t *testing.T) {
	t.Parallel()
	for _, limits := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			var opts []kinesistest.Option
			if !limits {
				opts = append(opts, kinesistest.WithoutLimits())
			}
			s := kinesistest.New(opts...)
			s.CreateStream("orders", 2)
			c := newClient(t, s.Config("app"))
			arn := c.register("app")
			c.follow(arn, 0, latest)
			codes := map[string]int{}
			for range 9 {
				_, err := c.subscribe(arn, 0, latest)
				var api interface{ ErrorCode() string }
				if !errors.As(err, &api) {
					t.Fatal(err)
				}
				codes[api.ErrorCode()]++
			}
			c.follow(arn, 1, latest) // each shard has a rate of its own
			throttled := 0
			if limits {
				throttled = 5
			}
			if codes["LimitExceededException"] != throttled || codes["ResourceInUseException"] != 9-throttled {
				t.Errorf("limits %v: %v", limits, codes)
			}
			time.Sleep(5 * time.Second)
			c.follow(arn, 0, latest)
		})
	}
}

func TestDeregistrationAndDeletionEndSubscriptions(t *testing.T) {
	t.Parallel()
	for _, transitions := range []time.Duration{0, 3 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			s := kinesistest.New(kinesistest.WithTransitions(transitions))
			s.CreateStream("orders", 1)
			c := newClient(t, s.Config("app"))
			gone, kept := c.register("gone"), c.register("kept")
			time.Sleep(transitions)
			first, second := c.follow(gone, 0, latest), c.follow(kept, 0, latest)
			first.next()
			second.next()
			ended := func(sub *subscription, later time.Duration) {
				t.Helper()
				begin := time.Now()
				_, err := sub.rest()
				if e := new(types.ResourceNotFoundException); !errors.As(err, &e) || time.Since(begin) != later {
					t.Errorf("ended after %v: %v", time.Since(begin), err)
				}
			}
			c.deregister(gone)
			ended(first, 0)
			c.put("k", "a")
			equal(t, "the other consumer", second.records(), []string{"a"})
			ok(c.DeleteStream(context.Background(), &kinesis.DeleteStreamInput{StreamARN: ordersARN, EnforceConsumerDeletion: aws.Bool(true)}))(t)
			ended(second, transitions)
		})
	}
}
