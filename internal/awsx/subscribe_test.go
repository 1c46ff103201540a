package awsx

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesiskit/kinesiskit/kinesistest"
)

const ordersARN = "arn:aws:kinesis:us-east-1:000000000000:stream/orders"

// orders makes a server with a stream, and a client that has the SDK's retries.
func orders() (*kinesistest.Server, *kinesis.Client) {
	s := kinesistest.New()
	s.CreateStream("orders", 1)
	return s, kinesis.NewFromConfig(s.Config("app"))
}

func subscribe(t *testing.T, c *kinesis.Client, name string) (*kinesis.SubscribeToShardEventStream, error) {
	t.Helper()
	consumer, err := c.RegisterStreamConsumer(context.Background(), &kinesis.RegisterStreamConsumerInput{
		StreamARN: aws.String(ordersARN), ConsumerName: &name,
	}, KinesisOnce)
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.SubscribeToShard(context.Background(), &kinesis.SubscribeToShardInput{
		ConsumerARN: consumer.Consumer.ConsumerARN, ShardId: aws.String("shardId-000000000000"),
		StartingPosition: &types.StartingPosition{Type: types.ShardIteratorTypeTrimHorizon},
	}, SubscribeOnce)
	if err != nil {
		return nil, err
	}
	return out.GetStream(), nil
}

// Under the race detector this fails as soon as the client's protocol is shared.
func TestManyStreamsShareOneClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const streams, records = 8, 200
		_, c := orders()
		var wg sync.WaitGroup
		for i := range streams {
			time.Sleep(time.Second) // the service's rate of registrations
			stream, err := subscribe(t, c, fmt.Sprint("app-", i))
			if err != nil {
				t.Fatal(err)
			}
			wg.Go(func() {
				defer func() { _ = stream.Close() }()
				for n := 0; n < records; {
					event, ok := <-stream.Events()
					if !ok {
						t.Errorf("stream %d ended after %d records: %v", i, n, stream.Err())
						return
					}
					for _, r := range event.(*types.SubscribeToShardEventStreamMemberSubscribeToShardEvent).Value.Records {
						if string(r.Data) != fmt.Sprint(n) {
							t.Errorf("stream %d: record %d is %q", i, n, r.Data)
						}
						n++
					}
				}
			})
		}
		for n := range records {
			_, err := c.PutRecord(context.Background(), &kinesis.PutRecordInput{
				StreamName: aws.String("orders"), PartitionKey: aws.String("k"), Data: fmt.Append(nil, n),
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		wg.Wait()
	})
}

// The comment of SubscribeOnce tells the module what the end of a stream means. If a new version of the SDK tells more, it is to be read again.
func TestNilAtTheEndOfAStreamSaysNothing(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]struct {
		arrange func(s *kinesistest.Server)
		silent  bool
	}{
		"after five minutes": {func(*kinesistest.Server) {}, true},
		"between two frames": {func(s *kinesistest.Server) { s.On("SubscribeToShard", kinesistest.CutStream(1, 0)) }, true},
		"in a frame":         {func(s *kinesistest.Server) { s.On("SubscribeToShard", kinesistest.CutStream(1, 99)) }, true},
		"at the shard's end": {func(s *kinesistest.Server) { s.Split("orders", "shardId-000000000000") }, true},
		"by a reset": {func(s *kinesistest.Server) {
			time.AfterFunc(time.Minute, func() { _ = s.Close() })
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, c := orders()
				end.arrange(s)
				stream, err := subscribe(t, c, "app")
				if err != nil {
					t.Fatal(err)
				}
				events := 0
				for range stream.Events() {
					events++
				}
				if err := stream.Err(); events == 0 || (err == nil) != end.silent {
					t.Errorf("%d events, then %v", events, err)
				}
			})
		})
	}
}

func TestASubscriptionIsCalledForOnce(t *testing.T) {
	t.Parallel()
	s := &service{answer: respond(http.StatusBadRequest, `{"__type":"LimitExceededException"}`)}
	client := kinesis.New(kinesis.Options{Region: "eu-west-1", Credentials: aws.CredentialsProviderFunc(keys), HTTPClient: s})
	_, err := client.SubscribeToShard(t.Context(), &kinesis.SubscribeToShardInput{
		ConsumerARN: aws.String(ordersARN + "/consumer/app:1"), ShardId: aws.String("s"),
		StartingPosition: &types.StartingPosition{Type: types.ShardIteratorTypeLatest},
	}, SubscribeOnce)
	if Classify(err) != Throttle || len(s.requests) != 1 {
		t.Errorf("class %v after %d attempts, want throttle after 1", Classify(err), len(s.requests))
	}
}
