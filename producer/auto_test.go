package producer_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesiskit/kinesiskit/aggregation"
	"github.com/kinesiskit/kinesiskit/kinesistest"
	"github.com/kinesiskit/kinesiskit/producer"
	"github.com/kinesiskit/kinesiskit/shard"
)

// onDemand makes the stream, of four shards, distribute records as told.
func (w *world) onDemand(strategy types.RecordDistributionStrategy) {
	w.Helper()
	if _, err := w.look.CreateStream(context.Background(), &kinesis.CreateStreamInput{
		StreamName: aws.String(stream), RecordDistributionStrategy: strategy,
		StreamModeDetails: &types.StreamModeDetails{StreamMode: types.StreamModeOnDemand},
	}); err != nil {
		w.Fatal(err)
	}
	time.Sleep(time.Second)
}

func (w *world) redistribute(strategy types.RecordDistributionStrategy) {
	w.Helper()
	out, err := w.look.DescribeStreamSummary(context.Background(), &kinesis.DescribeStreamSummaryInput{StreamName: aws.String(stream)})
	if err != nil {
		w.Fatal(err)
	}
	if _, err := w.look.UpdateStreamRecordDistributionStrategy(context.Background(), &kinesis.UpdateStreamRecordDistributionStrategyInput{
		StreamARN: out.StreamDescriptionSummary.StreamARN, RecordDistributionStrategy: strategy,
	}); err != nil {
		w.Fatal(err)
	}
}

// sent counts what the producer's requests carry.
type sent struct{ entries, aggregates, hashes int }

func (w *world) watch() *sent {
	n := new(sent)
	w.s.On("PutRecords", kinesistest.Do(func(_ context.Context, r *kinesistest.Request, next func() kinesistest.Reply) kinesistest.Reply {
		var body struct {
			Records []struct {
				Data            []byte
				ExplicitHashKey *string
			}
		}
		if err := json.Unmarshal(r.Body, &body); err != nil {
			w.Error(err)
		}
		for _, e := range body.Records {
			n.entries++
			if bytes.HasPrefix(e.Data, []byte("\xf3\x89\x9a\xc2")) {
				n.aggregates++
			}
			if e.ExplicitHashKey != nil {
				n.hashes++
			}
		}
		return next()
	})).From("producer")
	return n
}

func TestAnAutoStreamGetsNoAggregateAndNoExplicitHashKey(t *testing.T) {
	for name, cfg := range map[string]producer.Config{"default": {}, "ordered": {Ordered: true}, "one request": {InFlight: 1}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 0, cfg, func(w *world) {
				w.onDemand(types.RecordDistributionStrategyAuto)
				sent := w.watch()
				w.s.On("PutRecords", kinesistest.FailRecords("InternalFailure", 0.3)).Times(5)
				l := newLoad(w)
				for i := range 600 {
					l.put(fmt.Sprint("key", i%7))
					if _, err := w.p.Put(context.Background(), producer.Record{PartitionKey: "k", ExplicitHashKey: "7"}); err != nil {
						w.Fatal(err)
					}
				}
				w.flush()
				time.Sleep(5 * time.Second)
				w.ready()
				time.Sleep(5 * time.Second)
				l.check()
				if sent.entries < 100 || sent.aggregates+sent.hashes > 0 {
					w.Errorf("sent %+v", *sent)
				}
				if n := w.s.Calls("ListShards"); n != 2 { // one is the test's: that records are anywhere is no news
					w.Errorf("%d listings", n)
				}
			})
		})
	}
}

func TestRecordsGoAloneWhileTheDistributionIsNotKnown(t *testing.T) {
	bubble(t, 0, producer.Config{}, func(w *world) {
		w.onDemand(types.RecordDistributionStrategyUserPartitionKey)
		sent := w.watch()
		w.s.On("DescribeStreamSummary", kinesistest.Status(500)).From("producer").For(20 * time.Second)
		l := newLoad(w)
		for range 10 {
			l.put("key")
			l.put("other")
			if _, err := w.p.Put(context.Background(), producer.Record{PartitionKey: "k", ExplicitHashKey: "7"}); err != nil {
				w.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		w.flush()
		if sent.entries != 30 || sent.aggregates > 0 || sent.hashes != 10 {
			w.Errorf("sent %+v", *sent)
		}
		for range 90 {
			l.put("key")
			l.put("key")
			time.Sleep(time.Second)
		}
		w.flush()
		l.check()
		if sent.aggregates < 45 {
			w.Errorf("sent %+v", *sent)
		}
	})
}

// The aggregates that were sent meanwhile are sent again, as records alone: nothing is lost.
func TestAFlipToAutoIsNoticedByThreeUnexpectedShards(t *testing.T) {
	bubble(t, 0, producer.Config{}, func(w *world) {
		w.onDemand(types.RecordDistributionStrategyUserPartitionKey)
		sent := w.watch()
		l := newLoad(w)
		put := func(d, every time.Duration) {
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(every) {
				for i := range 20 {
					l.put(fmt.Sprint("key", i))
				}
			}
		}
		put(5*time.Second, 25*time.Millisecond)
		w.redistribute(types.RecordDistributionStrategyAuto)
		before := sent.aggregates
		put(10*time.Second, 25*time.Millisecond)
		until := sent.aggregates
		if until-before > 40 {
			w.Errorf("%d aggregates sent after the flip", until-before)
		}
		put(10*time.Second, 25*time.Millisecond)
		w.flush()
		if sent.aggregates > until {
			w.Errorf("%d aggregates sent after it was noticed", sent.aggregates-until)
		}
		w.redistribute(types.RecordDistributionStrategyUserPartitionKey)
		put(7*time.Minute, 2*time.Second)
		w.flush()
		if sent.aggregates == until {
			w.Error("no aggregates after the flip back")
		}
		l.check()
	})
}

// Few records: none of them may be on an unexpected shard, and the regular look has to find out.
func TestAFlipToAutoIsNoticedWithinOneRefresh(t *testing.T) {
	bubble(t, 0, producer.Config{}, func(w *world) {
		w.onDemand(types.RecordDistributionStrategyUserPartitionKey)
		w.ready()
		w.redistribute(types.RecordDistributionStrategyAuto)
		time.Sleep(6 * time.Minute)
		w.ready() // makes the producer look
		sent := w.watch()
		w.put("a", "1")
		w.put("a", "2")
		w.flush()
		if sent.entries != 2 || sent.aggregates+sent.hashes > 0 {
			w.Errorf("sent %+v", *sent)
		}
	})
}

// An aggregate that waits for its next attempt, or is under way in vain, when the stream turns out to be AUTO is taken apart.
func TestAnAggregateThatFailedIsNotSentToAnAutoStream(t *testing.T) {
	for name, took := range map[string]time.Duration{"waits": 0, "under way": time.Minute} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 0, producer.Config{RequestTimeout: 2 * time.Minute}, func(w *world) {
				w.onDemand(types.RecordDistributionStrategyUserPartitionKey)
				w.ready()
				outage := w.s.On("PutRecords", kinesistest.Do(func(context.Context, *kinesistest.Request, func() kinesistest.Reply) kinesistest.Reply {
					time.Sleep(took)
					return kinesistest.Reply{Status: 500, Body: []byte("{}")}
				})).From("producer")
				l := newLoad(w)
				for i := range 40 {
					l.put(fmt.Sprint(i % 4))
				}
				time.Sleep(time.Minute)
				w.redistribute(types.RecordDistributionStrategyAuto)
				var sent *sent
				w.s.On("DescribeStreamSummary", kinesistest.Do(func(_ context.Context, _ *kinesistest.Request, next func() kinesistest.Reply) kinesistest.Reply {
					outage.Remove()
					sent = w.watch()
					return next()
				})).From("producer").Times(1)
				w.flush()
				l.check()
				if sent == nil || sent.entries < 40 || sent.aggregates+sent.hashes > 0 {
					w.Errorf("sent %+v", sent)
				}
				for _, r := range w.s.Records(stream) {
					if _, err := aggregation.Decode(nil, r.Data); !errors.Is(err, aggregation.ErrNotAggregate) {
						w.Error("an aggregate is stored")
					}
				}
			})
		})
	}
}

// Whoever cannot say how the stream distributes records holds nothing up for long.
func TestADescriptionWithoutAnAnswerHoldsRecordsUpForTwoSeconds(t *testing.T) {
	bubble(t, 1, producer.Config{}, func(w *world) {
		w.s.On("DescribeStreamSummary", kinesistest.Delay(time.Hour)).From("producer")
		start := time.Now()
		w.ready()
		if took := time.Since(start); took > 2500*time.Millisecond {
			w.Errorf("took %v", took)
		}
	})
}

// Keys mean nothing there, and are often all the same: the rate of one shard must not be that of the stream.
func TestAnAutoStreamIsWrittenAtTheRateOfAllItsShards(t *testing.T) {
	bubble(t, 0, producer.Config{RateLimit: 100}, func(w *world) {
		w.onDemand(types.RecordDistributionStrategyAuto)
		w.ready()
		start := time.Now()
		for range 1600 {
			if _, err := w.p.Put(context.Background(), producer.Record{PartitionKey: "same", Data: make([]byte, 50_000)}); err != nil {
				w.Fatal(err)
			}
		}
		w.flush()
		// 76 MiB, of which four shards take 4 a second: after the start, in which rates are looked for.
		if took := time.Since(start); took > 50*time.Second {
			w.Errorf("took %v", took)
		}
	})
}

// What was meant for anywhere, and failed, belongs to the shard of its key when the stream goes by keys again.
func TestRecordsGoToTheShardsOfTheirKeysAfterAnAutoStreamIsNone(t *testing.T) {
	for name, took := range map[string]time.Duration{"waits": 0, "under way": time.Minute} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 0, producer.Config{RequestTimeout: 2 * time.Minute}, func(w *world) {
				w.onDemand(types.RecordDistributionStrategyAuto)
				w.ready()
				outage := w.s.On("PutRecords", kinesistest.Do(func(context.Context, *kinesistest.Request, func() kinesistest.Reply) kinesistest.Reply {
					time.Sleep(took)
					return kinesistest.Reply{Status: 500, Body: []byte("{}")}
				})).From("producer")
				l := newLoad(w)
				for i := range 40 {
					l.put(fmt.Sprint("key", i))
				}
				time.Sleep(time.Minute)
				w.redistribute(types.RecordDistributionStrategyUserPartitionKey)
				w.s.On("DescribeStreamSummary", kinesistest.Do(func(_ context.Context, _ *kinesistest.Request, next func() kinesistest.Reply) kinesistest.Reply {
					outage.Remove()
					return next()
				})).From("producer").Times(1)
				w.flush()
				l.check()
				shards, err := w.look.ListShards(context.Background(), &kinesis.ListShardsInput{StreamName: aws.String(stream)})
				if err != nil {
					w.Fatal(err)
				}
				for _, c := range w.contents() {
					for _, s := range shards.Shards {
						r, err := shard.ParseHashRange(*s.HashKeyRange.StartingHashKey, *s.HashKeyRange.EndingHashKey)
						if err != nil {
							w.Fatal(err)
						}
						if c.key != "ready" && *s.ShardId == c.shard && !r.Contains(shard.HashOf(c.key)) {
							w.Errorf("%s is in %s", c.key, c.shard)
						}
					}
				}
			})
		})
	}
}
