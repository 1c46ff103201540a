package otelkinesis

import (
	"context"
	"errors"
	"sync"

	"github.com/aws/smithy-go"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	noopmetric "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	nooptrace "go.opentelemetry.io/otel/trace/noop"
)

// scope names the instrumentation.
const scope = "github.com/kinesiskit/kinesiskit/plugin/otelkinesis"

// durations are the bounds that the conventions advise for seconds.
var durations = []float64{.005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10}

// instruments is what consumers and producers have in common. Instruments of a fixed name can fail only in a provider's own way, which its own
// error handler is told.
type instruments struct {
	meter  metric.Meter
	tracer trace.Tracer
	group  string // messaging.consumer.group.name; empty for a producer

	sets sync.Map // key → metric.MeasurementOption: sorting attributes for each record would cost more than the record
}

// key is what tells the attribute sets of operations apart. None of it is unbounded.
type key struct{ stream, op, kind, failed string }

func newInstruments(group string, mp metric.MeterProvider, tp trace.TracerProvider) *instruments {
	if mp == nil {
		mp = noopmetric.NewMeterProvider()
	}
	if tp == nil {
		tp = nooptrace.NewTracerProvider()
	}
	return &instruments{meter: mp.Meter(scope), tracer: tp.Tracer(scope), group: group}
}

// made hands on an instrument, after telling what is wrong with it.
func made[T any](instrument T, err error) T {
	if err != nil {
		otel.Handle(err)
	}
	return instrument
}

func (in *instruments) seconds(name, description string) metric.Float64Histogram {
	return made(in.meter.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(description), metric.WithExplicitBucketBoundaries(durations...)))
}

func (in *instruments) operations() metric.Float64Histogram {
	return in.seconds("messaging.client.operation.duration", "Duration of messaging operation initiated by a producer or consumer client.")
}

func (in *instruments) counter(name, unit, description string) metric.Int64Counter {
	return made(in.meter.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(description)))
}

// attributes are those of an operation on a stream, as the messaging conventions have them.
func (in *instruments) attributes(k key) []attribute.KeyValue {
	attrs := []attribute.KeyValue{
		attribute.String("messaging.system", "aws_kinesis"),
		attribute.String("messaging.destination.name", k.stream),
		attribute.String("messaging.operation.name", k.op),
		attribute.String("messaging.operation.type", k.kind),
	}
	if in.group != "" {
		attrs = append(attrs, attribute.String("messaging.consumer.group.name", in.group))
	}
	if k.failed != "" {
		attrs = append(attrs, attribute.String("error.type", k.failed))
	}
	return attrs
}

// set is attributes for a measurement.
func (in *instruments) set(k key) metric.MeasurementOption {
	if known, ok := in.sets.Load(k); ok {
		return known.(metric.MeasurementOption)
	}
	made := metric.WithAttributeSet(attribute.NewSet(in.attributes(k)...))
	in.sets.Store(k, made)
	return made
}

// of is the attributes of what KCL's names are about.
func (in *instruments) of(stream string, more ...attribute.KeyValue) metric.MeasurementOption {
	attrs := append([]attribute.KeyValue{
		attribute.String("aws.kinesis.stream_name", stream), attribute.String("messaging.consumer.group.name", in.group),
	}, more...)
	return metric.WithAttributeSet(attribute.NewSet(attrs...))
}

// begin starts the span of an operation.
func (in *instruments) begin(ctx context.Context, kind trace.SpanKind, k key, more ...attribute.KeyValue) (context.Context, trace.Span) {
	return in.tracer.Start(ctx, k.op+" "+k.stream, trace.WithSpanKind(kind), trace.WithAttributes(in.attributes(k)...),
		trace.WithAttributes(attribute.String("aws.kinesis.stream_name", k.stream)), trace.WithAttributes(more...))
}

// end ends a span; failed is the error's type, empty if there was none.
func end(span trace.Span, failed string, err error) {
	if failed != "" {
		span.SetAttributes(attribute.String("error.type", failed))
		text := ""
		if err != nil {
			text = err.Error()
		}
		span.SetStatus(codes.Error, text)
	}
	span.End()
}

// errorType is the name of an error among few: the service's code, one of named, or the conventions' word for all others.
func errorType(err error, named map[string]error) string {
	var api smithy.APIError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &api):
		return api.ErrorCode()
	}
	for name, known := range named {
		if errors.Is(err, known) {
			return name
		}
	}
	switch {
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	}
	return "_OTHER"
}
