package otelkinesis

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/kinesiskit/kinesiskit/producer"
)

// producerErrors are what a record fails with beside the service's errors.
var producerErrors = map[string]error{"expired": producer.ErrExpired, "closed": producer.ErrClosed, "predecessor": producer.ErrPredecessor}

// Producer reports a producer's requests and the fate of its records. A nil provider gets nothing.
func Producer(mp metric.MeterProvider, tp trace.TracerProvider) producer.Option {
	in := newInstruments("", mp, tp)
	operations := in.operations()
	sent := in.counter("messaging.client.sent.messages", "{message}", "Number of messages producer attempted to send to the broker.")
	of := func(stream, failed string) key { return key{stream, "put_records", "send", failed} }
	return producer.WithHooks(producer.Hooks{
		RequestStart: func(ctx context.Context, e producer.RequestEvent) context.Context {
			ctx, _ = in.begin(ctx, trace.SpanKindClient, of(e.Stream, ""), attribute.Int("messaging.batch.message_count", e.UserRecords))
			return ctx
		},
		RequestEnd: func(ctx context.Context, e producer.RequestEvent) {
			failed := errorType(e.Err, producerErrors)
			if failed == "" && e.Failed > 0 {
				failed = "partial_failure"
			}
			end(trace.SpanFromContext(ctx), failed, e.Err)
			operations.Record(ctx, e.Took.Seconds(), in.set(of(e.Stream, failed)))
		},
		Settled: func(e producer.SettledEvent) {
			failed := ""
			if e.Err != nil {
				failed = errorType(e.Err.Err, producerErrors)
			}
			sent.Add(context.Background(), 1, in.set(of(e.Result.Stream, failed)))
		},
	})
}
