package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/kinesiskit/kinesiskit/consumer"
	"github.com/kinesiskit/kinesiskit/lease"
	"github.com/kinesiskit/kinesiskit/lease/dynamostore"
)

// failoverTime is how long a worker may be silent before the others take its shards. The default is 10 s. Two busy cores may silence a worker that
// is alive for a second or two; 4 s is patient enough for that, and short enough to watch.
const failoverTime = 4 * time.Second

// work is a whole consumer: it shares the stream with whoever else runs it under the same lease table, until ctx ends.
func work(ctx context.Context, j job, report reporter) error {
	streams, tables, err := connect(ctx, j.Place)
	if err != nil {
		return err
	}
	c, err := consumer.New(
		consumer.Config{
			Application: "quickstart", Stream: j.Stream, Worker: j.Worker,
			Polling: consumer.Polling{MaxInterval: 250 * time.Millisecond}, // four calls a second, of the five that a shard answers
			Lease:   lease.Config{FailoverTime: failoverTime},
		},
		streams,
		dynamostore.New(tables, dynamostore.Config{Table: j.Table}),
		consumer.Each(func(_ context.Context, r *consumer.Record) error {
			return report.handed(j.Run, r)
		}),
		consumer.WithHooks(consumer.Hooks{Lease: lease.Hooks{Acquired: report.acquired, Ended: report.ended}}),
	)
	if err != nil {
		return err
	}
	return c.Run(ctx)
}

// reporter tells the parent process what happens here, a line each. One Write is one line: the file serialises them, and a line of less than
// 4 KiB reaches a pipe as a whole or not at all, also when the process is killed.
type reporter struct {
	out   io.Writer
	clock clock
}

// line is a message; exactly one field is set.
type line struct {
	Handed   *delivery `json:"handed,omitempty"`
	Acquired string    `json:"acquired,omitempty"` // a shard
	Lost     string    `json:"lost,omitempty"`     // a shard
}

// handed reports a record before it is done: when its delivery is confirmed to the library, the parent has heard of it.
func (r reporter) handed(run string, rec *consumer.Record) error {
	now := r.clock.now()
	e, ours := unseal(run, rec.Data)
	if !ours { // the stream was there before this program
		return nil
	}
	return r.tell(line{Handed: &delivery{
		Key: rec.PartitionKey, Ordinal: e.Ordinal, Sum: sumOf(e.Event), Shard: rec.Shard().ID(), Clock: now, At: rec.Position,
	}})
}

func (r reporter) acquired(e lease.Event) { _ = r.tell(line{Acquired: e.Lease.Key}) }

// ended reports only what is not as it should be: a tenure that ends with an error may have left records undone that were handed over.
func (r reporter) ended(e lease.Event) {
	if e.Err != nil {
		_ = r.tell(line{Lost: e.Lease.Key})
	}
}

func (r reporter) tell(l line) error {
	text, err := json.Marshal(l)
	if err == nil {
		_, err = r.out.Write(append(text, '\n'))
	}
	if err != nil {
		return fmt.Errorf("report to parent: %w", err)
	}
	return nil
}
