package main

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/checkpoint/reset"
)

// What a line of at most 100 columns has room for.
const (
	keptDigits = 8 // of a sequence number, its last: those differ
	keptOwner  = 26
)

// print writes JSON.
func (c *checkpointCommand) print(v any) int {
	e := json.NewEncoder(c.stdout)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return c.failed(err)
	}
	return exitOK
}

// columns writes aligned lines.
func (c *checkpointCommand) columns(write func(line func(cells ...any))) {
	w := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	write(func(cells ...any) {
		for i, cell := range cells {
			if i > 0 {
				_, _ = fmt.Fprint(w, "\t")
			}
			_, _ = fmt.Fprint(w, cell)
		}
		_, _ = fmt.Fprintln(w)
	})
	_ = w.Flush()
}

func (c *checkpointCommand) printLeases(out *leasesJSON) int {
	c.columns(func(line func(...any)) {
		head := []any{"SHARD", "CHECKPOINT", "OWNER"}
		if c.stream != "" {
			head = append(head, "RECORD", "BEHIND")
		}
		line(head...)
		for _, l := range out.Leases {
			cells := []any{l.Shard, short(l.Checkpoint), owner(l.Owner)}
			if c.stream != "" {
				cells = append(cells, moment(l.Arrival), behind(l.BehindMs))
			}
			line(cells...)
		}
	})
	for _, skipped := range out.Skipped {
		_, _ = fmt.Fprintf(c.stderr, "skipped: %s\n", skipped)
	}
	return exitOK
}

// printPlan writes a plan for people: warnings last, where they are seen.
func (c *checkpointCommand) printPlan(p *reset.Plan) {
	if !p.Time.IsZero() {
		_, _ = fmt.Fprintf(c.stdout, "%s of %s to %s\n\n", c.table, p.Stream, p.Time.UTC().Format(time.RFC3339Nano))
	} else {
		_, _ = fmt.Fprintf(c.stdout, "%s of %s\n\n", c.table, p.Stream)
	}
	if len(p.Moves) == 0 {
		_, _ = fmt.Fprintln(c.stdout, "Every shard stands there already.")
	} else {
		c.columns(func(line func(...any)) {
			line("SHARD", "FROM", "TO", "FIRST RECORD", "WHY")
			for _, m := range p.Moves {
				from := short(m.From)
				if m.Create {
					from = "(no row)"
				}
				var arrival *time.Time
				if !m.Arrival.IsZero() {
					arrival = &m.Arrival
				}
				line(m.Shard, from, short(m.To), moment(arrival), m.Why)
			}
		})
	}
	if len(p.Warns) > 0 {
		_, _ = fmt.Fprintln(c.stdout)
	}
	for _, warning := range p.Warns {
		_, _ = fmt.Fprintf(c.stdout, "Warning: %s\n", warning)
	}
}

// short is a position that a table has room for.
func short(p checkpoint.Position) string {
	text := p.String()
	if cut := len(p.Sequence()) - keptDigits; !p.IsSentinel() && cut > 1 {
		return "…" + text[cut:]
	}
	if text == "" {
		return "-"
	}
	return text
}

func owner(name string) string {
	if name == "" {
		return "-"
	}
	if utf8.RuneCountInString(name) <= keptOwner {
		return name
	}
	runes := []rune(name)
	return string(runes[:keptOwner-9]) + "…" + string(runes[len(runes)-8:]) // the end is what tells two starts apart
}

func moment(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

func behind(ms *int64) string {
	if ms == nil {
		return "-"
	}
	d := time.Duration(*ms) * time.Millisecond
	if d >= time.Second {
		d = d.Round(time.Second)
	}
	return d.String()
}
