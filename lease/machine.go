package lease

import (
	"errors"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
)

// machine is one tenure of one lease as values: it is told what happened and when, and says what to do next. It starts no goroutine, reads no clock and
// draws no random number, so that what a simulation runs is what ships. The keeper performs its effects.
//
// What only the machine decides: the counter a write expects, the one write in flight and what the next one carries, when belief in the lease begins and
// ends, what a refused write means, which positions may be stored.
type machine struct {
	me       string
	timing   timing
	failover time.Duration // of this worker, for its rows
	claims   int           // while acquiring: rows that named us although they refused us
	phase    phase
	row      Lease // as it stands in the table, as far as we know
	why      error // in phase over: nil after a release or an end that was answered

	// Belief. from is the moment at which the request that proved the ownership was sent: whoever saw the counter move saw it later, so nobody
	// else's patience can end before ours, if we count from there. A read never sets it.
	from  instant
	doubt bool // the clocks disagree about how much time has passed: nothing is admitted until a renewal is answered

	// The write in flight. first is when the first request that expects row.Counter was sent: until one is answered, any of them may be the one that
	// is applied. tried has their payloads, by which a later read recognises our own work.
	inflight *write
	reading  bool
	sent     instant
	first    *instant
	tried    []*write
	attempts int
	rereads  int
	retryAt  time.Duration // on the monotonic clock

	// Progress.
	permitted  checkpoint.Position // handed over, or needing no delivery: nothing past it is ever stored
	marked     checkpoint.Position // to be stored with the next write
	floor      checkpoint.Position // the highest position that any write carried
	waits      []wait              // explicit checkpoints
	prepares   []prepare           // announced ones, in order; the first is written next
	lastWait   int
	children   []string  // to be recorded
	childWaits []int     // who waits for that
	readTo     time.Time // up to where everything is done, when the lease is given away; zero if that is not said
	identity   string    // the shard's starting number, which the row lacks; empty if it is not known
	ending     bool
	releasing  bool

	// Hand-off.
	request  string        // who asks for the lease, and is not declined
	heard    time.Duration // when the request was heard, on the monotonic clock
	declined string        // whose request is still to be taken out of the row
	muted    bool          // the worker stops: nobody should ask it for the lease, nor give it another one
	announce bool          // and this row is to say so at once
	heir     string        // who gets the lease from a release if nobody asks; "": nobody
}

type phase int

const (
	acquiring phase = iota
	held
	closing // a give, a release or SHARD_END was emitted: no belief any more, whatever the answer
	over
)

// timing is Config as the machine needs it.
type timing struct {
	valid  time.Duration // belief lasts this long: FailoverTime - Margin
	margin time.Duration
	renew  time.Duration
	retry  time.Duration // pause before a request without an answer is repeated

	handoff time.Duration // HandoffTimeout: what user code is given to finish for another worker

	pin time.Time // the instant that the row's position stands for, if the row needs one and lacks it
}

type purpose int

const (
	forTake purpose = iota
	forRenewal
	forRelease
	forGive
	forEnd
)

// write is a conditional write and what the row looks like once it is applied.
type write struct {
	purpose  purpose
	when     Condition
	set      Change
	owner    string
	position checkpoint.Position
	pending  checkpoint.Position // and what is announced in it, with state
	state    []byte
	children []string
	inDoubt  bool
}

// matches reports whether l is what w leaves behind, given that l's counter is the one after w's.
func (w *write) matches(l Lease) bool {
	return l.Owner == w.owner && w.carries(l.Checkpoint) && (len(w.children) == 0 || sameSet(w.children, l.Children))
}

// wait is one call of Tenure.Checkpoint.
type wait struct {
	id int
	p  checkpoint.Position
}

// effects is what the keeper has to do. At most one of write and read is set, and none while an earlier one is unanswered.
type effects struct {
	write    *write // perform one attempt, then call answered, refused or unanswered
	read     bool   // read the row, never a stale one, then call readBack or unanswered
	acks     []ack
	acquired bool // the tenure begins
	stored   bool // a new position is in the table
	settled  bool // whoever waits for the end of a doubt may look again
	asked    bool // another worker asks for the lease: user code should finish
	over     bool // the tenure is over; why says how
	cancel   bool // and its context must end now
}

// none reports whether there is nothing to do.
func (e *effects) none() bool {
	return e.write == nil && !e.read && len(e.acks) == 0 && !e.acquired && !e.stored && !e.settled && !e.asked && !e.over && !e.cancel
}

// ack answers one wait.
type ack struct {
	id  int
	err error
}

// errDoubt answers admit while a renewal has to settle whether the lease is still ours.
var errDoubt = errors.New("lease: in doubt")

// take begins a tenure: row is the lease as it was seen, free or expired, or given to us.
func take(me string, t timing, row Lease, failover time.Duration, now instant) (m *machine, e effects) {
	m = &machine{me: me, timing: t, failover: failover}
	m.acquire(now, row, &e)
	return m, e
}

// standing judges belief at now.
func (m *machine) standing(now instant) (expired, doubtful bool) {
	mono, wall := now.since(m.from)
	switch {
	case mono >= m.timing.valid:
		return true, false
	case wall-mono > m.timing.margin:
		// The host was suspended, or its clock was set: which of the two, only the table can say.
		return false, true
	}
	return wall >= m.timing.valid, false
}

// tick is called at the time that wake named, and may be called at any other.
func (m *machine) tick(now instant) (e effects) {
	m.judge(now, &e)
	m.next(now, &e)
	return e
}

// judge ends a belief that has lasted long enough, and the patience with user code that was asked to leave.
func (m *machine) judge(now instant, e *effects) {
	if m.phase != held {
		return
	}
	expired, doubtful := m.standing(now)
	if expired {
		m.lose(e)
		return
	}
	e.settled = e.settled || (m.doubt && !doubtful)
	m.doubt = doubtful
	if m.impatient(now) {
		m.decline()
	}
}

// admit is the only way to user code: nil means that the lease is held at now, and makes positions up to upTo storable.
func (m *machine) admit(now instant, upTo checkpoint.Position) (e effects, err error) {
	m.judge(now, &e)
	if m.phase != held || m.ending || m.releasing {
		return e, ErrLost
	}
	if m.doubt {
		m.next(now, &e)
		return e, errDoubt
	}
	m.permit(upTo)
	return e, nil
}

func (m *machine) permit(p checkpoint.Position) {
	if p.Compare(m.permitted) > 0 {
		m.permitted = p
	}
}

// wake returns when tick is due, on the monotonic clock.
func (m *machine) wake() (time.Duration, bool) {
	idle := m.inflight == nil && !m.reading
	switch m.phase {
	case acquiring, closing:
		return m.retryAt, idle
	case held:
		at := m.from.mono + m.timing.valid
		if renew := max(m.from.mono+m.timing.renew, m.retryAt); idle && renew < at {
			at = renew
		}
		if idle && m.urgent() && m.retryAt < at {
			at = m.retryAt
		}
		if m.request != "" && !m.ending && !m.releasing && m.heard+m.timing.handoff < at {
			at = m.heard + m.timing.handoff
		}
		return at, true
	}
	return 0, false
}

// urgent reports whether a write is due before the next renewal.
func (m *machine) urgent() bool {
	return m.doubt || m.announce && m.row.speaks() || len(m.waits) > 0 || len(m.prepares) > 0 || len(m.children) > 0 || m.ending || m.releasing
}

// next emits the write that is due, if one is and none is in flight.
func (m *machine) next(now instant, e *effects) {
	if m.phase == over || m.inflight != nil || m.reading || now.mono < m.retryAt {
		return
	}
	switch {
	case m.phase == acquiring:
		m.emit(now, m.tried[0], e)
	case m.phase == closing && m.spent(now):
		// The row is left to expire: nobody would know whose write it is that comes later.
		why := ErrLost
		if m.ending {
			why = errors.Join(ErrLost, checkpoint.ErrUncertain)
		}
		m.finish(why, e)
	case m.phase == closing || m.ending || m.releasing:
		// Belief ends before the request leaves, for good: once it is on its way it may be applied at any time, and the next owner may start.
		m.phase = closing
		m.emit(now, m.closingWrite(), e)
	case m.outdated(e):
		m.next(now, e)
	case m.urgent() || now.mono >= m.from.mono+m.timing.renew:
		m.emit(now, m.renewal(), e)
	}
}

// spent reports whether the time in which our last proof of ownership counts is over.
func (m *machine) spent(now instant) bool {
	mono, wall := now.since(m.from)
	return max(mono, wall) >= m.timing.valid
}

func (m *machine) emit(now instant, w *write, e *effects) {
	if m.first == nil {
		first := now
		m.first = &first
	}
	m.sent = now
	m.inflight = w
	if len(m.tried) == 0 || m.tried[len(m.tried)-1] != w {
		m.tried = append(m.tried, w)
	}
	if w.purpose != forEnd && w.position.Compare(m.floor) > 0 {
		m.floor = w.position
	}
	e.write = w
}

// lose ends the tenure because the lease may be another's.
func (m *machine) lose(e *effects) {
	m.finish(ErrLost, e)
	e.cancel = true
}

// finish ends the tenure and answers whoever waits.
func (m *machine) finish(why error, e *effects) {
	m.phase, m.why = over, why
	m.inflight, m.reading = nil, false
	for _, w := range m.waits {
		err := ErrLost
		switch stored := m.row.Checkpoint.Position; {
		case w.p.Compare(stored) <= 0:
			err = nil
		case w.p.Compare(m.floor) <= 0:
			err = errors.Join(ErrLost, checkpoint.ErrUncertain)
		}
		e.acks = append(e.acks, ack{w.id, err})
	}
	m.waits = nil
	m.dropPrepares(e)
	for _, id := range m.childWaits {
		e.acks = append(e.acks, ack{id, ErrLost})
	}
	m.childWaits = nil
	e.over, e.settled = true, true
}

func sameSet(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	in := make(map[string]bool, len(a))
	for _, x := range a {
		in[x] = true
	}
	for _, x := range b {
		if !in[x] {
			return false
		}
	}
	return true
}
