package lease

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/kinesiskit/kinesiskit/internal/retry"
)

// Workers of KCL 3.x have a leader that assigns leases, which cannot be combined with workers that take them. What they keep in tables beside the leases stays when
// they stop, so what is there says nothing: only what moves while it is watched proves that they live. Times in those rows are other hosts', and are not read.

// Sign is something that workers of KCL 3.x write beside leases: in the lease table, or in tables of their own.
type Sign struct {
	Place string // the table, and the key if it is a row
	Owner string // the worker that it is about; empty if it is about none
	Beat  string // changes while that worker lives, within 30 seconds; empty if it never does
	Leads bool   // only the leader of a fleet that has one writes it
	Mode  string // of the row that says which protocol the fleet is set to: KCL's client version
}

// SignReader is implemented by a Store whose table workers of KCL 3.x may use too. Like a Store's methods Signs is one attempt and ends with ctx. What does not exist,
// or may not be read, is no sign.
type SignReader interface {
	// Signs reads the signs of an application, which names the tables beside the lease table; "" stands for the lease table's name. Without all it leaves out what takes a scan
	// of the lease table.
	Signs(ctx context.Context, application string, all bool) ([]Sign, error)
}

// FleetError says that workers of KCL 3.x run the application. Let them stop first, or set their fleet back to the protocol of 2.x.
type FleetError struct{ Owners []string }

func (e *FleetError) Error() string {
	return fmt.Sprintf("lease: live workers of KCL 3.x run this application: %s", strings.Join(e.Owners, ", "))
}

// Times of the watch for KCL 3.x, whose workers write every 30 s.
const (
	fleetWatch = 35 * time.Second
	fleetCheck = time.Minute
)

// moving returns the owners of signs that moved or came between two readings, if that proves a live fleet of KCL 3.x. A fleet that is set to the protocol of 2.x, as it is
// while it is upgraded, does not count: its workers report about themselves, and take leases as those of 2.x.
func moving(before, now []Sign) []string {
	old := make(map[string]string, len(before))
	for _, s := range before {
		old[s.Place] = s.Beat
	}
	mode := ""
	for _, s := range now {
		if s.Mode != "" {
			mode = s.Mode
		}
	}
	set3 := strings.HasPrefix(mode, "CLIENT_VERSION_3X")
	var owners []string
	for _, s := range now {
		beat, known := old[s.Place]
		if s.Beat != "" && (!known || beat != s.Beat) && (set3 || s.Leads && mode == "") {
			owners = append(owners, s.Owner)
		}
	}
	slices.Sort(owners)
	return slices.Compact(owners)
}

// newest is what was last read of every place: one that cannot be read for a while has not come anew.
func newest(before, now []Sign) []Sign {
	read := make(map[string]bool, len(now))
	for _, s := range now {
		read[s.Place] = true
	}
	all := slices.Clone(now)
	for _, s := range before {
		if !read[s.Place] && s.Mode == "" { // the mode is that of now
			all = append(all, s)
		}
	}
	return all
}

// CheckFleet looks for workers of KCL 3.x before anything is written. If they left signs it watches those for 35 seconds; otherwise it returns at once. application names
// KCL's tables beside the lease table, and is what Run goes on watching. It does nothing if the store is no [SignReader].
//
// Errors: *FleetError; anything else may be retried.
func (c *Coordinator) CheckFleet(ctx context.Context, application string) error {
	reader, ok := c.store.(SignReader)
	if !ok {
		return nil
	}
	c.mu.Lock()
	c.application = application
	c.mu.Unlock()
	first, err := reader.Signs(ctx, application, false)
	if err != nil {
		return err
	}
	c.found(first)
	if len(first) == 0 {
		return nil // a fleet of KCL 3.x leaves at least the row that says so
	}
	if first, err = reader.Signs(ctx, application, true); err != nil {
		return err
	}
	places := make([]string, len(first))
	for i, s := range first {
		places[i] = s.Place
	}
	c.log.Info("KCL 3.x has been here; nothing is taken before it is seen to be gone", zap.Strings("left", places), zap.Duration("watch", fleetWatch))
	if err := retry.Sleep(ctx, fleetWatch); err != nil {
		return err
	}
	now, err := reader.Signs(ctx, application, true)
	if err != nil {
		return err
	}
	c.found(now)
	if owners := moving(first, now); len(owners) > 0 {
		return &FleetError{Owners: owners}
	}
	return nil
}

func (c *Coordinator) found(signs []Sign) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.signs, c.checked = signs, true
}

// lookOut watches for workers of KCL 3.x that start while this one runs, until ctx ends.
func (c *Coordinator) lookOut(ctx context.Context) {
	reader, ok := c.store.(SignReader)
	if !ok {
		return
	}
	c.mu.Lock()
	application, before, checked := c.application, c.signs, c.checked
	c.mu.Unlock()
	rng := rand.New(rand.NewPCG(c.seed, hash64("look-out")))
	for retry.Sleep(ctx, fleetCheck-time.Duration(rng.Int64N(int64(fleetCheck)/6))) == nil {
		now, err := c.readSigns(ctx, reader, application)
		if err != nil {
			continue // the next look at the leases tells of it
		}
		if owners := moving(before, now); checked && len(owners) > 0 {
			c.surrender(owners...)
			return
		}
		before, checked = newest(before, now), true
	}
}

func (c *Coordinator) readSigns(ctx context.Context, reader SignReader, application string) ([]Sign, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.FailoverTime)
	defer cancel()
	return reader.Signs(ctx, application, false)
}

// hands looks in the rows for hand-offs that a leader of KCL 3.x has begun since the look before: of our own leases, or between other workers. One between others is
// read again: what a listing shows may be older than a take of ours that ended it.
func (c *Coordinator) hands(ctx context.Context, rows []Lease) {
	now := make(map[string]string)
	for _, r := range rows {
		if r.CheckpointOwner == "" {
			continue
		}
		if c.looked && c.handed[r.Key] != r.CheckpointOwner {
			row, err := c.get(ctx, r.Key)
			switch {
			case err != nil:
				continue // the next look finds it again
			case row.CheckpointOwner == r.CheckpointOwner:
				c.surrender(row.Owner)
			}
		}
		now[r.Key] = r.CheckpointOwner
	}
	c.looked, c.handed = true, now
}

// refusedBy looks at the row that refused a write: a leader of KCL 3.x that takes a lease out of our hands names us in it.
func (c *Coordinator) refusedBy(row *Lease) {
	if row != nil && row.CheckpointOwner == c.owner {
		c.surrender(row.Owner)
	}
}

// surrender stops this worker: a live leader of KCL 3.x assigns leases as it sees fit, and takes our taking for failures.
func (c *Coordinator) surrender(owners ...string) {
	err := &FleetError{Owners: owners}
	select {
	case c.alarm <- err:
		c.log.Error("KCL 3.x runs this application: this worker stops", zap.Strings("owners", owners))
	default: // it is known
	}
}

// yield stops the worker when somebody calls surrender, until watch ends. What is not finished after HandoffTimeout is stopped hard.
func (c *Coordinator) yield(watch context.Context) {
	select {
	case <-watch.Done():
		return
	case err := <-c.alarm:
		c.mu.Lock()
		c.fleet = err
		c.mu.Unlock()
		ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(watch), c.cfg.HandoffTimeout, err)
		defer cancel()
		_ = c.shut(ctx) // what it has to say, drained says
	}
}

// because adds why this worker stopped to how that ended.
func (c *Coordinator) because(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fleet == nil {
		return err
	}
	return errors.Join(c.fleet, err)
}
