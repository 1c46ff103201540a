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
// fn is called on one goroutine per shard, and for many shards at once. An error or a panic means that the record is not done: it is handed over
// again after a backoff, for as long as it takes, and nothing of the shard overtakes it.
func Each(fn func(ctx context.Context, r *Record) error) Handler {
	return &handler{each: fn}
}

// Batches hands over up to one page of records at a time: nil means that every record of the batch is done. Progress is stored as with [Each].
//
// An error or a panic means that no record of the batch is done: the whole batch is handed over again after a backoff. A [*RecordError] says more:
// what stands before its record is done, and the next batch begins with that record.
func Batches(fn func(ctx context.Context, b *Batch) error) Handler {
	return &handler{batches: fn}
}

// PerShard is for code that keeps state for each shard, such as a buffer: open is called each time this worker has come to hold a shard, and the
// [Processor] it returns is used until the shard is left. Nothing is stored but what the processor stores through [Shard.Checkpoint] and [Shard.Mark],
// and what its Flush confirms.
//
// open runs when all parents of the shard are finished. Its ctx is that of Process. An error or a panic is followed by another attempt after a backoff.
func PerShard(open func(ctx context.Context, s *Shard) (Processor, error)) Handler {
	return &handler{open: open}
}

// Processor handles one shard while it is held. Its methods are called on one goroutine, never two at the same time.
type Processor interface {
	// Process gets records in order. nil means that they are accepted: they need not be done, but they will not come again while the shard is held.
	// After an error or a panic the batch is handed over again after a backoff; of a [*RecordError] the part from its record on.
	//
	// ctx ends with cause lease.ErrLost before another worker may hold the shard, with cause ErrStopped at a hard stop, and not when a graceful stop
	// begins.
	Process(ctx context.Context, b *Batch) error

	// Flush is called when no record will follow and the shard is still held: finish what you hold back. nil means that everything is done that
	// Process returned nil for, and the consumer stores that: the position when it stops, SHARD_END at the end of the shard.
	//
	// After an error at the end of the shard Flush is called again after a backoff, for as long as it takes: until it returns nil the shard's
	// children are not read by anyone. When the shard moves or the consumer stops there is one call: after an error the next owner continues at the
	// stored position. ctx ends with what is left of the time for the stop, or of Config.Lease.HandoffTimeout for a move.
	Flush(ctx context.Context, why Reason) error

	// Close is the last call, exactly once for every Processor that open returned. cause is nil if the last Flush returned nil, else why the shard
	// was left without: lease.ErrLost, ErrStopped, the error of Flush. Nothing can be stored any more. ctx ends after 5 s and for no other reason.
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
	default:
		return "unknown"
	}
}
