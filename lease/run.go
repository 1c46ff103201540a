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

// watch looks at the table, and takes what the plan says, until ctx ends.
func (c *Coordinator) watch(ctx context.Context, r *running) {
	var seen observer
	for ctx.Err() == nil {
		timer := time.NewTimer(c.look(ctx, &seen, r))
		select {
		case <-ctx.Done():
		case <-c.wake:
		case <-timer.C:
		}
		timer.Stop()
		select { // a wake that came with the timer asks for the look that follows, not for another one
		case <-c.wake:
		default:
		}
	}
}

// look is one look at the table, and returns when the next is due.
func (c *Coordinator) look(watch context.Context, seen *observer, r *running) time.Duration {
	ctx, cancel := context.WithTimeout(watch, c.cfg.FailoverTime)
	defer cancel()
	issued := c.clock.now()
	rows, bad, err := readAll(c.store.List(ctx))
	returned := c.clock.now()
	scan := ScanEvent{Took: returned.mono - issued.mono, Err: err}
	if err != nil {
		if ctx.Err() == nil || !errors.Is(err, context.Canceled) {
			c.met(*seen, false)
			c.report(bad, err)
			c.scanned(scan)
		}
		return c.rest(c.interval())
	}
	c.report(bad, nil)
	rows = readUpTo(rows, c.end)
	seen.look(rows, issued, returned, c.cfg.FailoverTime)
	v := view{me: c.owner, rows: rows, seen: seen.seen, max: c.cfg.MaxLeases, overdue: c.cfg.FailoverTime, now: returned.mono, held: make(map[string]bool)}
	for _, k := range c.holding() {
		v.held[k.key] = true
	}
	c.asked(&v)
	c.hands(ctx, rows)
	v.others = seen.others(rows)
	c.meet(v.others)
	p := makePlan(v)
	c.met(*seen, true)
	scan.Leases, scan.Workers, scan.Expired, scan.Unowned, scan.Wanted = len(rows), p.workers, p.expired, p.unowned, p.wanted
	c.scanned(scan)
	for _, l := range p.take {
		c.begin(l, r)
	}
	for _, l := range p.spare {
		c.disown(ctx, l, "")
	}
	for _, l := range p.ask {
		c.ask(watch, l, r)
	}
	for _, l := range p.steal {
		c.steal(ctx, l, r)
	}
	c.tended.set(p.tend)
	return c.pause(p, seen, rows)
}

// pause is how long to wait for the next look.
func (c *Coordinator) pause(p plan, seen *observer, rows []Lease) time.Duration {
	wait := c.interval()
	if p.expired+p.unowned > 0 {
		wait = min(wait, soon)
	}
	wait = c.rest(wait)
	if at, ok := seen.nextExpiry(rows, c.cfg.FailoverTime); ok {
		wait = min(wait, c.jitter(max(0, at-c.clock.now().mono)+time.Millisecond))
	}
	return wait
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

// interval bounds the pause between two looks at a fleet at rest: what a take-over costs on top of FailoverTime, and how long a lease that a stopping
// worker has given away waits for its new owner.
func (c *Coordinator) interval() time.Duration {
	return min(1800*time.Millisecond, c.cfg.FailoverTime/5)
}

// rest spreads d over 5/6 to 1 of itself.
func (c *Coordinator) rest(d time.Duration) time.Duration {
	return d - time.Duration(c.rng.Int64N(int64(d)/6+1))
}

// jitter spreads d over 1.0 to 1.2 of itself: never earlier, since a lease whose time has not come would only have to be looked at again.
func (c *Coordinator) jitter(d time.Duration) time.Duration {
	return d + time.Duration(c.rng.Int64N(int64(d)/5+1))
}

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

// report keeps Health and logs what changed.
func (c *Coordinator) report(bad []*RowError, err error) {
	c.mu.Lock()
	before := c.health
	if err == nil {
		c.health = Health{LastScan: time.Now(), Rows: bad}
	} else {
		c.health.Err = err
	}
	c.mu.Unlock()
	switch {
	case err != nil && before.Err == nil:
		c.log.Warn("lease table cannot be read", zap.Error(err))
	case err == nil && before.Err != nil:
		c.log.Info("lease table can be read again")
	}
	if err != nil {
		return
	}
	for _, row := range bad {
		if !slices.ContainsFunc(before.Rows, func(r *RowError) bool { return *r == *row }) {
			c.log.Warn("row of the lease table skipped", zap.Error(row))
		}
	}
}
