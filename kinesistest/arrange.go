package kinesistest

import (
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/kinesis"
	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

// The functions here arrange and look, past the API: rules do not apply to them and Calls does not count them. They panic on what a
// test got wrong, such as a stream that does not exist, with the message that the API would have answered with.

func (s *Server) home() *world { return s.at(home) }

func must(err *wire.Error) {
	if err != nil {
		panic("kinesistest: " + err.Error())
	}
}

// CreateStream makes a provisioned stream that can be used at once. The shards, shardId-000000000000 and up, split the hash keys evenly.
func (s *Server) CreateStream(name string, shards int) {
	must(s.home().kinesis.Create(kinesis.Spec{Name: name, Shards: shards}))
}

// Split splits an open shard in the middle of its hash keys.
func (s *Server) Split(stream, shardID string) (left, right string) {
	left, right, err := s.home().kinesis.Split(stream, shardID)
	must(err)
	return left, right
}

// Merge merges two open shards whose hash keys adjoin. The child names a as its parent and b as its adjacent parent.
func (s *Server) Merge(stream, a, b string) (child string) {
	child, err := s.home().kinesis.Merge(stream, a, b)
	must(err)
	return child
}

// Trim drops the records that arrived before a time, and the shards that were closed before it, as the end of the retention does.
func (s *Server) Trim(stream string, before time.Time) {
	must(s.home().kinesis.Trim(stream, before))
}

// Record is one record as it lies in a stream.
type Record struct {
	Shard, Sequence, PartitionKey string
	Data                          []byte // the stream's own; not to be changed
	ArrivalTime                   time.Time
}

// Records returns what can be read of a stream: by shard, then in order.
func (s *Server) Records(stream string) []Record {
	stored, err := s.home().kinesis.Records(stream)
	must(err)
	all := make([]Record, len(stored))
	for i, rec := range stored {
		all[i] = Record(rec)
	}
	return all
}

// Items returns a DynamoDB table's items. The maps are the caller's.
func (s *Server) Items(table string) []map[string]types.AttributeValue {
	return s.home().dynamo.Items(table)
}

// Delivered returns a Firehose delivery stream's records, in the order in which they were accepted: they count as delivered at once. The
// data is the stream's own; not to be changed.
func (s *Server) Delivered(stream string) [][]byte { return s.home().firehose.Delivered(stream) }

// Calls is how many requests for an operation have reached the server, whatever became of them; "*" counts all.
func (s *Server) Calls(op string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if op == "*" {
		return int(s.requests)
	}
	return s.calls[op]
}

// Operations lists what a client has called, whatever became of it, each once and sorted, as an IAM policy names it: "kinesis:GetRecords".
// A program's policy allows enough if it allows these, and what IAM wants besides: kinesis:AddTagsToStream and the TagResource of each
// service for tags that something is created with, and the single operations of a DynamoDB transaction. client is as in Rule.From.
func (s *Server) Operations(client string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.used[client]))
}
