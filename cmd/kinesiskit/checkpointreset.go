package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/checkpoint/reset"
)

const checkpointResetUsage = `Usage: kinesiskit checkpoint reset -table name -stream name -to target [-execute] [flags]

Plans where each shard would continue, and prints that. With -execute it is written: each row in one conditional write that takes the lease away
from its owner. While owners are alive it is refused; -live goes on.

Targets:
  oldest                    the oldest records that the stream has
  now                       what arrives from now on
  2026-01-02T15:04:05Z      what arrived at that time or later
  90m                       what arrived within the last 90 minutes
  a file                    the positions that kinesiskit checkpoint get -json printed
`

// planJSON is what reset prints. Its form is fixed.
type planJSON struct {
	Table    string      `json:"table"`
	Stream   string      `json:"stream"`
	Time     *time.Time  `json:"time,omitempty"`
	Moves    []moveJSON  `json:"moves"`
	Warnings []string    `json:"warnings"`
	Executed *reportJSON `json:"executed,omitempty"` // absent in a dry run
}

type moveJSON struct {
	Shard   string              `json:"shard"`
	Owner   string              `json:"owner,omitempty"`
	From    checkpoint.Position `json:"from"`
	To      checkpoint.Position `json:"to"`
	Create  bool                `json:"create,omitempty"`
	Arrival *time.Time          `json:"arrival,omitempty"`
	Why     string              `json:"why"`
}

// reportJSON is what became of the rows.
type reportJSON struct {
	Written   int           `json:"written"`
	Unchanged int           `json:"unchanged"`
	Failed    int           `json:"failed"`
	Failures  []failureJSON `json:"failures,omitempty"`
	Backup    string        `json:"backup,omitempty"`
}

type failureJSON struct {
	Shard string `json:"shard"`
	Error string `json:"error"`
}

func newPlanJSON(table string, p *reset.Plan) *planJSON {
	out := &planJSON{Table: table, Stream: p.Stream, Moves: []moveJSON{}, Warnings: append([]string{}, p.Warns...)}
	if !p.Time.IsZero() {
		out.Time = utc(p.Time)
	}
	for _, m := range p.Moves {
		line := moveJSON{Shard: m.Shard, Owner: m.Owner, From: m.From, To: m.To, Create: m.Create, Why: m.Why}
		if !m.Arrival.IsZero() {
			line.Arrival = utc(m.Arrival)
		}
		out.Moves = append(out.Moves, line)
	}
	return out
}

func utc(t time.Time) *time.Time {
	t = t.UTC()
	return &t
}

func newReportJSON(r reset.Report, err error, backup string) *reportJSON {
	out := &reportJSON{Written: r.Written, Unchanged: r.Unchanged, Failed: r.Failed, Backup: backup}
	out.collect(err)
	return out
}

// collect finds the rows that failed in an error that joins others.
func (r *reportJSON) collect(err error) {
	var joined interface{ Unwrap() []error }
	failed, one := err.(*reset.FailedError) //nolint:errorlint // what is inside it is its reason, and no other row
	switch {
	case one:
		r.Failures = append(r.Failures, failureJSON{Shard: failed.Key, Error: failed.Err.Error()})
	case errors.As(err, &joined):
		for _, part := range joined.Unwrap() {
			r.collect(part)
		}
	}
}

func checkpointReset(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	c := newCheckpointCommand("reset", checkpointResetUsage, stdout, stderr)
	c.flags.StringVar(&c.stream, "stream", "", "`name` or ARN of the stream (required)")
	to := c.flags.String("to", "", "`target`: oldest, now, a time, a duration back from now, or a file (required)")
	execute := c.flags.Bool("execute", false, "write the plan")
	live := c.flags.Bool("live", false, "write although owners may be alive")
	watch := c.flags.Duration("watch", 0, "how long to watch whether owners are alive (default 1.2 times the longest failover time, at least 12s)")
	backup := c.flags.String("backup", "", "`file` for the rows as they were; it must not exist (default kinesiskit-<table>-<time>.jsonl)")
	if status := c.parse(args, 0, "stream", "to"); status >= 0 {
		return status
	}
	target, err := parseTarget(*to, time.Now())
	if err != nil {
		return c.misused("-to: %v", err)
	}
	k, s, err := c.connect(ctx)
	if err != nil {
		return c.failed(err)
	}
	plan, err := reset.Make(ctx, k, s, c.stream, target)
	if err != nil {
		return c.failed(err)
	}
	out := newPlanJSON(c.table, plan)
	if !c.json {
		c.printPlan(plan)
	}
	var failure error
	if *execute && len(plan.Moves) > 0 {
		file := &backupFile{name: *backup}
		if file.name == "" {
			file.name = fmt.Sprintf("kinesiskit-%s-%s.jsonl", c.table, time.Now().UTC().Format("20060102T150405Z"))
		}
		var report reset.Report
		report, failure = plan.Execute(ctx, s, reset.ExecuteOptions{Live: *live, Watch: *watch, Backup: file})
		failure = errors.Join(failure, file.close())
		out.Executed = newReportJSON(report, failure, file.written())
	}
	return c.conclude(out, out.Executed, len(plan.Moves) > 0 && !*execute, failure)
}

// conclude prints what came of a plan.
func (c *checkpointCommand) conclude(out any, done *reportJSON, dry bool, failure error) int {
	status := exitOK
	switch {
	case c.json:
		status = c.print(out)
	case dry:
		_, _ = fmt.Fprintln(c.stdout, "\nNothing is written without -execute.")
	case done != nil:
		_, _ = fmt.Fprintf(c.stdout, "\n%d written, %d unchanged, %d failed.\n", done.Written, done.Unchanged, done.Failed)
		if done.Backup != "" {
			_, _ = fmt.Fprintf(c.stdout, "To put it back: kinesiskit checkpoint undo -table %s -execute %s\n", c.table, done.Backup)
		}
	}
	if failure != nil {
		return c.failed(failure)
	}
	return status
}

// parseTarget reads -to.
func parseTarget(to string, now time.Time) (reset.Target, error) {
	switch to {
	case "oldest":
		return reset.Oldest(), nil
	case "now":
		return reset.Now(), nil
	}
	if t, err := time.Parse(time.RFC3339, to); err == nil {
		return reset.Time(t), nil
	}
	if d, err := time.ParseDuration(to); err == nil {
		return reset.Time(now.Add(-d.Abs())), nil
	}
	text, err := os.ReadFile(to)
	if errors.Is(err, os.ErrNotExist) {
		return reset.Target{}, fmt.Errorf("%q is neither oldest, now, a time such as 2026-01-02T15:04:05Z, a duration such as 90m, nor a file", to)
	}
	if err != nil {
		return reset.Target{}, err
	}
	var saved leasesJSON
	if err := json.Unmarshal(text, &saved); err != nil {
		return reset.Target{}, fmt.Errorf("%s: %w", to, err)
	}
	if len(saved.Leases) == 0 {
		return reset.Target{}, fmt.Errorf("%s: no leases in it", to)
	}
	positions := make(map[string]checkpoint.Position)
	for _, l := range saved.Leases {
		positions[l.Shard] = l.Checkpoint
	}
	return reset.Exactly(positions), nil
}

// backupFile is made with its first line, so that a refused reset leaves none, and never over an older one.
type backupFile struct {
	name string
	file *os.File
}

func (b *backupFile) Write(line []byte) (int, error) {
	if b.file == nil {
		f, err := os.OpenFile(b.name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return 0, err
		}
		b.file = f
	}
	n, err := b.file.Write(line)
	if err != nil {
		return n, err
	}
	return n, b.file.Sync() // the row is written next
}

func (b *backupFile) close() error {
	if b.file == nil {
		return nil
	}
	return b.file.Close()
}

func (b *backupFile) written() string {
	if b.file == nil {
		return ""
	}
	return b.name
}
