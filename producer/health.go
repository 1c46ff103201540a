package producer

import (
	"slices"
	"strings"
	"time"
)

// Health is a moment of a producer.
type Health struct {
	BufferedRecords int   // accepted, without a verdict
	BufferedBytes   int64 // what they count, see Config.BufferBytes
	// OldestRecord is when the oldest of them was accepted; zero if there are none. If it does not move on, something is stuck: see the streams' Err.
	OldestRecord time.Time
	// Streams are those that records were put to, and Config.Stream, by name.
	Streams []StreamHealth
}

// StreamHealth is a moment of one stream.
type StreamHealth struct {
	Stream          string // as its records name it
	BufferedRecords int
	BufferedBytes   int64
	OldestRecord    time.Time
	Shards          int // open shards, 0 while not known
	// Throttled is the share of the attempts to store a Kinesis record, in the last minute, that exceeded the limits of its shard: 0 to 1.
	Throttled float64
	// Err is why nothing can be sent at the moment: the latest listing of the shards or the latest request failed as a whole. Nil when it worked.
	Err error
}

// Health says how the producer is. It does not wait.
func (p *Producer) Health() Health {
	now := time.Now()
	streams := p.streams.all()
	h := Health{Streams: make([]StreamHealth, len(streams))}
	p.engine.mu.Lock()
	for i, s := range streams {
		sh := &h.Streams[i]
		sh.Stream, sh.OldestRecord, sh.Throttled, sh.Err = s.name, s.core.Oldest(), s.recent.throttled(now), s.trouble()
		if m := s.core.Shards(); m != nil {
			sh.Shards = len(m.Open())
		}
	}
	p.engine.mu.Unlock()
	p.inbox.health(streams, &h)
	for _, s := range h.Streams {
		h.OldestRecord = older(h.OldestRecord, s.OldestRecord)
	}
	slices.SortFunc(h.Streams, func(a, b StreamHealth) int { return strings.Compare(a.Stream, b.Stream) })
	return h
}

// older is the earlier one of two times, of which zero is none.
func older(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// health adds what is in the buffer.
func (b *inbox) health(streams []*stream, h *Health) {
	b.mu.Lock()
	defer b.mu.Unlock()
	h.BufferedRecords, h.BufferedBytes = b.budget.held.records, b.budget.held.bytes
	for i, s := range streams {
		h.Streams[i].BufferedRecords, h.Streams[i].BufferedBytes = s.share.held.records, s.share.held.bytes
	}
	for _, it := range b.items {
		at := slices.Index(streams, it.Owner.(*Future).stream)
		if at >= 0 { // a stream may be newer than the list
			h.Streams[at].OldestRecord = older(h.Streams[at].OldestRecord, it.Accepted)
		}
	}
}
