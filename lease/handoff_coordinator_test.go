package lease_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/lease"
)

// ledger knows what was processed: of each lease the numbers from its first position on, by whom and when.
type ledger struct {
	mu   sync.Mutex
	done map[string][]entry
}

type entry struct {
	n  int
	by string
	at time.Time
}

// handedOver bounds how long nobody may process a lease that moves in good order.
const handedOver = 2 * time.Second

const pace = 100 * time.Millisecond

func number(p checkpoint.Position) int {
	n, _ := strconv.Atoi(p.Sequence())
	return n
}

// work processes a number each pace, and marks it.
func (l *ledger) work(name string) serveFunc {
	return func(ctx context.Context, tn *lease.Tenure) error {
		for n := number(tn.Start().Position) + 1; ; n++ {
			select {
			case <-tn.Leaving():
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(pace):
			}
			if err := tn.Admit(ctx, at(n)); err != nil {
				return err
			}
			l.mu.Lock()
			l.done[tn.Token().Key] = append(l.done[tn.Token().Key], entry{n, name, time.Now()})
			l.mu.Unlock()
			if err := tn.Mark(at(n)); err != nil {
				return err
			}
		}
	}
}

// check demands that every lease was processed in order, nothing twice, without a pause beyond limit, and returns how often they changed hands.
func (l *ledger) check(t *testing.T, leases int, limit time.Duration) (moves int) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.done) != leases {
		t.Errorf("%d of %d leases were processed", len(l.done), leases)
	}
	for key, entries := range l.done {
		for i := 1; i < len(entries); i++ {
			was, is := entries[i-1], entries[i]
			if is.n != was.n+1 {
				t.Errorf("%s: %d by %s came after %d by %s", key, is.n, is.by, was.n, was.by)
			}
			if d := is.at.Sub(was.at); d > limit+pace {
				t.Errorf("%s: %v between %d by %s and %d by %s", key, d, was.n, was.by, is.n, is.by)
			}
			if is.by != was.by {
				moves++
			}
		}
		if last := entries[len(entries)-1]; time.Since(last.at) > limit+pace {
			t.Errorf("%s: nothing after %d by %s, %v ago", key, last.n, last.by, time.Since(last.at))
		}
	}
	return moves
}

func newLedger() *ledger { return &ledger{done: map[string][]entry{}} }

func (l *ledger) start(t *testing.T, label string, s lease.Store, cfg lease.Config) *worker {
	t.Helper()
	return prepare(t, label, s, cfg).start(l.work(label))
}

func TestAWorkerThatJoinsGetsItsShareByConsent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := table(t, rows(12)...)
		l := newLedger()
		a := l.start(t, "a", s, lease.Config{})
		time.Sleep(20 * time.Second)
		b := l.start(t, "b", s, lease.Config{})
		for range 300 {
			time.Sleep(100 * time.Millisecond)
			if n := owners(t, s)[""]; n > 0 {
				t.Fatalf("%d leases without an owner", n)
			}
		}
		c := l.start(t, "c", s, lease.Config{})
		time.Sleep(30 * time.Second)
		count := owners(t, s)
		if count[a.Owner()] != 4 || count[b.Owner()] != 4 || count[c.Owner()] != 4 {
			t.Errorf("shares %v, want 4 each", count)
		}
		moves := l.check(t, 12, handedOver)
		if moves < 8 || moves > 10 {
			t.Errorf("%d moves, want 8 or little more", moves)
		}
		time.Sleep(5 * time.Minute)
		if again := l.check(t, 12, handedOver); again != moves {
			t.Errorf("%d moves in a fleet at rest", again-moves)
		}
		for _, w := range []*worker{a, b, c} {
			if got := w.seen("cancelled", ""); len(got) > 0 {
				t.Errorf("%s lost leases: %+v", w.Owner(), got)
			}
			w.quit()
		}
		if n := owners(t, s)[""]; n != 12 {
			t.Errorf("%d of 12 leases are free after the last worker left", n)
		}
	})
}

func TestARollingRestartProcessesNothingTwice(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := table(t, rows(23)...)
		l := newLedger()
		var fleet []*worker
		for i := range 5 {
			fleet = append(fleet, l.start(t, fmt.Sprintf("w%d", i), s, lease.Config{}))
		}
		time.Sleep(time.Minute)
		for i, old := range fleet {
			old.quit()
			fleet[i] = l.start(t, fmt.Sprintf("w%d'", i), s, lease.Config{})
			time.Sleep(30 * time.Second)
		}
		l.check(t, 23, handedOver)
		count := owners(t, s)
		for _, w := range fleet {
			if n := count[w.Owner()]; n < 4 || n > 5 {
				t.Errorf("%s holds %d of 23", w.Owner(), n)
			}
			w.quit()
		}
	})
}

// FailoverTime changes worker by worker. A row tells its owner's, and whoever judges takes the longer of that and its own.
func TestFailoverTimeChangesUnderARollingRestart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := table(t, rows(9)...)
		l := newLedger()
		fleet := make([]*worker, 3)
		for i := range fleet {
			fleet[i] = l.start(t, fmt.Sprintf("w%d", i), s, lease.Config{FailoverTime: 10 * time.Second})
		}
		time.Sleep(time.Minute)
		for round, f := range []time.Duration{30 * time.Second, 10 * time.Second} {
			for i, old := range fleet {
				fresh := l.start(t, fmt.Sprintf("w%d.%d", i, round), s, lease.Config{FailoverTime: f})
				time.Sleep(40 * time.Second) // it gets its share by asking
				old.quit()
				if got := old.seen("cancelled", ""); len(got) > 0 {
					t.Errorf("%s lost leases: %+v", old.Owner(), got)
				}
				fleet[i] = fresh
				time.Sleep(20 * time.Second)
			}
			for _, r := range rows(9) {
				if got := get(t, s, r.Key); got.FailoverTime != f {
					t.Errorf("%s: FailoverTime %v in the row, want %v", r.Key, got.FailoverTime, f)
				}
			}
		}
		if moves := l.check(t, 9, handedOver); moves < 18 {
			t.Errorf("%d moves: every lease has to move with each change", moves)
		}
		for _, w := range fleet {
			if got := w.seen("cancelled", ""); len(got) > 0 {
				t.Errorf("%s lost leases: %+v", w.Owner(), got)
			}
			w.quit()
		}
	})
}

// Code that does not return in time keeps its lease: it is never taken from it, and is called again where it was when it has returned.
func TestAnOwnerDeclinesWhileItsCodeRuns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := table(t, rows(2)...)
		var starts []string
		var mu sync.Mutex
		slow := func(ctx context.Context, tn *lease.Tenure) error {
			mu.Lock()
			starts = append(starts, fmt.Sprintf("%s at %d", tn.Token().Key, number(tn.Start().Position)))
			n := number(tn.Start().Position) + 1
			mu.Unlock()
			<-tn.Leaving()
			by, moving := tn.Moving()
			if !moving {
				return nil // by its own shutdown
			}
			if d := time.Until(by); d <= 0 || d > 10*time.Second {
				t.Errorf("has %v to finish", d)
			}
			time.Sleep(25 * time.Second)
			if err := tn.Admit(ctx, at(n)); err != nil {
				t.Error(err)
			}
			if err := tn.Mark(at(n)); err != nil {
				t.Error(err)
			}
			return nil
		}
		a := prepare(t, "a", s, lease.Config{HandoffTimeout: 10 * time.Second}).start(slow)
		time.Sleep(20 * time.Second)
		b := prepare(t, "b", s, lease.Config{HandoffTimeout: 10 * time.Second}).start(hold)
		asked := map[string][]time.Time{}
		was := map[string]string{}
		for range 900 {
			time.Sleep(100 * time.Millisecond)
			for _, key := range []string{"s00", "s01"} {
				now := get(t, s, key).AskedBy
				if now != "" && was[key] == "" {
					asked[key] = append(asked[key], time.Now())
				}
				was[key] = now
			}
		}
		for key, at := range asked {
			if len(at) < 2 || at[1].Sub(at[0]) < 20*time.Second {
				t.Errorf("%s asked for at %v, want more than once, and some time between", key, at)
			}
		}
		if len(asked) == 0 {
			t.Error("asked for nothing")
		}
		if n := owners(t, s)[a.Owner()]; n != 2 {
			t.Errorf("the owner kept %d of 2 leases", n)
		}
		if got := append(a.seen("ended", ""), b.seen("acquired", "")...); len(got) > 0 {
			t.Errorf("a lease moved under running code: %+v", got)
		}
		mu.Lock()
		if len(starts) < 3 || !slices.ContainsFunc(starts[2:], func(s string) bool { return s[len(s)-1] == '2' }) {
			t.Errorf("called %v: want a call after the refused request that begins behind what was marked", starts)
		}
		mu.Unlock()
		b.quit()
		a.quit()
	})
}

func TestAWorkerThatIsAskedForMoreThanEightLeasesDeclines(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := table(t, rows(40)...)
		var mu sync.Mutex
		most, now := 0, 0
		slow := func(_ context.Context, tn *lease.Tenure) error {
			<-tn.Leaving()
			if _, moving := tn.Moving(); !moving {
				return nil
			}
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			time.Sleep(8 * time.Second)
			mu.Lock()
			now--
			mu.Unlock()
			return nil
		}
		a := run(t, "a", s, slow)
		time.Sleep(30 * time.Second)
		var others []*worker
		for i := range 4 {
			others = append(others, run(t, fmt.Sprint("b", i), s, hold))
		}
		time.Sleep(12 * time.Second)
		mu.Lock()
		if most != 8 {
			t.Errorf("%d leases were got ready to be given at once, want 8", most)
		}
		mu.Unlock()
		time.Sleep(3 * time.Minute)
		count := owners(t, s)
		for _, w := range append(others, a) {
			if n := count[w.Owner()]; n != 8 {
				t.Errorf("%s holds %d of 40", w.Owner(), n)
			}
			w.quit()
		}
	})
}

func TestCrashesDuringAHandOffAreWaitedOut(t *testing.T) {
	for name, c := range map[string]struct {
		dies string        // at the moment at which the request is in the row, or the gift
		wait time.Duration // of the owner's code after it was asked
	}{
		"the owner, before it gives":  {"a", 5 * time.Second},
		"the asker, before it claims": {"b", 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := table(t, rows(2)...)
				a := run(t, "a", s, func(ctx context.Context, tn *lease.Tenure) error {
					_ = hold(ctx, tn)
					time.Sleep(c.wait)
					return nil
				})
				time.Sleep(20 * time.Second)
				b := run(t, "b", s, hold)
				dead, alive := map[string]*worker{"a": a, "b": b}[c.dies], map[string]*worker{"a": b, "b": a}[c.dies]
				asked := func() bool { return get(t, s, "s00").AskedBy != "" || get(t, s, "s01").AskedBy != "" }
				for !asked() {
					time.Sleep(10 * time.Millisecond)
				}
				time.Sleep(renewal + time.Second) // it was heard
				dead.kill()
				time.Sleep(c.wait + renewal + failover + 2*lookMax + time.Second)
				for _, r := range rows(2) {
					got := get(t, s, r.Key)
					if got.Owner != alive.Owner() || got.Speaks != got.Owner || got.AskedBy != "" || got.AskedOf != "" {
						t.Errorf("%s: %+v, want it with %s, and no request", r.Key, got, alive.Owner())
					}
				}
				dead.link.set(nil)
				a.quit()
				b.quit()
			})
		})
	}
}

// A give whose answer is lost is repeated, and its tenure is over whatever the answer would have been.
func TestAGiveWithoutAnAnswerMovesTheLeaseOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := table(t, rows(6)...)
		l := newLedger()
		a := l.start(t, "a", s, lease.Config{})
		time.Sleep(20 * time.Second)
		n := 0
		a.link.set(func(op, key string) fate {
			if op != "Write" || get(t, s, key).AskedBy == "" {
				return passes
			}
			if n++; n%2 == 0 {
				return unanswered
			}
			return passes
		})
		b := l.start(t, "b", s, lease.Config{})
		time.Sleep(time.Minute)
		if n := owners(t, s)[b.Owner()]; n != 3 {
			t.Errorf("b has %d of 6", n)
		}
		if got := a.seen("cancelled", ""); len(got) > 0 {
			t.Errorf("lost: %+v", got)
		}
		if n < 6 {
			t.Errorf("%d writes on rows with a request", n)
		}
		l.check(t, 6, handedOver+renewal)
		a.link.set(nil)
		a.quit()
		b.quit()
	})
}

func TestWhatIsGivenBeyondMaxLeasesIsFreeAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := table(t, rows(4)...)
		a := prepare(t, "a", s, lease.Config{MaxLeases: 2}).start(hold)
		b := prepare(t, "b", s, lease.Config{MaxLeases: 2}).start(hold)
		time.Sleep(30 * time.Second)
		a.quit()
		time.Sleep(lookMax)
		count := owners(t, s)
		if count[b.Owner()] != 2 || count[""] != 2 {
			t.Errorf("%v: want two leases held and two free", count)
		}
		b.quit()
	})
}

// A worker that stops takes its request back: nobody waits for it, and nothing is given to it.
func TestAWorkerThatStopsTakesItsRequestsBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := table(t, rows(2)...)
		a := run(t, "a", s, func(ctx context.Context, tn *lease.Tenure) error {
			_ = hold(ctx, tn)
			time.Sleep(10 * time.Second)
			return nil
		})
		time.Sleep(20 * time.Second)
		b := run(t, "b", s, hold)
		for get(t, s, "s00").AskedBy == "" && get(t, s, "s01").AskedBy == "" {
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(renewal + time.Second)
		b.quit()
		if get(t, s, "s00").AskedBy != "" || get(t, s, "s01").AskedBy != "" {
			t.Error("a request is left in the table")
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if n := owners(t, s)[a.Owner()]; n != 2 || len(a.seen("ended", "")) > 0 {
			t.Errorf("a holds %d of 2: %+v", n, a.events)
		}
		if n := len(a.seen("served", "")); n != 3 {
			t.Errorf("code was called %d times, want twice, and once more after the request was taken back", n)
		}
		a.quit()
	})
}

// A gift may be on its way to a worker that stops.
func TestAWorkerThatStopsPassesOnWhatItIsGiven(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := table(t, rows(6)...)
		var all []*worker
		for _, label := range []string{"a", "b", "c"} {
			all = append(all, run(t, label, s, func(ctx context.Context, tn *lease.Tenure) error {
				_ = hold(ctx, tn)
				if label == "b" {
					time.Sleep(6 * time.Second)
				}
				return nil
			}))
		}
		time.Sleep(40 * time.Second)
		slow := make(chan struct{})
		go func() {
			defer close(slow)
			all[1].quit()
		}()
		time.Sleep(10 * time.Millisecond)
		all[0].quit()
		if n := owners(t, s)[all[1].Owner()]; n != 2 {
			t.Fatalf("b has %d, want its own two: it has said that it stops", n)
		}
		late := leaseAt("s99", at(1))
		late.Owner, late.Speaks = all[1].Owner(), all[1].Owner()
		if err := s.Create(t.Context(), late); err != nil {
			t.Fatal(err)
		}
		time.Sleep(renewal)
		marked := 0
		for r, err := range s.List(t.Context()) {
			if err == nil && r.Owner == all[1].Owner() && r.Speaks == r.Owner {
				marked++
			}
		}
		if marked != 1 {
			t.Errorf("%d rows of a worker that stops have its mark, want none but that of what it was given", marked)
		}
		<-slow
		time.Sleep(lookMax)
		if n := owners(t, s)[all[2].Owner()]; n != 7 {
			t.Errorf("the last worker has %d of 7, %v", n, owners(t, s))
		}
		all[2].quit()
		if n := owners(t, s)[""]; n != 7 {
			t.Errorf("%d of 7 are free when nobody is left", n)
		}
	})
}

// A fleet that is stopped as a whole leaves everything free for the next one.
func TestWorkersThatStopTogetherGiveEachOtherNothing(t *testing.T) {
	for name, apart := range map[string]time.Duration{"at once": 0, "almost": 70 * time.Millisecond, "one by one": 700 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := table(t, rows(12)...)
				var all []*worker
				for i := range 4 {
					all = append(all, run(t, fmt.Sprint("w", i), s, hold))
				}
				time.Sleep(time.Minute)
				for i, w := range all {
					go func() {
						time.Sleep(time.Duration(i) * apart)
						w.quit()
					}()
				}
				for _, w := range all {
					<-w.done
				}
				synctest.Wait()
				if n := owners(t, s)[""]; n != 12 {
					t.Errorf("%d of 12 leases are free: %v", n, owners(t, s))
				}
			})
		})
	}
}

func TestHandoffTimeoutIsValidated(t *testing.T) {
	t.Parallel()
	for d, ok := range map[time.Duration]bool{0: true, time.Second: true, time.Hour: true, -1: false, time.Hour + 1: false} {
		var bad *lease.ConfigError
		if err := (lease.Config{HandoffTimeout: d}).Validate(); (err == nil) != ok || !ok && (!errors.As(err, &bad) || bad.Field != "HandoffTimeout") {
			t.Errorf("%v: %v", d, err)
		}
	}
}
