package lease

import (
	"fmt"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/shard"
)

// Start says where an application begins that has no rows yet. The zero value is its oldest records.
type Start struct {
	Latest bool      // with what arrives from the application's first start on; At is not looked at
	At     time.Time // with what arrived at this time or later, in whole milliseconds; zero: with the oldest records
}

// position is the sentinel that KCL's rows have for it.
func (s Start) position() checkpoint.Position {
	switch {
	case s.Latest:
		return checkpoint.Latest
	case !s.At.IsZero():
		return checkpoint.AtTimestamp
	}
	return checkpoint.TrimHorizon
}

// begin makes the instant of an application that begins now. at is the service's clock.
func (s Start) begin(stream string, at time.Time) (origin, error) {
	o := origin{stream: stream, first: s.position(), instant: s.At}
	switch {
	case at.IsZero():
		// The host's clock may be fast: what arrived before it showed this moment would be passed over.
		return o, errNoClock
	case s.Latest:
		o.instant = at.Truncate(time.Second)
	case s.At.After(at):
		return o, &FutureError{At: s.At, Now: at}
	}
	return o, nil
}

// origin is what the row of a shard that nobody has read yet is made of, beside the shard.
type origin struct {
	stream   string
	instant  time.Time           // at which the application began; zero if with the oldest records
	first    checkpoint.Position // what the row says if no parent has a row; zero: AT_TIMESTAMP, or without an instant TRIM_HORIZON
	inherits bool                // a parent of the shard has a row
}

// position is where the shard begins. What continues a shard that has a row is read from its beginning, whatever the application began with: two workers
// that list the stream before and after a reshard, at the application's first start, then agree.
func (o origin) position() checkpoint.Position {
	switch {
	case o.inherits || o.instant.IsZero():
		return checkpoint.TrimHorizon
	case o.first == checkpoint.Position{}:
		return checkpoint.AtTimestamp
	}
	return o.first
}

// newLease is the row of a shard that nobody has read yet. at is the service's clock: counters of rows made anew start above those of their
// predecessors, so that a fencing token never falls back.
//
// Every row has the instant, though only that of a first shard begins there: it has to outlive the rows of the first shards.
func newLease(s shard.Shard, o origin, at time.Time) Lease {
	return Lease{
		Key:        s.ID,
		Counter:    at.UnixMilli(),
		Checkpoint: checkpoint.Checkpoint{Position: o.position()},
		Parents:    s.Parents,
		HashRange:  s.Range,
		Stream:     StreamLabel(o.stream),
		StartAt:    o.instant,
		First:      s.First,
	}
}

// instantOf is the instant at which an application began, as its rows have it: the earliest one, since two workers may have begun at once. Zero if no
// row has any.
func instantOf(rows []Lease) time.Time {
	var earliest time.Time
	for _, r := range rows {
		if !r.StartAt.IsZero() && (earliest.IsZero() || r.StartAt.Before(earliest)) {
			earliest = r.StartAt
		}
	}
	return earliest
}

// FutureError says that an application was to begin at a time that has not come yet. Kinesis cannot read from there, and nothing was written.
type FutureError struct {
	At  time.Time // what was asked for
	Now time.Time // the service's clock
}

func (e *FutureError) Error() string {
	return fmt.Sprintf("lease: start at %s: is in the future, it is %s", e.At.Format(time.RFC3339Nano), e.Now.Format(time.RFC3339Nano))
}
