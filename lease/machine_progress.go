package lease

import (
	"errors"

	"github.com/kinesiskit/kinesiskit/checkpoint"
)

// errNoChildren answers an end that was not preceded by the children's rows: a parent that is finished without them would leave their data unread.
var errNoChildren = errors.New("lease: end of a shard whose children are not recorded")

// pass makes positions up to p storable that needed no delivery.
func (m *machine) pass(p checkpoint.Position) {
	if m.phase == held {
		m.permit(p)
	}
}

// mark says that everything up to p is processed: p rides on the next write.
func (m *machine) mark(p checkpoint.Position) error {
	if err := m.storable(p); err != nil {
		return err
	}
	if p.Compare(m.marked) > 0 {
		m.marked = p
	}
	return nil
}

// store asks for p to be written now. id is 0 if nothing needs to be waited for.
func (m *machine) store(now instant, p checkpoint.Position) (id int, e effects, err error) {
	m.judge(now, &e)
	if err := m.storable(p); err != nil {
		return 0, e, err
	}
	if p == m.row.Checkpoint.Position && !m.announced() {
		return 0, e, nil
	}
	m.lastWait++
	m.waits = append(m.waits, wait{m.lastWait, p})
	m.next(now, &e)
	return m.lastWait, e, nil
}

// abandon forgets a wait whose caller does not wait any longer. What it asked for is still due: it rides on the next write. The answer says whether
// the position may have been written.
func (m *machine) abandon(id int) (maybe bool) {
	for i, w := range m.waits {
		if w.id != id {
			continue
		}
		m.waits = append(m.waits[:i], m.waits[i+1:]...)
		if w.p.Compare(m.marked) > 0 {
			m.marked = w.p
		}
		return w.p.Compare(m.floor) <= 0
	}
	return true
}

// storable judges a position that a program wants stored.
func (m *machine) storable(p checkpoint.Position) error {
	switch {
	case m.phase != held || m.ending || m.releasing:
		return ErrLost
	case p.Compare(m.permitted) > 0:
		return checkpoint.ErrNotDelivered
	case p.Compare(m.row.Checkpoint.Position) < 0 || p.Compare(m.floor) < 0:
		// floor: a request with a higher position may have been applied, and the stored position never moves back.
		return checkpoint.ErrBackwards
	}
	return nil
}

// spawn asks for the children's ids to be recorded. id is 0 if they are.
func (m *machine) spawn(now instant, children []string) (id int, e effects, err error) {
	m.judge(now, &e)
	if m.phase != held || m.ending || m.releasing {
		return 0, e, ErrLost
	}
	if sameSet(children, m.row.Children) {
		return 0, e, nil
	}
	m.children = children
	m.lastWait++
	id = m.lastWait
	m.childWaits = append(m.childWaits, id)
	m.next(now, &e)
	return id, e, nil
}

// end asks for SHARD_END.
func (m *machine) end(now instant) (e effects, err error) {
	m.judge(now, &e)
	switch {
	case m.phase == over || m.releasing:
		return e, ErrLost
	case len(m.row.Children) == 0:
		return e, errNoChildren
	}
	m.ending = true
	m.next(now, &e)
	return e, nil
}

// release gives the lease to whoever asked for it, to the heir, or back. The keeper calls it after user code for it has returned, never before: the next
// owner starts at once.
func (m *machine) release(now instant) (e effects) {
	m.judge(now, &e)
	if m.phase == held && !m.ending {
		m.releasing = true
	}
	m.next(now, &e)
	return e
}

// mute changes the worker's mark in the row to that of one that stops: with the next renewal, or, to announce it, with one of its own. It reports whether there is a row to do so.
func (m *machine) mute(now instant, announce bool) (e effects, ok bool) {
	m.judge(now, &e)
	m.muted = true
	if ok = m.phase == held && m.row.speaks(); ok && announce {
		m.announce = true
		m.next(now, &e)
	}
	return e, ok
}

// target is the position the next write should leave in the row.
func (m *machine) target() checkpoint.Position {
	p := m.row.Checkpoint.Position
	if m.marked.Compare(p) > 0 {
		p = m.marked
	}
	for _, w := range m.waits {
		if w.p.Compare(p) > 0 {
			p = w.p
		}
	}
	return p
}

// renewal is the write of an owner that stays: the counter moves, and whatever progress there is rides along.
func (m *machine) renewal() *write {
	w := m.ownerWrite(forRenewal)
	m.carry(w, m.target())
	m.carryPrepare(w)
	if len(m.children) > 0 {
		w.children, w.set.Children = m.children, m.children
	}
	if m.declined != "" {
		none := ""
		w.set.AskedBy, w.set.AskedOf = &none, &none
	}
	if m.muted && m.row.speaks() {
		leaving := leavingMark(m.me)
		w.set.Speaks = &leaving
	}
	if m.row.First == "" {
		w.set.First = m.identity
	}
	w.inDoubt = m.doubt
	return w
}

// closingWrite is the last write of a tenure: a give or a release with the final position in it, or SHARD_END.
func (m *machine) closingWrite() *write {
	if m.ending {
		w := m.ownerWrite(forEnd)
		m.carry(w, checkpoint.ShardEnd)
		return w
	}
	return m.parting()
}

// ownerWrite has the condition that every write on a held lease has: we own it, and nothing moved the counter since our last write.
func (m *machine) ownerWrite(p purpose) *write {
	none, c := "", m.row.Counter
	return &write{
		purpose: p, owner: m.me, position: m.row.Checkpoint.Position, pending: m.row.Checkpoint.Pending, state: m.row.Checkpoint.State,
		when: Condition{Counter: &c, Owner: &m.me, CheckpointOwner: &none},
		set:  Change{AddCounter: 1},
	}
}

// carry puts a new position into w, on condition that the stored one is the one we know: the order of positions is judged here, DynamoDB compares for
// equality only, since decimal strings and sentinels do not sort as positions do.
func (m *machine) carry(w *write, p checkpoint.Position) {
	known := m.row.Checkpoint.Position
	if p == known && (len(m.waits) == 0 || !m.announced()) {
		return
	}
	var switches int64 // counts the owner changes since the last checkpoint
	w.position, w.when.Position = p, &known
	w.pending, w.state = checkpoint.Position{}, nil // a checkpoint takes back what was announced, as KCL's does
	w.set.Checkpoint, w.set.OwnerSwitches = &checkpoint.Checkpoint{Position: p}, &switches
}
