package send

import (
	"time"

	"github.com/kinesiskit/kinesiskit/aggregation"
)

// Next returns the request to send now, or nil and when to ask again; a zero time means: only after something else has happened.
func (c *Core) Next(now time.Time) (*Request, time.Time) {
	if len(c.flying) >= c.width.requests() {
		return nil, time.Time{}
	}
	if now.Before(c.gate.until) {
		return nil, c.gate.until
	}
	if len(c.suspects) > 0 {
		r := c.suspects[0]
		c.suspects = c.suspects[1:]
		for _, e := range r.Entries {
			c.hold(e, -1) // launch holds it again
		}
		return c.launch(r, now), time.Time{}
	}
	if c.shards == nil {
		return nil, time.Time{}
	}
	due, wake := c.due(now)
	if !due {
		return nil, wake
	}
	r := &Request{}
	for i := range c.lanes {
		l := c.lanes[(c.cursor+i)%len(c.lanes)]
		if c.blocked(l) || now.Before(l.delay.until) || now.Before(l.flow.open(now)) {
			continue
		}
		if full := c.fill(r, l, now); full {
			break
		}
	}
	// Another lane is first next time: lanes that fill whole requests must not keep the others waiting.
	c.cursor++
	return c.launch(r, now), time.Time{}
}

func (c *Core) launch(r *Request, now time.Time) *Request {
	r.Start = now
	c.flying = append(c.flying, r)
	c.width.launched(len(c.flying))
	for _, e := range r.Entries {
		c.hold(e, 1)
		e.spread = c.spread
	}
	return r
}

// due reports whether some lane has waited long enough or has enough for a request, and otherwise when one will have waited long enough.
func (c *Core) due(now time.Time) (due bool, wake time.Time) {
	earlier := func(t time.Time) {
		if wake.IsZero() || t.Before(wake) {
			wake = t
		}
	}
	burst := max(burstBytes, c.limits.AggregateBytes) // less would be due, and then not be sent: a request without records
	if c.serial() && c.limits.AggregateBytes > 0 {
		burst = c.limits.AggregateBytes // a lane gets one Kinesis record of a request, so more of them do not make it fuller
	}
	bytes, records := 0, 0
	for _, l := range c.lanes {
		if len(l.ready) == 0 && len(l.queue) == 0 || c.blocked(l) {
			continue
		}
		if now.Before(l.delay.until) {
			earlier(l.delay.until)
			continue
		}
		if open := l.flow.open(now); now.Before(open) {
			earlier(open)
			continue
		}
		if len(l.ready) > 0 || l.bytes >= burst || c.lingered(l, now) {
			return true, time.Time{}
		}
		earlier(l.queue[0].Accepted.Add(c.limits.Linger))
		if c.full(l) {
			bytes += l.bytes
			records += l.records(c.limits.AggregateBytes)
		}
	}
	return bytes >= c.limits.BatchBytes || records >= c.limits.BatchRecords, wake
}

// lingered reports whether the first item of the queue must not wait longer.
func (c *Core) lingered(l *lane, now time.Time) bool {
	first := l.queue[0]
	return first.Seq <= c.flushTo || !now.Before(first.Accepted.Add(c.limits.Linger))
}

// full reports whether the queue certainly has enough for one whole Kinesis record.
func (c *Core) full(l *lane) bool { return l.bytes >= c.limits.AggregateBytes }

// records is how many Kinesis records the queue will make, at least.
func (l *lane) records(aggregateBytes int) int {
	if aggregateBytes == 0 {
		return len(l.queue)
	}
	return l.bytes / aggregateBytes
}

// fill adds to r what the lane has for it and may send, at most what its shard takes in a second, and reports whether r is full. With one request at a
// time it is one Kinesis record of a lane: PutRecords does not stop at an entry that fails, so a second one of the same shard could be stored while the
// first was not.
//
// Records that have still a quarter of Linger to wait go along with the request: so lanes whose moments come shortly after one another share requests
// instead of making one each.
func (c *Core) fill(r *Request, l *lane, now time.Time) (full bool) {
	soon := now.Add(c.limits.Linger / 4)
	grant := l.flow.grant()
	for bytes := 0; ; {
		if len(l.ready) == 0 {
			if len(l.queue) == 0 || !c.full(l) && !c.lingered(l, soon) {
				return false
			}
			l.ready = append(l.ready, c.cut(l, now))
		}
		e := l.ready[0]
		if len(r.Entries) >= c.limits.BatchRecords || len(r.Entries) > 0 && r.Bytes+e.Bytes > c.limits.BatchBytes {
			return true
		}
		if bytes > 0 && bytes+e.Bytes > shardBytes || !l.flow.take(&grant, e.Bytes, bytes == 0, now) {
			return false
		}
		l.takeReady()
		r.Entries = append(r.Entries, e)
		r.Bytes += e.Bytes
		bytes += e.Bytes
		if c.serial() {
			return false
		}
	}
}

// cut makes the next entry of the queue's first items: as many as fit into an aggregate, in their order. What does not fit into any goes alone, and
// not before its turn.
func (c *Core) cut(l *lane, now time.Time) *Entry {
	var b *aggregation.Builder
	n, most := 1, c.target(l)
	if c.limits.AggregateBytes > 0 && len(l.queue) > 1 && c.fits(nil, l.queue[0], most) {
		b = builders.Get().(*aggregation.Builder)
		b.Add(l.queue[0].encodable())
		for n < len(l.queue) && c.fits(b, l.queue[n], most) {
			b.Add(l.queue[n].encodable())
			n++
		}
	}
	e := &Entry{builder: b, lane: l.shard.ID, version: c.shards.Version(), made: now}
	if n == 1 {
		e.release()
	}
	e.Items = l.pop(n)
	e.low, e.high = e.Items[0].Hash, e.Items[0].Hash
	for _, it := range e.Items[1:] {
		if it.Hash.Compare(e.low) < 0 {
			e.low = it.Hash
		}
		if it.Hash.Compare(e.high) > 0 {
			e.high = it.Hash
		}
	}
	if e.Bytes = e.Items[0].bytes(); n > 1 {
		e.Bytes = b.Size() + len(outerKey)
	}
	return e
}

// fits reports whether the aggregate in b, nil for an empty one, takes the item and has no more than most bytes then.
func (c *Core) fits(b *aggregation.Builder, it *Item, most int) bool {
	if it.past != nil && it.past.resends >= mostResends {
		return false
	}
	if b == nil {
		return it.weight() < most
	}
	if b.Size()+it.bytes()+len(it.Explicit)+mostFraming+len(outerKey) <= most {
		return true // without a look at the tables
	}
	return b.SizeWith(it.encodable())+len(outerKey) <= most
}
