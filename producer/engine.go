package producer

import (
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/kinesiskit/kinesiskit/producer/internal/route"
	"github.com/kinesiskit/kinesiskit/producer/internal/send"
)

// engine is what the producer's one goroutine of that name works on. It takes whatever is in the inbox, in a fixed order, lets the core decide, and
// carries the decisions out. mu is held while the core computes, never while anything else happens; the lock exists for Health alone.
type engine struct {
	mu       sync.Mutex
	core     *send.Core
	schedule *route.Schedule

	listingErr   error
	listingGone  time.Time // since when the stream is reported missing by ListShards
	stopped      bool
	abandonAt    time.Time // after a hard stop: when requests are waited for no longer
	reportedDown bool
}

func (e *engine) trouble() error {
	if e.listingErr != nil {
		return e.listingErr
	}
	return e.core.Trouble()
}

// effects are what the core has decided.
type effects struct {
	send.Step
	requests []*send.Request
	listings []ShardMapEvent
	list     bool
	full     bool
	wake     time.Time // zero: nothing to do before something happens
	trouble  error
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
	p.failures.flush(p.log)
}

// advance feeds the core with what came in.
func (p *Producer) advance(in delivery, now time.Time) *effects {
	e := &p.engine
	x := &effects{}
	e.mu.Lock()
	defer e.mu.Unlock()
	if in.hard && !e.stopped {
		e.stopped = true
		e.abandonAt = now.Add(stopGrace)
		e.core.Stop(&x.Step)
	}
	for _, l := range in.listings {
		x.listings = append(x.listings, p.listed(l, now, &x.Step))
	}
	for _, t := range in.told {
		e.core.Told(t.items, t.seq)
	}
	for _, a := range in.answers {
		e.core.Answer(a.request, a.reply, now, &x.Step)
	}
	e.core.Flush(in.flushTo)
	e.core.Add(in.items, &x.Step)
	x.wakeAt(in.itemsAt)
	x.wakeAt(e.core.Expire(now, &x.Step))
	if e.stopped {
		if now.Before(e.abandonAt) {
			x.wakeAt(e.abandonAt)
		} else {
			e.core.Abandon(&x.Step)
		}
	}
	for {
		r, wake := e.core.Next(now)
		if r == nil {
			x.wakeAt(wake)
			break
		}
		x.requests = append(x.requests, r)
	}
	p.plan(in, now, x)
	x.trouble = e.trouble()
	return x
}

// plan decides whether the shards are to be listed. While nothing is to be sent they are not, unless the map is known to be old: the next record finds out.
func (p *Producer) plan(in delivery, now time.Time, x *effects) {
	e := &p.engine
	if x.Refresh || x.Full {
		e.schedule.Want(x.Full)
	}
	if in.outstanding == 0 && !e.schedule.Surprised() || e.stopped {
		return
	}
	x.list, x.full = e.schedule.Start(now)
	x.wakeAt(e.schedule.Wake())
}

// carryOut does what was decided at now, without the lock.
func (p *Producer) carryOut(x *effects, now time.Time) {
	for _, r := range x.requests {
		p.tasks.Go(func() { p.perform(r) })
	}
	if x.list {
		p.tasks.Go(func() { p.list(x.full) })
	}
	for i := range x.Outcomes {
		p.settle(&x.Outcomes[i], now)
	}
	for _, h := range p.hooks {
		for _, r := range x.Resent {
			if h.Resent != nil {
				h.Resent(ResentEvent{Stream: p.cfg.Stream, Expected: r.Expected, Actual: r.Actual, Records: r.Records})
			}
		}
		for _, l := range x.listings {
			if h.ShardMap != nil {
				h.ShardMap(l)
			}
		}
	}
	if down := x.trouble != nil; down != p.engine.reportedDown {
		p.engine.reportedDown = down
		if down {
			p.log.Warn("sending fails", zap.Error(x.trouble))
		} else {
			p.log.Info("sending works again")
		}
	}
}
