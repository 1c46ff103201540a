// Command buffering reads clicks and uploads them as files: when enough of them are together, when the oldest has waited long enough, when the
// shard ends, and when it moves to another worker.
//
//	go run ./examples/buffering
//
// It needs no account: Kinesis is a server in this process, and the files are shown instead of stored. For a stream of your own, give consumer.New the
// clients of your configuration, and a table of package dynamostore.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesiskit/kinesiskit/consumer"
	"github.com/kinesiskit/kinesiskit/kinesistest"
	"github.com/kinesiskit/kinesiskit/lease"
	"github.com/kinesiskit/kinesiskit/lease/memstore"
)

const (
	stream = "clicks"
	shards = 2
	count  = 60
	every  = 50 * time.Millisecond
)

func main() {
	if err := run(); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "buffering:", err)
		os.Exit(1)
	}
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	server := kinesistest.New()
	defer func() { _ = server.Close() }()
	server.CreateStream(stream, shards)
	api := kinesis.NewFromConfig(server.Config("buffering"))
	c, err := newUploader("buffering", api, memstore.New(), &listing{out: os.Stdout}, sizes{bytes: 100, age: time.Second})
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	if err := write(ctx, api, 0, count); err != nil {
		return err
	}
	time.AfterFunc(2*time.Second, stop) // as SIGTERM would: what is buffered is uploaded
	return <-ended
}

// newUploader makes a consumer that uploads what it reads.
func newUploader(worker string, api consumer.KinesisAPI, table lease.Store, to bucket, s sizes) (*consumer.Consumer, error) {
	open := func(ctx context.Context, shard *consumer.Shard) (consumer.Processor, error) {
		return newSink(ctx, shard, to, s), nil
	}
	return consumer.New(consumer.Config{Application: "uploader", Stream: stream, Worker: worker}, api, table, consumer.PerShard(open))
}

// bucket is where the files go: put stores body under name, and replaces what had that name.
type bucket interface {
	put(ctx context.Context, name string, body []byte) error
}

// listing is a bucket that shows what it gets. Shards upload at the same time, so it has a lock.
type listing struct {
	mu  sync.Mutex
	out io.Writer
}

func (l *listing) put(_ context.Context, name string, body []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := fmt.Fprintf(l.out, "%s  %d bytes\n", name, len(body))
	return err
}

// write puts clicks, numbered, one after the other.
func write(ctx context.Context, api *kinesis.Client, from, to int) error {
	for i := from; i < to; i++ {
		_, err := api.PutRecord(ctx, &kinesis.PutRecordInput{
			StreamName: aws.String(stream), PartitionKey: aws.String(fmt.Sprint("visitor-", i%11)), Data: fmt.Appendf(nil, "click %d\n", i),
		})
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(every):
		}
	}
	return nil
}
