package fetch

import (
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/internal/awsx"
)

// Place is where reading a shard begins.
type Place struct {
	// Position is TrimHorizon, a number, or a sentinel that stands for an instant. A number is fetched again, so that an aggregate that was done in part can
	// be continued; leaving out what was done is the caller's.
	Position checkpoint.Position

	// Since is the instant that LATEST or AT_TIMESTAMP stands for.
	Since time.Time

	// First is the shard's starting sequence number, empty if that is not known. No record has it.
	First string
}

// cursor is how far a shard was read. Polling and subscriptions can share one: each goes on where the other stopped.
type cursor struct {
	start        checkpoint.Position
	since        time.Time // the instant that start stands for, if it is LATEST or AT_TIMESTAMP
	last         string    // sequence number of the last record that was fetched; empty before the first
	continuation string    // at or behind last, of the last event that was taken; empty if there is none that is worth more than last
	expected     string    // sequence number of the record that has to come first, if it is not trimmed; empty once that is known
}

func newCursor(from Place) *cursor {
	c := &cursor{}
	c.rewind(from)
	return c
}

// rewind goes back, or for the first time, to where reading is to begin.
func (c *cursor) rewind(to Place) {
	*c = cursor{start: to.Position, since: to.Since}
	// The place before a shard's starting number is that before its first record, which has another number: its absence tells nothing.
	if p := to.Position; !p.IsSentinel() && (p.Sub() >= 0 || p.Sequence() != to.First) {
		c.expected = p.Sequence()
	}
}

// take remembers where got ends, and tells it whether its beginning is what was expected. continuation is the event's, empty for an answer to a poll.
func (c *cursor) take(got *Page, continuation string) {
	n := len(got.Records)
	if c.expected != "" && (n > 0 || got.Closed) {
		got.Trimmed = n == 0 || got.Records[0].Position.Sequence() != c.expected
		c.expected = ""
	}
	if n > 0 {
		c.last, c.continuation = got.Records[n-1].Position.Sequence(), ""
	}
	if continuation != "" {
		c.continuation = continuation
	}
}

// where is the place to go on at. An iterator begins behind the last record; the continuation number of an event is one that no record needs to have,
// so it is given back only to the operation that gave it.
func (c *cursor) where(subscribing bool) (kind types.ShardIteratorType, sequence *string, since *time.Time) {
	switch {
	case subscribing && c.continuation != "":
		number := c.continuation
		return types.ShardIteratorTypeAfterSequenceNumber, &number, nil
	case c.last != "":
		number := c.last
		return types.ShardIteratorTypeAfterSequenceNumber, &number, nil
	case c.start == checkpoint.TrimHorizon:
		return types.ShardIteratorTypeTrimHorizon, nil, nil
	case c.start.IsSentinel():
		// Never LATEST: an iterator that expires before the first record, or another owner, would pass over what came meanwhile.
		at := c.since
		return types.ShardIteratorTypeAtTimestamp, nil, &at
	default:
		number := c.start.Sequence()
		return types.ShardIteratorTypeAtSequenceNumber, &number, nil
	}
}

// StartError says that the number at which reading was to begin was refused, and not only the request around it.
type StartError struct {
	Position checkpoint.Position
	Err      error
}

func (e *StartError) Error() string { return "start at " + e.Position.String() + ": " + e.Err.Error() }
func (e *StartError) Unwrap() error { return e.Err }

// blame makes a *StartError of the refusal of a request that named the start's number.
func (c *cursor) blame(err error) error {
	if c.last != "" || c.continuation != "" || c.start.IsSentinel() || awsx.Classify(err) != awsx.Invalid {
		return err
	}
	return &StartError{Position: c.start, Err: err}
}
