package producer

import (
	"context"
	"sync"

	"github.com/kinesiskit/kinesiskit/producer/internal/send"
)

// Result is where a record was stored.
type Result struct {
	Shard      string
	Sequence   string // of the Kinesis record; the records of an aggregate share it
	Sub        int    // place in the aggregate, 0 for a record that went alone
	Aggregated bool
	Attempts   int // requests that carried the record

	// MayRepeat: the stream may hold the record more than once: the answer to an earlier attempt was lost, or the record was in an aggregate that had to
	// be sent again.
	MayRepeat bool
}

// Future is the fate of one accepted record. Safe for concurrent use.
type Future struct {
	item  send.Item
	epoch uint64 // see inbox
	size  int64
	done  func(Result, error)

	mu      sync.Mutex
	settled bool
	waiting chan struct{} // made when somebody waits
	outcome *stored
	sub     int32
	tries   int32
	repeat  bool
	err     *RecordError
}

// stored is what the records of one Kinesis record have in common.
type stored struct {
	shard, sequence string
	aggregated      bool
}

var closedChannel = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// Done is closed when the record's fate is known: Result then returns at once.
func (f *Future) Done() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.settled {
		return closedChannel
	}
	if f.waiting == nil {
		f.waiting = make(chan struct{})
	}
	return f.waiting
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
		return Result{Attempts: int(f.tries), MayRepeat: f.repeat}, f.err
	}
	return Result{
		Shard: f.outcome.shard, Sequence: f.outcome.sequence, Aggregated: f.outcome.aggregated,
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
		Record:   Record{PartitionKey: f.item.Key, ExplicitHashKey: f.item.Explicit, Data: f.item.Data},
		Attempts: public(attempts, &f.item),
		MayExist: f.repeat,
		Err:      o.Err,
	}
}

func (f *Future) publish() {
	f.mu.Lock()
	f.settled = true
	waiting := f.waiting
	f.mu.Unlock()
	if waiting != nil {
		close(waiting)
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
