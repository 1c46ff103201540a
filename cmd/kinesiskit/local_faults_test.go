package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/firehose"
	ftypes "github.com/aws/aws-sdk-go-v2/service/firehose/types"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"

	"github.com/kinesiskit/kinesiskit/kinesistest"
)

// outcomes are what a client without retries meets in a hundred calls to a server with a profile.
func outcomes(t *testing.T, profile, seed string) []string {
	t.Helper()
	r := startLocal(t, "-faults", profile, "-seed", seed, "-limits", "off")
	k := r.kinesis()
	all := make([]string, 100)
	for i := range all {
		_, err := k.ListStreams(t.Context(), &kinesis.ListStreamsInput{})
		var api smithy.APIError
		switch {
		case errors.As(err, &api):
			all[i] = api.ErrorCode()
		case err != nil:
			t.Error(err)
		}
	}
	if code := r.stop(); code != exitOK {
		t.Errorf("exit status %d", code)
	}
	throttled := len(all) - count(all, "")
	if text := fmt.Sprintf(" %d met a fault: 10 %% of requests are throttled", throttled); (throttled > 0) != strings.Contains(r.stderr.String(), text) {
		t.Errorf("%d throttled\n%s", throttled, r.stderr)
	}
	return all
}

func count(all []string, one string) (n int) {
	for _, s := range all {
		if s == one {
			n++
		}
	}
	return n
}

func TestFaultsRepeatWithTheirSeed(t *testing.T) {
	t.Parallel()
	one, again, two := outcomes(t, "throttled", "1"), outcomes(t, "throttled", "1"), outcomes(t, "throttled", "2")
	if !slices.Equal(one, again) || slices.Equal(one, two) {
		t.Errorf("seed 1: %v\nagain:  %v\nseed 2: %v", one, again, two)
	}
	if ok, throttled := count(one, ""), count(one, "LimitExceededException"); ok+throttled != len(one) || ok < 60 || throttled < 3 {
		t.Errorf("of %d calls %d worked, %d were throttled", len(one), ok, throttled)
	}
	if calm := outcomes(t, "none", "1"); count(calm, "") != len(calm) {
		t.Errorf("with no faults: %v", calm)
	}
}

// A fault that no request meets would be a line of help without meaning.
func TestEveryFaultOfAProfileIsMetAndMostCallsWork(t *testing.T) {
	t.Parallel()
	for _, p := range localProfiles {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := kinesistest.New(kinesistest.WithoutLimits())
				defer func() { _ = s.Close() }()
				calls := arrangeCalls(t, s)
				rules := p.arm(s)
				worked := 0
				for range 100 {
					for _, call := range calls {
						if call(t.Context()) == nil {
							worked++
						}
					}
				}
				for i, rule := range rules {
					if rule.Hits() == 0 {
						t.Errorf("never: %v", p.faults[i])
					}
				}
				if all := 100 * len(calls); worked < all/2 || (worked == all) != (len(rules) == 0) {
					t.Errorf("%d of %d calls worked", worked, all)
				}
			})
		})
	}
}

// arrangeCalls returns one call of each operation that a profile names.
func arrangeCalls(t *testing.T, s *kinesistest.Server) []func(context.Context) error {
	t.Helper()
	cfg := s.Config("app")
	cfg.Retryer = func() aws.Retryer { return aws.NopRetryer{} }
	k, f := kinesis.NewFromConfig(cfg), firehose.NewFromConfig(cfg)
	name, shard := aws.String("orders"), aws.String("shardId-000000000000")
	s.CreateStream(*name, 1)
	if _, err := f.CreateDeliveryStream(t.Context(), &firehose.CreateDeliveryStreamInput{
		DeliveryStreamName: name, ExtendedS3DestinationConfiguration: &ftypes.ExtendedS3DestinationConfiguration{
			BucketARN: aws.String("arn:aws:s3:::bucket"), RoleARN: aws.String("arn:aws:iam::000000000000:role/firehose"),
		},
	}); err != nil {
		t.Fatal(err)
	}
	app, err := k.RegisterStreamConsumer(t.Context(), &kinesis.RegisterStreamConsumerInput{
		StreamARN: aws.String("arn:aws:kinesis:us-east-1:000000000000:stream/orders"), ConsumerName: aws.String("app"),
	})
	if err != nil {
		t.Fatal(err)
	}
	return []func(ctx context.Context) error{
		func(ctx context.Context) error {
			out, err := k.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: name, Records: []types.PutRecordsRequestEntry{
				{PartitionKey: aws.String("k"), Data: []byte("x")}, {PartitionKey: aws.String("k"), Data: []byte("y")},
			}})
			if err == nil && *out.FailedRecordCount > 0 {
				return errors.New("some failed")
			}
			return err
		},
		func(ctx context.Context) error {
			out, err := f.PutRecordBatch(ctx, &firehose.PutRecordBatchInput{DeliveryStreamName: name, Records: []ftypes.Record{{Data: []byte("x")}}})
			if err == nil && *out.FailedPutCount > 0 {
				return errors.New("some failed")
			}
			return err
		},
		func(ctx context.Context) error {
			it, err := k.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{StreamName: name, ShardId: shard, ShardIteratorType: "LATEST"})
			if err == nil {
				_, err = k.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: it.ShardIterator})
			}
			return err
		},
		func(ctx context.Context) error {
			_, err := k.ListShards(ctx, &kinesis.ListShardsInput{StreamName: name})
			return err
		},
		func(ctx context.Context) error {
			time.Sleep(6 * time.Second) // a subscription may follow another after 5
			out, err := k.SubscribeToShard(ctx, &kinesis.SubscribeToShardInput{
				ConsumerARN: app.Consumer.ConsumerARN, ShardId: shard, StartingPosition: &types.StartingPosition{Type: "LATEST"},
			})
			if err == nil {
				err = out.GetStream().Close()
			}
			return err
		},
	}
}
