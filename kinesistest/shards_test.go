package kinesistest_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesiskit/kinesiskit/kinesistest"
)

func TestASplitDividesAndAMergeJoins(t *testing.T) {
	bubble(t, 1, func(t *testing.T, _ *kinesistest.Server, c *client) {
		ctx := context.Background()
		ok(c.SplitShard(ctx, &kinesis.SplitShardInput{
			StreamName: aws.String("orders"), ShardToSplit: aws.String(shardID(0)), NewStartingHashKey: aws.String("1000"),
		}))(t)
		ok(c.MergeShards(ctx, &kinesis.MergeShardsInput{
			StreamName: aws.String("orders"), ShardToMerge: aws.String(shardID(1)), AdjacentShardToMerge: aws.String(shardID(2)),
		}))(t)
		var got []string
		for _, sh := range c.shards(kinesis.ListShardsInput{}) {
			got = append(got, fmt.Sprint(aws.ToString(sh.ParentShardId), aws.ToString(sh.AdjacentParentShardId), " ",
				*sh.HashKeyRange.StartingHashKey, "-", *sh.HashKeyRange.EndingHashKey, " ", sh.SequenceNumberRange.EndingSequenceNumber == nil))
		}
		const last = "340282366920938463463374607431768211455"
		equal(t, "shards", got, []string{
			" 0-" + last + " false",
			shardID(0) + " 0-999 false",
			shardID(0) + " 1000-" + last + " false",
			shardID(1) + shardID(2) + " 0-" + last + " true",
		})
		d := ok(c.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: aws.String("orders")}))(t)
		if *d.StreamDescriptionSummary.OpenShardCount != 1 {
			t.Errorf("%d open shards", *d.StreamDescriptionSummary.OpenShardCount)
		}
	})
}

func TestReshardingRefuses(t *testing.T) {
	bubble(t, 4, func(t *testing.T, s *kinesistest.Server, c *client) {
		child := s.Merge("orders", shardID(1), shardID(0)) // 0 and 1 are closed; 4 is open
		ctx := context.Background()
		for _, test := range []struct{ shard, at, code string }{
			{shardID(9), "1000", "ResourceNotFoundException"},
			{shardID(0), "1000", "InvalidArgumentException"},
			{child, "0", "InvalidArgumentException"},
			{child, "1", "InvalidArgumentException"},
			{child, "170141183460469231731687303715884105727", "InvalidArgumentException"}, // its last hash key
			{child, "340282366920938463463374607431768211455", "InvalidArgumentException"},
			{child, "x", "ValidationException"},
		} {
			_, err := c.SplitShard(ctx, &kinesis.SplitShardInput{
				StreamName: aws.String("orders"), ShardToSplit: &test.shard, NewStartingHashKey: &test.at,
			})
			want(t, err, test.code)
		}
		for _, test := range []struct{ a, b, code string }{
			{shardID(9), child, "ResourceNotFoundException"},
			{child, shardID(9), "ResourceNotFoundException"},
			{shardID(1), shardID(2), "InvalidArgumentException"}, // closed
			{child, shardID(3), "InvalidArgumentException"},      // apart
			{child, child, "InvalidArgumentException"},
			{shardID(3), shardID(3), "InvalidArgumentException"},
		} {
			_, err := c.MergeShards(ctx, &kinesis.MergeShardsInput{
				StreamName: aws.String("orders"), ShardToMerge: &test.a, AdjacentShardToMerge: &test.b,
			})
			want(t, err, test.code)
		}
		equal(t, "shards", ids(c.shards(kinesis.ListShardsInput{})), []int{0, 1, 2, 3, 4})
	}, kinesistest.WithoutLimits())
}

func TestShardFiltersPickByTime(t *testing.T) {
	bubble(t, 1, func(t *testing.T, s *kinesistest.Server, c *client) {
		created := time.Now()
		s.Split("orders", shardID(0)) // 1, 2: at the instant of the creation
		time.Sleep(time.Hour)
		early := time.Now()
		time.Sleep(time.Hour)
		s.Split("orders", shardID(1)) // 3, 4
		filter := func(kind types.ShardFilterType, at *time.Time, id *string) []int {
			return ids(c.shards(kinesis.ListShardsInput{ShardFilter: &types.ShardFilter{Type: kind, Timestamp: at, ShardId: id}}))
		}
		for _, test := range []struct {
			kind types.ShardFilterType
			at   *time.Time
			want []int
		}{
			{types.ShardFilterTypeAtLatest, nil, []int{2, 3, 4}},
			{types.ShardFilterTypeAtTrimHorizon, nil, []int{0}},
			{types.ShardFilterTypeFromTrimHorizon, nil, []int{0, 1, 2, 3, 4}},
			{types.ShardFilterTypeAtTimestamp, &created, []int{0}},
			{types.ShardFilterTypeAtTimestamp, &early, []int{1, 2}},
			{types.ShardFilterTypeFromTimestamp, &early, []int{1, 2, 3, 4}},
			{types.ShardFilterTypeFromTimestamp, aws.Time(created.Add(-time.Hour)), []int{0, 1, 2, 3, 4}},
		} {
			equal(t, string(test.kind), filter(test.kind, test.at, nil), test.want)
		}
		equal(t, "after", filter(types.ShardFilterTypeAfterShardId, nil, aws.String(shardID(2))), []int{3, 4})
		equal(t, "exclusive start", ids(c.shards(kinesis.ListShardsInput{ExclusiveStartShardId: aws.String(shardID(3))})), []int{4})

		time.Sleep(22*time.Hour + time.Minute) // 0 is over for more than the retention, 1 is not
		equal(t, "trim horizon moved", filter(types.ShardFilterTypeAtTrimHorizon, nil, nil), []int{1, 2})
		equal(t, "all that are left", ids(c.shards(kinesis.ListShardsInput{})), []int{1, 2, 3, 4})
		_, err := c.iterator(kinesis.GetShardIteratorInput{ShardIteratorType: "TRIM_HORIZON"})
		want(t, err, "ResourceNotFoundException")
		s.Trim("orders", time.Now())
		equal(t, "after Trim", ids(c.shards(kinesis.ListShardsInput{})), []int{2, 3, 4})
	})
}

func TestListShardsGoesOnWhereItStopped(t *testing.T) {
	bubble(t, 5, func(t *testing.T, s *kinesistest.Server, c *client) {
		ctx := context.Background()
		s.Split("orders", shardID(1))
		list := func(in kinesis.ListShardsInput) (all []int, pages int) {
			for pages = 1; ; pages++ {
				out := ok(c.ListShards(ctx, &in))(t)
				if all = append(all, ids(out.Shards)...); out.NextToken == nil {
					return all, pages
				}
				in = kinesis.ListShardsInput{NextToken: out.NextToken, MaxResults: in.MaxResults}
			}
		}
		atLatest := &types.ShardFilter{Type: types.ShardFilterTypeAtLatest}
		for _, test := range []struct {
			most  int32
			want  []int
			pages int
			by    *types.ShardFilter
		}{
			{2, []int{0, 1, 2, 3, 4, 5, 6}, 4, nil},
			{7, []int{0, 1, 2, 3, 4, 5, 6}, 1, nil},
			{10_000, []int{0, 1, 2, 3, 4, 5, 6}, 1, nil},
			{1, []int{0, 2, 3, 4, 5, 6}, 6, atLatest}, // the token keeps the filter
		} {
			got, pages := list(kinesis.ListShardsInput{StreamName: aws.String("orders"), MaxResults: &test.most, ShardFilter: test.by})
			if equal(t, "shards", got, test.want); pages != test.pages {
				t.Errorf("%d pages, want %d", pages, test.pages)
			}
		}
		s.CreateStream("wide", 1001)
		if all, pages := list(kinesis.ListShardsInput{StreamName: aws.String("wide")}); len(all) != 1001 || pages != 2 {
			t.Errorf("%d shards on %d pages", len(all), pages)
		}
	})
}

func TestListShardsRefuses(t *testing.T) {
	bubble(t, 3, func(t *testing.T, _ *kinesistest.Server, c *client) {
		ctx := context.Background()
		name := aws.String("orders")
		created := ok(c.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: name}))(t).StreamDescriptionSummary.StreamCreationTimestamp
		first := ok(c.ListShards(ctx, &kinesis.ListShardsInput{StreamName: name, MaxResults: aws.Int32(1), StreamCreationTimestamp: created}))(t)
		for _, test := range []struct {
			why, code string
			in        kinesis.ListShardsInput
		}{
			{"a name beside the token", "InvalidArgumentException", kinesis.ListShardsInput{NextToken: first.NextToken, StreamName: name}},
			{"a filter beside the token", "InvalidArgumentException", kinesis.ListShardsInput{NextToken: first.NextToken, ShardFilter: &types.ShardFilter{Type: "AT_LATEST"}}},
			{"a start beside the token", "InvalidArgumentException", kinesis.ListShardsInput{NextToken: first.NextToken, ExclusiveStartShardId: aws.String(shardID(0))}},
			{"a made-up token", "InvalidArgumentException", kinesis.ListShardsInput{NextToken: aws.String("AAAA")}},
			{"no results", "ValidationException", kinesis.ListShardsInput{StreamName: name, MaxResults: aws.Int32(0)}},
			{"too many results", "ValidationException", kinesis.ListShardsInput{StreamName: name, MaxResults: aws.Int32(10_001)}},
			{"an unknown filter", "ValidationException", kinesis.ListShardsInput{StreamName: name, ShardFilter: &types.ShardFilter{Type: "SOME"}}},
			{"a filter without its time", "InvalidArgumentException", kinesis.ListShardsInput{StreamName: name, ShardFilter: &types.ShardFilter{Type: "AT_TIMESTAMP"}}},
			{"a filter without its shard", "InvalidArgumentException", kinesis.ListShardsInput{StreamName: name, ShardFilter: &types.ShardFilter{Type: "AFTER_SHARD_ID"}}},
			{"the future", "InvalidArgumentException", kinesis.ListShardsInput{StreamName: name, ShardFilter: &types.ShardFilter{Type: "FROM_TIMESTAMP", Timestamp: aws.Time(time.Now().Add(time.Second))}}},
			{"another creation", "ResourceNotFoundException", kinesis.ListShardsInput{StreamName: name, StreamCreationTimestamp: aws.Time(created.Add(time.Second))}},
		} {
			_, err := c.ListShards(ctx, &test.in)
			t.Log(test.why)
			want(t, err, test.code)
		}
		time.Sleep(5*time.Minute + time.Millisecond)
		_, err := c.ListShards(ctx, &kinesis.ListShardsInput{NextToken: first.NextToken})
		want(t, err, "ExpiredNextTokenException")
	})
}

func TestTheArrangingFunctionsPanicOnWhatATestGotWrong(t *testing.T) {
	t.Parallel()
	s := kinesistest.New()
	s.CreateStream("orders", 2)
	for what, do := range map[string]func(){
		"CreateStream": func() { s.CreateStream("orders", 1) },
		"Split":        func() { s.Split("orders", "shard-1") },
		"Merge":        func() { s.Merge("orders", shardID(0), shardID(7)) },
		"Trim":         func() { s.Trim("none", time.Now()) },
		"Records":      func() { s.Records("none") },
		"Items":        func() { s.Items("none") },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s did not panic", what)
				}
			}()
			do()
		}()
	}
}
