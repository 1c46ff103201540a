package kinesistest_test

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesiskit/kinesiskit/kinesistest"
)

func TestAStreamIsDescribedAsItWasCreated(t *testing.T) {
	bubble(t, 1, func(t *testing.T, _ *kinesistest.Server, c *client) {
		ctx := context.Background()
		before := time.Now()
		ok(c.CreateStream(ctx, &kinesis.CreateStreamInput{
			StreamName: aws.String("big"), ShardCount: aws.Int32(3), MaxRecordSizeInKiB: aws.Int32(10240),
		}))(t)
		d := ok(c.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: aws.String("big")}))(t).StreamDescriptionSummary
		got := fmt.Sprint(*d.StreamName, *d.StreamARN, d.StreamStatus, *d.OpenShardCount, *d.RetentionPeriodHours, *d.MaxRecordSizeInKiB,
			d.StreamModeDetails.StreamMode, d.EncryptionType, *d.ConsumerCount, d.StreamCreationTimestamp.Equal(before))
		if want := fmt.Sprint("big", "arn:aws:kinesis:us-east-1:000000000000:stream/big", "ACTIVE", 3, 24, 10240,
			"PROVISIONED", "NONE", 0, true); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
		byARN := ok(c.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamARN: d.StreamARN}))(t)
		if *byARN.StreamDescriptionSummary.StreamName != "big" {
			t.Error("the ARN leads elsewhere")
		}
		ok(c.CreateStream(ctx, &kinesis.CreateStreamInput{
			StreamName: aws.String("flex"), StreamModeDetails: &types.StreamModeDetails{StreamMode: types.StreamModeOnDemand},
		}))(t)
		d = ok(c.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: aws.String("flex")}))(t).StreamDescriptionSummary
		if d.StreamModeDetails.StreamMode != types.StreamModeOnDemand || *d.OpenShardCount != 4 || *d.MaxRecordSizeInKiB != 1024 {
			t.Errorf("%+v", d)
		}
		ok(c.DeleteStream(ctx, &kinesis.DeleteStreamInput{StreamName: aws.String("flex")}))(t)
		_, err := c.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: aws.String("flex")})
		if gone := new(types.ResourceNotFoundException); !errors.As(err, &gone) {
			t.Error(err)
		}
	})
}

func TestCreateStreamRefuses(t *testing.T) {
	bubble(t, 1, func(t *testing.T, _ *kinesistest.Server, c *client) {
		onDemand := &types.StreamModeDetails{StreamMode: types.StreamModeOnDemand}
		for _, test := range []struct {
			why, code string
			in        kinesis.CreateStreamInput
		}{
			{"a name that is taken", "ResourceInUseException", kinesis.CreateStreamInput{StreamName: aws.String("orders"), ShardCount: aws.Int32(1)}},
			{"a bad name", "ValidationException", kinesis.CreateStreamInput{StreamName: aws.String("a/b"), ShardCount: aws.Int32(1)}},
			{"a long name", "ValidationException", kinesis.CreateStreamInput{StreamName: aws.String(strings.Repeat("a", 129)), ShardCount: aws.Int32(1)}},
			{"no shards", "ValidationException", kinesis.CreateStreamInput{StreamName: aws.String("new"), ShardCount: aws.Int32(0)}},
			{"no shard count", "ValidationException", kinesis.CreateStreamInput{StreamName: aws.String("new")}},
			{"more shards than the account may have", "LimitExceededException", kinesis.CreateStreamInput{StreamName: aws.String("new"), ShardCount: aws.Int32(20_000)}},
			{"small records", "ValidationException", kinesis.CreateStreamInput{StreamName: aws.String("new"), ShardCount: aws.Int32(1), MaxRecordSizeInKiB: aws.Int32(1023)}},
			{"large records", "ValidationException", kinesis.CreateStreamInput{StreamName: aws.String("new"), ShardCount: aws.Int32(1), MaxRecordSizeInKiB: aws.Int32(10241)}},
			{"shards on demand", "ValidationException", kinesis.CreateStreamInput{StreamName: aws.String("new"), ShardCount: aws.Int32(1), StreamModeDetails: onDemand}},
			{"records without keys", "InvalidArgumentException", kinesis.CreateStreamInput{StreamName: aws.String("new"), ShardCount: aws.Int32(1), RecordDistributionStrategy: "AUTO"}},
			{"an unknown mode", "ValidationException", kinesis.CreateStreamInput{StreamName: aws.String("new"), StreamModeDetails: &types.StreamModeDetails{StreamMode: "FREE"}}},
		} {
			_, err := c.CreateStream(context.Background(), &test.in)
			t.Log(test.why)
			want(t, err, test.code)
		}
		_, err := c.DescribeStreamSummary(context.Background(), &kinesis.DescribeStreamSummaryInput{StreamName: aws.String("new")})
		want(t, err, "ResourceNotFoundException")
	}, kinesistest.WithoutLimits())
}

func TestARequestMustNameOneStream(t *testing.T) {
	bubble(t, 1, func(t *testing.T, s *kinesistest.Server, c *client) {
		s.CreateStream("other", 1)
		for _, test := range []struct{ name, arn, code string }{
			{"", "", "InvalidArgumentException"},
			{"other", "arn:aws:kinesis:us-east-1:000000000000:stream/orders", "InvalidArgumentException"},
			{"", "arn:aws:kinesis:us-east-1:000000000000:orders", "InvalidArgumentException"},
			{"", "arn:aws:kinesis:eu-west-1:000000000000:stream/orders", "ResourceNotFoundException"},
			{"", "arn:aws:kinesis:us-east-1:000000000000:stream/none", "ResourceNotFoundException"},
		} {
			in := &kinesis.ListShardsInput{}
			if test.name != "" {
				in.StreamName = &test.name
			}
			if test.arn != "" {
				in.StreamARN = &test.arn
			}
			_, err := c.ListShards(context.Background(), in)
			want(t, err, test.code)
		}
	})
}

func TestStreamsAreListedInPages(t *testing.T) {
	bubble(t, 1, func(t *testing.T, s *kinesistest.Server, c *client) {
		for _, name := range []string{"c", "a", "b"} {
			s.CreateStream(name, 1)
		}
		var got []string
		pages := kinesis.NewListStreamsPaginator(c, &kinesis.ListStreamsInput{Limit: aws.Int32(2)})
		for pages.HasMorePages() {
			page := ok(pages.NextPage(context.Background()))(t)
			got = append(got, page.StreamNames...)
			got = append(got, fmt.Sprint(len(page.StreamSummaries), *page.HasMoreStreams))
		}
		equal(t, "streams", got, []string{"a", "b", "2 true", "c", "orders", "2 false"})
		after := ok(c.ListStreams(context.Background(), &kinesis.ListStreamsInput{ExclusiveStartStreamName: aws.String("b")}))(t)
		equal(t, "after b", after.StreamNames, []string{"c", "orders"})
	})
}

// The ring is 0 … 2^128-1, and each of the ranges adjoins the next.
func TestEvenShardsCoverTheRingExactly(t *testing.T) {
	bubble(t, 1, func(t *testing.T, s *kinesistest.Server, c *client) {
		last := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 128), big.NewInt(1))
		for _, n := range []int{1, 2, 3, 7, 16, 1000} {
			name := fmt.Sprint("even-", n)
			s.CreateStream(name, n)
			shards := ok(c.ListShards(context.Background(), &kinesis.ListShardsInput{StreamName: &name}))(t).Shards
			if len(shards) != n {
				t.Fatalf("%d shards, want %d", len(shards), n)
			}
			next, width := new(big.Int), new(big.Int).Div(last, big.NewInt(int64(n)))
			for i, sh := range shards {
				start, end := bigInt(*sh.HashKeyRange.StartingHashKey), bigInt(*sh.HashKeyRange.EndingHashKey)
				if start.Cmp(next) != 0 {
					t.Fatalf("%d shards: shard %d starts at %s, want %s", n, i, start, next)
				}
				// The last shard takes what the division leaves, less than one hash key a shard.
				off := new(big.Int).Sub(end, start)
				if off.Sub(off, width).CmpAbs(big.NewInt(int64(n))) > 0 {
					t.Errorf("%d shards: shard %d is off an even width by %s", n, i, off)
				}
				next.Add(end, big.NewInt(1))
			}
			if next.Sub(next, big.NewInt(1)).Cmp(last) != 0 {
				t.Errorf("%d shards end at %s", n, next)
			}
		}
	})
}

// A client that kept positions of a deleted stream must be able to tell that they are not of the new one.
func TestAStreamCreatedAnewHasOtherSequenceNumbers(t *testing.T) {
	bubble(t, 1, func(t *testing.T, s *kinesistest.Server, c *client) {
		old := c.shards(kinesis.ListShardsInput{})[0]
		number := *c.put("k", "x")[0].SequenceNumber
		it := c.start(shardID(0))
		ok(c.DeleteStream(context.Background(), &kinesis.DeleteStreamInput{StreamName: aws.String("orders")}))(t)
		s.CreateStream("orders", 1)
		if anew := c.shards(kinesis.ListShardsInput{})[0]; *anew.SequenceNumberRange.StartingSequenceNumber <= number {
			t.Errorf("starts at %s, the old one at %s", *anew.SequenceNumberRange.StartingSequenceNumber, *old.SequenceNumberRange.StartingSequenceNumber)
		}
		_, err := c.GetRecords(context.Background(), &kinesis.GetRecordsInput{ShardIterator: it})
		want(t, err, "ResourceNotFoundException")
		_, err = c.iterator(kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeAfterSequenceNumber, StartingSequenceNumber: &number})
		want(t, err, "InvalidArgumentException")
	})
}

func TestOperationsThatAreNotHereSaySo(t *testing.T) {
	bubble(t, 1, func(t *testing.T, _ *kinesistest.Server, c *client) {
		_, err := c.ListChannels(context.Background(), &kinesis.ListChannelsInput{})
		want(t, err, "UnknownOperationException")
	})
}
