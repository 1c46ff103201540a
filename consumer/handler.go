package consumer

import "context"

// Handler is your code, made by [Each], [Batches] or [PerShard].
type Handler interface{ handler() }

// handler has exactly one of its functions.
type handler struct {
	each    func(ctx context.Context, r *Record) error
	batches func(ctx context.Context, b *Batch) error
	open    func(ctx context.Context, s *Shard) (Processor, error)
}

func (*handler) handler() {}

// call is what delivers records.
func (h *handler) call() string {
	switch {
	case h.each != nil:
		return inEach
	case h.batches != nil:
		return inBatches
	default:
		return inProcess
	}
}

// Each hands over one record at a time: nil means that the record is done. Progress is stored by itself, with the lease's next renewal, when the shard
// is left and at its end; it costs no write of its own.
//
// fn is called on one goroutine per shard, and for many shards at once; with Config.ParallelizationFactor on several per shard, for records with different
// partition keys. An error or a panic means that the record is not done, and the error policy
// decides what follows: without one it is handed over again after a backoff, for as long as it takes, and nothing of the shard (of its key) overtakes it.
func Each(fn func(ctx context.Context, r *Record) error) Handler {
	return &handler{each: fn}
}

// Batches hands over up to one page of records at a time: nil means that every record of the batch is done. Progress is stored as with [Each].
//
// fn is called on one goroutine per shard, and for many shards at once. An error or a panic means that no record of the batch is done, and the error
// policy decides what follows: without one the whole batch is handed over again after a backoff. A [*RecordError] says more: what stands before
// its record is done, that record alone is what failed, and the next batch begins with it.
func Batches(fn func(ctx context.Context, b *Batch) error) Handler {
	return &handler{batches: fn}
}

// PerShard is for code that keeps state for each shard, such as a buffer: open is called each time this worker has come to hold a shard, and the
// [Processor] it returns is used until the shard is left. Nothing is stored but what the processor stores through [Shard.Checkpoint] and [Shard.Mark],
// and what its Flush confirms.
//
// open runs when all parents of the shard are finished, on the goroutine that then calls the Processor. Its ctx is that of Process. An error, a panic or
// a nil Processor is a failure without records: the error policy may Halt the shard, anything else is another attempt after a backoff.
func PerShard(open func(ctx context.Context, s *Shard) (Processor, error)) Handler {
	return &handler{open: open}
}

// Processor handles one shard while it is held. Its methods are called on one goroutine, never two at the same time, and the lease is held when each of
// them but Close begins.
type Processor interface {
	// Process gets records in order. nil means that they are accepted: they need not be done, but they will not come again while the shard is held.
	// After an error or a panic the error policy decides: without one the batch is handed over again after a backoff; of a [*RecordError] the part from
	// its record on.
	//
	// ctx ends with cause lease.ErrLost before another worker may hold the shard, with cause ErrStopped at a hard stop, and not when a graceful stop
	// begins.
	Process(ctx context.Context, b *Batch) error

	// Flush is called when no record will follow and the shard is still held: finish what you hold back. nil means that everything is done that
	// Process returned nil for, and the consumer stores that: the position when it stops, SHARD_END at the end of the shard.
	//
	// After an error or a panic at the end of the shard Flush is called again after a backoff, for as long as it takes: until it returns nil the shard's
	// children are not read by anyone, which is the first that Health.Err says. When the shard moves or the consumer stops it is called again while there
	// is time for it, which ctx has: what is left of the time for the stop, or of Config.Lease.HandoffTimeout for a move. Then, or when the error
	// policy says Halt, the next owner continues at the stored position. Flush is not called for a shard that was lost, nor once more, at a move or a
	// stop, if it has failed at the shard's end.
	Flush(ctx context.Context, why Reason) error

	// Close is the last call, exactly once for every Processor that open returned. cause is nil if the last Flush returned nil, else why the shard
	// was left without: lease.ErrLost, ErrStopped, ErrExpired, the error of Flush, joined with ErrHalted if the policy halted that. Nothing can be stored any more.
	// A panic is logged. ctx ends after 5 s and for no other reason.
	Close(ctx context.Context, cause error)
}

// Reason says why Flush is called.
type Reason int

const (
	// ShardEnded: a split or merge has closed the shard, and all of it was delivered.
	ShardEnded Reason = iota + 1
	// Moving: another worker takes the shard over in good order. If Flush takes longer than Config.Lease.HandoffTimeout since that was asked, the shard
	// stays here, with a new Processor.
	Moving
	// Stopping: this consumer shuts down.
	Stopping
	// EndReached: all of the shard that arrived before Config.End was delivered. Flush is repeated as at the end of a shard.
	EndReached
)

// String returns the reason in lower case, as logs show it.
func (r Reason) String() string {
	switch r {
	case ShardEnded:
		return "shard ended"
	case Moving:
		return "moving"
	case Stopping:
		return "stopping"
	case EndReached:
		return "end reached"
	default:
		return "unknown"
	}
}
