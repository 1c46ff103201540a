// Command parallel works on the records of one shard one after the other, and then several at a time, and tells how long each takes.
//
//	go run ./examples/parallel
//
// It needs no account: Kinesis is a server in this process. For a stream of your own, give consumer.New the clients of your configuration, and
// a table of package dynamostore.
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
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesiskit/kinesiskit/consumer"
	"github.com/kinesiskit/kinesiskit/kinesistest"
	"github.com/kinesiskit/kinesiskit/lease/memstore"
)

const (
	stream  = "orders"
	buyers  = 25
	each    = 8                     // orders of one buyer
	latency = 20 * time.Millisecond // of the service that every order is told to
)

func main() {
	if err := run(); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "parallel:", err)
		os.Exit(1)
	}
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	server := kinesistest.New()
	defer func() { _ = server.Close() }()
	server.CreateStream(stream, 1)
	return compare(ctx, kinesis.NewFromConfig(server.Config("parallel")), os.Stdout)
}

// compare reads the same orders with one factor after the other. Each is an application of its own, with a lease table of its own.
func compare(ctx context.Context, api *kinesis.Client, out io.Writer) error {
	if err := write(ctx, api); err != nil {
		return err
	}
	for _, factor := range []int{1, 5, 25} {
		b := &book{next: make(map[string]int), all: make(chan struct{})}
		if err := b.read(ctx, api, factor); err != nil {
			return err
		}
		_, err := fmt.Fprintf(out, "%2d at a time: %d orders in %4d ms, the orders of each buyer in order: %v\n",
			factor, b.count, b.took.Milliseconds(), b.disordered == 0)
		if err != nil {
			return err
		}
	}
	return nil
}

// book is what the orders are entered into. Several are at the same time, so it has a lock; two of the same buyer never are.
type book struct {
	all chan struct{} // closed when every order was entered

	mu         sync.Mutex
	next       map[string]int // of each buyer
	count      int
	disordered int
	began      time.Time
	took       time.Duration
}

// enter is called for every record.
func (b *book) enter(ctx context.Context, r *consumer.Record) error {
	b.mu.Lock()
	if b.began.IsZero() {
		b.began = time.Now()
	}
	b.mu.Unlock()
	select { // the call to another service
	case <-time.After(latency):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if string(r.Data) != fmt.Sprint(b.next[r.PartitionKey]) {
		b.disordered++
	}
	b.next[r.PartitionKey]++
	if b.count++; b.count == buyers*each {
		b.took = time.Since(b.began)
		close(b.all)
	}
	return nil
}

func (b *book) read(ctx context.Context, api *kinesis.Client, factor int) error {
	cfg := consumer.Config{Application: fmt.Sprint("orders-", factor), Stream: stream, ParallelizationFactor: factor}
	c, err := consumer.New(cfg, api, memstore.New(), consumer.Each(b.enter))
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		select {
		case <-b.all:
			stop()
		case <-ctx.Done():
		}
	}()
	if err := c.Run(ctx); err != nil {
		return err
	}
	select {
	case <-b.all:
		return nil
	default:
		return context.Cause(ctx) // interrupted
	}
}

// write puts the orders: one of each buyer, then the next of each.
func write(ctx context.Context, api *kinesis.Client) error {
	for n := range each {
		in := &kinesis.PutRecordsInput{StreamName: aws.String(stream)}
		for buyer := range buyers {
			in.Records = append(in.Records, types.PutRecordsRequestEntry{PartitionKey: aws.String(fmt.Sprint("buyer-", buyer)), Data: fmt.Append(nil, n)})
		}
		out, err := api.PutRecords(ctx, in)
		if err != nil {
			return err
		}
		if failed := aws.ToInt32(out.FailedRecordCount); failed > 0 {
			return fmt.Errorf("%d orders were refused", failed)
		}
	}
	return nil
}
