package consumer

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
)

// Health is a snapshot.
type Health struct {
	State  State
	Worker string // as it stands in leaseOwner

	// Err joins what stands in the way now, nil if nothing does: first shards that your Flush does not confirm, whose children or next owner wait, then
	// shards that the error policy halted (ErrHalted), why the consumer could not start, the last error of the lease table and of the listing, rows of
	// the table that are no leases (*lease.RowError).
	Err error

	// Buffered is the payload that was fetched and is not done, in bytes; see Config.BufferBytes.
	Buffered int64

	Shards []ShardHealth // those held, by id

	unready error
}

// State is where a Consumer is in its life.
type State int

// The states of a Consumer, in their order.
const (
	Idle     State = iota // before Run
	Starting              // opening the table and listing the stream, until both have answered
	Running
	Draining
	Stopped
)

// String returns the state in lower case, as logs show it.
func (s State) String() string {
	names := [...]string{"idle", "starting", "running", "draining", "stopped"}
	if s < 0 || int(s) >= len(names) {
		return "unknown"
	}
	return names[s]
}

// ShardHealth is one shard that this worker holds.
type ShardHealth struct {
	Stream, ID string
	State      ShardState
	Checkpoint checkpoint.Position // as stored
	Behind     time.Duration       // of the page that was fetched last
	BusySince  time.Time           // start of the running call of your code, of the oldest of several; zero if none runs

	// Undone is how many records were handed to your code and are not done: those of the call that runs or fails or, with Config.ParallelizationFactor,
	// all between the stored position and the last that was begun or waits behind one of its key. OldestUndone is when the first of them was handed
	// over, or began to wait; zero if there is none. What a Processor holds back is not counted: only your code knows.
	Undone       int
	OldestUndone time.Time

	Attempt int   // at the call that keeps failing, from 1; 0 if none does
	Err     error // why the shard does not move: your code's error, joined with ErrHalted in state Halted, or that of fetching

	// Expired is the position that retention had passed when reading was to go on behind it, zero if it had not: records that stood behind it were lost.
	Expired checkpoint.Position
}

// ShardState is where a shard is in its life.
type ShardState int

// The states of a shard, in the order of a life without trouble; from Retrying and Halted it goes back to where it was.
const (
	WaitingForParents ShardState = iota
	Opening
	Processing
	Retrying // your code fails; see Err
	Halted   // by the error policy; see Err and Consumer.Resume
	Flushing
)

// String returns the state in lower case, as logs show it.
func (s ShardState) String() string {
	names := [...]string{"waiting for parents", "opening", "processing", "retrying", "halted", "flushing"}
	if s < 0 || int(s) >= len(names) {
		return "unknown"
	}
	return names[s]
}

// Ready is nil while the consumer runs and has reached its lease table within FailoverTime, which is what a readiness probe asks for. Shards whose
// processing fails do not make it unready: a restart would not help them.
func (h Health) Ready() error { return h.unready }

// Health returns a snapshot; call it as often as you like, from any goroutine.
func (c *Consumer) Health() Health {
	table := c.coordinator.Health()
	c.mu.Lock()
	h := Health{State: c.state, Worker: c.coordinator.Owner(), Buffered: c.budget.Buffered()}
	runErr := c.err
	held := make([]*session, 0, len(c.sessions))
	for s := range c.sessions {
		held = append(held, s)
	}
	c.mu.Unlock()

	var unflushed, halted []error
	slices.SortFunc(held, func(a, b *session) int { return strings.Compare(a.id(), b.id()) })
	for _, s := range held {
		sh := s.health()
		switch why := s.view.flushing(); {
		case sh.Err != nil && why == ShardEnded:
			unflushed = append(unflushed, fmt.Errorf("shard %s has ended and is not flushed, its children wait: %w", sh.ID, sh.Err))
		case sh.Err != nil && why != 0:
			unflushed = append(unflushed, fmt.Errorf("shard %s is to be left (%s) and is not flushed: %w", sh.ID, why, sh.Err))
		case sh.State == Halted:
			halted = append(halted, fmt.Errorf("shard %s: %w", sh.ID, sh.Err))
		}
		h.Shards = append(h.Shards, sh)
	}
	errs := slices.Concat(unflushed, halted, []error{runErr, table.Err, c.listing.lastErr()})
	for _, row := range table.Rows {
		errs = append(errs, row)
	}
	h.Err = errors.Join(errs...)
	switch age := time.Since(table.LastScan); {
	case h.State != Running:
		h.unready = fmt.Errorf("consumer: %s", h.State)
		if runErr != nil {
			h.unready = fmt.Errorf("consumer: %s: %w", h.State, runErr)
		}
	case age > c.cfg.Lease.FailoverTime:
		h.unready = fmt.Errorf("consumer: lease table not reached for longer than %v", c.cfg.Lease.FailoverTime)
		if table.Err != nil {
			h.unready = fmt.Errorf("%w: %w", h.unready, table.Err)
		}
	}
	return h
}

func (s *session) health() ShardHealth {
	h := ShardHealth{Stream: s.c.stream.Name, ID: s.id(), Checkpoint: s.tenure.Lease().Checkpoint.Position}
	s.view.show(&h)
	return h
}
