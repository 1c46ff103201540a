package producer_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesiskit/kinesiskit/kinesistest"
	"github.com/kinesiskit/kinesiskit/producer"
)

// several is a bubble with streams of one shard and a producer that has none of its own.
func several(t *testing.T, cfg producer.Config, fn func(w *world), streams ...string) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New()
		defer s.Close()
		for _, name := range streams {
			s.CreateStream(name, 1)
		}
		w := &world{T: t, s: s, k: kinesis.NewFromConfig(s.Config("producer")), look: kinesis.NewFromConfig(s.Config("test"))}
		p, err := producer.New(cfg, w.k, producer.WithSeed(1))
		if err != nil {
			t.Fatal(err)
		}
		w.p = p
		defer w.close()
		fn(w)
	})
}

func to(stream, key string, bytes int) producer.Record {
	return producer.Record{Stream: stream, PartitionKey: key, Data: make([]byte, bytes)}
}

// fill puts records until there is no space for another one.
func (w *world) fill(stream string, bytes int) (n int) {
	w.Helper()
	for {
		_, err := w.p.TryPut(to(stream, "k", bytes))
		switch {
		case errors.Is(err, producer.ErrFull):
			return n
		case err != nil:
			w.Fatal(err)
		}
		n++
	}
}

func TestOneProducerWritesToSeveralStreams(t *testing.T) {
	several(t, producer.Config{}, func(w *world) {
		out, err := w.look.DescribeStreamSummary(context.Background(), &kinesis.DescribeStreamSummaryInput{StreamName: aws.String("c")})
		if err != nil {
			w.Fatal(err)
		}
		c := *out.StreamDescriptionSummary.StreamARN
		names := []string{"a", "b", c}
		var records []producer.Record
		for i := range 300 {
			records = append(records, producer.Record{Stream: names[i%3], PartitionKey: fmt.Sprint(i % 5), Data: []byte(names[i%3])})
		}
		results, err := w.p.PutAll(context.Background(), records)
		if err != nil {
			w.Fatal(err)
		}
		for i, r := range results {
			if r.Stream != names[i%3] || !r.Aggregated {
				w.Errorf("%+v", r)
			}
		}
		for i, name := range []string{"a", "b", "c"} {
			if n := len(w.s.Records(name)); n != 1 {
				w.Errorf("%d Kinesis records in %s", n, names[i])
			}
		}
		h := w.p.Health()
		if len(h.Streams) != 3 || h.Streams[0].Stream != "a" || h.Streams[1].Stream != c || h.Streams[2].Shards != 1 {
			w.Errorf("%+v", h)
		}
		var invalid *producer.InvalidError
		if _, err := w.p.Put(context.Background(), to("", "k", 1)); !errors.As(err, &invalid) || invalid.Field != "Stream" {
			w.Errorf("a record for no stream: %v", err)
		}
	}, "a", "b", "c")
}

func TestAStreamThatStandsStillLeavesTheOthersTheirPart(t *testing.T) {
	for name, cfg := range map[string]producer.Config{"records": {BufferRecords: 400}, "bytes": {BufferBytes: 400 * counts(1001)}} {
		t.Run(name, func(t *testing.T) {
			several(t, cfg, func(w *world) {
				w.s.On("PutRecords", kinesistest.Status(500)).Stream("stuck").For(10 * time.Minute)
				w.fill("fine", 1000)
				w.flush()
				// Two streams: a quarter for each, and half for whoever comes first.
				if n := w.fill("stuck", 1000); n != 300 {
					w.Errorf("%d records of the stream that stands still", n)
				}
				ctx, cancel := context.WithCancel(context.Background())
				var wg sync.WaitGroup
				for range 10 {
					wg.Go(func() { _, _ = w.p.Put(ctx, to("stuck", "k", 1000)) })
				}
				synctest.Wait()
				start := time.Now()
				for range 10 {
					if n := w.fill("fine", 1000); n != 100 {
						w.Errorf("%d records of the other", n)
					}
					time.Sleep(2 * time.Second)
					if h := w.p.Health(); h.BufferedRecords != 300 || h.Streams[1].BufferedRecords != 300 || h.Streams[1].Err == nil || h.Streams[0].Err != nil {
						w.Errorf("%+v", h)
					}
				}
				if took := time.Since(start); took > 30*time.Second {
					w.Errorf("took %v", took)
				}
				cancel()
				wg.Wait()
			}, "stuck", "fine")
		})
	}
}

func TestAStreamThatDoesNotAnswerLeavesTheOthersTheirRequests(t *testing.T) {
	several(t, producer.Config{Linger: -1, InFlight: 3}, func(w *world) {
		w.s.On("PutRecords", kinesistest.Delay(5*time.Second)).Stream("slow")
		for i := range 50 {
			if _, err := w.p.Put(context.Background(), to("slow", fmt.Sprint(i), 100)); err != nil {
				w.Fatal(err)
			}
			time.Sleep(time.Millisecond)
		}
		for range 20 {
			start := time.Now()
			f, err := w.p.Put(context.Background(), to("fine", "k", 100))
			if err != nil {
				w.Fatal(err)
			}
			w.stored(f)
			if took := time.Since(start); took > 100*time.Millisecond {
				w.Errorf("took %v", took)
			}
		}
	}, "slow", "fine")
}

// What is free for all goes to those who wait for it in their order, also to one who waits for much.
func TestALargeRecordIsNotOvertakenForEver(t *testing.T) {
	for name, put := range map[string]func(p *producer.Producer, ctx context.Context) error{
		"by Puts that wait": func(p *producer.Producer, ctx context.Context) error {
			_, err := p.Put(ctx, to("small", "k", 1000))
			return err
		},
		"by Puts that do not": func(p *producer.Producer, ctx context.Context) error {
			if _, err := p.TryPut(to("small", "k", 1000)); !errors.Is(err, producer.ErrFull) {
				return err
			}
			time.Sleep(10 * time.Millisecond)
			return ctx.Err()
		},
	} {
		t.Run(name, func(t *testing.T) {
			several(t, producer.Config{BufferBytes: counts(100_000), AggregateBytes: -1, BatchRecords: 1, InFlight: 5}, func(w *world) {
				w.s.On("PutRecords", kinesistest.Delay(time.Second))
				ctx, cancel := context.WithCancel(context.Background())
				var wg sync.WaitGroup
				if _, err := w.p.Put(ctx, to("large", "k", 10)); err != nil {
					w.Fatal(err)
				}
				for range 20 {
					wg.Go(func() {
						for put(w.p, ctx) == nil {
						}
					})
				}
				time.Sleep(10 * time.Second)
				start := time.Now()
				// More than its part, and than the others leave of what is for all.
				wait, stop := context.WithTimeout(ctx, time.Minute)
				f, err := w.p.Put(wait, to("large", "k", 70_000))
				stop()
				if err != nil {
					w.Error(err)
				}
				if took := time.Since(start); took > 30*time.Second {
					w.Errorf("waited %v", took)
				}
				cancel()
				wg.Wait()
				if f != nil {
					w.stored(f)
				}
			}, "small", "large")
		})
	}
}

func TestARecordLargerThanAStreamsPartIsAccepted(t *testing.T) {
	several(t, producer.Config{BufferBytes: counts(1_000_000)}, func(w *world) {
		for i := range 8 {
			f, err := w.p.Put(context.Background(), to(string(rune('a'+i)), "k", 900_000))
			if err != nil {
				w.Fatal(err)
			}
			w.stored(f)
		}
	}, "a", "b", "c", "d", "e", "f", "g", "h")
}

func TestHealthTellsHowMuchIsThrottled(t *testing.T) {
	bubble(t, 1, producer.Config{AggregateBytes: -1, RateLimit: -1}, func(w *world) {
		w.ready()
		w.s.On("PutRecords", kinesistest.FailRecords("ProvisionedThroughputExceededException", 1)).Times(1)
		for range 99 {
			w.put("k", "x")
		}
		w.flush()
		if got := w.p.Health().Streams[0].Throttled; got < 0.45 || got > 0.55 {
			w.Errorf("%v throttled", got)
		}
		time.Sleep(time.Minute + 10*time.Second)
		if got := w.p.Health().Streams[0].Throttled; got != 0 {
			w.Errorf("%v throttled after a minute", got)
		}
	})
}

func TestFlushAndCloseAreForAllStreams(t *testing.T) {
	names := []string{"a", "b", "c"}
	several(t, producer.Config{Linger: time.Hour}, func(w *world) {
		var futures []*producer.Future
		put := func() {
			for i := range 30 {
				f, err := w.p.Put(context.Background(), to(names[i%3], fmt.Sprint(i), 10))
				if err != nil {
					w.Fatal(err)
				}
				futures = append(futures, f)
			}
		}
		put()
		w.flush()
		for _, f := range futures {
			select {
			case <-f.Done():
			default:
				w.Fatal("not settled by Flush")
			}
		}
		futures = nil
		put()
		w.s.On("PutRecords", kinesistest.Status(500)).Stream("b")
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := w.p.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			w.Errorf("close: %v", err)
		}
		for i, f := range futures {
			if i%3 != 1 {
				w.stored(f)
			} else if e := w.failed(f); !errors.Is(e, producer.ErrClosed) || e.Record.Stream != "b" || !e.MayExist {
				w.Errorf("%+v", e)
			}
		}
	}, names...)
}

func TestPutsToNewStreamsMayRaceClose(t *testing.T) {
	several(t, producer.Config{}, func(w *world) {
		for round := range 100 {
			p, err := producer.New(producer.Config{}, w.k, producer.WithSeed(uint64(round)))
			if err != nil {
				w.Fatal(err)
			}
			var mu sync.Mutex
			accepted, settled := 0, 0
			var wg sync.WaitGroup
			for g := range 8 {
				wg.Go(func() {
					for i := range 10 {
						err := p.PutFunc(context.Background(), to([]string{"a", "b", "c"}[(g+i)%3], "k", 10), func(_ producer.Result, err error) {
							mu.Lock()
							defer mu.Unlock()
							settled++
							if err != nil {
								w.Error(err)
							}
						})
						if errors.Is(err, producer.ErrClosed) {
							return
						}
						mu.Lock()
						accepted++
						mu.Unlock()
					}
				})
			}
			if err := p.Close(context.Background()); err != nil {
				w.Fatal(err)
			}
			wg.Wait()
			if accepted != settled {
				w.Fatalf("%d accepted, %d settled", accepted, settled)
			}
		}
	}, "a", "b", "c")
}

func TestHooksNameTheStream(t *testing.T) {
	names := []string{"a", "b"}
	var mu sync.Mutex
	seen := make(map[string]int)
	see := func(what, stream string) {
		mu.Lock()
		defer mu.Unlock()
		seen[what+" "+stream]++
	}
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New()
		defer s.Close()
		for _, name := range names {
			s.CreateStream(name, 2)
		}
		p, err := producer.New(producer.Config{}, kinesis.NewFromConfig(s.Config("producer")), producer.WithHooks(producer.Hooks{
			RequestStart: func(ctx context.Context, e producer.RequestEvent) context.Context { see("start", e.Stream); return ctx },
			RequestEnd:   func(_ context.Context, e producer.RequestEvent) { see("end", e.Stream) },
			Settled:      func(e producer.SettledEvent) { see("settled", e.Result.Stream) },
			Resent:       func(e producer.ResentEvent) { see("resent", e.Stream) },
			ShardMap:     func(e producer.ShardMapEvent) { see("map", e.Stream) },
		}))
		if err != nil {
			t.Fatal(err)
		}
		put := func(n int) {
			for i := range n {
				for _, name := range names {
					if _, err := p.Put(context.Background(), to(name, fmt.Sprint(i), 10)); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := p.Flush(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		put(10)
		s.Split("b", shardID(0))
		put(10)
		if err := p.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if seen["start "+name] != seen["end "+name] || seen["start "+name] == 0 || seen["settled "+name] != 20 || seen["map "+name] == 0 {
				t.Errorf("%s: %v", name, seen)
			}
		}
		if seen["resent a"] != 0 || seen["resent b"] != 1 {
			t.Errorf("%v", seen)
		}
	})
}
