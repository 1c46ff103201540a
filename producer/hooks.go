package producer

import (
	"context"
	"time"
)

// Hooks observe a producer, for metrics and traces. A nil function is not called. None may block or panic: Settled runs where the callbacks run,
// the others on the goroutines that send.
type Hooks struct {
	// RequestStart is called before each PutRecords, on its goroutine; the request is made with the context it returns. RequestEnd gets that context
	// and the same event, completed.
	RequestStart func(ctx context.Context, e RequestEvent) context.Context
	RequestEnd   func(ctx context.Context, e RequestEvent)

	// Settled is called once for each accepted record.
	Settled func(SettledEvent)

	// Resent is called for each aggregate that reached a shard which does not hold all of its records, so that all of them are sent again. It happens
	// while a stream is resharded.
	Resent func(ResentEvent)

	// ShardMap is called after each listing of the shards, also one that failed.
	ShardMap func(ShardMapEvent)
}

// RequestEvent is one PutRecords. Took and what follows it is set in RequestEnd only.
type RequestEvent struct {
	Stream      string
	Entries     int // Kinesis records
	UserRecords int
	Bytes       int // data and partition keys of the Kinesis records

	Took      time.Duration
	Failed    int   // Kinesis records that were not stored, as far as the answer says
	Throttled int   // of these, those that exceeded their shard's limits
	Err       error // the request failed as a whole
}

// SettledEvent is the end of one record.
type SettledEvent struct {
	Result   Result
	Err      *RecordError  // nil: stored
	Buffered time.Duration // from acceptance to verdict
	Bytes    int           // data and keys
}

// ResentEvent is an aggregate that was stored in vain.
type ResentEvent struct {
	Stream           string // as its records name it
	Expected, Actual string // shards
	Records          int    // user records in it
}

// ShardMapEvent is a listing of the shards.
type ShardMapEvent struct {
	Stream  string // as its records name it
	Shards  int    // open ones, in the map that is in use; 0 before the first
	Version int64  // of that map, 0 before the first; it grows with each change of the open shards
	Err     error  // why the listing failed, and the map is the one of before; nil if it succeeded
}
