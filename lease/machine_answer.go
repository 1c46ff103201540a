package lease

// answered is the direct answer to the request in flight: it was applied, and row is what it left.
func (m *machine) answered(now instant, row Lease) (e effects) {
	w := m.inflight
	if w == nil {
		return e // of a tenure that is over
	}
	m.inflight = nil
	if w.purpose == forRenewal && row.Checkpoint.Position != w.position {
		// Nothing of ours moved it: somebody edited the row by hand. Who takes the lease next starts from what they wrote.
		m.gone(&e)
		return e
	}
	m.applied(now, w, row, m.sent, &e)
	m.next(now, &e)
	return e
}

// refused says that the request in flight was not applied, with the row that refused it if the store could say.
func (m *machine) refused(now instant, current *Lease, absent bool) (e effects) {
	if m.inflight == nil {
		return e
	}
	switch {
	case absent:
		m.resolve(now, nil, true, &e)
	case current == nil:
		m.reading, e.read = true, true
	default:
		m.resolve(now, current, false, &e)
	}
	return e
}

// readBack is the answer to a read; row is nil if there is none.
func (m *machine) readBack(now instant, row *Lease) (e effects) {
	if !m.reading {
		return e
	}
	m.reading = false
	m.resolve(now, row, true, &e)
	return e
}

// unanswered says that nobody knows whether the request in flight was applied, will be, or not; or that a read failed.
func (m *machine) unanswered(now instant) (e effects) {
	if m.inflight == nil && !m.reading {
		return e
	}
	w := m.inflight
	m.inflight, m.reading = nil, false
	m.retryAt = now.mono + m.timing.retry
	m.attempts++
	switch {
	case m.phase == acquiring && m.attempts >= takeAttempts:
		m.finish(ErrLost, &e)
	case m.phase == held && w != nil && w.inDoubt:
		// Suspended or not, we could not prove that the lease is still ours.
		m.lose(&e)
	default:
		m.judge(now, &e)
	}
	return e
}

// takeAttempts bounds how often a take is repeated: a lease that cannot be reached now is found again by the next look.
const takeAttempts = 3

// resolve decides what a refusal means. A refusal is ambiguous: an earlier request of ours that was never answered may be what moved the counter.
// fresh says that row was read after the refusal and cannot be stale.
func (m *machine) resolve(now instant, row *Lease, fresh bool, e *effects) {
	m.inflight = nil
	if row == nil {
		m.gone(e)
		return
	}
	switch {
	case row.CheckpointOwner != "" && m.phase != acquiring:
		m.gone(e) // a KCL 3 leader has taken the lease in hand
	case row.Counter != m.row.Counter && m.phase == acquiring:
		m.claim(now, *row, e)
	case row.Counter == m.row.Counter+1:
		// Ours, if it carries what one of the requests that expected this counter carried. The counter alone proves nothing: someone who edits
		// a row by hand may move it too, and what they wrote must not be taken for something we stored.
		if w := m.recognise(*row); w != nil {
			m.applied(now, w, *row, *m.first, e)
			m.next(now, e)
			return
		}
		m.gone(e)
	case row.Counter == m.row.Counter && row.Owner == m.row.Owner && row.Checkpoint.Position == m.row.Checkpoint.Position:
		m.row.AskedBy, m.row.AskedOf = row.AskedBy, row.AskedOf // these move without the counter
		m.hear(now, e)
		m.again(now, fresh, e)
	default:
		m.gone(e)
	}
}

// recognise finds the request of ours that left row behind.
func (m *machine) recognise(row Lease) *write {
	for _, w := range m.tried {
		if w.matches(row) {
			return w
		}
	}
	return nil
}

// again follows a refusal by a row that should have accepted: the store answered from a stale copy.
func (m *machine) again(now instant, fresh bool, e *effects) {
	if !fresh {
		m.reading, e.read = true, true
		return
	}
	if m.rereads++; m.rereads >= maxRereads {
		m.gone(e)
		return
	}
	m.retryAt = now.mono
	m.judge(now, e)
	m.next(now, e)
}

const maxRereads = 3

// gone ends a tenure whose row says that it is no longer ours. In phase closing nobody's context hangs on it any more.
func (m *machine) gone(e *effects) {
	if m.phase == held {
		m.lose(e)
		return
	}
	m.finish(ErrLost, e)
}

// applied takes over what the table holds now that w is known to be applied. t0 is the moment belief counts from: of the attempt itself if it was answered,
// of the first attempt that can have done it if the row was read back.
func (m *machine) applied(now instant, w *write, row Lease, t0 instant, e *effects) {
	e.stored = w.purpose != forTake && row.Checkpoint.Position != m.row.Checkpoint.Position
	m.prepared(w, e)
	m.row = row
	m.first, m.tried, m.attempts, m.rereads, m.retryAt = nil, nil, 0, 0, 0
	if len(m.children) > 0 && sameSet(m.children, row.Children) {
		for _, id := range m.childWaits {
			e.acks = append(e.acks, ack{id, nil})
		}
		m.children, m.childWaits = nil, nil
	}
	switch w.purpose {
	case forRelease, forGive, forEnd:
		m.finish(nil, e)
		return
	case forTake:
		m.phase = held
		e.acquired = true
		m.floor = row.Checkpoint.Position
		m.permit(row.Checkpoint.Position)
	}
	m.from = t0
	m.acknowledge(e)
	m.hear(now, e)
	if m.phase != held {
		return
	}
	m.judge(now, e)
	if m.phase == over {
		// The answer came too late to be worth anything. A lease that was never believed in was never acquired.
		e.acquired = false
	}
}

// acknowledge answers the waits that the stored position satisfies. One that commits what is announced at that very position waits for it to be gone.
func (m *machine) acknowledge(e *effects) {
	stored := m.row.Checkpoint.Position
	rest := m.waits[:0]
	for _, w := range m.waits {
		if w.p.Compare(stored) > 0 || w.p == stored && m.announced() && w.p.Compare(m.row.Checkpoint.Pending) >= 0 {
			rest = append(rest, w)
			continue
		}
		e.acks = append(e.acks, ack{w.id, nil})
	}
	m.waits = rest
}
