package consumer

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
)

// Health is a snapshot.
type Health struct {
	State  State
	Worker string // as it stands in leaseOwner

	// Err joins what stands in the way now, nil if nothing does: shards whose end your Flush does not confirm, why the consumer could not start, the
	// last error of the lease table and of the listing, rows of the table that are no leases (*lease.RowError).
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
	BusySince  time.Time           // start of the running call of your code; zero if none runs
	Attempt    int                 // at the call that keeps failing, from 1; 0 if none does
	Err        error               // why the shard does not move: your code's error, or that of fetching
}

// ShardState is where a shard is in its life.
type ShardState int

// The states of a shard, in the order of a life without trouble; Retrying goes back to Processing.
const (
	WaitingForParents ShardState = iota
	Opening
	Processing
	Retrying // your code fails; see Err
	Flushing
)

// String returns the state in lower case, as logs show it.
func (s ShardState) String() string {
	names := [...]string{"waiting for parents", "opening", "processing", "retrying", "flushing"}
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

	errs := []error{runErr, table.Err, c.listing.lastErr()}
	for _, row := range table.Rows {
		errs = append(errs, row)
	}
	slices.SortFunc(held, func(a, b *session) int { return strings.Compare(a.id(), b.id()) })
	for _, s := range held {
		sh := s.health()
		if sh.State == Flushing && sh.Err != nil {
			blocked := fmt.Errorf("shard %s has ended and is not flushed, its children wait: %w", sh.ID, sh.Err)
			errs = slices.Insert(errs, 0, blocked)
		}
		h.Shards = append(h.Shards, sh)
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

// view is what a session shows of itself.
type view struct {
	mu      sync.Mutex
	state   ShardState
	behind  time.Duration
	busy    time.Time
	attempt int
	err     error
	told    bool // the log has the error
}

func (v *view) enter(s ShardState) {
	v.mu.Lock()
	v.state, v.attempt, v.err, v.told = s, 0, nil, false
	v.mu.Unlock()
}

// begin notes that a call of user code begins, and when.
func (v *view) begin() time.Time {
	now := time.Now()
	v.mu.Lock()
	v.busy = now
	v.mu.Unlock()
	return now
}

// end notes that the call of user code is over.
func (v *view) end() {
	v.mu.Lock()
	v.busy = time.Time{}
	v.mu.Unlock()
}

// failing notes that attempt failed with err, and reports whether the log should have it: it is worth that, and not there yet. While your code works on
// a batch that fails, the state is Retrying; open and Flush keep theirs.
func (v *view) failing(attempt int, err error, worth bool) (tell bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.state == Processing && attempt > 0 {
		v.state = Retrying
	}
	tell = worth && !v.told
	v.attempt, v.err, v.told = attempt, err, v.told || worth
	return tell
}

// well notes that what failed works again, and reports whether the log has to be told.
func (v *view) well() (tell bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.state == Retrying {
		v.state = Processing
	}
	tell = v.told
	v.attempt, v.err, v.told = 0, nil, false
	return tell
}

func (v *view) fetched(behind time.Duration) {
	v.mu.Lock()
	v.behind = behind
	v.mu.Unlock()
}

func (s *session) health() ShardHealth {
	h := ShardHealth{Stream: s.c.stream.Name, ID: s.id(), Checkpoint: s.tenure.Lease().Checkpoint.Position}
	s.view.mu.Lock()
	defer s.view.mu.Unlock()
	h.State, h.Behind, h.BusySince, h.Attempt, h.Err = s.view.state, s.view.behind, s.view.busy, s.view.attempt, s.view.err
	return h
}
