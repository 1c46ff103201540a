package send

import (
	"slices"

	"github.com/kinesiskit/kinesiskit/producer/internal/route"
)

// Spread is how the stream distributes records, as far as it is known.
func (c *Core) Spread() route.Spread { return c.spread }

// SetSpread notes how the stream distributes records. Nothing is aggregated unless it does so by keys; where it does not, aggregates that wait for
// another attempt are taken apart, and order has no meaning: a record is stored on any shard.
func (c *Core) SetSpread(s route.Spread) {
	if s == c.spread {
		return
	}
	c.spread = s
	c.limits.AggregateBytes = 0
	if s == route.SpreadByKeys {
		c.limits.AggregateBytes = c.aggregateBytes
	}
	if s == route.SpreadAuto {
		c.takeApart()
	}
	if c.shards != nil {
		c.holdAll() // whether anything is held depends on it
	}
}

// takeApart puts the records of aggregates that are not in flight back into the queues.
func (c *Core) takeApart() {
	var items []*Item
	drop := func(e *Entry) bool {
		if e.aggregated() {
			c.dissolve(e)
			items = append(items, e.Items...)
		}
		return e.aggregated()
	}
	for _, l := range c.lanes {
		l.ready = slices.DeleteFunc(l.ready, drop)
	}
	for _, r := range c.suspects {
		r.Entries = slices.DeleteFunc(r.Entries, func(e *Entry) bool {
			gone := drop(e)
			if gone {
				r.Bytes -= e.Bytes
			}
			return gone
		})
	}
	c.suspects = slices.DeleteFunc(c.suspects, func(r *Request) bool { return len(r.Entries) == 0 })
	if len(items) > 0 {
		c.putBack(items)
	}
}
