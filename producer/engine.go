package producer

import (
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/kinesiskit/kinesiskit/producer/internal/send"
)

// engine is what the producer's one goroutine of that name works on. It takes whatever is in the inbox, in a fixed order, lets each stream's core decide,
// and carries the decisions out. mu is held while the cores compute, never while anything else happens; the lock exists for Health alone.
type engine struct {
	mu        sync.Mutex
	stopped   bool
	abandonAt time.Time // after a hard stop: when requests are waited for no longer

	effects effects // memory that serves each round
}

// effects are what was decided.
type effects struct {
	streams []streamEffects
	wake    time.Time // zero: nothing to do before something happens
}

type streamEffects struct {
	send.Step
	stream     *stream
	requests   []*send.Request
	listings   []ShardMapEvent
	list, full bool
	describe   bool
	trouble    error
}

// wakeAt makes the engine look again at t.
func (x *effects) wakeAt(t time.Time) {
	if !t.IsZero() && (x.wake.IsZero() || t.Before(x.wake)) {
		x.wake = t
	}
}

// run is the engine. Everything comes through the inbox with one signal, so nothing depends on which of several ready channels a select picks.
func (p *Producer) run() {
	defer close(p.done)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		now := time.Now()
		in := p.inbox.take(now, p.cfg.Linger/4)
		if in.closed && in.outstanding == 0 {
			break
		}
		x := p.advance(in, now)
		p.inbox.reuse(in.items)
		p.carryOut(x, now)
		if x.wake.IsZero() {
			<-p.inbox.wake
			continue
		}
		timer.Reset(time.Until(x.wake))
		select {
		case <-p.inbox.wake:
		case <-timer.C:
		}
	}
	p.cancel()
	p.tasks.Wait()
	for _, s := range p.streams.all() {
		s.failures.flush(s.log)
	}
}

// advance feeds the cores with what came in.
func (p *Producer) advance(in delivery, now time.Time) *effects {
	e := &p.engine
	streams := p.streams.all() // those of everything that came in are among them: they were there before it
	x := &e.effects
	x.streams = slices.Grow(x.streams[:0], len(streams))[:len(streams)]
	x.wake = time.Time{}
	p.inbox.waiting(streams)
	e.mu.Lock()
	defer e.mu.Unlock()
	stop := in.hard && !e.stopped
	if stop {
		e.stopped = true
		e.abandonAt = now.Add(stopGrace)
	}
	if e.stopped && now.Before(e.abandonAt) {
		x.wakeAt(e.abandonAt)
	}
	divide(in.items, streams)
	x.wakeAt(in.itemsAt)
	for i, s := range streams {
		sx := &x.streams[i]
		sx.stream = s
		if stop {
			s.core.Stop(&sx.Step)
		}
		p.feed(s, in, now, sx)
		x.wakeAt(s.core.Expire(now, &sx.Step))
		if e.stopped && !now.Before(e.abandonAt) {
			s.core.Abandon(&sx.Step)
		}
		for {
			r, wake := s.core.Next(now)
			if r == nil {
				x.wakeAt(wake)
				break
			}
			sx.requests = append(sx.requests, r)
		}
		x.wakeAt(p.plan(s, now, sx))
		sx.trouble = s.trouble()
	}
	return x
}

// divide gives items to their streams, in their order.
func divide(items []*send.Item, streams []*stream) {
	if len(streams) == 1 {
		streams[0].batch = items
		return
	}
	for _, it := range items {
		s := it.Owner.(*Future).stream
		s.batch = append(s.batch, it)
	}
}

// feed gives a stream's core what came in for it.
func (p *Producer) feed(s *stream, in delivery, now time.Time, x *streamEffects) {
	for _, d := range in.descriptions {
		if d.stream == s {
			s.described(d, now)
		}
	}
	for _, l := range in.listings {
		if l.stream == s {
			x.listings = append(x.listings, s.listed(l, now, &x.Step))
		}
	}
	for _, t := range in.told {
		if t.stream == s {
			s.core.Told(t.items, t.seq)
		}
	}
	for _, a := range in.answers {
		if a.stream == s {
			s.recent.add(now, len(a.request.Entries), a.throttled)
			s.core.Answer(a.request, a.reply, now, &x.Step)
		}
	}
	s.core.Flush(in.flushTo)
	s.core.Add(s.batch, &x.Step)
	s.batch = nil // it may be the inbox's memory
}

// plan decides whether the stream is to be described and its shards are to be listed, and says when to decide again. While nothing is to be sent
// neither is done, unless the map is known to be old: the next record finds out.
func (p *Producer) plan(s *stream, now time.Time, x *streamEffects) (wake time.Time) {
	if x.Refresh || x.Full {
		s.schedule.Want(x.Full)
	}
	for range x.Unexpected {
		s.watch.Unexpected()
	}
	if s.waiting == 0 && !s.schedule.Surprised() || p.engine.stopped {
		return time.Time{}
	}
	x.describe = s.watch.Start(now)
	wake = s.watch.Wake()
	// The stream is described before its shards are listed for the first time: until there is a map nothing is sent, and then it is known how.
	if s.watch.Tried() {
		x.list, x.full = s.schedule.Start(now)
		if at := s.schedule.Wake(); wake.IsZero() || !at.IsZero() && at.Before(wake) {
			wake = at
		}
	}
	return wake
}

// carryOut does what was decided at now, without the lock.
func (p *Producer) carryOut(x *effects, now time.Time) {
	for i := range x.streams {
		p.carryOutStream(&x.streams[i], now)
	}
	clear(x.streams) // what was settled need not be kept until the next round
}

func (p *Producer) carryOutStream(x *streamEffects, now time.Time) {
	s := x.stream
	for _, r := range x.requests {
		p.tasks.Go(func() { p.perform(s, r) })
	}
	if x.describe {
		p.tasks.Go(func() { p.describe(s) })
	}
	if full := x.full; x.list {
		p.tasks.Go(func() { p.list(s, full) })
	}
	for i := range x.Outcomes {
		p.settle(s, &x.Outcomes[i], now)
	}
	for _, h := range p.hooks {
		for _, r := range x.Resent {
			if h.Resent != nil {
				h.Resent(ResentEvent{Stream: s.name, Expected: r.Expected, Actual: r.Actual, Records: r.Records})
			}
		}
		for _, l := range x.listings {
			if h.ShardMap != nil {
				h.ShardMap(l)
			}
		}
	}
	if down := x.trouble != nil; down != s.reportedDown {
		s.reportedDown = down
		if down {
			s.log.Warn("sending fails", zap.Error(x.trouble))
		} else {
			s.log.Info("sending works again")
		}
	}
}
