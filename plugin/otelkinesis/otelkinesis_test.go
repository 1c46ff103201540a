package otelkinesis_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/kinesiskit/kinesiskit/consumer"
	"github.com/kinesiskit/kinesiskit/internal/plugintest"
	"github.com/kinesiskit/kinesiskit/kinesistest"
	"github.com/kinesiskit/kinesiskit/plugin/otelkinesis"
	"github.com/kinesiskit/kinesiskit/producer"
)

// world is a stream of two shards, and what is exported of those who use it.
type world struct {
	*plugintest.World
	reader  *sdkmetric.ManualReader
	meters  *sdkmetric.MeterProvider
	spans   *tracetest.SpanRecorder
	tracers *sdktrace.TracerProvider
}

func bubble(t *testing.T, test func(w *world)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &world{World: plugintest.New(t), reader: sdkmetric.NewManualReader(), spans: tracetest.NewSpanRecorder()}
		w.meters = sdkmetric.NewMeterProvider(sdkmetric.WithReader(w.reader))
		w.tracers = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(w.spans))
		test(w)
	})
}

// consume runs a worker until the returned function is called.
func (w *world) consume(g otelkinesis.Granularity, h consumer.Handler, opts ...consumer.Option) (stop func()) {
	w.T.Helper()
	return w.Consume(h, append(opts, otelkinesis.Consumer("app", g, w.meters, w.tracers))...)
}

// exported returns every series: "name{attribute=value,…}" with attributes in order, without those that all have; of a histogram the number of
// observations.
func (w *world) exported() map[string]float64 {
	w.T.Helper()
	var all metricdata.ResourceMetrics
	w.Must(w.reader.Collect(context.Background(), &all))
	series := map[string]float64{}
	add := func(name string, set attribute.Set, v float64) {
		var labels []string
		for _, kv := range set.ToSlice() {
			switch text := string(kv.Key) + "=" + kv.Value.String(); text {
			case "messaging.system=aws_kinesis", "messaging.destination.name=orders", "aws.kinesis.stream_name=orders", "messaging.consumer.group.name=app":
			default:
				labels = append(labels, text)
			}
		}
		series[name+"{"+strings.Join(labels, ",")+"}"] = v
	}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch d := m.Data.(type) {
			case metricdata.Gauge[int64]:
				for _, p := range d.DataPoints {
					add(m.Name, p.Attributes, float64(p.Value))
				}
			case metricdata.Gauge[float64]:
				for _, p := range d.DataPoints {
					add(m.Name, p.Attributes, p.Value)
				}
			case metricdata.Sum[int64]:
				for _, p := range d.DataPoints {
					add(m.Name, p.Attributes, float64(p.Value))
				}
			case metricdata.Histogram[float64]:
				for _, p := range d.DataPoints {
					add(m.Name, p.Attributes, float64(p.Count))
				}
			case metricdata.Histogram[int64]:
				for _, p := range d.DataPoints {
					add(m.Name, p.Attributes, float64(p.Count))
				}
			default:
				w.T.Errorf("%s is a %T", m.Name, d)
			}
		}
	}
	return series
}

// want holds series to bounds, {at least, at most}.
func (w *world) want(when string, bounds map[string][2]float64) {
	w.T.Helper()
	got := w.exported()
	for name, b := range bounds {
		if v, ok := got[name]; !ok || v < b[0] || v > b[1] {
			w.T.Errorf("%s: %s is %v (there: %v), want %v to %v", when, name, v, ok, b[0], b[1])
		}
	}
	if w.T.Failed() {
		w.T.Logf("%s: %v", when, got)
	}
}

const (
	kcl     = "aws.kinesis.client."
	receive = "{messaging.operation.name=get_records,messaging.operation.type=receive}"
	process = "{messaging.operation.name=process,messaging.operation.type=process}"
)

func TestAConsumerIsReportedByApplication(t *testing.T) {
	bubble(t, func(w *world) {
		stop := w.consume(otelkinesis.Application, consumer.Batches(func(context.Context, *consumer.Batch) error {
			time.Sleep(20 * time.Second)
			return nil
		}))
		time.Sleep(time.Minute)
		w.want("at rest", map[string][2]float64{
			kcl + "current_leases{}": {2, 2}, kcl + "total_leases{}": {2, 2}, kcl + "expired_leases{}": {0, 0}, kcl + "workers{}": {1, 1},
			kcl + "read.lag.duration{}": {0, 0}, kcl + "checkpoint.lag.duration{}": {0, 0}, kcl + "consumer.lag.duration{}": {50, 500},
			"messaging.client.operation.duration" + receive: {50, 500},
		})
		w.Put(40)
		time.Sleep(15 * time.Second)
		w.want("while calls run", map[string][2]float64{
			"messaging.client.consumed.messages" + receive: {40, 40}, kcl + "records.size{}": {2, 4}, kcl + "checkpoint.lag.duration{}": {13_000, 16_000},
		})
		time.Sleep(30 * time.Second)
		w.want("when all is stored", map[string][2]float64{
			kcl + "checkpoint.lag.duration{}": {0, 0}, kcl + "records_processed{}": {40, 40}, "messaging.process.duration" + process: {2, 2},
		})
		stop()
		w.want("after the end", map[string][2]float64{kcl + "current_leases{}": {0, 0}})
		for name := range w.exported() {
			if strings.HasPrefix(name, kcl+"read.lag") || strings.Contains(name, "shard") || strings.Contains(name, "lost") {
				w.T.Errorf("%s is exported, and nothing is held, divided by shards, or lost", name)
			}
		}
	})
}

// With Shard each shard that is held has its gauges, and one that is gone has none.
func TestAShardThatIsGoneHasNoGauges(t *testing.T) {
	bubble(t, func(w *world) {
		stop := w.consume(otelkinesis.Shard, consumer.Each(func(context.Context, *consumer.Record) error { return nil }))
		w.Put(20)
		time.Sleep(30 * time.Second)
		of := func(metric, shard string) string { return kcl + metric + "{aws.kinesis.shard.id=" + shard + "}" }
		const parent, other = "shardId-000000000000", "shardId-000000000001"
		w.want("before the split", map[string][2]float64{
			of("read.lag.duration", parent): {0, 0}, of("checkpoint.lag.duration", parent): {0, 0}, of("read.lag.duration", other): {0, 0},
		})
		left, right := w.Server.Split("orders", parent)
		w.Put(50)
		time.Sleep(time.Minute)
		w.want("after the split", map[string][2]float64{
			of("read.lag.duration", left): {0, 0}, of("read.lag.duration", right): {0, 0}, of("read.lag.duration", other): {0, 0},
		})
		for name := range w.exported() {
			if strings.Contains(name, parent) {
				w.T.Errorf("%s is exported after the end of its shard", name)
			}
		}
		stop()
		for name := range w.exported() {
			if strings.Contains(name, "shard") {
				w.T.Errorf("%s is exported after the end of the worker", name)
			}
		}
	})
}

// What goes wrong is counted, with the type of the error.
func TestTroubleOfAConsumerIsCounted(t *testing.T) {
	bubble(t, func(w *world) {
		policy := func(_ context.Context, f *consumer.Failure) consumer.Verdict {
			if f.Attempt < 3 {
				return consumer.Retry
			}
			return consumer.Skip
		}
		stop := w.consume(otelkinesis.Application, consumer.Each(func(_ context.Context, r *consumer.Record) error {
			if r.PartitionKey == "key 7" {
				return errors.New("poison")
			}
			return nil
		}), consumer.WithErrorPolicy(policy))
		time.Sleep(time.Minute)
		throttled := w.Server.On("GetRecords", kinesistest.Throttle()).Times(4)
		w.Put(20)
		time.Sleep(2 * time.Minute)
		throttled.Remove()
		w.want("a poisoned record", map[string][2]float64{
			kcl + "records.dropped{kinesis.drop.reason=skipped}": {1, 1}, kcl + "throttles{aws.kinesis.operation=GetRecords}": {4, 4},
			"messaging.process.duration{error.type=_OTHER,messaging.operation.name=process,messaging.operation.type=process}": {3, 3},
			"messaging.client.operation.duration{error.type=ProvisionedThroughputExceededException,messaging.operation.name=get_records," +
				"messaging.operation.type=receive}": {4, 4},
			kcl + "records_processed{}": {19, 19},
		})
		cut := w.Server.On("UpdateItem", kinesistest.Status(503))
		time.Sleep(time.Minute)
		w.want("without the table", map[string][2]float64{kcl + "current_leases{}": {0, 0}, kcl + "lost_leases{}": {2, 2}})
		cut.Remove()
		time.Sleep(2 * time.Minute)
		stop()
	})
}

// The span of a call is the parent of what the call does, says what it was about, and shows its error.
func TestACallIsASpan(t *testing.T) {
	bubble(t, func(w *world) {
		tracer := w.tracers.Tracer("test")
		fail := true
		stop := w.consume(otelkinesis.Application, consumer.Each(func(ctx context.Context, r *consumer.Record) error {
			_, inner := tracer.Start(ctx, "inner")
			defer inner.End()
			time.Sleep(time.Second)
			if r.PartitionKey == "key 1" && fail {
				fail = false
				return errors.New("once")
			}
			return nil
		}))
		w.Put(2)
		time.Sleep(time.Minute)
		stop()
		parents := map[trace.SpanID]string{}
		failed := 0
		for _, s := range w.spans.Ended() {
			if s.Name() == "inner" {
				continue
			}
			attrs := attribute.NewSet(s.Attributes()...)
			shard, _ := attrs.Value("messaging.destination.partition.id")
			id, _ := attrs.Value("messaging.message.id")
			if s.Name() != "process orders" || s.SpanKind() != trace.SpanKindConsumer || !strings.HasPrefix(shard.AsString(), "shardId-") || len(id.AsString()) < 50 ||
				s.EndTime().Sub(s.StartTime()) != time.Second {
				w.T.Errorf("span %q, %v, %v, %v", s.Name(), s.SpanKind(), s.Attributes(), s.EndTime().Sub(s.StartTime()))
			}
			if s.Status().Code == codes.Error && s.Status().Description == "once" {
				failed++
			}
			parents[s.SpanContext().SpanID()] = s.Name()
		}
		for _, s := range w.spans.Ended() {
			if s.Name() == "inner" && parents[s.Parent().SpanID()] == "" {
				w.T.Error("what the call does is in no span of a call")
			}
		}
		if failed != 1 || len(parents) != 3 {
			w.T.Errorf("%d calls, of which %d failed; want three and one", len(parents), failed)
		}
	})
}

func TestAProducerIsReported(t *testing.T) {
	bubble(t, func(w *world) {
		w.Server.On("PutRecords", kinesistest.FailRecords("ProvisionedThroughputExceededException", 1)).Times(1)
		w.Put(100, otelkinesis.Producer(w.meters, w.tracers))
		const put = "messaging.operation.name=put_records,messaging.operation.type=send}"
		w.want("after a throttle", map[string][2]float64{
			"messaging.client.sent.messages{" + put: {100, 100}, "messaging.client.operation.duration{" + put: {1, 5},
			"messaging.client.operation.duration{error.type=partial_failure," + put: {1, 1},
		})
		failed := 0
		for _, s := range w.spans.Ended() {
			if s.Name() != "put_records orders" || s.SpanKind() != trace.SpanKindClient {
				w.T.Errorf("span %q of kind %v", s.Name(), s.SpanKind())
			}
			if s.Status().Code == codes.Error {
				failed++
			}
		}
		if failed != 1 {
			w.T.Errorf("%d spans failed, want 1", failed)
		}
	})
}

func TestRecordsThatAreNotStoredSayWhy(t *testing.T) {
	bubble(t, func(w *world) {
		w.Server.On("PutRecords", kinesistest.Status(503))
		p, err := producer.New(producer.Config{Stream: "orders", RecordTTL: 10 * time.Second}, kinesis.NewFromConfig(w.Server.Config("producer")),
			otelkinesis.Producer(w.meters, nil))
		w.Must(err)
		if _, err := p.PutAll(w.T.Context(), []producer.Record{{PartitionKey: "a", Data: []byte("data")}}); err == nil {
			w.T.Error("it was stored")
		}
		w.Must(p.Close(w.T.Context()))
		w.want("after 10 s", map[string][2]float64{
			"messaging.client.sent.messages{error.type=expired,messaging.operation.name=put_records,messaging.operation.type=send}": {1, 1},
		})
		if n := len(w.spans.Ended()); n != 0 {
			w.T.Errorf("%d spans without a tracer", n)
		}
	})
}
