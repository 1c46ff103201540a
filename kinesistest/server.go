package kinesistest

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/dynamo"
	"github.com/kinesiskit/kinesiskit/kinesistest/internal/kinesis"
	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

// Server is Kinesis Data Streams and DynamoDB for one account and region. Its methods are safe for concurrent use.
type Server struct {
	seed    uint64
	kinesis *kinesis.Service
	dynamo  *dynamo.DB

	// mu guards what is below. It is never held while an operation is performed or a callback runs.
	mu       sync.Mutex
	closed   bool
	requests uint64
	calls    map[string]int
	rules    []*Rule // oldest first
	made     uint64  // rules ever
	waits    map[chan struct{}]struct{}
	ports    []*port
}

// Option configures a Server.
type Option interface{ testOption() }

type seedOption uint64

func (seedOption) testOption() {}

// WithSeed makes what a server leaves to chance, in Sometimes and FailRecords, another sequence. Default: 1. Each rule draws from a
// sequence of its own, which the seed and the number of rules made before it determine.
func WithSeed(seed uint64) Option { return seedOption(seed) }

// New makes a server with no streams and no tables. It opens nothing and starts no goroutine, so that it can be made inside a
// testing/synctest bubble; time is that of the goroutines that call it.
func New(opts ...Option) *Server {
	s := &Server{
		seed:    1,
		kinesis: kinesis.New(),
		dynamo:  dynamo.New(),
		calls:   make(map[string]int),
		waits:   make(map[chan struct{}]struct{}),
	}
	for _, opt := range opts {
		if seed, ok := opt.(seedOption); ok {
			s.seed = uint64(seed)
		}
	}
	return s
}

// Close ends the server: listeners are closed, requests that a Delay holds break, what ApplyLate still had to apply is dropped, and
// later requests find the connection refused. Over TCP it waits for the requests that are being served. What is stored can still be
// looked at. It may be called more than once; the error is that of closing a listener.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	for wait := range s.waits {
		close(wait)
	}
	clear(s.waits)
	ports := s.ports
	s.ports = nil
	s.mu.Unlock()
	var err error
	for _, p := range ports {
		err = errors.Join(err, p.close())
	}
	return err
}

// Request is what reached the server, before it is performed.
type Request struct {
	// Service is "kinesis" or "dynamodb", Op the operation, such as "PutRecords".
	Service, Op string
	// Client is the name that Config was given; over TCP it is the caller's access key id.
	Client string
	// Stream, Shard, Table and Key (the hash key's value of a DynamoDB item, a number in its decimal form) are set as far as the request
	// names them, also inside a shard iterator. A PutRecords names no shard.
	Stream, Shard, Table, Key string
	// Body is the JSON as it came.
	Body []byte
}

// Reply is an answer to a request: an HTTP status and a JSON body.
type Reply struct {
	Status int
	Body   []byte
}

// How an exchange ends without an answer.
var (
	errBroken = errors.New("kinesistest: connection broken")
	errClosed = errors.New("kinesistest: server closed")
)

// answer is a reply and what its headers say.
type answer struct {
	Reply
	header http.Header
}

// exchange is one request's way through the server, whichever transport brings it. The error is errBroken, errClosed or ctx's.
func (s *Server) exchange(ctx context.Context, client, target string, body []byte) (answer, error) {
	service, op, ok := wire.Operation(target)
	number, err := s.admit(op)
	if err != nil {
		return answer{}, err
	}
	var reply Reply
	if ok {
		r := &Request{Service: service, Op: op, Client: client, Body: body}
		if reply, err = s.meet(ctx, r); err != nil {
			return answer{}, err
		}
	} else {
		reply = refusal(service, &wire.Error{Code: "UnknownOperationException", Message: "X-Amz-Target names no operation: " + target})
	}
	header := make(http.Header, 4)
	header.Set("Content-Type", wire.ContentType(service))
	header.Set("Content-Length", fmt.Sprint(len(reply.Body)))
	header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	if service == wire.DynamoDB {
		// The SDK compares the body with it and, when it is missing, with 0: every answer would be logged as broken.
		header.Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE(reply.Body)), 10))
	}
	header.Set("X-Amzn-Requestid", fmt.Sprintf("00000000-0000-4000-8000-%012x", number))
	return answer{reply, header}, nil
}

// admit counts a request, and numbers it.
func (s *Server) admit(op string) (number uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, errClosed
	}
	s.requests++
	s.calls[op]++
	return s.requests, nil
}

// meet lets a request meet the rule that is there for it, or performs it.
func (s *Server) meet(ctx context.Context, r *Request) (Reply, error) {
	rule := s.ruleFor(r)
	if rule == nil || rule.fault.apply == nil {
		return s.perform(ctx, r), nil
	}
	reply, err := rule.fault.apply(ctx, &call{server: s, rule: rule, request: r})
	if reply.Status == 0 {
		reply.Status = http.StatusOK
	}
	return reply, err
}

// perform does what the request asks for.
func (s *Server) perform(ctx context.Context, r *Request) Reply {
	do := s.kinesis.Call
	if r.Service == wire.DynamoDB {
		do = s.dynamo.Call
	}
	body, err := do(ctx, r.Op, r.Body)
	if err != nil {
		return refusal(r.Service, err)
	}
	return Reply{Status: http.StatusOK, Body: body}
}

func refusal(service string, err *wire.Error) Reply {
	status, body := err.Encode(service)
	return Reply{Status: status, Body: body}
}

// wait lets d pass. It ends early with ctx's error, or with errBroken when the server is closed.
//
// The channel is made here and not in New, because a goroutine that waits for a channel from outside its bubble would keep the
// bubble's clock from moving.
func (s *Server) wait(ctx context.Context, d time.Duration) error {
	closing := make(chan struct{})
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return errBroken
	}
	s.waits[closing] = struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.waits, closing)
		s.mu.Unlock()
	}()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-closing:
		return errBroken
	case <-timer.C:
	}
	// A deadline at the very end of the delay has passed, whichever of the two woke us, and whether or not ctx knows it already.
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		return context.DeadlineExceeded
	}
	return ctx.Err()
}

// ruleFor finds the newest rule that fires for a request.
func (s *Server) ruleFor(r *Request) *Rule {
	s.mu.Lock()
	rules := slices.Clone(s.rules)
	s.mu.Unlock()
	named := false
	for _, rule := range slices.Backward(rules) {
		if rule.op != r.Op && rule.op != "*" {
			continue
		}
		if !named {
			s.name(r)
			named = true
		}
		if rule.meets(r) {
			return rule
		}
	}
	return nil
}

// name finds out what a request is about. Only rules want to know, so it costs nothing where there are none.
func (s *Server) name(r *Request) {
	if r.Service == wire.DynamoDB {
		r.Table, r.Key = s.dynamo.Key(r.Op, r.Body)
		return
	}
	r.Stream, r.Shard = kinesis.Names(r.Body)
}
