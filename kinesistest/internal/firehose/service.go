// Package firehose is the state of Amazon Data Firehose (API version 2015-08-04) and the operations on it: JSON in, JSON out. It knows
// nothing of transport or rules. Time is what package time says, so that it runs on a test's virtual clock.
//
// A record that was accepted counts as delivered at once: there is no destination behind a stream, and Delivered shows what one would
// have got. Destinations and sources are kept as they were given, so a stream that has a Kinesis stream as its source reads nothing by
// itself.
package firehose

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

// Service is one account's delivery streams in one region. Safe for concurrent use.
type Service struct {
	// mu is held for the bookkeeping of a request alone: bodies are decoded before and answers encoded after.
	mu          sync.Mutex
	streams     map[string]*stream
	made        uint64        // streams ever; numbers the next one
	transitions time.Duration // how long a stream is CREATING or DELETING, and its encryption ENABLING or DISABLING
	unlimited   bool
	account     string
	region      string
	tagging     map[string]*bucket // by operation
}

// New makes a service without streams, with limits and without transitions.
func New() *Service {
	return &Service{account: "000000000000", region: "us-east-1", streams: make(map[string]*stream), tagging: make(map[string]*bucket)}
}

// SetPlace says whose the service is, for ARNs and messages. It is called before the first request, if at all.
func (s *Service) SetPlace(account, region string) { s.account, s.region = account, region }

// SetTransitions makes what is created, deleted or changed from now on take d until it is. 0, the default, is none.
func (s *Service) SetTransitions(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.transitions = max(d, 0)
}

// SetLimits switches rates and quotas on, which is the default, or off. The sizes of records and batches hold always.
func (s *Service) SetLimits(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unlimited = !on
}

// Delivered returns a stream's records in the order in which they were accepted. The data is the stream's own: not to be changed. It
// panics when there is no such stream, which in a test is a mistake of the test.
func (s *Service) Delivered(name string) [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.lookup(name, time.Now())
	if st == nil {
		panic(fmt.Sprintf("firehose: no delivery stream %q", name))
	}
	return slices.Clone(st.records)
}

type handler func(s *Service, ctx context.Context, body []byte) ([]byte, *wire.Error)

var operations = map[string]handler{
	"CreateDeliveryStream":          handle((*Service).createDeliveryStream),
	"DescribeDeliveryStream":        handle((*Service).describeDeliveryStream),
	"ListDeliveryStreams":           handle((*Service).listDeliveryStreams),
	"DeleteDeliveryStream":          handle((*Service).deleteDeliveryStream),
	"UpdateDestination":             handle((*Service).updateDestination),
	"TagDeliveryStream":             handle((*Service).tagDeliveryStream),
	"UntagDeliveryStream":           handle((*Service).untagDeliveryStream),
	"ListTagsForDeliveryStream":     handle((*Service).listTagsForDeliveryStream),
	"StartDeliveryStreamEncryption": handle((*Service).startDeliveryStreamEncryption),
	"StopDeliveryStreamEncryption":  handle((*Service).stopDeliveryStreamEncryption),
	"PutRecord":                     (*Service).putRecord,
	"PutRecordBatch":                (*Service).putRecordBatch,
}

// handle adapts an operation whose request and answer are small enough for encoding/json.
func handle[In, Out any](do func(*Service, *In) (*Out, *wire.Error)) handler {
	return func(s *Service, _ context.Context, body []byte) ([]byte, *wire.Error) {
		in := new(In)
		if err := json.Unmarshal(body, in); err != nil {
			return nil, serialization(err)
		}
		out, fault := do(s, in)
		if fault != nil {
			return nil, fault
		}
		answer, err := json.Marshal(out)
		if err != nil {
			return nil, &wire.Error{Code: "InternalFailure", Message: err.Error(), Status: 500}
		}
		return answer, nil
	}
}

// Call performs one operation: op is what follows the dot in X-Amz-Target, body the JSON request. It never blocks, and of ctx it uses
// what WithFailing put there alone.
func (s *Service) Call(ctx context.Context, op string, body []byte) ([]byte, *wire.Error) {
	do, ok := operations[op]
	if !ok {
		return nil, &wire.Error{Code: "UnknownOperationException", Message: "no such operation here: " + op}
	}
	return do(s, ctx, body)
}

// Key names the delivery stream that a request is about, as far as the request says. It serves rules, so a malformed request names
// none, and is refused by Call later.
func (s *Service) Key(_ string, body []byte) string {
	name := ""
	r := wire.NewReader(body)
	r.Object(func(member []byte) {
		if string(member) == "DeliveryStreamName" {
			text, _ := r.String()
			name = string(text)
			return
		}
		r.Skip()
	})
	if r.End() != nil {
		return ""
	}
	return name
}

// nothing is the answer of operations that have none: an empty object.
type nothing struct{}

// stamp is a time as the API writes it.
type stamp time.Time

func (t stamp) MarshalJSON() ([]byte, error) {
	return wire.AppendMillis(nil, time.Time(t).UnixMilli()), nil
}

func failure(code, format string, args ...any) *wire.Error {
	return &wire.Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

func invalid(format string, args ...any) *wire.Error {
	return failure("InvalidArgumentException", format, args...)
}

func serialization(err error) *wire.Error {
	return &wire.Error{Code: "SerializationException", Message: err.Error()}
}

// slowDown is what a caller over a stream's rate is told. The API's model makes it a fault of the service, hence the status.
func slowDown() *wire.Error {
	return &wire.Error{Code: "ServiceUnavailableException", Message: "Slow down.", Status: 500}
}
