package kinesis

import (
	"context"
	"time"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

// close ends a shard: it takes no more records, and its ending sequence number is above all it has.
func (sh *shard) close(at time.Time) { sh.closed = at }

type splitShardInput struct {
	target
	ShardToSplit       string
	NewStartingHashKey string
}

func (s *Service) splitShard(_ context.Context, in *splitShardInput) (*nothing, *wire.Error) {
	at, ok := parseHashKey(in.NewStartingHashKey)
	if !ok {
		return nil, violation("newStartingHashKey", "Member must satisfy regular expression pattern: 0|([1-9]\\d{0,38})")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _, err := s.split(in.target, in.ShardToSplit, &at)
	return nil, err
}

// split makes two shards of one, at a hash key or in the middle. The caller holds s.mu.
func (s *Service) split(t target, id string, at *hashKey) (left, right *shard, err *wire.Error) {
	st, err := s.find(t)
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	sh, err := eligible(st, id, now)
	if err != nil {
		return nil, nil, err
	}
	if err := s.quota(1); err != nil {
		return nil, nil, err
	}
	if at == nil {
		middle := sh.keys.middle()
		at = &middle
	}
	// The service is this strict: neither half may be a single hash key.
	if at.compare(sh.keys.start.plus(1)) <= 0 || at.compare(sh.keys.end) >= 0 {
		return nil, nil, invalid("NewStartingHashKey %s does not lie far enough inside the range of shard %s, %s to %s.",
			at, sh.id, sh.keys.start, sh.keys.end)
	}
	// An ended shard must not be seen without its children, so all three steps are one instant.
	instant := st.instant(now)
	sh.close(instant)
	left = st.add(instant, s.nextEpoch(now), hashRange{sh.keys.start, at.minus(hashKey{0, 1})}, sh.id, "")
	right = st.add(instant, s.nextEpoch(now), hashRange{*at, sh.keys.end}, sh.id, "")
	st.route()
	return left, right, nil
}

type mergeShardsInput struct {
	target
	ShardToMerge, AdjacentShardToMerge string
}

func (s *Service) mergeShards(_ context.Context, in *mergeShardsInput) (*nothing, *wire.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.merge(in.target, in.ShardToMerge, in.AdjacentShardToMerge)
	return nil, err
}

// merge makes one shard of two neighbours, given in either order. The caller holds s.mu.
func (s *Service) merge(t target, a, b string) (*shard, *wire.Error) {
	st, err := s.find(t)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	first, err := eligible(st, a, now)
	if err != nil {
		return nil, err
	}
	second, err := eligible(st, b, now)
	if err != nil {
		return nil, err
	}
	low, high := first, second
	if low.keys.start.compare(high.keys.start) > 0 {
		low, high = high, low
	}
	if low.keys.end == lastHashKey || low.keys.end.plus(1) != high.keys.start {
		return nil, invalid("Shards %s and %s of stream %s under account %s are not neighbours.", a, b, st.name, Account)
	}
	instant := st.instant(now)
	first.close(instant)
	second.close(instant)
	child := st.add(instant, s.nextEpoch(now), hashRange{low.keys.start, high.keys.end}, first.id, second.id)
	st.route()
	return child, nil
}

// eligible returns a shard that can be split or merged.
func eligible(st *stream, id string, now time.Time) (*shard, *wire.Error) {
	sh, err := shardOf(st, id, now)
	if err != nil {
		return nil, err
	}
	if !sh.open() {
		return nil, invalid("Shard %s of stream %s under account %s has been split or merged already.", id, st.name, Account)
	}
	return sh, nil
}
