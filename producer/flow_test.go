package producer_test

import (
	"context"
	"flag"
	"fmt"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesiskit/kinesiskit/kinesistest"
	"github.com/kinesiskit/kinesiskit/producer"
)

// crowd is producers that saturate one shard for a minute.
type crowd struct {
	producers int
	roundTrip time.Duration
	late      float64 // share of answers that come up to 2 s late
	ordered   bool
	faults    float64 // share of entries that fail, throttled or not
}

// measured is what a crowd did from a cold start: the share of Kinesis records that were throttled, the same as the producers say it, and the share of what
// the shard takes that it got.
type measured struct{ throttled, health, goodput float64 }

var crowds = flag.Int("crowds", 2, "with how many seeds crowds of producers are measured")

func (c crowd) run(t *testing.T, seed uint64) (m measured) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithSeed(seed))
		defer s.Close()
		s.CreateStream(stream, 1)
		if c.faults > 0 {
			s.On("PutRecords", kinesistest.FailRecords("InternalFailure", c.faults))
		}
		start := time.Now()
		var mu sync.Mutex
		var entries, throttles int
		count := producer.Hooks{RequestEnd: func(_ context.Context, e producer.RequestEvent) {
			mu.Lock()
			defer mu.Unlock()
			entries += e.Entries
			throttles += e.Throttled
		}}
		ctx, stop := context.WithTimeout(context.Background(), time.Minute)
		defer stop()
		var wg sync.WaitGroup
		for i := range c.producers {
			w := &world{T: t, s: s, k: clientOf(s, fmt.Sprint("producer-", i))}
			cfg := producer.Config{Stream: stream, BufferBytes: 10 << 20, Ordered: c.ordered}
			p, err := producer.New(cfg, w.far(seed*1000+uint64(i), roundTrip(c.roundTrip, c.late)), producer.WithSeed(seed*1000+uint64(i)), producer.WithHooks(count))
			if err != nil {
				t.Fatal(err)
			}
			wg.Go(func() {
				for j := 0; ; j++ {
					if _, err := p.Put(ctx, producer.Record{PartitionKey: fmt.Sprint("key-", j%100), Data: make([]byte, 1000)}); err != nil {
						break
					}
				}
				mu.Lock()
				m.health += p.Health().Streams[0].Throttled / float64(c.producers)
				mu.Unlock()
				now, cancel := context.WithCancel(context.Background())
				cancel()
				_ = p.Close(now)
			})
		}
		wg.Wait()
		bytes := 0
		for _, r := range s.Records(stream) {
			if r.ArrivalTime.Sub(start) < time.Minute {
				bytes += len(r.Data) + len(r.PartitionKey)
			}
		}
		m.throttled, m.goodput = float64(throttles)/float64(entries), float64(bytes)/(60<<20)
		time.Sleep(10 * time.Second) // what a request still has under way
	})
	return m
}

// The figures for many producers and seeds are those of the model in internal/send; this is the same against a server, with everything between.
func TestProducersShareASaturatedShard(t *testing.T) {
	type figures struct {
		producers                  int
		mostThrottled, leastStored float64
	}
	cases := []figures{{5, 0.05, 0.95}}
	if *crowds > 2 {
		cases = []figures{{2, 0.05, 0.93}, {10, 0.05, 0.95}, {50, 0.10, 0.90}}
	}
	for _, c := range cases {
		t.Run(fmt.Sprint(c.producers), func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(max(*crowds-1, 1)) {
				roundTrip := 10*time.Millisecond + time.Duration(seed*190/20)*time.Millisecond
				m := crowd{producers: c.producers, roundTrip: roundTrip, late: 0.02}.run(t, seed)
				t.Logf("round trip %v: %.1f%% throttled, %.1f%% of the shard used", roundTrip, 100*m.throttled, 100*m.goodput)
				if m.throttled > c.mostThrottled || m.goodput < c.leastStored {
					t.Errorf("want at most %.0f%% throttled, at least %.0f%% used", 100*c.mostThrottled, 100*c.leastStored)
				}
				if math.Abs(m.health-m.throttled) > 0.03 {
					t.Errorf("Health says %.1f%% throttled", 100*m.health)
				}
			}
		})
	}
}

// Every third attempt fails, and two of a hundred answers take up to two seconds more: all of it holds up the lane.
func TestOrderedUsesMostOfAShardAlthoughEntriesFail(t *testing.T) {
	t.Parallel()
	m := crowd{producers: 1, roundTrip: 100 * time.Millisecond, late: 0.02, ordered: true, faults: 0.3}.run(t, 5)
	t.Logf("%.1f%% of the shard used, %.1f%% throttled", 100*m.goodput, 100*m.throttled)
	if m.goodput < 0.8 {
		t.Error("want at least 80%")
	}
}
