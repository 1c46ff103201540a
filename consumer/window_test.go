package consumer_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/kinesiskit/kinesiskit/consumer"
	"github.com/kinesiskit/kinesiskit/kinesistest"
)

// bound is a test of a window that fills up behind a record that fails: of how many records that are put, how many may be delivered meanwhile?
func bound(t *testing.T, put func(f *fleet), meanwhile, all int) {
	t.Helper()
	bubble(t, 2, func(f *fleet) {
		f.putRaw("bad", "0", []byte("bad"))
		put(f)
		f.putRaw("other", "340282366920938463463374607431768211455", []byte("of the other shard"))
		core, logs := observer.New(zap.WarnLevel)
		var mended atomic.Bool
		var good atomic.Int32
		w := f.run(wide("w1", 4), consumer.Each(func(_ context.Context, r *consumer.Record) error {
			switch {
			case r.Shard().ID() == shard1:
				f.note("w1", r)
			case r.PartitionKey != "bad":
				good.Add(1)
			case !mended.Load():
				return errUser
			}
			return nil
		}), consumer.WithLogger(zap.New(core)))
		f.delivered(1)
		time.Sleep(10 * time.Minute)
		if n := good.Load(); int(n) != meanwhile {
			t.Errorf("%d records were delivered, want %d", n, meanwhile)
		}
		f.putRaw("other", "340282366920938463463374607431768211455", []byte("again"))
		f.delivered(2)
		h := w.Health().Shards[0]
		if h.Undone < 1 || h.OldestUndone.IsZero() || h.Err == nil || !strings.Contains(h.Err.Error(), `with key "bad": `+errUser.Error()) {
			t.Errorf("health %+v", h)
		}
		const full = "window of records that are not done is full: nothing more of the shard begins before its oldest record is done"
		if told := logs.FilterMessage(full).All(); len(told) != 1 || told[0].ContextMap()["key"] != `"bad"` {
			t.Errorf("logged %v", told)
		}
		mended.Store(true)
		f.until("all delivered", 2*time.Minute, func() bool { return int(good.Load()) == all && w.Health().Shards[0].Undone == 0 })
		if h := w.Health().Shards[0]; h.Err != nil || h.State != consumer.Processing {
			t.Errorf("health %+v", h)
		}
	})
}

func TestTheWindowIsBoundedByRecords(t *testing.T) {
	bound(t, func(f *fleet) {
		for i := range 21 {
			users := make([]string, 500)
			for j := range users {
				users[j] = fmt.Sprintf("key%d=%d", j%50, i)
			}
			f.putRaw("own", "0", aggregate(users...))
		}
	}, 9_999, 10_500)
}

func TestTheWindowIsBoundedByBytes(t *testing.T) {
	bound(t, func(f *fleet) {
		for i := range 20 {
			f.putRaw(fmt.Sprint("key", i), "0", make([]byte, 1<<20-16))
			time.Sleep(2 * time.Second)
		}
	}, 17, 20) // sixteen are a few bytes less than 16 MiB
}

func TestTheWindowIsBoundedByAge(t *testing.T) {
	bound(t, func(f *fleet) {
		go func() {
			for i := range 20 {
				time.Sleep(20 * time.Second)
				f.putRaw(fmt.Sprint("key", i), "0", []byte("late"))
			}
		}()
	}, 14, 20)
}

// Shards whose windows are full drop what they have not begun with, and fetch it again when they can go on.
func TestAFullWindowLeavesMemoryToOthersAndRepeatsNothing(t *testing.T) {
	t.Parallel()
	const shards, each = 3, 22
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithoutLimits())
		s.CreateStream(streamName, shards)
		f := newFleetOn(t, s)
		defer f.close()
		var broken atomic.Bool
		broken.Store(true)
		cfg := small("w1")
		cfg.ParallelizationFactor = 4
		w := f.run(cfg, consumer.Each(func(_ context.Context, r *consumer.Record) error {
			if name := light(r.Data); broken.Load() && name == "0" && r.Shard().ID() != shard0 {
				return errUser
			}
			f.mu.Lock()
			defer f.mu.Unlock()
			f.got = append(f.got, delivery{"w1", r.Shard().ID(), r.Shard().ID() + r.PartitionKey, r.Shard().ID() + light(r.Data), r.Position, time.Now()})
			return nil
		}))
		for i := range shards {
			for j := range each {
				if i > 0 || j < 2 {
					f.putRaw(string(rune('a'+j%7)), hashKey(i, shards), heavy(fmt.Sprint(j)))
				}
			}
		}
		f.until("blocked", 2*time.Minute, func() bool {
			hs := w.Health().Shards
			full := func(i int) bool { return hs[i].Err != nil && strings.Contains(hs[i].Err.Error(), "window is full") }
			return len(hs) == shards && (full(1) || full(2)) && hs[1].Attempt > 0 && hs[2].Attempt > 0 && f.of(shard0) == 2
		})
		for j := 2; j < each; j++ {
			f.putRaw(string(rune('a'+j%7)), hashKey(0, shards), heavy(fmt.Sprint(j)))
		}
		f.until("the other shard is done", 2*time.Minute, func() bool { return f.of(shard0) == each })
		broken.Store(false)
		f.delivered(shards * each)
		time.Sleep(time.Minute)
		f.inOrder(shards * each)
		if b := w.Health().Buffered; b != 0 {
			t.Errorf("%d bytes are said to be held", b)
		}
	})
}
