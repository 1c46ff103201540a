package send

import (
	"slices"
	"time"
)

// Expire fails what has waited for RecordTTL at now, and returns when to look again (zero: nothing waits, or nothing expires). What is in flight is
// looked at when its answer is here.
func (c *Core) Expire(now time.Time, step *Step) (wake time.Time) {
	ttl := c.limits.RecordTTL
	if ttl == 0 {
		return time.Time{}
	}
	expired := func(it *Item) bool { return now.Sub(it.Accepted) >= ttl }
	// Of a Kinesis record that may be stored as a whole, all items end together, so the newest one counts.
	spent := func(e *Entry) bool { return expired(e.Items[len(e.Items)-1]) }

	n := old(c.waiting, expired)
	c.failItems(c.waiting[:n:n], c.errs.Expired, step)
	c.waiting = c.waiting[n:]
	c.breakOff(step)
	for _, l := range c.lanes {
		l.expireReady(c, expired, step)
		c.breakOff(step)
		if n := old(l.queue, expired); n > 0 {
			c.failItems(l.pop(n), c.errs.Expired, step)
		}
	}
	c.undecided = slices.DeleteFunc(c.undecided, func(e *Entry) bool {
		if !spent(e) {
			return false
		}
		e.mayExist = true
		c.hold(e, -1)
		c.fail(e, c.errs.Expired, step)
		return true
	})
	for _, r := range c.suspects {
		r.Entries = slices.DeleteFunc(r.Entries, func(e *Entry) bool {
			if !spent(e) {
				return false
			}
			r.Bytes -= e.Bytes
			c.hold(e, -1)
			c.fail(e, c.errs.Expired, step)
			return true
		})
	}
	c.suspects = slices.DeleteFunc(c.suspects, func(r *Request) bool { return len(r.Entries) == 0 })
	c.breakOff(step)
	return c.nextExpiry()
}

// old is how many items at the front have expired.
func old(items []*Item, expired func(*Item) bool) int {
	n := slices.IndexFunc(items, func(it *Item) bool { return !expired(it) })
	if n < 0 {
		return len(items)
	}
	return n
}

// expireReady takes expired items out of entries that wait for another attempt. What is left of such an entry goes back to the front of the queue.
func (l *lane) expireReady(c *Core, expired func(*Item) bool, step *Step) {
	var gone, left []*Item
	l.ready = slices.DeleteFunc(l.ready, func(e *Entry) bool {
		n := old(e.Items, expired)
		if n == 0 {
			return false
		}
		c.dissolve(e)
		gone = append(gone, e.Items[:n]...)
		left = append(left, e.Items[n:]...)
		return true
	})
	c.failItems(gone, c.errs.Expired, step)
	if len(left) > 0 {
		slices.SortFunc(left, bySeq)
		l.putBack(left)
	}
}

func (c *Core) nextExpiry() (wake time.Time) {
	see := func(accepted time.Time) {
		if at := accepted.Add(c.limits.RecordTTL); wake.IsZero() || at.Before(wake) {
			wake = at
		}
	}
	if len(c.waiting) > 0 {
		see(c.waiting[0].Accepted)
	}
	for _, l := range c.lanes {
		if len(l.queue) > 0 {
			see(l.queue[0].Accepted)
		}
		for _, e := range l.ready {
			see(e.Items[0].Accepted)
		}
	}
	for _, e := range c.undecided {
		see(e.Items[len(e.Items)-1].Accepted)
	}
	for _, r := range c.suspects {
		for _, e := range r.Entries {
			see(e.Items[len(e.Items)-1].Accepted)
		}
	}
	return wake
}
