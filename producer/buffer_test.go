package producer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesiskit/kinesiskit/kinesistest"
	"github.com/kinesiskit/kinesiskit/producer"
	"github.com/kinesiskit/kinesiskit/shard"
)

func TestARecordThatCannotBeStoredIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		record producer.Record
		field  string // empty: accepted
	}{
		"no key":                {producer.Record{}, "PartitionKey"},
		"key of 256 characters": {producer.Record{PartitionKey: strings.Repeat("ü", 256)}, ""},
		"key of 257 characters": {producer.Record{PartitionKey: strings.Repeat("k", 257)}, "PartitionKey"},
		"key of 257 wide":       {producer.Record{PartitionKey: strings.Repeat("日", 257)}, "PartitionKey"},
		"key not UTF-8":         {producer.Record{PartitionKey: "\xff"}, "PartitionKey"},
		"record of 1 MiB":       {producer.Record{PartitionKey: "k", Data: make([]byte, 1<<20-1)}, ""},
		"record over 10 MiB":    {producer.Record{PartitionKey: "k", Data: make([]byte, 10<<20)}, "Data"},
		"stream without a name": {producer.Record{PartitionKey: "k", Stream: "arn:aws:kinesis:us-east-1:000000000000:stream/"}, "Stream"},
		"ARN of something else": {producer.Record{PartitionKey: "k", Stream: "arn:aws:sqs:us-east-1:000000000000:orders"}, "Stream"},
		"stream's name odd":     {producer.Record{PartitionKey: "k", Stream: "two words"}, "Stream"},
		"stream's name long":    {producer.Record{PartitionKey: "k", Stream: strings.Repeat("s", 129)}, "Stream"},
		"hash key":              {producer.Record{PartitionKey: "k", ExplicitHashKey: "0"}, ""},
		"greatest hash key":     {producer.Record{PartitionKey: "k", ExplicitHashKey: "340282366920938463463374607431768211455"}, ""},
		"hash key too great":    {producer.Record{PartitionKey: "k", ExplicitHashKey: "340282366920938463463374607431768211456"}, "ExplicitHashKey"},
		"hash key with zero":    {producer.Record{PartitionKey: "k", ExplicitHashKey: "01"}, "ExplicitHashKey"},
		"hash key with sign":    {producer.Record{PartitionKey: "k", ExplicitHashKey: "+1"}, "ExplicitHashKey"},
		"hash key in words":     {producer.Record{PartitionKey: "k", ExplicitHashKey: "one"}, "ExplicitHashKey"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, producer.Config{}, func(w *world) {
				f, err := w.p.Put(context.Background(), c.record)
				if c.field == "" {
					if err != nil {
						w.Fatal(err)
					}
					w.stored(f)
					return
				}
				var invalid *producer.InvalidError
				if !errors.As(err, &invalid) || invalid.Field != c.field || f != nil {
					w.Errorf("Put: %v", err)
				}
				if _, err := w.p.TryPut(c.record); !errors.As(err, &invalid) {
					w.Errorf("TryPut: %v", err)
				}
				if n := w.s.Calls("*"); n != 0 {
					w.Errorf("%d calls", n)
				}
			})
		})
	}
}

func TestAConfigThatCannotWorkIsRefused(t *testing.T) {
	t.Parallel()
	for field, cfg := range map[string]producer.Config{
		"Stream":         {Stream: "two words"},
		"AggregateBytes": {Stream: "s", AggregateBytes: 1<<20 + 1},
		"BatchRecords":   {Stream: "s", BatchRecords: 501},
		"BatchBytes":     {Stream: "s", BatchBytes: 10<<20 + 1},
		"InFlight":       {Stream: "s", InFlight: -1},
		"RecordTTL":      {Stream: "s", RecordTTL: -1},
		"RequestTimeout": {Stream: "s", RequestTimeout: -1},
		"BufferBytes":    {Stream: "s", BufferBytes: -1},
		"BufferRecords":  {Stream: "s", BufferRecords: -1},
	} {
		var invalid *producer.InvalidError
		if _, err := producer.New(cfg, new(null)); !errors.As(err, &invalid) || invalid.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	if err := (producer.Config{Stream: "s"}).Validate(); err != nil {
		t.Error(err)
	}
}

func TestPutCopiesTheData(t *testing.T) {
	bubble(t, 1, producer.Config{BufferRecords: 1}, func(w *world) {
		data := []byte("before")
		for range 2 { // the second one waits for space
			copy(data, "before")
			if _, err := w.p.Put(context.Background(), producer.Record{PartitionKey: "k", Data: data}); err != nil {
				w.Fatal(err)
			}
			copy(data, "after!")
		}
		w.flush()
		for _, c := range w.contents() {
			if c.data != "before" {
				w.Errorf("stored %q", c.data)
			}
		}
	})
}

func TestTheBufferIsBoundedAndPutWaitsInTurn(t *testing.T) {
	for name, cfg := range map[string]producer.Config{
		"records": {BufferRecords: 10, InFlight: 1}, "bytes": {BufferBytes: 10 * counts(1000), InFlight: 1},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, cfg, func(w *world) {
				w.ready()
				w.s.On("PutRecords", kinesistest.Status(500)).For(time.Minute)
				record := producer.Record{PartitionKey: "kk", Data: bytes.Repeat([]byte("x"), 998)}
				for range 10 {
					if _, err := w.p.TryPut(record); err != nil {
						w.Fatal(err)
					}
				}
				if _, err := w.p.TryPut(record); !errors.Is(err, producer.ErrFull) {
					w.Errorf("TryPut: %v", err)
				}
				ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
				defer cancel()
				start := time.Now()
				if _, err := w.p.Put(ctx, record); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 5*time.Second {
					w.Errorf("Put: %v after %v", err, time.Since(start))
				}
				var mu sync.Mutex
				var turns []int
				var wg sync.WaitGroup
				for i := range 30 {
					wg.Go(func() {
						if _, err := w.p.Put(context.Background(), record); err != nil {
							w.Error(err)
						}
						mu.Lock()
						turns = append(turns, i/10)
						mu.Unlock()
						if h := w.p.Health(); h.BufferedRecords > 10 || h.BufferedBytes > 10*counts(1000) {
							w.Errorf("buffer %+v", h)
						}
					})
					synctest.Wait()
				}
				mu.Lock()
				early := len(turns)
				mu.Unlock()
				if early != 0 {
					w.Errorf("%d got in", early)
				}
				wg.Wait()
				for i := 1; i < len(turns); i++ {
					if turns[i] < turns[i-1] {
						w.Fatalf("served in the order %v", turns)
					}
				}
			})
		})
	}
}

func TestWhoGivesUpWaitingLetsTheNextIn(t *testing.T) {
	bubble(t, 1, producer.Config{BufferBytes: counts(50) + counts(91) - 1}, func(w *world) {
		w.s.On("PutRecords", kinesistest.Status(500)).For(time.Minute)
		w.put("k", strings.Repeat("x", 49))
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := w.p.Put(ctx, producer.Record{PartitionKey: "k", Data: make([]byte, 90)}); !errors.Is(err, context.Canceled) {
				w.Errorf("got %v", err)
			}
		})
		synctest.Wait()
		wg.Go(func() { w.put("k", "small") })
		synctest.Wait()
		if n := w.p.Health().BufferedRecords; n != 1 {
			w.Errorf("%d records: the small one overtook", n)
		}
		cancel()
		wg.Wait()
		if n := w.p.Health().BufferedRecords; n != 2 {
			w.Errorf("%d records", n)
		}
	})
}

func TestAContextThatHasEndedAcceptsNothing(t *testing.T) {
	bubble(t, 1, producer.Config{}, func(w *world) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := w.p.Put(ctx, producer.Record{PartitionKey: "k"}); !errors.Is(err, context.Canceled) {
			w.Errorf("got %v", err)
		}
	})
}

func TestAfterAcceptanceTheContextNoLongerMatters(t *testing.T) {
	bubble(t, 1, producer.Config{}, func(w *world) {
		ctx, cancel := context.WithCancel(context.Background())
		f, err := w.p.Put(ctx, producer.Record{PartitionKey: "k"})
		if err != nil {
			w.Fatal(err)
		}
		cancel()
		if _, err := f.Result(ctx); !errors.Is(err, context.Canceled) {
			w.Errorf("result: %v", err)
		}
		w.stored(f)
		if _, err := f.Result(ctx); err != nil {
			w.Errorf("a fate that is known: %v", err)
		}
	})
}

func TestCallbacksMayPutIntoAFullBuffer(t *testing.T) {
	bubble(t, 2, producer.Config{BufferRecords: 2}, func(w *world) {
		calls := 0
		var put func(depth, n int)
		put = func(depth, n int) {
			for i := range n {
				if err := w.p.PutFunc(context.Background(), producer.Record{PartitionKey: fmt.Sprint(depth, i)}, func(producer.Result, error) {
					calls++
					if depth < 4 {
						put(depth+1, 3)
					}
				}); err != nil {
					w.Error(err)
				}
			}
		}
		put(0, 3)
		for h := w.p.Health(); h.BufferedRecords > 0 || calls < 3+9+27+81+243; h = w.p.Health() {
			time.Sleep(time.Second)
		}
	})
}

func TestASlowCallbackDoesNotStopSending(t *testing.T) {
	bubble(t, 1, producer.Config{}, func(w *world) {
		stop := make(chan struct{})
		if err := w.p.PutFunc(context.Background(), producer.Record{PartitionKey: "slow"}, func(producer.Result, error) { <-stop }); err != nil {
			w.Fatal(err)
		}
		time.Sleep(time.Second)
		for range 10 {
			w.ready()
		}
		close(stop)
	})
}

func TestCallbacksComeOneAtATimeAndInTheStreamsOrder(t *testing.T) {
	bubble(t, 3, producer.Config{InFlight: 1, AggregateBytes: 500}, func(w *world) {
		w.s.On("PutRecords", kinesistest.FailRecords(throttled, 0.3)).For(10 * time.Second)
		running := false
		latest := make(map[string]producer.Result)
		for i := range 2000 {
			if err := w.p.PutFunc(context.Background(), producer.Record{PartitionKey: fmt.Sprint("k", i%17)}, func(r producer.Result, err error) {
				if running || err != nil {
					w.Errorf("at the same time: %v, error %v", running, err)
				}
				running = true
				if l := latest[r.Shard]; r.Sequence < l.Sequence || r.Sequence == l.Sequence && r.Sub <= l.Sub {
					w.Errorf("%+v after %+v", r, l)
				}
				latest[r.Shard] = r
				if i%500 == 0 {
					time.Sleep(time.Second)
				}
				running = false
			}); err != nil {
				w.Fatal(err)
			}
		}
	})
}

func TestPutAllReportsEachRecordAtItsIndex(t *testing.T) {
	bubble(t, 2, producer.Config{}, func(w *world) {
		results, err := w.p.PutAll(context.Background(), []producer.Record{
			{PartitionKey: "a", ExplicitHashKey: "0"}, {PartitionKey: ""}, {PartitionKey: "b", ExplicitHashKey: shard.MaxHashKey.String()},
		})
		var invalid *producer.InvalidError
		if !errors.As(err, &invalid) || results[0].Shard != shardID(0) || results[1].Shard != "" || results[2].Shard != shardID(1) {
			w.Errorf("%+v, %v", results, err)
		}
		w.s.On("PutRecords", kinesistest.Status(500)).For(time.Minute)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, err = w.p.PutAll(ctx, make([]producer.Record, 0))
		if err != nil {
			w.Errorf("nothing: %v", err)
		}
		_, err = w.p.PutAll(ctx, []producer.Record{{PartitionKey: "a"}})
		var failure *producer.RecordError
		if !errors.As(err, &failure) || !failure.MayExist || !errors.Is(err, context.DeadlineExceeded) {
			w.Errorf("got %v", err)
		}
		_, err = w.p.PutAll(ctx, []producer.Record{{PartitionKey: "a"}})
		if !errors.As(err, &failure) || failure.MayExist || !errors.Is(err, context.DeadlineExceeded) {
			w.Errorf("got %v", err)
		}
	})
}
