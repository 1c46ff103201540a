package reset

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesiskit/kinesiskit/aggregation"
	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/shard"
)

// pageLimit is the most records that GetRecords answers (AWS limit).
const pageLimit = 10_000

// since finds the place in a shard from which exactly the records that arrived at t or later are delivered.
func (s *stream) since(ctx context.Context, info shard.Shard, t, horizon time.Time) (goal, error) {
	g, found, ended, err := s.first(ctx, info, from(t, horizon))
	switch {
	case err != nil || found:
		g.why = "first since then"
		return g, err
	case ended && !info.Open():
		return goal{kind: finished, to: checkpoint.ShardEnd, why: "all of it is older"}, nil
	}
	// A shard that has ended although the listing has it open was resharded a moment ago. Behind its last record is right then, too: whoever continues
	// there finds the end and makes the children.
	return s.behindLast(ctx, info, t, horizon)
}

// oldest is a shard from its beginning; the first record is only looked at.
func (s *stream) oldest(ctx context.Context, info shard.Shard) (goal, error) {
	g, err := beginning(info, "oldest record")
	if err != nil {
		return goal{}, err
	}
	first, _, _, err := s.first(ctx, info, from(time.Time{}, time.Time{}))
	g.arrival = first.arrival
	return g, err
}

// from is where to look for what arrived at t or later. A time that the service may not know any more, or never knew, is not asked for.
func from(t, horizon time.Time) kinesis.GetShardIteratorInput {
	if !t.After(horizon) {
		return kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeTrimHorizon}
	}
	return kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeAtTimestamp, Timestamp: &t}
}

// first is the place before the first record there is.
func (s *stream) first(ctx context.Context, info shard.Shard, in kinesis.GetShardIteratorInput) (g goal, found, ended bool, err error) {
	var bad error
	ended, err = s.walk(ctx, info, in, 1, func(r *types.Record) bool {
		g, bad = before(r)
		found = true
		return false
	})
	return g, found, ended, errors.Join(err, bad)
}

// behindLast looks for the last record of a shard in which nothing has arrived since t, in steps back that grow: most shards had a record a moment ago, and a
// quiet one is read as a whole at worst.
func (s *stream) behindLast(ctx context.Context, info shard.Shard, t, horizon time.Time) (goal, error) {
	for back := time.Minute; ; back *= 10 {
		start := t.Add(-back)
		var last *types.Record
		var late goal
		var found bool
		var bad error
		_, err := s.walk(ctx, info, from(start, horizon), pageLimit, func(r *types.Record) bool {
			if !aws.ToTime(r.ApproximateArrivalTimestamp).Before(t) { // it arrived while we looked
				late, bad = before(r)
				found = true
				return false
			}
			last = r
			return true
		})
		if err = errors.Join(err, bad); err != nil {
			return goal{}, err
		}
		if found {
			late.why = "first since then"
			return late, nil
		}
		if last != nil {
			return behind(last)
		}
		if !start.After(horizon) {
			return beginning(info, "no record yet")
		}
	}
}

// before is the place that makes r, and all of the aggregate if it is one, the first that is delivered.
func before(r *types.Record) (goal, error) {
	p, err := checkpoint.At(aws.ToString(r.SequenceNumber), -1)
	if err != nil {
		return goal{}, fmt.Errorf("reset: record: %w", err)
	}
	return goal{kind: partly, to: p, arrival: aws.ToTime(r.ApproximateArrivalTimestamp)}, nil
}

// behind is the place after r, and after everything in it if it is an aggregate, entries that cannot be read included.
func behind(r *types.Record) (goal, error) {
	entries, err := aggregation.Decode(nil, r.Data)
	n := len(entries)
	var corrupt *aggregation.CorruptError
	if errors.As(err, &corrupt) {
		n += len(corrupt.Subs)
	}
	p, err := checkpoint.At(aws.ToString(r.SequenceNumber), int64(max(0, n-1)))
	if err != nil {
		return goal{}, fmt.Errorf("reset: record: %w", err)
	}
	return goal{kind: partly, to: p, why: "nothing since then"}, nil
}

// beginning is a shard from its first record on, whatever became of its parents' rows. TRIM_HORIZON says that only where there are no parents.
func beginning(info shard.Shard, why string) (goal, error) {
	g := goal{kind: partly, to: checkpoint.TrimHorizon, why: why}
	if len(info.Parents) == 0 {
		return g, nil
	}
	p, err := checkpoint.At(info.First, -1)
	if err != nil {
		return goal{}, fmt.Errorf("reset: shard %s: starting sequence number: %w", info.ID, err)
	}
	g.to = p
	return g, nil
}
