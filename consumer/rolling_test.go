package consumer_test

import (
	"flag"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/kinesiskit/kinesiskit/consumer"
	"github.com/kinesiskit/kinesiskit/lease"
)

var rollingLarge = flag.Bool("rolling.large", false, "also restart 50 workers on 380 shards, which takes minutes")

// moves is what a rolling restart costs: how often each lease changes hands, and for how long nobody has it.
type moves struct {
	mu    sync.Mutex
	ended map[string]time.Time
	count map[string]int
	gap   time.Duration
	of    string
}

func (m *moves) hooks() consumer.Hooks {
	return consumer.Hooks{Lease: lease.Hooks{
		Ended: func(e lease.Event) {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.ended[e.Lease.Key] = time.Now()
		},
		Acquired: func(e lease.Event) {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.count[e.Lease.Key]++
			at, moved := m.ended[e.Lease.Key]
			if !moved {
				return
			}
			if gap := time.Since(at); gap > m.gap {
				m.gap, m.of = gap, e.Lease.Key
			}
		},
	}}
}

// reset forgets how the leases came to where they are.
func (m *moves) reset() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.count, m.ended, m.gap = map[string]int{}, map[string]time.Time{}, 0
}

// perLease returns the mean and the 99th percentile over all leases.
func (m *moves) perLease(shards int) (mean float64, p99 int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]int, shards)
	i, sum := 0, 0
	for _, n := range m.count {
		all[i] = n
		sum += n
		i++
	}
	slices.Sort(all)
	return float64(sum) / float64(shards), all[shards*99/100]
}

// rolling restarts all workers, at once at a time, under load, and demands that nothing is delivered twice, late or out of order.
func rolling(t *testing.T, workers, shards, at int, cfg func(name string) consumer.Config, pause time.Duration) {
	bubble(t, shards, func(f *fleet) {
		var m moves
		m.reset()
		start := func(name string) *worker {
			return f.run(cfg(name), nil, consumer.WithHooks(m.hooks()))
		}
		all := make([]*worker, workers)
		for i := range all {
			all[i] = start(fmt.Sprint("w", i))
		}
		time.Sleep(2 * time.Minute)
		m.reset()
		stop := make(chan struct{})
		puts, done := f.load(stop)
		for i := 0; i < workers; i += at {
			time.Sleep(20 * time.Second)
			var leaving sync.WaitGroup
			for _, w := range all[i:min(i+at, workers)] {
				leaving.Go(func() {
					if err := w.leave(); err != nil {
						t.Errorf("%s: %v", w.name, err)
					}
				})
			}
			leaving.Wait()
			for j := i; j < min(i+at, workers); j++ {
				all[j] = start(fmt.Sprintf("w%d.2", j))
			}
		}
		time.Sleep(time.Minute)
		close(stop)
		<-done
		time.Sleep(10 * time.Second)
		f.once(puts(), pause+1500*time.Millisecond)
		mean, p99 := m.perLease(shards)
		t.Logf("%d workers, %d shards: %.2f moves a lease in the mean, %d at the 99th percentile; nobody's for %v at most (%s)", workers, shards, mean, p99, m.gap, m.of)
		if mean > 2 || workers >= 50 && p99 > 4 { // of 64 leases the 99th percentile is the one that moves most
			t.Errorf("%.2f moves a lease in the mean, %d at the 99th percentile; want 2 and 4", mean, p99)
		}
		if m.gap > pause {
			t.Errorf("%s was nobody's for %v, want %v at most", m.of, m.gap, pause)
		}
		count := f.shares(shards)
		for _, w := range all {
			if n := count[w.Health().Worker]; n < shards/workers || n > (shards+workers-1)/workers {
				t.Errorf("%s holds %d of %d shards", w.name, n, shards)
			}
		}
	})
}

func TestARollingRestartOf5WorkersOn64Shards(t *testing.T) {
	if testing.Short() {
		t.Skip("12 s of processor time; TestARollingRestartDeliversNothingTwice is the small one")
	}
	t.Run("polling", func(t *testing.T) { rolling(t, 5, 64, 1, fast, 2*time.Second) })
	t.Run("fan-out", func(t *testing.T) {
		rolling(t, 5, 64, 1, func(name string) consumer.Config {
			cfg := fast(name)
			cfg.FanOut = &consumer.FanOut{}
			return cfg
		}, 6*time.Second)
	})
}

func TestARollingRestartOf50WorkersOn380Shards(t *testing.T) {
	if !*rollingLarge {
		t.Skip("with -rolling.large")
	}
	rolling(t, 50, 380, 3, fast, 2*time.Second)
}
