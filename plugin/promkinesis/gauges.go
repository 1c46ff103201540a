package promkinesis

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kinesiskit/kinesiskit/internal/progress"
)

// gauges shows the shards that are held at the moment of a collection: one that is gone has no series.
type gauges struct {
	shards   *progress.Shards
	perShard bool

	lag, readLag, undone, unstored, stuck, owned *prometheus.Desc

	mu      sync.Mutex
	streams map[string]bool // of which a shard was held once: none is held now is worth saying
}

func newGauges(s *progress.Shards, app prometheus.Labels, perShard bool) *gauges {
	labels := []string{"stream"}
	if perShard {
		labels = append(labels, "shard")
	}
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("kinesis_consumer_"+name, help, labels, app)
	}
	return &gauges{
		shards: s, perShard: perShard, streams: map[string]bool{},
		lag:      desc("lag_seconds", "Age of the oldest record that was delivered and is not stored as done, else the read lag."),
		readLag:  desc("read_lag_seconds", "How far what was fetched is behind the tip."),
		undone:   desc("uncheckpointed_records", "Records that were delivered and are not stored as done."),
		unstored: desc("checkpoint_age_seconds", "Time since a position was stored."),
		stuck:    desc("processor_stuck_seconds", "How long the longest call of the application's code that runs has been running."),
		owned:    desc("lease_owned", "Shards that this worker holds."),
	}
}

// Describe implements prometheus.Collector.
func (g *gauges) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{g.lag, g.readLag, g.undone, g.unstored, g.stuck, g.owned} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (g *gauges) Collect(out chan<- prometheus.Metric) {
	held := g.shards.Held()
	if g.perShard {
		for _, s := range held {
			g.show(out, s, 1, s.Stream, s.ID)
		}
		return
	}
	totals := map[string]progress.Shard{}
	owned := map[string]int{}
	for _, s := range held {
		totals[s.Stream] = worst(totals[s.Stream], s)
		owned[s.Stream]++
	}
	for _, stream := range g.known(owned) {
		g.show(out, totals[stream], owned[stream], stream)
	}
}

// known returns all streams of which shards are or were held.
func (g *gauges) known(owned map[string]int) []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	for stream := range owned {
		g.streams[stream] = true
	}
	return slices.Sorted(maps.Keys(g.streams))
}

// worst is two shards as one.
func worst(a, b progress.Shard) progress.Shard {
	return progress.Shard{
		Read:   a.Read || b.Read,
		Behind: max(a.Behind, b.Behind), Lag: max(a.Lag, b.Lag), Unstored: max(a.Unstored, b.Unstored), Busy: max(a.Busy, b.Busy),
		Undone: a.Undone + b.Undone,
	}
}

func (g *gauges) show(out chan<- prometheus.Metric, s progress.Shard, owned int, labels ...string) {
	gauge := func(d *prometheus.Desc, v float64) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	seconds := func(d *prometheus.Desc, v time.Duration) { gauge(d, v.Seconds()) }
	gauge(g.owned, float64(owned))
	if owned == 0 {
		return
	}
	if s.Read {
		seconds(g.lag, s.Lag)
		seconds(g.readLag, s.Behind)
	}
	gauge(g.undone, float64(s.Undone))
	seconds(g.unstored, s.Unstored)
	seconds(g.stuck, s.Busy)
}
