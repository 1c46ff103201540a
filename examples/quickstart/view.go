package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/kinesiskit/kinesiskit/shard"
)

// The size of a terminal that can be counted on.
const (
	width  = 80
	height = 24
)

// snapshot is the board at one moment, as far as it is shown.
type snapshot struct {
	elapsed    time.Duration
	round      int
	put        int
	delivered  int // repeated ones too
	duplicates int
	step       int // of chapters
	shards     []shardView
	workers    []workerView
	happenings []happening
}

type shardView struct {
	name, from string
	keys       []string
	owner      string
	ownerDead  bool
	ended      bool
	delivered  int
}

type workerView struct {
	name      string
	fate      kind
	holds     int
	delivered int
}

// snapshot takes what is shown.
func (b *board) snapshot() snapshot {
	b.mu.Lock()
	defer b.mu.Unlock()
	v := snapshot{
		elapsed: b.elapsed(), round: b.round, step: b.step, put: b.ledger.put,
		delivered: b.ledger.delivered, duplicates: b.ledger.delivered - b.ledger.distinct,
		happenings: slices.Clone(b.happenings),
	}
	holds := make(map[string]int)
	for _, id := range slices.Sorted(maps.Keys(b.shards)) {
		s := b.shards[id]
		sv := shardView{
			name: short(id), from: origin(s), keys: keysIn(b.input, s.keys), owner: s.owner, ended: s.ended, delivered: s.delivered,
		}
		if w := b.workers[s.owner]; w != nil && !s.ended {
			holds[s.owner]++
			sv.ownerDead = w.fate == killed
		}
		v.shards = append(v.shards, sv)
	}
	for _, name := range slices.Sorted(maps.Keys(b.workers)) {
		w := b.workers[name]
		v.workers = append(v.workers, workerView{name: name, fate: w.fate, holds: holds[name], delivered: w.delivered})
	}
	return v
}

// origin says what a shard came from.
func origin(s *shardState) string {
	var names []string
	for _, id := range s.parents {
		names = append(names, short(id))
	}
	switch len(names) {
	case 0:
		return ""
	case 1:
		return "half of " + names[0]
	default:
		return strings.Join(names, " + ")
	}
}

// keysIn are the input's keys that go to a range, in the order of their hashes.
func keysIn(in *input, r shard.HashRange) []string {
	var keys []string
	for key := range in.places {
		if r.Contains(shard.HashOf(key)) {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b string) int { return shard.HashOf(a).Compare(shard.HashOf(b)) })
	return keys
}

// render draws a snapshot: at most height-1 lines of at most width columns. rate is records a second.
func (v snapshot) render(rate float64) []string {
	lines := []string{
		pad("kinesiskit quickstart", width-8) + fmt.Sprintf("%6.1f s", v.elapsed.Seconds()),
		fmt.Sprintf("Earthquakes for %d worker processes. One that is silent for %v loses its shards.", len(v.workers), failoverTime),
		"",
		fmt.Sprintf("round %-4d put %-9s delivered %-9s twice %-6s %s records/s",
			v.round, thousands(v.put), thousands(v.delivered), thousands(v.duplicates), thousands(int(rate))),
		v.steps(),
		"",
		"SHARD  FROM        OWNER     RECORDS  KEYS",
	}
	below := append([]string{""}, v.fleet()...)
	below = append(below, "")
	room := height - 1 - len(lines) - len(below) - min(len(v.happenings), 3)
	lines = append(lines, v.lineage(room)...)
	lines = append(lines, below...)
	last := v.happenings[max(0, len(v.happenings)-(height-1-len(lines))):]
	for _, h := range last {
		lines = append(lines, h.String())
	}
	for i, l := range lines {
		lines[i] = cut(l, width)
	}
	return lines
}

// steps shows how far the story is.
func (v snapshot) steps() string {
	var parts []string
	for i, c := range chapters {
		mark := "[ ]"
		switch {
		case i < v.step:
			mark = "[x]"
		case i == v.step:
			mark = "[>]"
		}
		parts = append(parts, mark+" "+string(c.name))
	}
	return strings.Join(parts, "  ")
}

// lineage is one line a shard, the newest where there is not room for all.
func (v snapshot) lineage(room int) []string {
	var lines []string
	shown := v.shards
	if over := len(shown) - room; over > 0 {
		shown = shown[over+1:]
		lines = append(lines, fmt.Sprintf("(and %d older shards)", over+1))
	}
	for _, s := range shown {
		owner := s.owner
		switch {
		case s.ended:
			owner = "finished"
		case s.ownerDead:
			owner += " (dead)"
		case owner == "":
			owner = "-"
		}
		lines = append(lines, fmt.Sprintf("%5s  %-10s  %-9s %7s  %s", s.name, s.from, owner, thousands(s.delivered), strings.Join(s.keys, " ")))
	}
	return lines
}

func (v snapshot) fleet() []string {
	var lines []string
	for _, w := range v.workers {
		what := fmt.Sprintf("owns %d", w.holds)
		switch w.fate {
		case killed:
			what = "killed"
		case stopped, finish:
			what = "stopped"
		}
		lines = append(lines, fmt.Sprintf("%5s  %-10s            %7s  records", w.name, what, thousands(w.delivered)))
	}
	return lines
}

func (h happening) String() string {
	return fmt.Sprintf("%6.1f s  %-5s  %s", h.Seconds, h.Kind, h.Text)
}

// thousands is a number for people: 18,777.
func thousands(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func pad(s string, to int) string { return s + strings.Repeat(" ", max(0, to-len(s))) }

// cut shortens a line. All text here is ASCII, but for what a stream of others may bring.
func cut(s string, to int) string {
	if r := []rune(s); len(r) > to {
		return string(r[:to-1]) + "~"
	}
	return s
}
