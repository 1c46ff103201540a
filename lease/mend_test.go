package lease_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/lease"
	"github.com/kinesiskit/kinesiskit/shard"
)

var (
	whole      = shard.HashRange{End: shard.MaxHashKey}
	forked     = []shard.Shard{{ID: "a", First: "1", Last: "9", Range: whole}, {ID: "b", First: "10", Parents: []string{"a"}, Range: whole}, {ID: "c", First: "11", Parents: []string{"a"}, Range: whole}}
	errListing = errors.New("throttled")
)

// mended is a worker that mends a table, and does nothing else.
type mended struct {
	*worker
	graph    atomic.Pointer[shard.Graph]
	listings atomic.Int64
	fails    atomic.Bool
	done     chan struct{}
	err      error
	stop     context.CancelFunc
}

func mend(t *testing.T, s lease.Store, start lease.Start, shards ...shard.Shard) *mended {
	t.Helper()
	w := &mended{worker: prepare(t, "w", s, lease.Config{}), done: make(chan struct{})}
	g := shard.NewGraph(shards)
	w.graph.Store(g)
	stream := lease.Stream{Name: "stream", Start: start, List: func(context.Context) (*shard.Graph, time.Time, error) {
		if w.fails.Load() {
			return nil, time.Time{}, errListing
		}
		w.listings.Add(1)
		return w.graph.Load(), time.Now(), nil
	}, OpenAt: func(_ context.Context, at time.Time) ([]shard.Shard, error) {
		return g.Open(), nil
	}}
	if err := w.Seed(t.Context(), stream, g, time.Now()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	w.stop = stop
	go func() {
		defer close(w.done)
		w.err = w.Mend(ctx)
	}()
	return w
}

func (w *mended) quit() {
	w.stop()
	<-w.done
	if w.err != nil {
		w.t.Errorf("mend: %v", w.err)
	}
}

func missing(t *testing.T, s lease.Store, key string) bool {
	t.Helper()
	_, err := s.Get(t.Context(), key)
	if err != nil && !errors.Is(err, lease.ErrNotFound) {
		t.Fatal(err)
	}
	return err != nil
}

func ended(key string, children ...string) lease.Lease {
	l := leaseAt(key, checkpoint.ShardEnd)
	l.Children = children
	return l
}

func remove(t *testing.T, s lease.Store, key string) {
	t.Helper()
	l := get(t, s, key)
	if err := s.Delete(t.Context(), key, lease.Condition{Counter: &l.Counter}); err != nil {
		t.Fatal(err)
	}
}

func TestALostRowIsMadeAgainWhenTwoListingsAgree(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := table(t, ended("a", "b", "c"), leaseAt("b", at(12), "a"), leaseAt("c", at(12), "a"))
		w := mend(t, s, lease.Start{}, forked...)
		time.Sleep(100 * time.Second)
		remove(t, s, "c")
		before, gone := w.listings.Load(), time.Now()
		for missing(t, s, "c") {
			time.Sleep(time.Second)
			synctest.Wait()
			if time.Since(gone) > 2*time.Minute {
				t.Fatal("not made again")
			}
		}
		if n, after := w.listings.Load()-before, time.Since(gone); n != 2 || after < 30*time.Second {
			t.Errorf("made again after %d listings and %v", n, after)
		}
		// Its parent is finished: it is read from its beginning.
		if l := get(t, s, "c"); l.Checkpoint.Position != checkpoint.TrimHorizon || l.First != "11" || !slices.Equal(l.Parents, []string{"a"}) || l.Counter < gone.UnixMilli() {
			t.Errorf("row %+v", l)
		}
		w.quit()
	})
}

func TestAHoleThatOnlyAStaleListingOfTheTableShowsIsNone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := table(t, leaseAt("a", at(3)))
		w := mend(t, s, lease.Start{}, forked...)
		w.link.set(func(op, _ string) fate {
			if op == "Create" {
				t.Error("a row was made")
			}
			return passes
		})
		w.link.mu.Lock()
		w.link.stale = func([]lease.Lease) []lease.Lease { return nil }
		w.link.mu.Unlock()
		time.Sleep(5 * time.Minute)
		w.quit()
	})
}

func TestWithoutACompleteListingNothingIsDecided(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := table(t, ended("a", "b", "c"), leaseAt("b", at(12), "a"), leaseAt("c", at(12), "a"))
		w := mend(t, s, lease.Start{}, forked...)
		w.fails.Store(true)
		remove(t, s, "b")
		time.Sleep(10 * time.Minute)
		if !missing(t, s, "b") || missing(t, s, "a") {
			t.Error("something was made or deleted")
		}
		w.fails.Store(false)
		time.Sleep(2 * time.Minute)
		if missing(t, s, "b") {
			t.Error("not made again")
		}
		w.quit()
	})
}

func TestALostRowOfAnApplicationThatBeganAtAnInstantBeginsThere(t *testing.T) {
	for name, c := range map[string]struct {
		start   lease.Start
		instant bool
		key     string
		want    checkpoint.Position
	}{
		"at an instant":            {lease.Start{Latest: true}, true, "c", checkpoint.AtTimestamp},
		"at one that nobody knows": {lease.Start{Latest: true}, false, "a", checkpoint.TrimHorizon},
		"with the oldest":          {lease.Start{}, false, "a", checkpoint.TrimHorizon},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := leaseAt("b", at(12), "a")
				began := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
				if c.instant {
					b.StartAt = began
				}
				s := table(t, b)
				w := mend(t, s, c.start, forked...)
				if c.instant { // what the first Seed left undone is done at once
					remove(t, s, "c")
				}
				time.Sleep(2 * time.Minute)
				l := get(t, s, c.key)
				if l.Checkpoint.Position != c.want || c.instant != l.StartAt.Equal(began) {
					t.Errorf("row %+v", l)
				}
				if c.key != "a" && !missing(t, s, "a") {
					t.Error("a shard that ended before the instant was made")
				}
				w.quit()
			})
		})
	}
}

func TestAFinishedRowIsDeletedFiveMinutesAfterItWasSeen(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := table(t, leaseAt("a", at(3)), leaseAt("b", at(12), "a"), leaseAt("c", checkpoint.TrimHorizon, "a"))
		w := mend(t, s, lease.Start{}, forked...)
		time.Sleep(10 * time.Minute)
		if missing(t, s, "a") {
			t.Fatal("a row that is not finished was deleted")
		}
		l := get(t, s, "a")
		if _, err := s.Write(t.Context(), "a", lease.Condition{Counter: &l.Counter},
			lease.Change{Children: []string{"b", "c"}, Checkpoint: &checkpoint.Checkpoint{Position: checkpoint.ShardEnd}}); err != nil {
			t.Fatal(err)
		}
		finished := time.Now()
		time.Sleep(10 * time.Minute)
		if missing(t, s, "a") {
			t.Fatal("deleted although a child was not begun")
		}
		c := get(t, s, "c")
		if _, err := s.Write(t.Context(), "c", lease.Condition{Counter: &c.Counter}, lease.Change{Checkpoint: &checkpoint.Checkpoint{Position: at(12)}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		if !missing(t, s, "a") {
			t.Errorf("there %v after its end", time.Since(finished))
		}
		w.quit()

		// A worker that has just come does not know for how long the row says so.
		s = table(t, ended("a", "b", "c"), leaseAt("b", at(12), "a"), leaseAt("c", at(12), "a"))
		w = mend(t, s, lease.Start{}, forked...)
		time.Sleep(4*time.Minute + 50*time.Second)
		if missing(t, s, "a") {
			t.Error("deleted too early")
		}
		time.Sleep(2 * time.Minute)
		if !missing(t, s, "a") {
			t.Error("not deleted")
		}
		w.quit()
	})
}

func TestAFinishedRowThatSomebodyChangedIsNotDeleted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		old := []lease.Lease{ended("a", "b", "c"), leaseAt("b", at(12), "a"), leaseAt("c", at(12), "a")}
		s := table(t, old...)
		w := mend(t, s, lease.Start{}, forked...)
		w.link.mu.Lock()
		w.link.stale = func([]lease.Lease) []lease.Lease { return slices.Clone(old) }
		w.link.mu.Unlock()
		// An operator sends the application back to the beginning.
		l := get(t, s, "a")
		if _, err := s.Write(t.Context(), "a", lease.Condition{Counter: &l.Counter},
			lease.Change{AddCounter: 1, Checkpoint: &checkpoint.Checkpoint{Position: checkpoint.TrimHorizon}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		if missing(t, s, "a") {
			t.Error("deleted")
		}
		w.quit()
	})
}

func TestAStreamThatWasMadeAgainIsSeenByWhoeverMends(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := table(t, leaseAt("a", at(3)))
		w := mend(t, s, lease.Start{}, shard.Shard{ID: "a", First: "1", Range: whole})
		time.Sleep(2 * time.Minute)
		w.graph.Store(shard.NewGraph([]shard.Shard{{ID: "a", First: "100", Range: whole}}))
		w.listings.Store(0)
		<-w.done
		var identity *lease.IdentityError
		if !errors.As(w.err, &identity) || identity.Key != "a" || w.listings.Load() < 2 {
			t.Errorf("%v after %d listings", w.err, w.listings.Load())
		}
	})
}

func TestOneWorkerMendsTheTable(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := table(t, rows(8)...)
		var calls [4]atomic.Int64
		var shards []shard.Shard
		for _, r := range rows(8) {
			shards = append(shards, shard.Shard{ID: r.Key, First: "1", Range: whole})
		}
		g := shard.NewGraph(shards)
		var all []*worker
		ctx, stop := context.WithCancel(context.Background())
		for i := range calls {
			w := run(t, string(rune('a'+i)), s, hold)
			all = append(all, w)
			list := func(context.Context) (*shard.Graph, time.Time, error) {
				calls[i].Add(1)
				return g, time.Now(), nil
			}
			if err := w.Seed(ctx, lease.Stream{Name: "stream", List: list}, g, time.Now()); err != nil {
				t.Fatal(err)
			}
			go func() { _ = w.Mend(ctx) }()
		}
		time.Sleep(30 * time.Minute)
		var counts []int64
		for i := range calls {
			counts = append(counts, calls[i].Load())
		}
		slices.Sort(counts)
		// Every 30 s, 2 min, 4.5 min and 8 min, or a little more.
		if counts[3] < 45 || counts[2] > 15 || counts[1] > 7 || counts[0] > 4 || counts[0] < 1 {
			t.Errorf("rounds of half an hour: %v", counts)
		}
		stop()
		for _, w := range all {
			w.quit()
		}
	})
}
