package producer

import (
	"context"
	"sync/atomic"

	"github.com/kinesiskit/kinesiskit/producer/internal/send"
)

// Result is where a record was stored.
type Result struct {
	Stream     string // as its records name it: name or ARN
	Shard      string
	Sequence   string // of the Kinesis record; the records of an aggregate share it
	Sub        int    // place in the aggregate, 0 for a record that went alone
	Aggregated bool
	Attempts   int // requests that carried the record

	// MayRepeat: the stream may hold the record more than once: the answer to an earlier attempt was lost, or the record was in an aggregate that had to
	// be sent again.
	MayRepeat bool
}

// Future is the fate of one accepted record. Safe for concurrent use. Whoever keeps one keeps the keys of its record, and the data if they are few (256
// bytes).
type Future struct {
	item   send.Item
	stream *stream
	epoch  uint64 // see inbox
	done   func(Result, error)

	// gate is nil until somebody waits, and open once the fate is known. What follows is written before it opens.
	gate    atomic.Pointer[gate]
	outcome *stored
	err     *RecordError
	size    int32 // what it counts in the buffer: the data has 10 MiB at most
	sub     int32
	tries   int32
	repeat  bool
}

// bytes is the length of data and keys.
func (f *Future) bytes() int { return (int(f.size) - recordMemory) / 2 }

// gate is what waits for a Future.
type gate struct{ opened chan struct{} }

// Records of up to so many bytes are in one piece with their Future: to get memory for a record costs more than to copy it. These sizes and that of a
// Future add up to sizes in which the runtime gives memory.
type (
	future128 struct {
		Future
		data [128]byte
	}
	future256 struct {
		Future
		data [256]byte
	}
)

// newFuture returns a Future whose item has a copy of data. It is never nil: the SDK leaves a nil blob out, and the service insists on it.
func newFuture(data []byte) *Future {
	switch n := len(data); {
	case n <= 128:
		f := new(future128)
		f.item.Data = append(f.data[:0:n], data...)
		return &f.Future
	case n <= 256:
		f := new(future256)
		f.item.Data = append(f.data[:0:n], data...)
		return &f.Future
	default:
		return &Future{item: send.Item{Data: append(make([]byte, 0, n), data...)}}
	}
}

// stored is what the records of one Kinesis record have in common.
type stored struct {
	shard, sequence string
	aggregated      bool
}

// open is the gate of every future that is settled.
var open = func() *gate {
	c := make(chan struct{})
	close(c)
	return &gate{c}
}()

// Done is closed when the record's fate is known: Result then returns at once.
func (f *Future) Done() <-chan struct{} {
	g := f.gate.Load()
	if g == nil {
		g = &gate{make(chan struct{})}
		if !f.gate.CompareAndSwap(nil, g) { // another one waits too, or it is settled now
			g = f.gate.Load()
		}
	}
	return g.opened
}

// Result waits until the record is stored or given up, or until ctx ends. The error is a *RecordError, or ctx's: then the record is still on its way,
// and Result may be called again. A fate that is known is returned also if ctx has ended.
func (f *Future) Result(ctx context.Context) (Result, error) {
	select {
	case <-f.Done():
		return f.result()
	default:
	}
	select {
	case <-f.Done():
		return f.result()
	case <-ctx.Done():
	}
	select {
	case <-f.Done():
		return f.result()
	default:
		return Result{}, ctx.Err()
	}
}

// result is for a future that is settled.
func (f *Future) result() (Result, error) {
	if f.err != nil {
		return Result{Stream: f.stream.name, Attempts: int(f.tries), MayRepeat: f.repeat}, f.err
	}
	return Result{
		Stream: f.stream.name, Shard: f.outcome.shard, Sequence: f.outcome.sequence, Aggregated: f.outcome.aggregated,
		Sub: int(f.sub), Attempts: int(f.tries), MayRepeat: f.repeat,
	}, nil
}

// decide takes the verdict; nobody sees it before publish.
func (f *Future) decide(o *send.Outcome, s *stored, sub int) {
	attempts, tries := f.item.Attempts(o.Attempts, o.Tries)
	f.tries = int32(tries)
	f.repeat = o.MayExist || f.item.MayExist()
	f.outcome, f.sub = s, int32(sub)
	if o.Err == nil {
		f.item.Data = nil // whoever keeps the future need not keep the data
		return
	}
	f.err = &RecordError{
		Record:   Record{Stream: f.stream.name, PartitionKey: f.item.Key, ExplicitHashKey: f.item.Explicit, Data: f.item.Data},
		Attempts: public(attempts, &f.item),
		MayExist: f.repeat,
		Err:      o.Err,
	}
}

func (f *Future) publish() {
	if g := f.gate.Swap(open); g != nil {
		close(g.opened)
	}
}

func public(attempts []send.Attempt, it *send.Item) []Attempt {
	out := make([]Attempt, len(attempts))
	from := it.Accepted
	for i, a := range attempts {
		out[i] = Attempt{Waited: a.Start.Sub(from), Took: a.End.Sub(a.Start), Shard: a.Shard, Code: a.Code, Message: a.Message}
		from = a.End
	}
	return out
}
