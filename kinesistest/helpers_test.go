package kinesistest_test

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"

	"github.com/kinesiskit/kinesiskit/kinesistest"
)

// bubble runs fn on a virtual clock, with a server that has a stream "orders".
func bubble(t *testing.T, shards int, fn func(t *testing.T, s *kinesistest.Server, c *client), opts ...kinesistest.Option) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(opts...)
		defer func() { _ = s.Close() }()
		s.CreateStream("orders", shards)
		fn(t, s, newClient(t, s.Config("app")))
	})
}

// client is the SDK's, without its retries, and with the stream "orders" filled in.
type client struct {
	*kinesis.Client
	t *testing.T
}

func newClient(t *testing.T, cfg aws.Config) *client {
	return &client{kinesis.NewFromConfig(cfg, func(o *kinesis.Options) { o.Retryer = aws.NopRetryer{} }), t}
}

func ok[T any](out T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
}

// put stores one record for each text under one partition key.
func (c *client) put(key string, texts ...string) []types.PutRecordsResultEntry {
	c.t.Helper()
	in := &kinesis.PutRecordsInput{StreamName: aws.String("orders")}
	for _, text := range texts {
		in.Records = append(in.Records, types.PutRecordsRequestEntry{PartitionKey: aws.String(key), Data: []byte(text)})
	}
	return ok(c.PutRecords(context.Background(), in))(c.t).Records
}

func (c *client) iterator(in kinesis.GetShardIteratorInput) (*string, error) {
	in.StreamName = aws.String("orders")
	if in.ShardId == nil {
		in.ShardId = aws.String("shardId-000000000000")
	}
	out, err := c.GetShardIterator(context.Background(), &in)
	if err != nil {
		return nil, err
	}
	return out.ShardIterator, nil
}

// start is an iterator at the shard's oldest record.
func (c *client) start(shard string) *string {
	c.t.Helper()
	return ok(c.iterator(kinesis.GetShardIteratorInput{
		ShardId: &shard, ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
	}))(c.t)
}

func (c *client) get(it *string) *kinesis.GetRecordsOutput {
	c.t.Helper()
	return ok(c.GetRecords(context.Background(), &kinesis.GetRecordsInput{ShardIterator: it}))(c.t)
}

// texts are the data of the page that an iterator gives.
func (c *client) texts(it *string) []string {
	c.t.Helper()
	return texts(c.get(it).Records)
}

func texts(records []types.Record) []string {
	all := []string{}
	for _, r := range records {
		all = append(all, string(r.Data))
	}
	return all
}

func (c *client) shards(in kinesis.ListShardsInput) []types.Shard {
	c.t.Helper()
	if in.NextToken == nil && in.StreamARN == nil {
		in.StreamName = aws.String("orders")
	}
	return ok(c.ListShards(context.Background(), &in))(c.t).Shards
}

func ids(shards []types.Shard) []int {
	all := []int{}
	for _, sh := range shards {
		var n int
		_, _ = fmt.Sscanf(*sh.ShardId, "shardId-%012d", &n)
		all = append(all, n)
	}
	return all
}

func shardID(n int) string { return fmt.Sprintf("shardId-%012d", n) }

// want fails unless err is the exception with that code, decoded by the SDK into a type of its model or a generic API error.
func want(t *testing.T, err error, code string) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != code {
		t.Errorf("error: %v\nwant: %s", err, code)
	}
}

func equal[T comparable](t *testing.T, what string, got, want []T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func bigInt(s string) *big.Int {
	n, _ := new(big.Int).SetString(s, 10)
	return n
}
