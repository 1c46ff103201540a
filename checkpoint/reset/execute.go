package reset

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/internal/retry"
	"github.com/kinesiskit/kinesiskit/lease"
)

const (
	// step is by how much a write moves the counter. One would do as long as the owner goes with it; two is what no owner of any version
	// takes for its own work.
	step = 2

	// tries bounds the attempts at one row. They last for some 6 s, longer than a table's burst of throttles; an owner that is alive moves the
	// counter every few seconds only, so the second attempt meets a row that stands still.
	tries = 8

	// writeTimeout bounds one request to the table.
	writeTimeout = 10 * time.Second

	writeRetryBase = 100 * time.Millisecond
	writeRetryMax  = 2 * time.Second
)

// ExecuteOptions say how a plan is executed. The zero value is the safe way, without a backup.
type ExecuteOptions struct {
	// Live goes on although owners may be alive, and takes their leases away wherever they stand by then; a shard that was finished since the plan was
	// made is still left alone. What owners have in hand is processed to its end, and not stored.
	Live bool

	// Watch is how long counters are watched, unless Live, to see whether owners are alive. Default: 1.2 times the longest FailoverTime that a row names, 12 s at
	// least, which is KCL's default. A fleet of KCL with a longer failoverTimeMillis needs 1.2 times that. Nothing is watched where nobody owns a lease.
	Watch time.Duration

	// Backup gets each row as it is before it is written, a line of JSON; Undo reads it. A failure to write it ends Execute. Default: none.
	Backup io.Writer
}

// Report counts rows.
type Report struct {
	Written   int
	Unchanged int // they stood where they should already, as after an earlier attempt
	Failed    int // they were not written, or that is not known
}

// Execute writes the plan. It refuses while owners are alive (*ActiveError) unless Live. Each row is changed in one write, on condition that nobody has
// written it since it was read: its owner removed, its counter moved, its position set, what was pending removed.
//
// Without Live, a row that is not as it was planned is not written. Rows that could not be written are counted, and each is a *FailedError in the error that
// is returned; the others are written nevertheless, descendants of a failed one excepted. Any other error ended Execute early. A plan may be executed
// again: what is written already counts as unchanged.
func (p *Plan) Execute(ctx context.Context, s lease.Store, opts ExecuteOptions) (Report, error) {
	if !opts.Live {
		owners, active, err := watch(ctx, s, opts.Watch)
		if err != nil {
			return Report{}, err
		}
		if active {
			return Report{}, &ActiveError{Owners: owners}
		}
	}
	e := &execution{store: s, live: opts.Live, backup: opts.Backup, failed: make(map[string]bool)}
	for i := range p.Moves {
		if err := e.move(ctx, &p.Moves[i]); err != nil {
			return e.report, errors.Join(append(e.failures, err)...)
		}
	}
	return e.report, errors.Join(e.failures...)
}

// execution is one run of Execute.
type execution struct {
	store    lease.Store
	live     bool
	backup   io.Writer
	report   Report
	failed   map[string]bool // by key
	failures []error
}

// move writes one row and counts it. An error ends the run.
func (e *execution) move(ctx context.Context, m *Move) error {
	if slices.ContainsFunc(m.parents, func(id string) bool { return e.failed[id] }) {
		e.fail(m.Key, ErrAncestor)
		return nil
	}
	return e.count(ctx, m.Key, func(ctx context.Context) (bool, error) { return e.attempt(ctx, m) })
}

// count attempts a row and counts what came of it. An error ends the run.
func (e *execution) count(ctx context.Context, key string, attempt func(context.Context) (bool, error)) error {
	written, err := e.repeat(ctx, key, attempt)
	var stop *stopError
	switch {
	case errors.As(err, &stop):
		return stop.err
	case err != nil:
		e.fail(key, err)
	case written:
		e.report.Written++
	default:
		e.report.Unchanged++
	}
	return nil
}

func (e *execution) fail(key string, err error) {
	e.report.Failed++
	e.failed[key] = true
	e.failures = append(e.failures, &FailedError{Key: key, Err: err})
}

// stopError ends a run: there is no point in trying the next row.
type stopError struct{ err error }

func (e *stopError) Error() string { return e.err.Error() }

// repeat attempts a row until it is written, found written, or not to be written. A request without an answer may have been applied, and then the row
// stands where it should at the next look.
func (e *execution) repeat(ctx context.Context, key string, attempt func(context.Context) (bool, error)) (written bool, err error) {
	backoff := retry.NewBackoff(rand.New(rand.NewPCG(1, 1)), writeRetryBase, writeRetryMax)
	var unanswered error
	for try := 1; ; try++ {
		if err := ctx.Err(); err != nil {
			return false, &stopError{fmt.Errorf("reset: lease %s: %w", key, err)}
		}
		written, err := bounded(ctx, attempt)
		var conflict *lease.ConflictError
		var stop *stopError
		switch {
		case err == nil:
			return written || unanswered != nil, nil
		case errors.As(err, &stop):
			return false, err
		case errors.Is(err, ErrChanged):
			if unanswered != nil {
				err = fmt.Errorf("%w, perhaps by a write that had no answer: %w", err, unanswered)
			}
			return false, err
		case errors.As(err, &conflict), errors.Is(err, lease.ErrExists):
			err = fmt.Errorf("%w: %w", ErrChanged, err)
		default:
			unanswered = err
		}
		if try == tries || retry.Sleep(ctx, backoff.Next()) != nil {
			return false, err
		}
	}
}

func bounded(ctx context.Context, attempt func(context.Context) (bool, error)) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	return attempt(ctx)
}

// attempt looks at the row and writes it once. The write holds only for the row that was looked at, so whatever happens in between wins.
func (e *execution) attempt(ctx context.Context, m *Move) (written bool, err error) {
	row, err := e.store.Get(ctx, m.Key)
	absent := errors.Is(err, lease.ErrNotFound)
	if err != nil && !absent {
		return false, err
	}
	if !absent && stands(row, m.To) {
		return false, nil
	}
	if err := m.fits(row, absent, e.live); err != nil {
		return false, err
	}
	if m.Create {
		if err := e.remember(entry{Key: m.Key, Created: true, To: m.To, Wrote: m.row.Counter}); err != nil {
			return false, err
		}
		return true, e.store.Create(ctx, m.row)
	}
	if err := e.remember(remembered(row, m.To)); err != nil {
		return false, err
	}
	_, err = e.store.Write(ctx, m.Key, exactlyAs(row), m.change())
	return err == nil, err
}

// fits reports whether the row may still be written.
func (m *Move) fits(row lease.Lease, absent, live bool) error {
	switch {
	case m.Create && absent:
		return nil
	case m.Create:
		return fmt.Errorf("%w: it was created, at %s", ErrChanged, row.Checkpoint.Position)
	case absent:
		return fmt.Errorf("%w: it was deleted", ErrChanged)
	case row.Ended() != m.row.Ended():
		// Its children were made, or were made to start over, since.
		return fmt.Errorf("%w: from %s to %s", ErrChanged, m.row.Checkpoint.Position, row.Checkpoint.Position)
	case !live && !exactlyAs(m.row).Holds(row):
		return fmt.Errorf("%w: owner %q, counter %d, checkpoint %s", ErrChanged, row.Owner, row.Counter, row.Checkpoint.Position)
	}
	return nil
}

// exactlyAs holds for a row that nobody has written since it was read.
func exactlyAs(row lease.Lease) lease.Condition {
	position := row.Checkpoint.Position
	return lease.Condition{Counter: &row.Counter, Owner: &row.Owner, CheckpointOwner: &row.CheckpointOwner, Position: &position}
}

// change is the one write: without the owner's removal it would take the write for its own, without the counter's move a write of its that is on the way
// would still be accepted.
func (m *Move) change() lease.Change {
	var nobody string
	var none int64
	return lease.Change{
		AddCounter: step, Owner: &nobody, CheckpointOwner: &nobody, OwnerSwitches: &none,
		Checkpoint: &checkpoint.Checkpoint{Position: m.To}, Children: m.children,
	}
}
