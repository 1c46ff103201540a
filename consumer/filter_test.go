package consumer_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesiskit/kinesiskit/consumer"
	"github.com/kinesiskit/kinesiskit/kinesistest"
	"github.com/kinesiskit/kinesiskit/shard"
)

var filters = []consumer.Filter{consumer.Stale, consumer.PerRecord, consumer.Whole, consumer.Everything}

// outside counts what is delivered although it lies outside.
type outside struct {
	mu   sync.Mutex
	kept int
}

func (o *outside) option() consumer.Option {
	return consumer.WithHooks(consumer.Hooks{Fetched: func(e consumer.FetchEvent) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.kept += e.OutsideKept
	}})
}

func (o *outside) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.kept
}

// lazy is fast with a filter, for long tests.
func lazy(filter consumer.Filter) consumer.Config {
	cfg := fast("w1")
	cfg.Aggregates = filter
	cfg.Polling.MaxInterval = 20 * time.Second
	cfg.Lease.FailoverTime = time.Minute
	return cfg
}

// known waits until a worker knows how the stream spreads its records.
func known() {
	time.Sleep(time.Minute)
	synctest.Wait()
}

func TestEachFilterDropsWhatItSays(t *testing.T) {
	want := map[consumer.Filter]struct {
		delivered string
		dropped   int
		kept      int
	}{
		consumer.Stale:      {"plain 1 3 4 5 6", 1, 1},
		consumer.PerRecord:  {"plain 1 3 4 6", 2, 0},
		consumer.Whole:      {"plain", 6, 0},
		consumer.Everything: {"plain 1 2 3 4 5 6", 0, 0},
	}
	for _, filter := range filters {
		t.Run(filter.String(), func(t *testing.T) {
			bubble(t, 1, func(f *fleet) {
				low, high := keyIn(0, 2), keyIn(1, 2)
				f.s.Split(streamName, shard0)
				cfg := fast("w1")
				cfg.Aggregates = filter
				var o outside
				f.run(cfg, nil, o.option())
				known()
				f.putRaw(high, "0", []byte("plain"))
				f.putRaw("a", "0", aggregate(low+"=1", high+"=2", low+"=3"))
				last := f.putRaw(low, "0", aggregate(low+"=4", high+"=5", low+"=6"))
				f.stored(shard1, at(t, last, 2))
				dropped := 0
				for _, e := range f.dropped() {
					dropped += e.Records
				}
				w := want[filter]
				if got := strings.Join(f.data(), " "); got != w.delivered || dropped != w.dropped || o.count() != w.kept {
					t.Errorf("delivered %q, dropped %d and kept %d that lie outside; want %+v", got, dropped, o.count(), w)
				}
			})
		})
	}
}

func TestWhileTheDistributionIsUnknownNothingIsFiltered(t *testing.T) {
	for _, filter := range []consumer.Filter{consumer.Stale, consumer.Whole} {
		t.Run(filter.String(), func(t *testing.T) {
			bubble(t, 1, func(f *fleet) {
				f.s.Split(streamName, shard0)
				denied := f.s.On("DescribeStreamSummary", kinesistest.Exception("AccessDeniedException", "no"))
				var o outside
				f.run(lazy(filter), nil, o.option())
				known()
				packed := aggregate(keyIn(0, 2)+"=1", keyIn(1, 2)+"=2")
				f.putRaw("a", "0", packed)
				f.delivered(2)
				if n := denied.Hits(); n < 3 || n > 20 || len(f.dropped()) != 0 || o.count() != 1 {
					t.Errorf("%d looks; dropped %+v, kept %d", n, f.dropped(), o.count())
				}
				denied.Remove()
				time.Sleep(6 * time.Minute)
				f.putRaw("a", "0", packed)
				f.until("a drop", time.Minute, func() bool { return len(f.dropped()) == 1 })

				f.s.On("DescribeStreamSummary", kinesistest.Status(500))
				time.Sleep(20 * time.Minute) // what was read is too old now
				n := len(f.deliveries())
				f.putRaw("a", "0", packed)
				f.delivered(n + 2)
			})
		})
	}
}

func TestTheDistributionIsReadSeldomAndNotAtAllWithoutAFilter(t *testing.T) {
	for filter, most := range map[consumer.Filter]int{consumer.Stale: 16, consumer.Everything: 0} {
		t.Run(filter.String(), func(t *testing.T) {
			bubble(t, 1, func(f *fleet) {
				f.run(lazy(filter), nil)
				time.Sleep(time.Hour)
				if n := f.s.Calls("DescribeStreamSummary"); n > most || n < most/2 {
					t.Errorf("%d looks in an hour", n)
				}
			})
		})
	}
}

func TestTheFirstLooksOfAFleetStayWithinTheAccountsLimit(t *testing.T) {
	const workers = 25 // the account has 20 calls a second
	bubble(t, workers, func(f *fleet) {
		var mu sync.Mutex
		refused := 0
		f.s.On("DescribeStreamSummary", kinesistest.Do(func(_ context.Context, _ *kinesistest.Request, next func() kinesistest.Reply) kinesistest.Reply {
			reply := next()
			mu.Lock()
			defer mu.Unlock()
			if reply.Status != 200 {
				refused++
			}
			return reply
		}))
		for i := range workers {
			cfg := lazy(consumer.Stale)
			cfg.Worker = fmt.Sprint("w", i)
			f.run(cfg, nil)
		}
		time.Sleep(10 * time.Second)
		mu.Lock()
		defer mu.Unlock()
		if n := f.s.Calls("DescribeStreamSummary"); n < workers || refused > 0 {
			t.Errorf("%d looks of %d workers, %d refused", n, workers, refused)
		}
	})
}

func TestOnAStreamThatSpreadsRecordsByItselfNothingIsFiltered(t *testing.T) {
	for _, filter := range filters {
		t.Run(filter.String(), func(t *testing.T) {
			bubble(t, 0, func(f *fleet) {
				_, err := f.api.CreateStream(context.Background(), &kinesis.CreateStreamInput{
					StreamName: ptr(streamName), StreamModeDetails: &types.StreamModeDetails{StreamMode: types.StreamModeOnDemand},
					RecordDistributionStrategy: types.RecordDistributionStrategyAuto,
				})
				if err != nil {
					t.Fatal(err)
				}
				f.s.Split(streamName, shard0) // so that there is an ancestor that could explain something
				f.run(lazy(filter), nil)
				known()
				var want []string
				for i := range 40 { // the shards take turns
					want = append(want, fmt.Sprint("a", i), fmt.Sprint("b", i), fmt.Sprint("c", i))
					f.putRaw("a", "", aggregate(fmt.Sprintf("%s=a%d", keyIn(0, 8), i), fmt.Sprintf("%s=b%d", keyIn(1, 8), i)))
					if _, err := f.api.PutRecord(context.Background(), &kinesis.PutRecordInput{StreamName: ptr(streamName), Data: fmt.Append(nil, "c", i)}); err != nil {
						t.Fatal(err)
					}
				}
				f.delivered(len(want))
				time.Sleep(time.Minute)
				got := f.data()
				if slices.Sort(got); !slices.Equal(got, slices.Sorted(slices.Values(want))) || len(f.dropped()) != 0 {
					t.Errorf("delivered %q, dropped %+v", got, f.dropped())
				}
				for _, d := range f.deliveries() {
					if d.data[0] == 'c' && d.key != "" {
						t.Errorf("a record without a key has %q", d.key)
					}
				}
			})
		})
	}
}

// storm is a stream that is resharded under producers whose shard maps are behind.
type storm struct {
	*fleet
	rng   *rand.Rand
	graph *shard.Graph // as the producers know it
	open  []string     // as it is
	n     int
	acked map[string]bool
}

// refresh is what a producer does when it learns that its map is old.
func (s *storm) refresh() {
	s.t.Helper()
	var all []shard.Shard
	in := &kinesis.ListShardsInput{StreamName: ptr(streamName)}
	out, err := s.api.ListShards(context.Background(), in)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, l := range out.Shards {
		r, err := shard.ParseHashRange(*l.HashKeyRange.StartingHashKey, *l.HashKeyRange.EndingHashKey)
		if err != nil {
			s.t.Fatal(err)
		}
		one := shard.Shard{ID: *l.ShardId, Range: r, First: "1"}
		if l.SequenceNumberRange.EndingSequenceNumber != nil {
			one.Last = "2"
		}
		all = append(all, one)
	}
	s.graph = shard.NewGraph(all)
}

func (s *storm) reshard() {
	i := s.rng.IntN(len(s.open))
	left, right := s.s.Split(streamName, s.open[i])
	s.open = slices.Replace(s.open, i, i+1, left, right)
	if len(s.open) > 6 {
		i := s.rng.IntN(len(s.open) - 1)
		s.open = slices.Replace(s.open, i, i+2, s.s.Merge(streamName, s.open[i], s.open[i+1]))
	}
}

// users are new user records.
func (s *storm) users(n int) (all []string) {
	for range n {
		s.n++
		all = append(all, fmt.Sprintf("key%d=%d", s.n, s.n))
	}
	return all
}

func (s *storm) ack(users ...string) {
	for _, u := range users {
		_, data, _ := strings.Cut(u, "=")
		s.acked[data] = true
	}
}

func place(user string) shard.HashKey {
	key, _, _ := strings.Cut(user, "=")
	return shard.HashOf(key)
}

// put stores one Kinesis record, and returns the shard it went to.
func (s *storm) put(key, hashKey string, data []byte) string {
	s.t.Helper()
	in := &kinesis.PutRecordInput{StreamName: ptr(streamName), PartitionKey: &key, Data: data}
	if hashKey != "" {
		in.ExplicitHashKey = aws.String(hashKey)
	}
	out, err := s.api.PutRecord(context.Background(), in)
	if err != nil {
		s.t.Fatal(err)
	}
	return *out.ShardId
}

// naive is an aggregator that knows nothing of shards: many keys under that of the first one, stored once and for all.
func (s *storm) naive() {
	users := s.users(10)
	key, _, _ := strings.Cut(users[0], "=")
	s.put(key, "", aggregate(users...))
	s.ack(users...)
}

// kpl packs users for the shards of the map as it is now, lets meanwhile happen, and then sends, as KPL 0.15.11 and later do it: what comes back from
// an unexpected shard is stored as far as that shard's range is known to hold it, and sent again otherwise. The first such answer refreshes the map.
func (s *storm) kpl(users []string, meanwhile func()) {
	for len(users) > 0 {
		packed := map[string][]string{}
		for _, u := range users {
			owner, _ := s.graph.Owner(place(u))
			packed[owner.ID] = append(packed[owner.ID], u)
		}
		predicted := s.graph
		meanwhile()
		meanwhile, users = func() {}, nil
		for _, id := range slices.Sorted(maps.Keys(packed)) {
			to, _ := predicted.Shard(id)
			for chunk := range slices.Chunk(packed[id], 5) {
				actual := s.put("a", to.Range.Start.String(), aggregate(chunk...))
				landed, known := s.graph.Shard(actual)
				for _, u := range chunk {
					if actual == id || known && landed.Range.Contains(place(u)) {
						s.ack(u)
					} else {
						users = append(users, u)
					}
				}
				if actual != id && !known {
					s.refresh()
				}
			}
		}
	}
}

// run is a storm of so many reshards, read with a filter. It returns what was stored, as its producer was told, and was not delivered.
func (s *storm) run(filter consumer.Filter, reshards int, produce func(s *storm)) (lost []string) {
	s.fleet.run(lazy(filter), nil)
	s.open = []string{shard0, shard1}
	s.refresh()
	known()
	for range reshards {
		produce(s)
		time.Sleep(time.Second)
	}
	time.Sleep(5 * time.Minute)
	got := map[string]bool{}
	for _, d := range s.deliveries() {
		got[d.data] = true
	}
	for data := range s.acked {
		if !got[data] {
			lost = append(lost, data)
		}
	}
	return lost
}

func TestStaleLosesNothingInAStormOfReshards(t *testing.T) {
	producers := map[string]struct {
		produce func(s *storm)
		whole   bool // KCL's rule loses
		drops   bool // Stale drops
	}{
		"KPL 0.15.11": {func(s *storm) { s.kpl(s.users(100), s.reshard) }, true, true},
		"naive": {func(s *storm) {
			s.reshard()
			s.naive()
		}, true, false},
	}
	for name, p := range producers {
		for _, filter := range []consumer.Filter{consumer.Stale, consumer.Whole} {
			t.Run(name+", "+filter.String(), func(t *testing.T) {
				bubble(t, 2, func(f *fleet) {
					s := &storm{fleet: f, rng: rand.New(rand.NewPCG(1, 1)), acked: map[string]bool{}}
					lost := s.run(filter, 12, p.produce)
					switch {
					case filter == consumer.Whole && len(lost) == 0 && p.whole:
						t.Error("KCL's rule lost nothing: this is no storm")
					case filter == consumer.Stale && len(lost) > 0:
						t.Errorf("%d of %d lost: %q", len(lost), len(s.acked), lost)
					case filter == consumer.Stale && p.drops != (len(f.dropped()) > 0):
						t.Errorf("%d drops", len(f.dropped()))
					}
				})
			})
		}
	}
}
