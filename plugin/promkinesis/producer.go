package promkinesis

import (
	"context"
	"errors"

	"github.com/aws/smithy-go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kinesiskit/kinesiskit/producer"
)

// producerMetrics is what one Producer reports.
type producerMetrics struct {
	records, bytes, expired, retries, attempts *prometheus.CounterVec
	buffered, request, ratio                   *prometheus.HistogramVec
}

// Producer makes the metrics of one producer and registers them.
//
// Errors: those of reg, such as a prometheus.AlreadyRegisteredError for a second producer; nothing is registered then. Several producers of one process need a
// registerer each, made with prometheus.WrapRegistererWith and a label that tells them apart.
func Producer(reg prometheus.Registerer) (producer.Option, error) {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "kinesis", Subsystem: "producer", Name: name, Help: help},
			append([]string{"stream"}, labels...))
	}
	histogram := func(name, help string, buckets []float64) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "kinesis", Subsystem: "producer", Name: name, Help: help, Buckets: buckets},
			[]string{"stream"})
	}
	m := &producerMetrics{
		records:  counter("records_total", "Records by what became of them.", "outcome"),
		bytes:    counter("bytes_total", "Bytes of data and keys of records that were stored."),
		expired:  counter("expired_total", "Records that outlived RecordTTL."),
		retries:  counter("retries_total", "Attempts of records beyond the first of each."),
		attempts: counter("attempts_total", "Kinesis records sent, by what the service answered.", "code"),
		buffered: histogram("buffer_time_seconds", "Time of a record from acceptance to verdict.", durations),
		request:  histogram("request_duration_seconds", "How long requests took.", durations),
		ratio:    histogram("aggregation_ratio", "User records for each Kinesis record of a request.", prometheus.ExponentialBuckets(1, 2, 12)),
	}
	if err := register(reg, m.records, m.bytes, m.expired, m.retries, m.attempts, m.buffered, m.request, m.ratio); err != nil {
		return nil, err
	}
	return producer.WithHooks(producer.Hooks{RequestEnd: m.onRequest, Settled: m.onSettled}), nil
}

func (m *producerMetrics) onRequest(_ context.Context, e producer.RequestEvent) {
	m.request.WithLabelValues(e.Stream).Observe(e.Took.Seconds())
	if e.Entries > 0 {
		m.ratio.WithLabelValues(e.Stream).Observe(float64(e.UserRecords) / float64(e.Entries))
	}
	if e.Err != nil {
		m.attempts.WithLabelValues(e.Stream, code(e.Err)).Add(float64(e.Entries))
		return
	}
	for what, n := range map[string]int{"ok": e.Entries - e.Failed, "throttled": e.Throttled, "failed": e.Failed - e.Throttled} {
		if n > 0 {
			m.attempts.WithLabelValues(e.Stream, what).Add(float64(n))
		}
	}
}

// code is the service's error code of a request, or what became of one without an answer.
func code(err error) string {
	var api smithy.APIError
	switch {
	case errors.As(err, &api):
		return api.ErrorCode()
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	default:
		return "no_answer"
	}
}

func (m *producerMetrics) onSettled(e producer.SettledEvent) {
	stream := e.Result.Stream
	attempts := e.Result.Attempts
	if e.Err != nil {
		attempts = len(e.Err.Attempts)
		m.records.WithLabelValues(stream, "failed").Inc()
		if errors.Is(e.Err, producer.ErrExpired) {
			m.expired.WithLabelValues(stream).Inc()
		}
	} else {
		m.records.WithLabelValues(stream, "stored").Inc()
		m.bytes.WithLabelValues(stream).Add(float64(e.Bytes))
	}
	if attempts > 1 {
		m.retries.WithLabelValues(stream).Add(float64(attempts - 1))
	}
	m.buffered.WithLabelValues(stream).Observe(e.Buffered.Seconds())
}
