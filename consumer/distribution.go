package consumer

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"go.uber.org/zap"

	"github.com/kinesiskit/kinesiskit/consumer/internal/fetch"
	"github.com/kinesiskit/kinesiskit/internal/awsx"
	"github.com/kinesiskit/kinesiskit/internal/retry"
)

const (
	// distributionEvery is the time between two looks, as KPL has it. An operator can change the distribution at any time.
	distributionEvery = 5 * time.Minute

	// distributionLife is how long an answer is good for when there are no newer ones.
	distributionLife = 3 * distributionEvery

	// distributionSpread is the time over which the first looks of a fleet are spread, for each shard, since there are seldom more workers than shards. All
	// callers of an account have 20 calls a second of DescribeStreamSummary (AWS limit); this leaves half of them.
	distributionSpread = 100 * time.Millisecond

	distributionTimeout = 10 * time.Second
)

// distribution is what this consumer knows of how the stream spreads its records over its shards: by their keys, or by itself (AUTO). Under AUTO a record's
// shard says nothing about its keys, so nothing may be filtered.
type distribution struct {
	api    KinesisAPI
	stream fetch.Stream
	log    *zap.Logger
	rng    *rand.Rand

	parallel bool // several records of a shard at a time are asked for, by keys that such a stream's records may not have

	mu     sync.Mutex
	byKeys bool
	read   time.Time // zero: not yet
}

// keys reports whether records are known to be where their keys say.
func (d *distribution) keys() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.byKeys && time.Since(d.read) < distributionLife
}

// watch looks again and again until ctx ends.
func (d *distribution) watch(ctx context.Context, shards int) {
	backoff := retry.NewBackoff(d.rng, startBackoff, distributionEvery)
	wait := time.Duration(d.rng.Int64N(int64(min(distributionEvery, time.Duration(shards)*distributionSpread)) + 1))
	for told := false; retry.Sleep(ctx, wait) == nil; {
		switch err := d.look(ctx); {
		case ctx.Err() != nil:
			return
		case err != nil:
			wait = backoff.Next()
			if !told && awsx.Classify(err) != awsx.Throttle {
				told = true
				d.log.Warn("distribution strategy of the stream cannot be read: without it no aggregate is filtered", zap.Error(err))
			}
		default:
			backoff.Reset()
			told = false
			wait = distributionEvery*4/5 + time.Duration(d.rng.Int64N(int64(distributionEvery*2/5)))
		}
	}
}

// look asks once.
func (d *distribution) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, distributionTimeout)
	defer cancel()
	in := &kinesis.DescribeStreamSummaryInput{}
	in.StreamName, in.StreamARN = d.stream.Reference()
	out, err := d.api.DescribeStreamSummary(ctx, in, awsx.KinesisOnce)
	if err != nil {
		return fmt.Errorf("describe stream summary: %w", err)
	}
	if out.StreamDescriptionSummary == nil {
		return fmt.Errorf("describe stream summary: %w", errUnreadable)
	}
	// A region that does not know the setting does not tell it either.
	strategy := out.StreamDescriptionSummary.RecordDistributionStrategy
	byKeys := strategy == "" || strategy == types.RecordDistributionStrategyUserPartitionKey
	d.mu.Lock()
	changed := d.read.IsZero() || byKeys != d.byKeys
	d.byKeys, d.read = byKeys, time.Now()
	d.mu.Unlock()
	if changed && !byKeys {
		d.log.Info("stream spreads its records by itself: no aggregate is filtered", zap.String("strategy", string(strategy)))
		if d.parallel {
			d.log.Warn("records without a partition key come one after the other: ParallelizationFactor has no effect on them")
		}
	}
	return nil
}
