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

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

// Server is Kinesis Data Streams, DynamoDB and Firehose. Its methods are safe for concurrent use.
type Server struct {
	seed        uint64
	free        bool // of limits
	transitions time.Duration
	stale       time.Duration

	// mu guards what is below. It is never held while an operation is performed or a callback runs.
	mu       sync.Mutex
	closed   bool
	worlds   map[place]*world // never without home's
	requests uint64
	calls    map[string]int
	used     map[string]map[string]struct{} // by client, the operations
	rules    []*Rule                        // oldest first
	made     uint64                         // rules ever
	waits    map[chan struct{}]struct{}
	ports    []*port
}

// New makes a server with no streams and no tables. It opens nothing and starts no goroutine, so that it can be made inside a
// testing/synctest bubble; time is that of the goroutines that call it.
func New(opts ...Option) *Server {
	s := &Server{
		seed:   1,
		worlds: make(map[place]*world),
		calls:  make(map[string]int),
		used:   make(map[string]map[string]struct{}),
		waits:  make(map[chan struct{}]struct{}),
	}
	for _, opt := range opts {
		opt.apply(s)
	}
	s.worlds[home] = s.newWorld(home)
	return s
}

// Close ends the server: listeners are closed, requests that a Delay holds and open subscriptions break, what ApplyLate still had to apply
// is dropped, and later requests find the connection refused. Over TCP it waits for the requests that are being served. What is
// stored can still be looked at. It may be called more than once; the error is that of closing a listener.
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
	// Service is "kinesis", "dynamodb" or "firehose", Op the operation, such as "PutRecords".
	Service, Op string
	// Client is the name that Config was given; over TCP it is the caller's access key id.
	Client string
	// Account and Region are whose streams and tables it is about: 000000000000 and us-east-1 for Config's clients. Over TCP the region is
	// the one that the request was signed for, and the account is the access key id if that has 12 digits.
	Account, Region string
	// Stream (also Firehose's), Shard, Table and Key (the hash key's value of a DynamoDB item, a number in its decimal form) are set as far as the request
	// names them, also inside a shard iterator. A PutRecords names no shard.
	Stream, Shard, Table, Key string
	// Body is the JSON as it came.
	Body []byte

	world *world
}

// Reply is an answer to a request: an HTTP status and a JSON body. One to a successful SubscribeToShard has an empty body and the stream of
// events, which follows if the Reply is passed on with its status.
type Reply struct {
	Status int
	Body   []byte

	events *events
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
func (s *Server) exchange(ctx context.Context, from caller, target string, body []byte) (answer, error) {
	service, op, ok := wire.Operation(target)
	number, err := s.admit(from.name, service, op)
	if err != nil {
		return answer{}, err
	}
	var reply Reply
	switch {
	case len(body) > largestBody:
		reply = tooLarge(service)
	case ok:
		r := &Request{
			Service: service, Op: op, Client: from.name, Account: from.to.Account, Region: from.to.Region, Body: body, world: s.at(from.to),
		}
		if reply, err = s.meet(ctx, r); err != nil {
			return answer{}, err
		}
	default:
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
	if reply.Status != http.StatusOK {
		reply.events = nil
	}
	if reply.events != nil {
		streaming(header)
	}
	return answer{reply, header}, nil
}

// admit counts a request, and numbers it.
func (s *Server) admit(client, service, op string) (number uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, errClosed
	}
	s.requests++
	s.calls[op]++
	if service != "" {
		if s.used[client] == nil {
			s.used[client] = make(map[string]struct{})
		}
		s.used[client][operation(service, op)] = struct{}{}
	}
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

// tooLarge refuses a body that no operation's largest request has.
func tooLarge(service string) Reply {
	return refusal(service, &wire.Error{
		Code: "RequestEntityTooLargeException", Message: fmt.Sprintf("The request has more than %d bytes.", largestBody),
		Status: http.StatusRequestEntityTooLarge,
	})
}

func refusal(service string, err *wire.Error) Reply {
	status, body := err.Encode(service)
	return Reply{Status: status, Body: body}
}

// untilClosed returns a channel that Close closes, for one wait, after which release is to be called. If ok is false the server is closed.
//
// The channel is made here and not in New, because a goroutine that waits for a channel from outside its bubble would keep the
// bubble's clock from moving.
func (s *Server) untilClosed() (closing chan struct{}, release func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, nil, false
	}
	closing = make(chan struct{})
	s.waits[closing] = struct{}{}
	return closing, func() {
		s.mu.Lock()
		delete(s.waits, closing)
		s.mu.Unlock()
	}, true
}

// wait lets d pass. It ends early with ctx's error, or with errBroken when the server is closed.
func (s *Server) wait(ctx context.Context, d time.Duration) error {
	closing, release, ok := s.untilClosed()
	if !ok {
		return errBroken
	}
	defer release()
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
