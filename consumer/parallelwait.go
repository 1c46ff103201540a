package consumer

import (
	"fmt"
	"time"

	"go.uber.org/zap"
)

// halt keeps a worker, and with it the whole shard, until somebody resumes it: true, and the record is tried again at once.
func (p *parallel) halt(w *work, err error) (again bool) {
	p.mu.Lock()
	p.halted++
	p.nudge()
	p.mu.Unlock()
	select {
	case <-p.s.halting(err):
	case <-p.stay.Done():
	}
	if p.s.resumed(p.ctx) != nil {
		return false // it stays halted: nothing more is to begin
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	w.try.attempt = 1
	w.failed = false
	p.failing--
	p.halted--
	p.kick()
	p.nudge()
	return true
}

// room waits until one more record may be added.
func (p *parallel) room(of *load) error {
	for {
		if stop := p.s.stopped(p.ctx); stop != nil {
			return stop
		}
		p.mu.Lock()
		if p.err == nil && p.halted == 0 && !p.t.Full(time.Now()) {
			p.blocked = false
			p.mu.Unlock()
			p.s.moves()
			return nil
		}
		err, before := p.err, p.blocked
		p.blocked = p.isBlocked()
		blocked, news := p.blocked, p.listen()
		p.mu.Unlock()
		if err != nil {
			return err
		}
		if blocked && !before {
			p.tellBlocked()
		}
		p.wait(news, blocked, of)
	}
}

// listen returns the channel that nudge will close. It runs under mu, so that nothing is missed between a look and the wait.
func (p *parallel) listen() <-chan struct{} {
	if p.waits == nil {
		p.waits = make(chan struct{})
	}
	return p.waits
}

// isBlocked reports whether what holds the window up is a record that fails. It runs under mu.
func (p *parallel) isBlocked() bool {
	return p.halted > 0 || p.t.Stuck()
}

// allDone waits for records that are still worked on: none may be open when the shard ends.
func (s *session) allDone() error {
	if s.parallel == nil {
		return nil
	}
	return s.parallel.settle()
}

// settle waits until everything is done that was added.
func (p *parallel) settle() error {
	for {
		if stop := p.s.stopped(p.ctx); stop != nil {
			return stop
		}
		p.mu.Lock()
		err, undone, news := p.err, p.t.Undone(), p.listen()
		p.mu.Unlock()
		if err != nil || undone == 0 {
			return err
		}
		p.wait(news, false, nil)
	}
}

// wait returns when things may have changed. A shard that is blocked gives up, when others need memory, what it has not begun with.
func (p *parallel) wait(news <-chan struct{}, blocked bool, of *load) {
	var press <-chan struct{}
	if blocked && !of.shed {
		press = p.s.sticks()
	}
	select {
	case <-news:
	case <-p.stay.Done():
	case <-press:
		p.giveUp(of)
	}
}

// nudge lets the session's goroutine look again, if it waits. It runs under mu.
func (p *parallel) nudge() {
	if p.waits != nil {
		close(p.waits)
		p.waits = nil
	}
}

// giveUp drops what is left of a page that is not in the window yet, to be fetched once more.
func (p *parallel) giveUp(of *load) {
	of.shed = true
	if !p.s.feed.retreat(p.entered) {
		return
	}
	bytes := 0
	for i := range p.s.rest {
		bytes += len(p.s.rest[i].Data) + len(p.s.rest[i].PartitionKey)
	}
	clear(p.s.rest)
	p.s.rest = nil
	p.s.unpacker.start = p.entered
	p.mu.Lock()
	back := min(bytes, of.bytes)
	of.bytes -= back
	p.mu.Unlock()
	p.memory.Done(back)
}

// close ends the work on the shard: what runs is waited for, and what has to begin so that what is done already can count, if time allows. The rest was
// never stored as done, and neither was what is done behind it.
func (p *parallel) close() {
	until := p.s.half()
	p.mu.Lock()
	p.closed, p.until = true, until
	p.t.Close()
	if !p.armed.IsZero() && p.timer.Stop() {
		p.over.Done()
	}
	p.kick()
	p.mu.Unlock()
	p.over.Wait()
	p.s.view.also(nil)
}

// half is the middle of the time that is left until the shard has to be given away: the other half is for what was begun until then. A shard that is
// not to be given away begins nothing more.
func (s *session) half() time.Time {
	now := time.Now()
	by, moving := s.tenure.Moving()
	if !moving {
		s.c.mu.Lock()
		by = s.c.drainBy
		s.c.mu.Unlock()
		select {
		case <-s.tenure.Leaving():
		default:
			return now
		}
		if by.IsZero() {
			by = now.Add(2 * s.c.cfg.Lease.HandoffTimeout)
		}
	}
	return now.Add(by.Sub(now) / 2)
}

// fails reports whether a record waits for another attempt.
func (p *parallel) fails() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failing > 0
}

// tellBlocked logs, once, what the window waits for.
func (p *parallel) tellBlocked() {
	p.mu.Lock()
	key, at, added, _ := p.t.Oldest()
	undone := p.t.Undone()
	p.mu.Unlock()
	p.s.log.Warn("window of records that are not done is full: nothing more of the shard begins before its oldest record is done",
		zap.Stringer("oldest", at), zap.String("key", fmt.Sprintf("%.64q", key)), zap.Time("since", added), zap.Int("undone", undone))
}

// show fills in what Health says of the window.
func (p *parallel) show(h *ShardHealth) {
	p.mu.Lock()
	defer p.mu.Unlock()
	h.Undone, h.OldestUndone = p.t.Undone(), time.Time{}
	key, at, added, ok := p.t.Oldest()
	if ok {
		h.OldestUndone = added
	}
	if ok && p.blocked {
		h.Err = fmt.Errorf("consumer: window is full, the oldest record is at %s, with key %.64q: %w", at, key, h.Err)
	}
}
