package kinesis

import (
	"context"
	"strconv"
	"time"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

// mostShards is how many shards a page of ListShards has at most; MaxResults may go to 10,000 without getting more.
const mostShards = 1000

type hashKeyRange struct{ StartingHashKey, EndingHashKey string }

type sequenceNumberRange struct {
	StartingSequenceNumber string
	EndingSequenceNumber   string `json:",omitempty"`
}

// shardView is a shard as ListShards shows it.
type shardView struct {
	ShardId               string
	ParentShardId         string `json:",omitempty"`
	AdjacentParentShardId string `json:",omitempty"`
	HashKeyRange          hashKeyRange
	SequenceNumberRange   sequenceNumberRange
}

func (sh *shard) view() shardView {
	v := shardView{
		ShardId: sh.id, ParentShardId: sh.parent, AdjacentParentShardId: sh.adjacent,
		HashKeyRange: hashKeyRange{sh.keys.start.String(), sh.keys.end.String()},
	}
	v.SequenceNumberRange.StartingSequenceNumber = sh.sequence.starting()
	if !sh.open() {
		v.SequenceNumberRange.EndingSequenceNumber = sh.sequence.ending(sh.count())
	}
	return v
}

// childShard is a shard as the last page of its parent shows it.
type childShard struct {
	ShardId      string
	ParentShards []string
	HashKeyRange hashKeyRange
}

func childShards(views []shardView) []childShard {
	out := make([]childShard, len(views))
	for i, v := range views {
		out[i] = childShard{ShardId: v.ShardId, ParentShards: []string{v.ParentShardId}, HashKeyRange: v.HashKeyRange}
		if v.AdjacentParentShardId != "" {
			out[i].ParentShards = append(out[i].ParentShards, v.AdjacentParentShardId)
		}
	}
	return out
}

type shardFilter struct {
	Type      string
	ShardId   string
	Timestamp *float64
}

type listShardsInput struct {
	target
	NextToken               string
	ExclusiveStartShardId   string
	MaxResults              *int32
	StreamCreationTimestamp *float64
	ShardFilter             *shardFilter
}

type listShardsOutput struct {
	Shards    []shardView
	NextToken string `json:",omitempty"`
}

// listing is a request to list shards, wherever it comes from: a NextToken carries one on.
type listing struct {
	target
	streamID uint64 // 0: whichever stream has the name
	filter   string
	at       int64 // Unix milliseconds, for the filters by time
	after    string
}

func (l listing) token(now time.Time) string {
	return seal(shardsToken, l.StreamName, strconv.FormatUint(l.streamID, 36), l.filter,
		strconv.FormatInt(l.at, 36), l.after, strconv.FormatInt(now.UnixMilli(), 36))
}

// resume reads a NextToken, which stands for stream and filter: AWS refuses to have them beside it.
func (in *listShardsInput) resume(now time.Time) (listing, *wire.Error) {
	if in.StreamName != "" || in.ExclusiveStartShardId != "" || in.StreamCreationTimestamp != nil || in.ShardFilter != nil {
		return listing{}, invalid("NextToken cannot be given together with " +
			"StreamName, StreamCreationTimestamp, ExclusiveStartShardId or ShardFilter.")
	}
	parts, ok := unseal(shardsToken, in.NextToken)
	if !ok {
		return listing{}, invalid("NextToken is invalid.")
	}
	if now.UnixMilli()-int64(number(parts[5])) > tokenLife.Milliseconds() {
		return listing{}, failure("ExpiredNextTokenException", "The NextToken is more than %v old.", tokenLife)
	}
	return listing{
		target:   target{StreamName: parts[0], StreamARN: in.StreamARN},
		streamID: number(parts[1]), filter: parts[2], at: int64(number(parts[3])), after: parts[4],
	}, nil
}

func (in *listShardsInput) listing(now time.Time) (listing, *wire.Error) {
	if in.NextToken != "" {
		return in.resume(now)
	}
	l := listing{target: in.target, after: in.ExclusiveStartShardId, filter: "FROM_TRIM_HORIZON"}
	f := in.ShardFilter
	if f == nil {
		return l, nil
	}
	switch l.filter = f.Type; f.Type {
	case "AT_LATEST", "AT_TRIM_HORIZON", "FROM_TRIM_HORIZON":
	case "AFTER_SHARD_ID":
		if f.ShardId == "" {
			return listing{}, invalid("ShardFilter AFTER_SHARD_ID needs a ShardId.")
		}
		l.after = max(l.after, f.ShardId)
	case "AT_TIMESTAMP", "FROM_TIMESTAMP":
		if f.Timestamp == nil {
			return listing{}, invalid("ShardFilter %s needs a Timestamp.", f.Type)
		}
		at, err := millis(*f.Timestamp, now)
		if err != nil {
			return listing{}, err
		}
		l.at = at
	default:
		var v violations
		v.oneOf("shardFilter.type", f.Type,
			"AFTER_SHARD_ID", "AT_TRIM_HORIZON", "FROM_TRIM_HORIZON", "AT_LATEST", "AT_TIMESTAMP", "FROM_TIMESTAMP")
		return listing{}, v.err()
	}
	return l, nil
}

func (s *Service) listShards(ctx context.Context, in *listShardsInput) (*listShardsOutput, *wire.Error) {
	most, err := pageOf(in.MaxResults, mostShards, "maxResults")
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	l, err := in.listing(now)
	if err != nil {
		return nil, err
	}
	st, err := s.in(l.target, statusActive, statusUpdating)
	if err != nil {
		return nil, err
	}
	created := in.StreamCreationTimestamp
	if l.streamID != 0 && l.streamID != st.id || created != nil && int64(*created*1000+0.5) != st.created.UnixMilli() {
		return nil, notFound("The stream %s under account %s is a later one of that name.", st.name, s.cfg.Account)
	}
	l.StreamName, l.streamID = st.name, st.id
	st.expire(now)
	found := st.list(l, most+1, now, s.lag(ctx))
	out := &listShardsOutput{Shards: found}
	if len(found) > most {
		out.Shards = found[:most]
		l.after = found[most-1].ShardId
		out.NextToken = l.token(now)
	}
	return out, nil
}

// list picks at most n shards of a listing as they were age ago: later ones are not there yet, and those closed since are open still.
func (st *stream) list(l listing, n int, now time.Time, age time.Duration) []shardView {
	asOf := st.last
	if age > 0 {
		if asOf = now.Add(-age); asOf.Before(st.created) {
			asOf = st.created
		}
	}
	horizon := st.horizon(now)
	at := time.UnixMilli(l.at)
	if at.Before(horizon) {
		at = horizon
	}
	found := []shardView{}
	for _, sh := range st.shards {
		if sh.created.After(asOf) || sh.id <= l.after || len(found) == n {
			continue
		}
		open := sh.open() || sh.closed.After(asOf)
		openAt := func(t time.Time) bool { return !sh.created.After(t) && (open || !sh.closed.Before(t)) }
		listed := true
		switch l.filter {
		case "AT_LATEST":
			listed = open
		case "AT_TRIM_HORIZON":
			listed = openAt(horizon)
		case "AT_TIMESTAMP":
			listed = openAt(at)
		case "FROM_TIMESTAMP":
			listed = open || !sh.closed.Before(at)
		}
		if !listed {
			continue
		}
		v := sh.view()
		if open {
			v.SequenceNumberRange.EndingSequenceNumber = ""
		}
		found = append(found, v)
	}
	return found
}
