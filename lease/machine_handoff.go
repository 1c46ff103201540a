package lease

// A lease moves between workers of ours by consent: another worker asks (kkNext, kkFrom), the owner hears it in the row that its next write returns, finishes,
// and gives owner and final position in one write; the other claims with a write of its own. Nothing here can be forced: what the owner does not give
// is taken only when it expires.

// hear looks in the row for a request, and forgets one that was taken back.
func (m *machine) hear(now instant, e *effects) {
	by := m.row.request()
	if m.row.Owner != m.me || by == m.me {
		by = ""
	}
	if by != m.declined {
		m.declined = ""
	} else {
		by = "" // its removal has not reached the row yet
	}
	if by == m.request {
		return
	}
	m.request, m.heard = by, now.mono
	e.asked = by != "" && m.phase == held && !m.ending && !m.releasing
}

// impatient reports whether user code has had its time to finish for whoever asks.
func (m *machine) impatient(now instant) bool {
	return m.request != "" && !m.ending && !m.releasing && now.mono >= m.heard+m.timing.handoff
}

// decline keeps the lease: the next renewal takes the request out of the row. User code that is asked to leave may go on.
func (m *machine) decline() { m.declined, m.request = m.request, "" }

// stays reports whether the tenure goes on although user code has returned because it was asked to leave: the request is gone.
func (m *machine) stays(now instant) bool {
	if m.impatient(now) {
		m.decline()
	}
	return m.phase == held && m.request == "" && !m.ending && !m.releasing
}

// parting is the write with which a tenure ends in good order: whoever asked gets the lease, else the heir, else nobody. The final position is in it.
//
// A request may be taken back while the write is under way. The write is refused then, and the next one goes to the heir or to nobody: both expect
// the same counter, so that only one of them can ever be applied, and this tenure believes in neither case.
func (m *machine) parting() *write {
	w := m.ownerWrite(forRelease)
	none, to := "", m.heir
	if m.request != "" {
		to = m.request
		w.when.AskedBy, w.when.AskedOf = &to, &m.me
	}
	w.owner = to
	w.set.Owner, w.set.Speaks, w.set.AskedBy, w.set.AskedOf = &to, &to, &none, &none
	m.carry(w, m.target())
	w.set.ReadTo = m.readTo
	if to == "" {
		return w
	}
	w.purpose = forGive
	switches := int64(1)
	if w.set.Checkpoint == nil {
		switches += m.row.OwnerSwitches
	}
	w.set.OwnerSwitches = &switches
	return w
}
