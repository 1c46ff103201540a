package producer_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesiskit/kinesiskit/kinesistest"
	"github.com/kinesiskit/kinesiskit/producer"
	"github.com/kinesiskit/kinesiskit/shard"
)

func TestWhatIsAcknowledgedIsInTheStreamWhereTheResultSays(t *testing.T) {
	bubble(t, 4, producer.Config{}, func(w *world) {
		l := newLoad(w)
		for i := range 5000 {
			l.put(fmt.Sprint("key-", i%97))
		}
		w.flush()
		if n := l.check(); n != 0 {
			w.Errorf("%d records are repeated", n)
		}
		l.checkOrder()
		if n := w.s.Calls("PutRecords"); n > 2 {
			w.Errorf("%d requests for 5000 small records", n)
		}
	})
}

func TestARecordAloneGoesRawUnderItsOwnKey(t *testing.T) {
	bubble(t, 2, producer.Config{}, func(w *world) {
		var bodies []string
		w.s.On("PutRecords", kinesistest.Do(func(_ context.Context, r *kinesistest.Request, next func() kinesistest.Reply) kinesistest.Reply {
			bodies = append(bodies, string(r.Body))
			return next()
		}))
		r := w.stored(w.put("alone", "data"))
		if r.Aggregated || r.Sub != 0 || r.Attempts != 1 || r.MayRepeat {
			w.Errorf("result %+v", r)
		}
		got := w.s.Records(stream)[0]
		if got.PartitionKey != "alone" || string(got.Data) != "data" || got.Shard != r.Shard || got.Sequence != r.Sequence {
			w.Errorf("stored %+v", got)
		}
		if want := `"ExplicitHashKey":"` + shard.HashOf("alone").String() + `"`; !strings.Contains(bodies[0], want) {
			w.Errorf("%s does not have %s", bodies[0], want)
		}
	})
}

func TestAnAggregateKeepsOrderKeysAndExplicitHashKeys(t *testing.T) {
	bubble(t, 2, producer.Config{}, func(w *world) {
		lower, upper := "1", shard.MaxHashKey.String()
		want := []producer.Record{
			{PartitionKey: "x", ExplicitHashKey: upper, Data: []byte("0")},
			{PartitionKey: "y", ExplicitHashKey: upper, Data: []byte("1")},
			{PartitionKey: "x", ExplicitHashKey: upper, Data: []byte("2")},
			{PartitionKey: "y", ExplicitHashKey: lower, Data: []byte("3")}, // the other shard
			{PartitionKey: "x", ExplicitHashKey: upper, Data: nil},
		}
		results, err := w.p.PutAll(context.Background(), want)
		if err != nil {
			w.Fatal(err)
		}
		for _, c := range w.contents() {
			if c.shard == shardID(0) {
				if c.aggregated || c.key != "y" || c.data != "3" {
					w.Errorf("lower shard has %+v", c)
				}
				continue
			}
			r := want[[]int{0, 1, 2, 4}[c.sub]]
			if !c.aggregated || c.dropped || c.key != r.PartitionKey || c.explicit != upper || c.data != string(r.Data) {
				w.Errorf("upper shard has %+v, want %+v", c, r)
			}
		}
		for i, sub := range []int{0, 1, 2, 0, 3} {
			if results[i].Sub != sub || results[i].Aggregated != (i != 3) {
				w.Errorf("result %d is %+v", i, results[i])
			}
		}
	})
}

func TestWithoutAggregationEveryRecordGoesAlone(t *testing.T) {
	bubble(t, 2, producer.Config{AggregateBytes: -1, BatchRecords: 10, RateLimit: -1}, func(w *world) {
		l := newLoad(w)
		for i := range 95 {
			l.put(fmt.Sprint("key-", i%7))
		}
		w.flush()
		l.check()
		if n := len(w.s.Records(stream)); n != 95 {
			w.Errorf("%d Kinesis records", n)
		}
		if n := w.s.Calls("PutRecords"); n != 10 {
			w.Errorf("%d requests of at most 10 records", n)
		}
	})
}

func TestABigRecordGoesAloneAndOvertakesNothing(t *testing.T) {
	bubble(t, 1, producer.Config{InFlight: 1}, func(w *world) {
		big := strings.Repeat("x", 100<<10)
		for _, data := range []string{"1", "2", big, "3", big, big, "4", "5"} {
			w.put("key", data)
		}
		w.flush()
		var got []string
		for _, c := range w.contents() {
			if len(c.data) > 1 && c.aggregated {
				w.Error("a record larger than an aggregate is in one")
			}
			got = append(got, c.data[:1])
		}
		if s := strings.Join(got, ""); s != "12x3xx45" {
			w.Errorf("stored in the order %s", s)
		}
	})
}

func TestRequestsKeepTheLimits(t *testing.T) {
	var events []producer.RequestEvent
	var mu sync.Mutex
	hooks := producer.Hooks{RequestEnd: func(_ context.Context, e producer.RequestEvent) {
		mu.Lock()
		defer mu.Unlock()
		events = append(events, e)
	}}
	bubble(t, 3, producer.Config{BatchBytes: 300 << 10, BatchRecords: 4, InFlight: 1}, func(w *world) {
		for i := range 400 {
			w.put(fmt.Sprint(i), strings.Repeat("x", 1+i*i*7919%(90<<10)))
		}
		w.flush()
		for _, e := range events {
			if e.Entries > 4 || e.Bytes > 300<<10 {
				w.Errorf("request of %d records and %d bytes", e.Entries, e.Bytes)
			}
		}
		for _, r := range w.s.Records(stream) {
			if r.PartitionKey == "a" && len(r.Data)+1 > 50<<10 {
				w.Errorf("aggregate of %d bytes", len(r.Data))
			}
		}
	}, producer.WithHooks(hooks))
}

func TestLingerIsHowLongARecordWaits(t *testing.T) {
	for _, c := range []struct{ linger, want time.Duration }{{0, 100 * time.Millisecond}, {-1, 0}, {time.Second, time.Second}} {
		t.Run(c.want.String(), func(t *testing.T) {
			bubble(t, 1, producer.Config{Linger: c.linger}, func(w *world) {
				w.ready()
				start := time.Now()
				w.stored(w.put("key", "data"))
				if took := time.Since(start); took != c.want {
					w.Errorf("took %v, want %v", took, c.want)
				}
			})
		})
	}
}

func TestLanesThatAreDueSoonShareARequest(t *testing.T) {
	bubble(t, 2, producer.Config{}, func(w *world) {
		w.ready()
		before := w.s.Calls("PutRecords")
		put := func(explicit string) *producer.Future {
			f, err := w.p.Put(context.Background(), producer.Record{PartitionKey: "k", ExplicitHashKey: explicit})
			if err != nil {
				w.Fatal(err)
			}
			return f
		}
		a := put("0")
		time.Sleep(20 * time.Millisecond)
		b := put(shard.MaxHashKey.String())
		w.stored(a)
		w.stored(b)
		if n := w.s.Calls("PutRecords") - before; n != 1 {
			w.Errorf("%d requests", n)
		}
	})
}

// A record of 10 MiB is what Kinesis knows as the largest; a stream takes what it is set to.
func TestTheStreamsMaximumRecordSizeIsHonoured(t *testing.T) {
	for kib, least := range map[int32]int{0: 1 << 20, 2048: 2 << 20, 10240: 10 << 20} {
		t.Run(fmt.Sprint(kib), func(t *testing.T) {
			bubble(t, 0, producer.Config{}, func(w *world) {
				in := &kinesis.CreateStreamInput{StreamName: aws.String(stream), ShardCount: aws.Int32(1)}
				if kib > 0 {
					in.MaxRecordSizeInKiB = aws.Int32(kib)
				}
				if _, err := w.k.CreateStream(context.Background(), in); err != nil {
					w.Fatal(err)
				}
				// The size counts the key: three bytes here. Before the stream is described, the service judges.
				most := producer.Record{PartitionKey: "key", Data: make([]byte, least-3)}
				over := producer.Record{PartitionKey: "key", Data: make([]byte, least-2)}
				first, err := w.p.Put(context.Background(), most)
				if err != nil {
					w.Fatal(err)
				}
				if f, err := w.p.Put(context.Background(), over); err == nil {
					if e := w.failed(f); e.MayExist {
						w.Errorf("too large, but %+v", e)
					}
				} else if least < 10<<20 {
					w.Error(err)
				}
				neighbour := w.put("small", "small")
				w.stored(first)
				w.stored(neighbour)
				var invalid *producer.InvalidError
				if _, err := w.p.Put(context.Background(), over); !errors.As(err, &invalid) || invalid.Field != "Data" {
					w.Errorf("more than the stream takes: %v", err)
				}
				f, err := w.p.Put(context.Background(), most)
				if err != nil {
					w.Fatal(err)
				}
				w.stored(f)
			})
		})
	}
}

func TestAStreamThatMayNotBeDescribedCanBeWritten(t *testing.T) {
	bubble(t, 1, producer.Config{}, func(w *world) {
		w.s.On("DescribeStreamSummary", kinesistest.Exception("AccessDeniedException", "no"))
		w.put("a", "1")
		if r := w.stored(w.put("b", "2")); !r.Aggregated {
			w.Error("not aggregated as ever")
		}
		if err := w.p.Health().Streams[0].Err; err != nil {
			w.Error(err)
		}
	})
}

func TestAStreamCanBeNamedByItsARN(t *testing.T) {
	arn := "arn:aws:kinesis:us-east-1:000000000000:stream/" + stream
	bubble(t, 0, producer.Config{Stream: arn}, func(w *world) {
		w.s.CreateStream(stream, 1)
		out, err := w.k.DescribeStreamSummary(context.Background(), &kinesis.DescribeStreamSummaryInput{StreamName: aws.String(stream)})
		if err != nil {
			w.Fatal(err)
		}
		if got := *out.StreamDescriptionSummary.StreamARN; got != arn {
			w.p = w.producer(producer.Config{Stream: got})
		}
		w.ready()
	})
}

func TestManyShardsAreListedPageByPage(t *testing.T) {
	bubble(t, 2500, producer.Config{}, func(w *world) {
		w.ready()
		if n := w.p.Health().Streams[0].Shards; n != 2500 {
			w.Errorf("%d shards", n)
		}
		if n := w.s.Calls("ListShards"); n != 3 {
			w.Errorf("%d calls", n)
		}
	})
}

func TestHooksSeeEverythingOnce(t *testing.T) {
	type key struct{}
	var mu sync.Mutex // requests are made at the same time
	var starts, ends, settled, user, maps int
	hooks := producer.Hooks{
		RequestStart: func(ctx context.Context, e producer.RequestEvent) context.Context {
			mu.Lock()
			defer mu.Unlock()
			starts++
			return context.WithValue(ctx, key{}, e.UserRecords)
		},
		RequestEnd: func(ctx context.Context, e producer.RequestEvent) {
			mu.Lock()
			defer mu.Unlock()
			ends++
			user += ctx.Value(key{}).(int) - e.Failed
			if e.Err == nil && e.Took < 0 || e.Stream != stream {
				t.Errorf("%+v", e)
			}
		},
		Settled: func(e producer.SettledEvent) {
			settled++
			if e.Err != nil || e.Result.Shard == "" || e.Bytes != 5 {
				t.Errorf("%+v", e)
			}
		},
		ShardMap: func(e producer.ShardMapEvent) {
			maps++
			if e.Shards != 2 || e.Version != 1 || e.Err != nil {
				t.Errorf("%+v", e)
			}
		},
	}
	bubble(t, 2, producer.Config{AggregateBytes: -1}, func(w *world) {
		w.s.On("PutRecords", kinesistest.FailRecords("ProvisionedThroughputExceededException", 0.5)).Times(3)
		for i := range 100 {
			w.put(fmt.Sprintf("%03d", i), "xx")
		}
		w.flush()
		if starts != ends || starts != w.s.Calls("PutRecords") || user != 100 || settled != 100 || maps != 1 {
			w.Errorf("starts %d, ends %d, stored %d, settled %d, maps %d", starts, ends, user, settled, maps)
		}
	}, producer.WithHooks(hooks))
}

func TestAnIdleProducerCallsNothing(t *testing.T) {
	bubble(t, 1, producer.Config{}, func(w *world) {
		w.ready()
		time.Sleep(time.Second)
		before := w.s.Calls("*")
		time.Sleep(24 * time.Hour)
		if n := w.s.Calls("*") - before; n != 0 {
			w.Errorf("%d calls in a day without records", n)
		}
		w.ready()
		synctest.Wait()
		if n := w.s.Calls("ListShards"); n != 2 {
			w.Errorf("%d listings: an old map was not refreshed", n)
		}
	})
}
