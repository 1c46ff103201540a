package conformance

import (
	"crypto/md5" // what Kinesis hashes partition keys with
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// The exceptions for a request that its model refuses, and for one that makes no sense. AWS does not document which checks are which.
const (
	validation      = "ValidationException"
	invalidArgument = "InvalidArgumentException"
	notFound        = "ResourceNotFoundException"
	inUse           = "ResourceInUseException"
)

// shard0 is a new stream's first shard.
const shard0 = "shardId-000000000000"

var hashKeys = new(big.Int).Lsh(big.NewInt(1), 128)

// stream is a stream of a behaviour's own.
type stream struct {
	*env
	t    testing.TB
	name *string
}

// stream makes a stream that can be used.
func (e *env) stream(t testing.TB, shards int32) *stream {
	t.Helper()
	s := &stream{env: e, t: t, name: fresh()}
	ok(e.kinesis.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: s.name, ShardCount: &shards}))(t)
	return s.settle()
}

// settle waits until the stream is ACTIVE.
func (s *stream) settle() *stream {
	s.t.Helper()
	await(s.t, "the stream is ACTIVE", func() bool { return s.summary().StreamStatus == types.StreamStatusActive })
	return s
}

func (s *stream) summary() *types.StreamDescriptionSummary {
	s.t.Helper()
	return ok(s.kinesis.DescribeStreamSummary(s.t.Context(), &kinesis.DescribeStreamSummaryInput{StreamName: s.name}))(s.t).StreamDescriptionSummary
}

// shards lists all shards in the order of their ids.
func (s *stream) shards() []types.Shard {
	s.t.Helper()
	return ok(s.kinesis.ListShards(s.t.Context(), &kinesis.ListShardsInput{StreamName: s.name}))(s.t).Shards
}

// shard returns one shard.
func (s *stream) shard(id string) types.Shard {
	s.t.Helper()
	all := s.shards()
	i := slices.IndexFunc(all, func(sh types.Shard) bool { return *sh.ShardId == id })
	if i < 0 {
		s.t.Fatalf("no shard %s among %v", id, ids(all))
	}
	return all[i]
}

// open lists the shards that are not closed, by their hash keys.
func (s *stream) open() []types.Shard {
	s.t.Helper()
	open := slices.DeleteFunc(s.shards(), func(sh types.Shard) bool { return sh.SequenceNumberRange.EndingSequenceNumber != nil })
	slices.SortFunc(open, func(a, b types.Shard) int {
		return number(s.t, a.HashKeyRange.StartingHashKey).Cmp(number(s.t, b.HashKeyRange.StartingHashKey))
	})
	return open
}

func ids(shards []types.Shard) []string {
	all := make([]string, len(shards))
	for i, sh := range shards {
		all[i] = aws.ToString(sh.ShardId)
	}
	return all
}

// covers demands that shards, in this order, share the hash keys without gap or overlap.
func covers(t testing.TB, shards []types.Shard) {
	t.Helper()
	next := new(big.Int)
	for _, sh := range shards {
		if start := number(t, sh.HashKeyRange.StartingHashKey); start.Cmp(next) != 0 {
			t.Fatalf("shard %s starts at %v, not %v", *sh.ShardId, start, next)
		}
		next = next.Add(number(t, sh.HashKeyRange.EndingHashKey), big.NewInt(1))
	}
	if next.Cmp(hashKeys) != 0 {
		t.Fatalf("the hash keys end before %v", next)
	}
}

// holder is the shard that a partition key belongs to.
func holder(t testing.TB, shards []types.Shard, key string) string {
	t.Helper()
	sum := md5.Sum([]byte(key))
	hash := new(big.Int).SetBytes(sum[:])
	for _, sh := range shards {
		if number(t, sh.HashKeyRange.StartingHashKey).Cmp(hash) <= 0 && hash.Cmp(number(t, sh.HashKeyRange.EndingHashKey)) <= 0 {
			return *sh.ShardId
		}
	}
	t.Fatalf("no shard holds %v", hash)
	return ""
}

// put stores a record, at an explicit hash key unless that is empty.
func (s *stream) put(key, hash, data string) *kinesis.PutRecordOutput {
	s.t.Helper()
	return ok(s.tryPut(key, hash, data))(s.t)
}

func (s *stream) tryPut(key, hash, data string) (*kinesis.PutRecordOutput, error) {
	in := &kinesis.PutRecordInput{StreamName: s.name, PartitionKey: &key, Data: []byte(data)}
	if hash != "" {
		in.ExplicitHashKey = &hash
	}
	return s.kinesis.PutRecord(s.t.Context(), in)
}

// puts stores records under the key "k" one by one and returns their sequence numbers.
func (s *stream) puts(texts ...string) []string {
	s.t.Helper()
	numbers := make([]string, len(texts))
	for i, text := range texts {
		numbers[i] = *s.put("k", "", text).SequenceNumber
	}
	return numbers
}

func (s *stream) tryBatch(entries ...types.PutRecordsRequestEntry) (*kinesis.PutRecordsOutput, error) {
	return s.kinesis.PutRecords(s.t.Context(), &kinesis.PutRecordsInput{StreamName: s.name, Records: entries})
}

func entry(key, data string) types.PutRecordsRequestEntry {
	return types.PutRecordsRequestEntry{PartitionKey: &key, Data: []byte(data)}
}

func (s *stream) tryIterator(shard string, kind types.ShardIteratorType, at *string, since *time.Time) (*string, error) {
	out, err := s.kinesis.GetShardIterator(s.t.Context(), &kinesis.GetShardIteratorInput{
		StreamName: s.name, ShardId: &shard, ShardIteratorType: kind, StartingSequenceNumber: at, Timestamp: since,
	})
	if err != nil {
		return nil, err
	}
	return out.ShardIterator, nil
}

// start is an iterator at the oldest record of a shard.
func (s *stream) start(shard string) *string {
	s.t.Helper()
	return ok(s.tryIterator(shard, types.ShardIteratorTypeTrimHorizon, nil, nil))(s.t)
}

func (s *stream) get(iterator *string) *kinesis.GetRecordsOutput {
	s.t.Helper()
	return ok(s.kinesis.GetRecords(s.t.Context(), &kinesis.GetRecordsInput{ShardIterator: iterator}))(s.t)
}

// read reads on from an iterator until it has n records. An empty page says nothing, so it asks on.
func (s *stream) read(iterator *string, n int) []types.Record {
	s.t.Helper()
	var all []types.Record
	await(s.t, "all records are read", func() bool {
		if iterator != nil {
			out := s.get(iterator)
			all, iterator = append(all, out.Records...), out.NextShardIterator
		}
		return len(all) >= n
	})
	return all
}

// end reads on from an iterator until there is no next one.
func (s *stream) end(iterator *string) (all []types.Record, last *kinesis.GetRecordsOutput) {
	s.t.Helper()
	await(s.t, "the shard ends", func() bool {
		last = s.get(iterator)
		all, iterator = append(all, last.Records...), last.NextShardIterator
		return iterator == nil
	})
	return all, last
}

func texts(records []types.Record) []string {
	all := make([]string, len(records))
	for i, r := range records {
		all[i] = string(r.Data)
	}
	return all
}

// split splits a shard in its middle and waits.
func (s *stream) split(id string) {
	s.t.Helper()
	s.splitAt(id, middle(s.t, s.shard(id)))
}

func (s *stream) splitAt(id, hash string) {
	s.t.Helper()
	ok(s.trySplit(id, hash))(s.t)
	s.settle()
}

func (s *stream) trySplit(id, hash string) (*kinesis.SplitShardOutput, error) {
	return s.kinesis.SplitShard(s.t.Context(), &kinesis.SplitShardInput{StreamName: s.name, ShardToSplit: &id, NewStartingHashKey: &hash})
}

func (s *stream) merge(id, adjacent string) {
	s.t.Helper()
	ok(s.tryMerge(id, adjacent))(s.t)
	s.settle()
}

func (s *stream) tryMerge(id, adjacent string) (*kinesis.MergeShardsOutput, error) {
	return s.kinesis.MergeShards(s.t.Context(), &kinesis.MergeShardsInput{StreamName: s.name, ShardToMerge: &id, AdjacentShardToMerge: &adjacent})
}

func middle(t testing.TB, sh types.Shard) string {
	t.Helper()
	sum := new(big.Int).Add(number(t, sh.HashKeyRange.StartingHashKey), number(t, sh.HashKeyRange.EndingHashKey))
	return sum.Add(sum, big.NewInt(1)).Rsh(sum, 1).String()
}
