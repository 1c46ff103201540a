package dynamo

import (
	"math/rand/v2"
	"slices"
	"time"
)

// SetStaleness lets eventually consistent reads, those of indexes among them, see the state of up to d ago: each read of GetItem, Query
// and Scan, and each key of BatchGetItem, draws its age from ages, uniformly between 0 and d, so that of two reads the later one can see
// the older state. Strongly consistent reads and transactions see every write. A nil ages makes every such read see the state of
// exactly d ago. What was written before the call counts as long past. With d = 0, the default, every read sees every write.
//
// ages is used under the database's lock; nobody else may use it meanwhile.
func (db *DB) SetStaleness(d time.Duration, ages *rand.Rand) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.staleness, db.ages = max(0, d), ages
	for _, t := range db.tables {
		t.remember(db.staleness)
	}
}

// horizon is the time as of which a read sees its table. The caller holds the lock.
func (db *DB) horizon(consistent bool) time.Time {
	now := time.Now()
	switch {
	case consistent || db.staleness == 0:
		return now
	case db.ages == nil:
		return now.Add(-db.staleness)
	}
	return now.Add(-time.Duration(db.ages.Int64N(int64(db.staleness) + 1)))
}

// history is what a collection was like for a short time past.
type history struct {
	span    time.Duration // 0 keeps nothing
	changes []change      // oldest first
}

// change says what a collection had under a key before something else was there; an entry without an item is none.
type change struct {
	at     time.Time
	key    string
	before entry
}

// remember sets for how long a table and its indexes keep their past. The caller holds the lock.
func (t *table) remember(span time.Duration) {
	t.items.past.keep(span)
	for _, x := range t.indexes {
		x.items.past.keep(span)
	}
}

func (h *history) keep(span time.Duration) {
	h.span = span
	h.forget(time.Now())
}

// forget drops what nobody can see any more: a state that ended span ago.
func (h *history) forget(now time.Time) {
	n := 0
	for n < len(h.changes) && (h.span == 0 || now.Sub(h.changes[n].at) > h.span) {
		n++
	}
	h.changes = h.changes[n:]
	if len(h.changes) == 0 {
		h.changes = nil
	}
}

// note is called before the entry at position i, where key belongs, is changed.
func (h *history) note(c *collection, i int, key string) {
	if h.span == 0 {
		return
	}
	made := change{at: time.Now(), key: key}
	if i < len(c.entries) && c.entries[i].key == key {
		made.before = c.entries[i]
	}
	h.forget(made.at)
	h.changes = append(h.changes, made)
}

// getAsOf is get as of a time.
func (c *collection) getAsOf(key string, at time.Time) entry {
	for _, made := range c.past.changes {
		if made.key == key && made.at.After(at) {
			return made.before
		}
	}
	return c.get(key)
}

// asOf returns the collection as it was, which must not be changed.
func (c *collection) asOf(at time.Time) *collection {
	n := len(c.past.changes)
	for n > 0 && c.past.changes[n-1].at.After(at) {
		n--
	}
	undo := c.past.changes[n:]
	if len(undo) == 0 {
		return c
	}
	then := &collection{entries: slices.Clone(c.entries)}
	for _, made := range slices.Backward(undo) {
		if made.before.item == nil {
			then.delete(made.key)
		} else {
			then.put(made.before)
		}
	}
	return then
}
