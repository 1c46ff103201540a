package send

import (
	"slices"

	"github.com/kinesiskit/kinesiskit/producer/internal/route"
	"github.com/kinesiskit/kinesiskit/shard"
)

// Spread is how the stream distributes records, as far as it is known.
func (c *Core) Spread() route.Spread { return c.spread }

// SetSpread notes how the stream distributes records. Nothing is aggregated unless it does so by keys. Where it does so by itself, aggregates that
// wait for another attempt are taken apart, order has no meaning since a record is stored on any shard, and records are divided among the lanes evenly.
func (c *Core) SetSpread(s route.Spread) {
	if s == c.spread {
		return
	}
	c.spread = s
	c.limits.AggregateBytes = 0
	if s == route.SpreadByKeys {
		c.limits.AggregateBytes = c.aggregateBytes
	}
	c.scattered = c.scattered || s == route.SpreadAuto
	if !c.scattered || c.shards == nil {
		return
	}
	var items []*Item
	for _, l := range c.lanes {
		for _, e := range l.ready {
			c.dissolve(e)
			items = append(items, e.Items...)
		}
		items = append(items, l.queue...)
		l.clear()
	}
	for _, r := range c.suspects {
		r.Entries = slices.DeleteFunc(r.Entries, func(e *Entry) bool {
			if !e.aggregated() {
				c.moveAlone(e)
				return false
			}
			r.Bytes -= e.Bytes
			c.dissolve(e)
			items = append(items, e.Items...)
			return true
		})
	}
	c.suspects = slices.DeleteFunc(c.suspects, func(r *Request) bool { return len(r.Entries) == 0 })
	c.putBack(items)
	c.holdAll() // whether anything is held depends on it
}

// place gives an item its place on the ring. An AUTO stream takes no notice of it, so there it divides the records among the lanes, whatever keys they have:
// each lane has the rate of a shard, and their keys may all be the same.
func (c *Core) place(it *Item) {
	const golden = 0x9e3779b97f4a7c15 // 2^64 divided by the golden ratio: multiples of it lie evenly
	switch {
	case c.spread == route.SpreadAuto:
		it.Hash = shard.HashKey{Hi: it.Seq * golden}
	case it.Explicit == "":
		it.Hash = shard.HashOf(it.Key)
	default:
		it.Hash, _ = shard.ParseHashKey(it.Explicit) // it was read when the record was accepted
	}
}

// placeAll does so if places may not be what they were when the items were accepted.
func (c *Core) placeAll(items []*Item) {
	if !c.scattered {
		return
	}
	for _, it := range items {
		c.place(it)
	}
}

// moveAlone does so for an entry that is a record alone.
func (c *Core) moveAlone(e *Entry) {
	c.placeAll(e.Items)
	e.low, e.high = e.Items[0].Hash, e.Items[0].Hash
}
