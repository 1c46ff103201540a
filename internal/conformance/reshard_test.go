package conformance

import (
	"fmt"
	"math/big"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

const (
	shard1 = "shardId-000000000001"
	shard2 = "shardId-000000000002"
	shard3 = "shardId-000000000003"
)

const (
	bogusEnd    = "gives every closed shard the ending sequence number 9223372036854775807, which is below all others"
	unknownHere = "does not know the operation"
)

var reshardBehaviours = []behaviour{
	{
		name: "a split makes two children of one parent, which share its hash keys",
		says: "SplitShard: splits a shard into two new shards; NewStartingHashKey and all higher hash keys go to one child, all lower to the other",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			s.splitAt(shard0, "1000")
			children := s.open()
			covers(t, children)
			sameList(t, "children", ids(children), []string{shard1, shard2})
			equal(t, "start of the second", *children[1].HashKeyRange.StartingHashKey, "1000")
			for _, c := range children {
				equal(t, "parent", aws.ToString(c.ParentShardId), shard0)
				equal(t, "adjacent parent", aws.ToString(c.AdjacentParentShardId), "")
			}
		},
	},
	{
		name: "a merge makes one child of two parents, with the hash keys of both",
		says: "MergeShards: merges two adjacent shards and combines them into a single shard; ParentShardId, AdjacentParentShardId",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 3)
			s.merge(shard0, shard1)
			covers(t, s.open())
			c := s.shard(shard3)
			equal(t, "parent", aws.ToString(c.ParentShardId), shard0)
			equal(t, "adjacent parent", aws.ToString(c.AdjacentParentShardId), shard1)
			equal(t, "start", *c.HashKeyRange.StartingHashKey, "0")
			equal(t, "end", *c.HashKeyRange.EndingHashKey, *s.shard(shard1).HashKeyRange.EndingHashKey)
		},
	},
	{
		name: "a shard merges with its neighbour on either side",
		says: "MergeShards: two shards are adjacent if the union of their hash key ranges forms a contiguous set with no gaps",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 2)
			s.merge(shard1, shard0)
			covers(t, s.open())
			c := s.shard(shard2)
			equal(t, "parent", aws.ToString(c.ParentShardId), shard1)
			equal(t, "adjacent parent", aws.ToString(c.AdjacentParentShardId), shard0)
		},
		skips: skips{kinesalite: "demands that the lower one is ShardToMerge", kinesisLocal: "demands that the lower one is ShardToMerge"},
	},
	{
		name: "a closed shard ends behind its last record",
		says: "SequenceNumberRange: shards in the OPEN state have an EndingSequenceNumber of null, closed ones the ending sequence number for the range",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			numbers := s.puts("a", "b", "c")
			s.split(shard0)
			end := number(t, s.shard(shard0).SequenceNumberRange.EndingSequenceNumber)
			for _, n := range numbers {
				if number(t, &n).Cmp(end) > 0 {
					t.Errorf("record %s is behind the end %v", n, end)
				}
			}
		},
		skips: skips{kinesisLocal: bogusEnd},
	},
	{
		name: "children start behind their parents' end",
		says: "Streams Developer Guide, Data routing and shard state after a reshard: records that were in the parents come before those of the children",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 2)
			s.merge(shard0, shard1)
			child := number(t, s.shard(shard2).SequenceNumberRange.StartingSequenceNumber)
			for _, id := range []string{shard0, shard1} {
				if end := number(t, s.shard(id).SequenceNumberRange.EndingSequenceNumber); child.Cmp(end) <= 0 {
					t.Errorf("the child starts at %v, and %s ends at %v", child, id, end)
				}
			}
			n := s.puts("a")[0]
			if number(t, &n).Cmp(child) < 0 {
				t.Errorf("record %s is before its shard's start %v", n, child)
			}
		},
	},
	{
		name: "a closed shard is read to its end, and then has no iterator",
		says: "GetRecords: NextShardIterator, if set to null, the shard has been closed and the requested iterator does not return any more data",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			s.puts("a", "b", "c")
			it := s.start(shard0)
			s.split(shard0)
			records, _ := s.end(it)
			sameList(t, "records", texts(records), []string{"a", "b", "c"})
			records, _ = s.end(s.start(shard0))
			sameList(t, "records of a later reader", texts(records), []string{"a", "b", "c"})
		},
	},
	{
		name: "the end of a shard names its children",
		says: "GetRecords: ChildShards, the list of the current shard's child shards, returned only when the end of the current shard is reached",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			it := s.start(shard0)
			if n := len(s.get(it).ChildShards); n != 0 {
				t.Errorf("an open shard has %d children", n)
			}
			s.split(shard0)
			_, last := s.end(it)
			equal(t, "children", len(last.ChildShards), 2)
			for i, sh := range s.open() {
				c := last.ChildShards[i]
				equal(t, "child", *c.ShardId, *sh.ShardId)
				sameList(t, "parents", c.ParentShards, []string{shard0})
				equal(t, "start", *c.HashKeyRange.StartingHashKey, *sh.HashKeyRange.StartingHashKey)
				equal(t, "end", *c.HashKeyRange.EndingHashKey, *sh.HashKeyRange.EndingHashKey)
			}
		},
		skips: skips{kinesalite: "names no children"},
	},
	{
		name: "both parents of a merge name the child, and it names both",
		says: "ChildShard: ShardId, HashKeyRange, and ParentShards, the current shard that is the parent of the existing child shard",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 2)
			s.merge(shard0, shard1)
			for _, id := range []string{shard0, shard1} {
				_, last := s.end(s.start(id))
				equal(t, "children", len(last.ChildShards), 1)
				equal(t, "child", *last.ChildShards[0].ShardId, shard2)
				equal(t, "parents", len(last.ChildShards[0].ParentShards), 2)
			}
		},
		skips: skips{kinesalite: "names no children"},
	},
	{
		name: "writes go to the children",
		says: "Streams Developer Guide, Data routing and shard state after a reshard: after it, records that would have gone to the parents go to the children",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			s.puts("before")
			s.split(shard0)
			for _, c := range s.open() {
				equal(t, "shard", *s.put("k", *c.HashKeyRange.StartingHashKey, "after").ShardId, *c.ShardId)
				sameList(t, "records", texts(s.read(s.start(*c.ShardId), 1)), []string{"after"})
			}
			records, _ := s.end(s.start(shard0))
			sameList(t, "records of the parent", texts(records), []string{"before"})
		},
	},
	{
		name: "generations keep their order",
		says: "Streams Developer Guide, Data routing and shard state after a reshard: read the parents to their end, then the children",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			s.puts("a")
			s.split(shard0)
			s.puts("b")
			s.merge(shard1, shard2)
			s.puts("c")
			var got []string
			for _, id := range []string{shard0, holder(t, []types.Shard{s.shard(shard1), s.shard(shard2)}, "k")} {
				records, _ := s.end(s.start(id))
				got = append(got, texts(records)...)
			}
			got = append(got, texts(s.read(s.start(shard3), 1))...)
			sameList(t, "records", got, []string{"a", "b", "c"})
		},
	},
	{
		name: "AFTER the last record of a closed shard there is nothing",
		says: "GetRecords: NextShardIterator is null when the shard has been closed and all is read",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			n := s.puts("a")
			s.split(shard0)
			records, _ := s.end(ok(s.tryIterator(shard0, after, &n[0], nil))(t))
			equal(t, "records", len(records), 0)
		},
	},
	{
		name: "a shard is split inside of its hash keys",
		says: "SplitShard: the new hash key must be in the range of the shard being split, and not the lowest; InvalidArgumentException",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 2)
			second := s.open()[1]
			for _, at := range []string{"0", "1", hashKeys.String(), *second.HashKeyRange.StartingHashKey} {
				_, err := s.trySplit(*second.ShardId, at)
				refused(t, err, invalidArgument, validation)
			}
			equal(t, "shards", len(s.shards()), 2)
		},
		skips: skips{kinesisLocal: "splits at the lowest, into a child without hash keys"},
	},
	{
		name: "a missing shard is neither split nor merged",
		says: "SplitShard, MergeShards: if the specified shard does not exist in the stream, ResourceNotFoundException",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 2)
			_, err := s.trySplit("shardId-000000000009", "1000")
			typed[*types.ResourceNotFoundException](t, err)
			_, err = s.tryMerge(shard0, "shardId-000000000009")
			typed[*types.ResourceNotFoundException](t, err)
		},
	},
	{
		name: "shards that are merged adjoin",
		says: "MergeShards: two shards are adjacent if the union of their hash key ranges forms a contiguous set with no gaps; InvalidArgumentException",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 3)
			_, err := s.tryMerge(shard0, shard2)
			typed[*types.InvalidArgumentException](t, err)
		},
	},
	{
		name: "the number of shards is doubled, evenly",
		says: "UpdateShardCount: updates the shard count to the specified number; UNIFORM_SCALING splits and merges into shards of equal size",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 2)
			s.puts("a")
			out := ok(s.scale(4))(t)
			equal(t, "current", aws.ToInt32(out.CurrentShardCount), 2)
			equal(t, "target", aws.ToInt32(out.TargetShardCount), 4)
			s.settle()
			open := s.open()
			equal(t, "open shards", len(open), 4)
			covers(t, open)
			quarter := new(big.Int).Rsh(hashKeys, 2)
			if off := new(big.Int).Sub(number(t, open[1].HashKeyRange.StartingHashKey), quarter); off.CmpAbs(big.NewInt(4)) > 0 {
				t.Errorf("the first of four shards is %v larger than a quarter", off)
			}
		},
		skips: skips{kinesalite: unknownHere},
	},
	{
		name: "the number of shards is halved",
		says: "UpdateShardCount: scale down to no less than half of the current shard count for a stream",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 4)
			ok(s.scale(2))(t)
			s.settle()
			covers(t, s.open())
			equal(t, "open shards", len(s.open()), 2)
			equal(t, "count in the summary", *s.summary().OpenShardCount, 2)
		},
		skips: skips{kinesalite: unknownHere},
	},
	{
		name: "the number of shards is at most doubled and at least halved",
		says: "UpdateShardCount: you can't scale up to more than double, or down below half of the current shard count",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 4)
			for _, n := range []int32{9, 1} {
				_, err := s.scale(n)
				refused(t, err, invalidArgument, "LimitExceededException", validation)
			}
			equal(t, "shards", fmt.Sprint(ids(s.open())), fmt.Sprint([]string{shard0, shard1, shard2, shard3}))
		},
		skips: skips{kinesalite: unknownHere},
	},
}

func (s *stream) scale(shards int32) (*kinesis.UpdateShardCountOutput, error) {
	return s.kinesis.UpdateShardCount(s.t.Context(), &kinesis.UpdateShardCountInput{
		StreamName: s.name, TargetShardCount: &shards, ScalingType: types.ScalingTypeUniformScaling,
	}, once)
}
