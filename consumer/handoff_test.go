package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/consumer"
)

// shares counts the shards of each worker.
func (f *fleet) shares(shards int) map[string]int {
	count := map[string]int{}
	for i := range shards {
		count[f.row(fmt.Sprintf("shardId-%012d", i)).Owner]++
	}
	return count
}

// moved waits until w holds n of the shards.
func (f *fleet) moved(w *worker, n, shards int) {
	f.t.Helper()
	f.until(fmt.Sprintf("%s holds %d shards", w.name, n), 2*time.Minute, func() bool { return f.shares(shards)[w.Health().Worker] == n })
}

// load puts a record every 50 ms until stop is closed, each with its number as data and a key of its own.
func (f *fleet) load(stop <-chan struct{}) (puts func() []time.Time, done chan struct{}) {
	var mu sync.Mutex
	var at []time.Time
	done = make(chan struct{})
	go func() {
		defer close(done)
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
			}
			mu.Lock()
			at = append(at, time.Now())
			mu.Unlock()
			f.put(fmt.Sprint("key", n), fmt.Sprint(n))
		}
	}()
	return func() []time.Time { mu.Lock(); defer mu.Unlock(); return slices.Clone(at) }, done
}

// once demands that each of n records was delivered once, and in order within its shard, and none later than limit after it was put.
func (f *fleet) once(puts []time.Time, limit time.Duration) {
	f.t.Helper()
	times := make([]int, len(puts))
	last := map[string]checkpoint.Position{}
	for _, d := range f.deliveries() {
		n, err := strconv.Atoi(d.data)
		if err != nil {
			f.t.Fatal(err)
		}
		times[n]++
		if d.position.Compare(last[d.shard]) <= 0 {
			f.t.Errorf("%s: %s came after %s", d.shard, d.position, last[d.shard])
		}
		last[d.shard] = d.position
		if took := d.at.Sub(puts[n]); took > limit {
			f.t.Errorf("record %d took %v, to %s", n, took, d.worker)
		}
	}
	for n, k := range times {
		if k != 1 {
			f.t.Errorf("record %d was delivered %d times", n, k)
		}
	}
}

// afterMove bounds how old a record gets while its shard changes hands: two seconds for the lease, and what polls are apart.
const afterMove = 2*time.Second + 1500*time.Millisecond

func TestARollingRestartDeliversNothingTwice(t *testing.T) {
	bubble(t, 16, func(f *fleet) {
		var all []*worker
		for i := range 5 {
			all = append(all, f.start(fmt.Sprint("w", i)))
		}
		time.Sleep(time.Minute)
		stop := make(chan struct{})
		puts, done := f.load(stop)
		for i, w := range all {
			time.Sleep(20 * time.Second)
			if err := w.leave(); err != nil {
				t.Errorf("%s: %v", w.name, err)
			}
			all[i] = f.start(fmt.Sprintf("w%d.2", i))
		}
		time.Sleep(30 * time.Second)
		close(stop)
		<-done
		time.Sleep(5 * time.Second)
		f.once(puts(), afterMove)
		count := f.shares(16)
		for _, w := range all {
			if n := count[w.Health().Worker]; n < 3 || n > 4 {
				t.Errorf("%s holds %d of 16 shards", w.name, n)
			}
		}
	})
}

func TestAWorkerThatJoinsGetsItsShareWithoutARecordTwice(t *testing.T) {
	bubble(t, 16, func(f *fleet) {
		f.start("w1")
		time.Sleep(time.Minute)
		stop := make(chan struct{})
		puts, done := f.load(stop)
		time.Sleep(5 * time.Second)
		w2 := f.start("w2")
		f.moved(w2, 8, 16)
		time.Sleep(10 * time.Second)
		close(stop)
		<-done
		time.Sleep(5 * time.Second)
		f.once(puts(), afterMove)
	})
}

func TestAMoveFlushesAndTakesTheFinalPositionAlong(t *testing.T) {
	bubble(t, 2, func(f *fleet) {
		var j1, j2 journal
		f.run(fast("w1"), j1.handler(nil))
		f.until("open", time.Minute, func() bool { return len(j1.all()) == 2 })
		f.put("a", "a")
		f.put("b", "b")
		f.put("c", "c")
		f.put("d", "d")
		time.Sleep(5 * time.Second)
		calls := len(j1.all())
		w2 := f.run(fast("w2"), j2.handler(nil))
		f.moved(w2, 1, 2)
		time.Sleep(10 * time.Second)
		if got := j1.all()[calls:]; !slices.Equal(got, []string{"flush moving", "close <nil>"}) {
			t.Errorf("calls of w1 %q", got)
		}
		if got := j2.all(); len(got) != 1 || got[0] != "open "+shard0 && got[0] != "open "+shard1 {
			t.Errorf("calls of w2 %q: want nothing that w1 had accepted", got)
		}
	})
}

// A batch in retry is not running code: the shard moves, and its next owner has the batch.
func TestAMoveLeavesABatchInRetryToTheNextOwner(t *testing.T) {
	bubble(t, 2, func(f *fleet) {
		f.put("a", "a")
		f.put("b", "b")
		f.put("c", "c")
		f.put("d", "d")
		f.run(fast("w1"), consumer.Each(func(context.Context, *consumer.Record) error { return errUser }))
		f.until("in retry", time.Minute, func() bool { return len(f.failures()) > 10 })
		w2 := f.start("w2")
		f.moved(w2, 1, 2)
		time.Sleep(5 * time.Second)
		var key string
		for _, k := range []string{shard0, shard1} {
			if f.owns(w2, k) {
				key = k
			}
		}
		var want []string
		for _, r := range f.s.Records(streamName) {
			if r.Shard == key {
				want = append(want, string(r.Data))
			}
		}
		if got := f.data(); !slices.Equal(got, want) || len(want) == 0 {
			t.Errorf("w2 was given %q of %s, want %q", got, key, want)
		}
	})
}

func TestCodeThatRunsTooLongKeepsItsShard(t *testing.T) {
	bubble(t, 2, func(f *fleet) {
		var busy atomic.Bool
		cfg := fast("w1")
		cfg.Lease.HandoffTimeout = 5 * time.Second
		f.run(cfg, consumer.Each(func(ctx context.Context, r *consumer.Record) error {
			f.note("w1", r)
			if string(r.Data) == "slow" {
				busy.Store(true)
				time.Sleep(12 * time.Second)
				busy.Store(false)
				return ctx.Err()
			}
			return nil
		}))
		time.Sleep(20 * time.Second)
		for i := range 20 {
			f.put(fmt.Sprint(i), "slow")
		}
		f.until("busy", time.Minute, busy.Load)
		w2 := f.start("w2")
		for range 30 {
			time.Sleep(time.Second)
			if n := f.shares(2)[w2.Health().Worker]; n > 0 {
				t.Fatalf("a shard moved under running code")
			}
		}
		f.delivered(20)
		seen := map[checkpoint.Position]int{}
		for _, d := range f.deliveries() {
			if seen[d.position]++; seen[d.position] > 1 {
				t.Errorf("%s was delivered again after the request was declined", d.position)
			}
		}
		f.moved(w2, 1, 2) // once the code is quick again
	})
}

func TestFlushForAMoveIsBoundedByHandoffTimeout(t *testing.T) {
	bubble(t, 2, func(f *fleet) {
		var j journal
		var mu sync.Mutex
		var took []time.Duration
		cfg := fast("w1")
		cfg.Lease.HandoffTimeout = 5 * time.Second
		h := consumer.PerShard(func(context.Context, *consumer.Shard) (consumer.Processor, error) {
			return &processor{
				flush: func(ctx context.Context, why consumer.Reason) error {
					if why != consumer.Moving {
						return nil
					}
					begin := time.Now()
					<-ctx.Done()
					mu.Lock()
					defer mu.Unlock()
					took = append(took, time.Since(begin))
					return context.Cause(ctx)
				},
				close: func(_ context.Context, cause error) { j.add("close %v", errors.Is(cause, context.DeadlineExceeded)) },
			}, nil
		})
		w1 := f.run(cfg, h)
		time.Sleep(20 * time.Second)
		w2 := f.start("w2")
		f.until("closed", time.Minute, func() bool { return len(j.all()) > 0 })
		time.Sleep(5 * time.Second)
		mu.Lock()
		defer mu.Unlock()
		if len(took) == 0 || took[0] > 5*time.Second || took[0] < 4*time.Second {
			t.Errorf("flush had %v, want what HandoffTimeout leaves", took)
		}
		if got := j.all(); got[0] != "close true" {
			t.Errorf("%q: want the cause of the failed flush", got)
		}
		if count := f.shares(2); count[w1.Health().Worker] != 2 || count[w2.Health().Worker] != 0 {
			t.Errorf("%v: a request that was declined moved a shard", count)
		}
		if hs := w1.Health().Shards; len(hs) != 2 {
			t.Errorf("w1 reads %d of 2 shards", len(hs))
		}
	})
}
