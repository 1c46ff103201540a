package conformance

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesiskit/kinesiskit/internal/awsx"
)

// register makes a consumer that can be used.
func (s *stream) register(name string) *types.ConsumerDescription {
	s.t.Helper()
	arn := s.summary().StreamARN
	ok(s.kinesis.RegisterStreamConsumer(s.t.Context(), &kinesis.RegisterStreamConsumerInput{StreamARN: arn, ConsumerName: &name}))(s.t)
	var d *types.ConsumerDescription
	await(s.t, "the consumer is ACTIVE", func() bool {
		d = ok(s.kinesis.DescribeStreamConsumer(s.t.Context(), &kinesis.DescribeStreamConsumerInput{StreamARN: arn, ConsumerName: &name}))(s.t).ConsumerDescription
		return d.ConsumerStatus == types.ConsumerStatusActive
	})
	return d
}

var consumerBehaviours = []behaviour{
	{
		name: "a consumer is registered and described, by name or ARN",
		says: "RegisterStreamConsumer: registers a consumer with a stream, CREATING, then ACTIVE; DescribeStreamConsumer: by ConsumerARN, or StreamARN and ConsumerName",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			d := s.register("app")
			stream := *s.summary().StreamARN
			equal(t, "stream", *d.StreamARN, stream)
			if !strings.HasPrefix(*d.ConsumerARN, stream+"/consumer/app:") {
				t.Errorf("ARN %s", *d.ConsumerARN)
			}
			byARN := ok(e.kinesis.DescribeStreamConsumer(t.Context(), &kinesis.DescribeStreamConsumerInput{ConsumerARN: d.ConsumerARN}))(t)
			equal(t, "name", *byARN.ConsumerDescription.ConsumerName, "app")
			equal(t, "consumers", aws.ToInt32(s.summary().ConsumerCount), 1)
		},
		skips: skips{kinesalite: unknownHere},
	},
	{
		name: "consumers are listed page by page",
		says: "ListStreamConsumers: MaxResults consumers a call; NextToken for the others",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			for _, name := range []string{"a", "b", "c"} {
				s.register(name)
			}
			in := &kinesis.ListStreamConsumersInput{StreamARN: s.summary().StreamARN, MaxResults: aws.Int32(2)}
			seen := make(map[string]bool)
			for {
				out := ok(e.kinesis.ListStreamConsumers(t.Context(), in))(t)
				if len(out.Consumers) > 2 {
					t.Fatalf("a page of %d", len(out.Consumers))
				}
				for _, c := range out.Consumers {
					seen[*c.ConsumerName] = true
				}
				if in.NextToken = out.NextToken; in.NextToken == nil {
					break
				}
			}
			equal(t, "consumers", len(seen), 3)
		},
		skips: skips{kinesalite: unknownHere, kinesisLocal: "ends after the first page"},
	},
	{
		name: "a consumer's name is taken once for each stream",
		says: "RegisterStreamConsumer: for a given data stream, each consumer must have a unique name; ResourceInUseException",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			s.register("app")
			_, err := e.kinesis.RegisterStreamConsumer(t.Context(), &kinesis.RegisterStreamConsumerInput{StreamARN: s.summary().StreamARN, ConsumerName: aws.String("app")})
			typed[*types.ResourceInUseException](t, err)
			e.stream(t, 1).register("app")
		},
		skips: skips{kinesalite: unknownHere},
	},
	{
		name: "a deregistered consumer is gone",
		says: "DeregisterStreamConsumer; DescribeStreamConsumer: ResourceNotFoundException",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			d := s.register(*fresh())
			ok(e.kinesis.DeregisterStreamConsumer(t.Context(), &kinesis.DeregisterStreamConsumerInput{ConsumerARN: d.ConsumerARN}))(t)
			await(t, "the consumer is gone", func() bool {
				_, err := e.kinesis.DescribeStreamConsumer(t.Context(), &kinesis.DescribeStreamConsumerInput{ConsumerARN: d.ConsumerARN})
				if err != nil {
					typed[*types.ResourceNotFoundException](t, err)
				}
				return err != nil
			})
		},
		skips: skips{kinesalite: unknownHere},
	},
	{
		name: "a stream with consumers is deleted on demand only",
		says: "DeleteStream: EnforceConsumerDeletion, if unset or false, and the stream has registered consumers, the call fails with a ResourceInUseException",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			s.register("app")
			_, err := e.kinesis.DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamName: s.name})
			typed[*types.ResourceInUseException](t, err)
			pass(200 * time.Millisecond)
			equal(t, "status", s.summary().StreamStatus, types.StreamStatusActive)
			ok(e.kinesis.DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamName: s.name, EnforceConsumerDeletion: aws.Bool(true)}))(t)
		},
		skips: skips{kinesalite: unknownHere, kinesisLocal: "answers so and deletes it"},
	},
}

// subscribe asks for the records of the first shard.
func (s *stream) subscribe(consumer *string, from types.StartingPosition) (*kinesis.SubscribeToShardOutput, error) {
	return s.kinesis.SubscribeToShard(s.t.Context(), &kinesis.SubscribeToShardInput{
		ConsumerARN: consumer, ShardId: aws.String(shard0), StartingPosition: &from,
	}, awsx.SubscribeOnce)
}

// events hands a subscription's events to see until it says that it has seen enough.
func (s *stream) events(out *kinesis.SubscribeToShardOutput, see func(types.SubscribeToShardEvent) (enough bool)) {
	s.t.Helper()
	feed := out.GetStream()
	defer func() { _ = feed.Close() }()
	deadline := time.After(8 * time.Second)
	for {
		select {
		case ev, more := <-feed.Events():
			if !more {
				s.t.Fatalf("the subscription ended: %v", feed.Err())
			}
			if one, is := ev.(*types.SubscribeToShardEventStreamMemberSubscribeToShardEvent); is && see(one.Value) {
				return
			}
		case <-deadline:
			s.t.Fatal("the subscription does not bring what it should")
		}
	}
}

var subscribeBehaviours = []behaviour{
	{
		name: "a subscription brings what is there and what comes, in order",
		says: "SubscribeToShard: an HTTP/2 connection over which Kinesis pushes records; StartingPosition as for an iterator",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			s.puts("a", "b")
			out := ok(s.subscribe(s.register("app").ConsumerARN, types.StartingPosition{Type: trimHorizon}))(t)
			s.puts("c")
			var got []string
			s.events(out, func(ev types.SubscribeToShardEvent) bool {
				if ev.ContinuationSequenceNumber == nil || ev.MillisBehindLatest == nil {
					t.Errorf("an event without continuation or lag: %+v", ev)
				}
				got = append(got, texts(ev.Records)...)
				return len(got) >= 3
			})
			sameList(t, "records", got, []string{"a", "b", "c"})
		},
		skips: skips{kinesalite: unknownHere},
	},
	{
		name: "a subscription goes on from the continuation number of the one before",
		says: "SubscribeToShardEvent: ContinuationSequenceNumber, use this as SequenceNumber in the next call to SubscribeToShard; within 5 s of a successful call ResourceInUseException",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			consumer := s.register("app").ConsumerARN
			s.puts("a", "b")
			out := ok(s.subscribe(consumer, types.StartingPosition{Type: trimHorizon}))(t)
			var at *string
			n := 0
			s.events(out, func(ev types.SubscribeToShardEvent) bool {
				at = ev.ContinuationSequenceNumber
				n += len(ev.Records)
				return n >= 2
			})
			_, err := s.subscribe(consumer, types.StartingPosition{Type: after, SequenceNumber: at})
			var busy *types.ResourceInUseException
			if !errors.As(err, &busy) {
				t.Fatalf("a second subscription at once: %v", err)
			}
			pass(6 * time.Second)
			s.puts("c")
			again := ok(s.subscribe(consumer, types.StartingPosition{Type: after, SequenceNumber: at}))(t)
			s.events(again, func(ev types.SubscribeToShardEvent) bool {
				for _, r := range ev.Records {
					equal(t, "record", string(r.Data), "c")
				}
				return len(ev.Records) > 0
			})
		},
		slow: true,
	},
	{
		name: "a subscription tells the children when the shard has ended",
		says: "SubscribeToShardEvent: ChildShards, the list of the child shards of the current shard, returned only at the end of the current shard",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			s.puts("a")
			out := ok(s.subscribe(s.register("app").ConsumerARN, types.StartingPosition{Type: trimHorizon}))(t)
			s.split(shard0)
			var got []string
			s.events(out, func(ev types.SubscribeToShardEvent) bool {
				got = append(got, texts(ev.Records)...)
				if len(ev.ChildShards) == 0 {
					return false
				}
				equal(t, "children", len(ev.ChildShards), 2)
				return true
			})
			sameList(t, "records", got, []string{"a"})
		},
		skips: skips{kinesalite: unknownHere, kinesisLocal: "says nothing at the end of a shard"},
	},
	{
		name: "a subscription lasts five minutes",
		says: "SubscribeToShard: the connection remains open for up to 5 minutes; then call SubscribeToShard again",
		slow: true,
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			out := ok(s.subscribe(s.register("app").ConsumerARN, types.StartingPosition{Type: latest}))(t)
			begun := time.Now()
			feed := out.GetStream()
			defer func() { _ = feed.Close() }()
			for range feed.Events() { // what they are is of no interest
			}
			if err := feed.Err(); err != nil {
				t.Error(err)
			}
			if took := time.Since(begun).Round(time.Second); took < 299*time.Second || took > 301*time.Second {
				t.Errorf("it lasted %v", took)
			}
		},
	},
}
