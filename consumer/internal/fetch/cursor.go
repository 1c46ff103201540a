package fetch

import (
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesiskit/kinesiskit/checkpoint"
)

// cursor is how far a shard was read. Polling and subscriptions can share one: each goes on where the other stopped.
type cursor struct {
	start        checkpoint.Position
	last         string // sequence number of the last record that was fetched; empty before the first
	continuation string // at or behind last, of the last event that was taken; empty if there is none that is worth more than last
	expected     string // sequence number of the record that has to come first, if it is not trimmed; empty once that is known
}

func newCursor(start checkpoint.Position) *cursor {
	c := &cursor{}
	c.rewind(start)
	return c
}

// rewind goes back, or for the first time, to start.
func (c *cursor) rewind(start checkpoint.Position) {
	*c = cursor{start: start}
	// An inclusive start, sub-sequence number -1, names a record that may never have existed: nothing can be concluded from its absence.
	if !start.IsSentinel() && start.Sub() >= 0 {
		c.expected = start.Sequence()
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
func (c *cursor) where(subscribing bool) (kind types.ShardIteratorType, sequence *string) {
	switch {
	case subscribing && c.continuation != "":
		number := c.continuation
		return types.ShardIteratorTypeAfterSequenceNumber, &number
	case c.last != "":
		number := c.last
		return types.ShardIteratorTypeAfterSequenceNumber, &number
	case c.start == checkpoint.TrimHorizon:
		return types.ShardIteratorTypeTrimHorizon, nil
	default:
		number := c.start.Sequence()
		return types.ShardIteratorTypeAtSequenceNumber, &number
	}
}
