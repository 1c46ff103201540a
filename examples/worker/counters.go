package main

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/kinesiskit/kinesiskit/consumer"
	"github.com/kinesiskit/kinesiskit/lease"
)

// counters turn hooks into numbers. Hooks are called on many goroutines and must not block, so all they do is add.
type counters struct {
	mu sync.Mutex
	n  numbers
}

// numbers are counted since they were logged last.
type numbers struct {
	pages, records, bytes, calls, failures, dropped, throttled, stored, slow, taken, lost int
	busy, behind                                                                          time.Duration
}

// begunAt is the key under which the context of a call has its beginning.
type begunAt struct{}

func (c *counters) add(f func(n *numbers)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.n)
}

func (c *counters) hooks() consumer.Hooks {
	return consumer.Hooks{
		Fetched: func(e consumer.FetchEvent) {
			c.add(func(n *numbers) {
				n.pages++
				n.bytes += e.Bytes
				n.behind = max(n.behind, e.Behind)
			})
		},
		ProcessStart: func(ctx context.Context, _ *consumer.Batch) context.Context {
			return context.WithValue(ctx, begunAt{}, time.Now())
		},
		ProcessEnd: func(ctx context.Context, b *consumer.Batch, err error) {
			began, _ := ctx.Value(begunAt{}).(time.Time)
			c.add(func(n *numbers) {
				n.calls++
				n.busy += time.Since(began)
				if err == nil {
					n.records += len(b.Records)
				}
			})
		},
		Failed:       func(*consumer.Failure, consumer.Verdict) { c.add(func(n *numbers) { n.failures++ }) },
		Dropped:      func(e consumer.DropEvent) { c.add(func(n *numbers) { n.dropped += max(1, e.Records) }) },
		Throttled:    func(consumer.ThrottleEvent) { c.add(func(n *numbers) { n.throttled++ }) },
		Checkpointed: func(consumer.CheckpointEvent) { c.add(func(n *numbers) { n.stored++ }) },
		Slow:         func(consumer.SlowEvent) { c.add(func(n *numbers) { n.slow++ }) },
		Lease: lease.Hooks{
			Acquired: func(lease.Event) { c.add(func(n *numbers) { n.taken++ }) },
			Ended: func(e lease.Event) {
				if e.Err != nil {
					c.add(func(n *numbers) { n.lost++ })
				}
			},
		},
	}
}

// take returns the numbers as fields of a log line, and begins anew.
func (c *counters) take() []zap.Field {
	c.mu.Lock()
	n := c.n
	c.n = numbers{}
	c.mu.Unlock()
	return []zap.Field{
		zap.Int("pages", n.pages), zap.Int("bytes", n.bytes), zap.Int("records", n.records), zap.Int("calls", n.calls), zap.Duration("busy", n.busy),
		zap.Duration("behind", n.behind), zap.Int("failures", n.failures), zap.Int("dropped", n.dropped), zap.Int("throttled", n.throttled),
		zap.Int("stored", n.stored), zap.Int("slow", n.slow), zap.Int("leases taken", n.taken), zap.Int("leases lost", n.lost),
	}
}
