package send

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/kinesiskit/kinesiskit/internal/retry"
	"github.com/kinesiskit/kinesiskit/producer/internal/route"
)

// Limits are the producer's settings that matter here.
type Limits struct {
	Linger         time.Duration // 0: none
	AggregateBytes int           // 0: no aggregation
	BatchRecords   int
	BatchBytes     int
	InFlight       int
	RecordTTL      time.Duration // 0: never
	Ordered        bool          // one unsettled Kinesis record of a lane
	Gaps           bool          // go on behind a record that failed, although Ordered
	RatePercent    int           // of what a shard takes; 0: no limit
}

// Errors are the caller's, so that its users can match them: of items that outlive RecordTTL or Stop, and of those behind a failed one when Ordered.
type Errors struct{ Expired, Stopped, Predecessor error }

const (
	// A request that failed as a whole says that the service or the way to it is in trouble, for every lane.
	gateFirst = 100 * time.Millisecond
	gateMost  = 5 * time.Second

	// A failed entry says that its shard is busy. A shard's limits are per second, so more than a second is never needed for it to have room again.
	laneFirst = 100 * time.Millisecond
	laneMost  = time.Second

	// grace is how long a stream may be reported missing before records fail: one that was just created is not known everywhere at once.
	grace = 2 * time.Second

	// mostResends is how often a record may have been part of an aggregate that was re-sent; after that it goes alone, which is right on any shard.
	// So resending ends also where the map never fits, for instance on a stream that distributes records by itself.
	mostResends = 3

	// burstBytes of one shard are sent without waiting for Linger, if they fill an aggregate (KPL's per-shard flush).
	burstBytes = 256 << 10
)

// Core holds every record from its acceptance to its verdict.
type Core struct {
	limits Limits
	errs   Errors
	rng    *rand.Rand

	spread         route.Spread
	aggregateBytes int  // what limits say where the stream's distribution allows it
	scattered      bool // places of items are, or were, not those of their keys, see place

	shards    *route.Map // nil until the first listing
	lanes     []*lane    // one for each open shard of the map, in its order
	cursor    int        // the lane that is first in the next request
	waiting   []*Item    // accepted before there was a map
	undecided []*Entry   // stored on a shard that the map does not know
	suspects  []*Request // to be sent as they are, see isolate
	flying    []*Request
	width     width

	flushTo  uint64 // items up to this one do not linger
	broken   ruptures
	refusal  error // set: without a map, records fail with it
	gate     backoff
	missing  time.Time // since when the stream is reported missing
	trouble  error     // why the latest request failed as a whole
	stopping bool
}

// New returns an empty Core. rng makes its delays.
func New(limits Limits, rng *rand.Rand, errs Errors) *Core {
	c := &Core{limits: limits, rng: rng, errs: errs, gate: backoff{first: gateFirst, most: gateMost}, width: newWidth(limits.InFlight)}
	c.aggregateBytes, c.limits.AggregateBytes = limits.AggregateBytes, 0 // see SetSpread
	return c
}

// backoff is a retry.Backoff that several failures of one moment advance once.
type backoff struct {
	first, most time.Duration
	delays      *retry.Backoff
	until       time.Time // nothing is sent before
	set         time.Time
}

// fail notes that an attempt begun at start has failed at now. With several requests in flight, those that were sent before the delay was set fail
// for the same reason: they say nothing about whether the delay was long enough.
func (b *backoff) fail(rng *rand.Rand, start, now time.Time) {
	if start.Before(b.set) {
		return
	}
	if b.delays == nil {
		b.delays = retry.NewBackoff(rng, b.first, b.most)
	}
	b.set = now
	b.until = now.Add(b.delays.Next())
}

func (b *backoff) succeed() {
	if b.delays != nil {
		b.delays.Reset()
	}
	b.until = time.Time{}
}

// Step is what the caller has to do after something happened.
type Step struct {
	Outcomes []Outcome
	Resent   []Resent
	Refresh  bool // list the shards
	Full     bool // the closed ones too

	Unexpected int // Kinesis records that were stored where their hash keys do not belong by the map
}

// Resent is an aggregate that was stored on a shard that cannot hold all of it.
type Resent struct {
	Expected, Actual string
	Records          int
}

// Add takes over items in acceptance order. The slice remains the caller's.
func (c *Core) Add(items []*Item, step *Step) {
	items = c.admit(items, step)
	switch {
	case c.stopping:
		c.failItems(slices.Clone(items), c.errs.Stopped, step)
	case c.shards == nil && c.refusal != nil:
		c.failItems(slices.Clone(items), c.refusal, step)
		c.breakOff(step)
	case c.shards == nil:
		c.waiting = append(c.waiting, items...)
	default:
		c.placeAll(items)
		for _, it := range items {
			c.lanes[c.shards.Predict(it.Hash)].push(it)
		}
	}
}

// Flush lets items up to seq go without lingering.
func (c *Core) Flush(seq uint64) { c.flushTo = max(c.flushTo, seq) }

// Shards is the map in use, nil before the first.
func (c *Core) Shards() *route.Map { return c.shards }

// SetMap puts a new map into force: what waits in the lane of a shard that is no longer open moves to the lanes of its successors, in acceptance
// order, and what was stored on a shard that nobody knew is judged again.
func (c *Core) SetMap(m *route.Map, step *Step) {
	before, old := c.shards, c.lanes
	c.shards, c.refusal = m, nil
	kept := make(map[string]*lane, len(old))
	for _, l := range old {
		kept[l.shard.ID] = l
	}
	c.lanes = make([]*lane, len(m.Open()))
	for i, s := range m.Open() {
		// The same id with another range is a stream that was created again: its lane is re-bucketed like any that is gone.
		if l := kept[s.ID]; l != nil && l.shard.Range == s.Range {
			l.shard = s
			c.lanes[i] = l
			delete(kept, s.ID)
		} else {
			c.lanes[i] = c.newLane(s, before, old)
		}
	}
	var items []*Item
	var entries []*Entry
	for _, l := range old {
		if kept[l.shard.ID] == l {
			entries = append(entries, l.ready...)
			items = append(items, l.queue...)
		} else {
			for _, e := range l.ready {
				e.version = m.Version()
			}
		}
	}
	items = append(items, c.waiting...)
	c.waiting = nil
	c.putBack(items)
	for _, e := range entries {
		c.requeue(e)
	}
	c.holdAll()
	undecided := c.undecided
	c.undecided = nil
	for _, e := range undecided {
		c.judge(e, step)
	}
	c.breakOff(step)
	step.Full = step.Full || len(c.undecided) > 0
}

// putBack gives items to the lanes of the present map, each before the newer ones of its lane.
func (c *Core) putBack(items []*Item) {
	slices.SortFunc(items, bySeq)
	c.placeAll(items)
	back := make(map[int][]*Item)
	for _, it := range items {
		i := c.shards.Predict(it.Hash)
		back[i] = append(back[i], it)
	}
	for i, l := range c.lanes {
		if items := back[i]; len(items) > 0 {
			l.putBack(items)
		}
	}
}

// requeue gives an entry that is not in the stream, as far as anybody knows, to the lane it belongs to now. It stays as it is if one lane takes all of
// it; otherwise its items go back one by one.
func (c *Core) requeue(e *Entry) {
	if !e.aggregated() {
		c.moveAlone(e)
	}
	i := c.shards.Predict(e.low)
	if i != c.shards.Predict(e.high) || c.spread == route.SpreadAuto && e.aggregated() {
		c.dissolve(e)
		c.putBack(e.Items)
		return
	}
	e.lane, e.version = c.lanes[i].shard.ID, c.shards.Version()
	c.lanes[i].putReady(e)
}

// dissolve hands the entry's history to its items.
func (c *Core) dissolve(e *Entry) {
	e.release()
	if e.tries == 0 {
		return
	}
	for _, it := range e.Items {
		attempts, tries := it.Attempts(e.attempts, e.tries)
		next := &past{attempts: attempts, tries: tries, mayExist: e.mayExist || it.MayExist()}
		if it.past != nil {
			next.resends = it.past.resends
		}
		it.past = next
	}
}

// Refuse notes that the shards cannot be listed, for a reason that only an operator can change. Records fail with err at once where they cannot be
// sent without a map; those that are stored on a shard nobody knows fail too, since nobody will ever know. The others go by the map there is.
func (c *Core) Refuse(err error, step *Step) {
	if c.shards == nil {
		c.refusal = err
		c.failItems(c.waiting, err, step)
		c.waiting = nil
	}
	for _, e := range c.undecided {
		e.mayExist = true
		c.hold(e, -1)
		c.fail(e, err, step)
	}
	c.undecided = nil
	c.breakOff(step)
}

// Stop fails everything that is not in flight. What is in flight ends with its answer, without a retry.
func (c *Core) Stop(step *Step) {
	c.stopping = true
	c.failItems(c.waiting, c.errs.Stopped, step)
	c.waiting = nil
	for _, l := range c.lanes {
		for _, e := range l.ready {
			c.fail(e, c.errs.Stopped, step)
		}
		c.failItems(l.queue, c.errs.Stopped, step)
		l.clear()
	}
	for _, e := range c.undecided {
		e.mayExist = true
		c.fail(e, c.errs.Stopped, step)
	}
	for _, r := range c.suspects {
		for _, e := range r.Entries {
			c.fail(e, c.errs.Stopped, step)
		}
	}
	c.undecided, c.suspects = nil, nil
}

// Abandon fails what is in flight: its answers will not be waited for, so all of it may exist.
func (c *Core) Abandon(step *Step) {
	for _, r := range c.flying {
		for _, e := range r.Entries {
			e.mayExist = true
			c.fail(e, c.errs.Stopped, step)
		}
	}
	c.flying = nil
}

func (c *Core) fail(e *Entry, err error, step *Step) {
	step.Outcomes = append(step.Outcomes, Outcome{
		Items: e.Items, Aggregated: e.aggregated(), Attempts: e.attempts, Tries: e.tries, MayExist: e.mayExist, Err: err,
		Ruptures: c.rupture(e.Items, err),
	})
}

func (c *Core) failItems(items []*Item, err error, step *Step) {
	if len(items) > 0 {
		step.Outcomes = append(step.Outcomes, Outcome{Items: items, Err: err, Ruptures: c.rupture(items, err)})
	}
}

// InFlight is the number of requests under way.
func (c *Core) InFlight() int { return len(c.flying) }

// Trouble is why the latest request failed as a whole, nil if it did not.
func (c *Core) Trouble() error { return c.trouble }

// Oldest is when the oldest item that has no verdict was accepted; zero if there is none.
func (c *Core) Oldest() time.Time {
	var oldest time.Time
	see := func(items []*Item) {
		if len(items) > 0 && (oldest.IsZero() || items[0].Accepted.Before(oldest)) {
			oldest = items[0].Accepted
		}
	}
	see(c.waiting)
	for _, l := range c.lanes {
		see(l.queue)
	}
	c.entries(func(e *Entry) { see(e.Items) })
	for _, r := range c.flying {
		for _, e := range r.Entries {
			see(e.Items)
		}
	}
	return oldest
}

// entries visits every entry that is not in flight.
func (c *Core) entries(visit func(*Entry)) {
	for _, l := range c.lanes {
		for _, e := range l.ready {
			visit(e)
		}
	}
	for _, e := range c.undecided {
		visit(e)
	}
	for _, r := range c.suspects {
		for _, e := range r.Entries {
			visit(e)
		}
	}
}
