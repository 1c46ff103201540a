// Package kinesis is the state of Kinesis Data Streams and the operations on it: JSON in, JSON out. It knows nothing of transport,
// faults or rules. Time is what package time says, so that it runs on a test's virtual clock.
package kinesis

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

// Who and where every caller is.
const (
	Account = "000000000000"
	Region  = "us-east-1"
)

// Service is one account's streams in one region. Safe for concurrent use.
type Service struct {
	// mu is held for the bookkeeping of a request alone: bodies are decoded before and pages encoded after.
	mu      sync.Mutex
	streams map[string]*stream
	epoch   uint64 // of the newest shard or stream
}

// New makes a service without streams.
func New() *Service { return &Service{streams: make(map[string]*stream)} }

// Deviation is how one call departs from what the service would do by itself.
type Deviation struct {
	Fail    *Failing      // PutRecords: entries that are not stored
	ListAge time.Duration // ListShards answers as it would have done so long ago
}

// Failing picks entries of a PutRecords that fail.
type Failing struct {
	Code  string
	Share float64    // of the entries, drawn one by one
	Shard string     // only of those that this shard would take; empty: of all
	Draw  *rand.Rand // used by one call alone
}

// picks says whether an entry fails, and as what.
func (f *Failing) picks(st *stream, sh *shard) *wire.Error {
	if f == nil || f.Shard != "" && f.Shard != sh.id || f.Draw.Float64() >= f.Share {
		return nil
	}
	if f.Code == "InternalFailure" {
		return failure(f.Code, "Internal service failure.")
	}
	return failure(f.Code, "Rate exceeded for shard %s in stream %s under account %s.", sh.id, st.name, Account)
}

type deviationKey struct{}

// WithDeviation makes the Call that gets the ctx deviate.
func WithDeviation(ctx context.Context, d Deviation) context.Context {
	return context.WithValue(ctx, deviationKey{}, d)
}

func deviation(ctx context.Context) Deviation {
	d, _ := ctx.Value(deviationKey{}).(Deviation)
	return d
}

type handler func(s *Service, ctx context.Context, body []byte) ([]byte, *wire.Error)

var operations = map[string]handler{
	"CreateStream":          handle((*Service).createStream),
	"DeleteStream":          handle((*Service).deleteStream),
	"DescribeStreamSummary": handle((*Service).describeStreamSummary),
	"ListStreams":           handle((*Service).listStreams),
	"ListShards":            handle((*Service).listShards),
	"SplitShard":            handle((*Service).splitShard),
	"MergeShards":           handle((*Service).mergeShards),
	"GetShardIterator":      handle((*Service).getShardIterator),
	"GetRecords":            (*Service).getRecords,
	"PutRecord":             (*Service).putRecord,
	"PutRecords":            (*Service).putRecords,
}

// handle adapts an operation whose request and answer are small enough for encoding/json.
func handle[In, Out any](do func(*Service, context.Context, *In) (*Out, *wire.Error)) handler {
	return func(s *Service, ctx context.Context, body []byte) ([]byte, *wire.Error) {
		in := new(In)
		if err := decode(body, in); err != nil {
			return nil, err
		}
		out, err := do(s, ctx, in)
		if err != nil {
			return nil, err
		}
		if out == nil {
			return nil, nil // these operations answer with an empty body
		}
		return encode(out)
	}
}

// Call performs one operation. It never blocks, and of ctx it uses the Deviation alone.
func (s *Service) Call(ctx context.Context, op string, body []byte) ([]byte, *wire.Error) {
	do, ok := operations[op]
	if !ok {
		return nil, &wire.Error{Code: "UnknownOperationException", Message: "no such operation here: " + op}
	}
	return do(s, ctx, body)
}

func decode(body []byte, in any) *wire.Error {
	if err := json.Unmarshal(body, in); err != nil {
		return &wire.Error{Code: "SerializationException", Message: err.Error()}
	}
	return nil
}

func encode(out any) ([]byte, *wire.Error) {
	body, err := json.Marshal(out)
	if err != nil {
		return nil, &wire.Error{Code: "InternalFailureException", Message: err.Error(), Status: 500}
	}
	return body, nil
}

// stamp is a time as the API writes it.
type stamp time.Time

func (t stamp) MarshalJSON() ([]byte, error) {
	return wire.AppendMillis(nil, time.Time(t).UnixMilli()), nil
}

// target is how a request names its stream.
type target struct{ StreamName, StreamARN string }

func arnOf(name string) string {
	return "arn:aws:kinesis:" + Region + ":" + Account + ":stream/" + name
}

// find returns the stream that a request names, by name, by ARN, or by both if they agree. The caller holds s.mu.
func (s *Service) find(t target) (*stream, *wire.Error) {
	name := t.StreamName
	switch {
	case t.StreamARN != "":
		named, ok := nameOf(t.StreamARN)
		if !ok {
			return nil, invalid("StreamARN %q is not the ARN of a stream.", t.StreamARN)
		}
		if name != "" && name != named {
			return nil, invalid("StreamName %q and StreamARN %q name different streams.", name, t.StreamARN)
		}
		if arnOf(named) != t.StreamARN {
			return nil, notFound("Stream %s is not of account %s in %s.", t.StreamARN, Account, Region)
		}
		name = named
	case name == "":
		return nil, invalid("One of StreamName and StreamARN must be given.")
	}
	st, ok := s.streams[name]
	if !ok {
		return nil, notFound("Stream %s under account %s not found.", name, Account)
	}
	return st, nil
}

// shardOf returns one of a stream's shards. The caller holds s.mu.
func shardOf(st *stream, id string, now time.Time) (*shard, *wire.Error) {
	st.expire(now)
	sh, ok := st.byID[id]
	if !ok {
		return nil, notFound("Could not find shard %s in stream %s under account %s.", id, st.name, Account)
	}
	return sh, nil
}

// nextEpoch numbers shards and streams in the order of their making, and by time, so that numbers do not repeat between two servers
// that a program talks to one after the other. The caller holds s.mu.
func (s *Service) nextEpoch(now time.Time) uint64 {
	if at := now.UnixMicro(); at > 0 && uint64(at) > s.epoch {
		s.epoch = uint64(at)
	} else {
		s.epoch++
	}
	return s.epoch
}

func failure(code, format string, args ...any) *wire.Error {
	return &wire.Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

func invalid(format string, args ...any) *wire.Error {
	return failure("InvalidArgumentException", format, args...)
}

func notFound(format string, args ...any) *wire.Error {
	return failure("ResourceNotFoundException", format, args...)
}

// violation is a request that the API's model refuses, before the service looks at it.
func violation(member, constraint string, args ...any) *wire.Error {
	return failure("ValidationException", "1 validation error detected: '"+member+"' failed to satisfy constraint: "+constraint, args...)
}
