// Command twophase writes a stream into files of fifty records, each record into exactly one file, although workers die at the worst moments.
//
//	go run ./examples/twophase
//
// Storing a position and publishing a file are two systems, and a worker can die between the two. So both are done in two phases: the file is staged, the
// position is announced with the file's name beside it (Shard.Prepare), the file is published, the position is committed. Whoever gets the shard
// next finds the announcement, if there is one, and finishes what it says; without one it throws staged files away and reads the records again.
//
// It needs no account: Kinesis is a server in this process. The directory stands for a place that all workers reach, such as a bucket.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
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
	perFile  = 50
	failover = 2 * time.Second
)

func main() {
	if err := run(); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "twophase:", err)
		os.Exit(1)
	}
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	dir, err := os.MkdirTemp("", "twophase")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	server := kinesistest.New()
	defer func() { _ = server.Close() }()
	server.CreateStream(stream, 2)
	return archive(ctx, server, dir, os.Stdout)
}

// archive writes the stream's records, reads them with a line of workers of which each but the last dies in another phase, and counts what is in the files.
func archive(ctx context.Context, server *kinesistest.Server, dir string, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	d, err := newDirectory(dir)
	if err != nil {
		return err
	}
	if err := write(ctx, kinesis.NewFromConfig(server.Config("producer"))); err != nil {
		return err
	}
	table := memstore.New()
	for _, last := range []phase{staged, announced, published} {
		w := &worker{server: server, table: table, dir: d, name: "dies when the file is " + last.String(), dies: last}
		if err := w.work(ctx); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(out, "a worker died when its file was %s\n", last); err != nil {
			return err
		}
	}
	var records, files, twice int
	for round := 0; records < count && round < 5; round++ { // one is enough, unless it stopped in the middle of a page
		w := &worker{server: server, table: table, dir: d, name: "lives"}
		if err = w.work(ctx); err != nil {
			return err
		}
		if records, files, twice, err = d.count(); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(out, "%d records were written, %d are in %d files, %d of them twice\n", count, records, files, twice)
	return err
}

func write(ctx context.Context, api *kinesis.Client) error {
	p, err := producer.New(producer.Config{Stream: stream}, api)
	if err != nil {
		return err
	}
	records := make([]producer.Record, count)
	for i := range records {
		records[i] = producer.Record{PartitionKey: fmt.Sprint("visitor ", i%97), Data: fmt.Appendf(nil, "click %d", i)}
	}
	if _, err := p.PutAll(ctx, records); err != nil {
		return err
	}
	return p.Close(ctx)
}

// worker reads the stream until it has died, or until every record is in a file.
type worker struct {
	server *kinesistest.Server
	table  lease.Store
	dir    directory
	name   string
	dies   phase // 0: it does not
}

func (w *worker) work(ctx context.Context) error {
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	table := &cord{Store: w.table}
	die := func(ctx context.Context, at phase) error {
		if at != w.dies {
			return nil
		}
		table.cut() // nothing that it does reaches anybody any more
		leave()
		<-ctx.Done()
		return context.Cause(ctx)
	}
	cfg := consumer.Config{
		Application: "archive", Stream: stream, Worker: w.name, ShutdownTimeout: time.Second, Lease: lease.Config{FailoverTime: failover},
	}
	open := consumer.PerShard(func(_ context.Context, s *consumer.Shard) (consumer.Processor, error) {
		return openSink(s, w.dir, die)
	})
	c, err := consumer.New(cfg, kinesis.NewFromConfig(w.server.Config(w.name)), table, open)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	if w.dies == 0 {
		err = w.wait(ctx, c)
		leave()
	}
	if ran := <-ended; err == nil && w.dies == 0 {
		err = ran // of one that died nothing else than an error can be expected
	}
	return err
}

// wait returns when both shards are at rest, and all but what may stand in the sinks' buffers is published: the stop flushes those.
func (w *worker) wait(ctx context.Context, c *consumer.Consumer) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(failover / 4):
		}
		idle := 0
		for _, s := range c.Health().Shards {
			if s.State == consumer.Processing && s.Behind == 0 && s.BusySince.IsZero() {
				idle++
			}
		}
		if records, _, _, err := w.dir.count(); err != nil || idle == 2 && records > count-2*perFile {
			return err
		}
	}
}
