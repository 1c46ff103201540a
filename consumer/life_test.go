package consumer_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesiskit/kinesiskit/consumer"
	"github.com/kinesiskit/kinesiskit/lease"
)

func TestEveryRecordIsDeliveredInOrder(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("k", numbers(0, 20)...)
		w := f.start("w1")
		f.delivered(20)
		f.put("k", numbers(20, 40)...)
		f.delivered(40)
		if err := w.leave(); err != nil {
			t.Fatal(err)
		}
		f.want(numbers(0, 40)...)
	})
}

func TestRunEndsWithNilAfterItsContext(t *testing.T) {
	bubble(t, 2, func(f *fleet) {
		w := f.start("w1")
		f.until("running", time.Minute, func() bool { return w.Health().State == consumer.Running && len(w.Health().Shards) == 2 })
		if err := w.Health().Ready(); err != nil {
			t.Errorf("not ready: %v", err)
		}
		begin := time.Now()
		if err := w.leave(); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("an idle consumer took %v to stop", took)
		}
		h := w.Health()
		if h.State != consumer.Stopped || len(h.Shards) != 0 || h.Ready() == nil {
			t.Errorf("health after Run: %+v, ready: %v", h, h.Ready())
		}
		for _, key := range []string{shard0, shard1} {
			if owner := f.row(key).Owner; owner != "" {
				t.Errorf("%s still belongs to %q", key, owner)
			}
		}
	})
}

func TestASecondRunIsRefused(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		w := f.start("w1")
		synctest.Wait()
		if err := w.Run(context.Background()); !errors.Is(err, consumer.ErrRunning) {
			t.Errorf("while running: %v", err)
		}
		if err := w.leave(); err != nil {
			t.Fatal(err)
		}
		if err := w.Run(context.Background()); !errors.Is(err, consumer.ErrRunning) {
			t.Errorf("after it: %v", err)
		}
	})
}

func TestShutdownBeforeRunMakesRunReturnWithoutACall(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		w := f.make(fast("w1"), nil)
		if err := w.Shutdown(context.Background()); err != nil {
			t.Fatal(err)
		}
		if err := w.Shutdown(context.Background()); err != nil {
			t.Fatal(err)
		}
		w.run()
		<-w.done
		if w.err != nil || f.s.Calls("*") != 0 {
			t.Errorf("run returned %v after %d calls", w.err, f.s.Calls("*"))
		}
	})
}

func TestAnEndedContextMakesRunReturnWithoutACall(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		w := f.make(fast("w1"), nil)
		close(w.done)
		if err := w.Run(ctx); err != nil || f.s.Calls("*") != 0 {
			t.Errorf("run returned %v after %d calls", err, f.s.Calls("*"))
		}
	})
}

func TestStopDoesNotCancelRunningCodeAndStoresWhatItDid(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("k", "a", "b", "c")
		type value struct{}
		var cancelled, carried bool
		entered := make(chan struct{}, 1)
		h := consumer.Each(func(ctx context.Context, r *consumer.Record) error {
			carried = ctx.Value(value{}) == "v"
			if string(r.Data) == "b" {
				entered <- struct{}{}
				time.Sleep(5 * time.Second)
				cancelled = ctx.Err() != nil
			}
			f.note("w1", r)
			return nil
		})
		w := f.make(fast("w1"), h)
		ctx, cancel := context.WithCancel(context.WithValue(context.Background(), value{}, "v"))
		defer cancel()
		go func() {
			defer close(w.done)
			w.err = w.Run(ctx)
		}()
		<-entered
		cancel()
		<-w.done
		if w.err != nil {
			t.Fatal(w.err)
		}
		if cancelled || !carried {
			t.Errorf("cancelled: %v, values carried: %v", cancelled, carried)
		}
		f.want("a", "b")
		got := f.deliveries()
		if p := f.row(shard0).Checkpoint.Position; p != got[1].position {
			t.Errorf("stored %s, want %s", p, got[1].position)
		}
	})
}

func TestReleaseOnStopLetsAnotherWorkerContinueAtExactlyThePosition(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("k", numbers(0, 10)...)
		w1 := f.start("w1")
		f.delivered(10)
		w2 := f.start("w2")
		time.Sleep(time.Second)
		if err := w1.leave(); err != nil {
			t.Fatal(err)
		}
		left := time.Now()
		f.put("k", numbers(10, 20)...)
		f.delivered(20)
		f.want(numbers(0, 20)...)
		got := f.deliveries()
		if d := got[10]; d.worker != "w2" || d.at.Sub(left) >= failover/2 {
			t.Errorf("%s continued after %v: a released lease must not have to expire", d.worker, d.at.Sub(left))
		}
		if err := w2.leave(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestDrainThatIsCutShortNamesTheBusyShardAndDoesNotReleaseIt(t *testing.T) {
	bubble(t, 2, func(f *fleet) {
		f.putRaw("k", "0", []byte("stuck"))
		release := make(chan struct{})
		causes := make(chan error, 1)
		h := consumer.Each(func(ctx context.Context, _ *consumer.Record) error {
			<-ctx.Done()
			causes <- context.Cause(ctx)
			<-release
			return nil
		})
		cfg := fast("w1")
		cfg.ShutdownTimeout = 3 * time.Second
		w := f.run(cfg, h)
		busy := func() bool {
			hs := w.Health().Shards
			return len(hs) == 2 && !hs[0].BusySince.IsZero()
		}
		f.until("busy", time.Minute, busy)
		begin := time.Now()
		err := w.leave()
		var cut *consumer.DrainError
		if !errors.As(err, &cut) || !slices.Equal(cut.Shards, []string{shard0}) {
			t.Fatalf("run returned %v", err)
		}
		if took := time.Since(begin); took < cfg.ShutdownTimeout || took > cfg.ShutdownTimeout+5*time.Second {
			t.Errorf("the stop took %v", took)
		}
		if cause := <-causes; !errors.Is(cause, consumer.ErrStopped) {
			t.Errorf("cause %v", cause)
		}
		if f.row(shard0).Owner == "" || f.row(shard1).Owner != "" {
			t.Errorf("owners %q and %q: a lease must not be released while code runs under it", f.row(shard0).Owner, f.row(shard1).Owner)
		}
		close(release)
	})
}

func TestShutdownsContextBoundsTheStop(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("k", "a")
		h := consumer.Each(func(ctx context.Context, _ *consumer.Record) error {
			<-ctx.Done()
			return ctx.Err()
		})
		w := f.run(fast("w1"), h)
		f.until("busy", time.Minute, func() bool { hs := w.Health().Shards; return len(hs) == 1 && !hs[0].BusySince.IsZero() })
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		begin := time.Now()
		if err := w.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("shutdown returned %v", err)
		}
		<-w.done
		if took := time.Since(begin); took < 2*time.Second || took > 3*time.Second {
			t.Errorf("took %v", took)
		}
		if w.err != nil {
			t.Errorf("run returned %v although the code returned in time to be released", w.err)
		}
		if owner := f.row(shard0).Owner; owner != "" {
			t.Errorf("still owned by %s", owner)
		}
	})
}

func TestHooksMayBeGivenMoreThanOnce(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		var order []string
		hook := func(name string) consumer.Option {
			return consumer.WithHooks(consumer.Hooks{
				Fetched: func(e consumer.FetchEvent) {
					if e.Records > 0 {
						order = append(order, name)
					}
				},
				Lease: lease.Hooks{Acquired: func(lease.Event) { order = append(order, "lease "+name) }},
			})
		}
		f.put("k", "a")
		w := f.run(fast("w1"), nil, hook("1"), hook("2"))
		f.delivered(1)
		if err := w.leave(); err != nil {
			t.Fatal(err)
		}
		if want := []string{"lease 1", "lease 2", "1", "2"}; !slices.Equal(order, want) {
			t.Errorf("called %q, want %q", order, want)
		}
	})
}
