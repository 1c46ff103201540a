package send

import (
	"slices"
	"time"

	"github.com/kinesiskit/kinesiskit/producer/internal/route"
	"github.com/kinesiskit/kinesiskit/shard"
)

// lane is what waits for one shard: entries that are made already (failed ones, and one that did not fit into a request), then items in acceptance
// order.
type lane struct {
	shard shard.Shard
	delay backoff
	flow  *flow

	held  int           // unsettled Kinesis records that may hold keys of this lane, see Core.hold
	cycle time.Duration // from the making of a Kinesis record to its verdict, see Core.target

	ready []*Entry // by first item
	queue []*Item
	bytes int // lower bound of what the queue's items take in aggregates

	// Of the answer that is being read; throttled is the largest Kinesis record that was, in bytes.
	answered, stored, failed bool
	throttled                int
}

func newLane(s shard.Shard, f *flow) *lane {
	return &lane{shard: s, flow: f, delay: backoff{first: laneFirst, most: laneMost}}
}

// newLane makes the lane of a shard that was not open in the map before, whose lanes are old. What was sent to those that had its hash keys tells how
// fast it may be sent to.
func (c *Core) newLane(s shard.Shard, before *route.Map, old []*lane) *lane {
	l := newLane(s, newFlow(c.limits, c.rng))
	if before != nil {
		for _, from := range old[before.Predict(s.Range.Start) : before.Predict(s.Range.End)+1] {
			l.flow.inherit(from.flow)
		}
	}
	return l
}

func (l *lane) push(it *Item) {
	l.queue = append(l.queue, it)
	l.bytes += it.weight()
}

// pop takes the first n items. What is left is cut off the same array, so that the next append that has to grow copies only what is still waiting. An
// empty queue lets go of it: an idle lane would hold on to the records that it had last.
func (l *lane) pop(n int) []*Item {
	taken := l.queue[:n:n]
	if l.queue = l.queue[n:]; len(l.queue) == 0 {
		l.queue = nil
	}
	for _, it := range taken {
		l.bytes -= it.weight()
	}
	return taken
}

// putBack merges items, which are in acceptance order, into the queue: an older one goes before a newer one.
func (l *lane) putBack(items []*Item) {
	rest := l.queue
	queue := make([]*Item, 0, len(items)+len(rest))
	for len(items) > 0 && len(rest) > 0 {
		if items[0].Seq < rest[0].Seq {
			queue, items = append(queue, items[0]), items[1:]
		} else {
			queue, rest = append(queue, rest[0]), rest[1:]
		}
	}
	queue = append(append(queue, items...), rest...)
	l.queue, l.bytes = queue, 0
	for _, it := range queue {
		l.bytes += it.weight()
	}
}

// putReady adds an entry that is to be sent before everything in the queue, older ones first.
func (l *lane) putReady(e *Entry) {
	i, _ := slices.BinarySearchFunc(l.ready, e, func(a, b *Entry) int {
		if a.Items[0].Seq < b.Items[0].Seq {
			return -1
		}
		return 1
	})
	l.ready = slices.Insert(l.ready, i, e)
}

func (l *lane) takeReady() {
	l.ready[0] = nil
	if l.ready = l.ready[1:]; len(l.ready) == 0 {
		l.ready = nil
	}
}

func (l *lane) clear() {
	l.ready = nil
	l.clearQueue()
}

func (l *lane) clearQueue() { l.queue, l.bytes = nil, 0 }
