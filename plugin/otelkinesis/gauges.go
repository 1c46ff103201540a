package otelkinesis

import (
	"context"
	"maps"
	"slices"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/kinesiskit/kinesiskit/internal/progress"
)

// kcl is what the names of KCL's metrics begin with.
const kcl = "aws.kinesis.client."

// observe makes the gauges, which are read when they are collected: a shard that is gone is not among what is read.
func (r *reporter) observe() {
	gauge := func(name, unit, description string) metric.Int64ObservableGauge {
		return made(r.meter.Int64ObservableGauge(kcl+name, metric.WithUnit(unit), metric.WithDescription(description)))
	}
	lag := func(name, description string) metric.Float64ObservableGauge {
		return made(r.meter.Float64ObservableGauge(kcl+name, metric.WithUnit("ms"), metric.WithDescription(description)))
	}
	read := lag("read.lag.duration", "How far what was fetched is behind the tip.")
	stored := lag("checkpoint.lag.duration", "Age of the oldest record that was delivered and is not stored as done, else the read lag.")
	current := gauge("current_leases", "{lease}", "Leases that this worker holds.")
	total := gauge("total_leases", "{lease}", "Rows of the lease table.")
	expired := gauge("expired_leases", "{lease}", "Leases whose owner is silent.")
	workers := gauge("workers", "{worker}", "Owners of live leases.")
	_, err := r.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		held := r.shards.Held()
		group := metric.WithAttributes(attribute.String("messaging.consumer.group.name", r.group))
		o.ObserveInt64(current, int64(len(held)), group)
		r.mu.Lock()
		scan, seen := r.scan, r.seen
		r.mu.Unlock()
		if seen {
			o.ObserveInt64(total, int64(scan.Leases), group)
			o.ObserveInt64(expired, int64(scan.Expired), group)
			o.ObserveInt64(workers, int64(scan.Workers), group)
		}
		r.eachLag(held, func(behind, undone time.Duration, attrs metric.MeasurementOption) {
			o.ObserveFloat64(read, milliseconds(behind), attrs)
			o.ObserveFloat64(stored, milliseconds(undone), attrs)
		})
		return nil
	}, read, stored, current, total, expired, workers)
	if err != nil {
		otel.Handle(err)
	}
}

// eachLag calls show for each shard that has been read, or for each stream with the largest values.
func (r *reporter) eachLag(held []progress.Shard, show func(behind, undone time.Duration, attrs metric.MeasurementOption)) {
	type lags struct{ behind, undone time.Duration }
	streams := map[string]lags{}
	for _, s := range held {
		switch {
		case !s.Read:
		case r.perShard:
			show(s.Behind, s.Lag, r.of(s.Stream, attribute.String("aws.kinesis.shard.id", s.ID)))
		default:
			streams[s.Stream] = lags{max(streams[s.Stream].behind, s.Behind), max(streams[s.Stream].undone, s.Lag)}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(streams)) {
		show(streams[name].behind, streams[name].undone, r.of(name))
	}
}
