package consumer

import (
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/kinesiskit/kinesiskit/checkpoint"
)

// slowPause is how often a call that still runs is reported.
const slowPause = time.Minute

// SlowEvent is a call of your code that has been running for long.
type SlowEvent struct {
	Stream, Shard string
	Call          string              // "open", "Each", "Batches", "Process", "Flush", "Close" or "ErrorPolicy"
	Position      checkpoint.Position // of the first record it was given; zero if it was given none
	Since         time.Time           // when it began
	Running       time.Duration       // until now
}

// slowWatch reports calls that run for long. A shard has one timer for all of its calls, which is set when one begins while it is not set, and looks
// when it fires: so a call that is short costs nothing, and a shard where nothing runs has no timer. view.mu guards it.
type slowWatch struct {
	after  time.Duration // 0 or less: off
	timer  *time.Timer
	armed  bool
	closed bool
	fires  sync.WaitGroup // has one for as long as the timer is armed, or fire runs
	fire   func()
}

func (w *slowWatch) arm() {
	if w.after <= 0 || w.armed || w.closed {
		return
	}
	w.set(w.after)
}

func (w *slowWatch) set(d time.Duration) {
	w.armed = true
	w.fires.Add(1)
	if w.timer == nil {
		w.timer = time.AfterFunc(d, w.fire)
		return
	}
	w.timer.Reset(d)
}

// watchSlow begins the watch; unwatchSlow ends it, and waits for a report that is under way.
func (s *session) watchSlow() {
	s.view.slow.after, s.view.slow.fire = s.c.cfg.SlowCall, s.tellSlow
}

func (s *session) unwatchSlow() {
	w := &s.view.slow
	s.view.mu.Lock()
	w.closed = true
	stopped := w.armed && w.timer.Stop()
	s.view.mu.Unlock()
	if stopped {
		w.fires.Done()
	}
	w.fires.Wait()
}

// tellSlow is the timer's. Code that has not returned although Run has is not reported any more.
func (s *session) tellSlow() {
	defer s.view.slow.fires.Done()
	over := s.c.hard.Err() != nil
	for _, call := range s.view.slowCalls(time.Now()) {
		if over {
			break
		}
		e := SlowEvent{Stream: s.c.stream.Name, Shard: s.id(), Call: call.what, Position: call.at, Since: call.since, Running: call.told.Sub(call.since)}
		s.log.Warn("call of the application's code runs for long", zap.String("call", e.Call), zap.Duration("running", e.Running), zap.Stringer("position", e.Position))
		s.c.slow(e)
	}
	s.view.slowAgain(over)
}

// slowCalls returns the calls that are to be reported now.
func (v *view) slowCalls(now time.Time) (due []userCall) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for i := range v.calls {
		call := &v.calls[i]
		if !call.since.IsZero() && !now.Before(call.slowAt(v.slow.after)) {
			call.told = now
			due = append(due, *call)
		}
	}
	return due
}

// slowAgain sets the timer for the next report, if a call runs.
func (v *view) slowAgain(over bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.slow.armed = false
	if over || v.slow.closed {
		return
	}
	var next time.Time
	for i := range v.calls {
		if v.calls[i].since.IsZero() {
			continue
		}
		if at := v.calls[i].slowAt(v.slow.after); next.IsZero() || at.Before(next) {
			next = at
		}
	}
	if !next.IsZero() {
		v.slow.set(time.Until(next))
	}
}

// slowAt is when a call is to be reported next.
func (c *userCall) slowAt(after time.Duration) time.Time {
	if c.told.IsZero() {
		return c.since.Add(after)
	}
	return c.told.Add(slowPause)
}
