package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesiskit/kinesiskit/consumer"
	"github.com/kinesiskit/kinesiskit/kinesistest"
)

// heavy is a record of a MiB, less its key.
func heavy(name string) []byte { return []byte(name + strings.Repeat(".", 1<<20-len(name)-len("k"))) }

// pair is an aggregate of a MiB, less its key, of user records 2i and 2i+1 of a shard.
func pair(shard, i int) []byte {
	var users []string
	for j := 2 * i; j < 2*i+2; j++ {
		users = append(users, fmt.Sprintf("k=%d/%d%s", shard, j, strings.Repeat(".", 1<<19-100)))
	}
	return aggregate(users...)
}

func light(data []byte) string {
	name, _, _ := strings.Cut(string(data), ".")
	return name
}

// hashKey is the beginning of shard i's range, of n shards.
func hashKey(i, n int) string {
	ring := new(big.Int).Lsh(big.NewInt(1), 128)
	return ring.Mul(ring, big.NewInt(int64(i))).Div(ring, big.NewInt(int64(n))).String()
}

// flood is a bubble with n shards, each with so many aggregates of a MiB, and no limits of rate.
func flood(t *testing.T, shards, records int, test func(f *fleet)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithoutLimits())
		s.CreateStream(streamName, shards)
		f := newFleetOn(t, s)
		defer f.close()
		for i := range shards {
			for j := range records {
				f.putRaw("k", hashKey(i, shards), pair(i, j))
			}
		}
		test(f)
	})
}

// small is fast with the smallest memory there may be.
func small(name string) consumer.Config {
	cfg := fast(name)
	cfg.BufferBytes = 32 << 20
	cfg.Polling.MinInterval = -1
	return cfg
}

// handlers are two ways, each around the same function of a record.
func handlers(fn func(r *consumer.Record) error) map[string]consumer.Handler {
	batch := func(_ context.Context, b *consumer.Batch) error {
		for i := range b.Records {
			if err := fn(&b.Records[i]); err != nil {
				return err
			}
		}
		return nil
	}
	return map[string]consumer.Handler{
		"each":    consumer.Each(func(_ context.Context, r *consumer.Record) error { return fn(r) }),
		"batches": consumer.Batches(batch),
	}
}

// of counts what was delivered of a shard.
func (f *fleet) of(shard string) (n int) {
	for _, d := range f.deliveries() {
		if d.shard == shard {
			n++
		}
	}
	return n
}

// stuck counts a worker's shards that make no progress.
func stuck(w *worker) (n int) {
	for _, s := range w.Health().Shards {
		if s.State == consumer.Retrying || s.State == consumer.Halted {
			n++
		}
	}
	return n
}

func TestShardsThatFailLeaveMemoryToTheOthers(t *testing.T) {
	const shards, records, total = 8, 5, 20
	for name, c := range map[string]struct {
		cfg     consumer.Config
		way     string
		bad     string // the record that fails
		kept    int64  // MiB that a failing call needs
		verdict consumer.Verdict
	}{
		"polling, each":         {small("w1"), "each", "/1", 1, consumer.Retry},
		"polling, each, halted": {small("w1"), "each", "/1", 1, consumer.Halt},
		"fan-out, batches":      {pushed("w1", nil), "batches", "/0", records, consumer.Retry},
	} {
		c.cfg.BufferBytes = 32 << 20
		t.Run(name, func(t *testing.T) {
			flood(t, shards, records, func(f *fleet) {
				var broken atomic.Bool
				broken.Store(true)
				h := handlers(func(r *consumer.Record) error {
					if name := light(r.Data); broken.Load() && name[0] != '0' && strings.HasSuffix(name, c.bad) {
						return errors.New("no")
					}
					f.mu.Lock()
					defer f.mu.Unlock()
					f.got = append(f.got, delivery{shard: r.Shard().ID(), data: light(r.Data)})
					return nil
				})[c.way]
				w := f.run(c.cfg, h, consumer.WithErrorPolicy(func(context.Context, *consumer.Failure) consumer.Verdict { return c.verdict }))
				f.until("seven stuck", time.Minute, func() bool { return stuck(w) == shards-1 })
				for i := records; i < total; i++ {
					f.putRaw("k", "0", pair(0, i))
				}
				f.until("the eighth goes on", time.Minute, func() bool { return f.of(shard0) == 2*total })
				if got := w.Health().Buffered; got > (7*c.kept+16)<<20 {
					t.Errorf("%d MiB are held", got>>20)
				}
				broken.Store(false)
				for i := 1; c.verdict == consumer.Halt && i < shards; i++ {
					if err := w.Resume(streamName, fmt.Sprintf("shardId-%012d", i)); err != nil {
						t.Error(err)
					}
				}
				f.until("all", 2*time.Minute, func() bool { return len(f.deliveries()) >= 2*total+(shards-1)*2*records })
				for i := range shards {
					id := fmt.Sprintf("shardId-%012d", i)
					var got, want []string
					for _, d := range f.deliveries() {
						if d.shard == id {
							got = append(got, d.data)
						}
					}
					for j := range 2 * max(records, total*(1-i)) {
						want = append(want, fmt.Sprintf("%d/%d", i, j))
					}
					if !slices.Equal(got, want) {
						t.Errorf("%s: delivered %q, want %q", id, got, want)
					}
				}
				f.until("nothing is held", time.Minute, func() bool { return w.Health().Buffered == 0 })
			})
		})
	}
}
