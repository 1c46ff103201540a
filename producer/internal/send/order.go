package send

import (
	"errors"
	"slices"
	"time"

	"github.com/kinesiskit/kinesiskit/producer/internal/route"
	"github.com/kinesiskit/kinesiskit/shard"
)

// Order, when Limits.Ordered asks for it.
//
// The first copies of a key's records stand in their order because of three things. At any time at most one Kinesis record that may hold the key is
// unsettled, wherever it was sent: each holds the lanes that meet its hash keys until its verdict, so nothing newer can be stored before it. That includes
// the lanes of a later map, and the time in which it is not known whether an aggregate on an unexpected shard counts. A record that failed without being
// stored goes before everything newer. And when one is given up for good, what the program queued behind it without knowing that is given up too.

// serial reports whether a lane has one unsettled Kinesis record at most. With one request at a time that follows nearly by itself; what remains is an
// aggregate that may have to be sent again.
func (c *Core) serial() bool {
	return (c.limits.Ordered || c.limits.InFlight == 1) && c.spread != route.SpreadAuto
}

// hold adds n to the number of unsettled Kinesis records of the lanes that e meets. What is between e's least and greatest hash key counts as met: which
// of the lanes between have records of e is not worth knowing.
func (c *Core) hold(e *Entry, n int) {
	if !c.serial() {
		return
	}
	for i := c.shards.Predict(e.low); i <= c.shards.Predict(e.high); i++ {
		c.lanes[i].held += n
	}
}

// holdAll counts again, for lanes of a new map.
func (c *Core) holdAll() {
	for _, l := range c.lanes {
		l.held = 0
	}
	for _, requests := range [][]*Request{c.flying, c.suspects} {
		for _, r := range requests {
			for _, e := range r.Entries {
				c.hold(e, 1)
			}
		}
	}
}

// blocked reports whether the lane has to wait for a verdict.
func (c *Core) blocked(l *lane) bool { return l.held > 0 }

const (
	// mostAggregate is the largest aggregate: a record of 1 MiB is what every stream takes, and what a shard takes in a second.
	mostAggregate = 1 << 20

	// headroom is how much more than the shard takes in one cycle an aggregate may hold, so that cycles of uneven length do not leave the shard idle.
	headroom = 2
)

// target is how large the lane's next aggregate may be. In order a lane has one Kinesis record in each cycle, from its making to its verdict, retries
// included. The longer a cycle takes, the more has to be in one record for the shard to be used: what the lane's budget has become meanwhile, or without
// a limit what the shard takes in the time of a cycle.
func (c *Core) target(l *lane) int {
	if !c.limits.Ordered || c.limits.AggregateBytes == 0 {
		return min(c.limits.AggregateBytes, l.flow.size())
	}
	if l.flow != nil {
		return min(max(l.flow.size(), int(l.flow.bytes*shardBytes)), mostAggregate)
	}
	full := int(headroom * shardBytes * l.cycle.Seconds())
	return max(c.limits.AggregateBytes, min(full, mostAggregate))
}

// cycled notes at now that the lane's entry is stored. An answer that came late once counts less than what is usual.
func (l *lane) cycled(e *Entry, now time.Time) {
	took := now.Sub(e.made)
	if l.cycle == 0 {
		l.cycle = took
	}
	l.cycle += (took - l.cycle) / 4
}

// rupture is a key of which a record has failed.
type rupture struct {
	open int    // failures of which the program has not been told yet
	upTo uint64 // records accepted until then fail too
}

// ruptures are the keys of which records have failed, by hash key: that is what order goes by. Only what the program put before it was told fails; what
// it puts then, it puts knowing.
type ruptures struct {
	keys  map[shard.HashKey]rupture
	fresh []shard.HashKey // since the last look at the queues
	added uint64          // the latest item that Add has seen
}

// rupture notes that the items have failed, and reports whether that takes others along.
func (c *Core) rupture(items []*Item, err error) bool {
	if !c.limits.Ordered || c.limits.Gaps || c.stopping || errors.Is(err, c.errs.Predecessor) {
		return false
	}
	if c.broken.keys == nil {
		c.broken.keys = make(map[shard.HashKey]rupture)
	}
	for _, it := range items {
		r := c.broken.keys[it.Hash]
		if r.open++; r.open == 1 {
			c.broken.fresh = append(c.broken.fresh, it.Hash)
		}
		c.broken.keys[it.Hash] = r
	}
	return true
}

// Told notes that the program is told from now on that items have failed, of an outcome with Ruptures set. Records that were accepted up to upTo and
// wait behind them fail; later ones are sent.
func (c *Core) Told(items []*Item, upTo uint64) {
	for _, it := range items {
		r := c.broken.keys[it.Hash]
		r.open--
		r.upTo = max(r.upTo, upTo)
		c.broken.keys[it.Hash] = r
	}
	c.mend()
}

// mend forgets ruptures behind which nothing can come any more.
func (c *Core) mend() {
	for k, r := range c.broken.keys {
		if r.open == 0 && r.upTo <= c.broken.added {
			delete(c.broken.keys, k)
		}
	}
}

func (c *Core) ruptured(it *Item) bool {
	r, ok := c.broken.keys[it.Hash]
	return ok && (r.open > 0 || it.Seq <= r.upTo)
}

// admit takes items that are about to be queued and leaves out those that stand behind a rupture.
func (c *Core) admit(items []*Item, step *Step) []*Item {
	if len(items) == 0 || !c.limits.Ordered {
		return items
	}
	c.broken.added = items[len(items)-1].Seq
	if len(c.broken.keys) == 0 {
		return items
	}
	kept, lost := part(items, c.ruptured)
	c.failItems(lost, c.errs.Predecessor, step)
	c.mend()
	return kept
}

// breakOff fails what waits behind records that have failed since the last call. Entries are not looked at: the one that held a key has failed, and no
// other can hold it.
func (c *Core) breakOff(step *Step) {
	fresh := c.broken.fresh
	c.broken.fresh = nil
	if len(fresh) == 0 {
		return
	}
	var lost []*Item
	if c.shards == nil {
		c.waiting, lost = part(c.waiting, c.ruptured)
		c.failItems(lost, c.errs.Predecessor, step)
		return
	}
	lanes := make([]int, len(fresh))
	for i, k := range fresh {
		lanes[i] = c.shards.Predict(k)
	}
	slices.Sort(lanes)
	for _, i := range slices.Compact(lanes) {
		l := c.lanes[i]
		var kept []*Item
		kept, lost = part(l.queue, c.ruptured)
		l.clearQueue()
		l.putBack(kept)
		c.failItems(lost, c.errs.Predecessor, step)
	}
}

// part divides items without changing the slice.
func part(items []*Item, out func(*Item) bool) (kept, taken []*Item) {
	for _, it := range items {
		if out(it) {
			taken = append(taken, it)
		} else {
			kept = append(kept, it)
		}
	}
	return kept, taken
}
