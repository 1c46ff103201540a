package consumer_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kinesiskit/kinesiskit/consumer"
	"github.com/kinesiskit/kinesiskit/kinesistest"
)

func TestFaultsWhilePollingSkipNothing(t *testing.T) {
	faults := map[string]kinesistest.Fault{
		"throttle":         kinesistest.Throttle(),
		"500":              kinesistest.Status(500),
		"lost reply":       kinesistest.LoseReply(),
		"expired iterator": kinesistest.ExpireIterator(),
		"access denied":    kinesistest.Exception("KMSAccessDeniedException", "no"),
		"gone":             kinesistest.Exception("ResourceNotFoundException", "gone"),
		"unreadable": kinesistest.Do(func(_ context.Context, _ *kinesistest.Request, next func() kinesistest.Reply) kinesistest.Reply {
			r := next()
			r.Body = []byte(strings.ReplaceAll(string(r.Body), `"SequenceNumber":"`, `"SequenceNumber":"x`))
			return r
		}),
		"timeout": kinesistest.Delay(time.Minute),
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, func(f *fleet) {
				f.put("k", numbers(0, 10)...)
				f.s.On("GetRecords", fault).From("w1").Times(2) // before the first record
				w := f.start("w1")
				f.until("health", time.Minute, func() bool {
					hs := w.Health().Shards
					return len(hs) == 1 && (hs[0].Err != nil || name == "expired iterator")
				})
				f.delivered(10)
				f.s.On("GetRecords", fault).From("w1").Sometimes(0.5).For(time.Minute)
				for i := 10; i < 60; i++ {
					f.put("k", fmt.Sprint(i))
					time.Sleep(time.Second)
				}
				f.delivered(60)
				f.want(numbers(0, 60)...)
				f.until("well", time.Minute, func() bool { hs := w.Health().Shards; return len(hs) == 1 && hs[0].Err == nil })
			})
		})
	}
}

func TestAnIteratorThatExpiresDuringALongCallIsReplacedBehindTheLastRecord(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("k", "a", "b")
		h := consumer.Each(func(_ context.Context, r *consumer.Record) error {
			if string(r.Data) == "b" {
				time.Sleep(10 * time.Minute) // an iterator lives for five
			}
			f.note("w1", r)
			return nil
		})
		f.run(fast("w1"), h)
		time.Sleep(time.Minute)
		f.put("k", "c")
		time.Sleep(10 * time.Minute)
		f.delivered(3)
		f.want("a", "b", "c")
	})
}

func TestRecordsTrimmedWhilePausedAreReportedBeforeDelivery(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("k", "a")
		w1 := f.start("w1")
		f.delivered(1)
		if err := w1.leave(); err != nil {
			t.Fatal(err)
		}
		f.put("k", "b")
		time.Sleep(time.Second)
		f.s.Trim(streamName, time.Now())
		f.put("k", "c")
		f.start("w2")
		f.delivered(2)
		f.want("a", "c")
		got, drops := f.deliveries(), f.dropped()
		if len(drops) != 1 || drops[0].Why != consumer.Expired || drops[0].Records != -1 || drops[0].First != got[0].position || drops[0].Last != got[1].position {
			t.Errorf("dropped %+v", drops)
		}
	})
}
