package kinesis

import (
	"context"
	"encoding/base64"
	"fmt"
	"regexp"
	"strconv"
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
	key, explicit string
	hasKey        bool
	hasData       bool
	encoded       []byte
	rec           record
	at            hashKey
}

// put is a request to store records.
type put struct {
	target
	entries []entry
	single  bool   // a PutRecord
	order   string // its SequenceNumberForOrdering
	dry     bool
	fail    *Failing
}

// entry reads one member of an entry.
func (p *put) entry(e *entry, r *wire.Reader, name []byte) {
	switch string(name) {
	case "Data":
		e.encoded, e.hasData = r.String()
	case "PartitionKey":
		e.key, e.hasKey = text(r)
	case "ExplicitHashKey":
		e.explicit, _ = text(r)
	default:
		p.member(r, name)
	}
}

// member reads one member of the request that is not an entry's. A PutRecord is an entry with a stream.
func (p *put) member(r *wire.Reader, name []byte) {
	switch string(name) {
	case "Records":
		r.Array(func() {
			p.entries = append(p.entries, entry{})
			e := &p.entries[len(p.entries)-1]
			r.Object(func(name []byte) { p.entry(e, r, name) })
		})
	case "StreamName":
		p.StreamName, _ = text(r)
	case "StreamARN":
		p.StreamARN, _ = text(r)
	case "SequenceNumberForOrdering":
		p.order, _ = text(r)
	case "DryRun":
		p.dry = r.Bool()
	default:
		r.Skip()
	}
}

func text(r *wire.Reader) (string, bool) {
	s, ok := r.String()
	return string(s), ok
}

// path names a member of entry i, as the service names it.
func (p *put) path(i int, member string) string {
	if p.single {
		return member
	}
	return "records." + strconv.Itoa(i+1) + ".member." + member
}

// order is what a SequenceNumberForOrdering looks like.
var order = regexp.MustCompile(`^(0|[1-9]\d{0,128})$`)

// check applies what the API's model says, and finds the entries' places on the ring.
func (p *put) check() *wire.Error {
	var v violations
	switch n := len(p.entries); {
	case n == 0:
		v.add("records", "[]", "must have length greater than or equal to 1")
	case n > mostEntries:
		v.add("records", "[...]", "must have length less than or equal to %d", mostEntries)
	}
	if p.order != "" && !order.MatchString(p.order) {
		v.add("sequenceNumberForOrdering", p.order, "must satisfy regular expression pattern: 0|([1-9]\\d{0,128})")
	}
	for i := range p.entries {
		e := &p.entries[i]
		if !e.hasData {
			v.add(p.path(i, "data"), nil, "must not be null")
		}
		switch {
		case e.hasKey && e.key == "":
			v.add(p.path(i, "partitionKey"), "", "must have length greater than or equal to 1")
		case utf8.RuneCountInString(e.key) > longestKey:
			v.add(p.path(i, "partitionKey"), e.key, "must have length less than or equal to %d", longestKey)
		}
		if e.explicit != "" && !decimalForm(e.explicit) {
			v.add(p.path(i, "explicitHashKey"), e.explicit, "must satisfy regular expression pattern: 0|([1-9]\\d{0,38})")
		}
	}
	if err := v.err(); err != nil {
		return err
	}
	for i := range p.entries {
		e := &p.entries[i]
		if e.explicit == "" {
			e.at = hashOf(e.key)
			continue
		}
		at, ok := parseHashKey(e.explicit)
		if !ok {
			return invalid("Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was %s", e.explicit)
		}
		e.at = at
	}
	return nil
}

// unpack checks the entries and decodes their data into one block, which then lives as long as the longest kept of its records.
func (p *put) unpack() *wire.Error {
	if err := p.check(); err != nil {
		return err
	}
	size, total := 0, 0
	for i := range p.entries {
		size += base64.StdEncoding.DecodedLen(len(p.entries[i].encoded))
	}
	block := make([]byte, size)
	var v violations
	for i := range p.entries {
		e := &p.entries[i]
		n, err := base64.StdEncoding.Decode(block, e.encoded)
		if err != nil {
			return &wire.Error{Code: "SerializationException", Message: "Data is not base64: " + err.Error()}
		}
		e.rec = record{data: block[:n:n], key: e.key}
		e.encoded = nil
		block = block[n:]
		if n > largestMaxRecord<<10 {
			// The service shows what it has in hand, which is not the data.
			v.add(p.path(i, "data"), fmt.Sprintf("java.nio.HeapByteBuffer[pos=0 lim=%[1]d cap=%[1]d]", n),
				"must have length less than or equal to %d", largestMaxRecord<<10)
		}
		total += e.rec.size()
	}
	if err := v.err(); err != nil {
		return err
	}
	if total > mostRequestSize {
		return invalid("Records size exceeds %d MB limit", mostRequestSize>>20)
	}
	return nil
}

// fits applies what the stream says about the entries.
func (p *put) fits(st *stream) *wire.Error {
	if st.Spread {
		if p.order != "" {
			return invalid("SequenceNumberForOrdering cannot be used with stream %s, whose RecordDistributionStrategy is %s.", st.name, spreadAuto)
		}
	} else {
		var v violations
		for i := range p.entries {
			if !p.entries[i].hasKey {
				v.add(p.path(i, "partitionKey"), nil, "must not be null")
			}
		}
		if err := v.err(); err != nil {
			return err
		}
	}
	for i := range p.entries {
		if size := p.entries[i].rec.size(); size > st.MaxRecord<<10 {
			return invalid("Record %d has %d bytes with its partition key; stream %s takes %d.", i+1, size, st.name, st.MaxRecord<<10)
		}
	}
	return nil
}

// placed is where an entry went, or why it did not.
type placed struct {
	shard *shard
	index uint64
	err   *wire.Error
}

// errDry says that a request would have been performed.
var errDry = failure("DryRunOperationException", "The request would have succeeded, but the DryRun parameter was specified.")

// put stores the entries of a request, which unpack has seen. They are stored in their order, and nothing comes between them.
func (s *Service) put(p *put) (places []placed, kms bool, err *wire.Error) {
	places = make([]placed, len(p.entries))
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.readable(p.target)
	if err != nil {
		return nil, false, err
	}
	if err := p.fits(st); err != nil {
		return nil, false, err
	}
	if p.dry {
		return nil, false, errDry
	}
	now := time.Now()
	horizon := st.horizon(now)
	kms = st.KMSKey != ""
	for i := range p.entries {
		e := &p.entries[i]
		sh := st.owner(e.at)
		if st.Spread {
			sh = st.next()
		}
		if places[i].err = p.fail.picks(s, st, sh); places[i].err != nil {
			continue
		}
		if s.cfg.Limits && !sh.meter.write(now, e.rec.size()) {
			places[i].err = s.throttled(st, sh)
			continue
		}
		places[i].shard, places[i].index = sh, sh.count()
		sh.trim(horizon)
		e.rec.kms = kms
		sh.append(e.rec, now)
	}
	return places, kms, nil
}

// next is the shard whose turn it is to take a record where keys do not count.
func (st *stream) next() *shard {
	st.turn = (st.turn + 1) % len(st.serving)
	return st.serving[st.turn]
}

// append stores a record. Arrival times never go back within a shard, though a wall clock may.
func (sh *shard) append(rec record, now time.Time) {
	rec.arrival = now.UnixMilli()
	if n := len(sh.records); n > 0 {
		rec.arrival = max(rec.arrival, sh.records[n-1].arrival)
	}
	sh.records = append(sh.records, rec)
	sh.wakeAll()
}

func (s *Service) putRecord(_ context.Context, body []byte) ([]byte, *wire.Error) {
	p := &put{entries: make([]entry, 1), single: true}
	r := wire.NewReader(body)
	r.Object(func(name []byte) {
		if string(name) == "Records" {
			r.Skip()
			return
		}
		p.entry(&p.entries[0], r, name)
	})
	places, kms, err := s.perform(p, r)
	if err != nil {
		return nil, err
	}
	if places[0].err != nil {
		return nil, places[0].err
	}
	out := append([]byte(`{"EncryptionType":"`+encryption(kms)+`",`), places[0].appendMembers(nil)...)
	return append(out, '}'), nil
}

// perform stores what r has read into p.
func (s *Service) perform(p *put, r *wire.Reader) (places []placed, kms bool, err *wire.Error) {
	if err := r.End(); err != nil {
		return nil, false, &wire.Error{Code: "SerializationException", Message: err.Error()}
	}
	if err := p.unpack(); err != nil {
		return nil, false, err
	}
	return s.put(p)
}

func (s *Service) putRecords(ctx context.Context, body []byte) ([]byte, *wire.Error) {
	p := &put{fail: deviation(ctx).Fail}
	r := wire.NewReader(body)
	r.Object(func(name []byte) { p.member(r, name) })
	places, kms, err := s.perform(p, r)
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
	out := []byte(`{"EncryptionType":"` + encryption(kms) + `","FailedRecordCount":`)
	out = appendInt(out, failed)
	out = append(out, `,"Records":[`...)
	out = append(out, list[1:]...)
	return append(out, ']', '}'), nil
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
