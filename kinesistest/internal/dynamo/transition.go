package dynamo

import (
	"time"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

// The states of tables and indexes. A time to live has two of its own.
const (
	statusActive   = "ACTIVE"
	statusCreating = "CREATING"
	statusUpdating = "UPDATING"
	statusDeleting = "DELETING"
)

// transition is a state that ends by itself; the zero transition has ended.
type transition struct {
	kind string
	ends time.Time
}

func (s transition) pending(now time.Time) bool { return now.Before(s.ends) }

// status is that of a table or an index; a deletion does not settle into another state.
func (s transition) status(now time.Time) string {
	if s.kind == statusDeleting || s.pending(now) {
		return s.kind
	}
	return statusActive
}

// SetTransitions makes tables and indexes CREATING, UPDATING or DELETING, and a time to live ENABLING or DISABLING, for d from when that
// is asked for. A table that gets an index is UPDATING for the first half of the time that the index is CREATING, as in the service,
// where the index is filled when the table is ACTIVE again. It concerns what is asked for later. With 0, the default, all are there, or
// gone, at once.
func (db *DB) SetTransitions(d time.Duration) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.transitions = max(0, d)
}

// begin starts a transition. The caller holds the lock.
func (db *DB) begin(kind string) transition {
	return transition{kind, time.Now().Add(db.transitions)}
}

// checkActive refuses a change of a table while another is under way. The caller holds the lock.
func (t *table) checkActive(now time.Time) *wire.Error {
	const inUseBy = "Attempt to change a resource which is still in use: Table is being "
	switch t.status(now) {
	case statusCreating:
		return inUse(inUseBy+"created: %s", t.name)
	case statusUpdating:
		return inUse(inUseBy+"updated: %s", t.name)
	case statusDeleting:
		return inUse(inUseBy+"deleted: %s", t.name)
	}
	return nil
}

// creating is true for an index that cannot be read yet. The caller holds the lock.
func (x *index) creating(now time.Time) bool { return x.state.status(now) == statusCreating }
