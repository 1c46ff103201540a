package producer

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"

	"github.com/kinesiskit/kinesiskit/internal/awsx"
	"github.com/kinesiskit/kinesiskit/producer/internal/send"
)

// Codes of attempts for which there is no code of the service.
const (
	codeTimeout  = "RequestTimeout"
	codeNoAnswer = "NoAnswer"
)

const codeThrottled = "ProvisionedThroughputExceededException"

type answer struct {
	stream    *stream
	request   *send.Request
	reply     send.Reply
	throttled int // entries
}

// perform makes one PutRecords.
func (p *Producer) perform(s *stream, r *send.Request) {
	event := RequestEvent{Stream: s.name, Entries: len(r.Entries), UserRecords: r.UserRecords(), Bytes: r.Bytes}
	ctxs := make([]context.Context, len(p.hooks))
	ctx := p.ctx
	for i, h := range p.hooks {
		if h.RequestStart != nil {
			ctx = h.RequestStart(ctx, event) //nolint:fatcontext // each hook adds to what the one before it made; there are a few
		}
		ctxs[i] = ctx
	}
	ctx, cancel := context.WithTimeout(ctx, p.cfg.RequestTimeout)
	out, err := p.kinesis.PutRecords(ctx, input(s, r), awsx.PutOnce)
	timedOut := errors.Is(ctx.Err(), context.DeadlineExceeded)
	cancel()

	event.Took = time.Since(r.Start)
	reply := send.Reply{}
	if err != nil {
		reply.Failure = failure(err)
		if timedOut && reply.Code == codeNoAnswer {
			reply.Code = codeTimeout
		}
		event.Failed, event.Err = event.Entries, err
		if reply.Code == codeThrottled {
			event.Throttled = event.Entries
		}
	} else {
		reply.Results = results(out)
		for _, e := range reply.Results {
			if e.Err != nil {
				event.Failed++
			}
			if e.Code == codeThrottled {
				event.Throttled++
			}
		}
	}
	for i, h := range p.hooks {
		if h.RequestEnd != nil {
			h.RequestEnd(ctxs[i], event)
		}
	}
	p.inbox.answer(answer{s, r, reply, event.Throttled})
}

func input(s *stream, r *send.Request) *kinesis.PutRecordsInput {
	in := &kinesis.PutRecordsInput{Records: make([]types.PutRecordsRequestEntry, len(r.Entries))}
	in.StreamName, in.StreamARN = s.target()
	for i, e := range r.Entries {
		key, hash, data := e.Payload()
		in.Records[i] = types.PutRecordsRequestEntry{PartitionKey: &key, Data: data}
		if hash != "" {
			in.Records[i].ExplicitHashKey = &hash
		}
	}
	return in
}

// failure classifies an error of a request.
func failure(err error) send.Failure {
	f := send.Failure{Err: err, Class: awsx.Classify(err), Ambiguous: awsx.Ambiguous(err), Code: codeNoAnswer, Message: err.Error()}
	var api smithy.APIError
	if errors.As(err, &api) {
		f.Code, f.Message = api.ErrorCode(), api.ErrorMessage()
	}
	return f
}

// results reads an answer. An entry that has neither an error nor a place counts as an answer that was lost.
func results(out *kinesis.PutRecordsOutput) []send.Result {
	if out == nil {
		return nil
	}
	list := make([]send.Result, len(out.Records))
	for i, r := range out.Records {
		switch code := aws.ToString(r.ErrorCode); {
		case code != "":
			// The code of an entry is a bare word, so it is given the form of an error to be classified like one. Its answer is definite: not stored.
			err := &smithy.GenericAPIError{Code: code, Message: aws.ToString(r.ErrorMessage)}
			list[i].Failure = failure(entryError(err))
			list[i].Ambiguous = false
		case aws.ToString(r.SequenceNumber) == "" || aws.ToString(r.ShardId) == "":
			list[i].Failure = send.Failure{Err: errNoPlace, Class: awsx.Transient, Ambiguous: true, Code: codeNoAnswer, Message: errNoPlace.Error()}
		default:
			list[i].Shard, list[i].Sequence = *r.ShardId, *r.SequenceNumber
		}
	}
	return list
}

var errNoPlace = errors.New("the answer has neither a place nor an error for the record")

// entryError gives the codes that entries are known to fail with the SDK's types, so that they match like those of whole requests.
func entryError(e *smithy.GenericAPIError) error {
	switch e.Code {
	case codeThrottled:
		return &types.ProvisionedThroughputExceededException{Message: &e.Message}
	default:
		return e
	}
}
