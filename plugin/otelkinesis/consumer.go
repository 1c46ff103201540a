package otelkinesis

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/kinesiskit/kinesiskit/consumer"
	"github.com/kinesiskit/kinesiskit/internal/progress"
	"github.com/kinesiskit/kinesiskit/lease"
)

// Granularity is how finely the gauges of a consumer's lag are divided.
type Granularity int

const (
	// Application: a series for each stream of the application, by each worker.
	Application Granularity = iota

	// Shard: a series for each shard that the worker holds.
	Shard
)

// consumerErrors are what calls of user code fail with beside the service's errors.
var consumerErrors = map[string]error{"lease_lost": lease.ErrLost, "stopped": consumer.ErrStopped}

// reporter is what one Consumer reports.
type reporter struct {
	*instruments
	perShard bool
	shards   progress.Shards

	operation, process, lag             metric.Float64Histogram
	size                                metric.Int64Histogram
	consumed, done, lost, drops, refuse metric.Int64Counter

	mu   sync.Mutex
	scan lease.ScanEvent // the last one that succeeded
	seen bool
}

// Consumer reports a consumer's fetches, the calls of your code, its leases and its lag. application is what Config.Application says. A nil provider gets
// nothing.
func Consumer(application string, g Granularity, mp metric.MeterProvider, tp trace.TracerProvider) consumer.Option {
	in := newInstruments(application, mp, tp)
	r := &reporter{instruments: in, perShard: g == Shard}
	r.operation = in.operations()
	r.process = in.seconds("messaging.process.duration", "Duration of processing operation.")
	r.consumed = in.counter("messaging.client.consumed.messages", "{message}", "Number of messages that were delivered to the application.")
	r.lag = made(in.meter.Float64Histogram(kcl+"consumer.lag.duration", metric.WithUnit("ms"), metric.WithDescription("How far each page is behind the tip.")))
	r.size = made(in.meter.Int64Histogram(kcl+"records.size", metric.WithUnit("By"), metric.WithDescription("Bytes of each page that has records.")))
	r.done = in.counter(kcl+"records_processed", "{record}", "Records that the application's code has processed.")
	r.lost = in.counter(kcl+"lost_leases", "{lease}", "Leases that this worker held and did not give away.")
	r.drops = in.counter(kcl+"records.dropped", "{record}", "Records that are not delivered.")
	r.refuse = in.counter(kcl+"throttles", "{request}", "Requests that were refused for the moment.")
	r.observe()
	return consumer.WithHooks(consumer.Hooks{
		Lease: lease.Hooks{
			Acquired: func(e lease.Event) { r.shards.Acquired(e) },
			Ended:    r.onEnded,
			Scanned:  r.onScanned,
		},
		Fetched:      r.onFetched,
		ProcessStart: r.onStart,
		ProcessEnd:   r.onEnd,
		Checkpointed: r.onCheckpointed,
		Dropped:      r.onDropped,
		Throttled:    r.onThrottled,
	})
}

func (r *reporter) onEnded(e lease.Event) {
	stream, _ := r.shards.Ended(e)
	if e.Err != nil {
		r.lost.Add(context.Background(), 1, r.of(stream))
	}
}

func (r *reporter) onScanned(e lease.ScanEvent) {
	if e.Err != nil {
		return
	}
	r.mu.Lock()
	r.scan, r.seen = e, true
	r.mu.Unlock()
}

func (r *reporter) onFetched(e consumer.FetchEvent) {
	r.shards.Fetched(e)
	k := key{e.Stream, "get_records", "receive", errorType(e.Err, nil)}
	if e.FanOut {
		k.op = "subscribe_to_shard"
	}
	ctx := context.Background()
	if !e.FanOut || e.Took > 0 || e.Err != nil { // else an event of a subscription that stands: no operation
		r.operation.Record(ctx, e.Took.Seconds(), r.set(k))
	}
	if e.Err != nil {
		return
	}
	r.lag.Record(ctx, milliseconds(e.Behind), r.of(e.Stream))
	if e.Records > 0 {
		r.consumed.Add(ctx, int64(e.UserRecords), r.set(k))
		r.size.Record(ctx, int64(e.Bytes), r.of(e.Stream))
	}
}

// call is a call of user code that runs.
type call struct {
	span  trace.Span
	began time.Time
}

type callKey struct{}

func (r *reporter) onStart(ctx context.Context, b *consumer.Batch) context.Context {
	stream := b.Shard.Stream()
	attrs := []attribute.KeyValue{attribute.String("messaging.destination.partition.id", b.Shard.ID())}
	if len(b.Records) == 1 {
		attrs = append(attrs, attribute.String("messaging.message.id", b.Records[0].Position.String()), attribute.Int("messaging.message.body.size", len(b.Records[0].Data)))
	} else {
		attrs = append(attrs, attribute.Int("messaging.batch.message_count", len(b.Records)))
	}
	ctx, span := r.begin(ctx, trace.SpanKindConsumer, key{stream, "process", "process", ""}, attrs...)
	return context.WithValue(ctx, callKey{}, call{span, r.shards.ProcessStart(b)})
}

func (r *reporter) onEnd(ctx context.Context, b *consumer.Batch, err error) {
	c, ok := ctx.Value(callKey{}).(call)
	if !ok {
		return
	}
	r.shards.ProcessEnd(b, c.began)
	k := key{b.Shard.Stream(), "process", "process", errorType(err, consumerErrors)}
	end(c.span, k.failed, err)
	r.process.Record(ctx, time.Since(c.began).Seconds(), r.set(k))
	if err == nil {
		r.done.Add(ctx, int64(len(b.Records)), r.of(k.stream))
	}
}

func (r *reporter) onCheckpointed(e consumer.CheckpointEvent) {
	r.shards.Checkpointed(e)
	if !e.WithRenewal {
		r.operation.Record(context.Background(), e.Took.Seconds(), r.set(key{e.Stream, "checkpoint", "settle", errorType(e.Err, consumerErrors)}))
	}
}

func (r *reporter) onDropped(e consumer.DropEvent) {
	r.drops.Add(context.Background(), int64(max(e.Records, 1)), r.of(e.Stream, attribute.String("kinesis.drop.reason", e.Why.String())))
}

func (r *reporter) onThrottled(e consumer.ThrottleEvent) {
	r.refuse.Add(context.Background(), 1, r.of(e.Stream, attribute.String("aws.kinesis.operation", e.Op)))
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
