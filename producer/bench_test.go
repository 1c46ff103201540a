package producer_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesiskit/kinesiskit/aggregation"
	"github.com/kinesiskit/kinesiskit/producer"
	"github.com/kinesiskit/kinesiskit/shard"
)

// null is a stream of one shard that stores nothing and answers at once.
type null struct{ entries, bytes atomic.Int64 }

const onlyShard = "shardId-000000000000"

func (n *null) DescribeStreamSummary(context.Context, *kinesis.DescribeStreamSummaryInput, ...func(*kinesis.Options)) (*kinesis.DescribeStreamSummaryOutput, error) {
	return &kinesis.DescribeStreamSummaryOutput{}, nil
}

func (n *null) ListShards(context.Context, *kinesis.ListShardsInput, ...func(*kinesis.Options)) (*kinesis.ListShardsOutput, error) {
	return &kinesis.ListShardsOutput{Shards: []types.Shard{{
		ShardId:             aws.String(onlyShard),
		HashKeyRange:        &types.HashKeyRange{StartingHashKey: aws.String("0"), EndingHashKey: aws.String(shard.MaxHashKey.String())},
		SequenceNumberRange: &types.SequenceNumberRange{StartingSequenceNumber: aws.String("1")},
	}}}, nil
}

func (n *null) PutRecords(_ context.Context, in *kinesis.PutRecordsInput, _ ...func(*kinesis.Options)) (*kinesis.PutRecordsOutput, error) {
	out := &kinesis.PutRecordsOutput{Records: make([]types.PutRecordsResultEntry, len(in.Records))}
	for i, r := range in.Records {
		n.bytes.Add(int64(len(r.Data)))
		out.Records[i] = types.PutRecordsResultEntry{ShardId: aws.String(onlyShard), SequenceNumber: aws.String("2")}
	}
	n.entries.Add(int64(len(in.Records)))
	return out, nil
}

// benchmarkKeys are few enough to repeat in an aggregate, and many enough to make its table work.
var benchmarkKeys = func() []string {
	keys := make([]string, 64)
	for i := range keys {
		keys[i] = fmt.Sprintf("partition-key-%02d", i)
	}
	return keys
}()

// putAndWait puts b.N records of 100 bytes from several goroutines and waits until all are stored. One operation is one user record.
func putAndWait(b *testing.B, k producer.KinesisAPI, goroutines int) {
	p, err := producer.New(producer.Config{Stream: "bench", BufferBytes: 256 << 20, BufferRecords: 1 << 20, RateLimit: -1}, k)
	if err != nil {
		b.Fatal(err)
	}
	data := make([]byte, 100)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	b.ResetTimer()
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := g; i < b.N; i += goroutines {
				if _, err := p.Put(context.Background(), producer.Record{PartitionKey: benchmarkKeys[i%len(benchmarkKeys)], Data: data}); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if err := p.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

func BenchmarkPut(b *testing.B) {
	for _, goroutines := range []int{1, 8} {
		b.Run(fmt.Sprintf("goroutines=%d", goroutines), func(b *testing.B) { putAndWait(b, new(null), goroutines) })
	}
}

const nullListing = `{"Shards":[{"ShardId":"` + onlyShard + `","HashKeyRange":{"StartingHashKey":"0","EndingHashKey":"340282366920938463463374607431768211455"},` +
	`"SequenceNumberRange":{"StartingSequenceNumber":"1"}}]}`

// nullAnswer is the answer to a PutRecords of so many entries.
func nullAnswer(entries int) string {
	const entry = `{"ShardId":"` + onlyShard + `","SequenceNumber":"49590338271490256608559692538361571095921575989136588898"}`
	return `{"FailedRecordCount":0,"Records":[` + strings.Repeat(entry+",", entries-1) + entry + `]}`
}

// nullTransport answers PutRecords and ListShards of the real SDK client without a network.
type nullTransport struct{}

func (nullTransport) Do(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	answer := "{}"
	switch _, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), "."); op {
	case "ListShards":
		answer = nullListing
	case "PutRecords":
		answer = nullAnswer(bytes.Count(body, []byte(`"PartitionKey"`)))
	}
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/x-amz-json-1.1"}, "Content-Length": {strconv.Itoa(len(answer))}},
		Body: io.NopCloser(strings.NewReader(answer)), ContentLength: int64(len(answer)), Request: r,
	}, nil
}

func nullClient() *kinesis.Client {
	return kinesis.New(kinesis.Options{
		Region: "us-east-1", HTTPClient: nullTransport{}, Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
	})
}

// BenchmarkPutSDK compares the producer with a bare loop over the SDK that sends the same aggregates, made before the clock starts. One operation is one
// user record in both, so the ratio of their times is what the producer adds.
func BenchmarkPutSDK(b *testing.B) {
	b.Run("plain-sdk", func(b *testing.B) {
		entries, records := aggregates(100)
		client := nullClient()
		b.SetBytes(100)
		b.ReportAllocs()
		b.ResetTimer()
		for done := 0; done < b.N; done += records {
			if _, err := client.PutRecords(context.Background(), &kinesis.PutRecordsInput{StreamName: aws.String("bench"), Records: entries}); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
	})
	b.Run("producer", func(b *testing.B) { putAndWait(b, nullClient(), 1) })
}

// aggregates makes n aggregates of 50 KiB from the records that the other side puts.
func aggregates(n int) (entries []types.PutRecordsRequestEntry, records int) {
	var builder aggregation.Builder
	data := make([]byte, 100)
	for range n {
		builder.Reset()
		for i := 0; ; i++ {
			r := aggregation.Record{PartitionKey: benchmarkKeys[i%len(benchmarkKeys)], Data: data}
			if builder.SizeWith(r) >= 50<<10 {
				break
			}
			builder.Add(r)
		}
		records += builder.Len()
		entries = append(entries, types.PutRecordsRequestEntry{
			PartitionKey: aws.String("a"), ExplicitHashKey: aws.String("0"), Data: builder.AppendTo(nil),
		})
	}
	return entries, records
}
