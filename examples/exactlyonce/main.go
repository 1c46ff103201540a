// Command exactlyonce counts the clicks of a stream in an SQL database, each click once, although records are delivered more than once.
//
//	cd examples/exactlyonce && go run .
//
// Delivery is at least once: a worker that dies after it has done something and before its progress is stored leaves that to be done again. What makes the effect
// exactly once is that the database keeps how far each shard was counted, in the transaction that counts: what was counted before is skipped, whoever delivers
// it. So a worker that was thought dead, and goes on, does no harm either.
//
// It needs no account: Kinesis is a server in this process, and so is the database.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesiskit/kinesiskit/consumer"
	"github.com/kinesiskit/kinesiskit/kinesistest"
	"github.com/kinesiskit/kinesiskit/lease"
	"github.com/kinesiskit/kinesiskit/lease/memstore"
	"github.com/kinesiskit/kinesiskit/producer"
)

const (
	stream   = "clicks"
	count    = 1000
	visitors = 97
	failover = 2 * time.Second
)

func main() {
	if err := run(); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "exactlyonce:", err)
		os.Exit(1)
	}
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	server := kinesistest.New()
	defer func() { _ = server.Close() }()
	server.CreateStream(stream, 2)
	return tally(ctx, server, os.Stdout)
}

// tally writes clicks, counts them with two workers that die after counting and before storing how far they are, and with a third that lives.
func tally(ctx context.Context, server *kinesistest.Server, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	l, err := openLedger(ctx)
	if err != nil {
		return err
	}
	defer l.close()
	if err := write(ctx, kinesis.NewFromConfig(server.Config("producer"))); err != nil {
		return err
	}
	table := memstore.New()
	for _, dies := range []bool{true, true, false} {
		if err := work(ctx, server, table, l, dies); err != nil {
			return err
		}
	}
	clicks, people, err := l.totals(ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%d clicks of %d visitors were written; %d deliveries, two workers died; counted are %d clicks of %d visitors\n",
		count, visitors, l.delivered.Load(), clicks, people)
	return err
}

func write(ctx context.Context, api *kinesis.Client) error {
	p, err := producer.New(producer.Config{Stream: stream}, api)
	if err != nil {
		return err
	}
	records := make([]producer.Record, count)
	for i := range records {
		records[i] = producer.Record{PartitionKey: fmt.Sprint("visitor ", i%visitors), Data: []byte("click")}
	}
	if _, err := p.PutAll(ctx, records); err != nil {
		return err
	}
	return p.Close(ctx)
}

// work runs one worker until everything is counted or, if it is to die, until it has counted something.
func work(ctx context.Context, server *kinesistest.Server, rows lease.Store, l *ledger, dies bool) error {
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	table := &cord{Store: rows}
	cfg := consumer.Config{
		Application: "tally", Stream: stream, ShutdownTimeout: time.Second, Lease: lease.Config{FailoverTime: failover},
		Polling: consumer.Polling{MaxRecords: 1}, // small pages, so that something is left for the next worker
	}
	c, err := consumer.New(cfg, kinesis.NewFromConfig(server.Config("worker")), table, consumer.Batches(func(ctx context.Context, b *consumer.Batch) error {
		if err := l.add(ctx, b); err != nil {
			return err
		}
		if dies { // now: counted, and nobody knows
			table.cut()
			leave()
			<-ctx.Done()
			return context.Cause(ctx)
		}
		return nil
	}))
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	if !dies {
		err = l.wait(ctx)
		leave()
	}
	if ran := <-ended; err == nil && !dies {
		err = ran // of one that died nothing else than an error can be expected
	}
	return err
}

// cord is a worker's connection to the table, which a dead worker does not have.
type cord struct {
	lease.Store
	severed atomic.Bool
}

var errSevered = errors.New("the worker is dead")

func (c *cord) cut() { c.severed.Store(true) }

// Write refuses what a dead worker would write.
func (c *cord) Write(ctx context.Context, key string, when lease.Condition, set lease.Change) (lease.Lease, error) {
	if c.severed.Load() {
		return lease.Lease{}, errSevered
	}
	return c.Store.Write(ctx, key, when, set)
}
