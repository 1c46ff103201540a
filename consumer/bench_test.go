package consumer_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesiskit/kinesiskit/aggregation"
	"github.com/kinesiskit/kinesiskit/consumer"
	"github.com/kinesiskit/kinesiskit/kinesistest"
	"github.com/kinesiskit/kinesiskit/lease/memstore"
)

// What BenchmarkDeliver reads: 200 aggregates of 400 user records of 100 bytes, some 10 MB, which one page holds.
const (
	benchAggregates = 200
	benchUsers      = 400
	benchSize       = 100
)

func loadedServer(b *testing.B) *kinesistest.Server {
	b.Helper()
	s := kinesistest.New(kinesistest.WithoutLimits())
	s.CreateStream(streamName, 1)
	k := kinesis.NewFromConfig(s.Config("loader"))
	for range benchAggregates {
		var agg aggregation.Builder
		for i := range benchUsers {
			agg.Add(aggregation.Record{PartitionKey: fmt.Sprint("key", i%50), Data: make([]byte, benchSize)})
		}
		in := &kinesis.PutRecordInput{StreamName: aws.String(streamName), PartitionKey: aws.String("a"), Data: agg.AppendTo(nil)}
		if _, err := k.PutRecord(context.Background(), in); err != nil {
			b.Fatal(err)
		}
	}
	return s
}

// BenchmarkDeliver compares the whole way from a loaded server to the application's function with what the plain SDK needs to fetch and decode the same
// records. One op is one reading of the stream from its beginning; per-record is the time of one user record.
func BenchmarkDeliver(b *testing.B) {
	b.Run("plain-sdk", func(b *testing.B) {
		s := loadedServer(b)
		defer s.Close()
		k := kinesis.NewFromConfig(s.Config("reader"))
		b.ReportAllocs()
		for b.Loop() {
			if n := readPlain(b, k); n != benchAggregates*benchUsers {
				b.Fatalf("read %d records", n)
			}
		}
		perRecord(b)
	})
	b.Run("consumer", func(b *testing.B) {
		s := loadedServer(b)
		defer s.Close()
		b.ReportAllocs()
		for b.Loop() {
			readConsumer(b, s)
		}
		perRecord(b)
	})
}

func perRecord(b *testing.B) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*benchAggregates*benchUsers), "ns/record")
}

func readPlain(b *testing.B, k *kinesis.Client) (n int) {
	b.Helper()
	ctx := context.Background()
	it, err := k.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{
		StreamName: aws.String(streamName), ShardId: aws.String(shard0), ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
	})
	if err != nil {
		b.Fatal(err)
	}
	var users []aggregation.Record
	for next := it.ShardIterator; ; {
		out, err := k.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: next})
		if err != nil {
			b.Fatal(err)
		}
		for i := range out.Records {
			if users, err = aggregation.Decode(users[:0], out.Records[i].Data); err != nil {
				b.Fatal(err)
			}
			n += len(users)
		}
		if *out.MillisBehindLatest == 0 {
			return n
		}
		next = out.NextShardIterator
	}
}

// readConsumer runs a consumer from the oldest record to the newest. Taking the lease and giving it back are part of it.
func readConsumer(b *testing.B, s *kinesistest.Server) {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	n := 0
	cfg := consumer.Config{Application: "bench", Stream: streamName, Polling: consumer.Polling{MinInterval: -1}}
	c, err := consumer.New(cfg, kinesis.NewFromConfig(s.Config("reader")), memstore.New(), consumer.Each(func(context.Context, *consumer.Record) error {
		if n++; n == benchAggregates*benchUsers {
			cancel()
		}
		return nil
	}))
	if err != nil {
		b.Fatal(err)
	}
	if err := c.Run(ctx); err != nil || n != benchAggregates*benchUsers {
		b.Fatalf("delivered %d records: %v", n, err)
	}
}
