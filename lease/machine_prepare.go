package lease

import (
	"bytes"
	"errors"
	"slices"

	"github.com/kinesiskit/kinesiskit/checkpoint"
)

// A two-phase checkpoint is announced before it is made: a position, with the application's bytes, stands in the row beside the stored position until any
// checkpoint of the owner is stored. An owner that comes later finds it there, and can ask the application's own store what became of it.

// prepare is one call of Tenure.Prepare.
type prepare struct {
	id    int
	p     checkpoint.Position
	state []byte
	sent  bool // it may be in the row
}

// carries reports whether c is what w leaves in the row.
func (w *write) carries(c checkpoint.Checkpoint) bool {
	return c.Position == w.position && c.Pending == w.pending && bytes.Equal(c.State, w.state)
}

// announced reports whether something is pending in the row, as far as we know.
func (m *machine) announced() bool { return m.row.Checkpoint.Pending != checkpoint.Position{} }

// prepare asks for p and state to be written as pending.
func (m *machine) prepare(now instant, p checkpoint.Position, state []byte) (id int, e effects, err error) {
	m.judge(now, &e)
	if err := m.storable(p); err != nil {
		return 0, e, err
	}
	if p.Compare(m.target()) < 0 {
		return 0, e, checkpoint.ErrBackwards
	}
	m.lastWait++
	m.prepares = append(m.prepares, prepare{id: m.lastWait, p: p, state: state})
	m.next(now, &e)
	return m.lastWait, e, nil
}

// carryPrepare lets w announce the next position that is to be announced, unless an explicit checkpoint waits, which goes first. One write announces one.
func (m *machine) carryPrepare(w *write) {
	if len(m.prepares) == 0 || len(m.waits) > 0 {
		return
	}
	next := &m.prepares[0]
	next.sent = true
	var switches int64
	known := m.row.Checkpoint.Position
	w.when.Position = &known
	w.pending, w.state = next.p, next.state
	w.set.Checkpoint, w.set.OwnerSwitches = &checkpoint.Checkpoint{Position: w.position, Pending: next.p, State: next.state}, &switches
}

// prepared answers the call whose announcement w has written.
func (m *machine) prepared(w *write, e *effects) {
	if len(m.prepares) == 0 || !m.prepares[0].sent || w.set.Checkpoint == nil {
		return
	}
	if next := m.prepares[0]; w.pending == next.p && bytes.Equal(w.state, next.state) {
		e.acks = append(e.acks, ack{next.id, nil})
		m.prepares = slices.Delete(m.prepares, 0, 1)
	}
}

// outdated answers an announcement that a later checkpoint has overtaken, and reports whether there was one.
func (m *machine) outdated(e *effects) bool {
	if len(m.prepares) == 0 || len(m.waits) > 0 || m.prepares[0].p.Compare(m.target()) >= 0 {
		return false
	}
	e.acks = append(e.acks, ack{m.prepares[0].id, checkpoint.ErrBackwards})
	m.prepares = slices.Delete(m.prepares, 0, 1)
	return true
}

// unprepare forgets a call whose caller does not wait any longer, and reports whether its announcement may be written.
func (m *machine) unprepare(id int) (maybe bool) {
	for i, p := range m.prepares {
		if p.id == id {
			m.prepares = slices.Delete(m.prepares, i, i+1)
			return p.sent
		}
	}
	return true
}

// dropPrepares answers whoever waits at the end of a tenure.
func (m *machine) dropPrepares(e *effects) {
	for _, p := range m.prepares {
		err := ErrLost
		if p.sent {
			err = errors.Join(ErrLost, checkpoint.ErrUncertain)
		}
		e.acks = append(e.acks, ack{p.id, err})
	}
	m.prepares = nil
}
