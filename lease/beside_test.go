package lease_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/lease"
	"github.com/kinesiskit/kinesiskit/shard"
)

// java owns rows as a worker of KCL does: it renews what it has, and takes nothing.
type java struct {
	t    *testing.T
	s    lease.Store
	id   string
	keys []string
}

// newJava makes id the owner of rows. A mark of another owner stays, as KCL leaves it.
func newJava(t *testing.T, s lease.Store, id string, rows ...lease.Lease) *java {
	t.Helper()
	j := &java{t: t, s: s, id: id}
	old := "former-owner"
	for _, r := range rows {
		if _, err := s.Write(t.Context(), r.Key, lease.Condition{Counter: &r.Counter}, lease.Change{Owner: &id, Speaks: &old, AddCounter: 1}); err != nil {
			t.Fatal(err)
		}
		j.keys = append(j.keys, r.Key)
	}
	return j
}

// renew moves the counters of what is still its own, and returns how much that is.
func (j *java) renew() int {
	j.t.Helper()
	j.keys = slices.DeleteFunc(j.keys, func(key string) bool {
		l, err := j.s.Write(j.t.Context(), key, lease.Condition{Owner: &j.id}, lease.Change{AddCounter: 1})
		if err == nil && (l.AskedBy != "" || l.AskedOf != "") {
			j.t.Errorf("%+v: an owner that does not speak is asked", l)
		}
		return err != nil
	})
	return len(j.keys)
}

// live renews as KCL does, for d.
func (j *java) live(d time.Duration) int {
	j.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(renewal) {
		j.renew()
	}
	return j.renew()
}

// From a worker of KCL a lease is taken without asking, one at a look, until shares are equal; then nothing moves any more.
func TestLeasesAreTakenFromAnOwnerThatDoesNotSpeakUntilSharesAreEqual(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := table(t, rows(9)...)
		j := newJava(t, s, "java", rows(9)...)
		b := run(t, "b", s, hold)
		if n := j.live(time.Minute); n != 5 {
			t.Errorf("java has %d of 9 leases after a minute", n)
		}
		got := b.seen("acquired", "")
		if len(got) != 4 {
			t.Fatalf("%d leases were taken, want 4", len(got))
		}
		for i := 1; i < len(got); i++ {
			if d := got[i].when.Sub(got[i-1].when); d < time.Second {
				t.Errorf("lease %d was taken %v after the one before: one a look", i, d)
			}
		}
		for _, e := range got {
			if e.row.Speaks != b.Owner() || e.row.OwnerSwitches != 1 {
				t.Errorf("taken as %+v", e.row)
			}
		}
		if n := j.live(time.Minute); n != 5 || len(b.seen("acquired", "")) != 4 {
			t.Errorf("java has %d leases, %d were taken: at rest something moved", n, len(b.seen("acquired", "")))
		}
		b.quit()
	})
}

// Two workers of ours divide what they take between them, and do not empty a third that lives.
func TestWorkersThatTakeAtOnceLeaveAWorkerOfKCLItsShare(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := table(t, rows(12)...)
		j := newJava(t, s, "java", rows(12)...)
		var ws []*worker
		for _, label := range []string{"a", "b", "c", "d", "e"} {
			ws = append(ws, run(t, label, s, hold))
		}
		least := 12
		for range 60 {
			least = min(least, j.live(time.Second))
		}
		if least < 2 {
			t.Errorf("java was left with %d of 12 leases among 6 workers", least)
		}
		count := owners(t, s)
		for _, w := range ws {
			if n := count[w.Owner()]; n != 2 {
				t.Errorf("%s has %d of 12 leases: %v", w.Owner(), n, count)
			}
		}
		go j.live(10 * time.Second)
		for _, w := range ws {
			w.quit()
		}
		time.Sleep(15 * time.Second)
	})
}

// A name in the rows proves nothing: an application that was stopped leaves its own.
func TestNothingIsTakenBeforeItExpiresFromAnOwnerThatWasNotSeenToLive(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := table(t, rows(4)...)
		newJava(t, s, "java", rows(4)...)
		began := time.Now()
		b := run(t, "b", s, hold)
		time.Sleep(2 * failover)
		got := b.seen("acquired", "")
		if len(got) != 4 {
			t.Fatalf("%d of 4 leases were taken", len(got))
		}
		for _, e := range got {
			if d := e.when.Sub(began); d < failover {
				t.Errorf("%s was taken after %v", e.key, d)
			}
		}
		b.quit()
	})
}

// An owner of ours that stops is not asked any more, and is none of KCL's: it may take as long as it likes.
func TestAnOwnerOfOursThatStopsIsNotTakenFrom(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := table(t, rows(6)...)
		a := run(t, "a", s, func(_ context.Context, tn *lease.Tenure) error {
			<-tn.Leaving()
			time.Sleep(time.Minute)
			return nil
		})
		time.Sleep(10 * time.Second)
		done := make(chan struct{})
		go func() {
			defer close(done)
			a.quit()
		}()
		b := run(t, "b", s, hold)
		time.Sleep(50 * time.Second)
		if got := b.seen("acquired", ""); len(got) > 0 {
			t.Errorf("%v were taken from a worker that stops", keysOf(got))
		}
		<-done
		if lost := a.seen("ended", ""); len(lost) != 6 || slices.ContainsFunc(lost, func(h happened) bool { return h.err != nil }) {
			t.Errorf("ended %+v", lost)
		}
		b.quit()
	})
}

// Beside a worker of KCL a finished lease stays owned and renewed until its row is deleted, so that nobody counts it as free; without one it costs nothing.
func TestFinishedLeasesAreKeptOnlyBesideWorkersOfKCL(t *testing.T) {
	bubble(t, func(t *testing.T) {
		all := rows(6)
		s := table(t, all...)
		b := prepare(t, "b", s, lease.Config{})
		finished := leaseAt("s90", checkpoint.ShardEnd)
		finished.Owner, finished.Speaks, finished.Children = b.Owner(), b.Owner(), []string{"s00"}
		if err := s.Create(t.Context(), finished); err != nil {
			t.Fatal(err)
		}
		b.start(hold)
		time.Sleep(30 * time.Second)
		if l := get(t, s, "s90"); l.Counter != finished.Counter {
			t.Errorf("counter moved from %d to %d: nobody is there to see it", finished.Counter, l.Counter)
		}
		j := newJava(t, s, "java", leaseOf(t, s, "s01"), leaseOf(t, s, "s02"))
		j.live(10 * time.Second)
		for range 10 {
			before := get(t, s, "s90")
			j.live(failover * 7 / 10)
			if l := get(t, s, "s90"); l.Counter == before.Counter || l.Owner != b.Owner() {
				t.Fatalf("%+v, then %+v: not renewed within %v", before, l, failover*7/10)
			}
		}
		before := get(t, s, "s90")
		if err := s.Delete(t.Context(), "s90", lease.Condition{Owner: &before.Owner}); err != nil {
			t.Fatal(err)
		}
		j.live(10 * time.Second)
		if b.Health().Err != nil {
			t.Error(b.Health().Err)
		}
		b.quit()
	})
}

func leaseOf(t *testing.T, s lease.Store, key string) lease.Lease {
	t.Helper()
	return get(t, s, key)
}

// generations is a stream in which a was split, what came of it was merged, and the result was merged with b.
var generations = []shard.Shard{
	{ID: "a", First: "1", Last: "9"}, {ID: "b", First: "1", Last: "29"},
	{ID: "a1", First: "10", Last: "19", Parents: []string{"a"}}, {ID: "a2", First: "10", Last: "19", Parents: []string{"a"}},
	{ID: "aa", First: "20", Last: "29", Parents: []string{"a1", "a2"}}, {ID: "ab", First: "30", Parents: []string{"aa", "b"}},
}

// KCL takes a parent without a row for one that is finished. So a row is made after those of its parents, and late enough for reads that may be stale.
func TestARowIsMadeAfterThoseOfItsParents(t *testing.T) {
	for name, c := range map[string]struct {
		of    string
		rows  []lease.Lease
		serve func(t *testing.T) serveFunc
	}{
		"at the end of a shard": {
			"b", []lease.Lease{leaseAt("a", at(1)), leaseAt("b", at(1))},
			func(t *testing.T) serveFunc {
				return func(ctx context.Context, tn *lease.Tenure) error {
					if tn.Token().Key != "b" {
						return hold(ctx, tn)
					}
					if err := tn.Spawn(ctx, generations[5:], time.Now(), listing(generations...)); err != nil {
						t.Error(err)
					}
					if err := tn.End(ctx); err != nil {
						t.Error(err)
					}
					return nil
				}
			},
		},
		"at the gate": {
			"ab", []lease.Lease{leaseAt("a", at(1)), leaseAt("b", at(1)), leaseAt("ab", checkpoint.TrimHorizon, "aa", "b")},
			func(t *testing.T) serveFunc {
				return func(ctx context.Context, tn *lease.Tenure) error {
					if tn.Token().Key == "ab" {
						if err := tn.Gate(ctx, listing(generations...)); !errors.Is(err, lease.ErrLeaving) {
							t.Errorf("gate: %v", err)
						}
					}
					return hold(ctx, tn)
				}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := table(t, c.rows...)
				w := prepare(t, "w", s, lease.Config{})
				made := map[string]time.Time{}
				w.link.stale = mineAlone(c.of) // nobody else's tenure makes rows
				w.link.set(func(op, key string) fate {
					if op == "Create" && made[key].IsZero() {
						made[key] = time.Now()
					}
					return passes
				})
				w.start(c.serve(t))
				time.Sleep(time.Minute)
				w.quit()
				if _, again := made["a"]; again || len(made) < 3 {
					t.Fatalf("made %v", made)
				}
				for _, child := range generations {
					at, ok := made[child.ID]
					for _, parent := range child.Parents {
						if before, too := made[parent]; ok && too && at.Sub(before) < 2*time.Second {
							t.Errorf("%s was made %v after %s", child.ID, at.Sub(before), parent)
						}
						if _, err := s.Get(t.Context(), parent); ok && err != nil {
							t.Errorf("%s was made, %s has no row", child.ID, parent)
						}
					}
				}
			})
		})
	}
}

func inHand(key, from, to string) lease.Lease {
	l := leaseAt(key, at(1))
	l.Owner, l.CheckpointOwner = to, from
	return l
}

// A hand-off that stood in the table when we came proves nothing, not even when a listing shows it again after we have ended it.
func TestAHandoffThatAStoppedKCL3LeftBehindIsEndedByATake(t *testing.T) {
	bubble(t, func(t *testing.T) {
		left := inHand("s0", "java-a", "java-b")
		s := table(t, left)
		w := prepare(t, "w", s, lease.Config{})
		var looks atomic.Int64
		w.link.stale = func(rows []lease.Lease) []lease.Lease {
			if n := looks.Add(1); n > 20 && n%3 == 0 {
				return []lease.Lease{left}
			}
			return rows
		}
		w.start(hold)
		time.Sleep(2 * time.Minute)
		if got := w.seen("acquired", ""); len(got) != 1 || looks.Load() < 30 {
			t.Errorf("acquired %v, %d looks", keysOf(got), looks.Load())
		}
		w.quit()
	})
}

// One that begins while we look proves that a leader lives, also if it is between others.
func TestAHandoffBetweenOthersStopsUs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := table(t, leaseAt("s1", at(1)), leaseAt("s2", at(1)))
		j := newJava(t, s, "java-a", leaseOf(t, s, "s1"))
		w := run(t, "w", s, hold)
		j.live(10 * time.Second)
		from, to := "java-a", "java-b"
		if _, err := s.Write(t.Context(), "s1", lease.Condition{Owner: &from}, lease.Change{Owner: &to, CheckpointOwner: &from}); err != nil {
			t.Fatal(err)
		}
		select {
		case <-w.done:
		case <-time.After(lookMax + time.Second):
			t.Fatal("goes on")
		}
		var fleet *lease.FleetError
		if !errors.As(w.err, &fleet) || !slices.Equal(fleet.Owners, []string{"java-b"}) {
			t.Errorf("run: %v", w.err)
		}
		if l := get(t, s, "s2"); l.Owner != "" {
			t.Errorf("%+v was not given back", l)
		}
		w.stop(nil)
	})
}
