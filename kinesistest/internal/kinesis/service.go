// Package kinesis is the state of Kinesis Data Streams and the operations on it: JSON in, JSON out. It knows nothing of transport,
// faults or rules. Time is what package time says, so that it runs on a test's virtual clock.
package kinesis

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

// The account and the region of whoever does not say another.
const (
	Account = "000000000000"
	Region  = "us-east-1"
)

// Config is what a service is made with.
type Config struct {
	Account, Region string
	Limits          bool          // rates and quotas hold
	Transitions     time.Duration // how long CREATING, UPDATING and DELETING last
	Stale           time.Duration // how far eventually consistent reads may lag
	Seed            uint64        // of how far they do
}

// Service is one account's streams in one region. Safe for concurrent use.
type Service struct {
	cfg Config

	// mu is held for the bookkeeping of a request alone: bodies are decoded before and pages encoded after.
	mu         sync.Mutex
	streams    map[string]*stream
	registered map[string]int64 // by stream and consumer, the Unix second of the latest registration
	epoch      uint64           // of the newest shard or stream
	draw       *rand.Rand
	calls      map[string]*bucket // by operation
	commitment commitment
}

// New makes a service without streams.
func New(cfg Config) *Service {
	return &Service{
		cfg: cfg, streams: make(map[string]*stream), registered: make(map[string]int64), calls: make(map[string]*bucket), draw: rand.New(rand.NewPCG(cfg.Seed, 0)),
	}
}

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
func (f *Failing) picks(s *Service, st *stream, sh *shard) *wire.Error {
	if f == nil || f.Shard != "" && f.Shard != sh.id || f.Draw.Float64() >= f.Share {
		return nil
	}
	if f.Code == "InternalFailure" {
		return failure(f.Code, "Internal service failure.")
	}
	throttled := s.throttled(st, sh)
	throttled.Code = f.Code
	return throttled
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
	"CreateStream":             handle((*Service).createStream),
	"DeleteStream":             handle((*Service).deleteStream),
	"DescribeStream":           handle((*Service).describeStream),
	"DescribeStreamSummary":    handle((*Service).describeStreamSummary),
	"ListStreams":              handle((*Service).listStreams),
	"ListShards":               handle((*Service).listShards),
	"SplitShard":               handle((*Service).splitShard),
	"MergeShards":              handle((*Service).mergeShards),
	"UpdateShardCount":         handle((*Service).updateShardCount),
	"GetShardIterator":         handle((*Service).getShardIterator),
	"GetRecords":               (*Service).getRecords,
	"PutRecord":                (*Service).putRecord,
	"PutRecords":               (*Service).putRecords,
	"AddTagsToStream":          handle((*Service).addTagsToStream),
	"RemoveTagsFromStream":     handle((*Service).removeTagsFromStream),
	"ListTagsForStream":        handle((*Service).listTagsForStream),
	"TagResource":              handle((*Service).tagResource),
	"UntagResource":            handle((*Service).untagResource),
	"ListTagsForResource":      handle((*Service).listTagsForResource),
	"PutResourcePolicy":        handle((*Service).putResourcePolicy),
	"GetResourcePolicy":        handle((*Service).getResourcePolicy),
	"DeleteResourcePolicy":     handle((*Service).deleteResourcePolicy),
	"RegisterStreamConsumer":   handle((*Service).registerStreamConsumer),
	"DescribeStreamConsumer":   handle((*Service).describeStreamConsumer),
	"ListStreamConsumers":      handle((*Service).listStreamConsumers),
	"DeregisterStreamConsumer": handle((*Service).deregisterStreamConsumer),
	"DescribeLimits":           handle((*Service).describeLimits),
	"DescribeAccountSettings":  handle((*Service).describeAccountSettings),
	"UpdateAccountSettings":    handle((*Service).updateAccountSettings),
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
	if setting, is := settings[op]; is {
		do, ok = setting.handler(), true
	}
	if !ok {
		return nil, &wire.Error{Code: "UnknownOperationException", Message: "no such operation here: " + op}
	}
	if err := s.admit(op, body); err != nil {
		return nil, err
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

func (s *Service) arnOf(name string) string {
	return "arn:aws:kinesis:" + s.cfg.Region + ":" + s.cfg.Account + ":stream/" + name
}

// find returns the stream that a request names, by name, by ARN, or by both if they agree, whatever its status. The caller holds s.mu.
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
		if s.arnOf(named) != t.StreamARN {
			return nil, notFound("Stream %s is not of account %s in %s.", t.StreamARN, s.cfg.Account, s.cfg.Region)
		}
		name = named
	case name == "":
		return nil, invalid("One of StreamName and StreamARN must be given.")
	}
	st, ok := s.streams[name]
	if ok && st.gone(time.Now()) {
		s.drop(st)
		ok = false
	}
	if !ok {
		return nil, s.noStream(name)
	}
	return st, nil
}

func (s *Service) noStream(name string) *wire.Error {
	return notFound("Stream %s under account %s not found.", name, s.cfg.Account)
}

// active returns the stream that a request names, for operations that a stream refuses unless it is ACTIVE. The caller holds s.mu.
func (s *Service) active(t target) (*stream, *wire.Error) { return s.in(t, statusActive) }

// in returns the stream that a request names if it has one of the statuses. The caller holds s.mu.
func (s *Service) in(t target, statuses ...string) (*stream, *wire.Error) {
	st, err := s.find(t)
	if err != nil {
		return nil, err
	}
	if status := st.status(time.Now()); !slices.Contains(statuses, status) {
		return nil, inUse("Stream %s under account %s not %s, instead in state %s", st.name, s.cfg.Account, strings.Join(statuses, " or "), status)
	}
	return st, nil
}

// readable returns the stream that a request of the data plane names. One that is being created is not there for these; one that is being
// deleted still is. The caller holds s.mu.
func (s *Service) readable(t target) (*stream, *wire.Error) {
	st, err := s.find(t)
	if err == nil && st.status(time.Now()) == statusCreating {
		return nil, s.noStream(st.name)
	}
	return st, err
}

// lag is how far behind a listing is that ctx does not tell the age of. The caller holds s.mu.
func (s *Service) lag(ctx context.Context) time.Duration {
	if age := deviation(ctx).ListAge; age > 0 || s.cfg.Stale == 0 {
		return age
	}
	return time.Duration(s.draw.Int64N(int64(s.cfg.Stale) + 1))
}

// shardOf returns one of a stream's shards. The caller holds s.mu.
func (s *Service) shardOf(st *stream, id string, now time.Time) (*shard, *wire.Error) {
	st.expire(now)
	sh, ok := st.byID[id]
	if !ok {
		return nil, notFound("Could not find shard %s in stream %s under account %s.", id, st.name, s.cfg.Account)
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
