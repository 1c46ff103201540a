package kinesis

import (
	"context"
	"time"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

// close ends a shard: it takes no more records, and its ending sequence number is above all it has.
func (sh *shard) close(at time.Time) {
	sh.closed = at
	sh.wakeAll()
}

type splitShardInput struct {
	target
	ShardToSplit       string
	NewStartingHashKey string
}

func (s *Service) splitShard(_ context.Context, in *splitShardInput) (*nothing, *wire.Error) {
	var v violations
	v.length("shardToSplit", in.ShardToSplit, 1, 128)
	if !decimalForm(in.NewStartingHashKey) {
		v.add("newStartingHashKey", in.NewStartingHashKey, "must satisfy regular expression pattern: 0|([1-9]\\d{0,38})")
	}
	if err := v.err(); err != nil {
		return nil, err
	}
	at, ok := parseHashKey(in.NewStartingHashKey)
	if !ok {
		return nil, invalid("NewStartingHashKey %s is not in the range [0, 2^128-1].", in.NewStartingHashKey)
	}
	return nil, s.reshard(in.target, func(st *stream) *wire.Error {
		if err := s.quota(1); err != nil {
			return err
		}
		sh, err := s.eligible(st, in.ShardToSplit)
		if err != nil {
			return err
		}
		_, _, err = s.split(st, sh, at)
		return err
	})
}

// reshard does something to the shards of an ACTIVE provisioned stream, which is UPDATING thereafter.
func (s *Service) reshard(t target, do func(*stream) *wire.Error) *wire.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.active(t)
	if err != nil {
		return err
	}
	if st.Mode != provisioned {
		return notInMode(st, provisioned)
	}
	if err := do(st); err != nil {
		return err
	}
	st.begin(statusUpdating, time.Now(), s.cfg.Transitions)
	return nil
}

// split makes two shards of one at a hash key. The caller holds s.mu.
func (s *Service) split(st *stream, sh *shard, at hashKey) (left, right *shard, err *wire.Error) {
	// The service is this strict: neither half may be a single hash key.
	if at.compare(sh.keys.start.plus(1)) <= 0 || at.compare(sh.keys.end) >= 0 {
		return nil, nil, invalid("NewStartingHashKey %s used in SplitShard() on shard %s in stream %s under account %s is not both greater than "+
			"one plus the shard's StartingHashKey %s and less than the shard's EndingHashKey %s.",
			at, sh.id, st.name, s.cfg.Account, sh.keys.start, sh.keys.end)
	}
	// An ended shard must not be seen without its children, so all three steps are one instant.
	now := time.Now()
	instant := st.instant(now)
	sh.close(instant)
	left = st.add(instant, s.nextEpoch(now), hashRange{sh.keys.start, at.minus(hashKey{0, 1})}, sh.id, "")
	right = st.add(instant, s.nextEpoch(now), hashRange{at, sh.keys.end}, sh.id, "")
	st.route()
	return left, right, nil
}

type mergeShardsInput struct {
	target
	ShardToMerge, AdjacentShardToMerge string
}

func (s *Service) mergeShards(_ context.Context, in *mergeShardsInput) (*nothing, *wire.Error) {
	var v violations
	v.length("shardToMerge", in.ShardToMerge, 1, 128)
	v.length("adjacentShardToMerge", in.AdjacentShardToMerge, 1, 128)
	if err := v.err(); err != nil {
		return nil, err
	}
	return nil, s.reshard(in.target, func(st *stream) *wire.Error {
		_, err := s.mergeByID(st, in.ShardToMerge, in.AdjacentShardToMerge)
		return err
	})
}

func (s *Service) mergeByID(st *stream, a, b string) (*shard, *wire.Error) {
	first, err := s.eligible(st, a)
	if err != nil {
		return nil, err
	}
	second, err := s.eligible(st, b)
	if err != nil {
		return nil, err
	}
	return s.merge(st, first, second)
}

// merge makes one shard of two neighbours, given in either order. The caller holds s.mu.
func (s *Service) merge(st *stream, first, second *shard) (*shard, *wire.Error) {
	low, high := first, second
	if low.keys.start.compare(high.keys.start) > 0 {
		low, high = high, low
	}
	if low.keys.end == lastHashKey || low.keys.end.plus(1) != high.keys.start {
		return nil, invalid("Shards %s and %s in stream %s under account %s are not an adjacent pair of shards eligible for merging",
			first.id, second.id, st.name, s.cfg.Account)
	}
	now := time.Now()
	instant := st.instant(now)
	first.close(instant)
	second.close(instant)
	child := st.add(instant, s.nextEpoch(now), hashRange{low.keys.start, high.keys.end}, first.id, second.id)
	st.route()
	return child, nil
}

// eligible returns a shard that can be split or merged. The caller holds s.mu.
func (s *Service) eligible(st *stream, id string) (*shard, *wire.Error) {
	sh, err := s.shardOf(st, id, time.Now())
	if err != nil {
		return nil, err
	}
	if !sh.open() {
		return nil, invalid("Shard %s in stream %s under account %s has already been merged or split, and thus is not eligible for merging or splitting.",
			id, st.name, s.cfg.Account)
	}
	return sh, nil
}
