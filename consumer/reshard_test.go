package consumer_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/consumer"
	"github.com/kinesiskit/kinesiskit/kinesistest"
	"github.com/kinesiskit/kinesiskit/shard"
)

// keyIn is a partition key whose hash lies in the n-th of parts even parts of the ring.
func keyIn(n, parts uint64) string {
	for i := 0; ; i++ {
		key := fmt.Sprint("key", i)
		if shard.HashOf(key).Hi/(1<<63/(parts/2)) == n {
			return key
		}
	}
}

// shardsOf is where the deliveries of a key came from, without repetition.
func shardsOf(got []delivery, key string) []string {
	var ids []string
	for _, d := range got {
		if d.key == key {
			ids = append(ids, d.shard)
		}
	}
	return slices.Compact(ids)
}

func TestASplitKeepsTheOrderOfEveryKey(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		low, high := keyIn(0, 2), keyIn(1, 2)
		w := f.start("w1")
		for i := range 3 {
			f.put(low, fmt.Sprint("l", i))
			f.put(high, fmt.Sprint("h", i))
		}
		f.s.Split(streamName, shard0)
		for i := 3; i < 6; i++ {
			f.put(low, fmt.Sprint("l", i))
			f.put(high, fmt.Sprint("h", i))
		}
		f.delivered(12)
		if err := w.leave(); err != nil {
			t.Fatal(err)
		}
		var lows, highs []string
		for _, d := range f.deliveries() {
			if d.key == low {
				lows = append(lows, d.data)
			} else {
				highs = append(highs, d.data)
			}
		}
		if !slices.Equal(lows, []string{"l0", "l1", "l2", "l3", "l4", "l5"}) || !slices.Equal(highs, []string{"h0", "h1", "h2", "h3", "h4", "h5"}) {
			t.Errorf("delivered %q and %q", lows, highs)
		}
		if ids := shardsOf(f.deliveries(), low); !slices.Equal(ids, []string{shard0, shard1}) {
			t.Errorf("low keys came from %q", ids)
		}
		parent := f.row(shard0)
		slices.Sort(parent.Children)
		if !parent.Ended() || !slices.Equal(parent.Children, []string{shard1, shard2}) {
			t.Errorf("parent's row %+v", parent)
		}
		if child := f.row(shard2); !slices.Equal(child.Parents, []string{shard0}) || !child.HashRange.Known() {
			t.Errorf("child's row %+v", child)
		}
	})
}

func TestAChildOfAMergeWaitsForBothParentsEvenOfDifferentWorkers(t *testing.T) {
	bubble(t, 2, func(f *fleet) {
		hold := make(chan struct{})
		slow := func(name string) consumer.Handler {
			return consumer.Each(func(_ context.Context, r *consumer.Record) error {
				if string(r.Data) == "slow" {
					<-hold
				}
				f.note(name, r)
				return nil
			})
		}
		cfg := func(name string) consumer.Config {
			c := fast(name)
			c.Lease.MaxLeases = 1
			return c
		}
		w1, w2 := f.run(cfg("w1"), slow("w1")), f.run(cfg("w2"), slow("w2"))
		f.until("one shard each", time.Minute, func() bool { return len(w1.Health().Shards) == 1 && len(w2.Health().Shards) == 1 })
		low, high := keyIn(0, 2), keyIn(1, 2)
		f.put(low, "first")
		f.put(high, "slow")
		child := f.s.Merge(streamName, shard0, shard1)
		f.put(low, "after")
		f.put(high, "after")
		f.until("one parent finished", time.Minute, func() bool { return f.row(shard0).Ended() })
		time.Sleep(time.Minute)
		f.want("first")
		if l := f.row(child); l.Checkpoint.Position != checkpoint.TrimHorizon || len(l.Parents) != 2 {
			t.Errorf("child's row %+v", l)
		}
		close(hold)
		f.delivered(4)
		f.want("first", "slow", "after", "after")
	})
}

func TestRecordsOfTheLastPageAreDeliveredBeforeTheShardEnds(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("k", numbers(0, 5)...)
		f.s.Split(streamName, shard0)
		ended := false
		h := consumer.Each(func(_ context.Context, r *consumer.Record) error {
			ended = ended || f.row(shard0).Ended()
			f.note("w1", r)
			return nil
		})
		f.run(fast("w1"), h)
		f.until("finished", time.Minute, func() bool { return f.row(shard0).Ended() })
		f.want(numbers(0, 5)...)
		if ended {
			t.Error("SHARD_END was stored before the records were processed")
		}
	})
}

func TestAnEmptyLastPageEndsTheShard(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("k", "a")
		w := f.start("w1")
		f.delivered(1)
		time.Sleep(failover)
		f.s.Split(streamName, shard0)
		f.until("children", time.Minute, func() bool { return f.row(shard0).Ended() && len(w.Health().Shards) == 2 })
		f.put("k", "b")
		f.delivered(2)
		f.want("a", "b")
	})
}

// answers changes what GetRecords answers.
func answers(change func(map[string]any)) kinesistest.Fault {
	return kinesistest.Do(func(_ context.Context, _ *kinesistest.Request, next func() kinesistest.Reply) kinesistest.Reply {
		r := next()
		var body map[string]any
		if err := json.Unmarshal(r.Body, &body); err != nil {
			panic(err)
		}
		change(body)
		r.Body, _ = json.Marshal(body)
		return r
	})
}

func TestAMissingIteratorAloneEndsNoShard(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		var opened atomic.Int64
		w := f.run(fast("w1"), consumer.PerShard(func(context.Context, *consumer.Shard) (consumer.Processor, error) {
			opened.Add(1)
			return &processor{process: func(_ context.Context, b *consumer.Batch) error {
				for i := range b.Records {
					f.note("w1", &b.Records[i])
				}
				return nil
			}}, nil
		}))
		f.put("k", numbers(0, 5)...)
		f.delivered(5)
		missing := f.s.On("GetRecords", answers(func(b map[string]any) { b["NextShardIterator"] = nil })).From("w1").For(10 * time.Second)
		f.put("k", numbers(5, 10)...)
		time.Sleep(20 * time.Second)
		f.put("k", numbers(10, 15)...)
		f.delivered(15)
		f.want(numbers(0, 15)...)
		if missing.Hits() < 5 || f.row(shard0).Ended() || !f.owns(w, shard0) {
			t.Errorf("%d hits, row %+v", missing.Hits(), f.row(shard0))
		}
		if n := opened.Load(); n != 1 {
			t.Errorf("the shard was begun %d times", n)
		}
	})
}

func TestHalfOfTheChildrenDoNotContinueAShard(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.s.On("GetRecords", answers(func(b map[string]any) {
			if all, _ := b["ChildShards"].([]any); len(all) == 2 {
				b["ChildShards"] = all[:1]
			}
		})).From("w1")
		w := f.start("w1")
		f.put("k", "a")
		f.delivered(1)
		stale := f.s.On("ListShards", kinesistest.StaleShards(time.Minute)).From("w1")
		f.s.Split(streamName, shard0)
		time.Sleep(20 * time.Second)
		if f.row(shard0).Ended() {
			t.Fatal("ended on half of the truth")
		}
		stale.Remove()
		f.until("both children", time.Minute, func() bool { return f.row(shard0).Ended() && len(w.Health().Shards) == 2 })
	})
}

func TestAnEndThatOnlyTheListingShowsIsBelievedOnceItIsConsistent(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.s.On("GetRecords", answers(func(b map[string]any) { delete(b, "ChildShards") })).From("w1")
		contradicts := f.s.On("ListShards", answers(func(b map[string]any) {
			for _, s := range b["Shards"].([]any) {
				delete(s.(map[string]any)["SequenceNumberRange"].(map[string]any), "EndingSequenceNumber")
			}
		})).From("w1")
		w := f.start("w1")
		f.put("k", "a")
		f.delivered(1)
		f.s.Split(streamName, shard0)
		time.Sleep(20 * time.Second)
		if f.row(shard0).Ended() {
			t.Fatal("ended although the listing has it open")
		}
		contradicts.Remove()
		f.until("children", time.Minute, func() bool { return f.row(shard0).Ended() && len(w.Health().Shards) == 2 })
		f.want("a")
	})
}

func TestAStreamThatIsGoneEndsNoShard(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		w := f.start("w1")
		f.put("k", "a")
		f.delivered(1)
		gone := kinesistest.Exception("ResourceNotFoundException", "gone")
		for _, op := range []string{"GetRecords", "GetShardIterator", "ListShards"} {
			f.s.On(op, gone).From("w1").For(time.Minute)
		}
		time.Sleep(30 * time.Second)
		h := w.Health()
		if len(h.Shards) != 1 || h.Shards[0].Err == nil || h.Err == nil || f.row(shard0).Ended() {
			t.Errorf("health %+v, row %+v", h, f.row(shard0))
		}
		f.put("k", "b")
		f.delivered(2)
		f.want("a", "b")
		f.until("well", time.Minute, func() bool { h := w.Health(); return h.Err == nil && h.Shards[0].Err == nil })
	})
}

func TestAStaleAggregateIsDividedAmongTheChildren(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		low, high := keyIn(0, 2), keyIn(1, 2)
		f.s.Split(streamName, shard0)
		f.start("w1")
		known()
		// A producer that does not know of the split packs for the parent. Its aggregate lands in the lower child, so it sends it again to the upper one.
		packed := aggregate(low+"=1", high+"=2", low+"=3", high+"=4")
		seq := f.putRaw("a", "0", packed)
		f.putRaw("a", "340282366920938463463374607431768211455", packed)
		// All of this one belongs elsewhere.
		last := f.putRaw("a", "0", aggregate(high+"=5", high+"=6"))
		f.delivered(4)
		f.stored(shard1, at(t, last, 1))
		var lows, highs []string
		for _, d := range f.deliveries() {
			if d.shard == shard1 {
				lows = append(lows, d.data)
			} else {
				highs = append(highs, d.data)
			}
		}
		if !slices.Equal(lows, []string{"1", "3"}) || !slices.Equal(highs, []string{"2", "4"}) {
			t.Errorf("the lower child delivered %q, the upper one %q", lows, highs)
		}
		want := consumer.DropEvent{
			Stream: streamName, Shard: shard1, Why: consumer.OutsideRange, Records: 2, First: at(t, seq, 1), Last: at(t, seq, 3),
		}
		if drops := f.dropped(); len(drops) != 3 || !slices.Contains(drops, want) {
			t.Errorf("dropped %+v", drops)
		}
	})
}

func TestAnAggregateThatNoAncestorExplainsIsDeliveredWhole(t *testing.T) {
	cases := map[string]struct {
		outer string
		users func(low, mid, high string) []string
	}{
		"another aggregator's": {"b", func(low, mid, _ string) []string { return []string{low + "=1", mid + "=2"} }},
		"wider than the parent": {"a", func(low, mid, high string) []string {
			return []string{low + "=1", mid + "=2", high + "=3"}
		}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			bubble(t, 2, func(f *fleet) {
				f.s.Split(streamName, shard0) // into 2: the first quarter of the ring, and 3: the second
				users := c.users(keyIn(0, 4), keyIn(1, 4), keyIn(3, 4))
				f.start("w1")
				known()
				f.putRaw(c.outer, "0", aggregate(users...))
				f.delivered(len(users))
				time.Sleep(time.Minute)
				for i, d := range f.deliveries() {
					if d.shard != shard2 || d.data != fmt.Sprint(i+1) {
						t.Errorf("record %d is %+v", i, d)
					}
				}
				if drops := f.dropped(); len(f.deliveries()) != len(users) || len(drops) != 0 {
					t.Errorf("delivered %q, dropped %+v", f.data(), drops)
				}
			})
		})
	}
}

func TestRecordsOutsideAggregatesAreNeverFiltered(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.s.Split(streamName, shard0)
		f.putRaw("a", "0", []byte("plain"))
		f.putRaw(keyIn(1, 2), "0", []byte("explicit hash key"))
		f.start("w1")
		f.delivered(2)
		f.want("plain", "explicit hash key")
	})
}

func TestManyReshardsUnderAFleetLoseAndReorderNothing(t *testing.T) {
	bubble(t, 2, func(f *fleet) {
		var mu sync.Mutex
		last := make(map[string]int)
		var wrong []string
		handler := func(name string) consumer.Handler {
			return consumer.Each(func(_ context.Context, r *consumer.Record) error {
				var n int
				_, _ = fmt.Sscan(string(r.Data), &n)
				mu.Lock()
				if n > last[r.PartitionKey]+1 {
					wrong = append(wrong, fmt.Sprintf("%s: %d after %d", r.PartitionKey, n, last[r.PartitionKey]))
				}
				last[r.PartitionKey] = max(last[r.PartitionKey], n)
				mu.Unlock()
				f.note(name, r)
				return nil
			})
		}
		for i := range 3 {
			name := fmt.Sprint("w", i)
			f.run(fast(name), handler(name))
		}
		const keys, each = 8, 60
		open := []string{shard0, shard1}
		for i := 1; i <= each; i++ {
			for k := range keys {
				f.put(fmt.Sprint("key", k), fmt.Sprint(i))
			}
			switch {
			case i == 25:
				if err := f.workers[0].leave(); err != nil {
					t.Fatal(err)
				}
			case i == 35:
				f.workers[1].cut()
			case i%10 == 0:
				left, right := f.s.Split(streamName, open[0])
				open = append(open[1:], left, right)
			case i%10 == 5:
				n := len(open)
				open = append(open[:n-2], f.s.Merge(streamName, open[n-2], open[n-1]))
			}
			time.Sleep(time.Second)
		}
		f.until("all processed", 5*time.Minute, func() bool {
			mu.Lock()
			defer mu.Unlock()
			for k := range keys {
				if last[fmt.Sprint("key", k)] != each {
					return false
				}
			}
			return true
		})
		mu.Lock()
		defer mu.Unlock()
		if len(wrong) > 0 {
			t.Errorf("out of order or lost:\n%s", strings.Join(wrong, "\n"))
		}
	})
}
