package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/consumer"
)

// wide is fast with a factor.
func wide(name string, factor int) consumer.Config {
	cfg := fast(name)
	cfg.ParallelizationFactor = factor
	return cfg
}

// crowd counts how many calls run at a time, in all and for each key.
type crowd struct {
	mu        sync.Mutex
	running   map[string]int
	all, most int
	doubled   []string
}

func (c *crowd) enter(key string) (leave func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running == nil {
		c.running = map[string]int{}
	}
	c.all++
	c.most = max(c.most, c.all)
	if c.running[key]++; c.running[key] > 1 {
		c.doubled = append(c.doubled, key)
	}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.all--
		c.running[key]--
	}
}

func (c *crowd) check(t *testing.T, most int) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.most != most || len(c.doubled) > 0 {
		t.Errorf("%d calls at a time, want %d; keys twice at a time: %q", c.most, most, c.doubled)
	}
}

// inOrder demands that the numbers of each key were delivered in order, and each once.
func (f *fleet) inOrder(n int) {
	f.t.Helper()
	seen, last := map[string]bool{}, map[string]checkpoint.Position{}
	for _, d := range f.deliveries() {
		if seen[d.data] {
			f.t.Errorf("%s was delivered twice", d.data)
		}
		seen[d.data] = true
		if d.position.Compare(last[d.key]) <= 0 {
			f.t.Errorf("key %s: %s came after a later one", d.key, d.data)
		}
		last[d.key] = d.position
	}
	if len(seen) != n {
		f.t.Errorf("%d of %d records were delivered", len(seen), n)
	}
}

func TestKeysAreWorkedOnAtTheSameTimeAndEachInItsOrder(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		const keys, each = 10, 6
		for i := range keys * each {
			f.put(fmt.Sprint("key", i/3%keys), fmt.Sprint(i)) // neighbours have the same key
		}
		var c crowd
		w := f.run(wide("w1", 4), consumer.Each(func(_ context.Context, r *consumer.Record) error {
			defer c.enter(r.PartitionKey)()
			time.Sleep(time.Second)
			f.note("w1", r)
			return nil
		}))
		f.until("begun", time.Minute, func() bool { return len(f.deliveries()) > 0 })
		begin := time.Now()
		f.delivered(keys * each)
		if took := time.Since(begin); took > keys*each/4*time.Second+time.Second {
			t.Errorf("it took %v", took)
		}
		c.check(t, 4)
		f.inOrder(keys * each)
		f.stored(shard0, at(t, f.s.Records(streamName)[keys*each-1].Sequence, 0))
		if h := w.Health().Shards[0]; h.Undone != 0 || !h.OldestUndone.IsZero() || !h.BusySince.IsZero() {
			t.Errorf("health %+v", h)
		}
	})
}

func TestTheStoredPositionIsInFrontOfTheFirstUndoneRecord(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		seq := f.putRaw("a", "", aggregate("k1=1", "k2=2", "k3=3", "k1=4"))
		f.put("k4", "5")
		release := make(chan struct{})
		w := f.run(wide("w1", 8), consumer.Each(func(_ context.Context, r *consumer.Record) error {
			if string(r.Data) == "3" {
				<-release
			}
			f.note("w1", r)
			return nil
		}))
		f.delivered(4)
		time.Sleep(3 * failover)
		if p := f.row(shard0).Checkpoint.Position; p != at(t, seq, 1) {
			t.Errorf("stored %s, want the place in front of the third record of the aggregate", p)
		}
		if h := w.Health().Shards[0]; h.Undone != 1 || h.OldestUndone.IsZero() || h.OldestUndone != h.BusySince {
			t.Errorf("health %+v", h)
		}
		close(release)
		f.stored(shard0, at(t, f.s.Records(streamName)[1].Sequence, 0))
	})
}

func TestAKeyInRetryHoldsBackItselfAndThePositionOnly(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("good", "a")
		f.put("bad", "b", "c")
		var mended atomic.Bool
		var told journal
		w := f.run(wide("w1", 2), consumer.Each(func(_ context.Context, r *consumer.Record) error {
			if r.PartitionKey == "bad" && !mended.Load() {
				return errUser
			}
			f.note("w1", r)
			return nil
		}), verdicts(&told))
		f.delivered(1)
		for i := range 50 {
			f.put(fmt.Sprint("good", i), fmt.Sprint(i))
			time.Sleep(time.Second)
		}
		f.delivered(51)
		if p := f.row(shard0).Checkpoint.Position; p != f.deliveries()[0].position {
			t.Errorf("stored %s", p)
		}
		for i, line := range told.all() {
			if line != fmt.Sprintf("b #%d retry", i+1) {
				t.Errorf("failure %d is %q: nothing of its key may overtake it", i, line)
			}
		}
		if n := len(told.all()); n < 5 || n > 15 {
			t.Errorf("%d attempts in 50 s", n)
		}
		if h := w.Health().Shards[0]; h.State != consumer.Retrying || !errors.Is(h.Err, errUser) || h.Undone != 2 || h.Attempt != len(told.all()) {
			t.Errorf("health %+v", h)
		}
		mended.Store(true)
		f.delivered(53)
		if got := f.data()[51:]; !slices.Equal(got, []string{"b", "c"}) {
			t.Errorf("then %q", got)
		}
		f.stored(shard0, at(t, f.s.Records(streamName)[52].Sequence, 0))
		if h := w.Health().Shards[0]; h.State != consumer.Processing || h.Err != nil {
			t.Errorf("health %+v", h)
		}
	})
}

// What is done behind the first record that is not cannot count: it comes again. What is done in front of it does not.
func TestAStopDeliversAgainOnlyWhatStandsBehindAParkedKey(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("a", "a1")
		f.put("bad", "b1")
		f.put("c", "c1")
		w1 := f.run(wide("w1", 2), consumer.Each(func(_ context.Context, r *consumer.Record) error {
			if r.PartitionKey == "bad" {
				return errUser
			}
			f.note("w1", r)
			return nil
		}))
		f.delivered(2)
		begin := time.Now()
		if err := w1.leave(); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("the stop took %v: a key that is parked is not waited for", took)
		}
		f.run(wide("w2", 2), f.recorder("w2"))
		f.delivered(4)
		f.want("a1", "c1", "b1", "c1")
	})
}

// Records in front of one that has begun have to be done, or it would count for nothing. Nothing else begins.
func TestAMoveWithoutFailuresDeliversNothingTwice(t *testing.T) {
	bubble(t, 2, func(f *fleet) {
		var n atomic.Int32
		slow := func(name string) consumer.Handler {
			return consumer.Each(func(_ context.Context, r *consumer.Record) error {
				f.note(name, r)
				time.Sleep(time.Duration(50+13*(n.Add(1)%20)) * time.Millisecond)
				return nil
			})
		}
		f.run(wide("w1", 5), slow("w1"))
		time.Sleep(20 * time.Second)
		rng := rand.New(rand.NewPCG(1, 2))
		for i := range 600 {
			f.put(fmt.Sprint("key", rng.IntN(12)), fmt.Sprint(i))
			if i == 200 {
				f.run(wide("w2", 5), slow("w2"))
			}
			time.Sleep(20 * time.Millisecond)
		}
		f.delivered(600)
		time.Sleep(30 * time.Second)
		workers := map[string]bool{}
		for _, d := range f.deliveries() {
			workers[d.worker] = true
		}
		if len(workers) != 2 {
			t.Errorf("delivered by %v: nothing moved", workers)
		}
		f.inOrder(600)
	})
}

func TestAShardEndsOnlyWhenEveryKeyIsDone(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("bad", "b")
		f.put("good", "a")
		var mended atomic.Bool
		f.run(wide("w1", 2), consumer.Each(func(_ context.Context, r *consumer.Record) error {
			if r.PartitionKey == "bad" && !mended.Load() {
				return errUser
			}
			f.note("w1", r)
			return nil
		}))
		f.delivered(1)
		f.s.Split(streamName, shard0)
		f.put("child", "c")
		time.Sleep(2 * time.Minute)
		f.want("a")
		if f.row(shard0).Ended() {
			t.Error("finished with a record that is not done")
		}
		mended.Store(true)
		f.until("finished", 2*time.Minute, func() bool { return f.row(shard0).Ended() })
		f.delivered(3)
		f.want("a", "b", "c")
	})
}

func TestPolicyVerdictsAreAboutOneRecordOfManyAtOnce(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("a", "a1", "a2")
		f.put("b", "b1", "b2")
		f.put("c", "c1", "c2")
		var halt atomic.Bool
		halt.Store(true)
		policy := consumer.WithErrorPolicy(func(_ context.Context, f *consumer.Failure) consumer.Verdict {
			if f.Records[0].PartitionKey == "a" {
				return consumer.Skip
			}
			return consumer.Halt
		})
		w := f.run(wide("w1", 3), consumer.Each(func(_ context.Context, r *consumer.Record) error {
			f.note("w1", r)
			if time.Sleep(time.Second); r.PartitionKey == "a" {
				time.Sleep(time.Second)
			}
			if data := string(r.Data); data == "a1" || halt.Load() && (data == "b1" || data == "c1") {
				return errUser
			}
			return nil
		}), policy)
		f.halted(w, shard0)
		time.Sleep(time.Minute)
		if got := f.data(); len(got) != 3 {
			t.Errorf("delivered %q", got)
		}
		if drops := f.dropped(); len(drops) != 1 || drops[0].Records != 1 {
			t.Errorf("dropped %+v", drops)
		}
		halt.Store(false)
		if err := w.Resume(streamName, shard0); err != nil {
			t.Fatal(err)
		}
		f.delivered(8)
		f.stored(shard0, at(t, f.s.Records(streamName)[5].Sequence, 0))
		if h := w.Health(); h.Err != nil || h.Shards[0].State != consumer.Processing || h.Shards[0].Err != nil {
			t.Errorf("health %+v", h)
		}
		if got := f.data(); slices.Index(got, "a2") < slices.Index(got, "a1") || len(got) != 8 {
			t.Errorf("delivered %q", got)
		}
	})
}

func TestAHaltedShardOfManyWorkersIsGivenAway(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("bad", "b")
		f.put("good", "a")
		w1 := f.run(wide("w1", 2), consumer.Each(f.unless("b")), always(consumer.Halt))
		f.halted(w1, shard0)
		if err := w1.leave(); err != nil {
			t.Fatal(err)
		}
		n := len(f.deliveries())
		f.run(wide("w2", 2), f.recorder("w2"))
		f.until("delivered", time.Minute, func() bool { return len(f.deliveries()) == n+2 })
	})
}

func TestALostShardEndsTheWorkOfAllItsKeys(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		for i := range 8 {
			f.put(fmt.Sprint("key", i), fmt.Sprint(i))
		}
		var running atomic.Int32
		w1 := f.run(wide("w1", 4), consumer.Each(func(ctx context.Context, _ *consumer.Record) error {
			running.Add(1)
			<-ctx.Done()
			return context.Cause(ctx)
		}))
		f.until("busy", time.Minute, func() bool { return running.Load() == 4 })
		f.start("w2")
		w1.cut()
		f.delivered(8)
		if n := running.Load(); n != 4 {
			t.Errorf("%d calls began", n)
		}
		if fails := f.failures(); len(fails) != 0 {
			t.Errorf("failures %q: code that obeys its context has not failed", fails)
		}
	})
}

func TestStoringIsRefusedBehindARecordThatIsNotDone(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("a", "a")
		f.put("b", "b")
		var failed error
		release := make(chan struct{})
		f.run(wide("w1", 2), consumer.Each(func(ctx context.Context, r *consumer.Record) error {
			if string(r.Data) == "a" {
				<-release
				return nil
			}
			failed = errors.Join(r.Shard().Checkpoint(ctx, r.Position), r.Shard().Mark(r.Position))
			close(release)
			f.note("w1", r)
			return nil
		}))
		f.delivered(1)
		if !errors.Is(failed, checkpoint.ErrNotDelivered) {
			t.Errorf("it says %v", failed)
		}
		f.stored(shard0, at(t, f.s.Records(streamName)[1].Sequence, 0))
	})
}

func TestAFactorIsForEach(t *testing.T) {
	handlers := []consumer.Handler{
		consumer.Batches(func(context.Context, *consumer.Batch) error { return nil }),
		consumer.PerShard(func(context.Context, *consumer.Shard) (consumer.Processor, error) { return &processor{}, nil }),
	}
	bubble(t, 1, func(f *fleet) {
		for _, h := range handlers {
			_, err := consumer.New(wide("w1", 2), f.api, f.store, h)
			var bad *consumer.ConfigError
			if !errors.As(err, &bad) || bad.Field != "ParallelizationFactor" {
				t.Errorf("%v", err)
			}
			if _, err := consumer.New(wide("w1", 1), f.api, f.store, h); err != nil {
				t.Error(err)
			}
		}
	})
}

// Whatever fails, and whoever dies: when a position is stored, everything up to it is done.
func TestNoPositionIsStoredInFrontOfWhatIsUndone(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			bubble(t, 2, func(f *fleet) {
				var mu sync.Mutex
				done := map[checkpoint.Position]bool{}
				rng := rand.New(rand.NewPCG(seed, 3))
				h := consumer.Each(func(ctx context.Context, r *consumer.Record) error {
					mu.Lock()
					fails, took := rng.IntN(8) == 0, time.Duration(rng.IntN(400))*time.Millisecond
					mu.Unlock()
					time.Sleep(took)
					if ctx.Err() != nil {
						return context.Cause(ctx)
					}
					if fails {
						return errUser
					}
					mu.Lock()
					defer mu.Unlock()
					done[r.Position] = true
					return nil
				})
				told := consumer.WithHooks(consumer.Hooks{Checkpointed: func(e consumer.CheckpointEvent) {
					mu.Lock()
					defer mu.Unlock()
					for _, r := range f.s.Records(streamName) {
						if p := at(t, r.Sequence, 0); r.Shard == e.Shard && p.Compare(e.Position) <= 0 && !done[p] {
							t.Errorf("%s is stored, and %s is not done", e.Position, p)
						}
					}
				}})
				w := f.run(wide("w0", 4), h, told)
				for i := range 300 {
					f.put(fmt.Sprint("key", i%23), fmt.Sprint(i))
					time.Sleep(100 * time.Millisecond)
					if i%100 == 99 {
						w.cut()
						w = f.run(wide(fmt.Sprint("w", i), 4), h, told)
					}
				}
				f.until("all done", 5*time.Minute, func() bool { mu.Lock(); defer mu.Unlock(); return len(done) == 300 })
			})
		})
	}
}
