package kinesistest_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesiskit/kinesiskit/kinesistest"
)

func arn(stream string) *string {
	return aws.String("arn:aws:kinesis:us-east-1:000000000000:stream/" + stream)
}

// allowed is how many of calls, made at once by two clients, are let through.
func allowed(t *testing.T, n int, call func() error) int {
	t.Helper()
	through := 0
	for _, code := range codes(n, call) {
		switch code {
		case "LimitExceededException":
		default: // done, or refused for what it asks
			through++
		}
	}
	return through
}

func TestAccountsHaveARateForEachOperation(t *testing.T) {
	ctx, name := context.Background(), aws.String("orders")
	for op, test := range map[string]struct {
		rate int
		call func(*client) error
	}{
		"DescribeStreamSummary": {20, func(c *client) error {
			_, err := c.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: name})
			return err
		}},
		"DescribeStream": {10, func(c *client) error {
			_, err := c.DescribeStream(ctx, &kinesis.DescribeStreamInput{StreamName: name})
			return err
		}},
		"DescribeLimits": {1, func(c *client) error { _, err := c.DescribeLimits(ctx, &kinesis.DescribeLimitsInput{}); return err }},
		"ListStreams":    {5, func(c *client) error { _, err := c.ListStreams(ctx, &kinesis.ListStreamsInput{}); return err }},
		"ListShards": {1000, func(c *client) error {
			_, err := c.ListShards(ctx, &kinesis.ListShardsInput{StreamName: name})
			return err
		}},
		"CreateStream": {5, func(c *client) error {
			_, err := c.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: name, ShardCount: aws.Int32(1)})
			return err
		}},
		"DeleteStream": {5, func(c *client) error {
			_, err := c.DeleteStream(ctx, &kinesis.DeleteStreamInput{StreamName: aws.String("none")})
			return err
		}},
		"SplitShard": {5, func(c *client) error {
			_, err := c.SplitShard(ctx, &kinesis.SplitShardInput{StreamName: name, ShardToSplit: aws.String(shardID(9)), NewStartingHashKey: aws.String("9")})
			return err
		}},
		"MergeShards": {5, func(c *client) error {
			_, err := c.MergeShards(ctx, &kinesis.MergeShardsInput{StreamName: name, ShardToMerge: aws.String(shardID(9)), AdjacentShardToMerge: aws.String(shardID(8))})
			return err
		}},
		"UpdateShardCount": {10, func(c *client) error {
			_, err := c.UpdateShardCount(ctx, &kinesis.UpdateShardCountInput{StreamName: name, TargetShardCount: aws.Int32(100), ScalingType: "UNIFORM_SCALING"})
			return err
		}},
		"AddTagsToStream": {5, func(c *client) error {
			_, err := c.AddTagsToStream(ctx, &kinesis.AddTagsToStreamInput{StreamName: name, Tags: map[string]string{"a": "b"}})
			return err
		}},
		"RegisterStreamConsumer": {5, func(c *client) error {
			_, err := c.RegisterStreamConsumer(ctx, &kinesis.RegisterStreamConsumerInput{StreamARN: arn("orders"), ConsumerName: aws.String("one")})
			return err
		}},
		"DescribeAccountSettings": {5, func(c *client) error {
			_, err := c.DescribeAccountSettings(ctx, &kinesis.DescribeAccountSettingsInput{})
			return err
		}},
	} {
		t.Run(op, func(t *testing.T) {
			bubble(t, 1, func(t *testing.T, s *kinesistest.Server, c *client) {
				other := newClient(t, s.Config("other"))
				calls := 0
				call := func() error {
					if calls++; calls%2 == 0 {
						return test.call(other)
					}
					return test.call(c)
				}
				if n := allowed(t, test.rate+10, call); n != test.rate {
					t.Errorf("%d at once, want %d", n, test.rate)
				}
				time.Sleep(time.Second)
				if n := allowed(t, test.rate+10, call); n != test.rate {
					t.Errorf("%d a second later, want %d", n, test.rate)
				}
			})
		})
	}
}

// A program that describes its stream when it starts meets 499 others that do so too. All get there, at 20 a second, if they retry with
// jitter and do not give up early.
func TestFiveHundredClientsStartAtOnce(t *testing.T) {
	bubble(t, 20, func(t *testing.T, s *kinesistest.Server, _ *client) {
		begin := time.Now()
		var wg sync.WaitGroup
		refused := make(chan error, 500)
		for i := range 500 {
			wg.Go(func() {
				ctx, name := context.Background(), aws.String("orders")
				c := kinesis.NewFromConfig(s.Config(fmt.Sprint("worker-", i)), func(o *kinesis.Options) {
					o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) {
						o.MaxAttempts, o.RateLimiter = 1000, noLimit{}
						o.Backoff = retry.BackoffDelayerFunc(func(attempt int, _ error) (time.Duration, error) {
							return time.Duration(1000+(i*37+attempt*101)%9000) * time.Millisecond, nil
						})
					})
				})
				_, err := c.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: name})
				if err == nil {
					_, err = c.ListShards(ctx, &kinesis.ListShardsInput{StreamName: name})
				}
				if err == nil {
					_, err = c.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{
						StreamName: name, ShardId: aws.String(shardID(i % 20)), ShardIteratorType: types.ShardIteratorTypeLatest,
					})
				}
				if err != nil {
					refused <- err
				}
			})
		}
		wg.Wait()
		close(refused)
		for err := range refused {
			t.Error(err)
		}
		// 20 at once, then 20 a second.
		if took := time.Since(begin); took < 24*time.Second || took > 2*time.Minute {
			t.Errorf("they took %v", took)
		}
		if n := s.Calls("DescribeStreamSummary"); n < 1000 {
			t.Errorf("%d calls: nobody was refused", n)
		}
		if n := s.Calls("ListShards"); n != 500 {
			t.Errorf("%d calls of ListShards, which has room for 1,000 a second", n)
		}
	})
}

// noLimit lets a client retry as often as it likes.
type noLimit struct{}

func (noLimit) GetToken(context.Context, uint) (func() error, error) {
	return func() error { return nil }, nil
}
func (noLimit) AddTokens(uint) error { return nil }

func TestFiveStreamsAreCreatedAtATime(t *testing.T) {
	bubble(t, 1, func(t *testing.T, s *kinesistest.Server, c *client) {
		create := func() error {
			_, err := c.CreateStream(context.Background(), &kinesis.CreateStreamInput{
				StreamName: aws.String(fmt.Sprint("stream-", s.Calls("CreateStream"))), ShardCount: aws.Int32(1),
			})
			return err
		}
		equal(t, "five", codes(5, create), make([]string, 5))
		time.Sleep(2 * time.Second) // for the rate of CreateStream
		equal(t, "the sixth", codes(1, create), []string{"LimitExceededException"})
		s.CreateStream("arranged", 1)
		time.Sleep(8 * time.Second)
		equal(t, "when they are there", codes(1, create), []string{""})
	}, kinesistest.WithTransitions(10*time.Second))
}

func TestAnAccountHas50OnDemandStreams(t *testing.T) {
	bubble(t, 1, func(t *testing.T, s *kinesistest.Server, c *client) {
		create := func() error {
			time.Sleep(time.Second)
			_, err := c.CreateStream(context.Background(), &kinesis.CreateStreamInput{
				StreamName: aws.String(fmt.Sprint("flex-", s.Calls("CreateStream"))), StreamModeDetails: &types.StreamModeDetails{StreamMode: "ON_DEMAND"},
			})
			return err
		}
		equal(t, "created", codes(51, create), append(make([]string, 50), "LimitExceededException"))
		_, err := c.UpdateStreamMode(context.Background(), &kinesis.UpdateStreamModeInput{
			StreamARN: arn("orders"), StreamModeDetails: &types.StreamModeDetails{StreamMode: "ON_DEMAND"},
		})
		want(t, err, "LimitExceededException")
		limits := ok(c.DescribeLimits(context.Background(), &kinesis.DescribeLimitsInput{}))(t)
		equal(t, "limits", []int32{*limits.OnDemandStreamCount, *limits.OnDemandStreamCountLimit, *limits.OpenShardCount, *limits.ShardLimit},
			[]int32{50, 50, 201, 20_000})
	})
}

func TestSomeChangesAreCountedOver24Hours(t *testing.T) {
	ctx := context.Background()
	for what, test := range map[string]struct {
		most int
		call func(c *client, i int) error
	}{
		"UpdateShardCount": {10, func(c *client, i int) error {
			_, err := c.UpdateShardCount(ctx, &kinesis.UpdateShardCountInput{
				StreamName: aws.String("orders"), TargetShardCount: aws.Int32(int32(1 + i%2)), ScalingType: types.ScalingTypeUniformScaling,
			})
			return err
		}},
		"UpdateStreamMode": {2, func(c *client, i int) error {
			_, err := c.UpdateStreamMode(ctx, &kinesis.UpdateStreamModeInput{
				StreamARN: arn("orders"), StreamModeDetails: &types.StreamModeDetails{StreamMode: []types.StreamMode{"ON_DEMAND", "PROVISIONED"}[i%2]},
			})
			return err
		}},
		"StartStreamEncryption": {25, func(c *client, i int) error {
			_, err := c.StartStreamEncryption(ctx, &kinesis.StartStreamEncryptionInput{
				StreamName: aws.String("orders"), EncryptionType: types.EncryptionTypeKms, KeyId: aws.String(fmt.Sprint("alias/", i)),
			})
			return err
		}},
	} {
		t.Run(what, func(t *testing.T) {
			bubble(t, 1, func(t *testing.T, _ *kinesistest.Server, c *client) {
				i := 0
				call := func() error {
					time.Sleep(time.Minute)
					i++
					return test.call(c, i-1)
				}
				equal(t, "first", codes(test.most+1, call), append(make([]string, test.most), "LimitExceededException"))
				i = test.most // the refused one did nothing
				time.Sleep(24*time.Hour - time.Duration(test.most+1)*time.Minute)
				equal(t, "a day after the first", codes(2, call)[:1], []string{""})
			})
		})
	}
}
