package consumer

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"go.uber.org/zap"
)

// Option is something that a Consumer can do without: made by WithLogger, WithHooks, WithErrorPolicy, WithSeed.
type Option interface{ consumerOption() }

type option func(*Consumer)

func (option) consumerOption() {}

// WithLogger sets where state changes are told: starts, stops, leases won and lost, errors that begin and end. Payloads are never logged.
// Default: nowhere.
func WithLogger(l *zap.Logger) Option {
	return option(func(c *Consumer) {
		if l != nil {
			c.log = l
		}
	})
}

// WithHooks adds hooks. It may be given more than once: hooks are called in the order in which they were given.
func WithHooks(h Hooks) Option {
	return option(func(c *Consumer) { c.hooks = append(c.hooks, h) })
}

// WithErrorPolicy sets what follows an error or a panic of your code. A policy that moves what keeps failing to a dead-letter queue takes five lines:
//
//	consumer.WithErrorPolicy(func(ctx context.Context, f *consumer.Failure) consumer.Verdict {
//		if f.Attempt < 5 || deadLetter(ctx, f.Records) != nil {
//			return consumer.Retry
//		}
//		return consumer.Skip
//	})
//
// Default: always Retry. nil is the default.
func WithErrorPolicy(p ErrorPolicy) Option {
	return option(func(c *Consumer) { c.policy = p })
}

// WithSeed fixes every random choice, delays and the owner's suffix included: two runs with the same seed, against a server that behaves in
// the same way, make the same calls. Two workers must not have the same seed and the same Config.Worker. Default: a seed of its own for each Consumer.
func WithSeed(seed uint64) Option {
	return option(func(c *Consumer) { c.seed = seed })
}

// KinesisAPI is what a Consumer calls; *kinesis.Client implements it. It may gain methods in a minor version: embed *kinesis.Client when wrapping.
// The consumer does its own retries and turns those of the client off for its calls.
type KinesisAPI interface {
	ListShards(ctx context.Context, in *kinesis.ListShardsInput, opts ...func(*kinesis.Options)) (*kinesis.ListShardsOutput, error)
	GetShardIterator(ctx context.Context, in *kinesis.GetShardIteratorInput, opts ...func(*kinesis.Options)) (*kinesis.GetShardIteratorOutput, error)
	GetRecords(ctx context.Context, in *kinesis.GetRecordsInput, opts ...func(*kinesis.Options)) (*kinesis.GetRecordsOutput, error)

	DescribeStreamSummary(ctx context.Context, in *kinesis.DescribeStreamSummaryInput, opts ...func(*kinesis.Options)) (*kinesis.DescribeStreamSummaryOutput, error)

	// Only with Config.FanOut.

	DescribeStreamConsumer(ctx context.Context, in *kinesis.DescribeStreamConsumerInput, opts ...func(*kinesis.Options)) (*kinesis.DescribeStreamConsumerOutput, error)
	RegisterStreamConsumer(ctx context.Context, in *kinesis.RegisterStreamConsumerInput, opts ...func(*kinesis.Options)) (*kinesis.RegisterStreamConsumerOutput, error)
	DeregisterStreamConsumer(ctx context.Context, in *kinesis.DeregisterStreamConsumerInput, opts ...func(*kinesis.Options)) (*kinesis.DeregisterStreamConsumerOutput, error)
	SubscribeToShard(ctx context.Context, in *kinesis.SubscribeToShardInput, opts ...func(*kinesis.Options)) (*kinesis.SubscribeToShardOutput, error)
}
