package producer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"go.uber.org/zap"

	"github.com/kinesiskit/kinesiskit/internal/awsx"
	"github.com/kinesiskit/kinesiskit/producer/internal/route"
	"github.com/kinesiskit/kinesiskit/producer/internal/send"
	"github.com/kinesiskit/kinesiskit/shard"
)

const (
	// describeEvery is how often the stream's maximum record size is asked for, together with a listing of the shards. It changes rarely, and
	// DescribeStreamSummary is limited to 20 calls a second in an account.
	describeEvery = 5 * time.Minute

	// missingGrace is how long ListShards may report the stream missing before records fail: one that was just created is not known everywhere at once.
	missingGrace = 2 * time.Second
)

type listing struct {
	shards []shard.Shard
	err    error
}

// list lists the shards and, from time to time, describes the stream. Only one runs until it has delivered its listing, so one describes at most every
// describeEvery, but for a call that outlasts the next listing.
func (p *Producer) list(full bool) {
	shards, err := p.listShards(full)
	p.inbox.listing(listing{shards, err})
	if err == nil && time.Since(time.Unix(0, p.described.Load())) >= describeEvery {
		p.describe()
	}
}

// describe learns the stream's maximum record size. Nothing else depends on it: an identity that may not describe the stream can write to it.
func (p *Producer) describe() {
	ctx, cancel := context.WithTimeout(p.ctx, p.cfg.RequestTimeout)
	defer cancel()
	in := &kinesis.DescribeStreamSummaryInput{}
	in.StreamName, in.StreamARN = p.target()
	out, err := p.kinesis.DescribeStreamSummary(ctx, in, awsx.KinesisOnce)
	if err != nil || out.StreamDescriptionSummary == nil {
		return // again with the next listing
	}
	p.described.Store(time.Now().UnixNano())
	if kib := aws.ToInt32(out.StreamDescriptionSummary.MaxRecordSizeInKiB); kib > 0 {
		p.maxRecord.Store(int64(kib) << 10)
	}
}

func (p *Producer) listShards(full bool) ([]shard.Shard, error) {
	var shards []shard.Shard
	in := &kinesis.ListShardsInput{}
	in.StreamName, in.StreamARN = p.target()
	if !full {
		in.ShardFilter = &types.ShardFilter{Type: types.ShardFilterTypeAtLatest}
	}
	for {
		ctx, cancel := context.WithTimeout(p.ctx, p.cfg.RequestTimeout)
		out, err := p.kinesis.ListShards(ctx, in, awsx.KinesisOnce)
		cancel()
		if err != nil {
			return nil, fmt.Errorf("producer: list shards of %s: %w", p.cfg.Stream, err)
		}
		for _, s := range out.Shards {
			converted, err := convert(s)
			if err != nil {
				return nil, fmt.Errorf("producer: list shards of %s: shard %s: %w", p.cfg.Stream, aws.ToString(s.ShardId), err)
			}
			shards = append(shards, converted)
		}
		if aws.ToString(out.NextToken) == "" {
			return shards, nil
		}
		// The token stands for stream and filter; the service refuses it beside a name.
		in = &kinesis.ListShardsInput{NextToken: out.NextToken}
		_, in.StreamARN = p.target()
	}
}

func convert(s types.Shard) (shard.Shard, error) {
	if s.HashKeyRange == nil {
		return shard.Shard{}, errors.New("no hash key range")
	}
	hashes, err := shard.ParseHashRange(aws.ToString(s.HashKeyRange.StartingHashKey), aws.ToString(s.HashKeyRange.EndingHashKey))
	if err != nil {
		return shard.Shard{}, err
	}
	out := shard.Shard{ID: aws.ToString(s.ShardId), Range: hashes}
	if s.SequenceNumberRange != nil {
		out.First = aws.ToString(s.SequenceNumberRange.StartingSequenceNumber)
		out.Last = aws.ToString(s.SequenceNumberRange.EndingSequenceNumber)
	}
	return out, nil
}

// listed takes a listing. The engine's lock is held.
func (p *Producer) listed(l listing, now time.Time, step *send.Step) ShardMapEvent {
	e := &p.engine
	old := e.core.Shards()
	m, err := old, l.err
	if err == nil {
		if m, err = route.Next(old, l.shards, now); err != nil {
			m, err = old, fmt.Errorf("producer: list shards of %s: %w", p.cfg.Stream, err)
		}
	}
	e.schedule.Done(now, err == nil)
	e.listingErr = err
	if err == nil {
		e.listingGone = time.Time{}
		e.core.SetMap(m, step)
	} else {
		p.listingFailed(err, now, step)
	}
	event := ShardMapEvent{Stream: p.cfg.Stream, Err: err}
	if m != nil {
		event.Shards, event.Version = len(m.Open()), m.Version()
		if old == nil || old.Version() != m.Version() {
			p.log.Info("shards", zap.Int("open", event.Shards), zap.Int64("version", event.Version))
		}
	}
	return event
}

// listingFailed gives up what cannot be sent if trying again soon is no use.
func (p *Producer) listingFailed(err error, now time.Time, step *send.Step) {
	e := &p.engine
	switch awsx.Classify(err) {
	case awsx.Denied, awsx.Invalid:
		e.core.Refuse(err, step)
	case awsx.Gone:
		if e.listingGone.IsZero() {
			e.listingGone = now
		}
		if end := e.listingGone.Add(missingGrace); now.Before(end) {
			e.schedule.NoLater(end)
		} else {
			e.core.Refuse(err, step)
		}
	default:
	}
}
