// Command fanout reads one stream twice at the same time, by polling and by enhanced fan-out, and tells how long records were under way.
//
//	go run ./examples/fanout
//
// It needs no account: Kinesis is a server in this process. For a stream of your own, give consumer.New the clients of your configuration, and
// a table of package dynamostore.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesiskit/kinesiskit/consumer"
	"github.com/kinesiskit/kinesiskit/kinesistest"
	"github.com/kinesiskit/kinesiskit/lease/memstore"
)

const (
	stream = "clicks"
	shards = 2
	count  = 100
	every  = 73 * time.Millisecond
)

func main() {
	if err := run(); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "fanout:", err)
		os.Exit(1)
	}
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	server := kinesistest.New()
	defer func() { _ = server.Close() }()
	server.CreateStream(stream, shards)
	return compare(ctx, kinesis.NewFromConfig(server.Config("fanout")), os.Stdout)
}

// compare reads the stream with both applications while records are written, and reports on each.
func compare(ctx context.Context, api *kinesis.Client, out io.Writer) (err error) {
	polling := newReader("clicks-polled", "by polling", nil)
	fanOut := newReader("clicks-pushed", "by fan-out", &consumer.FanOut{Deregister: true})
	for _, r := range []*reader{polling, fanOut} {
		if err := r.start(ctx, api); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, r.stop()) }()
	}
	if err := write(ctx, api); err != nil {
		return err
	}
	for _, r := range []*reader{polling, fanOut} {
		if err := r.report(ctx, out); err != nil {
			return err
		}
	}
	return nil
}

// reader is one application.
type reader struct {
	cfg   consumer.Config
	title string
	c     *consumer.Consumer
	ended chan error
	all   chan struct{} // closed when every record has come

	mu   sync.Mutex
	took []time.Duration
}

func newReader(application, title string, fanOut *consumer.FanOut) *reader {
	return &reader{
		cfg:   consumer.Config{Application: application, Stream: stream, FanOut: fanOut},
		title: title, ended: make(chan error, 1), all: make(chan struct{}),
	}
}

// handle is called for every record, on one goroutine for each shard.
func (r *reader) handle(_ context.Context, record *consumer.Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.took = append(r.took, time.Since(record.ArrivalTime))
	if len(r.took) == count {
		close(r.all)
	}
	return nil
}

// start returns when the application holds every shard, so that what is measured is not how it began.
func (r *reader) start(ctx context.Context, api *kinesis.Client) (err error) {
	if r.c, err = consumer.New(r.cfg, api, memstore.New(), consumer.Each(r.handle)); err != nil {
		return err
	}
	go func() { r.ended <- r.c.Run(ctx) }()
	for len(r.c.Health().Shards) < shards {
		select {
		case err := <-r.ended:
			r.ended <- err
			return fmt.Errorf("%s: %w", r.title, err)
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return nil
}

func (r *reader) stop() error {
	_ = r.c.Shutdown(context.Background()) // Run says the same
	return <-r.ended
}

func (r *reader) report(ctx context.Context, out io.Writer) error {
	select {
	case <-r.all:
	case <-ctx.Done():
		return ctx.Err()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	slices.Sort(r.took)
	_, err := fmt.Fprintf(out, "%s  %d records, half of them within %4d ms, the last after %4d ms\n",
		r.title, len(r.took), r.took[len(r.took)/2].Milliseconds(), r.took[len(r.took)-1].Milliseconds())
	return err
}

// write puts one record after the other.
func write(ctx context.Context, api *kinesis.Client) error {
	for i := range count {
		_, err := api.PutRecord(ctx, &kinesis.PutRecordInput{
			StreamName: aws.String(stream), PartitionKey: aws.String(fmt.Sprint("visitor-", i)), Data: fmt.Append(nil, i),
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
