package producer

import (
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/kinesiskit/kinesiskit/producer/internal/send"
)

// callbacks are outcomes of which the program is to be told by a call. One goroutine makes the calls, while there are any: so they come one at a time
// and in order, and what they do, or how long they take, holds up nothing else.
type callbacks struct {
	mu      sync.Mutex
	queue   []told
	running bool
}

type told struct {
	stream  *stream
	outcome *send.Outcome
	at      time.Time
	count   tally
}

// settle tells the program about an outcome of s of now. The space in the buffer is free before, so that a callback that puts records does not wait for
// itself.
func (p *Producer) settle(s *stream, o *send.Outcome, now time.Time) {
	var place *stored
	if o.Err == nil {
		place = &stored{shard: o.Shard, sequence: o.Sequence, aggregated: o.Aggregated}
	}
	calls := p.settled || o.Err != nil && p.onFailure != nil
	count := tally{}
	for i, it := range o.Items {
		f := it.Owner.(*Future)
		count.add(f)
		sub := 0
		if o.Aggregated {
			sub = i
		}
		f.decide(o, place, sub)
		calls = calls || f.done != nil
	}
	p.inbox.decided(&s.share, &count)
	if o.Err != nil && p.onFailure == nil {
		s.failures.add(s.log, len(o.Items), o.Err, now)
	}
	if !calls {
		if o.Ruptures {
			p.inbox.tell(s, o.Items)
		}
		for _, it := range o.Items {
			it.Owner.(*Future).publish()
		}
		p.inbox.finished(&count)
		return
	}
	c := &p.callbacks
	c.mu.Lock()
	c.queue = append(c.queue, told{s, o, now, count})
	start := !c.running
	c.running = true
	c.mu.Unlock()
	if start {
		p.tasks.Go(p.call)
	}
}

// call makes the calls of everything in the queue.
func (p *Producer) call() {
	c := &p.callbacks
	for {
		c.mu.Lock()
		if len(c.queue) == 0 {
			c.queue, c.running = nil, false
			c.mu.Unlock()
			return
		}
		next := c.queue[0]
		c.queue[0] = told{}
		c.queue = c.queue[1:]
		c.mu.Unlock()
		if next.outcome.Ruptures {
			p.inbox.tell(next.stream, next.outcome.Items)
		}
		for _, it := range next.outcome.Items {
			p.tell(it.Owner.(*Future), next.at)
		}
		p.inbox.finished(&next.count)
	}
}

func (p *Producer) tell(f *Future, at time.Time) {
	result, err := f.result()
	for _, h := range p.hooks {
		if h.Settled != nil {
			h.Settled(SettledEvent{Result: result, Err: f.err, Buffered: at.Sub(f.item.Accepted), Bytes: f.bytes()})
		}
	}
	if f.err != nil && p.onFailure != nil {
		p.onFailure(f.err)
	}
	f.publish()
	if f.done != nil {
		f.done(result, err)
	}
}

// failureLog counts the records of a stream that were not stored and logs them, at most once a second. It belongs to the engine's goroutine.
type failureLog struct {
	records int
	last    time.Time
	cause   error
}

func (l *failureLog) add(log *zap.Logger, records int, cause error, now time.Time) {
	l.records += records
	l.cause = cause
	if now.Sub(l.last) >= time.Second {
		l.last = now
		l.flush(log)
	}
}

func (l *failureLog) flush(log *zap.Logger) {
	if l.records > 0 {
		log.Error("records were not stored", zap.Int("records", l.records), zap.Error(l.cause))
		l.records, l.cause = 0, nil
	}
}
