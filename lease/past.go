package lease

// past is what a worker remembers of its former tenures of one lease. A take that is refused looks whether the row is its own work, and a listing may show a
// row as it stood long ago: such a take expects a counter that this worker itself moved on, and what it finds is its work of then, not of now. Others have
// watched that counter since then; to believe from now on would be to believe beside them.
type past struct {
	counter int64    // the last one that we knew to be ours, or that a take of ours expected
	first   *instant // when the first request that expects it was sent, if one may still be applied
}

// resume brings in the past of a machine that is about to take its lease.
func (m *machine) resume(p past) {
	m.past = p
	m.stale = m.row.Counter < p.counter
	if m.row.Counter == p.counter {
		m.first = p.first
	}
}

// remember returns what has to be known when this worker takes the lease again.
func (m *machine) remember() past {
	if m.stale {
		return m.past
	}
	return past{counter: m.row.Counter, first: m.first}
}
