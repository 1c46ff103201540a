package promkinesis

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kinesiskit/kinesiskit/consumer"
	"github.com/kinesiskit/kinesiskit/internal/progress"
	"github.com/kinesiskit/kinesiskit/lease"
)

// Granularity is how finely a consumer's series are divided.
type Granularity int

const (
	// Application: a series for each stream of the application, by each worker.
	Application Granularity = iota

	// Shard: gauges and counters for each shard that the worker holds. A stream of 1,000 shards has some 12,000 series then.
	Shard
)

// durations covers a fetch at the tip as well as a handler that takes minutes, in seconds.
var durations = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300}

// consumerMetrics is what one Consumer reports.
type consumerMetrics struct {
	perShard bool
	shards   progress.Shards

	acquired, lost, records, bytes, skipped, throttled *prometheus.CounterVec
	fetch, process                                     *prometheus.HistogramVec
}

// Consumer makes the metrics of one consumer and registers them. application is what Config.Application says: it becomes the label app.
//
// Errors: those of reg, such as a prometheus.AlreadyRegisteredError for a second consumer of the same application; nothing is registered then.
func Consumer(reg prometheus.Registerer, application string, g Granularity) (consumer.Option, error) {
	app := prometheus.Labels{"app": application}
	m := &consumerMetrics{perShard: g == Shard}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "kinesis", Subsystem: "consumer", Name: name, Help: help, ConstLabels: app,
		}, append(m.labels(), labels...))
	}
	histogram := func(name, help string, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "kinesis", Subsystem: "consumer", Name: name, Help: help, ConstLabels: app, Buckets: durations,
		}, append([]string{"stream"}, labels...))
	}
	m.acquired = counter("lease_acquired_total", "Leases that this worker came to hold.")
	m.lost = counter("lease_lost_total", "Leases that this worker held and did not give away.", "reason")
	m.records = counter("records_total", "User records that were fetched to be delivered.")
	m.bytes = counter("bytes_total", "Bytes that were fetched, as Kinesis counts them.")
	m.skipped = counter("records_skipped_total", "Records that are not delivered.", "reason")
	m.throttled = counter("throttled_total", "Requests that were refused for the moment.", "op")
	m.fetch = histogram("fetch_duration_seconds", "How long the requests for a page took.")
	m.process = histogram("process_duration_seconds", "How long calls of the application's code took.", "outcome")
	err := register(reg, m.acquired, m.lost, m.records, m.bytes, m.skipped, m.throttled, m.fetch, m.process, newGauges(&m.shards, app, m.perShard))
	if err != nil {
		return nil, err
	}
	return consumer.WithHooks(m.hooks()), nil
}

// register registers all or none.
func register(reg prometheus.Registerer, all ...prometheus.Collector) error {
	for i, c := range all {
		if err := reg.Register(c); err != nil {
			for _, done := range all[:i] {
				reg.Unregister(done)
			}
			return err
		}
	}
	return nil
}

func (m *consumerMetrics) labels() []string {
	if m.perShard {
		return []string{"stream", "shard"}
	}
	return []string{"stream"}
}

// values are those of labels, and of more.
func (m *consumerMetrics) values(stream, shard string, more ...string) []string {
	if m.perShard {
		return append([]string{stream, shard}, more...)
	}
	return append([]string{stream}, more...)
}

func (m *consumerMetrics) hooks() consumer.Hooks {
	return consumer.Hooks{
		Lease:        lease.Hooks{Acquired: m.onAcquired, Ended: m.onEnded},
		Fetched:      m.onFetched,
		ProcessStart: m.onStart,
		ProcessEnd:   m.onEnd,
		Checkpointed: m.shards.Checkpointed,
		Dropped: func(e consumer.DropEvent) {
			reason := strings.ReplaceAll(e.Why.String(), " ", "_")
			m.skipped.WithLabelValues(m.values(e.Stream, e.Shard, reason)...).Add(float64(max(e.Records, 1)))
		},
		Throttled: func(e consumer.ThrottleEvent) {
			m.throttled.WithLabelValues(m.values(e.Stream, e.Shard, e.Op)...).Inc()
		},
	}
}

func (m *consumerMetrics) onAcquired(e lease.Event) {
	stream, shard := m.shards.Acquired(e)
	m.acquired.WithLabelValues(m.values(stream, shard)...).Inc()
}

func (m *consumerMetrics) onEnded(e lease.Event) {
	stream, shard := m.shards.Ended(e)
	reason := ""
	switch {
	case errors.Is(e.Err, lease.ErrLost):
		reason = "lost"
	case errors.Is(e.Err, consumer.ErrStopped):
		reason = "stopped"
	case e.Err != nil:
		reason = "failed"
	}
	if m.perShard {
		gone := prometheus.Labels{"stream": stream, "shard": shard}
		for _, c := range []*prometheus.CounterVec{m.acquired, m.lost, m.records, m.bytes, m.skipped, m.throttled} {
			c.DeletePartialMatch(gone)
		}
		return
	}
	if reason != "" {
		m.lost.WithLabelValues(stream, reason).Inc()
	}
}

func (m *consumerMetrics) onFetched(e consumer.FetchEvent) {
	m.shards.Fetched(e)
	if e.Took > 0 {
		m.fetch.WithLabelValues(e.Stream).Observe(e.Took.Seconds())
	}
	if e.Err != nil || e.Records == 0 {
		return
	}
	values := m.values(e.Stream, e.Shard)
	m.records.WithLabelValues(values...).Add(float64(e.UserRecords))
	m.bytes.WithLabelValues(values...).Add(float64(e.Bytes))
}

// began is the key of a call's start in its context.
type began struct{}

func (m *consumerMetrics) onStart(ctx context.Context, b *consumer.Batch) context.Context {
	return context.WithValue(ctx, began{}, m.shards.ProcessStart(b))
}

func (m *consumerMetrics) onEnd(ctx context.Context, b *consumer.Batch, err error) {
	start, ok := ctx.Value(began{}).(time.Time)
	if !ok {
		return
	}
	m.shards.ProcessEnd(b, start)
	outcome := "ok"
	if err != nil {
		outcome = "error"
	}
	m.process.WithLabelValues(b.Shard.Stream(), outcome).Observe(time.Since(start).Seconds())
}
