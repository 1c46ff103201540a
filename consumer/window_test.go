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
	const shards, large, tiny = 4, 8, 10_000
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithoutLimits())
		s.CreateStream(streamName, shards)
		f := newFleetOn(t, s)
		defer f.close()
		for i := range shards {
			f.putRaw("!", hashKey(i, shards), []byte("bad"))
			users := make([]string, tiny)
			for j := range users {
				users[j] = fmt.Sprintf("key%d=%d/%d", j%50, i, j)
			}
			f.putRaw("own", hashKey(i, shards), aggregate(users...))
			for j := range large {
				f.putRaw("k", hashKey(i, shards), heavy(fmt.Sprint("large", j)))
			}
		}
		var broken atomic.Bool
		broken.Store(true)
		var small atomic.Int32
		cfg := wide("w1", 4)
		cfg.BufferBytes, cfg.Polling.MinInterval = 32<<20, -1
		w := f.run(cfg, consumer.Each(func(_ context.Context, r *consumer.Record) error {
			if broken.Load() && r.PartitionKey == "!" {
				return errUser
			}
			if len(r.Data) < 1<<10 && r.PartitionKey != "!" {
				small.Add(1)
				return nil
			}
			id := r.Shard().ID()
			f.mu.Lock()
			defer f.mu.Unlock()
			f.got = append(f.got, delivery{"w1", id, id + r.PartitionKey, id + light(r.Data), r.Position, time.Now()})
			return nil
		}))
		f.until("all windows full", 2*time.Minute, func() bool {
			for _, h := range w.Health().Shards {
				if h.Err == nil || !strings.Contains(h.Err.Error(), "window is full") {
					return false
				}
			}
			return len(w.Health().Shards) == shards
		})
		time.Sleep(time.Minute)
		if b := w.Health().Buffered; b > shards*large<<20*3/4 {
			t.Errorf("%d bytes are held by shards that do not move", b)
		}
		fetched := s.Calls("GetRecords")
		time.Sleep(5 * time.Minute)
		if n := s.Calls("GetRecords") - fetched; n > 0 {
			t.Errorf("%d pages were fetched and given up again", n)
		}
		broken.Store(false)
		f.delivered(shards * (1 + large))
		time.Sleep(time.Minute)
		f.inOrder(shards * (1 + large))
		if n := small.Load(); n != shards*tiny {
			t.Errorf("%d of %d small records were delivered", n, shards*tiny)
		}
		if b := w.Health().Buffered; b != 0 {
			t.Errorf("%d bytes are said to be held", b)
		}
	})
}
