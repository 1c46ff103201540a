package consumer

import (
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/lease"
)

// Hooks let a program watch. nil functions are not called; the others run on the shards' own goroutines, several at once, and must not block.
// A panic in a hook is not caught.
type Hooks struct {
	Lease   lease.Hooks
	Fetched func(FetchEvent) // once for each attempt at a page, or event of a subscription
	Failed  func(f *Failure) // once for each call of your code that failed
	Dropped func(DropEvent)
}

// FetchEvent is one attempt at a page: a poll, or the wait for a subscription's event.
type FetchEvent struct {
	Stream, Shard  string
	Records, Bytes int           // as Kinesis counts them
	UserRecords    int           // that will be delivered
	OutsideKept    int           // of them, those in aggregates that lie outside the shard, as far as Config.Aggregates had to look
	Behind         time.Duration // of the page's end, behind the tip of the shard
	Took           time.Duration // of the requests; with FanOut, of those for a subscription, if the event had to wait for one
	FanOut         bool          // a subscription's event, or the attempt at one
	Err            error         // nil: the page was read
}

// DropEvent is about records that are not delivered, and not because they were delivered before.
type DropEvent struct {
	Stream, Shard string
	Why           DropReason
	Records       int // -1: not known, with Expired

	// First and Last are the positions of the first and the last of them. With Expired, First is the position behind which they would have stood, and
	// Last that of the first record which is still there, zero if there is none.
	First, Last checkpoint.Position
}

// DropReason says why records were not delivered.
type DropReason int

const (
	// OutsideRange: a producer with an outdated shard map packed records of several shards into one aggregate, which landed in a shard that these
	// do not belong to. That shard's sibling has its own copy: the producer saw where the aggregate went and sent it again. What else is dropped for this
	// reason depends on Config.Aggregates; with Whole that is also what stood beside such records.
	OutsideRange DropReason = iota
	// Corrupt: entries of an aggregate that cannot be read. Its other entries were delivered.
	Corrupt
	// Expired: the stored position is no longer in the stream, so retention has removed it and what may have stood behind it.
	Expired
)

// String returns the reason in lower case, as logs and metrics show it.
func (r DropReason) String() string {
	switch r {
	case OutsideRange:
		return "outside range"
	case Corrupt:
		return "corrupt"
	case Expired:
		return "expired"
	default:
		return "unknown"
	}
}

func (c *Consumer) fetched(e FetchEvent) {
	for i := range c.hooks {
		if f := c.hooks[i].Fetched; f != nil {
			f(e)
		}
	}
}

func (c *Consumer) failed(f *Failure) {
	for i := range c.hooks {
		if h := c.hooks[i].Failed; h != nil {
			h(f)
		}
	}
}

func (c *Consumer) dropped(e DropEvent) {
	for i := range c.hooks {
		if f := c.hooks[i].Dropped; f != nil {
			f(e)
		}
	}
}
