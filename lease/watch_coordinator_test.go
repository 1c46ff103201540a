package lease_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/kinesiskit/kinesiskit/lease"
	"github.com/kinesiskit/kinesiskit/lease/memstore"
)

// indexed is a link to a table that lists by owner.
type indexed struct {
	*link
	by      lease.OwnerLister
	missing *atomic.Bool // the index is gone
	lists   atomic.Int64
	maps    atomic.Int64
}

func (x *indexed) List(ctx context.Context) iter.Seq2[lease.Lease, error] {
	x.lists.Add(1)
	return x.link.List(ctx)
}

func relisted[T any](ctx context.Context, x *indexed, op string, list iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		if x.missing != nil && x.missing.Load() {
			yield(none, fmt.Errorf("no such index: %w", lease.ErrNoIndex))
			return
		}
		all, err := pass(ctx, x.fate(op, ""), func(context.Context) (all []T, err error) {
			for v, err := range list {
				if err != nil {
					return nil, err
				}
				all = append(all, v)
			}
			return all, nil
		})
		if err != nil {
			yield(none, err)
			return
		}
		for _, v := range all {
			if !yield(v, nil) {
				return
			}
		}
	}
}

func (x *indexed) ListOwned(ctx context.Context, owner string) iter.Seq2[string, error] {
	return relisted(ctx, x, "ListOwned", x.by.ListOwned(ctx, owner))
}

func (x *indexed) ListOwners(ctx context.Context) iter.Seq2[lease.Owned, error] {
	x.maps.Add(1)
	return relisted(ctx, x, "ListOwners", x.by.ListOwners(ctx))
}

func (x *indexed) ListPart(ctx context.Context, part, parts int) iter.Seq2[lease.Lease, error] {
	return relisted(ctx, x, "ListPart", x.by.ListPart(ctx, part, parts))
}

// crowd is a fleet that is too large for every worker to list the table.
type crowd struct {
	t       *testing.T
	s       *memstore.Store
	leases  int
	workers []*worker
	links   []*indexed
	missing atomic.Bool
	log     *zap.Logger
	most    map[int]int // MaxLeases by worker
}

func newCrowd(t *testing.T, leases, workers int) *crowd {
	t.Helper()
	c := &crowd{t: t, s: memstore.New(), leases: leases, log: zap.NewNop(), most: map[int]int{}}
	for i := range leases {
		if err := c.s.Create(t.Context(), leaseAt(fmt.Sprintf("s%04d", i), at(1))); err != nil {
			t.Fatal(err)
		}
	}
	for range workers {
		c.start(hold)
	}
	return c
}

func (c *crowd) start(serve serveFunc) int {
	n := len(c.workers)
	cfg := lease.Config{FailoverTime: failover, MaxLeases: c.most[n]}
	w := &worker{t: c.t, link: &link{Store: c.s, sent: map[string]time.Time{}}, done: make(chan struct{})}
	x := &indexed{link: w.link, by: c.s, missing: &c.missing}
	k, err := lease.New(fmt.Sprintf("worker-%03d", n), x, cfg, lease.WithSeed(uint64(n)), lease.WithLogger(c.log), lease.WithHooks(lease.Hooks{
		Acquired: func(e lease.Event) { w.note("acquired", e.Lease.Key, e.Lease, e.Err) },
		Ended:    func(e lease.Event) { w.note("ended", e.Lease.Key, e.Lease, e.Err) },
	}))
	if err != nil {
		c.t.Fatal(err)
	}
	w.Coordinator = k
	c.workers, c.links = append(c.workers, w.start(serve)), append(c.links, x)
	return n
}

// even demands that every lease has an owner, and that the workers in a list have shares that differ by one at most.
func (c *crowd) even(among []*worker) {
	c.t.Helper()
	count := owners(c.t, c.s)
	least, most := c.leases, 0
	for _, w := range among {
		least, most = min(least, count[w.Owner()]), max(most, count[w.Owner()])
	}
	if count[""] > 0 || most-least > 1 {
		c.t.Errorf("%d leases without an owner, loads %d to %d", count[""], least, most)
	}
}

// listers are the workers that list the table again and again during the next d, every four seconds or more often.
func (c *crowd) listers(d time.Duration) (list []int) {
	before := make([]int64, len(c.links))
	for i, x := range c.links {
		before[i] = x.lists.Load()
	}
	time.Sleep(d)
	for i, x := range c.links {
		if x.lists.Load()-before[i] >= int64(d/(4*time.Second)) {
			list = append(list, i)
		}
	}
	return list
}

func (c *crowd) quit() {
	for _, w := range c.workers {
		select {
		case <-w.done:
		default:
			w.quit()
		}
	}
}

// regained is how long after a moment each of a worker's leases was acquired by another.
func (c *crowd) regained(keys []string, since time.Time) (longest time.Duration) {
	c.t.Helper()
	for _, key := range keys {
		var first time.Time
		for _, w := range c.workers {
			for _, e := range w.seen("acquired", key) {
				if !e.when.Before(since) && (first.IsZero() || e.when.Before(first)) {
					first = e.when
				}
			}
		}
		if first.IsZero() {
			c.t.Errorf("%s was not taken over", key)
			continue
		}
		longest = max(longest, first.Sub(since))
	}
	return longest
}

func (c *crowd) keysOf(w *worker) (keys []string) {
	for key, err := range c.s.ListOwned(c.t.Context(), w.Owner()) {
		if err != nil {
			c.t.Fatal(err)
		}
		keys = append(keys, key)
	}
	return keys
}

const (
	crowdLeases  = 400
	crowdWorkers = 40
)

func TestALargeFleetIsWatchedByAFew(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCrowd(t, crowdLeases, crowdWorkers)
		time.Sleep(2 * time.Minute)
		c.even(c.workers)
		watchers := c.listers(time.Minute)
		if len(watchers) != 3 {
			t.Errorf("%d workers list the table, want 3", len(watchers))
		}

		stops := c.workers[slices.IndexFunc(c.workers, func(w *worker) bool {
			return !slices.ContainsFunc(watchers, func(i int) bool { return w == c.workers[i] })
		})]
		keys, began := c.keysOf(stops), time.Now()
		stops.quit()
		time.Sleep(3 * time.Second)
		if d := c.regained(keys, began); len(keys) == 0 || d > 2*time.Second+200*time.Millisecond {
			t.Errorf("%d leases of a worker that stopped were taken over within %v", len(keys), d)
		}

		crashes := c.workers[watchers[0]]
		keys, began = c.keysOf(crashes), time.Now()
		crashes.kill()
		time.Sleep(failover + 4*time.Second)
		if d := c.regained(keys, began); len(keys) == 0 || d > failover+4*time.Second {
			t.Errorf("%d leases of a watcher that crashed were taken over within %v", len(keys), d)
		}
		time.Sleep(time.Minute)
		rest := slices.DeleteFunc(slices.Clone(c.workers), func(w *worker) bool { return w == stops || w == crashes })
		c.even(rest)
		crashes.link.set(nil)
		c.quit()
	})
}

// When all that watch are gone at once the others notice, and some of them watch.
func TestALargeFleetFindsNewWatchers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCrowd(t, crowdLeases, crowdWorkers)
		time.Sleep(time.Minute)
		var keys []string
		watchers := c.listers(30 * time.Second)
		began := time.Now()
		for _, i := range watchers {
			keys = append(keys, c.keysOf(c.workers[i])...)
			c.workers[i].kill()
		}
		time.Sleep(90 * time.Second)
		if d := c.regained(keys, began); len(keys) == 0 || d > 75*time.Second {
			t.Errorf("%d leases of all watchers were taken over within %v", len(keys), d)
		}
		for _, i := range watchers {
			c.workers[i].link.set(nil)
		}
		c.quit()
	})
}

func TestWithoutAnIndexEveryWorkerListsAndSaysSoOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		core, logs := observer.New(zap.InfoLevel)
		c := newCrowd(t, crowdLeases, 0)
		c.log = zap.New(core)
		for range crowdWorkers / 2 {
			c.start(hold)
		}
		time.Sleep(time.Minute)
		if n := len(c.listers(10 * time.Second)); n != 3 {
			t.Errorf("%d workers list the table, want 3", n)
		}
		c.missing.Store(true)
		time.Sleep(3 * time.Second)
		if n := len(c.listers(10 * time.Second)); n != crowdWorkers/2 {
			t.Errorf("without the index %d of %d workers list the table", n, crowdWorkers/2)
		}
		if n := logs.FilterMessageSnippet("no index").Len(); n != crowdWorkers/2 {
			t.Errorf("said %d times, want once each", n)
		}
		c.even(c.workers)
		c.quit()
	})
}

// A worker that may hold little returns what it is given beyond that; it would get it again and again.
func TestAFullWorkerIsNotGivenLeasesAgainAndAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCrowd(t, crowdLeases, 0)
		for i := range crowdWorkers {
			if i%4 == 0 {
				c.most[i] = 3
			}
			c.start(hold)
		}
		time.Sleep(time.Minute)
		count := owners(t, c.s)
		if count[""] > 0 {
			t.Errorf("%d leases without an owner", count[""])
		}
		for i, w := range c.workers {
			if n := count[w.Owner()]; c.most[i] > 0 && n > c.most[i] {
				t.Errorf("%s has %d leases, may have %d", w.Owner(), n, c.most[i])
			}
		}
		before := 0
		for _, w := range c.workers {
			before += len(w.seen("acquired", ""))
		}
		time.Sleep(2 * time.Minute)
		after := 0
		for _, w := range c.workers {
			after += len(w.seen("acquired", ""))
		}
		if after-before > 10 {
			t.Errorf("%d leases moved in a fleet at rest", after-before)
		}
		c.quit()
	})
}
