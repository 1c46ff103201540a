package conformance

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

var shardBehaviours = []behaviour{
	{
		name: "shards are listed in the order of their ids",
		says: "ListShards: lists the shards in a stream, with ids such as shardId-000000000000 (Shard: the unique identifier within the stream)",
		run: func(t testing.TB, e *env) {
			sameList(t, "ids", ids(e.stream(t, 3).shards()), []string{shard0, "shardId-000000000001", "shardId-000000000002"})
		},
	},
	{
		name: "shards are listed page by page",
		says: "ListShards: MaxResults limits a call; NextToken is for the next, until it is null",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 5)
			var all []types.Shard
			pages := 0
			in := &kinesis.ListShardsInput{StreamName: s.name, MaxResults: aws.Int32(2)}
			for {
				out := ok(e.kinesis.ListShards(t.Context(), in))(t)
				pages++
				all = append(all, out.Shards...)
				if out.NextToken == nil {
					break
				}
				in = &kinesis.ListShardsInput{NextToken: out.NextToken, MaxResults: aws.Int32(2)}
			}
			sameList(t, "ids", ids(all), ids(s.shards()))
			equal(t, "pages", pages, 3)
		},
		skips: skips{kinesalite: "ignores MaxResults"},
	},
	{
		name: "a token stands for the stream",
		says: "ListShards: you cannot specify NextToken together with StreamName; InvalidArgumentException",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 3)
			out := ok(e.kinesis.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: s.name, MaxResults: aws.Int32(1)}))(t)
			token := aws.ToString(out.NextToken)
			if token == "" {
				token = "token"
			}
			_, err := e.kinesis.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: s.name, NextToken: &token})
			refused(t, err, invalidArgument)
		},
	},
	{
		name: "shards are listed from one on",
		says: "ListShards: ExclusiveStartShardId, the list starts with the shard whose ID immediately follows",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 3)
			out := ok(e.kinesis.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: s.name, ExclusiveStartShardId: aws.String(shard0)}))(t)
			sameList(t, "ids", ids(out.Shards), ids(s.shards())[1:])
		},
	},
	{
		name: "a token that nobody gave is refused",
		says: "ListShards: InvalidArgumentException, a specified parameter is not valid; ExpiredNextTokenException is for tokens that were valid",
		run: func(t testing.TB, e *env) {
			_, err := e.kinesis.ListShards(t.Context(), &kinesis.ListShardsInput{NextToken: aws.String("bm90IGEgdG9rZW4=")})
			refused(t, err, invalidArgument)
		},
		skips: skips{kinesalite: dies},
	},
	{
		name: "a token expires",
		says: "ListShards: tokens expire after 300 seconds; ExpiredNextTokenException",
		slow: true,
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 3)
			out := ok(e.kinesis.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: s.name, MaxResults: aws.Int32(1)}))(t)
			pass(299 * time.Second)
			ok(e.kinesis.ListShards(t.Context(), &kinesis.ListShardsInput{NextToken: out.NextToken}))(t)
			pass(2 * time.Second)
			_, err := e.kinesis.ListShards(t.Context(), &kinesis.ListShardsInput{NextToken: out.NextToken})
			typed[*types.ExpiredNextTokenException](t, err)
		},
	},
	{
		name: "a missing stream has no shards to list",
		says: "ListShards: ResourceNotFoundException, the requested resource could not be found",
		run: func(t testing.TB, e *env) {
			_, err := e.kinesis.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: fresh()})
			typed[*types.ResourceNotFoundException](t, err)
		},
	},
	{
		name: "a page of shards has a size",
		says: "ListShards: MaxResults, minimum 1, maximum 10000",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			for _, n := range []int32{0, 10001} {
				_, err := e.kinesis.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: s.name, MaxResults: &n})
				refused(t, err, validation, invalidArgument)
			}
		},
		skips: skips{kinesisLocal: "answers HTTP 500"},
	},
}

// family is a stream whose first shard was split, and then one child's halves merged again: shards 0; 1 and 2; 3.
func family(t testing.TB, e *env) *stream {
	t.Helper()
	s := e.stream(t, 1)
	pass(20 * time.Millisecond)
	s.split(shard0)
	pass(20 * time.Millisecond)
	s.merge("shardId-000000000001", "shardId-000000000002")
	return s
}

func filtered(want []string, filter types.ShardFilter) func(t testing.TB, e *env) {
	return func(t testing.TB, e *env) {
		s := family(t, e)
		out := ok(e.kinesis.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: s.name, ShardFilter: &filter}))(t)
		var got []string
		for _, sh := range out.Shards {
			got = append(got, strings.TrimPrefix(*sh.ShardId, "shardId-00000000000"))
		}
		sameList(t, "shards", got, want)
	}
}

// second is long enough for a server that compares times by the second.
const second = 1100 * time.Millisecond

const ignoresFilters = "ignores ShardFilter"

var filterBehaviours = []behaviour{
	{
		name:  "AT_LATEST lists the open shards",
		says:  "ShardFilter: AT_LATEST, the response includes only the currently open shards",
		run:   filtered([]string{"3"}, types.ShardFilter{Type: types.ShardFilterTypeAtLatest}),
		skips: skips{kinesalite: ignoresFilters},
	},
	{
		name: "FROM_TRIM_HORIZON lists every shard",
		says: "ShardFilter: FROM_TRIM_HORIZON, all shards within the retention period",
		run:  filtered([]string{"0", "1", "2", "3"}, types.ShardFilter{Type: types.ShardFilterTypeFromTrimHorizon}),
	},
	{
		name:  "AFTER_SHARD_ID lists the shards behind one",
		says:  "ShardFilter: AFTER_SHARD_ID, all shards starting with the one whose ID immediately follows the ShardId",
		run:   filtered([]string{"2", "3"}, types.ShardFilter{Type: types.ShardFilterTypeAfterShardId, ShardId: aws.String("shardId-000000000001")}),
		skips: skips{kinesalite: ignoresFilters},
	},
	{
		name:  "AT_TRIM_HORIZON lists the shards that were open then",
		says:  "ShardFilter: AT_TRIM_HORIZON, all the shards that were open at the trim horizon",
		run:   filtered([]string{"0"}, types.ShardFilter{Type: types.ShardFilterTypeAtTrimHorizon}),
		skips: skips{kinesalite: ignoresFilters, kinesisLocal: "lists every shard"},
	},
	{
		name: "AT_TIMESTAMP lists the shards that were open then",
		says: "ShardFilter: AT_TIMESTAMP, shards whose start is at or before the timestamp and whose end is after it or that are open",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			pass(5 * time.Millisecond)
			before := time.Now()
			pass(second)
			s.split(shard0)
			pass(second)
			s.listsAt(types.ShardFilterTypeAtTimestamp, before, shard0)
			s.listsAt(types.ShardFilterTypeAtTimestamp, time.Now(), "shardId-000000000001", "shardId-000000000002")
		},
		skips: skips{kinesalite: ignoresFilters},
	},
	{
		name: "FROM_TIMESTAMP lists the shards from then on",
		says: "ShardFilter: FROM_TIMESTAMP, all closed shards whose end is at or after the timestamp, and all open shards",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			pass(5 * time.Millisecond)
			before := time.Now()
			pass(second)
			s.split(shard0)
			pass(second)
			s.listsAt(types.ShardFilterTypeFromTimestamp, before, shard0, "shardId-000000000001", "shardId-000000000002")
			s.listsAt(types.ShardFilterTypeFromTimestamp, time.Now(), "shardId-000000000001", "shardId-000000000002")
		},
		skips: skips{kinesalite: ignoresFilters},
	},
	{
		name: "a filter has what its type needs",
		says: "ShardFilter: ShardId is required if AFTER_SHARD_ID, Timestamp if AT_TIMESTAMP or FROM_TIMESTAMP",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			for _, kind := range []types.ShardFilterType{
				types.ShardFilterTypeAfterShardId, types.ShardFilterTypeAtTimestamp, types.ShardFilterTypeFromTimestamp,
			} {
				_, err := e.kinesis.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: s.name, ShardFilter: &types.ShardFilter{Type: kind}})
				refused(t, err, invalidArgument, validation)
			}
		},
		skips: skips{kinesalite: ignoresFilters},
	},
}

func (s *stream) listsAt(kind types.ShardFilterType, at time.Time, want ...string) {
	s.t.Helper()
	out := ok(s.kinesis.ListShards(s.t.Context(), &kinesis.ListShardsInput{StreamName: s.name, ShardFilter: &types.ShardFilter{Type: kind, Timestamp: &at}}))(s.t)
	sameList(s.t, string(kind), ids(out.Shards), want)
}
