package kinesis

import (
	"time"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

// Split splits a shard in the middle.
func (s *Service) Split(stream, id string) (left, right string, err *wire.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.find(target{StreamName: stream})
	if err != nil {
		return "", "", err
	}
	if err := s.quota(1); err != nil {
		return "", "", err
	}
	sh, err := s.eligible(st, id)
	if err != nil {
		return "", "", err
	}
	l, r, err := s.split(st, sh, sh.keys.middle())
	if err != nil {
		return "", "", err
	}
	return l.id, r.id, nil
}

// Merge merges two neighbours.
func (s *Service) Merge(stream, a, b string) (child string, err *wire.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.find(target{StreamName: stream})
	if err != nil {
		return "", err
	}
	sh, err := s.mergeByID(st, a, b)
	if err != nil {
		return "", err
	}
	return sh.id, nil
}

// Trim drops what arrived before a time, as the end of its retention does.
func (s *Service) Trim(stream string, before time.Time) *wire.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.find(target{StreamName: stream})
	if err != nil {
		return err
	}
	now := time.Now()
	for _, sh := range st.shards {
		sh.trim(before)
	}
	// The horizon lies behind everything that has happened, and not in the future: what comes next is to be kept.
	if latest := st.instant(now); before.After(latest) {
		before = latest
	}
	if before.After(st.trimmedTo) {
		st.trimmedTo = before
	}
	return nil
}

// Stored is one record as it lies in a stream.
type Stored struct {
	Shard, Sequence, PartitionKey string
	Data                          []byte
	ArrivalTime                   time.Time
}

// Records returns what can be read of a stream, by shard, then in order. The data is the stream's own: not to be changed.
func (s *Service) Records(stream string) ([]Stored, *wire.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.find(target{StreamName: stream})
	if err != nil {
		return nil, err
	}
	now := time.Now()
	st.expire(now)
	var all []Stored
	for _, sh := range st.shards {
		sh.trim(st.horizon(now))
		for i := range sh.records {
			rec := &sh.records[i]
			all = append(all, Stored{
				Shard: sh.id, Sequence: string(sh.sequence.appendNumber(nil, sh.trimmed+uint64(i))), PartitionKey: rec.key,
				Data: rec.data, ArrivalTime: time.UnixMilli(rec.arrival).UTC(),
			})
		}
	}
	return all, nil
}

// Names tells which stream and which shard a request is about, as far as it says: in plain words, or inside an iterator or a token.
// It serves rules, so a malformed request has no names, and is refused by Call later.
func Names(body []byte) (stream, shard string) {
	var t target
	r := wire.NewReader(body)
	r.Object(func(name []byte) {
		switch string(name) {
		case "StreamName":
			t.StreamName, _ = text(r)
		case "StreamARN":
			t.StreamARN, _ = text(r)
		case "ConsumerARN":
			arn, _ := text(r)
			if of, _, ok := cutConsumerARN(arn); ok {
				t.StreamARN = of
			}
		case "ShardId", "ShardToSplit", "ShardToMerge":
			shard, _ = text(r)
		case "ShardIterator":
			token, _ := text(r)
			if it, ok := parseIterator(token); ok {
				stream, shard = it.stream, it.shard
			}
		case "NextToken":
			token, _ := text(r)
			if parts, ok := unseal(shardsToken, token); ok {
				stream = parts[0]
			}
		default:
			r.Skip()
		}
	})
	if r.End() != nil {
		return "", ""
	}
	if name, ok := nameOf(t.StreamARN); ok {
		return name, shard
	}
	if t.StreamName != "" {
		return t.StreamName, shard
	}
	return stream, shard
}
