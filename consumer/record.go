package consumer

import (
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
)

// Record is one user record, out of an aggregate or not.
type Record struct {
	PartitionKey    string // empty only on streams that choose keys themselves
	ExplicitHashKey string // decimal; known only inside aggregates
	Data            []byte // read only; shares memory with its neighbours: copy what you keep for long
	Position        checkpoint.Position
	ArrivalTime     time.Time // at Kinesis, approximate; of the whole aggregate, if it was in one
	Aggregated      bool
	Encrypted       bool // at rest, with a KMS key

	shard *Shard
}

// Shard is the shard that the record was read from, nil for a Record that your code made itself.
func (r *Record) Shard() *Shard { return r.shard }

// Batch is at most one page of records of one shard.
type Batch struct {
	Shard   *Shard
	Records []Record      // at least one
	Behind  time.Duration // how far the end of the page is behind the tip of the shard (MillisBehindLatest)
	Attempt int           // 1, or more after errors: then Records[0] was handed over before
}
