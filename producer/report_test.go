package producer_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/kinesiskit/kinesiskit/kinesistest"
	"github.com/kinesiskit/kinesiskit/producer"
)

func TestFailuresThatNobodyHearsOfAreLoggedAtMostOnceASecond(t *testing.T) {
	core, logs := observer.New(zap.ErrorLevel)
	bubble(t, 1, producer.Config{Linger: -1}, func(w *world) {
		w.s.On("PutRecords", kinesistest.Exception("AccessDeniedException", "no"))
		for range 100 {
			w.failed(w.put("secret-key", "secret"))
			time.Sleep(50 * time.Millisecond)
		}
		w.close()
		counted := int64(0)
		for _, e := range logs.All() {
			counted += e.ContextMap()["records"].(int64)
			if strings.Contains(fmt.Sprint(e), "secret") {
				w.Errorf("the log shows a record: %v", e)
			}
		}
		if n := logs.Len(); n < 5 || n > 7 || counted != 100 {
			w.Errorf("%d lines count %d records", n, counted)
		}
	}, producer.WithLogger(zap.New(core)))
}

func TestOnFailureHearsOfEveryFailureBeforeAnybodyElse(t *testing.T) {
	var mu sync.Mutex
	counts := make(map[string]int)
	heard := func(key string) int {
		mu.Lock()
		defer mu.Unlock()
		return counts[key]
	}
	bubble(t, 1, producer.Config{}, func(w *world) {
		w.s.On("PutRecords", kinesistest.Exception("AccessDeniedException", "no"))
		f := w.put("future", "1")
		called := false
		if err := w.p.PutFunc(context.Background(), producer.Record{PartitionKey: "callback"}, func(_ producer.Result, err error) {
			called = true
			if heard("callback") != 1 || err == nil {
				w.Errorf("callback before OnFailure, or without an error: %v", err)
			}
		}); err != nil {
			w.Fatal(err)
		}
		w.failed(f)
		if heard("future") != 1 {
			w.Error("future before OnFailure")
		}
		w.flush()
		if !called || heard("future") != 1 || heard("callback") != 1 {
			w.Errorf("called %v, heard %v", called, counts)
		}
	}, producer.WithOnFailure(func(e *producer.RecordError) {
		mu.Lock()
		defer mu.Unlock()
		counts[e.Record.PartitionKey]++
	}))
}

func TestAttemptsWithoutAnAnswerSayWhy(t *testing.T) {
	bubble(t, 1, producer.Config{RecordTTL: 3 * time.Second, RequestTimeout: 2 * time.Second}, func(w *world) {
		w.ready()
		w.s.On("PutRecords", kinesistest.LoseRequest())
		w.s.On("PutRecords", kinesistest.Delay(time.Hour)).Times(1)
		e := w.failed(w.put("k", "v"))
		first, second := e.Attempts[0], e.Attempts[1]
		if first.Code != "RequestTimeout" || first.Took != 2*time.Second || second.Code != "NoAnswer" || second.Message == "" || !e.MayExist {
			w.Errorf("attempts %+v", e.Attempts)
		}
	})
}

// recorder writes down every PutRecords.
type recorder struct {
	*kinesis.Client
	start time.Time
	log   []string
}

func (r *recorder) PutRecords(ctx context.Context, in *kinesis.PutRecordsInput, opts ...func(*kinesis.Options)) (*kinesis.PutRecordsOutput, error) {
	line := time.Since(r.start).String()
	for _, e := range in.Records {
		line += fmt.Sprintf(" %s %s %q", *e.PartitionKey, *e.ExplicitHashKey, e.Data)
	}
	r.log = append(r.log, line)
	return r.Client.PutRecords(ctx, in, opts...)
}

func TestTheSameSeedMakesTheSameCalls(t *testing.T) {
	t.Parallel()
	run := func(t *testing.T) (log []string) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			s := kinesistest.New()
			defer s.Close()
			s.CreateStream(stream, 8)
			s.On("PutRecords", kinesistest.FailRecords(throttled, 0.3)).For(5 * time.Second)
			s.On("PutRecords", kinesistest.Status(500)).Times(3)
			r := &recorder{Client: kinesis.NewFromConfig(s.Config("")), start: time.Now()}
			p, err := producer.New(producer.Config{Stream: stream, InFlight: 1}, r, producer.WithSeed(7))
			if err != nil {
				t.Fatal(err)
			}
			for i := range 500 {
				if _, err := p.Put(context.Background(), producer.Record{PartitionKey: fmt.Sprint("key-", i%13), Data: fmt.Append(nil, i)}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(7 * time.Millisecond)
			}
			if err := p.Close(context.Background()); err != nil {
				t.Fatal(err)
			}
			log = r.log
		})
		return log
	}
	first, second := run(t), run(t)
	if !slices.Equal(first, second) || len(first) < 30 {
		t.Errorf("two runs with one seed made %d and %d requests, not the same ones", len(first), len(second))
	}
}
