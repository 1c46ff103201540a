package producer_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesiskit/kinesiskit/kinesistest"
	"github.com/kinesiskit/kinesiskit/producer"
)

// far is a client whose requests take their time, before they arrive and after.
type far struct {
	*kinesis.Client
	mu  sync.Mutex
	rng *rand.Rand
	way func(rng *rand.Rand) (there, back time.Duration)
}

func (f *far) PutRecords(ctx context.Context, in *kinesis.PutRecordsInput, opts ...func(*kinesis.Options)) (*kinesis.PutRecordsOutput, error) {
	f.mu.Lock()
	there, back := f.way(f.rng)
	f.mu.Unlock()
	time.Sleep(there)
	out, err := f.Client.PutRecords(ctx, in, opts...)
	time.Sleep(back)
	return out, err
}

// roundTrip is the same for all requests, but for some whose answer is late by up to 2 s.
func roundTrip(d time.Duration, late float64) func(*rand.Rand) (there, back time.Duration) {
	return func(rng *rand.Rand) (there, back time.Duration) {
		if rng.Float64() < late {
			back = time.Duration(rng.Int64N(int64(2 * time.Second)))
		}
		return d / 2, d/2 + back
	}
}

func (w *world) far(seed uint64, way func(*rand.Rand) (there, back time.Duration)) *far {
	return &far{Client: w.k, rng: rand.New(rand.NewPCG(seed, 3)), way: way}
}

func TestOrderedKeepsTheOrderOfEachKeyWhateverHappens(t *testing.T) {
	internal := kinesistest.FailRecords("InternalFailure", 0.3)
	for name, c := range map[string]struct {
		faults  func(w *world)
		reshard time.Duration
		late    float64
		cfg     producer.Config
	}{
		"entries fail":      {faults: func(w *world) { w.s.On("PutRecords", internal) }},
		"entries throttled": {faults: func(w *world) { w.s.On("PutRecords", kinesistest.FailRecords(throttled, 0.3)) }},
		"splits and merges": {faults: func(*world) {}, reshard: 700 * time.Millisecond, late: 0.2},
		"late answers, raw": {faults: func(w *world) { w.s.On("PutRecords", internal).Sometimes(0.3) }, late: 0.2, cfg: producer.Config{AggregateBytes: -1}},
		"all at once": {faults: func(w *world) {
			w.s.On("ListShards", kinesistest.StaleShards(time.Second)).From("producer").Sometimes(0.3)
			w.s.On("ListShards", kinesistest.Delay(300*time.Millisecond)).From("producer").Sometimes(0.3)
			w.s.On("PutRecords", internal)
			w.s.On("PutRecords", kinesistest.FailRecords(throttled, 0.3)).Sometimes(0.3)
			w.s.On("PutRecords", kinesistest.LoseReply()).Sometimes(0.05)
			w.s.On("PutRecords", kinesistest.LoseRequest()).Sometimes(0.05)
			w.s.On("PutRecords", kinesistest.ApplyLate(2*time.Second)).Sometimes(0.05)
			w.s.On("PutRecords", kinesistest.Status(500)).Sometimes(0.05)
		}, reshard: 1100 * time.Millisecond, late: 0.05},
	} {
		for seed := range uint64(4) {
			t.Run(fmt.Sprint(name, " seed ", seed), func(t *testing.T) {
				bubble(t, 2, producer.Config{}, func(w *world) {
					c.faults(w)
					cfg := c.cfg
					cfg.Stream, cfg.Ordered = stream, true
					if cfg.AggregateBytes == 0 {
						cfg.AggregateBytes = 1 << 10
					}
					p, err := producer.New(cfg, w.far(seed, roundTrip(time.Duration(10+seed*60)*time.Millisecond, c.late)), producer.WithSeed(seed))
					if err != nil {
						w.Fatal(err)
					}
					w.p = p
					l := newLoad(w)
					stop := make(chan struct{})
					if c.reshard > 0 {
						go w.reshard(rand.New(rand.NewPCG(seed, 2)), c.reshard, stop)
					}
					l.putFor(rand.New(rand.NewPCG(seed, 1)), 10*time.Second)
					close(stop)
					w.flush()
					l.check()
					l.checkOrder()
					time.Sleep(2 * time.Second)
				})
			})
		}
	}
}

func TestOrderedHasManyRequestsInFlightButOneRecordOfALane(t *testing.T) {
	var mu sync.Mutex
	requests, most := 0, 0
	hooks := producer.Hooks{
		RequestStart: func(ctx context.Context, _ producer.RequestEvent) context.Context {
			mu.Lock()
			defer mu.Unlock()
			requests++
			most = max(most, requests)
			return ctx
		},
		RequestEnd: func(context.Context, producer.RequestEvent) {
			mu.Lock()
			defer mu.Unlock()
			requests--
		},
	}
	bubble(t, 4, producer.Config{Ordered: true}, func(w *world) {
		w.s.On("PutRecords", kinesistest.Delay(time.Second))
		l := newLoad(w)
		for i := range 300 {
			l.put(fmt.Sprint("key-", i))
			time.Sleep(10 * time.Millisecond)
		}
		w.flush()
		l.check()
		if most < 2 || most > 4 {
			w.Errorf("up to %d requests at once for 4 shards", most)
		}
	}, producer.WithHooks(hooks))
}

// refuseOnce refuses the next PutRecords for good after d.
func (w *world) refuseOnce(d time.Duration) {
	refusal := kinesistest.Do(func(context.Context, *kinesistest.Request, func() kinesistest.Reply) kinesistest.Reply {
		time.Sleep(d)
		return kinesistest.Reply{Status: 400, Body: []byte(`{"__type":"AccessDeniedException","message":"no"}`)}
	})
	w.s.On("PutRecords", refusal).Times(1)
}

func TestWhatWasPutBehindAFailedRecordFailsUntilTheProgramIsTold(t *testing.T) {
	bubble(t, 2, producer.Config{Ordered: true, Linger: -1}, func(w *world) {
		lower, upper := pair()
		w.ready()
		synctest.Wait()
		w.refuseOnce(time.Second)
		first := w.put(lower, "1")
		time.Sleep(100 * time.Millisecond)
		queued, other := w.put(lower, "2"), w.put(upper, "3")
		time.Sleep(2 * time.Second)
		if e := w.failed(first); errors.Is(e, producer.ErrPredecessor) {
			w.Errorf("the first one failed with %v", e)
		}
		if e := w.failed(queued); !errors.Is(e, producer.ErrPredecessor) || e.MayExist || len(e.Attempts) != 0 {
			w.Errorf("its successor failed with %v", e)
		}
		w.stored(other)
		w.stored(w.put(lower, "4"))
	})
}

func TestAFailureIsReportedBeforeWhatIsPutBehindItGoesOn(t *testing.T) {
	bubble(t, 1, producer.Config{Ordered: true, Linger: -1}, func(w *world) {
		w.ready()
		synctest.Wait()
		ctx := context.Background()
		release := make(chan struct{})
		put := func(key, data string, done func(error)) {
			w.Helper()
			err := w.p.PutFunc(ctx, producer.Record{PartitionKey: key, Data: []byte(data)}, func(_ producer.Result, err error) { done(err) })
			if err != nil {
				w.Error(err)
			}
		}
		put("busy", "0", func(error) { <-release }) // the program is busy with another record's callback
		time.Sleep(time.Second)
		w.refuseOnce(0)
		again := errors.New("not called")
		put("key", "1", func(error) {
			put("key", "1 again", func(err error) { again = err })
		})
		time.Sleep(time.Second)
		late := w.put("key", "2") // the producer knows that its predecessor failed, the program does not
		other := w.put("another key", "3")
		time.Sleep(time.Second)
		close(release)
		if e := w.failed(late); !errors.Is(e, producer.ErrPredecessor) {
			w.Errorf("got %v", e)
		}
		w.stored(other)
		w.flush() // the callbacks
		w.flush() // and what they have put
		if again != nil {
			w.Errorf("put again in the callback: %v", again)
		}
	})
}

func TestRecordsThatFailTogetherCanBePutAgainInOrder(t *testing.T) {
	bubble(t, 1, producer.Config{Ordered: true}, func(w *world) {
		w.ready()
		w.refuseOnce(0)
		for i := range 100 {
			r := producer.Record{PartitionKey: "key", Data: fmt.Appendf(nil, "%03d", i)}
			err := w.p.PutFunc(context.Background(), r, func(_ producer.Result, err error) {
				if err == nil {
					return
				}
				if _, err := w.p.Put(context.Background(), r); err != nil {
					w.Error(err)
				}
			})
			if err != nil {
				w.Fatal(err)
			}
		}
		w.flush()
		w.flush()
		var got []string
		for _, c := range w.contents() {
			if c.key == "key" {
				got = append(got, c.data)
			}
		}
		if len(got) != 100 {
			w.Fatalf("%d records", len(got))
		}
		for i, data := range got {
			if data != fmt.Sprintf("%03d", i) {
				w.Fatalf("record %d is %s", i, data)
			}
		}
	})
}

func TestWithGapsSuccessorsAreStored(t *testing.T) {
	bubble(t, 1, producer.Config{Ordered: true, OrderedGaps: true, Linger: -1}, func(w *world) {
		w.ready()
		synctest.Wait()
		w.refuseOnce(time.Second)
		first := w.put("key", "1")
		time.Sleep(100 * time.Millisecond)
		next := w.put("key", "2")
		w.failed(first)
		w.stored(next)
	})
}

func TestAnExpiredRecordTakesItsSuccessorsAlong(t *testing.T) {
	bubble(t, 1, producer.Config{Ordered: true, RecordTTL: 10 * time.Second}, func(w *world) {
		w.ready()
		w.s.On("PutRecords", kinesistest.FailRecords(throttled, 1)).For(11 * time.Second)
		first := w.put("key", "1")
		time.Sleep(9 * time.Second)
		next, other := w.put("key", "2"), w.put("another key", "3")
		if e := w.failed(first); !errors.Is(e, producer.ErrExpired) {
			w.Errorf("got %v", e)
		}
		if e := w.failed(next); !errors.Is(e, producer.ErrPredecessor) {
			w.Errorf("got %v", e)
		}
		w.stored(other)
	})
}
