package kinesistest_test

import (
	"context"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesiskit/kinesiskit/kinesistest"
)

func TestStatusesLastAsLongAsTheyAreTold(t *testing.T) {
	bubble(t, 1, func(t *testing.T, _ *kinesistest.Server, c *client) {
		ctx, name := context.Background(), aws.String("slow")
		status := func() types.StreamStatus { return c.describe("slow").StreamStatus }
		ok(c.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: name, ShardCount: aws.Int32(1)}))(t)
		calls := map[string]func() error{
			"ListShards": func() error { _, err := c.ListShards(ctx, &kinesis.ListShardsInput{StreamName: name}); return err },
			"PutRecords": func() error { _, err := c.PutRecords(ctx, batch("slow", 1, 1)); return err },
			"GetShardIterator": func() error {
				_, err := c.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{StreamName: name, ShardId: aws.String(shardID(0)), ShardIteratorType: "LATEST"})
				return err
			},
			"AddTagsToStream": func() error {
				_, err := c.AddTagsToStream(ctx, &kinesis.AddTagsToStreamInput{StreamName: name, Tags: map[string]string{"a": "b"}})
				return err
			},
			"IncreaseStreamRetentionPeriod": func() error {
				_, err := c.IncreaseStreamRetentionPeriod(ctx, &kinesis.IncreaseStreamRetentionPeriodInput{StreamName: name, RetentionPeriodHours: aws.Int32(48)})
				return err
			},
			"SplitShard": func() error {
				_, err := c.SplitShard(ctx, &kinesis.SplitShardInput{StreamName: name, ShardToSplit: aws.String(shardID(0)), NewStartingHashKey: aws.String("99")})
				return err
			},
			"TagResource": func() error {
				_, err := c.TagResource(ctx, &kinesis.TagResourceInput{ResourceARN: arn("slow"), Tags: map[string]string{"a": "b"}})
				return err
			},
			"ListTagsForResource": func() error {
				_, err := c.ListTagsForResource(ctx, &kinesis.ListTagsForResourceInput{ResourceARN: arn("slow")})
				return err
			},
			"DeleteStream": func() error { _, err := c.DeleteStream(ctx, &kinesis.DeleteStreamInput{StreamName: name}); return err },
		}
		refused := func(while types.StreamStatus, codes map[string]string) {
			t.Helper()
			if got := status(); got != while {
				t.Fatalf("%s, want %s", got, while)
			}
			for op, code := range codes {
				if err := calls[op](); code == "" && err != nil {
					t.Errorf("%s while %s: %v", op, while, err)
				} else if code != "" {
					want(t, err, code)
				}
			}
		}
		const inUse, notFound = "ResourceInUseException", "ResourceNotFoundException"
		refused("CREATING", map[string]string{
			"ListShards": inUse, "PutRecords": notFound, "GetShardIterator": notFound, "AddTagsToStream": inUse,
			"IncreaseStreamRetentionPeriod": inUse, "SplitShard": inUse, "DeleteStream": inUse, "TagResource": inUse, "ListTagsForResource": "",
		})
		if d := ok(c.DescribeStream(ctx, &kinesis.DescribeStreamInput{StreamName: name}))(t).StreamDescription; len(d.Shards) != 0 {
			t.Errorf("%d shards of a stream that is being created", len(d.Shards))
		}
		time.Sleep(time.Minute - 1)
		refused("CREATING", nil)
		time.Sleep(1)
		refused("ACTIVE", map[string]string{"ListShards": "", "PutRecords": "", "GetShardIterator": "", "AddTagsToStream": ""})
		if err := calls["SplitShard"](); err != nil {
			t.Fatal(err)
		}
		refused("UPDATING", map[string]string{
			"ListShards": "", "PutRecords": "", "GetShardIterator": "", "AddTagsToStream": inUse,
			"IncreaseStreamRetentionPeriod": inUse, "SplitShard": inUse, "DeleteStream": inUse,
		})
		time.Sleep(time.Minute)
		if err := calls["IncreaseStreamRetentionPeriod"](); err != nil {
			t.Fatal(err)
		}
		refused("UPDATING", nil)
		time.Sleep(time.Minute)
		if err := calls["DeleteStream"](); err != nil {
			t.Fatal(err)
		}
		refused("DELETING", map[string]string{"ListShards": inUse, "PutRecords": "", "GetShardIterator": "", "AddTagsToStream": inUse, "DeleteStream": inUse})
		time.Sleep(time.Minute)
		want(t, calls["PutRecords"](), notFound)
		equal(t, "listed", ok(c.ListStreams(ctx, &kinesis.ListStreamsInput{}))(t).StreamNames, []string{"orders"})
	}, kinesistest.WithTransitions(time.Minute))
}

func TestWaitersWaitForStreams(t *testing.T) {
	bubble(t, 1, func(t *testing.T, _ *kinesistest.Server, c *client) {
		ctx, in := context.Background(), &kinesis.DescribeStreamInput{StreamName: aws.String("slow")}
		begin := time.Now()
		ok(c.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: in.StreamName, ShardCount: aws.Int32(1)}))(t)
		if err := kinesis.NewStreamExistsWaiter(c).Wait(ctx, in, time.Hour); err != nil || time.Since(begin) < time.Minute {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		begin = time.Now()
		ok(c.DeleteStream(ctx, &kinesis.DeleteStreamInput{StreamName: in.StreamName}))(t)
		if err := kinesis.NewStreamNotExistsWaiter(c).Wait(ctx, in, time.Hour); err != nil || time.Since(begin) < time.Minute {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
	}, kinesistest.WithTransitions(time.Minute))
}

func TestTablesHaveTransitionsToo(t *testing.T) {
	bubble(t, 1, func(t *testing.T, s *kinesistest.Server, _ *client) {
		d := dynamo(s.Config(""))
		leases(t, d)
		describe := func() dtypes.TableStatus {
			return ok(d.DescribeTable(context.Background(), &dynamodb.DescribeTableInput{TableName: aws.String("leases")}))(t).Table.TableStatus
		}
		before := describe()
		time.Sleep(time.Minute)
		equal(t, "statuses", []dtypes.TableStatus{before, describe()}, []dtypes.TableStatus{"CREATING", "ACTIVE"})
	}, kinesistest.WithTransitions(time.Minute))
}

func TestDescribeStreamHasTheShardsInPages(t *testing.T) {
	bubble(t, 101, func(t *testing.T, s *kinesistest.Server, c *client) {
		s.Split("orders", shardID(0))
		in := &kinesis.DescribeStreamInput{StreamName: aws.String("orders")}
		var all, pages []int
		for {
			d := ok(c.DescribeStream(context.Background(), in))(t).StreamDescription
			all, pages = append(all, ids(d.Shards)...), append(pages, len(d.Shards))
			if d.StreamStatus != "ACTIVE" || *d.RetentionPeriodHours != 24 || *d.StreamARN != *arn("orders") || d.EncryptionType != "NONE" {
				t.Errorf("%+v", d)
			}
			if !*d.HasMoreShards {
				break
			}
			in.ExclusiveStartShardId = d.Shards[len(d.Shards)-1].ShardId
		}
		equal(t, "pages", pages, []int{100, 3})
		equal(t, "all", all, ids(c.shards(kinesis.ListShardsInput{})))
		in = &kinesis.DescribeStreamInput{StreamName: in.StreamName, Limit: aws.Int32(2)}
		equal(t, "two", ids(ok(c.DescribeStream(context.Background(), in))(t).StreamDescription.Shards), []int{0, 1})
		in.Limit = aws.Int32(0)
		_, err := c.DescribeStream(context.Background(), in)
		want(t, err, "ValidationException")
	})
}

func TestStaleReadsLagByUpToTheirTime(t *testing.T) {
	bubble(t, 1, func(t *testing.T, s *kinesistest.Server, c *client) {
		time.Sleep(time.Hour)
		s.Split("orders", shardID(0))
		seen := map[int]int{}
		for range 200 {
			n := len(c.shards(kinesis.ListShardsInput{}))
			d := ok(c.DescribeStream(context.Background(), &kinesis.DescribeStreamInput{StreamName: aws.String("orders")}))(t).StreamDescription
			seen[n]++
			seen[len(d.Shards)]++
			seen[-int(*c.describe("orders").OpenShardCount)]++
			time.Sleep(100 * time.Millisecond)
		}
		// Over the first 10 s the answers get newer on the average; afterwards all are new.
		if seen[1] < 50 || seen[3] < 250 || seen[1]+seen[3] != 400 || seen[-1] < 20 || seen[-1]+seen[-2] != 200 {
			t.Errorf("%v", seen)
		}
		if n := len(c.shards(kinesis.ListShardsInput{})); n != 3 {
			t.Errorf("%d shards in the end", n)
		}
	}, kinesistest.WithStaleReads(10*time.Second), kinesistest.WithoutLimits())
}
