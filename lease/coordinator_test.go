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
)

// bubble runs f with virtual time; that it ends proves that no goroutine is left.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, f)
}

func TestShutdownReleasesEverythingAndRunReturnsNil(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := table(t, rows(5)...)
		w := run(t, "w", s, hold)
		time.Sleep(20 * time.Second)
		if n := owners(t, s)[w.Owner()]; n != 5 {
			t.Fatalf("owns %d of 5", n)
		}
		w.quit()
		if n := owners(t, s)[""]; n != 5 {
			t.Errorf("released %d of 5", n)
		}
		if lost := w.seen("ended", ""); len(lost) != 5 || lost[0].err != nil {
			t.Errorf("ended: %+v", lost)
		}
		if got := w.seen("cancelled", ""); len(got) != 0 {
			t.Errorf("a drain cancels contexts: %+v", got)
		}
	})
}

func TestRunIsCalledOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := run(t, "w", table(t), hold)
		time.Sleep(time.Second)
		if err := w.Run(t.Context(), hold); !errors.Is(err, lease.ErrRunning) {
			t.Errorf("a second Run: %v", err)
		}
		w.quit()
		if err := w.Run(t.Context(), hold); !errors.Is(err, lease.ErrRunning) {
			t.Errorf("a Run after the end: %v", err)
		}
		if err := w.Shutdown(t.Context()); err != nil {
			t.Errorf("a second Shutdown: %v", err)
		}
		w = prepare(t, "w", table(t), lease.Config{})
		if err := w.Shutdown(t.Context()); err != nil {
			t.Errorf("a Shutdown before Run: %v", err)
		}
		if err := w.Run(t.Context(), hold); !errors.Is(err, lease.ErrRunning) {
			t.Errorf("a Run after Shutdown: %v", err)
		}
	})
}

func TestServeCarriesTheValuesOfRunsContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var got atomic.Value
		w := run(t, "w", table(t, rows(1)...), func(ctx context.Context, tn *lease.Tenure) error {
			got.Store(ctx.Value(ctxKey{}))
			return hold(ctx, tn)
		})
		time.Sleep(time.Second)
		w.quit()
		if got.Load() != "value" {
			t.Errorf("value %v", got.Load())
		}
	})
}

func TestServeThatFailsIsCalledAgainInTheSameTenure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := table(t, rows(1)...)
		var tokens []lease.Token
		w := run(t, "w", s, func(ctx context.Context, tn *lease.Tenure) error {
			if tokens = append(tokens, tn.Token()); len(tokens) < 4 {
				return errors.New("poison")
			}
			return hold(ctx, tn)
		})
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if len(w.seen("acquired", "")) != 1 || len(w.seen("ended", "")) != 0 {
			t.Errorf("the lease was given back: %+v", w.events)
		}
		calls := w.seen("served", "")
		if len(calls) != 4 {
			t.Fatalf("called %d times", len(calls))
		}
		for i := 1; i < len(calls); i++ {
			if d := calls[i].when.Sub(calls[i-1].when); d < 50*time.Millisecond || d > 5*time.Second {
				t.Errorf("call %d came after %v", i, d)
			}
			if tokens[i] != tokens[0] {
				t.Errorf("token %v, then %v", tokens[0], tokens[i])
			}
		}
		w.quit()
	})
}

func TestServeThatReturnsGivesTheLeaseBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := table(t, rows(1)...)
		w := run(t, "w", s, func(context.Context, *lease.Tenure) error { return nil })
		time.Sleep(3 * time.Second)
		if n := len(w.seen("served", "")); n < 2 {
			t.Errorf("served %d times: a lease that was given back is free for anyone", n)
		}
		if ended := w.seen("ended", ""); len(ended) == 0 || ended[0].err != nil {
			t.Errorf("ended %+v", ended)
		}
		w.quit()
	})
}

func TestReleaseComesAfterServeReturned(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := table(t, rows(1)...)
		var returned atomic.Int64
		slow := func(ctx context.Context, tn *lease.Tenure) error {
			_ = hold(ctx, tn)
			time.Sleep(30 * time.Second) // longer than FailoverTime: it is renewed meanwhile
			returned.Store(time.Now().UnixNano())
			return errors.New("whatever it returns")
		}
		a := run(t, "a", s, slow)
		time.Sleep(5 * time.Second)
		b := run(t, "b", s, hold)
		time.Sleep(5 * time.Second)
		go a.quit()
		time.Sleep(29 * time.Second)
		if got := get(t, s, "s00").Owner; got != a.Owner() {
			t.Errorf("owner is %q while code of %q runs", got, a.Owner())
		}
		<-a.done
		time.Sleep(lookMax + time.Second)
		won := b.seen("acquired", "")
		if len(won) != 1 || won[0].when.UnixNano() < returned.Load() {
			t.Errorf("acquired %+v, code returned at %v", won, time.Unix(0, returned.Load()))
		}
		b.quit()
	})
}

func TestHardStopLeavesBusyLeasesToExpire(t *testing.T) {
	cause := errors.New("deadline of the orchestrator")
	for name, stop := range map[string]func(w *worker) error{
		"end of Shutdown's context": func(w *worker) error {
			ctx, cancel := context.WithTimeoutCause(context.Background(), time.Second, cause)
			defer cancel()
			return w.Shutdown(ctx)
		},
		"end of Run's context": func(w *worker) error {
			w.stop(cause)
			<-w.done
			return w.err
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := table(t, rows(3)...)
				w := run(t, "w", s, func(ctx context.Context, tn *lease.Tenure) error {
					if tn.Token().Key == "s01" {
						time.Sleep(time.Minute) // deaf
						return nil
					}
					<-ctx.Done()
					return nil
				})
				time.Sleep(10 * time.Second)
				began := time.Now()
				err := stop(w)
				var drain *lease.DrainError
				if !errors.As(err, &drain) || !slices.Equal(drain.Keys, []string{"s01"}) {
					t.Errorf("stop: %v, want a DrainError that names s01", err)
				}
				if d := time.Since(began); d > 3*time.Second+10*time.Millisecond {
					t.Errorf("took %v", d)
				}
				<-w.done
				if !errors.As(w.err, &drain) {
					t.Errorf("run: %v", w.err)
				}
				for key, want := range map[string]string{"s00": "", "s01": w.Owner(), "s02": ""} {
					if got := get(t, s, key); got.Owner != want {
						t.Errorf("%s is owned by %q, want %q", key, got.Owner, want)
					}
				}
				got := w.seen("cancelled", "")
				if !slices.Equal(keysOf(got), []string{"s00", "s01", "s02"}) {
					t.Errorf("cancelled %v", keysOf(got))
				}
				for _, e := range got {
					if !errors.Is(e.err, cause) {
						t.Errorf("%s: context ended with %v, want %v", e.key, e.err, cause)
					}
				}
				counter := get(t, s, "s01").Counter
				time.Sleep(2 * time.Minute)
				if now := get(t, s, "s01"); now.Counter != counter || now.Owner != w.Owner() {
					t.Errorf("the lease that was left behind was written: %+v", now)
				}
				w.stop(nil)
			})
		})
	}
}

func TestLeaseWonDuringAHardStopIsNotServed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := table(t, rows(1)...)
		w := prepare(t, "w", s, lease.Config{})
		w.link.set(func(op, _ string) fate {
			if op == "Write" {
				return delayed
			}
			return passes
		})
		w.start(hold)
		time.Sleep(1200 * time.Millisecond)
		w.stop(errors.New("stop"))
		<-w.done
		if got := w.seen("served", ""); len(got) != 0 {
			t.Errorf("served %+v", got)
		}
		// The take was answered 0.3 s into the stop; its release has time as well.
		if w.err != nil || get(t, s, "s00").Owner != "" {
			t.Errorf("run: %v, owner %q; want the lease given back", w.err, get(t, s, "s00").Owner)
		}
	})
}

func TestAnswersThatAreLostCostNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := table(t, rows(3)...)
		w := prepare(t, "w", s, lease.Config{})
		lost := map[string]int{}
		w.link.set(func(op, key string) fate {
			if lost[op+key]++; op == "Write" && lost[op+key]%3 == 1 {
				return unanswered
			}
			return passes
		})
		stored := 0
		w.start(func(ctx context.Context, tn *lease.Tenure) error {
			for n := 2; ; n++ {
				if err := tn.Admit(ctx, at(n)); err != nil {
					return err
				}
				if err := tn.Checkpoint(ctx, at(n)); err != nil {
					return err
				}
				if got := get(t, s, tn.Token().Key).Checkpoint.Position; got.Compare(at(n)) < 0 {
					t.Errorf("%d acknowledged, %v stored", n, got)
				}
				if tn.Token().Key == "s00" {
					stored = n
				}
				select {
				case <-tn.Leaving():
					return nil
				case <-time.After(7 * time.Second):
				}
			}
		})
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if got := w.seen("ended", ""); len(got) != 0 {
			t.Errorf("leases lost for nothing: %+v", got)
		}
		if stored < 20 {
			t.Errorf("stored %d", stored)
		}
		w.quit()
	})
}

func TestContextEndsBeforeAnotherWorkerMayHold(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := table(t, rows(1)...)
		a := run(t, "a", s, func(ctx context.Context, tn *lease.Tenure) error {
			<-ctx.Done()
			for _, err := range []error{tn.Admit(context.Background(), at(9)), tn.Mark(at(1)), tn.Checkpoint(context.Background(), at(1)), tn.End(context.Background())} {
				if !errors.Is(err, lease.ErrLost) {
					t.Errorf("after the loss: %v", err)
				}
			}
			return nil
		})
		time.Sleep(10 * time.Second)
		b := run(t, "b", s, hold)
		time.Sleep(10 * time.Second)
		a.kill()
		time.Sleep(failover + lookMax + renewal + 2*time.Second)
		sent := a.link.lastSent("s00")
		ended, won := a.seen("cancelled", "s00"), b.seen("acquired", "s00")
		if len(ended) != 1 || !errors.Is(ended[0].err, lease.ErrLost) {
			t.Fatalf("a's context: %+v, want it to end with ErrLost", ended)
		}
		if d := ended[0].when.Sub(sent); d > failover-margin {
			t.Errorf("context ended %v after the last write was sent, want at most %v", d, failover-margin)
		}
		if len(won) != 1 {
			t.Fatalf("b did not take over: %+v", b.events)
		}
		if d := won[0].when.Sub(sent); d < failover || d > failover+lookMax+time.Second {
			t.Errorf("b took over %v after a's last sign of life, want within [%v, %v]", d, failover, failover+lookMax+time.Second)
		}
		if !won[0].when.After(ended[0].when) {
			t.Errorf("b at %v, a until %v", won[0].when, ended[0].when)
		}
		a.link.set(nil)
		b.quit()
		a.quit()
	})
}

func TestThreeWorkersThatStartTogetherShare(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := table(t, rows(30)...)
		var all []*worker
		for _, label := range []string{"a", "b", "c"} {
			all = append(all, run(t, label, s, hold))
		}
		time.Sleep(30 * time.Second)
		count := owners(t, s)
		for _, w := range all {
			if n := count[w.Owner()]; n < 8 || n > 12 {
				t.Errorf("%s holds %d of 30", w.Owner(), n)
			}
			if lost := w.seen("cancelled", ""); len(lost) > 0 {
				t.Errorf("%s lost leases for nothing: %+v", w.Owner(), lost)
			}
		}
		all[0].kill()
		time.Sleep(failover + lookMax + time.Second + 3*lookMax) // a bite a round
		count = owners(t, s)
		if n := count[all[1].Owner()] + count[all[2].Owner()]; n != 30 {
			t.Errorf("the others hold %d of 30 after the death of one: %v", n, count)
		}
		all[0].link.set(nil)
		for _, w := range all {
			w.quit()
		}
	})
}

// The table is deleted under running workers, and comes back with other counters: whoever held something has nothing to hold any more, and says nothing to
// the new table that belongs to the old one.
func TestVanishedTableEndsAllTenuresAndIsSurvived(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := table(t, rows(4)...)
		w := run(t, "w", s, hold)
		time.Sleep(20 * time.Second)
		w.link.set(func(string, string) fate { return failed })
		gone := time.Now()
		time.Sleep(failover)
		ended := w.seen("cancelled", "")
		if len(ended) != 4 {
			t.Fatalf("%d of 4 contexts ended", len(ended))
		}
		for _, e := range ended {
			if !errors.Is(e.err, lease.ErrLost) || e.when.Sub(gone) > failover-margin {
				t.Errorf("%s ended after %v with %v", e.key, e.when.Sub(gone), e.err)
			}
		}
		if h := w.Health(); !errors.Is(h.Err, errTable) {
			t.Errorf("health: %+v", h)
		}
		time.Sleep(5 * time.Minute)
		select {
		case <-w.done:
			t.Fatalf("run ended: %v", w.err)
		default:
		}
		fresh := table(t, rows(3)...)
		w.link.mu.Lock()
		w.link.Store = fresh
		w.link.judge = nil
		w.link.mu.Unlock()
		time.Sleep(20 * time.Second)
		if n := owners(t, fresh)[w.Owner()]; n != 3 {
			t.Errorf("owns %d of 3 when the table is back", n)
		}
		if h := w.Health(); h.Err != nil || time.Since(h.LastScan) > lookMax {
			t.Errorf("health: %+v", h)
		}
		w.quit()
	})
}

func TestUnreadableRowIsReportedAndLeftAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := table(t, rows(2)...)
		w := prepare(t, "w", s, lease.Config{})
		w.link.bad = []*lease.RowError{{Key: "x", Attribute: "leaseCounter", Reason: "not a number"}}
		w.start(hold)
		time.Sleep(10 * time.Second)
		if h := w.Health(); h.Err != nil || len(h.Rows) != 1 || h.Rows[0].Key != "x" {
			t.Errorf("health: %+v", h)
		}
		if n := owners(t, s)[w.Owner()]; n != 2 {
			t.Errorf("owns %d of 2 beside a row that cannot be read", n)
		}
		w.quit()
	})
}

func TestMaxLeasesBoundsAWorker(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := table(t, rows(5)...)
		w := prepare(t, "w", s, lease.Config{MaxLeases: 2}).start(hold)
		time.Sleep(time.Minute)
		if n := owners(t, s)[w.Owner()]; n != 2 {
			t.Errorf("owns %d, want MaxLeases, 2", n)
		}
		w.quit()
	})
}

func TestMarkIsStoredWithTheNextRenewalAndAtTheLatestWithTheRelease(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := table(t, rows(1)...)
		w := run(t, "w", s, func(ctx context.Context, tn *lease.Tenure) error {
			if err := errors.Join(tn.Admit(ctx, at(5)), tn.Mark(at(4))); err != nil {
				t.Error(err)
			}
			counter := get(t, s, "s00").Counter
			time.Sleep(time.Second)
			if now := get(t, s, "s00"); now.Counter != counter || now.Checkpoint.Position != at(1) {
				t.Errorf("a mark makes a request: %+v", now)
			}
			time.Sleep(renewal)
			if now := get(t, s, "s00"); now.Checkpoint.Position != at(4) {
				t.Errorf("not with the renewal: %+v", now)
			}
			_ = hold(ctx, tn)
			return tn.Mark(at(5))
		})
		time.Sleep(20 * time.Second)
		w.quit()
		if now := get(t, s, "s00"); now.Checkpoint.Position != at(5) || now.Owner != "" {
			t.Errorf("left %+v", now)
		}
	})
}

func TestCheckpointSaysWhatIsKnown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := table(t, rows(1)...)
		w := prepare(t, "w", s, lease.Config{})
		w.start(func(ctx context.Context, tn *lease.Tenure) error {
			if len(w.seen("served", "")) > 1 {
				return hold(ctx, tn)
			}
			if err := tn.Checkpoint(ctx, at(3)); !errors.Is(err, checkpoint.ErrNotDelivered) {
				t.Errorf("not delivered: %v", err)
			}
			if err := tn.Admit(ctx, at(9)); err != nil {
				t.Error(err)
			}
			if err := tn.Checkpoint(ctx, at(3)); err != nil || get(t, s, "s00").Checkpoint.Position != at(3) {
				t.Errorf("answered: %v", err)
			}
			if err := tn.Checkpoint(ctx, at(2)); !errors.Is(err, checkpoint.ErrBackwards) {
				t.Errorf("backwards: %v", err)
			}
			w.link.set(func(string, string) fate { return unanswered })
			short, cancel := context.WithTimeoutCause(ctx, time.Second, errTable)
			defer cancel()
			if err := tn.Checkpoint(short, at(4)); !errors.Is(err, checkpoint.ErrUncertain) || !errors.Is(err, errTable) {
				t.Errorf("no answer in time: %v, want ErrUncertain and the context's cause", err)
			}
			if err := tn.Checkpoint(ctx, at(5)); !errors.Is(err, checkpoint.ErrUncertain) || !errors.Is(err, lease.ErrLost) {
				t.Errorf("lease lost while it waits: %v, want ErrUncertain and ErrLost", err)
			}
			w.link.set(nil)
			return nil
		})
		time.Sleep(15 * time.Second)
		w.quit()
	})
}

func TestConfigRefusesWhatBreaksTheProtocol(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cfg    lease.Config
		fields []string
	}{
		"defaults":                  {lease.Config{}, nil},
		"shortest":                  {lease.Config{FailoverTime: 100 * time.Millisecond}, nil},
		"too short":                 {lease.Config{FailoverTime: 99 * time.Millisecond}, []string{"FailoverTime"}},
		"too long":                  {lease.Config{FailoverTime: time.Hour + 1}, []string{"FailoverTime"}},
		"no margin":                 {lease.Config{Margin: time.Millisecond}, []string{"Margin"}},
		"margin eats everything":    {lease.Config{Margin: 10 * time.Second}, []string{"Margin", "RenewInterval"}},
		"no time for a second try":  {lease.Config{RenewInterval: 6 * time.Second}, []string{"RenewInterval"}},
		"requests that take longer": {lease.Config{RequestTimeout: 4 * time.Second}, []string{"RenewInterval"}},
		"negative":                  {lease.Config{RenewInterval: -1, RequestTimeout: -1, MaxLeases: -1}, []string{"RenewInterval", "RequestTimeout", "MaxLeases"}},
	} {
		err := c.cfg.Validate()
		var got []string
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			for _, e := range joined.Unwrap() {
				var ce *lease.ConfigError
				if errors.As(e, &ce) {
					got = append(got, ce.Field)
				}
			}
		}
		if !slices.Equal(got, c.fields) {
			t.Errorf("%s: %v refuses %v, want %v", name, err, got, c.fields)
		}
	}
	if _, err := lease.New("", nil, lease.Config{}); err == nil {
		t.Error("a worker without a label")
	}
}

// Who holds the lease next finds the announcement and its state; a Prepare that is not waited for may stand all the same.
func TestTheNextOwnerFindsWhatWasAnnounced(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := table(t, rows(1)...)
		found := make(chan checkpoint.Checkpoint, 1)
		a := run(t, "a", s, func(ctx context.Context, tn *lease.Tenure) error {
			if err := tn.Admit(ctx, at(9)); err != nil {
				return err
			}
			if err := tn.Prepare(ctx, at(9), []byte("nine")); err != nil {
				t.Errorf("prepare: %v", err)
			}
			if err := tn.Prepare(ctx, at(9), make([]byte, checkpoint.MaxState+1)); !errors.Is(err, checkpoint.ErrStateTooLarge) {
				t.Errorf("a state that no row can hold: %v", err)
			}
			<-ctx.Done()
			if err := tn.Prepare(context.Background(), at(9), nil); !errors.Is(err, lease.ErrLost) {
				t.Errorf("after the loss: %v", err)
			}
			return nil
		})
		time.Sleep(5 * time.Second)
		a.kill()
		b := run(t, "b", s, func(ctx context.Context, tn *lease.Tenure) error {
			found <- tn.Start()
			return hold(ctx, tn)
		})
		got := <-found
		if got.Pending != at(9) || string(got.State) != "nine" || got.Position.Compare(at(9)) >= 0 {
			t.Errorf("found %+v", got)
		}
		b.quit()
		a.stop(errors.New("stop"))
		<-a.done
	})
}
