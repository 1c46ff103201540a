package lease

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Run takes leases and holds them until Shutdown is called or ctx ends; it may be called once. For each lease it calls serve on a goroutine of its own, with a
// context that carries ctx's values and ends with cause [ErrLost] before another worker may hold the lease.
//
// When serve returns nil the lease is released, or finished if [Tenure.End] succeeded. When it returns an error it is called again, after a backoff,
// while the lease is held. When it returns after Leaving was closed the lease is given away whatever serve returned: under a Shutdown to another worker or to
// nobody, else to the worker that asked for it; if nobody asks any more, because it took longer than HandoffTimeout, serve is called again.
//
// The end of ctx is a hard stop: contexts of serve end with ctx's cause, and what has not returned within two seconds is left behind, its leases to expire.
// A live fleet of KCL 3.x is met in the same way, with HandoffTimeout for the stop, and Run returns *FleetError.
// Run returns nil after everything was released, *DrainError after it was not, ErrRunning if it was called before. Throttling, outages and a lost table
// never end it: see [Coordinator.Health].
func (c *Coordinator) Run(ctx context.Context, serve func(ctx context.Context, t *Tenure) error) error {
	c.mu.Lock()
	if c.started {
		c.mu.Unlock()
		return ErrRunning
	}
	c.started = true
	c.mu.Unlock()
	defer close(c.stopped)

	base := context.WithoutCancel(ctx)
	watch, stopWatch := context.WithCancel(base)
	defer stopWatch()
	io, stopIO := context.WithCancel(base)
	r := &running{base: base, io: io, serve: serve}
	c.mu.Lock()
	c.stopWatch = stopWatch
	if c.stopping {
		stopWatch()
	}
	c.mu.Unlock()

	halted := make(chan struct{})
	disarm := context.AfterFunc(ctx, func() {
		defer close(halted)
		_ = c.shut(ctx) // what it has to say, drained says
	})
	r.asks.Go(func() { c.tend(watch) })
	r.asks.Go(func() { c.lookOut(watch) })
	r.asks.Go(func() { c.yield(watch) })
	c.watch(watch, r)
	err := c.drained()
	if !disarm() {
		<-halted
	}
	r.asks.Wait()
	c.passOn(io)
	stopIO()
	r.requests.Wait()
	return c.because(err)
}

// running is what the tenures of one Run share.
type running struct {
	base     context.Context // carries values, never ends
	io       context.Context // ends when nothing is left to be written
	serve    func(context.Context, *Tenure) error
	requests sync.WaitGroup // requests to the table that are on their way
	asks     sync.WaitGroup // requests to other workers that are open, and what else ends with the watch
}

// watch reads of the table what the watch says, and does what that leads to, until ctx ends.
func (c *Coordinator) watch(ctx context.Context, r *running) {
	lister, byOwner := c.store.(OwnerLister)
	if !byOwner {
		c.alone(nil)
	}
	// Up to where an application that ends has read, only rows tell.
	w := newWatch(c.owner, c.cfg.FailoverTime, byOwner && c.end.IsZero(), c.rng)
	for ctx.Err() == nil {
		e := w.next()
		if wait := e.at - c.clock.now().mono; wait > 0 && c.woken(ctx, w, wait) {
			continue
		}
		select { // a wake that came with the timer asks for the look that follows, not for another one
		case <-c.wake:
			c.promptly(w)
			e = w.next()
		default:
		}
		c.read(ctx, w, e, lister, r)
	}
}

// woken waits, and reports whether it was woken before the time was up, or ctx has ended.
func (c *Coordinator) woken(ctx context.Context, w *watch, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return true
	case <-timer.C:
		return false
	case <-c.wake:
	}
	c.promptly(w)
	return true
}

// promptly passes on that a shard has ended here.
func (c *Coordinator) promptly(w *watch) {
	c.mu.Lock()
	born := c.born
	c.born = nil
	c.mu.Unlock()
	w.prompt(c.clock.now().mono, born)
}

// alone says once that this worker lists the table by itself, however large the fleet is.
func (c *Coordinator) alone(err error) {
	c.log.Info("lease table has no index of owners that can be used: every worker lists the table, which costs more in a large fleet", zap.Error(err))
}

// view is what the worker has, and has asked for.
func (c *Coordinator) view() view {
	v := view{me: c.owner, max: c.cfg.MaxLeases, held: make(map[string]bool), now: c.clock.now().mono}
	for _, k := range c.holding() {
		v.held[k.key] = true
	}
	c.asked(&v)
	return v
}

// read runs one errand.
func (c *Coordinator) read(watch context.Context, w *watch, e errand, lister OwnerLister, r *running) {
	if e.what == readTable {
		c.look(watch, w, r)
		return
	}
	ctx, cancel := context.WithTimeout(watch, c.cfg.FailoverTime/2)
	defer cancel()
	var err error
	switch e.what {
	case readOwners:
		err = c.census(ctx, w, lister)
	case readPart:
		err = c.probe(ctx, w, e, lister, r)
	case readOwned:
		err = c.claim(ctx, w, lister, r)
	case readRow, readTable:
		err = c.glance(ctx, w, e, r)
	}
	if watch.Err() != nil && errors.Is(err, context.Canceled) {
		return
	}
	noIndex := errors.Is(err, ErrNoIndex)
	if noIndex {
		c.alone(err)
		err = nil
		w.failed(c.clock.now().mono, e.what, true)
	}
	if err != nil {
		w.failed(c.clock.now().mono, e.what, false)
	}
	c.met(w.seen, err == nil)
	c.report(nil, false, err)
}

// census asks the index who owns what.
func (c *Coordinator) census(ctx context.Context, w *watch, lister OwnerLister) error {
	var list []Owned
	for o, err := range lister.ListOwners(ctx) {
		if err != nil {
			return err
		}
		list = append(list, o)
	}
	w.mapped(c.clock.now(), list, len(c.holding()))
	return nil
}

// probe reads a part of the table.
func (c *Coordinator) probe(ctx context.Context, w *watch, e errand, lister OwnerLister, r *running) error {
	rows, _, err := readAll(lister.ListPart(ctx, e.part, e.of))
	if err != nil {
		return err
	}
	for _, l := range w.probed(c.clock.now(), rows, c.view()) {
		c.begin(l, r)
	}
	return nil
}

// claim asks the index what this worker was given, and takes it.
func (c *Coordinator) claim(ctx context.Context, w *watch, lister OwnerLister, r *running) error {
	var keys []string
	for key, err := range lister.ListOwned(ctx, c.owner) {
		if err != nil {
			return err
		}
		keys = append(keys, key)
	}
	slices.Sort(keys)
	v := c.view()
	keys = w.owned(v.now, keys, v)
	rows := make([]Lease, len(keys))
	atOnce(len(keys), func(i int) {
		rows[i], _ = c.get(ctx, keys[i]) // what cannot be read now is asked for again
	})
	claimed := 0
	for _, l := range rows {
		switch take, spare := w.claim(l, v, claimed); {
		case take:
			claimed++
			c.begin(l, r)
		case spare:
			c.disown(ctx, l, "")
		}
	}
	return nil
}

// glance reads one row.
func (c *Coordinator) glance(ctx context.Context, w *watch, e errand, r *running) error {
	issued := c.clock.now()
	l, err := c.get(ctx, e.key)
	var bad *RowError
	absent := errors.Is(err, ErrNotFound) || errors.As(err, &bad)
	if err != nil && !absent {
		return err
	}
	if w.row(issued, c.clock.now(), e, l, !absent) {
		c.begin(l, r)
	}
	return nil
}

// look is one look at the whole table.
func (c *Coordinator) look(watch context.Context, w *watch, r *running) {
	ctx, cancel := context.WithTimeout(watch, c.cfg.FailoverTime)
	defer cancel()
	issued := c.clock.now()
	rows, bad, err := readAll(c.store.List(ctx))
	returned := c.clock.now()
	scan := ScanEvent{Took: returned.mono - issued.mono, Err: err}
	if err != nil {
		w.failed(returned.mono, readTable, false)
		if ctx.Err() == nil || !errors.Is(err, context.Canceled) {
			c.met(w.seen, false)
			c.report(bad, true, err)
			c.scanned(scan)
		}
		return
	}
	c.report(bad, true, nil)
	rows = readUpTo(rows, c.end)
	c.hands(ctx, rows)
	d := w.list(rows, issued, returned, c.view())
	c.meet(d.others)
	c.met(w.seen, true)
	scan.Leases, scan.Workers, scan.Expired, scan.Unowned, scan.Wanted = len(rows), d.plan.workers, d.plan.expired, d.plan.unowned, d.plan.wanted
	c.scanned(scan)
	for _, l := range d.take {
		c.begin(l, r)
	}
	for _, l := range d.spare {
		c.disown(ctx, l, "")
	}
	for _, l := range d.ask {
		c.ask(watch, l, r)
	}
	for _, l := range d.plan.steal {
		c.steal(ctx, l, r)
	}
	c.tended.set(d.plan.tend)
	atOnce(len(d.give), func(i int) {
		when, set := giving(d.give[i], c.cfg.FailoverTime)
		_ = c.write(ctx, d.give[i].lease.Key, when, set) // what it does not reach is still free at the next look
	})
}

// atOnce calls f for 0 to n-1, a few calls at a time, and waits for them.
func atOnce(n int, f func(int)) {
	const few = 16
	var calls sync.WaitGroup
	for first := range min(few, n) {
		calls.Go(func() {
			for i := first; i < n; i += few {
				f(i)
			}
		})
	}
	calls.Wait()
}

// asked brings the requests of this worker into its view.
func (c *Coordinator) asked(v *view) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v.asks, v.rests = maps.Clone(c.asks), make(map[string]bool)
	for key, until := range c.rests {
		if until <= v.now {
			delete(c.rests, key)
			continue
		}
		v.rests[key] = true
	}
}

// met keeps what a look showed for the moment at which this worker stops.
func (c *Coordinator) met(seen observer, reached bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.succession.seen, c.succession.reached = seen, reached
}

func (c *Coordinator) scanned(e ScanEvent) {
	if c.hooks.Scanned != nil {
		c.hooks.Scanned(e)
	}
}

// soon is the pause between two looks while there is something to take.
const soon = 600 * time.Millisecond

// interval bounds the pause between two looks at something that is waited for.
func (c *Coordinator) interval() time.Duration { return lookEvery(c.cfg.FailoverTime) }

// readAll collects a listing of the table, sorted by key, with the rows that could not be read.
func readAll(list iter.Seq2[Lease, error]) (rows []Lease, bad []*RowError, err error) {
	for l, err := range list {
		var row *RowError
		switch {
		case errors.As(err, &row):
			bad = append(bad, row)
		case err != nil:
			return nil, bad, err
		default:
			rows = append(rows, l)
		}
	}
	slices.SortFunc(rows, func(a, b Lease) int { return strings.Compare(a.Key, b.Key) })
	return rows, bad, nil
}

// report keeps Health and logs what changed. all says that every row was looked at.
func (c *Coordinator) report(bad []*RowError, all bool, err error) {
	c.mu.Lock()
	before := c.health
	switch {
	case err != nil:
		c.health.Err = err
	case all:
		c.health = Health{LastScan: time.Now(), Rows: bad}
	default:
		c.health = Health{LastScan: time.Now(), Rows: before.Rows}
	}
	c.mu.Unlock()
	switch {
	case err != nil && before.Err == nil:
		c.log.Warn("lease table cannot be read", zap.Error(err))
	case err == nil && before.Err != nil:
		c.log.Info("lease table can be read again")
	}
	if err != nil || !all {
		return
	}
	for _, row := range bad {
		if !slices.ContainsFunc(before.Rows, func(r *RowError) bool { return *r == *row }) {
			c.log.Warn("row of the lease table skipped", zap.Error(row))
		}
	}
}
