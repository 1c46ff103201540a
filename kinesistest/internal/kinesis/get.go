package kinesis

import (
	"context"
	"encoding/base64"
	"math"
	"strconv"
	"time"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

// AWS's limits of a page.
const (
	mostPageRecords = 10_000
	mostPageSize    = 10 << 20 // data and partition keys; the largest record just fits
)

type getShardIteratorInput struct {
	target
	ShardId                string
	ShardIteratorType      string
	StartingSequenceNumber string
	Timestamp              *float64
	DryRun                 bool
}

type getShardIteratorOutput struct{ ShardIterator string }

func (s *Service) getShardIterator(_ context.Context, in *getShardIteratorInput) (*getShardIteratorOutput, *wire.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.readable(in.target)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	sh, err := s.shardOf(st, in.ShardId, now)
	if err != nil {
		return nil, err
	}
	sh.trim(st.horizon(now))
	next, err := sh.position(in, now)
	switch {
	case err != nil:
		return nil, err
	case in.DryRun:
		return nil, errDry
	case s.cfg.Limits && !sh.meter.iterators.take(now, price(1, iterators), burst):
		return nil, s.throttled(st, sh)
	}
	it := iterator{stream: st.name, streamID: st.id, shard: sh.id, next: next, issued: now.UnixMilli()}
	return &getShardIteratorOutput{it.String()}, nil
}

// position is the index of the record at which an iterator starts.
func (sh *shard) position(in *getShardIteratorInput, now time.Time) (uint64, *wire.Error) {
	kind := in.ShardIteratorType
	bySequence := kind == "AT_SEQUENCE_NUMBER" || kind == "AFTER_SEQUENCE_NUMBER"
	if bySequence != (in.StartingSequenceNumber != "") {
		return 0, invalid("StartingSequenceNumber goes with AT_SEQUENCE_NUMBER and AFTER_SEQUENCE_NUMBER, and with no other type.")
	}
	switch kind {
	case "TRIM_HORIZON":
		return sh.trimmed, nil
	case "LATEST":
		return sh.count(), nil
	case "AT_TIMESTAMP":
		if in.Timestamp == nil {
			return 0, invalid("AT_TIMESTAMP needs a Timestamp.")
		}
		ms, err := millis(*in.Timestamp, now)
		if err != nil {
			return 0, err
		}
		// Where nothing has arrived since, this is the record to come.
		return sh.trimmed + uint64(sh.arrivedBefore(ms)), nil
	case "AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER":
		at, after, ok := sh.sequence.place(in.StartingSequenceNumber, sh.count())
		if !ok {
			return 0, invalid("StartingSequenceNumber %q is not one of shard %s.", in.StartingSequenceNumber, sh.id)
		}
		if kind == "AT_SEQUENCE_NUMBER" {
			return at, nil
		}
		return after, nil
	}
	var v violations
	v.oneOf("shardIteratorType", kind, "AFTER_SEQUENCE_NUMBER", "LATEST", "AT_TIMESTAMP", "AT_SEQUENCE_NUMBER", "TRIM_HORIZON")
	return 0, v.err()
}

// millis reads a time that a request gives in seconds. One that has not come yet is refused, to the millisecond.
func millis(seconds float64, now time.Time) (int64, *wire.Error) {
	ms := math.Round(seconds * 1000)
	if ms > float64(now.UnixMilli()) {
		return 0, invalid("Timestamp %.3f is in the future; it is %.3f now.", seconds, float64(now.UnixMilli())/1000)
	}
	return int64(max(ms, 0)), nil
}

type getRecordsInput struct {
	ShardIterator string
	StreamARN     string
	Limit         *int32
	DryRun        bool
}

// page is what GetRecords answers with, and what an event of SubscribeToShard holds. Its records are a part of the shard's, which nobody changes.
type page struct {
	shard    *shard
	first    uint64 // index of records[0]
	records  []record
	next     string // the next iterator, or the continuation sequence number; empty at the end of a closed shard
	behind   int64  // milliseconds
	children []shardView
}

func (s *Service) getRecords(_ context.Context, body []byte) ([]byte, *wire.Error) {
	in := new(getRecordsInput)
	if err := decode(body, in); err != nil {
		return nil, err
	}
	p, err := s.read(in)
	if err != nil {
		return nil, err
	}
	return p.encode()
}

func (s *Service) read(in *getRecordsInput) (*page, *wire.Error) {
	limit := mostPageRecords
	if in.Limit != nil {
		switch limit = int(*in.Limit); {
		case limit < 1:
			return nil, violation("limit", limit, "must have value greater than or equal to 1")
		case limit > mostPageRecords:
			return nil, invalid("Limit must be at most %d.", mostPageRecords)
		}
	}
	it, ok := parseIterator(in.ShardIterator)
	if !ok {
		return nil, invalid("ShardIterator is invalid.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if age := now.UnixMilli() - it.issued; age > tokenLife.Milliseconds() {
		return nil, failure("ExpiredIteratorException", "The iterator is %d ms old; %d ms are tolerated.", age, tokenLife.Milliseconds())
	}
	st, err := s.readable(target{StreamName: it.stream, StreamARN: in.StreamARN})
	if err != nil {
		return nil, err
	}
	if st.id != it.streamID {
		return nil, notFound("The iterator is for an earlier stream %s under account %s.", it.stream, s.cfg.Account)
	}
	sh, err := s.shardOf(st, it.shard, now)
	switch {
	case err != nil:
		return nil, err
	case in.DryRun:
		return nil, errDry
	case s.cfg.Limits && !sh.meter.readable(now):
		return nil, s.throttled(st, sh)
	}
	sh.trim(st.horizon(now))
	p := sh.page(max(it.next, sh.trimmed), limit, mostPageSize, now)
	sh.meter.readOut(now, p.size())
	end := p.first + uint64(len(p.records))
	if !sh.open() && end >= sh.count() {
		for _, child := range st.children(sh.id) {
			p.children = append(p.children, child.view())
		}
		return p, nil
	}
	it.next, it.issued = end, now.UnixMilli()
	p.next = it.String()
	return p, nil
}

// page takes records from index first on: at most limit, of at most so many bytes, but one if there is one
// and limit is not 0.
func (sh *shard) page(first uint64, limit, bytes int, now time.Time) *page {
	left := sh.records[min(first-sh.trimmed, uint64(len(sh.records))):]
	n, size := 0, 0
	for n < len(left) && n < limit {
		if size += left[n].size(); size > bytes && n > 0 {
			break
		}
		n++
	}
	p := &page{shard: sh, first: first, records: left[:n:n]}
	if n < len(left) {
		// 0 means that there is no more, so a record of this very millisecond counts as one behind.
		p.behind = max(1, now.UnixMilli()-left[n].arrival)
	}
	return p
}

func (p *page) encode() ([]byte, *wire.Error) {
	return p.appendTo(make([]byte, 0, p.encodedSize()), "NextShardIterator")
}

// encodedSize is about the size that the page has as JSON, and not less unless it has children.
func (p *page) encodedSize() int {
	size := 512 + len(p.next)
	for i := range p.records {
		size += base64.StdEncoding.EncodedLen(len(p.records[i].data)) + len(p.records[i].key) + 192
	}
	return size
}

// appendTo appends the page as JSON. The member that says where the next one starts has another name in each operation.
func (p *page) appendTo(out []byte, nextMember string) ([]byte, *wire.Error) {
	out = append(out, `{"MillisBehindLatest":`...)
	out = strconv.AppendInt(out, p.behind, 10)
	if p.next != "" {
		out = append(append(out, `,"`...), nextMember...)
		out = append(append(out, `":"`...), p.next...)
		out = append(out, '"')
	}
	if p.children != nil {
		children, err := encode(childShards(p.children))
		if err != nil {
			return nil, err
		}
		out = append(append(out, `,"ChildShards":`...), children...)
	}
	out = append(out, `,"Records":[`...)
	for i := range p.records {
		if i > 0 {
			out = append(out, ',')
		}
		out = p.records[i].appendTo(out, p.shard.sequence, p.first+uint64(i))
	}
	return append(out, ']', '}'), nil
}

func (r *record) appendTo(out []byte, numbers sequence, index uint64) []byte {
	out = append(out, `{"ApproximateArrivalTimestamp":`...)
	out = wire.AppendMillis(out, r.arrival)
	out = append(append(out, `,"EncryptionType":"`...), encryption(r.kms)...)
	out = append(out, `","PartitionKey":`...)
	out = wire.AppendString(out, r.key)
	out = append(out, `,"SequenceNumber":"`...)
	out = numbers.appendNumber(out, index)
	out = append(out, `","Data":"`...)
	out = base64.StdEncoding.AppendEncode(out, r.data)
	return append(out, '"', '}')
}

func appendInt(dst []byte, n int) []byte { return strconv.AppendInt(dst, int64(n), 10) }
