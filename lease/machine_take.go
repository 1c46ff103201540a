package lease

// A lease is acquired by a write of our own that was answered, never by a read. That a refused take finds the row with our id in it and the counter one
// further proves nothing: an earlier attempt of ours may have done that, or one of a former tenure, but also the former owner, who gave us the lease late;
// and whoever watched the counter since then has watched for longer than we would count. Such a row is claimed: one more write, and belief counts from it.

// acquire emits the write that takes row, or claims it if it names us.
func (m *machine) acquire(now instant, row Lease, e *effects) {
	m.row, m.floor = row, row.Checkpoint.Position
	m.first, m.tried, m.attempts, m.rereads, m.retryAt = nil, nil, 0, 0, now.mono
	none, c := "", row.Counter
	w := &write{
		purpose: forTake, owner: m.me, position: row.Checkpoint.Position, pending: row.Checkpoint.Pending, state: row.Checkpoint.State,
		when: Condition{Counter: &c, Owner: &row.Owner},
		set: Change{
			AddCounter: 1, Owner: &m.me, Speaks: &m.me, AskedBy: &none, AskedOf: &none, CheckpointOwner: &none, FailoverTime: m.failover,
			StartAt: m.timing.pin,
		},
	}
	if row.Owner == m.me && row.CheckpointOwner == "" {
		// If a KCL 3 leader takes the lease in hand meanwhile, it is to expire first.
		w.when.CheckpointOwner = &none
	}
	if row.Owner != "" && row.Owner != m.me {
		switches := row.OwnerSwitches + 1
		w.set.OwnerSwitches = &switches
	}
	m.emit(now, w, e)
}

// claim follows a refusal by row: if it names us nobody else holds it, and it is taken as it stands now.
func (m *machine) claim(now instant, row Lease, e *effects) {
	m.claims++
	if row.Owner != m.me || row.CheckpointOwner != "" || row.Counter < m.row.Counter || row.Ended() || m.claims > maxClaims {
		m.gone(e)
		return
	}
	m.acquire(now, row, e)
}

// maxClaims bounds how often a take that finds itself named goes on: what is still unanswered then is found again by the next look.
const maxClaims = 3
