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

// missingGrace is how long ListShards may report the stream missing before records fail: one that was just created is not known everywhere at once.
const missingGrace = 2 * time.Second

type listing struct {
	stream *stream
	shards []shard.Shard
	err    error
}

func (p *Producer) list(s *stream, full bool) {
	shards, err := p.listShards(s, full)
	p.inbox.listing(listing{s, shards, err})
}

func (p *Producer) listShards(s *stream, full bool) ([]shard.Shard, error) {
	var shards []shard.Shard
	in := &kinesis.ListShardsInput{}
	in.StreamName, in.StreamARN = s.target()
	if !full {
		in.ShardFilter = &types.ShardFilter{Type: types.ShardFilterTypeAtLatest}
	}
	for {
		ctx, cancel := context.WithTimeout(p.ctx, p.cfg.RequestTimeout)
		out, err := p.kinesis.ListShards(ctx, in, awsx.KinesisOnce)
		cancel()
		if err != nil {
			return nil, fmt.Errorf("producer: list shards of %s: %w", s.name, err)
		}
		for _, one := range out.Shards {
			converted, err := convert(one)
			if err != nil {
				return nil, fmt.Errorf("producer: list shards of %s: shard %s: %w", s.name, aws.ToString(one.ShardId), err)
			}
			shards = append(shards, converted)
		}
		if aws.ToString(out.NextToken) == "" {
			return shards, nil
		}
		// The token stands for stream and filter; the service refuses it beside a name.
		in = &kinesis.ListShardsInput{NextToken: out.NextToken}
		_, in.StreamARN = s.target()
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
func (s *stream) listed(l listing, now time.Time, step *send.Step) ShardMapEvent {
	old := s.core.Shards()
	m, err := old, l.err
	if err == nil {
		if m, err = route.Next(old, l.shards, now); err != nil {
			m, err = old, fmt.Errorf("producer: list shards of %s: %w", s.name, err)
		}
	}
	s.schedule.Done(now, err == nil)
	s.listingErr = err
	if err == nil {
		s.listingGone = time.Time{}
		s.core.SetMap(m, step)
	} else {
		s.listingFailed(err, now, step)
	}
	event := ShardMapEvent{Stream: s.name, Err: err}
	if m != nil {
		event.Shards, event.Version = len(m.Open()), m.Version()
		if old == nil || old.Version() != m.Version() {
			s.log.Info("shards", zap.Int("open", event.Shards), zap.Int64("version", event.Version))
		}
	}
	return event
}

// listingFailed gives up what cannot be sent if trying again soon is no use.
func (s *stream) listingFailed(err error, now time.Time, step *send.Step) {
	switch awsx.Classify(err) {
	case awsx.Denied, awsx.Invalid:
		s.core.Refuse(err, step)
	case awsx.Gone:
		if s.listingGone.IsZero() {
			s.listingGone = now
		}
		if end := s.listingGone.Add(missingGrace); now.Before(end) {
			s.schedule.NoLater(end)
		} else {
			s.core.Refuse(err, step)
		}
	default:
	}
}
