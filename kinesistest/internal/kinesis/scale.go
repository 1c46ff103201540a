package kinesis

import (
	"context"
	"sort"
	"time"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

// AWS's limits of UpdateShardCount.
const (
	mostScaled   = 10_000 // shards of one stream
	mostScalings = 10     // of a stream in 24 hours
)

type updateShardCountInput struct {
	target
	TargetShardCount *int32
	ScalingType      string
}

type updateShardCountOutput struct {
	StreamName, StreamARN               string
	CurrentShardCount, TargetShardCount int
}

func (s *Service) updateShardCount(_ context.Context, in *updateShardCountInput) (*updateShardCountOutput, *wire.Error) {
	var v violations
	v.oneOf("scalingType", in.ScalingType, "UNIFORM_SCALING")
	switch n := in.TargetShardCount; {
	case n == nil:
		v.add("targetShardCount", nil, "must not be null")
	case *n < 1:
		v.add("targetShardCount", *n, "must have value greater than or equal to 1")
	}
	if err := v.err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.active(in.target)
	if err != nil {
		return nil, err
	}
	if st.Mode != provisioned {
		return nil, notInMode(st, provisioned)
	}
	now := time.Now()
	current, wanted := len(st.serving), int(*in.TargetShardCount)
	switch {
	case wanted > 2*current:
		return nil, invalid("UpdateShardCount cannot scale up over double your current open shard count. "+
			"Current open shard count: %d Target shard count: %d", current, wanted)
	case 2*wanted < current:
		return nil, invalid("UpdateShardCount cannot scale down below half your current open shard count. "+
			"Current open shard count: %d Target shard count: %d", current, wanted)
	case wanted > mostScaled:
		return nil, exceeded("Target shard count %d is more than the %d that a stream may be scaled to.", wanted, mostScaled)
	}
	if err := s.quota(max(wanted-current, 0)); err != nil {
		return nil, err
	}
	if err := s.daily(st, "UpdateShardCount", mostScalings, now); err != nil {
		return nil, err
	}
	if err := s.scale(st, wanted); err != nil {
		return nil, err
	}
	st.begin(statusUpdating, now, s.cfg.Transitions)
	return &updateShardCountOutput{st.name, st.arn, current, wanted}, nil
}

// scale splits and merges a stream's shards until n of equal size are open. Short-lived shards come and go on the way, as they do
// with AWS. The caller holds s.mu.
func (s *Service) scale(st *stream, n int) *wire.Error {
	if err := s.quota(max(n-len(st.serving), 0)); err != nil {
		return err
	}
	starts := evenly(n)
	for _, start := range starts[1:] {
		sh := st.owner(start)
		if near(start, sh.keys.start) || near(start, sh.keys.end) {
			continue
		}
		if _, _, err := s.split(st, sh, start); err != nil {
			return err
		}
	}
	for i := 1; i < len(st.serving); {
		start := st.serving[i].keys.start
		j := sort.Search(len(starts), func(j int) bool { return starts[j].compare(start) >= 0 })
		if j < len(starts) && near(starts[j], start) || near(starts[j-1], start) {
			i++
			continue
		}
		if _, err := s.merge(st, st.serving[i-1], st.serving[i]); err != nil {
			return err
		}
	}
	return nil
}

// near takes for one boundary what differs by rounding alone: halves of thirds are not exactly sixths. No shard is so small: 20,000
// of them have more than 2^113 hash keys each.
func near(a, b hashKey) bool {
	if a.compare(b) < 0 {
		a, b = b, a
	}
	return a.minus(b).hi == 0
}
