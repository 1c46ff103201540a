package kinesistest_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesiskit/kinesiskit/kinesistest"
)

// batch is a PutRecords of n records of size bytes, over many keys.
func batch(stream string, n, size int) *kinesis.PutRecordsInput {
	in := &kinesis.PutRecordsInput{StreamName: aws.String(stream)}
	for i := range n {
		in.Records = append(in.Records, types.PutRecordsRequestEntry{
			PartitionKey: aws.String(fmt.Sprintf("key-%d", i)), Data: bytes.Repeat([]byte{byte(i)}, size),
		})
	}
	return in
}

// BenchmarkPutRecords is the ceiling of any producer's benchmark on this server: the SDK, its JSON and ours, 500 records of 1 KiB.
func BenchmarkPutRecords(b *testing.B) {
	s := kinesistest.New(kinesistest.WithoutLimits())
	defer s.Close()
	k := kinesis.NewFromConfig(s.Config(""))
	s.CreateStream("orders", 4)
	in := batch("orders", 500, 1024)
	b.SetBytes(500 * 1024)
	b.ReportAllocs()
	records := 0
	for b.Loop() {
		if records += 500; records%100_000 == 0 { // what is stored stays stored
			if _, err := k.DeleteStream(context.Background(), &kinesis.DeleteStreamInput{StreamName: in.StreamName}); err != nil {
				b.Fatal(err)
			}
			s.CreateStream("orders", 4)
		}
		if _, err := k.PutRecords(context.Background(), in); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(records)/b.Elapsed().Seconds(), "records/s")
}

// BenchmarkGetRecords is the same for a reader: pages of 1,000 records of 1 KiB.
func BenchmarkGetRecords(b *testing.B) {
	s := kinesistest.New(kinesistest.WithoutLimits())
	defer s.Close()
	k := kinesis.NewFromConfig(s.Config(""))
	s.CreateStream("orders", 1)
	for range 2 {
		if _, err := k.PutRecords(context.Background(), batch("orders", 500, 1024)); err != nil {
			b.Fatal(err)
		}
	}
	it, err := k.GetShardIterator(context.Background(), &kinesis.GetShardIteratorInput{
		StreamName: aws.String("orders"), ShardId: aws.String("shardId-000000000000"), ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
	})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(1000 * 1024)
	b.ReportAllocs()
	records := 0
	for b.Loop() {
		page, err := k.GetRecords(context.Background(), &kinesis.GetRecordsInput{ShardIterator: it.ShardIterator})
		if err != nil {
			b.Fatal(err)
		}
		records += len(page.Records)
	}
	b.ReportMetric(float64(records)/b.Elapsed().Seconds(), "records/s")
}
