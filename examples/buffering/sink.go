package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/consumer"
)

// sizes say when a file is uploaded: it has so many bytes, or its first record has waited for so long.
type sizes struct {
	bytes int
	age   time.Duration
}

// sink collects the records of one shard. The consumer calls one method at a time; a clock, which uploads what has waited long enough while nothing
// comes, runs beside them. Whoever works on the buffer has the turn, also while it is uploaded.
//
// A file has the name of its first record's place, and the buffer is emptied only when its end is stored. So after a crash between the upload and that,
// the next owner begins a file at the same record, and replaces it: the files together have every record once.
type sink struct {
	shard *consumer.Shard
	to    bucket
	sizes sizes

	stop  context.CancelFunc // of the clock
	clock sync.WaitGroup

	turn  chan struct{} // has room for the one whose turn it is
	body  []byte
	first checkpoint.Position
	last  checkpoint.Position
	since time.Time // of the first record
}

func newSink(ctx context.Context, shard *consumer.Shard, to bucket, s sizes) *sink {
	k := &sink{shard: shard, to: to, sizes: s, turn: make(chan struct{}, 1)}
	// ctx ends when the shard is lost, so the clock uploads nothing for a shard that is another worker's.
	ctx, k.stop = context.WithCancel(ctx)
	k.clock.Go(func() { k.tick(ctx) })
	return k
}

// begin waits for the turn; end gives it back.
func (k *sink) begin(ctx context.Context) error {
	select {
	case k.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (k *sink) end() { <-k.turn }

// tick uploads what is old enough. What fails here stays in the buffer, and is tried again by the next tick, by Process or by Flush.
func (k *sink) tick(ctx context.Context) {
	ticker := time.NewTicker(k.sizes.age / 4)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if k.begin(ctx) != nil {
			return
		}
		if ctx.Err() == nil && len(k.body) > 0 && time.Since(k.since) >= k.sizes.age {
			_ = k.upload(ctx)
		}
		k.end()
	}
}

// Process accepts records: nil says that they are in the buffer, not that they are done.
func (k *sink) Process(ctx context.Context, b *consumer.Batch) error {
	if err := k.begin(ctx); err != nil {
		return err
	}
	defer k.end()
	for i := range b.Records {
		r := &b.Records[i]
		if len(k.body) >= k.sizes.bytes {
			if err := k.upload(ctx); err != nil {
				return &consumer.RecordError{Record: r, Err: err} // what stands before it is in the buffer
			}
		}
		if len(k.body) == 0 {
			k.first, k.since = r.Position, time.Now()
		}
		k.body = append(k.body, r.Data...)
		k.last = r.Position
	}
	return nil
}

// Flush uploads the rest, because the shard ends, or moves, or the consumer stops. The consumer stores its nil, so there is no checkpoint here.
func (k *sink) Flush(ctx context.Context, _ consumer.Reason) error {
	if err := k.begin(ctx); err != nil {
		return err
	}
	defer k.end()
	if len(k.body) == 0 {
		return nil
	}
	return k.put(ctx)
}

// Close ends the clock. What is in the buffer was never stored as done, so the shard's next owner gets it.
func (k *sink) Close(context.Context, error) {
	k.stop()
	k.clock.Wait()
}

// upload makes a file of what is buffered, and says that it is done.
func (k *sink) upload(ctx context.Context) error {
	if err := k.put(ctx); err != nil {
		return err
	}
	if err := k.shard.Checkpoint(ctx, k.last); err != nil {
		return err
	}
	k.body = k.body[:0]
	return nil
}

func (k *sink) put(ctx context.Context) error {
	return k.to.put(ctx, fmt.Sprintf("%s/%s", k.shard.ID(), k.first), k.body)
}
