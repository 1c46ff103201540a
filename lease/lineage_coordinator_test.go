package lease_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/lease"
	"github.com/kinesiskit/kinesiskit/shard"
)

func listing(shards ...shard.Shard) func(context.Context) (*shard.Graph, time.Time, error) {
	return func(context.Context) (*shard.Graph, time.Time, error) { return shard.NewGraph(shards), time.Now(), nil }
}

// oldest is a stream whose application begins with the oldest records.
var oldest = lease.Stream{Name: "stream"}

var merged = []shard.Shard{{ID: "a", First: "1", Last: "9"}, {ID: "b", First: "1", Last: "9"}, {ID: "m", First: "10", Parents: []string{"a", "b"}}}

// gated serves a shard behind its gate, and holds every other.
func gated(w *worker, key string, list func(context.Context) (*shard.Graph, time.Time, error)) serveFunc {
	return func(ctx context.Context, tn *lease.Tenure) error {
		if tn.Token().Key == key {
			if err := tn.Gate(ctx, list); err != nil {
				w.note("refused", key, lease.Lease{}, err)
				return nil
			}
			w.note("open", key, lease.Lease{}, nil)
		}
		return hold(ctx, tn)
	}
}

func endRow(t *testing.T, s lease.Store, key string) {
	t.Helper()
	l := get(t, s, key)
	if _, err := s.Write(context.Background(), key, lease.Condition{Counter: &l.Counter},
		lease.Change{AddCounter: 1, Checkpoint: &checkpoint.Checkpoint{Position: checkpoint.ShardEnd}}); err != nil {
		t.Fatal(err)
	}
}

// mineAlone keeps the plan of a worker to one lease: the others look as if somebody held them.
func mineAlone(key string) func([]lease.Lease) []lease.Lease {
	return func(rows []lease.Lease) (seen []lease.Lease) {
		for _, r := range rows {
			if r.Key == key {
				seen = append(seen, r)
			}
		}
		return seen
	}
}

func TestGateWaitsForBothParents(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := table(t, leaseAt("a", at(1)), leaseAt("b", at(1)), leaseAt("m", checkpoint.TrimHorizon, "a", "b"))
		w := prepare(t, "w", s, lease.Config{})
		w.link.stale = mineAlone("m")
		w.start(gated(w, "m", listing(merged...)))
		time.Sleep(time.Minute)
		endRow(t, s, "a")
		time.Sleep(time.Minute)
		if got := w.seen("open", ""); len(got) != 0 {
			t.Fatal("open with one parent of two finished")
		}
		endRow(t, s, "b")
		time.Sleep(lookMax)
		if got := w.seen("open", ""); len(got) != 1 {
			t.Fatal("shut with both parents finished")
		}
		w.quit()
	})
}

func TestGateRestoresAParentWhoseRowWasLost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ended := leaseAt("a", checkpoint.ShardEnd)
		s := table(t, ended, leaseAt("m", checkpoint.TrimHorizon, "a", "b"))
		w := prepare(t, "w", s, lease.Config{})
		w.link.stale = mineAlone("m")
		w.start(gated(w, "m", listing(merged...)))
		time.Sleep(10 * time.Second)
		if got := w.seen("open", ""); len(got) != 0 {
			t.Fatal("open although a parent that can still be read has no row")
		}
		if b := get(t, s, "b"); b.Checkpoint.Position != checkpoint.TrimHorizon || b.Owner != "" || b.Stream != "stream" {
			t.Errorf("restored %+v", b)
		}
		endRow(t, s, "b")
		time.Sleep(lookMax)
		if got := w.seen("open", ""); len(got) != 1 {
			t.Fatal("shut with both parents finished")
		}
		w.quit()
	})
}

func TestGateOpensWhenTheParentIsGoneFromStreamAndTable(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := table(t, leaseAt("m", checkpoint.TrimHorizon, "a", "b"), leaseAt("n", at(7), "a", "b"))
		w := prepare(t, "w", s, lease.Config{})
		w.start(gated(w, "m", listing(merged[2])))
		time.Sleep(10 * time.Second)
		if got := w.seen("open", ""); len(got) != 1 {
			t.Fatal("shut")
		}
		w.quit()
	})
}

func TestGateOfAStartedShardAsksNobody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := table(t, leaseAt("b", at(1)), leaseAt("m", at(7), "a", "b"))
		w := prepare(t, "w", s, lease.Config{})
		w.start(gated(w, "m", func(context.Context) (*shard.Graph, time.Time, error) {
			t.Error("listed")
			return nil, time.Time{}, errTable
		}))
		time.Sleep(10 * time.Second)
		if got := w.seen("open", ""); len(got) != 1 {
			t.Fatal("shut")
		}
		w.quit()
	})
}

func TestGateSurvivesFailuresAndEndsWhenAskedToLeave(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := table(t, leaseAt("m", checkpoint.TrimHorizon, "a", "b"))
		w := prepare(t, "w", s, lease.Config{})
		calls := 0
		w.start(gated(w, "m", func(context.Context) (*shard.Graph, time.Time, error) {
			calls++
			return nil, time.Time{}, errTable
		}))
		time.Sleep(time.Minute)
		synctest.Wait()
		if calls < 5 || len(w.seen("open", "")) != 0 || len(w.seen("ended", "")) != 0 {
			t.Errorf("%d calls, %+v", calls, w.events)
		}
		w.quit()
		if got := w.seen("refused", ""); len(got) != 1 || !errors.Is(got[0].err, lease.ErrLeaving) {
			t.Errorf("gate of a worker that leaves: %+v", got)
		}
		if rows := owners(t, s); rows[""] != 1 {
			t.Errorf("rows %v: something was created without a listing", rows)
		}
	})
}

func TestEndedShardHandsOverToItsChildrenAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := table(t, leaseAt("a", at(1)))
		children := []shard.Shard{{ID: "b", First: "5", Parents: []string{"a"}}, {ID: "c", First: "5", Parents: []string{"a"}}}
		var ended time.Time
		w := run(t, "w", s, func(ctx context.Context, tn *lease.Tenure) error {
			if tn.Token().Key != "a" {
				if err := tn.Gate(ctx, listing(children...)); err != nil {
					return err
				}
				return hold(ctx, tn)
			}
			if err := tn.End(ctx); err == nil || errors.Is(err, lease.ErrLost) {
				t.Errorf("end without children: %v", err)
			}
			if err := tn.Spawn(ctx, children, time.Now(), nil); err != nil {
				t.Error(err)
			}
			if got := get(t, s, "a"); !slices.Equal(got.Children, []string{"b", "c"}) || got.Ended() {
				t.Errorf("after Spawn: %+v", got)
			}
			if got := get(t, s, "b"); got.Checkpoint.Position != checkpoint.TrimHorizon || !slices.Equal(got.Parents, []string{"a"}) || got.Stream != "stream" || got.Counter < time.Now().UnixMilli()-1 {
				t.Errorf("child: %+v", got)
			}
			if err := tn.End(ctx); err != nil {
				t.Error(err)
			}
			ended = time.Now()
			if err := tn.Admit(context.Background(), at(2)); !errors.Is(err, lease.ErrLost) {
				t.Errorf("admit after the end: %v", err)
			}
			return nil
		})
		time.Sleep(10 * time.Second)
		synctest.Wait()
		got := w.seen("acquired", "")
		if !slices.Equal(keysOf(got), []string{"a", "b", "c"}) {
			t.Fatalf("acquired %v", keysOf(got))
		}
		for _, e := range got[1:] {
			if e.when.Sub(ended) > 2*time.Second {
				t.Errorf("%s taken %v after its parent ended", e.key, e.when.Sub(ended))
			}
		}
		if !get(t, s, "a").Ended() {
			t.Error("parent is not finished")
		}
		w.quit()
	})
}

// A child's row is there before its id is on the parent, whatever the table does.
func TestSpawnRepeatsItselfUntilTheRowsAreThere(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := table(t, leaseAt("a", at(1)))
		w := prepare(t, "w", s, lease.Config{})
		creates := 0
		w.link.set(func(op, key string) fate {
			if op == "Create" {
				if creates++; creates < 4 {
					return []fate{failed, unanswered, dropped}[creates%3]
				}
			}
			return passes
		})
		w.start(func(ctx context.Context, tn *lease.Tenure) error {
			if tn.Token().Key == "a" {
				if err := tn.Spawn(ctx, []shard.Shard{{ID: "b", Parents: []string{"a"}}}, time.Now(), nil); err != nil {
					t.Error(err)
				}
				if _, err := s.Get(ctx, "b"); err != nil {
					t.Errorf("recorded, and not there: %v", err)
				}
			}
			return hold(ctx, tn)
		})
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if creates < 3 || !slices.Equal(get(t, s, "a").Children, []string{"b"}) {
			t.Errorf("%d attempts, children %v", creates, get(t, s, "a").Children)
		}
		w.quit()
	})
}

func TestSeedTwiceCreatesOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := table(t)
		g := shard.NewGraph([]shard.Shard{{ID: "a", Last: "9"}, {ID: "b", Parents: []string{"a"}}, {ID: "c", Parents: []string{"a"}}, {ID: "d"}})
		one, two := prepare(t, "one", s, lease.Config{}), prepare(t, "two", s, lease.Config{})
		if err := one.Seed(t.Context(), oldest, g, time.Now()); err != nil {
			t.Fatal(err)
		}
		first := get(t, s, "a")
		if first.Counter != time.Now().UnixMilli() || first.Stream != "stream" || first.Checkpoint.Position != checkpoint.TrimHorizon {
			t.Errorf("%+v", first)
		}
		time.Sleep(time.Hour)
		for _, w := range []*worker{two, one} {
			if err := w.Seed(t.Context(), oldest, g, time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		if n := owners(t, s)[""]; n != 2 || get(t, s, "a").Counter != first.Counter {
			t.Errorf("%d rows, a %+v; want a and d as they were", n, get(t, s, "a"))
		}
	})
}

func TestSeedDoesNotTrustAListingThatMissesRows(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := table(t, leaseAt("b", at(3), "a"))
		w := prepare(t, "w", s, lease.Config{})
		w.link.stale = func([]lease.Lease) []lease.Lease { return nil }
		g := shard.NewGraph([]shard.Shard{{ID: "a", Last: "9"}, {ID: "b", Parents: []string{"a"}}, {ID: "c", Parents: []string{"a"}}})
		if err := w.Seed(t.Context(), oldest, g, time.Now()); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Get(t.Context(), "a"); !errors.Is(err, lease.ErrNotFound) {
			t.Errorf("a shard that was read and cleaned up was created again: %v", err)
		}
		w.link.set(func(op, _ string) fate {
			if op == "ListConsistent" {
				return failed
			}
			return passes
		})
		if err := w.Seed(t.Context(), oldest, g, time.Now()); !errors.Is(err, errTable) {
			t.Errorf("a table that cannot be read: %v", err)
		}
	})
}

func TestSeedRefusesATableOfAnotherStream(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := table(t, leaseAt("x", at(3)))
		w := prepare(t, "w", s, lease.Config{})
		err := w.Seed(t.Context(), lease.Stream{Name: "other"}, shard.NewGraph([]shard.Shard{{ID: "a"}}), time.Now())
		var other *lease.StreamError
		if !errors.As(err, &other) || other.Key != "x" || other.Stored != "stream" || other.Stream != "other" {
			t.Errorf("%v", err)
		}
		if n := owners(t, s)[""]; n != 1 {
			t.Errorf("%d rows: something was written", n)
		}
	})
}
