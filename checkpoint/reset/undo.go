package reset

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/lease"
)

// entry is a line of a backup: a row as it was, and what was about to be written over it.
type entry struct {
	Key           string              `json:"key"`
	Created       bool                `json:"created,omitempty"` // there was no row
	Owner         string              `json:"owner,omitempty"`
	Counter       int64               `json:"counter"`
	OwnerSwitches int64               `json:"ownerSwitches"`
	Position      checkpoint.Position `json:"checkpoint"`
	Pending       checkpoint.Position `json:"pending"`
	State         []byte              `json:"state,omitempty"`
	To            checkpoint.Position `json:"to"`
	Wrote         int64               `json:"wrote"` // the counter after the write
}

func remembered(row lease.Lease, to checkpoint.Position) entry {
	return entry{
		Key: row.Key, Owner: row.Owner, Counter: row.Counter, OwnerSwitches: row.OwnerSwitches,
		Position: row.Checkpoint.Position, Pending: row.Checkpoint.Pending, State: row.Checkpoint.State,
		To: to, Wrote: row.Counter + step,
	}
}

// remember writes a line of the backup. Without it the row is not written.
func (e *execution) remember(line entry) error {
	if e.backup == nil {
		return nil
	}
	text, err := json.Marshal(line)
	if err == nil {
		_, err = e.backup.Write(append(text, '\n'))
	}
	if err != nil {
		return &stopError{fmt.Errorf("reset: lease %s: write backup: %w", line.Key, err)}
	}
	return nil
}

// Undo puts the rows of a backup back: position, what was pending, and the count of owner switches as they were; rows that were created are deleted. Owners are
// not put back, counters move on, and the ids of children that a row was given stay.
//
// A row is only written if it stands as the reset left it. One that a worker has taken since is counted as failed, as in Execute; a reset with Exactly
// moves it. The whole backup is read, and checked (ErrBackup), before anything is written. Undo may be repeated.
func Undo(ctx context.Context, s lease.Store, backup io.Reader) (Report, error) {
	keys, entries, err := readBackup(backup)
	if err != nil {
		return Report{}, err
	}
	e := &execution{store: s, failed: make(map[string]bool)}
	for _, key := range keys {
		err := e.count(ctx, key, func(ctx context.Context) (bool, error) { return e.undo(ctx, key, entries[key]) })
		if err != nil {
			return e.report, errors.Join(append(e.failures, err)...)
		}
	}
	return e.report, errors.Join(e.failures...)
}

// readBackup reads the entries of each key, and the keys in their order.
func readBackup(backup io.Reader) (keys []string, entries map[string][]entry, err error) {
	entries = make(map[string][]entry)
	lines := bufio.NewReader(backup)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		last := errors.Is(err, io.EOF)
		if err != nil && !last {
			return nil, nil, fmt.Errorf("%w: %w", ErrBackup, err)
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			e, err := parseEntry(line)
			switch {
			case err == nil:
				if len(entries[e.Key]) == 0 {
					keys = append(keys, e.Key)
				}
				entries[e.Key] = append(entries[e.Key], e)
			case !last: // a line without an end was cut off, and the write that it announces was never made
				return nil, nil, fmt.Errorf("%w: line %d: %w", ErrBackup, n, err)
			}
		}
		if last {
			return keys, entries, nil
		}
	}
}

func parseEntry(line []byte) (e entry, err error) {
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&e); err != nil {
		return e, err
	}
	if e.Key == "" || e.To == (checkpoint.Position{}) {
		return e, errors.New("no key, or no position")
	}
	return e, nil
}

// undo attempts to put one row back. A row may have several entries, one for each attempt to write it, of which one at most was successful.
func (e *execution) undo(ctx context.Context, key string, entries []entry) (written bool, err error) {
	row, err := e.store.Get(ctx, key)
	if errors.Is(err, lease.ErrNotFound) {
		if slices.ContainsFunc(entries, func(was entry) bool { return was.Created }) {
			return false, nil
		}
		return false, fmt.Errorf("%w: it was deleted", ErrChanged)
	}
	if err != nil {
		return false, err
	}
	for _, was := range slices.Backward(entries) {
		if row.Counter != was.Wrote || !stands(row, was.To) {
			continue
		}
		if was.Created {
			err = e.store.Delete(ctx, key, exactlyAs(row))
		} else {
			_, err = e.store.Write(ctx, key, exactlyAs(row), was.change())
		}
		return err == nil, err
	}
	for _, was := range entries {
		if !was.Created && row.Checkpoint.Position == was.Position && row.Checkpoint.Pending == was.Pending {
			return false, nil
		}
	}
	return false, fmt.Errorf("%w: owner %q, counter %d, checkpoint %s", ErrChanged, row.Owner, row.Counter, row.Checkpoint.Position)
}

// change puts a row back as it was, but for its owner, who may be dead and would hold it up.
func (e *entry) change() lease.Change {
	var nobody string
	return lease.Change{
		AddCounter: step, Owner: &nobody, OwnerSwitches: &e.OwnerSwitches,
		Checkpoint: &checkpoint.Checkpoint{Position: e.Position, Pending: e.Pending, State: e.State},
	}
}
