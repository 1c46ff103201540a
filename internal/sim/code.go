package sim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/consumer"
	"github.com/kinesiskit/kinesiskit/internal/sim/history"
	"github.com/kinesiskit/kinesiskit/lease"
	"github.com/kinesiskit/kinesiskit/producer"
)

// What stands for the program's own code: it tells the checker what it is given, and fails, dawdles and stores as the seed wants.

var errProgram = errors.New("sim: the program fails")

// handler is one of three ways to write a program.
func (x *worker) handler(kind int) consumer.Handler {
	switch kind {
	case 0:
		return consumer.Each(func(ctx context.Context, r *consumer.Record) error {
			x.called(r.Shard())
			return x.record(ctx, r.Shard(), r)
		})
	case 1:
		return consumer.Batches(func(ctx context.Context, b *consumer.Batch) error { return x.batch(ctx, b) })
	}
	return consumer.PerShard(func(_ context.Context, s *consumer.Shard) (consumer.Processor, error) {
		return &processor{x: x, s: s}, nil
	})
}

func tenureOf(x *worker, s *consumer.Shard) string {
	return fmt.Sprintf("%s/%d", x.name, s.Token().Counter)
}

// alive runs f under the world's lock, unless the process is dead: then nothing it does counts.
func (x *worker) alive(f func()) bool {
	x.w.mu.Lock()
	defer x.w.mu.Unlock()
	if x.dead {
		return false
	}
	f()
	return true
}

func (x *worker) record(ctx context.Context, s *consumer.Shard, r *consumer.Record) error {
	x.w.code.Add(1)
	defer x.w.code.Add(-1)
	try, ok := x.given(s, r)
	if !ok {
		return errProgram
	}
	rng := x.w.draw("call", x.name, s.ID(), r.Position, s.Token().Counter, try)
	d := time.Duration(rng.Int64N(int64(3 * time.Millisecond)))
	if rng.Float64() < x.w.bus.faults.sluggish && !x.w.calm() {
		d += time.Duration(rng.Int64N(int64(2 * failover)))
	}
	time.Sleep(d)
	if ctx.Err() != nil && rng.IntN(2) == 0 {
		return context.Cause(ctx)
	}
	if rng.Float64() < x.w.bus.faults.failing && !x.w.calm() {
		x.alive(func() { x.w.counts.Failures++ })
		return errProgram
	}
	if !x.alive(func() { x.w.check.Handled(tenureOf(x, s), s.ID(), r.Position) }) {
		return errProgram
	}
	return nil
}

// given tells the checker of a delivery, and counts how often the process was given it.
func (x *worker) given(s *consumer.Shard, r *consumer.Record) (try int, ok bool) {
	ok = x.alive(func() {
		x.w.counts.Deliveries++
		x.w.check.Delivered(tenureOf(x, s), s.ID(), r.Position, string(r.Data))
		at := s.ID() + r.Position.String()
		x.tries[at]++
		if try = x.tries[at]; try > 1 {
			x.w.counts.Redeliveries++
		}
	})
	return try, ok
}

// called tells the checker that a call of the program's code begins.
func (x *worker) called(s *consumer.Shard) {
	x.alive(func() { x.w.check.Admitted(tenureOf(x, s), s.ID(), s.Token().Counter) })
}

func (x *worker) batch(ctx context.Context, b *consumer.Batch) error {
	x.called(b.Shard)
	for i := range b.Records {
		r := &b.Records[i]
		if err := x.record(ctx, b.Shard, r); err != nil {
			return &consumer.RecordError{Record: r, Err: err}
		}
	}
	return nil
}

// processor stores explicitly, now and then.
type processor struct {
	x *worker
	s *consumer.Shard
}

func (p *processor) Process(ctx context.Context, b *consumer.Batch) error {
	if err := p.x.batch(ctx, b); err != nil {
		return err
	}
	last := b.Records[len(b.Records)-1].Position
	switch p.x.w.draw("store", p.x.name, p.s.ID(), last).IntN(3) {
	case 0:
		return p.s.Mark(last)
	case 1:
		err := p.s.Checkpoint(ctx, last)
		if err == nil {
			p.x.alive(func() { p.x.w.check.Acknowledged(p.s.ID(), last) })
		}
		if errors.Is(err, lease.ErrLost) || errors.Is(err, checkpoint.ErrUncertain) {
			return nil
		}
		return err
	}
	return nil
}

func (p *processor) Flush(context.Context, consumer.Reason) error { return nil }
func (p *processor) Close(context.Context, error)                 {}

// calm reports whether trouble is over.
func (w *world) calm() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.peace
}

func (x *worker) hooks() consumer.Hooks {
	return consumer.Hooks{Lease: lease.Hooks{
		Acquired: func(lease.Event) { x.alive(func() { x.w.counts.Tenures++ }) },
		Ended: func(e lease.Event) {
			x.alive(func() {
				if e.Err == nil && e.Lease.Owner != "" && !e.Lease.Ended() {
					x.w.counts.HandOffs++
				}
			})
		},
	}}
}

// run puts records until it is told to stop. Each has a number of its own, and the key decides which records have an order among themselves.
func (s *source) run(keys int) {
	defer close(s.done)
	rng := s.w.draw("puts", s.name)
	if s.ordered {
		s.w.locked(func() {
			for k := range keys {
				s.w.check.Ordered(fmt.Sprintf("%s-k%d", s.name, k))
			}
		})
	}
	for n := 0; ; n++ {
		timer := time.NewTimer(time.Duration(rng.Int64N(int64(200 * time.Millisecond))))
		select {
		case <-s.stop:
			timer.Stop()
			return
		case <-timer.C:
		}
		id := fmt.Sprintf("%s-%d", s.name, n)
		r := producer.Record{PartitionKey: fmt.Sprintf("%s-k%d", s.name, rng.IntN(keys)), Data: []byte(id)}
		s.w.locked(func() { s.w.check.Accepted(id, r.PartitionKey); s.w.counts.Puts++ })
		if err := s.p.PutFunc(context.Background(), r, func(res producer.Result, err error) { s.settled(id, r, res, err) }); err != nil {
			s.w.broken("put of %s: %v", id, err)
		}
	}
}

func (s *source) settled(id string, r producer.Record, res producer.Result, err error) {
	s.w.locked(func() {
		if err != nil {
			s.w.check.Settled(id, nil)
			return
		}
		p, perr := checkpoint.At(res.Sequence, int64(res.Sub))
		if perr != nil {
			s.w.wrong = append(s.w.wrong, perr.Error())
		}
		s.w.counts.Stored++
		if res.MayRepeat {
			s.w.counts.MayRepeat++
		}
		s.w.check.Settled(id, &history.Copy{ID: id, Key: r.PartitionKey, Shard: res.Shard, Position: p})
	})
}

func (s *source) close() {
	close(s.stop)
	<-s.done
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if err := s.p.Close(ctx); err != nil {
		s.w.broken("%s: close: %v", s.name, err)
	}
}
