package consumer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"go.uber.org/zap"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/consumer/internal/fetch"
	"github.com/kinesiskit/kinesiskit/internal/awsx"
	"github.com/kinesiskit/kinesiskit/lease"
	"github.com/kinesiskit/kinesiskit/shard"
)

// fetchFailed tells of a page that could not be read. A stream or shard that is gone is never taken for a shard's end: it may be a stream that was
// deleted and made again, or a table of another one, which ends the session. Else what the listing says about it is told, and reading is tried again. done
// says that the shard was finished because it has aged out of the stream.
func (s *session) fetchFailed(ctx, stay context.Context, got fetched) (done bool, err error) {
	err = got.err
	s.c.fetched(FetchEvent{Stream: s.c.stream.Name, Shard: s.shard.ID(), Took: got.took, FanOut: got.fanOut, Err: err})
	switch awsx.Classify(err) {
	case awsx.Expired:
		err = nil // after a long pause, and mended by the next attempt
	case awsx.Throttle:
		s.c.throttled(ThrottleEvent{Op: operation(err), Stream: s.c.stream.Name, Shard: s.shard.ID(), Wait: got.wait})
	case awsx.Gone, awsx.Invalid:
		return s.inquire(ctx, stay, err)
	}
	if err != nil {
		s.trouble("shard cannot be read", err)
	}
	return false, nil
}

// absence is how far apart two complete listings are of which neither has the shard: then it is not one that lags, and the shard is gone.
const absence = 30 * time.Second

// inquire asks the listing about a shard that the service does not know, or whose number it refuses.
func (s *session) inquire(ctx, stay context.Context, refused error) (done bool, err error) {
	graph, at, listErr := s.c.listing.refresh(stay)
	if listErr != nil {
		if stay.Err() == nil {
			s.trouble("shard cannot be read", fmt.Errorf("%w (and %w)", refused, listErr))
		}
		return false, nil
	}
	if listed, ok := graph.Shard(s.shard.ID()); ok {
		s.missing = time.Time{}
		if foreign := s.foreign(refused, listed); foreign != nil {
			return false, s.strange(ctx, stay, foreign)
		}
		s.trouble("shard cannot be read", refused)
		return false, nil
	}
	s.trouble("shard cannot be read", fmt.Errorf("%w (the stream's listing does not have the shard)", refused))
	switch {
	case awsx.Classify(refused) != awsx.Gone:
		return false, nil
	case s.missing.IsZero():
		s.missing = time.Now()
	}
	if time.Since(s.missing) < absence {
		return false, nil
	}
	return s.agedOut(ctx, stay, graph, at)
}

// agedOut finishes a shard that retention has taken before it was read to its end: nobody can read what is left of it, and its children would wait for
// ever. Without children that are known it is left alone. Nobody waits then; and nothing tells it from a shard of a stream that was deleted and made again
// with fewer ones.
func (s *session) agedOut(ctx, stay context.Context, graph *shard.Graph, at time.Time) (done bool, err error) {
	children, err := s.tenure.Continuing(stay, graph)
	if err != nil && stay.Err() == nil {
		s.trouble("end of shard cannot be confirmed", err)
	}
	if len(children) == 0 {
		return false, nil
	}
	s.expired(checkpoint.Position{})
	s.aged = s.accepted == checkpoint.Position{} // then no Flush has anything to confirm
	return true, s.finish(ctx, stay, children, at)
}

// expired tells that retention was faster than this application: in the log, once for a shard and position. next is the first record that is still
// there, zero if the shard itself is gone.
func (s *session) expired(next checkpoint.Position) {
	e := DropEvent{Stream: s.c.stream.Name, Shard: s.shard.ID(), Why: Expired, Records: -1, First: s.unpacker.start, Last: next}
	s.view.lost(e.First)
	s.c.mu.Lock()
	told := s.c.expired[e.Shard] == e.First
	s.c.expired[e.Shard] = e.First
	s.c.mu.Unlock()
	if !told {
		s.log.Error("stored position has aged out of the stream: records behind it may be lost", zap.Stringer("stored", e.First), zap.Stringer("next", e.Last))
	}
	s.c.dropped(e)
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
	s.verified, s.missing = true, time.Time{}
	if row, first := s.tenure.Lease(), s.shard.info.First; row.First == "" && first != "" {
		s.tenure.Identify(first)
	}
}
