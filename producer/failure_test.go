package producer_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesiskit/kinesiskit/kinesistest"
	"github.com/kinesiskit/kinesiskit/producer"
	"github.com/kinesiskit/kinesiskit/shard"
)

const throttled = "ProvisionedThroughputExceededException"

func TestFailedEntriesAreSentAgainAndNoOthers(t *testing.T) {
	for _, code := range []string{throttled, "InternalFailure"} {
		t.Run(code, func(t *testing.T) {
			bubble(t, 4, producer.Config{AggregateBytes: 2 << 10}, func(w *world) {
				w.s.On("PutRecords", kinesistest.FailRecords(code, 0.5)).Times(10)
				l := newLoad(w)
				for i := range 3000 {
					l.put(fmt.Sprint("key-", i%50))
				}
				w.flush()
				if n := l.check(); n != 0 {
					w.Errorf("%d records are repeated", n)
				}
				most := 0
				for data, r := range l.results {
					most = max(most, r.Attempts)
					if r.MayRepeat {
						w.Fatalf("%s: a definite failure does not repeat a record", data)
					}
				}
				if most < 2 {
					w.Error("nothing was retried")
				}
			})
		})
	}
}

func TestAnAnswerInWhichAllEntriesFailedIsRetried(t *testing.T) {
	bubble(t, 2, producer.Config{}, func(w *world) {
		w.s.On("PutRecords", kinesistest.FailRecords(throttled, 1)).Times(3)
		if r := w.stored(w.put("k", "v")); r.Attempts != 4 || r.MayRepeat {
			w.Errorf("result %+v", r)
		}
	})
}

func TestRequestsThatFailAreRetriedWithBackoff(t *testing.T) {
	for name, c := range map[string]struct {
		fault  kinesistest.Fault
		repeat bool
		stored int
	}{
		"lost reply":   {kinesistest.LoseReply(), true, 2},
		"lost request": {kinesistest.LoseRequest(), true, 1},
		"500":          {kinesistest.Status(500), true, 1},
		"503":          {kinesistest.Status(503), true, 1},
		"timeout":      {kinesistest.Delay(time.Hour), true, 2},
		"throttle":     {kinesistest.Throttle(), false, 1},
		"kms throttle": {kinesistest.Exception("KMSThrottlingException", "slow down"), false, 1},
		"expired":      {kinesistest.Exception("ExpiredTokenException", "expired"), false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, producer.Config{}, func(w *world) {
				w.s.On("PutRecords", c.fault).Times(1)
				start := time.Now()
				a, b := w.put("a", "1"), w.put("b", "2")
				for _, r := range []producer.Result{w.stored(a), w.stored(b)} {
					if r.Attempts != 2 || r.MayRepeat != c.repeat {
						w.Errorf("result %+v", r)
					}
				}
				if n := len(w.contents()); n != 2*c.stored {
					w.Errorf("stored %d records", n)
				}
				most := 300 * time.Millisecond
				if name == "timeout" {
					most += 6 * time.Second
				}
				if took := time.Since(start); took > most {
					w.Errorf("took %v", took)
				}
			})
		})
	}
}

func TestAnOutageIsWaitedOutWithoutAStorm(t *testing.T) {
	bubble(t, 8, producer.Config{}, func(w *world) {
		w.ready()
		before := w.s.Calls("PutRecords")
		w.s.On("PutRecords", kinesistest.Status(503)).For(10 * time.Minute)
		l := newLoad(w)
		for i := range 1000 {
			l.put(fmt.Sprint(i))
		}
		time.Sleep(5 * time.Minute)
		if err := w.p.Health().Streams[0].Err; err == nil {
			w.Error("Health does not say that nothing can be sent")
		}
		time.Sleep(5*time.Minute + 10*time.Second)
		w.flush()
		l.check()
		if n := w.s.Calls("PutRecords") - before; n > 250 {
			w.Errorf("%d requests in ten minutes of an outage", n)
		}
		h := w.p.Health()
		if h.Streams[0].Err != nil || h.BufferedRecords != 0 || h.BufferedBytes != 0 || !h.OldestRecord.IsZero() {
			w.Errorf("health afterwards: %+v", h)
		}
	})
}

func TestAHotShardDoesNotHoldUpTheOthers(t *testing.T) {
	bubble(t, 2, producer.Config{}, func(w *world) {
		w.ready()
		w.s.On("PutRecords", kinesistest.FailRecords(throttled, 1)).Shard(shardID(0)).For(time.Minute)
		start := time.Now()
		put := func(explicit string) *producer.Future {
			f, err := w.p.Put(context.Background(), producer.Record{PartitionKey: "k", ExplicitHashKey: explicit})
			if err != nil {
				w.Fatal(err)
			}
			return f
		}
		hot := put("0")
		for range 20 {
			begin := time.Now()
			w.stored(put(shard.MaxHashKey.String()))
			if took := time.Since(begin); took > 100*time.Millisecond {
				w.Errorf("a record of the other shard took %v", took)
			}
		}
		r := w.stored(hot)
		if took := time.Since(start); took < time.Minute || took > time.Minute+time.Second {
			w.Errorf("the hot shard's record took %v", took)
		}
		if r.Attempts > 100 {
			w.Errorf("%d attempts in a minute", r.Attempts)
		}
	})
}

func TestAPermanentErrorIsReportedAtOnceWithItsAttempts(t *testing.T) {
	for _, code := range []string{"AccessDeniedException", "KMSDisabledException", "KMSNotFoundException"} {
		t.Run(code, func(t *testing.T) {
			bubble(t, 1, producer.Config{}, func(w *world) {
				w.ready()
				w.s.On("PutRecords", kinesistest.FailRecords(throttled, 1)).Times(1)
				w.s.On("PutRecords", kinesistest.Exception(code, "not you")).After(0)
				w.s.On("PutRecords", kinesistest.FailRecords(throttled, 1)).Times(1)
				start := time.Now()
				e := w.failed(w.put("key", "data"))
				if took := time.Since(start); took > time.Second {
					w.Errorf("took %v", took)
				}
				if len(e.Attempts) != 2 || e.Attempts[0].Code != throttled || e.Attempts[1].Code != code || e.Attempts[1].Message != "not you" {
					w.Errorf("attempts %+v", e.Attempts)
				}
				if e.Attempts[0].Waited != 100*time.Millisecond || e.Attempts[1].Waited < 50*time.Millisecond {
					w.Errorf("attempts %+v", e.Attempts)
				}
				if e.MayExist || e.Record.PartitionKey != "key" || string(e.Record.Data) != "data" {
					w.Errorf("error %+v", e)
				}
				if err := w.p.Health().Streams[0].Err; err == nil {
					w.Error("Health is fine")
				}
			})
		})
	}
}

func TestAMissingPermissionToListIsKnownWithinASecond(t *testing.T) {
	bubble(t, 1, producer.Config{}, func(w *world) {
		rule := w.s.On("ListShards", kinesistest.Exception("AccessDeniedException", "not you")).From("producer")
		for range 3 {
			start := time.Now()
			e := w.failed(w.put("key", "data"))
			var denied *types.AccessDeniedException
			if !errors.As(e, &denied) || e.MayExist || len(e.Attempts) != 0 {
				w.Errorf("got %+v", e)
			}
			if took := time.Since(start); took > time.Second {
				w.Errorf("took %v", took)
			}
		}
		if w.p.Health().Streams[0].Err == nil {
			w.Error("Health is fine")
		}
		if n := w.s.Calls("DescribeStreamSummary"); n != 1 {
			w.Errorf("%d calls to describe a stream that cannot be written", n)
		}
		rule.Remove()
		time.Sleep(time.Minute) // the delay after so many failures
		w.ready()
	})
}

func TestAStreamThatDoesNotExistFailsEveryRecordAfterAGrace(t *testing.T) {
	bubble(t, 0, producer.Config{}, func(w *world) {
		start := time.Now()
		var futures []*producer.Future
		for i := range 100 {
			futures = append(futures, w.put(fmt.Sprint(i), "data"))
		}
		for _, f := range futures {
			var missing *types.ResourceNotFoundException
			if e := w.failed(f); !errors.As(e, &missing) || e.MayExist {
				w.Errorf("got %+v", e)
			}
		}
		if took := time.Since(start); took < 2*time.Second || took > 2100*time.Millisecond {
			w.Errorf("took %v", took)
		}
	})
}

func TestAStreamCreatedAMomentAgoIsWaitedFor(t *testing.T) {
	bubble(t, 0, producer.Config{}, func(w *world) {
		f := w.put("key", "data")
		time.Sleep(1500 * time.Millisecond)
		w.s.CreateStream(stream, 1)
		w.stored(f)
	})
}

func TestAStreamThatIsDeletedFailsWhatIsSentToIt(t *testing.T) {
	bubble(t, 1, producer.Config{}, func(w *world) {
		w.ready()
		if _, err := w.k.DeleteStream(context.Background(), &kinesis.DeleteStreamInput{StreamName: new(string)}); err == nil {
			w.Fatal("deleted a stream without a name")
		}
		name := stream
		if _, err := w.k.DeleteStream(context.Background(), &kinesis.DeleteStreamInput{StreamName: &name}); err != nil {
			w.Fatal(err)
		}
		start := time.Now()
		var missing *types.ResourceNotFoundException
		if e := w.failed(w.put("key", "data")); !errors.As(e, &missing) || len(e.Attempts) < 2 {
			w.Errorf("got %+v", e)
		}
		if took := time.Since(start); took > 6*time.Second {
			w.Errorf("took %v", took)
		}
	})
}

func TestWithoutAMapRecordsWaitAndAreNotSentBlindly(t *testing.T) {
	bubble(t, 2, producer.Config{}, func(w *world) {
		w.s.On("ListShards", kinesistest.Status(503)).From("producer").For(time.Minute)
		l := newLoad(w)
		for i := range 500 {
			l.put(fmt.Sprint(i))
		}
		time.Sleep(59 * time.Second)
		if n := w.s.Calls("PutRecords"); n != 0 {
			w.Errorf("%d requests without a map", n)
		}
		if h := w.p.Health(); h.BufferedRecords != 500 || h.Streams[0].Err == nil || h.Streams[0].Shards != 0 || time.Since(h.OldestRecord) != 59*time.Second {
			w.Errorf("health %+v", h)
		}
		if n := w.s.Calls("ListShards"); n > 10 {
			w.Errorf("%d listings in a minute", n)
		}
		w.flush()
		l.check()
	})
}

func TestAnExpiredRecordFailsWithItsAttempts(t *testing.T) {
	bubble(t, 1, producer.Config{RecordTTL: 10 * time.Second}, func(w *world) {
		w.ready()
		w.s.On("PutRecords", kinesistest.FailRecords(throttled, 1)).For(11 * time.Second)
		start := time.Now()
		old := []*producer.Future{w.put("a", "1"), w.put("b", "2")}
		time.Sleep(9900 * time.Millisecond)
		young := w.put("c", "3")
		for _, f := range old {
			if e := w.failed(f); !errors.Is(e, producer.ErrExpired) || len(e.Attempts) < 10 || e.MayExist {
				w.Errorf("got %+v", e)
			}
		}
		if took := time.Since(start); took != 10*time.Second {
			w.Errorf("took %v", took)
		}
		w.stored(young)
	})
}

func TestARecordExpiresWhileThereIsNoMap(t *testing.T) {
	bubble(t, 1, producer.Config{RecordTTL: 5 * time.Second}, func(w *world) {
		w.s.On("ListShards", kinesistest.Status(500)).From("producer").For(time.Minute)
		start := time.Now()
		if e := w.failed(w.put("a", "1")); !errors.Is(e, producer.ErrExpired) || len(e.Attempts) != 0 || e.MayExist {
			w.Errorf("got %+v", e)
		}
		if took := time.Since(start); took != 5*time.Second {
			w.Errorf("took %v", took)
		}
	})
}

func TestByDefaultNothingExpires(t *testing.T) {
	bubble(t, 1, producer.Config{}, func(w *world) {
		w.s.On("PutRecords", kinesistest.Status(500)).For(3 * time.Hour)
		f := w.put("a", "1")
		time.Sleep(3 * time.Hour)
		if r := w.stored(f); r.Attempts < 1000 {
			w.Errorf("%+v", r)
		}
	})
}

func TestTheHistoryOfARecordIsBounded(t *testing.T) {
	bubble(t, 1, producer.Config{RecordTTL: time.Hour}, func(w *world) {
		w.s.On("PutRecords", kinesistest.Status(500))
		e := w.failed(w.put("a", "1"))
		if n := len(e.Attempts); n != 64 {
			w.Errorf("%d attempts kept", n)
		}
		if !e.MayExist || e.Attempts[0].Waited != 100*time.Millisecond {
			w.Errorf("%+v", e.Attempts[0])
		}
	})
}
