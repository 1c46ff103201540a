// Package send decides what is sent when, and what an answer means: lanes, batches, retries. It does no I/O, has no clock and starts nothing: time is
// an argument, requests and verdicts are values. Core is used by one goroutine at a time.
package send

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/kinesiskit/kinesiskit/aggregation"
	"github.com/kinesiskit/kinesiskit/producer/internal/route"
	"github.com/kinesiskit/kinesiskit/shard"
)

const (
	// outerKey is the partition key of every aggregate, KPL's; readers that follow the format know an aggregate of a library by it. The explicit
	// hash key is what routes it.
	outerKey = "a"

	// framing is the least that the format adds to a record's data: tag and length of the record, key index, tag and length of the data.
	framing = 6

	// mostFraming is more than the format adds to a record's data and keys: five tags, five lengths, two indices.
	mostFraming = 40

	// mostAttempts bounds the history that is kept of a record that is retried for hours: the first and the latest ones tell the story.
	mostAttempts = 64
)

// Item is one accepted user record. It is given to the Core and comes back once, in an Outcome.
type Item struct {
	Key      string
	Explicit string // the user's explicit hash key; empty: none
	Data     []byte
	Hash     shard.HashKey // explicit or of the key
	Seq      uint64        // acceptance order
	Accepted time.Time
	Owner    any // the caller's, not looked at

	past *past
}

func bySeq(a, b *Item) int { return cmp.Compare(a.Seq, b.Seq) }

// past is what an Item brings along from Kinesis records that it was part of earlier. Most items never have one.
type past struct {
	attempts []Attempt
	tries    int
	mayExist bool
	resends  int
}

// bytes is what the item counts in a request when it goes alone.
func (it *Item) bytes() int { return len(it.Key) + len(it.Data) }

// weight is a lower bound of what the item adds to an aggregate: its keys may be in the tables already.
func (it *Item) weight() int { return len(it.Data) + framing }

// Attempts are those of earlier Kinesis records the item was part of, then the given ones, and how many there were in all.
func (it *Item) Attempts(latest []Attempt, tries int) ([]Attempt, int) {
	if it.past == nil {
		return latest, tries
	}
	return abridge(slices.Concat(it.past.attempts, latest)), it.past.tries + tries
}

// MayExist reports whether an earlier Kinesis record that held this item may be in the stream.
func (it *Item) MayExist() bool { return it.past != nil && it.past.mayExist }

// Attempt is one request that carried a record, and how it ended for it.
type Attempt struct {
	Start, End    time.Time
	Shard         string
	Code, Message string
}

// abridge keeps the first half and the latest half of a long history.
func abridge(attempts []Attempt) []Attempt {
	over := len(attempts) - mostAttempts
	if over <= 0 {
		return attempts
	}
	kept := make([]Attempt, 0, mostAttempts)
	kept = append(kept, attempts[:mostAttempts/2]...)
	return append(kept, attempts[mostAttempts/2+over:]...)
}

// Entry is one Kinesis record: an aggregate, or a user record alone. Its membership does not change while it may be in the stream as a whole, so a
// retry sends the same bytes.
type Entry struct {
	Items []*Item // in acceptance order
	Bytes int     // data and partition key, as the service counts

	low, high shard.HashKey
	lane      string // the shard it is meant for
	version   int64  // of the map that said so
	made      time.Time

	attempts []Attempt
	tries    int
	mayExist bool
	spread   route.Spread // of the stream when it was sent last

	// Where it was stored, while that has to be judged.
	shard, sequence string

	builder *aggregation.Builder // holds the aggregate until it is first sent
}

// builders keeps the memory of aggregates that were sent for the next ones.
var builders = sync.Pool{New: func() any { return new(aggregation.Builder) }}

func (e *Entry) aggregated() bool { return len(e.Items) > 1 }

func (e *Entry) sent() route.Sent {
	return route.Sent{Aggregate: e.aggregated(), Low: e.low, High: e.high, Expected: e.lane, Version: e.version}
}

// Payload is what goes on the wire. It may be called on any goroutine while the entry is part of a request, by one at a time. The explicit hash key
// is set on every record, as KPL does, where the stream is known to go by it; before that is known, where the user asks for one.
func (e *Entry) Payload() (partitionKey, explicitHashKey string, data []byte) {
	first := e.Items[0]
	switch {
	case e.spread == route.SpreadAuto:
	case first.Explicit != "" || e.spread == route.SpreadUnknown:
		explicitHashKey = first.Explicit
	default:
		explicitHashKey = first.Hash.String()
	}
	if !e.aggregated() {
		return first.Key, explicitHashKey, first.Data
	}
	// A retry encodes again: keeping the bytes would double the memory of everything that waits out a throttle. The same items in the same order
	// give the same bytes.
	if e.builder == nil {
		e.builder = builders.Get().(*aggregation.Builder)
		for _, it := range e.Items {
			e.builder.Add(it.encodable())
		}
	}
	data = e.builder.AppendTo(nil)
	e.release()
	return outerKey, explicitHashKey, data
}

func (e *Entry) release() {
	if e.builder != nil {
		e.builder.Reset()
		builders.Put(e.builder)
		e.builder = nil
	}
}

func (it *Item) encodable() aggregation.Record {
	return aggregation.Record{PartitionKey: it.Key, ExplicitHashKey: it.Explicit, Data: it.Data}
}

// Request is one PutRecords.
type Request struct {
	Entries []*Entry
	Bytes   int
	Start   time.Time

	isolating bool // its entries are suspected of having spoiled an earlier request
}

// UserRecords is the number of user records in the request.
func (r *Request) UserRecords() int {
	n := 0
	for _, e := range r.Entries {
		n += len(e.Items)
	}
	return n
}

// Outcome is the end of some items, which were one Kinesis record if they were sent.
type Outcome struct {
	Items      []*Item
	Aggregated bool
	Shard      string
	Sequence   string
	Attempts   []Attempt // without those of the items' past
	Tries      int
	MayExist   bool  // stored: may be there more than once; failed: may be there all the same
	Err        error // nil: stored
	Ruptures   bool  // others fail because of it until Told
}
