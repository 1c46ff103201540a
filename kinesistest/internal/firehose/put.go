package firehose

import (
	"context"
	"encoding/base64"
	"fmt"
	"strconv"
	"time"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

// AWS's limits of a put; none can be raised.
const (
	mostEntries   = 500
	mostBatchSize = 4 << 20     // data, before base64
	mostRecord    = 1_000 << 10 // data, before base64
)

// put is a request of either operation.
type put struct {
	stream  *string
	listed  bool // Records or Record is there
	entries []entry
}

// entry is one record. The data stays base64 until its place in memory is made.
type entry struct {
	encoded []byte
	given   bool
	data    []byte
}

func (p *put) record(r *wire.Reader) {
	var e entry
	r.Object(func(name []byte) {
		if string(name) == "Data" {
			e.encoded, e.given = r.String()
			return
		}
		r.Skip()
	})
	p.entries = append(p.entries, e)
}

// readPut reads a request; many tells a batch from a single record.
func readPut(body []byte, many bool) (*put, *wire.Error) {
	p := new(put)
	r := wire.NewReader(body)
	r.Object(func(name []byte) {
		switch string(name) {
		case "DeliveryStreamName":
			if text, ok := r.String(); ok {
				s := string(text)
				p.stream = &s
			}
		case "Records":
			if !many {
				r.Skip()
				return
			}
			p.entries, p.listed = nil, true
			r.Array(func() { p.record(r) })
		case "Record":
			if many {
				r.Skip()
				return
			}
			p.entries, p.listed = nil, true
			p.record(r)
		default:
			r.Skip()
		}
	})
	if err := r.End(); err != nil {
		return nil, serialization(err)
	}
	if err := p.unpack(); err != nil {
		return nil, err
	}
	return p, p.check(many)
}

// unpack decodes the data into one block, which then lives as long as the stream that takes one of its records.
func (p *put) unpack() *wire.Error {
	size := 0
	for i := range p.entries {
		size += base64.StdEncoding.DecodedLen(len(p.entries[i].encoded))
	}
	block := make([]byte, size)
	for i := range p.entries {
		e := &p.entries[i]
		n, err := base64.StdEncoding.Decode(block, e.encoded)
		if err != nil {
			return failure("SerializationException", "Data is not base64: %v", err)
		}
		e.data, block = block[:n:n], block[n:]
		e.encoded = nil
	}
	return nil
}

// check looks at what the request says by itself. Empty data is a record, as the API's model has it.
func (p *put) check(many bool) *wire.Error {
	var v violations
	v.required("deliveryStreamName", p.stream, nameRule)
	switch {
	case many:
		v.length("records", p.listed, len(p.entries), 1, mostEntries)
	case !p.listed:
		v.add("null", "record", "not be null")
	}
	total := 0
	for i := range p.entries {
		e := &p.entries[i]
		total += len(e.data)
		if e.given && len(e.data) <= mostRecord {
			continue
		}
		member := "record.data"
		if many {
			member = fmt.Sprintf("records.%d.member.data", i+1)
		}
		if !e.given {
			v.add("null", member, "not be null")
			continue
		}
		v.add(fmt.Sprintf("'java.nio.HeapByteBuffer[pos=0 lim=%d cap=%d]'", len(e.data), len(e.data)), member,
			"have length less than or equal to %d", mostRecord)
	}
	if err := v.err(); err != nil {
		return err
	}
	if total > mostBatchSize {
		return invalid("Records size exceeds 4 MB limit")
	}
	return nil
}

// verdict is what became of an entry: an id, or the reason why it was not taken.
type verdict struct {
	id  string
	err *wire.Error
}

// accept stores what a stream takes. Records of one call stay together and in their order.
func (s *Service) accept(p *put, fail *Failing) (out []verdict, encrypted bool, err *wire.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	// Attempts to send data to a stream that is not ACTIVE cause an exception: the data plane does not know such a stream.
	st := s.lookup(*p.stream, now)
	switch {
	case st == nil || st.status(now) != active:
		return nil, false, failure("ResourceNotFoundException", "Firehose %s not found under account %s.", *p.stream, s.account)
	case st.kind != directPut:
		return nil, false, invalid("This operation is not permitted on %s delivery stream type.", st.kind)
	case !s.unlimited && !st.rates.requests.take(1, now):
		return nil, false, slowDown()
	}
	out = make([]verdict, len(p.entries))
	for i := range p.entries {
		data := p.entries[i].data
		if out[i].err = fail.pick(); out[i].err != nil {
			continue
		}
		if !s.unlimited && !st.rates.takeRecord(len(data), now) {
			out[i].err = slowDown()
			continue
		}
		out[i].id = recordID(st.number, st.accepted)
		st.accepted++
		st.records = append(st.records, data)
	}
	return out, st.sse.status(now) == enabled, nil
}

// recordID is unique among the records of all streams, and the same in every run.
func recordID(stream, record uint64) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "kinesistest/firehose/%016x/%016x", stream, record))
}

func (s *Service) putRecord(_ context.Context, body []byte) ([]byte, *wire.Error) {
	p, err := readPut(body, false)
	if err != nil {
		return nil, err
	}
	out, encrypted, err := s.accept(p, nil)
	if err != nil {
		return nil, err
	}
	if out[0].err != nil {
		return nil, out[0].err
	}
	answer := strconv.AppendBool([]byte(`{"Encrypted":`), encrypted)
	answer = append(answer, `,"RecordId":`...)
	answer = wire.AppendString(answer, out[0].id)
	return append(answer, '}'), nil
}

func (s *Service) putRecordBatch(ctx context.Context, body []byte) ([]byte, *wire.Error) {
	p, err := readPut(body, true)
	if err != nil {
		return nil, err
	}
	out, encrypted, err := s.accept(p, failing(ctx))
	if err != nil {
		return nil, err
	}
	failed := 0
	list := make([]byte, 0, 128*len(out))
	for i := range out {
		if i > 0 {
			list = append(list, ',')
		}
		if out[i].err == nil {
			list = append(list, `{"RecordId":`...)
			list = wire.AppendString(list, out[i].id)
		} else {
			failed++
			list = append(list, `{"ErrorCode":`...)
			list = wire.AppendString(list, out[i].err.Code)
			list = append(list, `,"ErrorMessage":`...)
			list = wire.AppendString(list, out[i].err.Message)
		}
		list = append(list, '}')
	}
	answer := strconv.AppendBool([]byte(`{"Encrypted":`), encrypted)
	answer = append(answer, `,"FailedPutCount":`...)
	answer = strconv.AppendInt(answer, int64(failed), 10)
	answer = append(answer, `,"RequestResponses":[`...)
	answer = append(answer, list...)
	return append(answer, ']', '}'), nil
}
