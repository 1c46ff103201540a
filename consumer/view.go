package consumer

import (
	"sync"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
)

// view is what a session shows of itself. It has the calls of your code that run: one, or with Config.ParallelizationFactor several.
type view struct {
	mu      sync.Mutex
	state   ShardState
	why     Reason // of the Flush that is asked for; 0 if none is
	behind  time.Duration
	calls   []userCall // by slot; since is zero where none runs
	handed  int        // records of the last call that delivered
	since   time.Time  // when they were handed over first
	more    func(h *ShardHealth)
	attempt int
	err     error
	told    bool // the log has the error
	expired checkpoint.Position

	resumed chan struct{} // closed by Resume; nil if the shard is not halted
	before  ShardState    // of the halt

	slow slowWatch
}

// userCall is a call of your code that runs.
type userCall struct {
	what  string
	at    checkpoint.Position // of the first record it was given
	since time.Time
	told  time.Time // when it was last reported as slow; zero if it was not
}

func (v *view) enter(s ShardState) {
	v.mu.Lock()
	v.state, v.attempt, v.err, v.told = s, 0, nil, false
	v.mu.Unlock()
}

// lost notes the position that retention had passed.
func (v *view) lost(p checkpoint.Position) {
	v.mu.Lock()
	v.expired = p
	v.mu.Unlock()
}

// begin notes that a call of user code is about to begin, and when, and what it is given. The slot is for end.
func (v *view) begin(what string, records []Record) (slot int, now time.Time) {
	now = time.Now()
	v.mu.Lock()
	if what != inPolicy {
		if v.handed = len(records); v.attempt == 0 {
			v.since = now
		}
	}
	for slot < len(v.calls) && !v.calls[slot].since.IsZero() {
		slot++
	}
	if slot == len(v.calls) {
		v.calls = append(v.calls, userCall{})
	}
	v.calls[slot] = userCall{what: what, at: place(records), since: now}
	v.slow.arm()
	v.mu.Unlock()
	return slot, now
}

// end notes that the call of user code is over.
func (v *view) end(slot int) {
	v.mu.Lock()
	v.calls[slot] = userCall{}
	v.mu.Unlock()
}

// flush notes why Flush is called.
func (v *view) flush(why Reason) {
	v.mu.Lock()
	v.why = why
	v.mu.Unlock()
}

// flushing returns why Flush is called, 0 if it is not.
func (v *view) flushing() Reason {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.why
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

// halt notes that nothing is done until the channel is closed.
func (v *view) halt(err error) (resumed <-chan struct{}) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.resumed != nil {
		return v.resumed // another record's
	}
	v.before, v.state, v.err = v.state, Halted, err
	if v.before == Retrying {
		v.before = Processing
	}
	v.resumed = make(chan struct{})
	return v.resumed
}

// resume takes the halt back. The channel, nil if there is no halt, is the caller's to close.
func (v *view) resume() (resumed chan struct{}) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.resumed != nil {
		resumed, v.resumed = v.resumed, nil
		v.state, v.attempt, v.err, v.told = v.before, 0, nil, false
	}
	return resumed
}

func (v *view) fetched(behind time.Duration) {
	v.mu.Lock()
	v.behind = behind
	v.mu.Unlock()
}

// also sets what else there is to show; nil for nothing.
func (v *view) also(more func(h *ShardHealth)) {
	v.mu.Lock()
	v.more = more
	v.mu.Unlock()
}

// show fills h in.
func (v *view) show(h *ShardHealth) {
	v.mu.Lock()
	h.State, h.Behind, h.Attempt, h.Err, h.Expired = v.state, v.behind, v.attempt, v.err, v.expired
	for i := range v.calls {
		if since := v.calls[i].since; !since.IsZero() && (h.BusySince.IsZero() || since.Before(h.BusySince)) {
			h.BusySince = since
		}
	}
	if v.handed > 0 && (v.attempt > 0 || !h.BusySince.IsZero()) {
		h.Undone, h.OldestUndone = v.handed, v.since
	}
	more := v.more
	v.mu.Unlock()
	if more != nil {
		more(h)
	}
}
