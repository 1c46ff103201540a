package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// report is what came of a run. It is what -json prints.
type report struct {
	RecordsPut       int `json:"records_put"`
	RecordsDelivered int `json:"records_delivered"` // repeated ones too
	Duplicates       int `json:"duplicates"`
	DuplicatesBound  int `json:"duplicates_bound"` // the two that follow together
	Unstored         int `json:"duplicates_bound_unstored"`
	Repeated         int `json:"duplicates_bound_repeated"`
	Lost             int `json:"lost"`
	OutOfOrder       int `json:"out_of_order"`
	Altered          int `json:"altered"` // deliveries of something that was never put

	Splits         int     `json:"splits"`
	Merges         int     `json:"merges"`
	WorkersKilled  int     `json:"workers_killed"`
	WorkersStopped int     `json:"workers_stopped"`
	LeaseMoves     int     `json:"lease_moves"` // from one worker to another
	LeasesLost     int     `json:"leases_lost"` // by workers that were alive
	Seconds        float64 `json:"seconds"`     // from the first worker's start to the last one's end
	FailoverTime   float64 `json:"failover_time_seconds"`

	Rounds   int      `json:"rounds"`
	Events   int      `json:"events"` // of a round
	Keys     int      `json:"keys"`
	PerSec   float64  `json:"records_per_second"`
	Median   float64  `json:"delay_median_seconds"` // from Put to the consumer's code
	P99      float64  `json:"delay_p99_seconds"`
	Longest  float64  `json:"delay_longest_seconds"`
	Examples []string `json:"examples,omitempty"` // of what is wrong

	Happenings []happening `json:"happenings"`
}

// report is the board's last word. The caller is in with.
func (b *board) report() report {
	v := b.ledger.judge(b.round)
	unstored, repeats := b.ledger.bound()
	took := b.elapsed()
	r := report{
		RecordsPut: b.ledger.put, RecordsDelivered: b.ledger.delivered, Duplicates: b.ledger.delivered - b.ledger.distinct,
		DuplicatesBound: unstored + repeats, Unstored: unstored, Repeated: repeats,
		Lost: v.lost, OutOfOrder: v.outOfOrder, Altered: b.ledger.altered, Examples: v.examples,
		Splits: b.counts[split], Merges: b.counts[merge], WorkersKilled: b.counts[killed], WorkersStopped: b.counts[stopped],
		LeaseMoves: b.moves, LeasesLost: b.counts[expired], Seconds: seconds(took), FailoverTime: failoverTime.Seconds(),
		Rounds: b.round, Events: len(b.input.events), Keys: len(b.input.places), PerSec: b.speed(),
		Median: seconds(v.median), P99: seconds(v.p99), Longest: seconds(v.max),
		Happenings: slices.Clone(b.happenings),
	}
	for i := range r.Happenings {
		r.Happenings[i].Seconds = math.Round(1000*r.Happenings[i].Seconds) / 1000
	}
	slices.SortStableFunc(r.Happenings, func(x, y happening) int { return cmp.Compare(x.Seconds, y.Seconds) })
	return r
}

// speed is in records a second, from the first delivery to the last.
func (b *board) speed() float64 {
	span := b.last.Sub(b.first).Seconds()
	if span <= 0 {
		return 0
	}
	return math.Round(float64(b.ledger.distinct) / span)
}

// seconds has milliseconds, which is more than anything here means.
func seconds(d time.Duration) float64 {
	return float64(d.Round(time.Millisecond).Milliseconds()) / 1000
}

// good is whether the run kept every promise.
func (r report) good() bool {
	return r.RecordsPut == r.Rounds*r.Events && r.Lost == 0 && r.OutOfOrder == 0 && r.Altered == 0 && r.Duplicates <= r.DuplicatesBound
}

func (r report) json() (string, error) {
	text, err := json.MarshalIndent(r, "", "  ")
	return string(text) + "\n", err
}

// summary is for people: what they want to know, in the order in which they want to know it, on one screen.
func (r report) summary() string {
	when := "when it died"
	if r.LeasesLost > 0 {
		when = "as its lease ended"
	}
	lines := []string{
		"Lost?          " + answer(r.Lost, "none of %s records", "%s of %s records", r.RecordsPut),
		"Out of order?  " + answer(r.OutOfOrder, "none, in any of %s keys", "%s records, in %s keys", r.Keys),
		fmt.Sprintf("How many?      %s put (%d rounds of %s earthquakes), %s delivered;",
			thousands(r.RecordsPut), r.Rounds, thousands(r.Events), thousands(r.RecordsDelivered)),
		fmt.Sprintf("               %s came twice, up to %s may: %s in the hands of a worker", thousands(r.Duplicates),
			thousands(r.DuplicatesBound), thousands(r.Unstored)),
		fmt.Sprintf("               %s, and %s that the producer sent again", when, thousands(r.Repeated)),
		fmt.Sprintf("How fast?      %s records/s (the pace of the producer) for %.0f s;", thousands(int(r.PerSec)), r.Seconds),
		fmt.Sprintf("               from Put to consumer %.2f s (median), %.1f s (99 %%), %.1f s (max)", r.Median, r.P99, r.Longest),
	}
	if r.Altered > 0 {
		lines = append(lines, fmt.Sprintf("ALTERED        %s deliveries are not what was put", thousands(r.Altered)))
	}
	if r.Duplicates > r.DuplicatesBound {
		lines = append(lines, fmt.Sprintf("TOO OFTEN      %s deliveries more than the bound allows", thousands(r.Duplicates-r.DuplicatesBound)))
	}
	for _, example := range r.Examples {
		lines = append(lines, "               "+example)
	}
	lines = append(lines, "", fmt.Sprintf("What happened (a worker that is silent for %g s loses its shards)", r.FailoverTime))
	lines = append(lines, r.told(height-2-len(lines))...)
	for i, l := range lines {
		lines[i] = cut(l, width)
	}
	return strings.Join(lines, "\n") + "\n"
}

// answer is one of two texts; both end with the same number.
func answer(bad int, none, some string, of int) string {
	if bad == 0 {
		return fmt.Sprintf(none, thousands(of))
	}
	return fmt.Sprintf(some, thousands(bad), thousands(of))
}

// told are the happenings, in at most room lines. Leases that move are many where there are many shards: those are left out first.
func (r report) told(room int) []string {
	const more = " ...     %d more moves of leases"
	keep := slices.Clone(r.Happenings)
	left := 0
	for i := len(keep) - 1; i >= 0 && len(keep) > room; i-- {
		if keep[i].Kind == moved {
			keep = slices.Delete(keep, i, i+1)
			if left++; left == 1 {
				room-- // for saying so
			}
		}
	}
	var lines []string
	for _, h := range keep {
		lines = append(lines, h.String())
	}
	if left > 0 {
		lines = append(lines, fmt.Sprintf(more, left))
	}
	return lines
}
