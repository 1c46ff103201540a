package kcl

import (
	"slices"
	"time"
)

// Worker is one process of the library. Times are of its own monotonic clock.
type Worker struct {
	ID       string
	Failover time.Duration // failoverTimeMillis
	Max      int           // maxLeasesForWorker; 0 is no limit
	Release  bool          // since 2.6 a lease without an owner is free at once; before, it is when its counter has stood still

	seen map[string]seen
	held map[string]*held
}

// epsilon is the library's epsilonMillis.
const epsilon = 25 * time.Millisecond

// TakeEvery is the pause between two looks for leases.
func (w *Worker) TakeEvery() time.Duration { return 2 * (w.Failover + epsilon) }

// RenewEvery is the time between two rounds of renewals.
func (w *Worker) RenewEvery() time.Duration { return w.Failover/3 - epsilon }

// seen is what the taker remembers of a row from scan to scan.
type seen struct {
	row   Row
	since time.Duration
	never bool // the counter was not seen to move: it counts as infinitely old
}

func (w *Worker) age(s seen, now time.Duration) time.Duration {
	if s.never {
		return 1 << 62
	}
	return now - s.since
}

// held is a lease that this worker thinks it owns.
type held struct {
	row   Row
	since time.Duration // of the last renewal that succeeded
}

// Look is the taker's: it takes in a scan that returned at now, and answers what to take. draw returns a number below n.
func (w *Worker) Look(rows []Row, now time.Duration, draw func(n int) int) []Write {
	w.observe(rows, now)
	var available, late []Row
	load := map[string][]Row{w.ID: nil}
	for _, r := range rows {
		s := w.seen[r.Key]
		if age := w.age(s, now); age > w.Failover || w.Release && r.Owner == "" {
			available = append(available, r)
			if age > 3*w.Failover {
				late = append(late, r)
			}
		} else {
			load[r.Owner] = append(load[r.Owner], r)
		}
	}
	mine := len(load[w.ID])
	room := len(rows)
	if w.Max > 0 {
		room = max(0, w.Max-mine)
	}
	if len(late) > 0 {
		// The priority rule: the first worker that is up grabs the whole table.
		return w.takes(pick(late, room, draw), false)
	}
	target := 1
	if len(load) < len(rows) {
		target = (len(rows) + len(load) - 1) / len(load)
	}
	if w.Max > 0 {
		target = min(target, w.Max)
	}
	if mine >= target {
		return nil
	}
	if len(available) > 0 {
		return w.takes(pick(available, min(target-mine, room), draw), false)
	}
	return w.takes(w.steal(load, target, draw), true)
}

// observe stamps what moved since the last scan.
func (w *Worker) observe(rows []Row, now time.Duration) {
	next := make(map[string]seen, len(rows))
	for _, r := range rows {
		s, known := w.seen[r.Key]
		if !known || s.row.Counter != r.Counter {
			s = seen{since: now, never: !known && r.Owner == ""}
		}
		s.row = r
		next[r.Key] = s
	}
	w.seen = next
}

// steal chooses one lease of the worker that has most.
func (w *Worker) steal(load map[string][]Row, target int, draw func(n int) int) []Row {
	most := ""
	for owner, rows := range load {
		if owner != w.ID && (most == "" || len(rows) > len(load[most]) || len(rows) == len(load[most]) && owner < most) {
			most = owner
		}
	}
	need := target - len(load[w.ID])
	switch n := len(load[most]); {
	case most == "":
		return nil
	case n > target, n == target && need > 1:
		return pick(load[most], 1, draw)
	}
	return nil
}

// pick draws n of the rows.
func pick(rows []Row, n int, draw func(n int) int) []Row {
	rows = slices.Clone(rows)
	for i := range rows {
		j := i + draw(len(rows)-i)
		rows[i], rows[j] = rows[j], rows[i]
	}
	return rows[:min(n, len(rows))]
}

func (w *Worker) takes(rows []Row, stolen bool) []Write {
	var all []Write
	for _, r := range rows {
		x := Write{Kind: Take, Key: r.Key, Counter: r.Counter, Owner: w.ID, Stolen: stolen}
		if r.Owner != "" && r.Owner != w.ID {
			x.Adds = 1
		}
		all = append(all, x)
	}
	return all
}

// Took says that x, a take, was applied, and that the answer came at now.
func (w *Worker) Took(x Write, now time.Duration) {
	if w.held == nil {
		w.held = make(map[string]*held)
	}
	w.held[x.Key] = &held{row: x.Apply(w.seen[x.Key].row), since: now}
}

// Renewals is what a round of renewals writes: all that is owned, finished leases too.
func (w *Worker) Renewals(now time.Duration) []Write {
	var all []Write
	for _, key := range w.Held(now) {
		all = append(all, Write{Kind: Renew, Key: key, Counter: w.held[key].row.Counter})
	}
	return all
}

// Held returns the leases that it owns and that have not expired on its own clock, by key.
func (w *Worker) Held(now time.Duration) []string {
	var keys []string
	for key, h := range w.held {
		if now-h.since <= w.Failover {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// Holds reports whether the lease is one of those.
func (w *Worker) Holds(key string, now time.Duration) bool {
	h := w.held[key]
	return h != nil && now-h.since <= w.Failover
}

// Store is a checkpoint: the position is not compared with what is stored.
func (w *Worker) Store(key, position string, sub int64, children []string) Write {
	return Write{Kind: Store, Key: key, Counter: w.held[key].row.Counter, Checkpoint: position, Sub: sub, Children: children}
}

// Done says that x, a renewal or a checkpoint, was applied, and that the answer came at now.
func (w *Worker) Done(x Write, now time.Duration) {
	if h := w.held[x.Key]; h != nil {
		h.row, h.since = x.Apply(h.row), now
	}
}

// Refused says that x was not. A renewal is forgiven if row, which was read afterwards and may be stale, looks as it would have left it: it may be a retry of
// one that was applied.
func (w *Worker) Refused(x Write, row *Row, now time.Duration) {
	h := w.held[x.Key]
	if h == nil {
		return
	}
	if x.Kind == Renew && row != nil && row.Owner == w.ID && row.Counter == x.Counter+1 {
		h.row, h.since = x.Apply(h.row), now
		return
	}
	if x.Kind != Children {
		delete(w.held, x.Key)
	}
}

// Drop forgets a lease.
func (w *Worker) Drop(key string) { delete(w.held, key) }

// Blocked reports whether a shard may not be read yet: a parent has a row, and it is not finished. parents are the rows there are.
func Blocked(parents []Row) bool {
	return slices.ContainsFunc(parents, func(r Row) bool { return !r.Ended() })
}

// Deletable reports whether a finished lease's row may go: rows of its children are there and past their beginning, none of its parents is left.
func Deletable(r Row, rows map[string]Row) bool {
	if !r.Ended() || len(r.Children) == 0 {
		return false
	}
	for _, id := range r.Children {
		if child, ok := rows[id]; !ok || child.Checkpoint == TrimHorizon {
			return false
		}
	}
	return !slices.ContainsFunc(r.Parents, func(id string) bool { _, ok := rows[id]; return ok })
}
