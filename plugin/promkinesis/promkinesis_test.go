package promkinesis_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/kinesiskit/kinesiskit/consumer"
	"github.com/kinesiskit/kinesiskit/internal/plugintest"
	"github.com/kinesiskit/kinesiskit/kinesistest"
	"github.com/kinesiskit/kinesiskit/plugin/promkinesis"
	"github.com/kinesiskit/kinesiskit/producer"
)

// world is a stream of two shards, and what is exported of those who use it.
type world struct {
	*plugintest.World
	reg *prometheus.Registry
}

func bubble(t *testing.T, test func(w *world)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &world{plugintest.New(t), prometheus.NewPedanticRegistry()}
		test(w)
	})
}

// consume runs a worker until the returned function is called.
func (w *world) consume(g promkinesis.Granularity, h consumer.Handler, opts ...consumer.Option) (stop func()) {
	w.T.Helper()
	opt, err := promkinesis.Consumer(w.reg, "app", g)
	w.Must(err)
	return w.Consume(h, append(opts, opt)...)
}

// exported returns every series: "name{label=value,…}", without the prefix of the library; of a histogram the number of observations.
func (w *world) exported() map[string]float64 {
	w.T.Helper()
	families, err := w.reg.Gather()
	w.Must(err)
	series := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			name := fmt.Sprintf("%s{%s}", strings.TrimPrefix(f.GetName(), "kinesis_"), strings.Join(labels, ","))
			series[name] = value(m)
		}
	}
	return series
}

func value(m *dto.Metric) float64 {
	switch {
	case m.GetGauge() != nil:
		return m.GetGauge().GetValue()
	case m.GetCounter() != nil:
		return m.GetCounter().GetValue()
	}
	return float64(m.GetHistogram().GetSampleCount())
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

const app = "{app=app,stream=orders}"

func TestAConsumerIsReportedByApplication(t *testing.T) {
	bubble(t, func(w *world) {
		stop := w.consume(promkinesis.Application, consumer.Batches(func(ctx context.Context, _ *consumer.Batch) error {
			time.Sleep(20 * time.Second)
			return nil
		}))
		time.Sleep(time.Minute)
		w.want("at rest", map[string][2]float64{
			"consumer_lease_owned" + app: {2, 2}, "consumer_lease_acquired_total" + app: {2, 2},
			"consumer_lag_seconds" + app: {0, 0}, "consumer_read_lag_seconds" + app: {0, 0}, "consumer_uncheckpointed_records" + app: {0, 0},
			"consumer_processor_stuck_seconds" + app: {0, 0},
		})
		w.Put(40)
		time.Sleep(15 * time.Second)
		w.want("while calls run", map[string][2]float64{
			"consumer_records_total" + app: {40, 40}, "consumer_bytes_total" + app: {100, 10_000}, "consumer_uncheckpointed_records" + app: {40, 40},
			"consumer_lag_seconds" + app: {13, 16}, "consumer_processor_stuck_seconds" + app: {13, 16},
		})
		time.Sleep(30 * time.Second)
		w.want("when all is stored", map[string][2]float64{
			"consumer_uncheckpointed_records" + app: {0, 0}, "consumer_lag_seconds" + app: {0, 0}, "consumer_processor_stuck_seconds" + app: {0, 0},
			"consumer_checkpoint_age_seconds" + app: {10, 30}, "consumer_process_duration_seconds{app=app,outcome=ok,stream=orders}": {2, 2},
		})
		stop()
		w.want("after the end", map[string][2]float64{"consumer_lease_owned" + app: {0, 0}})
		for name := range w.exported() {
			if strings.HasPrefix(name, "consumer_lag") || strings.Contains(name, "shard=") || strings.Contains(name, "lost") {
				w.T.Errorf("%s is exported, and nothing is held, divided by shards, or lost", name)
			}
		}
	})
}

// What goes wrong is counted: records that are skipped, throttles, calls that fail, leases that are lost.
func TestTroubleOfAConsumerIsCounted(t *testing.T) {
	bubble(t, func(w *world) {
		policy := func(_ context.Context, f *consumer.Failure) consumer.Verdict {
			if f.Attempt < 3 {
				return consumer.Retry
			}
			return consumer.Skip
		}
		stop := w.consume(promkinesis.Application, consumer.Each(func(_ context.Context, r *consumer.Record) error {
			if r.PartitionKey == "key 7" {
				return fmt.Errorf("poison")
			}
			return nil
		}), consumer.WithErrorPolicy(policy))
		time.Sleep(time.Minute)
		throttled := w.Server.On("GetRecords", kinesistest.Throttle()).Times(4)
		w.Put(20)
		time.Sleep(2 * time.Minute)
		throttled.Remove()
		slow := w.Server.On("GetRecords", kinesistest.Delay(50*time.Millisecond)).Times(5)
		time.Sleep(time.Minute)
		slow.Remove()
		w.want("a poisoned record", map[string][2]float64{
			"consumer_records_skipped_total{app=app,reason=skipped,stream=orders}":   {1, 1},
			"consumer_throttled_total{app=app,op=GetRecords,stream=orders}":          {4, 4},
			"consumer_process_duration_seconds{app=app,outcome=error,stream=orders}": {3, 3},
			"consumer_process_duration_seconds{app=app,outcome=ok,stream=orders}":    {19, 19},
			"consumer_fetch_duration_seconds" + app:                                  {5, 5},
		})
		cut := w.Server.On("UpdateItem", kinesistest.Status(503))
		time.Sleep(time.Minute)
		w.want("without the table", map[string][2]float64{
			"consumer_lease_owned" + app: {0, 0}, "consumer_lease_lost_total{app=app,reason=lost,stream=orders}": {2, 2},
		})
		cut.Remove()
		time.Sleep(2 * time.Minute)
		stop()
	})
}

// With Shard each shard that is held has its series, and one that is gone has none: not a gauge, and not a counter.
func TestAShardThatIsGoneHasNoSeries(t *testing.T) {
	bubble(t, func(w *world) {
		stop := w.consume(promkinesis.Shard, consumer.Each(func(context.Context, *consumer.Record) error { return nil }))
		w.Put(20)
		time.Sleep(30 * time.Second)
		of := func(metric, shard string) string {
			return "consumer_" + metric + "{app=app,shard=" + shard + ",stream=orders}"
		}
		const parent, other = "shardId-000000000000", "shardId-000000000001"
		w.want("before the split", map[string][2]float64{
			of("lag_seconds", parent): {0, 0}, of("lease_owned", parent): {1, 1}, of("lease_acquired_total", parent): {1, 1}, of("records_total", parent): {1, 19},
			of("lag_seconds", other): {0, 0}, of("records_total", other): {1, 19},
		})
		left, right := w.Server.Split("orders", parent)
		w.Put(50)
		time.Sleep(time.Minute)
		w.want("after the split", map[string][2]float64{
			of("lag_seconds", left): {0, 0}, of("lag_seconds", right): {0, 0}, of("lease_owned", other): {1, 1}, of("records_total", left): {1, 49},
		})
		for name := range w.exported() {
			if strings.Contains(name, parent) {
				w.T.Errorf("%s is exported after the end of its shard", name)
			}
		}
		stop()
		for name := range w.exported() {
			if strings.Contains(name, "shard=") {
				w.T.Errorf("%s is exported after the end of the worker", name)
			}
		}
	})
}

func TestAProducerIsReported(t *testing.T) {
	bubble(t, func(w *world) {
		opt, err := promkinesis.Producer(w.reg)
		w.Must(err)
		w.Server.On("PutRecords", kinesistest.FailRecords("ProvisionedThroughputExceededException", 1)).Times(1)
		w.Put(100, opt)
		w.want("after a throttle", map[string][2]float64{
			"producer_records_total{outcome=stored,stream=orders}": {100, 100}, "producer_bytes_total{stream=orders}": {400, 2000},
			"producer_attempts_total{code=ok,stream=orders}": {2, 2}, "producer_attempts_total{code=throttled,stream=orders}": {1, 2},
			"producer_retries_total{stream=orders}": {1, 100}, "producer_buffer_time_seconds{stream=orders}": {100, 100},
			"producer_request_duration_seconds{stream=orders}": {2, 10}, "producer_aggregation_ratio{stream=orders}": {2, 10},
		})
	})
}

func TestRecordsThatExpireAreCounted(t *testing.T) {
	bubble(t, func(w *world) {
		opt, err := promkinesis.Producer(w.reg)
		w.Must(err)
		w.Server.On("PutRecords", kinesistest.Status(503))
		p, err := producer.New(producer.Config{Stream: "orders", RecordTTL: 10 * time.Second}, kinesis.NewFromConfig(w.Server.Config("producer")), opt)
		w.Must(err)
		if _, err := p.PutAll(w.T.Context(), []producer.Record{{PartitionKey: "a", Data: []byte("data")}}); err == nil {
			w.T.Error("it was stored")
		}
		w.Must(p.Close(w.T.Context()))
		w.want("after 10 s", map[string][2]float64{
			"producer_records_total{outcome=failed,stream=orders}": {1, 1}, "producer_expired_total{stream=orders}": {1, 1},
			"producer_retries_total{stream=orders}": {1, 100},
		})
	})
}

// What cannot be registered leaves nothing behind.
func TestASecondConsumerOfAnApplicationIsRefused(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	taken := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "kinesis_consumer_throttled_total", Help: "Requests that were refused for the moment.", ConstLabels: prometheus.Labels{"app": "app"},
	}, []string{"stream", "op"})
	reg.MustRegister(taken)
	if _, err := promkinesis.Consumer(reg, "app", promkinesis.Application); err == nil {
		t.Fatal("registered over a metric of the same name")
	}
	reg.Unregister(taken)
	if _, err := promkinesis.Consumer(reg, "app", promkinesis.Application); err != nil {
		t.Errorf("something was left behind: %v", err)
	}
	if _, err := promkinesis.Consumer(reg, "other", promkinesis.Application); err != nil {
		t.Errorf("another application: %v", err)
	}
	if _, err := promkinesis.Producer(reg); err != nil {
		t.Error(err)
	}
}
