package producer

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"go.uber.org/zap"

	"github.com/kinesiskit/kinesiskit/internal/awsx"
	"github.com/kinesiskit/kinesiskit/producer/internal/route"
)

// describeTimeout bounds one DescribeStreamSummary, if Config.RequestTimeout is not less: the first records wait for it, and can go without.
const describeTimeout = 2 * time.Second

// description is what there is to know about a stream beside its shards.
type description struct {
	stream    *stream
	spread    route.Spread
	maxRecord int64 // bytes; 0: not said
	answered  bool  // also by a refusal
}

// describe learns the largest record that the stream takes and how it distributes records. An identity that may not describe the stream can write to it: then
// it is taken for what streams always were.
func (p *Producer) describe(s *stream) {
	ctx, cancel := context.WithTimeout(p.ctx, min(describeTimeout, p.cfg.RequestTimeout))
	defer cancel()
	in := &kinesis.DescribeStreamSummaryInput{}
	in.StreamName, in.StreamARN = s.target()
	out, err := p.kinesis.DescribeStreamSummary(ctx, in, awsx.KinesisOnce)
	d := description{stream: s, spread: route.SpreadByKeys, answered: true}
	switch {
	case err != nil:
		class := awsx.Classify(err)
		d.answered = class == awsx.Denied || class == awsx.Invalid
	case out.StreamDescriptionSummary != nil:
		summary := out.StreamDescriptionSummary
		d.maxRecord = int64(aws.ToInt32(summary.MaxRecordSizeInKiB)) << 10
		if summary.RecordDistributionStrategy == types.RecordDistributionStrategyAuto {
			d.spread = route.SpreadAuto
		}
	}
	p.inbox.description(d)
}

// described takes a description. The engine's lock is held.
func (s *stream) described(d description, now time.Time) {
	s.watch.Done(now, d.answered)
	if !d.answered {
		return
	}
	if d.maxRecord > 0 {
		s.maxRecord.Store(d.maxRecord)
	}
	if was := s.core.Spread(); was != d.spread {
		s.core.SetSpread(d.spread)
		if was != route.SpreadUnknown || d.spread == route.SpreadAuto {
			s.log.Info("distribution of records", zap.Bool("automatic", d.spread == route.SpreadAuto))
		}
	}
}
