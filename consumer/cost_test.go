//go:build unix

package consumer_test

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesiskit/kinesiskit/aggregation"
	"github.com/kinesiskit/kinesiskit/consumer"
	"github.com/kinesiskit/kinesiskit/internal/costtest"
	"github.com/kinesiskit/kinesiskit/kinesistest"
	"github.com/kinesiskit/kinesiskit/lease/memstore"
)

var cost = flag.Bool("cost", false, "measure what reading costs, and how long records are under way; takes minutes")

// What reading costs is said as ratios of two sides that take turns in one run: the machine's mood is then that of both.
const (
	costRounds  = 7
	costPages   = 6   // of some 9 MiB
	costOfEach  = 1.8 // times the CPU of a bare loop of GetRecords and Decode, at most; what it is made of is in DESIGN.md
	costOfBatch = 1.4

	idleShards = 1000
)

const serverVariable = "KINESISKIT_TEST_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(serverVariable) != "" {
		if err := serve(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// serve is a server without limits on a port that it prints, until its input ends.
func serve() error {
	s := kinesistest.New(kinesistest.WithoutLimits())
	url, err := s.Listen("127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(url)
	_, _ = io.Copy(io.Discard, os.Stdin)
	return s.Close()
}

// server starts one in a process of its own, so that what it costs is not counted, with a stream of so many shards.
func server(t *testing.T, shards int) *kinesis.Client {
	t.Helper()
	if !*cost {
		t.Skip("no -cost")
	}
	url := costtest.Child(t, serverVariable)
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	t.Cleanup(transport.CloseIdleConnections)
	k := kinesis.New(kinesis.Options{
		Region: "us-east-1", BaseEndpoint: &url, HTTPClient: &http.Client{Transport: transport},
		Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
	})
	if _, err := k.CreateStream(context.Background(), &kinesis.CreateStreamInput{StreamName: ptr(streamName), ShardCount: aws.Int32(int32(shards))}); err != nil {
		t.Fatal(err)
	}
	return k
}

// load stores aggregates of 100-byte user records in a shard, at a hash key, and returns how many records that makes.
func load(t *testing.T, k *kinesis.Client, hashKey string, key func(i int) string) (n int) {
	t.Helper()
	for range costPages * benchAggregates {
		var agg aggregation.Builder
		for range benchUsers {
			agg.Add(aggregation.Record{PartitionKey: key(n), Data: make([]byte, benchSize)})
			n++
		}
		in := &kinesis.PutRecordInput{StreamName: ptr(streamName), PartitionKey: aws.String("a"), ExplicitHashKey: &hashKey, Data: agg.AppendTo(nil)}
		if _, err := k.PutRecord(context.Background(), in); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// spend returns the CPU time of fn for each of n records.
func spend(n int, fn func()) float64 {
	runtime.GC()
	before := costtest.CPU()
	fn()
	return float64((costtest.CPU() - before).Nanoseconds()) / float64(n)
}

// bareLoop reads a shard from its oldest record to its newest.
func bareLoop(t *testing.T, k *kinesis.Client, shard string, want int) {
	t.Helper()
	ctx := context.Background()
	it, err := k.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{
		StreamName: ptr(streamName), ShardId: &shard, ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
	})
	if err != nil {
		t.Fatal(err)
	}
	var users []aggregation.Record
	n := 0
	for next := it.ShardIterator; n < want; {
		out, err := k.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: next})
		if err != nil {
			t.Fatal(err)
		}
		for i := range out.Records {
			if users, err = aggregation.Decode(users[:0], out.Records[i].Data); err != nil {
				t.Fatal(err)
			}
			n += len(users)
		}
		next = out.NextShardIterator
	}
}

// consume runs a consumer until so many records are done. Taking leases and giving them back are part of it.
func consume(t *testing.T, k *kinesis.Client, want int, batches bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	n := 0
	count := func(records int) {
		if n += records; n == want {
			cancel()
		}
	}
	h := consumer.Each(func(context.Context, *consumer.Record) error {
		count(1)
		return nil
	})
	if batches {
		h = consumer.Batches(func(_ context.Context, b *consumer.Batch) error {
			count(len(b.Records))
			return nil
		})
	}
	cfg := consumer.Config{Application: "bench", Stream: streamName, Polling: consumer.Polling{MinInterval: -1}}
	c, err := consumer.New(cfg, k, memstore.New(), h)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Run(ctx); err != nil || n != want {
		t.Fatalf("delivered %d records: %v", n, err)
	}
}

func TestCostOfDelivery(t *testing.T) {
	k := server(t, 1)
	n := load(t, k, "0", func(i int) string { return fmt.Sprint("key", i%50) })
	var each, batch []float64
	for range costRounds {
		bare := spend(n, func() { bareLoop(t, k, shard0, n) })
		e := spend(n, func() { consume(t, k, n, false) })
		b := spend(n, func() { consume(t, k, n, true) })
		t.Logf("a record costs %.0f ns of CPU in a bare loop, %.0f with Each, %.0f with Batches", bare, e, b)
		each, batch = append(each, e/bare), append(batch, b/bare)
	}
	t.Logf("medians of %d, %d CPUs: %.2f x with Each (bound %.2f), %.2f x with Batches (bound %.2f)", costRounds, runtime.NumCPU(),
		costtest.Median(each), costOfEach, costtest.Median(batch), costOfBatch)
	if costtest.Median(each) > costOfEach || costtest.Median(batch) > costOfBatch {
		t.Error("a bound is broken")
	}
}

// memory is what goroutines and the heap hold after a collection.
func memory() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc + m.StackInuse)
}

func TestCostOfIdleShards(t *testing.T) {
	k := server(t, idleShards)
	c, err := consumer.New(consumer.Config{Application: "bench", Stream: streamName}, k, memstore.New(),
		consumer.Each(func(context.Context, *consumer.Record) error { return nil }))
	if err != nil {
		t.Fatal(err)
	}
	bytes, goroutines := memory(), runtime.NumGoroutine()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- c.Run(ctx) }()
	for begin := time.Now(); ; <-time.After(time.Second) {
		reading := 0
		for _, s := range c.Health().Shards {
			if s.State == consumer.Processing {
				reading++
			}
		}
		if reading == idleShards {
			break
		}
		if time.Since(begin) > 3*time.Minute {
			t.Fatalf("%d shards are read", reading)
		}
	}
	<-time.After(20 * time.Second)
	const span = 30 * time.Second
	before := costtest.CPU()
	<-time.After(span)
	used := float64((costtest.CPU() - before).Microseconds()) / span.Seconds()
	t.Logf("one of %d idle shards costs %.2f goroutines, %.1f KiB and %.0f µs of CPU a second", idleShards,
		float64(runtime.NumGoroutine()-goroutines)/idleShards, (memory()-bytes)/idleShards/1024, used/idleShards)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestLatency(t *testing.T) {
	for name, fanOut := range map[string]*consumer.FanOut{"polling": nil, "fan-out": {}} {
		t.Run(name, func(t *testing.T) {
			const shards, records = 4, 1000
			k := server(t, shards)
			var mu sync.Mutex
			var took []time.Duration
			all := make(chan struct{})
			c, err := consumer.New(consumer.Config{Application: "bench", Stream: streamName, FanOut: fanOut}, k, memstore.New(),
				consumer.Each(func(_ context.Context, r *consumer.Record) error {
					mu.Lock()
					defer mu.Unlock()
					took = append(took, time.Since(time.Unix(0, int64(binary.BigEndian.Uint64(r.Data)))))
					if len(took) == records {
						close(all)
					}
					return nil
				}))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan error)
			go func() { done <- c.Run(ctx) }()
			<-time.After(5 * time.Second)
			for i := range records {
				key := fmt.Sprint("key", i)
				now := binary.BigEndian.AppendUint64(nil, uint64(time.Now().UnixNano()))
				if _, err := k.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: ptr(streamName), PartitionKey: &key, Data: now}); err != nil {
					t.Fatal(err)
				}
				<-time.After(37 * time.Millisecond)
			}
			<-all
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
			slices.Sort(took)
			t.Logf("%s: from PutRecord to the handler %v in the median, %v at the 99th percentile", name, took[records/2], took[records*99/100])
		})
	}
}
