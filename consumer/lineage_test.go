package consumer_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kinesiskit/kinesiskit/consumer"
	"github.com/kinesiskit/kinesiskit/lease"
)

// An application that begins at the tip of a stream which was resharded before, and is all the time; of whose workers one is cut off now and then; and of whose
// table somebody deletes rows: every record from its start on is delivered, and none from before.
func TestWhateverBecomesOfShardsWorkersAndRowsNothingSinceTheStartIsLost(t *testing.T) {
	for seed := range uint64(2) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			bubble(t, 4, func(f *fleet) {
				rng := rand.New(rand.NewPCG(seed, 1))
				open := []string{shard0, shard1, shard2, shard3}
				reshard := func() {
					i := rng.IntN(len(open))
					if rng.IntN(2) == 0 && i+1 < len(open) {
						open = slices.Replace(open, i, i+2, f.s.Merge(streamName, open[i], open[i+1]))
						return
					}
					left, right := f.s.Split(streamName, open[i])
					open = slices.Replace(open, i, i+1, left, right)
				}
				put := func(prefix string, n int) {
					for i := range 8 {
						f.put(fmt.Sprint("k", i), fmt.Sprint(prefix, n, "/", i))
					}
				}
				for i := range 4 {
					put("before", i)
					reshard()
					time.Sleep(5 * time.Second)
				}
				start := func(name string) *worker { return f.run(from(name, consumer.Latest()), nil) }
				w := start("w0")
				f.until("started", time.Minute, func() bool { return w.Health().State == consumer.Running })
				time.Sleep(2 * time.Second)
				start("x0")
				for i := range 40 {
					put("", i)
					switch rng.IntN(5) {
					case 0, 1:
						reshard()
					case 2:
						f.loseRow(rng)
					}
					if i%10 == 9 {
						w.cut()
						w = start(fmt.Sprint("w", i))
					}
					time.Sleep(7 * time.Second)
				}
				seen := make(map[string]bool)
				f.until("everything since the start", 15*time.Minute, func() bool {
					for _, d := range f.data() {
						seen[d] = true
					}
					return len(seen) >= 40*8
				})
				for d := range maps.Keys(seen) {
					if strings.HasPrefix(d, "before") {
						t.Errorf("delivered %s", d)
					}
				}
			})
		})
	}
}

// loseRow deletes some row, whoever owns it.
func (f *fleet) loseRow(rng *rand.Rand) {
	f.t.Helper()
	var rows []lease.Lease
	for l, err := range f.store.List(context.Background()) {
		if err != nil {
			f.t.Fatal(err)
		}
		rows = append(rows, l)
	}
	if len(rows) == 0 {
		return
	}
	slices.SortFunc(rows, func(a, b lease.Lease) int { return strings.Compare(a.Key, b.Key) })
	l := rows[rng.IntN(len(rows))]
	_ = f.store.Delete(context.Background(), l.Key, lease.Condition{Counter: &l.Counter}) // its owner may have been faster
}
