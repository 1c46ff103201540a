package consumer

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/aws/smithy-go"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/lease"
)

// Hooks let a program watch. nil functions are not called. Unless it says otherwise a hook runs on the goroutine of the shard that it is about, several
// shards' at once, and that shard waits for it: it must not block. A panic in a hook is not caught.
type Hooks struct {
	Lease lease.Hooks

	// Fetched: once for each attempt at a page, or event of a subscription.
	Fetched func(FetchEvent)

	// ProcessStart: before each call that hands records to your code: of Each's or Batches' function, or Process. With Each, b has the one record. The
	// context that it returns, made from ctx, is what your code gets; nil stands for ctx. On the goroutine that then calls your code: with
	// Config.ParallelizationFactor several at once for one shard.
	ProcessStart func(ctx context.Context, b *Batch) context.Context

	// ProcessEnd: once for each ProcessStart, on the same goroutine, with the context that this Hooks' ProcessStart returned, and what your code returned:
	// a *PanicError if it panicked, lease.ErrLost or ErrStopped if it was not called because the shard was lost in that moment. Hooks that were given
	// later are called earlier.
	ProcessEnd func(ctx context.Context, b *Batch, err error)

	// Checkpointed: once for each call of Shard.Checkpoint, on its goroutine, and once for each position that was stored without one, on a goroutine of
	// the lease's. The end of a shard is the position checkpoint.ShardEnd.
	Checkpointed func(CheckpointEvent)

	// Failed: once for each call of your code that failed, with what is done about it: what the error policy decided, or Retry where it decided something
	// that cannot be done. On the goroutine of the call.
	Failed func(f *Failure, v Verdict)

	// Dropped: once for each run of neighbouring records that are not delivered.
	Dropped func(DropEvent)

	// Throttled: once for each request for records that Kinesis refused for the moment: a limit of the shard, which all of its readers share, or, at
	// SubscribeToShard, a subscription that is in the way. Such requests are repeated, and are no reason to worry while Behind does not grow.
	Throttled func(ThrottleEvent)

	// Slow: when a call of your code has been running for Config.SlowCall, and again each minute until it returns. On a goroutine of its own,
	// never two at once for one shard.
	Slow func(SlowEvent)
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
	// Skipped: the error policy gave them up.
	Skipped
)

// CheckpointEvent is one position that was to be stored.
type CheckpointEvent struct {
	Stream, Shard string
	Position      checkpoint.Position
	Took          time.Duration // of the call of Shard.Checkpoint; 0 WithRenewal, where nobody waits
	WithRenewal   bool          // by itself: with a renewal of the lease, when the shard was left, or at its end
	Err           error         // nil: it is stored; else what Shard.Checkpoint answered
}

// ThrottleEvent is one request that was refused for the moment.
type ThrottleEvent struct {
	Op            string // as the service names it: "GetRecords"
	Stream, Shard string
	Wait          time.Duration // until the next attempt
}

// String returns the reason in lower case, as logs and metrics show it.
func (r DropReason) String() string {
	switch r {
	case OutsideRange:
		return "outside range"
	case Corrupt:
		return "corrupt"
	case Expired:
		return "expired"
	case Skipped:
		return "skipped"
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

func (c *Consumer) failed(f *Failure, v Verdict) {
	for i := range c.hooks {
		if h := c.hooks[i].Failed; h != nil {
			h(f, v)
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

func (c *Consumer) checkpointed(e CheckpointEvent) {
	for i := range c.hooks {
		if f := c.hooks[i].Checkpointed; f != nil {
			f(e)
		}
	}
}

// explicitly notes that p is about to be stored for a call of Shard.Checkpoint, which reports it itself.
func (c *Consumer) explicitly(key string, p checkpoint.Position) {
	c.mu.Lock()
	c.explicit[key] = p
	c.mu.Unlock()
}

// byItself takes back what explicitly noted: the call has failed, and if p is stored after all, nobody else tells.
func (c *Consumer) byItself(key string, p checkpoint.Position) {
	c.mu.Lock()
	if c.explicit[key] == p {
		delete(c.explicit, key)
	}
	c.mu.Unlock()
}

// stored is the lease's hook for positions that are in the table.
func (c *Consumer) stored(e lease.Event) {
	p := e.Lease.Checkpoint.Position
	c.mu.Lock()
	asked, explicit := c.explicit[e.Lease.Key]
	c.mu.Unlock()
	if !explicit || asked != p {
		c.checkpointed(CheckpointEvent{Stream: c.stream.Name, Shard: e.Lease.Key, Position: p, WithRenewal: true})
	}
}

// operation is the name of the operation that failed with err.
func operation(err error) string {
	var op *smithy.OperationError
	if errors.As(err, &op) {
		return op.Operation()
	}
	return ""
}

func (c *Consumer) throttled(e ThrottleEvent) {
	for i := range c.hooks {
		if f := c.hooks[i].Throttled; f != nil {
			f(e)
		}
	}
}

func (c *Consumer) slow(e SlowEvent) {
	for i := range c.hooks {
		if f := c.hooks[i].Slow; f != nil {
			f(e)
		}
	}
}

// processStart lets hooks see a call that delivers records. What it returns is for context and processEnd.
func (c *Consumer) processStart(ctx context.Context, b *Batch) starts {
	if !c.watched {
		return nil
	}
	w := make(starts, 0, len(c.hooks))
	for i := range c.hooks {
		w = append(w, c.hooks[i].start(w.context(ctx), b))
	}
	return w
}

func (h *Hooks) start(ctx context.Context, b *Batch) context.Context {
	if h.ProcessStart != nil {
		if own := h.ProcessStart(ctx, b); own != nil {
			return own
		}
	}
	return ctx
}

// starts has the context that each of several hooks returned.
type starts []context.Context

// context is the one for whoever comes next: another hook, or your code.
func (w starts) context(ctx context.Context) context.Context {
	if len(w) == 0 {
		return ctx
	}
	return w[len(w)-1]
}

// processEnd calls the hooks of processStart, the last one first.
func (c *Consumer) processEnd(w starts, b *Batch, err error) {
	for i, ctx := range slices.Backward(w) {
		if f := c.hooks[i].ProcessEnd; f != nil {
			f(ctx, b, err)
		}
	}
}
