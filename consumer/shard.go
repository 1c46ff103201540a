package consumer

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/lease"
	"github.com/kinesiskit/kinesiskit/shard"
)

// Shard is a shard while this worker holds it. When the worker has lost it or given it back, its methods that store answer lease.ErrLost for ever; if
// the worker comes to hold the shard again, that is another Shard. Safe for concurrent use; implements [checkpoint.Checkpointer].
type Shard struct {
	stream string
	info   shard.Shard
	tenure *lease.Tenure
	c      *Consumer

	mu     sync.Mutex
	handed checkpoint.Position // the last that was handed over; zero before the first
	tail   checkpoint.Position // behind handed, with nothing to deliver in between; zero if there is no such place
	stored checkpoint.Position // the highest that your code asked for with success
}

// ID is the shard's id, "shardId-000000000000".
func (s *Shard) ID() string { return s.info.ID }

// Stream is the stream's name.
func (s *Shard) Stream() string { return s.stream }

// Info is the shard as the stream's listing showed it when it was opened; of a shard that has aged out of the listing, what the lease's row knows.
// Its Parents are read only.
func (s *Shard) Info() shard.Shard { return s.info }

// Start is what was stored when this worker came to hold the shard: reading began behind it. Pending and State are what KCL's two-phase
// checkpoint had announced.
func (s *Shard) Start() checkpoint.Checkpoint { return s.tenure.Start() }

// Token identifies this time of holding the shard, for sinks that can refuse what a former owner writes late.
func (s *Shard) Token() lease.Token { return s.tenure.Token() }

// Mark says that everything up to and including p is done. It is stored with the lease's next renewal, when the shard is left and at its end, and costs
// no write of its own. With [Each] and [Batches] the consumer marks by itself.
//
// Errors: lease.ErrLost, checkpoint.ErrBackwards, checkpoint.ErrNotDelivered.
func (s *Shard) Mark(p checkpoint.Position) error {
	return s.record(p, s.tenure.Mark)
}

// Checkpoint stores p now and counts as a renewal of the lease. nil: it is stored, and no later owner starts before p. Otherwise see
// [checkpoint.Checkpointer]; attempts that got no answer are repeated until ctx ends or the lease is over.
func (s *Shard) Checkpoint(ctx context.Context, p checkpoint.Position) error {
	begin := time.Now()
	asked := p
	err := s.record(p, func(p checkpoint.Position) error {
		asked = p
		s.c.explicitly(s.Token().Key, p)
		err := s.tenure.Checkpoint(ctx, p)
		if err != nil {
			s.c.byItself(s.Token().Key, p)
		}
		return err
	})
	s.c.checkpointed(CheckpointEvent{Stream: s.stream, Shard: s.ID(), Position: asked, Took: time.Since(begin), Err: err})
	return err
}

// Prepare announces p with the application's own bytes, beside the stored position. See [checkpoint.Checkpointer]. A position that was marked before rides
// along and may not be behind p. With [Each] and [Batches], which mark by themselves, an announcement does not last.
func (s *Shard) Prepare(ctx context.Context, p checkpoint.Position, state []byte) (checkpoint.Prepared, error) {
	if err := s.tenure.Prepare(ctx, p, state); err != nil {
		return nil, err
	}
	return prepared{s, p}, nil
}

// prepared is a position that is announced in a shard's row.
type prepared struct {
	s *Shard
	p checkpoint.Position
}

func (p prepared) Commit(ctx context.Context) error { return p.s.Checkpoint(ctx, p.p) }

// record lets store have p or, if nothing needs delivery between p and a later place, that place.
//
// It may come to know such a place while store runs: a position that your code had stored before, and stores once more, is then behind what the
// consumer has stored itself. That is no mistake of your code, and the later place says the same.
func (s *Shard) record(p checkpoint.Position, store func(checkpoint.Position) error) error {
	for {
		at := s.furthest(p)
		err := store(at)
		if errors.Is(err, checkpoint.ErrBackwards) && s.furthest(p) != at {
			continue
		}
		if err != nil {
			return err
		}
		s.mu.Lock()
		if at.Compare(s.stored) > 0 {
			s.stored = at
		}
		s.mu.Unlock()
		return nil
	}
}

func (s *Shard) furthest(p checkpoint.Position) checkpoint.Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p == s.handed && s.tail.Compare(p) > 0 {
		return s.tail
	}
	return p
}

// handing notes what the next call of your code is given.
func (s *Shard) handing(upTo checkpoint.Position) {
	s.mu.Lock()
	s.handed, s.tail = upTo, checkpoint.Position{}
	s.mu.Unlock()
}

// passed notes that nothing needs delivery up to p, and reports whether your code has said that all it was handed is done.
func (s *Shard) passed(p checkpoint.Position) (allDone bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tail = p
	return s.stored.Compare(s.handed) >= 0
}

// skipped notes that the records behind kept, the last that your code accepted, and up to p were given up, and reports as passed does.
func (s *Shard) skipped(kept, p checkpoint.Position) (allDone bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handed, s.tail = kept, p
	return s.stored.Compare(s.handed) >= 0
}
