package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/checkpoint/reset"
)

const checkpointUndoUsage = `Usage: kinesiskit checkpoint undo -table name [-execute] [flags] file

Shows the backup that kinesiskit checkpoint reset made, and with -execute puts it back. Rows that a worker has taken since are left alone.
`

// undoJSON is what undo prints. Its form is fixed.
type undoJSON struct {
	Table    string      `json:"table"`
	Moves    []undoMove  `json:"moves"`
	Executed *reportJSON `json:"executed,omitempty"` // absent in a dry run
}

// undoMove is a line of a backup, as far as it is shown.
type undoMove struct {
	Shard   string              `json:"shard"`
	From    checkpoint.Position `json:"from"`
	To      checkpoint.Position `json:"to"`
	Deleted bool                `json:"deleted,omitempty"` // the reset created the row
}

func checkpointUndo(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	c := newCheckpointCommand("undo", checkpointUndoUsage, stdout, stderr)
	execute := c.flags.Bool("execute", false, "write")
	if status := c.parse(args, 1); status >= 0 {
		return status
	}
	text, err := os.ReadFile(c.flags.Arg(0))
	if err != nil {
		return c.failed(err)
	}
	moves, err := undoMoves(text)
	if err != nil {
		return c.failed(fmt.Errorf("%s: %w", c.flags.Arg(0), err))
	}
	out := &undoJSON{Table: c.table, Moves: moves}
	if !c.json {
		c.columns(func(line func(...any)) {
			line("SHARD", "FROM", "TO")
			for _, m := range out.Moves {
				to := short(m.To)
				if m.Deleted {
					to = "(no row)"
				}
				line(m.Shard, short(m.From), to)
			}
		})
	}
	var failure error
	if *execute {
		_, s, err := c.connect(ctx)
		if err != nil {
			return c.failed(err)
		}
		var report reset.Report
		report, failure = reset.Undo(ctx, s, bytes.NewReader(text))
		out.Executed = newReportJSON(report, failure, "")
	}
	return c.conclude(out, out.Executed, !*execute, failure)
}

// undoMoves reads a backup to show it. Undo judges it again, and more strictly, before anything is written.
func undoMoves(text []byte) ([]undoMove, error) {
	moves := []undoMove{}
	n := 0
	for line := range bytes.Lines(text) {
		n++
		var entry struct {
			Key        string
			Created    bool
			Checkpoint checkpoint.Position
			To         checkpoint.Position
		}
		if len(bytes.TrimSpace(line)) == 0 || !bytes.HasSuffix(line, []byte("\n")) {
			continue // a line that was cut off announces a write that was never made
		}
		if err := json.Unmarshal(line, &entry); err != nil || entry.Key == "" {
			return nil, fmt.Errorf("line %d: not a backup", n)
		}
		moves = append(moves, undoMove{Shard: entry.Key, From: entry.To, To: entry.Checkpoint, Deleted: entry.Created})
	}
	return moves, nil
}
