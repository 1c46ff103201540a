package producer_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesiskit/kinesiskit/kinesistest"
	"github.com/kinesiskit/kinesiskit/producer"
	"github.com/kinesiskit/kinesiskit/shard"
)

// open are the ids of the open shards, by hash range.
func (w *world) open() []string {
	w.Helper()
	out, err := w.look.ListShards(context.Background(), &kinesis.ListShardsInput{StreamName: aws.String(stream)})
	if err != nil {
		w.Fatal(err)
	}
	type place struct {
		id    string
		start shard.HashKey
	}
	var places []place
	for _, s := range out.Shards {
		if s.SequenceNumberRange.EndingSequenceNumber == nil {
			k, err := shard.ParseHashKey(*s.HashKeyRange.StartingHashKey)
			if err != nil {
				w.Fatal(err)
			}
			places = append(places, place{*s.ShardId, k})
		}
	}
	slices.SortFunc(places, func(a, b place) int { return a.start.Compare(b.start) })
	ids := make([]string, len(places))
	for i, p := range places {
		ids[i] = p.id
	}
	return ids
}

// reshard splits or merges at random every so often, until stop is closed.
func (w *world) reshard(rng *rand.Rand, every time.Duration, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(every):
		}
		open := w.open()
		if i := rng.IntN(len(open)); len(open) < 3 || len(open) < 6 && rng.IntN(2) == 0 {
			w.s.Split(stream, open[i])
		} else {
			i = min(i, len(open)-2)
			w.s.Merge(stream, open[i], open[i+1])
		}
	}
}

// putFor puts records of 40 keys, some every millisecond.
func (l *load) putFor(rng *rand.Rand, d time.Duration) {
	l.w.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Duration(1+rng.IntN(3)) * time.Millisecond) {
		for range 1 + rng.IntN(3) {
			l.put(fmt.Sprint("key-", rng.IntN(40)))
		}
	}
}

func TestNothingAcknowledgedIsLostThroughSplitsAndMerges(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			resent := 0
			hooks := producer.Hooks{Resent: func(e producer.ResentEvent) { resent += e.Records }}
			bubble(t, 2, producer.Config{AggregateBytes: 1 << 10}, func(w *world) {
				rng := rand.New(rand.NewPCG(seed, 1))
				w.s.On("PutRecords", kinesistest.Delay(30*time.Millisecond)).Sometimes(0.5)
				l := newLoad(w)
				stop := make(chan struct{})
				go w.reshard(rand.New(rand.NewPCG(seed, 2)), 900*time.Millisecond, stop)
				l.putFor(rng, 20*time.Second)
				close(stop)
				w.flush()
				repeats := l.check()
				if repeats > 3*resent || resent == 0 {
					w.Errorf("%d repeats, %d records were sent again", repeats, resent)
				}
				for _, r := range l.results {
					if r.MayRepeat && r.Attempts < 2 {
						w.Fatalf("result %+v", r)
					}
				}
				time.Sleep(time.Second)
			}, producer.WithHooks(hooks))
		})
	}
}

func TestOneRequestAtATimeKeepsTheOrderOfEachKey(t *testing.T) {
	for name, c := range map[string]struct {
		faults  func(w *world)
		reshard time.Duration
	}{
		"entries fail": {func(w *world) { w.s.On("PutRecords", kinesistest.FailRecords(throttled, 0.3)) }, 0},
		"splits and merges": {func(w *world) {
			w.s.On("PutRecords", kinesistest.Delay(20*time.Millisecond)).Sometimes(0.5)
		}, 700 * time.Millisecond},
		"all at once": {func(w *world) {
			w.s.On("ListShards", kinesistest.Delay(300*time.Millisecond)).From("producer")
			w.s.On("PutRecords", kinesistest.FailRecords(throttled, 0.3)).Sometimes(0.7)
			w.s.On("PutRecords", kinesistest.LoseReply()).Sometimes(0.05)
			w.s.On("PutRecords", kinesistest.LoseRequest()).Sometimes(0.05)
			w.s.On("PutRecords", kinesistest.ApplyLate(2*time.Second)).Sometimes(0.05)
			w.s.On("PutRecords", kinesistest.Status(500)).Sometimes(0.05)
		}, 1100 * time.Millisecond},
		"stale listings": {func(w *world) {
			w.s.On("ListShards", kinesistest.StaleShards(2*time.Second)).From("producer").Sometimes(0.7)
		}, 900 * time.Millisecond},
	} {
		for seed := range uint64(3) {
			t.Run(fmt.Sprint(name, " seed ", seed), func(t *testing.T) {
				bubble(t, 2, producer.Config{InFlight: 1, AggregateBytes: 1 << 10}, func(w *world) {
					c.faults(w)
					l := newLoad(w)
					stop := make(chan struct{})
					if c.reshard > 0 {
						go w.reshard(rand.New(rand.NewPCG(seed, 2)), c.reshard, stop)
					}
					l.putFor(rand.New(rand.NewPCG(seed, 1)), 15*time.Second)
					close(stop)
					w.flush()
					l.check()
					l.checkOrder()
					time.Sleep(time.Second)
				})
			})
		}
	}
}

// pair are two keys of the stream's one shard that a split puts into different children.
func pair() (lower, upper string) {
	for i := 0; lower == "" || upper == ""; i++ {
		key := fmt.Sprint("pair-", i)
		if shard.HashOf(key).Hi < 1<<63 {
			lower = key
		} else {
			upper = key
		}
	}
	return lower, upper
}

func TestAnAggregateOnAnUnexpectedShardIsSentAgainWhole(t *testing.T) {
	var events []producer.ResentEvent
	hooks := producer.Hooks{Resent: func(e producer.ResentEvent) { events = append(events, e) }}
	bubble(t, 1, producer.Config{}, func(w *world) {
		lower, upper := pair()
		w.ready()
		left, right := w.s.Split(stream, shardID(0))
		a, b := w.put(lower, "1"), w.put(upper, "2")
		for f, want := range map[*producer.Future]string{a: left, b: right} {
			if r := w.stored(f); r.Shard != want || !r.MayRepeat || r.Attempts != 2 {
				w.Errorf("result %+v, want shard %s", r, want)
			}
		}
		if len(events) != 1 || events[0].Expected != shardID(0) || events[0].Actual != left || events[0].Records != 2 {
			w.Errorf("events %+v", events)
		}
	}, producer.WithHooks(hooks))
}

func TestAnAggregateOnAnUnexpectedShardThatHoldsAllOfItIsStored(t *testing.T) {
	bubble(t, 1, producer.Config{}, func(w *world) {
		lower, _ := pair()
		w.ready()
		left, _ := w.s.Split(stream, shardID(0))
		a, b := w.put(lower, "1"), w.put(lower, "2")
		for _, f := range []*producer.Future{a, b} {
			if r := w.stored(f); r.Shard != left || r.MayRepeat || r.Attempts != 1 || !r.Aggregated {
				w.Errorf("result %+v", r)
			}
		}
	})
}

func TestARecordAloneIsStoredWhereverItIs(t *testing.T) {
	bubble(t, 1, producer.Config{}, func(w *world) {
		_, upper := pair()
		w.ready()
		_, right := w.s.Split(stream, shardID(0))
		start := time.Now()
		if r := w.stored(w.put(upper, "1")); r.Shard != right || r.MayRepeat {
			w.Errorf("result %+v", r)
		}
		if took := time.Since(start); took != 100*time.Millisecond {
			w.Errorf("took %v: it waited for a map", took)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if n := w.s.Calls("ListShards"); n < 2 {
			w.Error("the surprise did not make it list the shards")
		}
	})
}

func TestMergedShardsHoldWhatWasMadeForTheirParents(t *testing.T) {
	bubble(t, 2, producer.Config{}, func(w *world) {
		lower, upper := pair()
		w.ready()
		child := w.s.Merge(stream, shardID(0), shardID(1))
		for _, f := range []*producer.Future{w.put(lower, "1"), w.put(lower, "2"), w.put(upper, "3"), w.put(upper, "4")} {
			if r := w.stored(f); r.Shard != child || r.MayRepeat {
				w.Errorf("result %+v", r)
			}
		}
	})
}

// A shard that was split again before the map could be refreshed is in no listing of the open shards.
func TestAShardThatClosedBeforeItWasEverListedIsFound(t *testing.T) {
	for _, whole := range []bool{true, false} {
		t.Run(fmt.Sprint("holds all ", whole), func(t *testing.T) {
			bubble(t, 1, producer.Config{}, func(w *world) {
				lower, upper := pair()
				if whole {
					upper = lower
				}
				w.ready()
				time.Sleep(2 * time.Second)
				w.s.On("ListShards", kinesistest.Status(500)).From("producer").For(2 * time.Second)
				left, _ := w.s.Split(stream, shardID(0))
				a, b := w.put(lower, "1"), w.put(upper, "2")
				time.Sleep(time.Second)
				w.s.Split(stream, left)
				if h := w.p.Health(); h.BufferedRecords != 2 {
					w.Fatalf("%d records wait for a map", h.BufferedRecords)
				}
				start := time.Now()
				r := w.stored(a)
				w.stored(b)
				if r.MayRepeat == whole || (r.Shard == left) != whole {
					w.Errorf("result %+v", r)
				}
				if took := time.Since(start); took > 10*time.Second {
					w.Errorf("took %v", took)
				}
			})
		})
	}
}

func TestWhatIsOnAnUnknownShardIsNeverCalledStored(t *testing.T) {
	lower, upper := pair()
	for name, c := range map[string]struct {
		cfg   producer.Config
		fault kinesistest.Fault
		want  error
	}{
		"expired": {producer.Config{RecordTTL: 10 * time.Second}, kinesistest.Status(500), producer.ErrExpired},
		"denied":  {producer.Config{}, kinesistest.Exception("AccessDeniedException", "no"), nil},
		"closed":  {producer.Config{}, kinesistest.Status(500), producer.ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, c.cfg, func(w *world) {
				w.ready()
				w.s.On("ListShards", c.fault).From("producer")
				w.s.Split(stream, shardID(0))
				a, b := w.put(lower, "1"), w.put(upper, "2")
				if name == "closed" {
					ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
					defer cancel()
					if err := w.p.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
						w.Errorf("close: %v", err)
					}
				}
				for _, f := range []*producer.Future{a, b} {
					if e := w.failed(f); !e.MayExist || c.want != nil && !errors.Is(e, c.want) {
						w.Errorf("got %+v", e)
					}
				}
			})
		})
	}
}

// liar answers that every record was stored on some other shard, as a stream that distributes records by itself does.
type liar struct{ *kinesis.Client }

func (l liar) PutRecords(ctx context.Context, in *kinesis.PutRecordsInput, opts ...func(*kinesis.Options)) (*kinesis.PutRecordsOutput, error) {
	out, err := l.Client.PutRecords(ctx, in, opts...)
	if err == nil {
		for i, r := range out.Records {
			if r.ShardId != nil {
				other := shardID(0)
				if *r.ShardId == other {
					other = shardID(1)
				}
				out.Records[i].ShardId = &other
			}
		}
	}
	return out, err
}

func TestSendingAgainEndsWhereNoShardIsEverRight(t *testing.T) {
	bubble(t, 2, producer.Config{}, func(w *world) {
		p, err := producer.New(producer.Config{Stream: stream}, liar{w.k}, producer.WithSeed(1))
		if err != nil {
			w.Fatal(err)
		}
		rs := make([]producer.Record, 50)
		for i := range rs {
			rs[i].PartitionKey = fmt.Sprint(i)
		}
		results, err := p.PutAll(context.Background(), rs)
		if err != nil {
			w.Fatal(err)
		}
		for _, r := range results {
			if !r.MayRepeat || r.Aggregated || r.Attempts != 4 {
				w.Errorf("result %+v", r)
			}
		}
		if err := p.Close(context.Background()); err != nil {
			w.Error(err)
		}
	})
}

func TestAMapNeverGoesBack(t *testing.T) {
	var versions []int64
	stale := 0
	hooks := producer.Hooks{ShardMap: func(e producer.ShardMapEvent) {
		versions = append(versions, e.Version)
		if e.Err != nil {
			stale++
		}
	}}
	bubble(t, 1, producer.Config{}, func(w *world) {
		lower, upper := pair()
		w.ready()
		w.s.Split(stream, shardID(0))
		w.stored(w.put(upper, "1"))
		time.Sleep(5 * time.Second)
		w.s.On("ListShards", kinesistest.StaleShards(time.Hour)).From("producer").For(3 * time.Minute)
		for range 50 { // more than a period
			a, b := w.put(lower, "1"), w.put(upper, "2")
			if r := w.stored(a); r.MayRepeat {
				w.Fatalf("result %+v", r)
			}
			w.stored(b)
			time.Sleep(2 * time.Second)
		}
		if stale == 0 || versions[len(versions)-1] != 2 || !slices.IsSorted(versions) {
			w.Errorf("versions %v, %d listings refused", versions, stale)
		}
	}, producer.WithHooks(hooks))
}
