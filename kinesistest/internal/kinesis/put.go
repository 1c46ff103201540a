package kinesis

import (
	"context"
	"encoding/base64"
	"time"
	"unicode/utf8"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

// AWS's limits of a put.
const (
	mostEntries     = 500
	mostRequestSize = 10 << 20 // data and partition keys
	longestKey      = 256      // characters
)

// entry is one record of a put. The data stays base64 until its place in memory is made.
type entry struct {
	target        // of a PutRecord
	key, explicit string
	hasKey        bool
	hasData       bool
	encoded       []byte
	rec           record
	at            hashKey
}

// member reads one member of an entry, or of a PutRecord, which is an entry with a stream.
func (e *entry) member(r *wire.Reader, name []byte) {
	switch string(name) {
	case "Data":
		e.encoded, e.hasData = r.String()
	case "PartitionKey":
		e.key, e.hasKey = text(r)
	case "ExplicitHashKey":
		e.explicit, _ = text(r)
	case "StreamName":
		e.StreamName, _ = text(r)
	case "StreamARN":
		e.StreamARN, _ = text(r)
	default:
		r.Skip()
	}
}

func text(r *wire.Reader) (string, bool) {
	s, ok := r.String()
	return string(s), ok
}

// check applies what the API's model says about an entry, and finds its place on the ring.
func (e *entry) check() *wire.Error {
	switch {
	case !e.hasData:
		return violation("data", "Member must not be null")
	case !e.hasKey:
		return violation("partitionKey", "Member must not be null")
	case e.key == "":
		return violation("partitionKey", "Member must have length greater than or equal to 1")
	case utf8.RuneCountInString(e.key) > longestKey:
		return violation("partitionKey", "Member must have length less than or equal to %d", longestKey)
	case e.explicit == "":
		e.at = hashOf(e.key)
		return nil
	case !decimalForm(e.explicit):
		return violation("explicitHashKey", "Member must satisfy regular expression pattern: 0|([1-9]\\d{0,38})")
	}
	at, ok := parseHashKey(e.explicit)
	if !ok {
		return invalid("ExplicitHashKey %s is not in the range [0, 2^128-1].", e.explicit)
	}
	e.at = at
	return nil
}

// unpack checks the entries and decodes their data into one block, which then lives as long as the longest kept of its records.
func unpack(entries []entry) *wire.Error {
	size, total := 0, 0
	for i := range entries {
		if err := entries[i].check(); err != nil {
			return err
		}
		size += base64.StdEncoding.DecodedLen(len(entries[i].encoded))
	}
	block := make([]byte, size)
	for i := range entries {
		e := &entries[i]
		n, err := base64.StdEncoding.Decode(block, e.encoded)
		if err != nil {
			return &wire.Error{Code: "SerializationException", Message: "Data is not base64: " + err.Error()}
		}
		e.rec = record{data: block[:n:n], key: e.key}
		e.encoded = nil
		block = block[n:]
		if n > largestMaxRecord<<10 {
			return violation("data", "Member must have length less than or equal to %d", largestMaxRecord<<10)
		}
		total += e.rec.size()
	}
	if total > mostRequestSize {
		return invalid("Records size exceeds %d bytes.", mostRequestSize)
	}
	return nil
}

// placed is where an entry went, or why it did not.
type placed struct {
	shard *shard
	index uint64
	err   *wire.Error
}

// put stores entries, which unpack has seen. Entries of one call are stored in their order, and nothing comes between them.
func (s *Service) put(t target, entries []entry, fail *Failing) ([]placed, *wire.Error) {
	out := make([]placed, len(entries))
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.find(t)
	if err != nil {
		return nil, err
	}
	for i := range entries {
		if size := entries[i].rec.size(); size > st.maxRecord<<10 {
			return nil, invalid("Record %d has %d bytes with its partition key; stream %s under account %s takes %d.",
				i, size, st.name, Account, st.maxRecord<<10)
		}
	}
	now := time.Now()
	horizon := st.horizon(now)
	for i := range entries {
		sh := st.owner(entries[i].at)
		if out[i].err = fail.picks(st, sh); out[i].err != nil {
			continue
		}
		out[i].shard, out[i].index = sh, sh.count()
		sh.trim(horizon)
		sh.append(entries[i].rec, now)
	}
	return out, nil
}

// append stores a record. Arrival times never go back within a shard, though a wall clock may.
func (sh *shard) append(rec record, now time.Time) {
	rec.arrival = now.UnixMilli()
	if n := len(sh.records); n > 0 {
		rec.arrival = max(rec.arrival, sh.records[n-1].arrival)
	}
	sh.records = append(sh.records, rec)
}

func (s *Service) putRecord(_ context.Context, body []byte) ([]byte, *wire.Error) {
	entries := make([]entry, 1)
	r := wire.NewReader(body)
	r.Object(func(name []byte) { entries[0].member(r, name) })
	if err := r.End(); err != nil {
		return nil, &wire.Error{Code: "SerializationException", Message: err.Error()}
	}
	if err := unpack(entries); err != nil {
		return nil, err
	}
	places, err := s.put(entries[0].target, entries, nil)
	if err != nil {
		return nil, err
	}
	out := append([]byte(`{"EncryptionType":"NONE",`), places[0].appendMembers(nil)...)
	return append(out, '}'), nil
}

func (s *Service) putRecords(ctx context.Context, body []byte) ([]byte, *wire.Error) {
	t, entries, err := readPutRecords(body)
	if err != nil {
		return nil, err
	}
	switch {
	case len(entries) == 0:
		return nil, violation("records", "Member must have length greater than or equal to 1")
	case len(entries) > mostEntries:
		return nil, violation("records", "Member must have length less than or equal to %d", mostEntries)
	}
	if err := unpack(entries); err != nil {
		return nil, err
	}
	places, err := s.put(t, entries, deviation(ctx).Fail)
	if err != nil {
		return nil, err
	}
	failed := 0
	list := make([]byte, 0, 128*len(places))
	for i := range places {
		list = append(list, ',', '{')
		list = places[i].appendMembers(list)
		list = append(list, '}')
		if places[i].err != nil {
			failed++
		}
	}
	out := []byte(`{"EncryptionType":"NONE","FailedRecordCount":`)
	out = appendInt(out, failed)
	out = append(out, `,"Records":[`...)
	out = append(out, list[1:]...)
	return append(out, ']', '}'), nil
}

func readPutRecords(body []byte) (t target, entries []entry, err *wire.Error) {
	r := wire.NewReader(body)
	r.Object(func(name []byte) {
		switch string(name) {
		case "Records":
			r.Array(func() {
				var e entry
				r.Object(func(name []byte) { e.member(r, name) })
				entries = append(entries, e)
			})
		case "StreamName":
			t.StreamName, _ = text(r)
		case "StreamARN":
			t.StreamARN, _ = text(r)
		default:
			r.Skip()
		}
	})
	if err := r.End(); err != nil {
		return target{}, nil, &wire.Error{Code: "SerializationException", Message: err.Error()}
	}
	return t, entries, nil
}

// appendMembers appends an entry's verdict, without braces.
func (p *placed) appendMembers(dst []byte) []byte {
	if p.err != nil {
		dst = append(dst, `"ErrorCode":`...)
		dst = wire.AppendString(dst, p.err.Code)
		dst = append(dst, `,"ErrorMessage":`...)
		return wire.AppendString(dst, p.err.Message)
	}
	dst = append(dst, `"SequenceNumber":"`...)
	dst = p.shard.sequence.appendNumber(dst, p.index)
	dst = append(dst, `","ShardId":"`...)
	dst = append(dst, p.shard.id...)
	return append(dst, '"')
}
