package kinesistest

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/firehose"
	"github.com/kinesiskit/kinesiskit/kinesistest/internal/kinesis"
	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

// Fault is what happens to a request. The zero Fault is nothing: a rule with it exempts requests from older rules.
type Fault struct {
	apply   func(ctx context.Context, c *call) (Reply, error)
	byShard bool // takes Rule.Shard for entries, not for the request
}

// call is a request that has met a rule.
type call struct {
	server  *Server
	rule    *Rule
	request *Request
}

func (c *call) perform(ctx context.Context) Reply { return c.server.perform(ctx, c.request) }

func (c *call) refuse(code, message string) Reply {
	e := &wire.Error{Code: code, Message: message}
	switch {
	case strings.HasPrefix(code, "Internal"): // InternalFailureException, InternalServerError
		e.Status = http.StatusInternalServerError
	case code == "ServiceUnavailableException":
		e.Status = http.StatusServiceUnavailable
	}
	return refusal(c.request.Service, e)
}

// Throttle answers with the operation's own throttling exception: ProvisionedThroughputExceededException where records or items are
// read or written, ServiceUnavailableException where Firehose takes records, else LimitExceededException (Kinesis, Firehose) or
// ThrottlingException (DynamoDB). Nothing is applied.
func Throttle() Fault {
	return Fault{apply: func(_ context.Context, c *call) (Reply, error) {
		return c.refuse(throttling(c.request.Service, c.request.Op), "Rate exceeded, by a rule of the test."), nil
	}}
}

func throttling(service, op string) string {
	switch {
	case service == wire.Firehose && strings.HasPrefix(op, "PutRecord"):
		return "ServiceUnavailableException"
	case strings.HasSuffix(op, "Item"), strings.HasSuffix(op, "Items"), // DynamoDB's single, batch and transaction operations
		op == "Query", op == "Scan",
		op == "PutRecord", op == "PutRecords", op == "GetRecords", op == "GetShardIterator":
		return "ProvisionedThroughputExceededException"
	case service == wire.DynamoDB:
		return "ThrottlingException"
	}
	return "LimitExceededException"
}

// Exception answers with an exception of the service, such as "KMSThrottlingException", with status 400, or 500 if the code starts with
// "Internal", or 503 for ServiceUnavailableException. Nothing is applied.
func Exception(code, message string) Fault {
	return Fault{apply: func(_ context.Context, c *call) (Reply, error) { return c.refuse(code, message), nil }}
}

// Status answers with a bare HTTP status such as 500 or 503. Nothing is applied.
func Status(code int) Fault {
	return Fault{apply: func(context.Context, *call) (Reply, error) { return Reply{Status: code, Body: []byte("{}")}, nil }}
}

// Delay applies the request and answers after d. A client that gives up meanwhile gets no answer, though the request is applied.
func Delay(d time.Duration) Fault {
	return Fault{apply: func(ctx context.Context, c *call) (Reply, error) {
		reply := c.perform(ctx)
		return reply, c.server.wait(ctx, d)
	}}
}

// LoseRequest breaks the connection. The request is never applied, which the client cannot know.
func LoseRequest() Fault {
	return Fault{apply: func(context.Context, *call) (Reply, error) { return Reply{}, errBroken }}
}

// LoseReply applies the request and breaks the connection, so that the client cannot know.
func LoseReply() Fault {
	return Fault{apply: func(ctx context.Context, c *call) (Reply, error) {
		c.perform(ctx)
		return Reply{}, errBroken
	}}
}

// ApplyLate breaks the connection now and applies the request after d, when the client may have sent others: a write that a network
// held back. If the server is closed before, it is never applied.
func ApplyLate(d time.Duration) Fault {
	return Fault{apply: func(ctx context.Context, c *call) (Reply, error) {
		// No operation looks at ctx's end, which is the client's business. The timer is not kept: one that a bubble made must not be stopped from outside, and one that fires after Close does nothing.
		time.AfterFunc(d, func() {
			if !c.server.isClosed() {
				c.perform(ctx)
			}
		})
		return Reply{}, errBroken
	}}
}

func (s *Server) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// FailRecords makes entries of a PutRecords, or of a Firehose PutRecordBatch, fail with a code, each with probability share, while the
// request as a whole succeeds. With Rule.Shard only entries of that shard fail. The codes that Kinesis knows here are
// "ProvisionedThroughputExceededException" and "InternalFailure", those of Firehose "ServiceUnavailableException" and "InternalFailure".
// Share 1 fails all.
func FailRecords(code string, share float64) Fault {
	return Fault{byShard: true, apply: func(ctx context.Context, c *call) (Reply, error) {
		failing := &kinesis.Failing{Code: code, Share: share}
		c.rule.narrow(func() {
			failing.Shard = c.rule.shard
			failing.Draw = rand.New(rand.NewPCG(c.rule.draw.Uint64(), 0))
		})
		if c.request.Service == wire.Firehose {
			return c.perform(firehose.WithFailing(ctx, &firehose.Failing{Code: code, Share: share, Draw: failing.Draw})), nil
		}
		return c.perform(kinesis.WithDeviation(ctx, kinesis.Deviation{Fail: failing})), nil
	}}
}

// ExpireIterator answers GetRecords with ExpiredIteratorException, as if the iterator were older than five minutes.
func ExpireIterator() Fault {
	return Exception("ExpiredIteratorException", "Iterator expired, by a rule of the test.")
}

// StaleShards makes ListShards, DescribeStream or DescribeStreamSummary tell the shards of age ago: without those made since, and with those closed since open.
// It does not go back before the stream's creation, nor bring back shards that have expired.
func StaleShards(age time.Duration) Fault {
	return Fault{apply: func(ctx context.Context, c *call) (Reply, error) {
		return c.perform(kinesis.WithDeviation(ctx, kinesis.Deviation{ListAge: age})), nil
	}}
}

// Do is anything else. fn runs on the goroutine that serves the request, under no lock. It may look at the request, change its Body,
// answer by itself, or call next to have it applied, as often as it likes; status 0 in its Reply means 200. ctx ends when the
// client gives up, and fn should return then.
func Do(fn func(ctx context.Context, r *Request, next func() Reply) Reply) Fault {
	return Fault{apply: func(ctx context.Context, c *call) (Reply, error) {
		reply := fn(ctx, c.request, func() Reply { return c.perform(ctx) })
		return reply, ctx.Err()
	}}
}
