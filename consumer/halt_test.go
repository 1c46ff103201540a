package consumer_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kinesiskit/kinesiskit/consumer"
)

// halted waits until a worker shows a shard as halted.
func (f *fleet) halted(w *worker, id string) {
	f.t.Helper()
	f.until("halted", time.Minute, func() bool {
		return slices.ContainsFunc(w.Health().Shards, func(h consumer.ShardHealth) bool { return h.ID == id && h.State == consumer.Halted })
	})
}

func TestAHaltedShardIsKeptAndDeliversNothingUntilItIsResumed(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("k", "a", "b", "c")
		var mended atomic.Bool
		var told journal
		h := consumer.Each(func(ctx context.Context, r *consumer.Record) error {
			if mended.Load() {
				return f.unless("")(ctx, r)
			}
			return f.unless("b")(ctx, r)
		})
		w := f.run(fast("w1"), h, always(consumer.Halt), verdicts(&told))
		f.halted(w, shard0)
		counter := f.row(shard0).Counter
		time.Sleep(10 * failover)
		f.want("a", "b")
		if l := f.row(shard0); !f.owns(w, shard0) || l.Counter < counter+9 {
			t.Errorf("owner %s, counter %d after %d: the lease is to be renewed", l.Owner, l.Counter, counter)
		}
		health := w.Health()
		if sh := health.Shards[0]; !errors.Is(sh.Err, consumer.ErrHalted) || !errors.Is(sh.Err, errUser) || sh.Attempt != 1 || !sh.BusySince.IsZero() {
			t.Errorf("health %+v", sh)
		}
		if err := health.Ready(); !errors.Is(health.Err, consumer.ErrHalted) || err != nil {
			t.Errorf("health says %v, ready: %v", health.Err, err)
		}
		if err := w.Resume(streamName, shard0); err != nil {
			t.Fatal(err)
		}
		f.until("halted again", time.Minute, func() bool { return len(told.all()) == 2 && w.Health().Shards[0].State == consumer.Halted })
		told.want(t, "b #1 halt", "b #1 halt")
		mended.Store(true)
		if err := w.Resume(streamName, shard0); err != nil {
			t.Fatal(err)
		}
		f.delivered(5)
		f.want("a", "b", "b", "b", "c")
		if h := w.Health(); h.Err != nil || h.Shards[0].State != consumer.Processing || h.Shards[0].Err != nil {
			t.Errorf("health %+v", h)
		}
	})
}

func TestOnlyAHaltedShardIsResumed(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("k", "a")
		w := f.start("w1")
		f.delivered(1)
		for _, c := range [][2]string{{streamName, shard0}, {streamName, shard1}, {"other", shard0}} {
			if err := w.Resume(c[0], c[1]); !errors.Is(err, consumer.ErrNotHalted) || !strings.Contains(err.Error(), c[1]) {
				t.Errorf("resume of %q: %v", c, err)
			}
		}
	})
}

func TestTheChildrenOfAHaltedShardWait(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("k", "bad")
		w := f.run(fast("w1"), consumer.Each(f.unless("bad")), always(consumer.Halt))
		f.halted(w, shard0)
		f.s.Split(streamName, shard0)
		f.put("k", "child")
		time.Sleep(5 * time.Minute)
		f.want("bad")
	})
}

// The processor's buffer is flushed, what failed is left to the next owner, and that owner tries it.
func TestAHaltedShardMovesAndIsTriedAfresh(t *testing.T) {
	bubble(t, 2, func(f *fleet) {
		for _, hash := range []string{"0", "340282366920938463463374607431768211455"} {
			f.putRaw("k", hash, []byte("a"))
		}
		var j1, j2 journal
		var bad atomic.Bool
		fail := func(call string) error {
			if call == "process" && bad.Load() {
				return errUser
			}
			return nil
		}
		w1 := f.run(fast("w1"), j1.handler(fail), always(consumer.Halt))
		f.until("processed", time.Minute, func() bool { return len(j1.all()) == 4 })
		bad.Store(true)
		for _, hash := range []string{"0", "340282366920938463463374607431768211455"} {
			f.putRaw("k", hash, []byte("b"))
		}
		f.halted(w1, shard0)
		f.halted(w1, shard1)
		calls := len(j1.all())
		w2 := f.run(fast("w2"), j2.handler(nil))
		f.moved(w2, 1, 2)
		f.until("processed", time.Minute, func() bool { return len(j2.all()) == 2 })
		if got := j1.all()[calls:]; !slices.Equal(got, []string{"flush moving", "close <nil>"}) {
			t.Errorf("calls of w1 %q", got)
		}
		if got := j2.all()[1]; got != "process b #1" {
			t.Errorf("w2 begins with %q", got)
		}
		if err := w1.leave(); err != nil {
			t.Fatal(err)
		}
		f.until("all processed", time.Minute, func() bool { return len(j2.all()) == 4 })
	})
}

func TestAHaltedFlushAtShardEndWaitsForResume(t *testing.T) {
	for _, resume := range []bool{true, false} {
		t.Run(map[bool]string{true: "resumed", false: "left"}[resume], func(t *testing.T) {
			bubble(t, 1, func(f *fleet) {
				f.put("k", "a")
				var j journal
				w := f.run(fast("w1"), j.handler(failTimes("flush", 1)), always(consumer.Halt))
				f.until("processed", time.Minute, func() bool { return len(j.all()) == 2 })
				f.s.Split(streamName, shard0)
				f.halted(w, shard0)
				if first, _, _ := strings.Cut(w.Health().Err.Error(), "\n"); !strings.Contains(first, "its children wait") {
					t.Errorf("health's first line is %q", first)
				}
				if resume {
					if err := w.Resume(streamName, shard0); err != nil {
						t.Fatal(err)
					}
					f.until("finished", time.Minute, func() bool { return f.row(shard0).Ended() })
					return
				}
				if err := w.leave(); err != nil {
					t.Fatal(err)
				}
				j.want(t, "open "+shard0, "process a #1", "flush shard ended", "close "+consumer.ErrHalted.Error()+": user")
				if l := f.row(shard0); l.Ended() || l.Owner != "" {
					t.Errorf("row %+v", l)
				}
			})
		})
	}
}

func TestAHaltedOpenIsMadeAgainWhenItIsResumed(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("k", "a")
		var j journal
		w := f.run(fast("w1"), j.handler(failTimes("open", 1)), always(consumer.Halt))
		f.halted(w, shard0)
		time.Sleep(time.Minute)
		j.want(t, "open "+shard0)
		if err := w.Resume(streamName, shard0); err != nil {
			t.Fatal(err)
		}
		f.until("processed", time.Minute, func() bool { return len(j.all()) == 3 })
	})
}

func TestAStopDuringAHaltOfFlushMakesNoFurtherAttempt(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("k", "a")
		var j journal
		w := f.run(fast("w1"), j.handler(failTimes("flush", 1)), always(consumer.Halt))
		f.until("processed", time.Minute, func() bool { return len(j.all()) == 2 })
		if err := w.leave(); err != nil {
			t.Fatal(err)
		}
		j.want(t, "open "+shard0, "process a #1", "flush stopping", "close "+consumer.ErrHalted.Error()+": user")
	})
}
