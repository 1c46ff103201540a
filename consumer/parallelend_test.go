package consumer_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/kinesiskit/kinesiskit/consumer"
)

// On a stream that spreads its records by itself they may have no key, and then nothing tells which of them may be worked on at the same time.
func TestRecordsWithoutAKeyComeOneAfterTheOther(t *testing.T) {
	bubble(t, 0, func(f *fleet) {
		_, err := f.api.CreateStream(context.Background(), &kinesis.CreateStreamInput{
			StreamName: ptr(streamName), StreamModeDetails: &types.StreamModeDetails{StreamMode: types.StreamModeOnDemand},
			RecordDistributionStrategy: types.RecordDistributionStrategyAuto,
		})
		if err != nil {
			t.Fatal(err)
		}
		core, logs := observer.New(zap.WarnLevel)
		var c crowd
		f.run(wide("w1", 4), consumer.Each(func(_ context.Context, r *consumer.Record) error {
			defer c.enter(r.Shard().ID() + r.PartitionKey)()
			time.Sleep(time.Second)
			f.note("w1", r)
			return nil
		}), consumer.WithLogger(zap.New(core)))
		for i := range 40 {
			if _, err := f.api.PutRecord(context.Background(), &kinesis.PutRecordInput{StreamName: ptr(streamName), Data: fmt.Append(nil, i)}); err != nil {
				t.Fatal(err)
			}
		}
		f.delivered(40)
		if len(c.doubled) > 0 {
			t.Errorf("%q at the same time", c.doubled)
		}
		const warned = "records without a partition key come one after the other: ParallelizationFactor has no effect on them"
		f.until("warned", 10*time.Minute, func() bool { return logs.FilterMessage(warned).Len() == 1 })
	})
}

func TestABoundedReplayWaitsForEveryKey(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("bad", "b")
		f.put("good", "a")
		time.Sleep(time.Minute)
		cfg := wide("w1", 2)
		cfg.End = time.Now()
		var calls atomic.Int32
		w := f.run(cfg, consumer.Each(func(_ context.Context, r *consumer.Record) error {
			if calls.Add(1) < 10 && r.PartitionKey == "bad" {
				return errUser
			}
			f.note("w1", r)
			return nil
		}))
		w.ends(5 * time.Minute)
		f.want("a", "b")
	})
}
