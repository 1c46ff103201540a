package consumer

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesiskit/kinesiskit/consumer/internal/fetch"
	"github.com/kinesiskit/kinesiskit/internal/awsx"
	"github.com/kinesiskit/kinesiskit/lease"
	"github.com/kinesiskit/kinesiskit/shard"
)

// fetchFailed tells of a page that could not be read. A stream or shard that is gone is never taken for a shard's end: it may be a stream that was
// deleted and made again, or a table of another one, which ends the session. Else what the listing says about it is told, and reading is tried again.
func (s *session) fetchFailed(ctx, stay context.Context, got fetched) error {
	err := got.err
	s.c.fetched(FetchEvent{Stream: s.c.stream.Name, Shard: s.shard.ID(), Took: got.took, FanOut: got.fanOut, Err: err})
	switch awsx.Classify(err) {
	case awsx.Expired:
		err = nil // after a long pause, and mended by the next attempt
	case awsx.Throttle:
		s.c.throttled(ThrottleEvent{Op: operation(err), Stream: s.c.stream.Name, Shard: s.shard.ID(), Wait: got.wait})
	case awsx.Gone, awsx.Invalid:
		var foreign error
		if err, foreign = s.explain(stay, err); foreign != nil {
			return s.strange(ctx, stay, foreign)
		}
	}
	if err != nil && stay.Err() == nil {
		s.trouble("shard cannot be read", err)
	}
	return nil
}

// explain adds to err what the listing says about the shard. foreign says that its row is about another one.
func (s *session) explain(stay context.Context, err error) (explained, foreign error) {
	graph, _, listErr := s.c.listing.refresh(stay)
	if listErr != nil {
		return fmt.Errorf("%w (and %w)", err, listErr), nil
	}
	listed, ok := graph.Shard(s.shard.ID())
	if !ok {
		return fmt.Errorf("%w (the stream's listing does not have the shard)", err), nil
	}
	return err, s.foreign(err, listed)
}

// foreign returns what is strange about the row now that reading at its position was refused although the stream has a shard of its name. The service
// knows its own numbers: one that it takes for none of the shard's was written about another, unless the row says for certain that it is about this one.
func (s *session) foreign(refused error, listed shard.Shard) error {
	row := s.tenure.Lease()
	if err := row.Identify(listed); err != nil {
		return err
	}
	var start *fetch.StartError
	var invalid *types.InvalidArgumentException
	if !s.verified && row.First == "" && errors.As(refused, &start) && errors.As(refused, &invalid) {
		return &lease.IdentityError{Key: row.Key, Stored: "position " + start.Position.String(), Found: "a refusal: " + invalid.ErrorMessage()}
	}
	return nil
}

// strange ends Run, and the session with it: the row is not about the shard that the stream has.
func (s *session) strange(ctx, stay context.Context, err error) error {
	s.c.fail(s.c.foreign(err))
	<-stay.Done()
	return s.because(ctx, errLeaving)
}

// same notes in the row which shard it is about, once reading at its position has succeeded: a row of Java's does not say, and is believed only then.
func (s *session) same() {
	s.verified = true
	if row, first := s.tenure.Lease(), s.shard.info.First; row.First == "" && first != "" {
		s.tenure.Identify(first)
	}
}
