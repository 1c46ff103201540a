package lease

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Beside workers of KCL that take leases without asking (1.x and 2.x), this worker does the same to them, and to nobody else. What such a worker takes from
// us we notice with the next write; until then both process the shard.

// others returns the live owners that run KCL: they do not speak, and were seen to move a counter not long ago. A name alone proves nothing, since an
// application that was stopped leaves its own in the rows.
func (o *observer) others(rows []Lease) map[string]bool {
	others := make(map[string]bool)
	for _, r := range rows {
		if s := o.seen[r.Key]; r.Owner != "" && !r.ours() && s.moved && !s.isFree {
			others[r.Owner] = true
		}
	}
	return others
}

// divide tells what is asked for from what is taken without asking, of which a look takes one, as KCL does (maxLeasesToStealAtOneTime): its owner must get
// to know of each before the next is chosen.
func (v view) divide(wanted []Lease) (ask, steal []Lease) {
	for _, l := range wanted {
		switch {
		case !v.others[l.Owner]:
			ask = append(ask, l)
		case len(steal) == 0:
			steal = append(steal, l)
		}
	}
	return ask, steal
}

// steal takes a lease from a worker of KCL. The look may have taken longer than that worker needs to move the counter, so the row is read again.
func (c *Coordinator) steal(ctx context.Context, l Lease, r *running) {
	row, err := c.get(ctx, l.Key)
	if err != nil || !stillOf(l, row) {
		return
	}
	c.log.Info("lease is taken from a worker of KCL, which has more", zap.String("lease", l.Key), zap.String("owner", l.Owner))
	c.begin(row, r)
}

// stillOf reports whether row, read again, is still that worker's to lose.
func stillOf(l, row Lease) bool {
	return row.Owner == l.Owner && !row.ours() && row.CheckpointOwner == "" && !row.Ended()
}

// tended are the finished leases that this worker keeps while it is beside workers of KCL. To those a finished lease counts like any other; one without an
// owner that lives they would take for one of their share, again and again, until it is deleted.
type tended struct {
	mu   sync.Mutex
	rows map[string]Lease
}

// set replaces what is kept. Counters that were moved since rows were read stay.
func (t *tended) set(rows []Lease) {
	t.mu.Lock()
	defer t.mu.Unlock()
	next := make(map[string]Lease, len(rows))
	for _, r := range rows {
		if known, ok := t.rows[r.Key]; ok && known.Counter > r.Counter {
			r = known
		}
		next[r.Key] = r
	}
	t.rows = next
}

func (t *tended) all() []Lease {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.SortedFunc(maps.Values(t.rows), func(a, b Lease) int { return strings.Compare(a.Key, b.Key) })
}

// moved notes the row that a renewal left, nil if it is not ours any more.
func (t *tended) moved(key string, row *Lease) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.rows[key]; !ok {
		return
	}
	if row == nil {
		delete(t.rows, key)
		return
	}
	t.rows[key] = *row
}

// tend renews what is tended until ctx ends.
func (c *Coordinator) tend(ctx context.Context) {
	timer := time.NewTicker(c.cfg.RenewInterval)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		for _, l := range c.tended.all() {
			if ctx.Err() != nil || !c.tendOne(ctx, l) {
				break
			}
		}
	}
}

// tendOne is one renewal of a finished lease. It reports whether the table answered.
func (c *Coordinator) tendOne(ctx context.Context, l Lease) bool {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.RequestTimeout)
	defer cancel()
	when, set := tending(l)
	row, err := c.store.Write(ctx, l.Key, when, set)
	var conflict *ConflictError
	switch {
	case err == nil:
		c.tended.moved(l.Key, &row)
	case errors.As(err, &conflict):
		c.tended.moved(l.Key, nil) // the next look brings it back if it is still ours
	default:
		return false
	}
	return true
}

// tending is the renewal of a finished lease.
func tending(l Lease) (Condition, Change) {
	return Condition{Counter: &l.Counter, Owner: &l.Owner}, Change{AddCounter: 1}
}

// meet notes which workers of KCL there are, and tells when that changes between some and none.
func (c *Coordinator) meet(others map[string]bool) {
	c.mu.Lock()
	before := c.beside
	c.beside = len(others) > 0
	c.mu.Unlock()
	switch {
	case len(others) > 0 && !before:
		c.log.Warn("beside workers of KCL: leases are taken without asking, by them and from them", zap.Strings("owners", slices.Sorted(maps.Keys(others))))
	case len(others) == 0 && before:
		c.log.Info("no worker of KCL is left")
	}
}
