package producer

import (
	"context"
	"slices"
)

// wait waits for space for size bytes of a stream. The caller then has it: it accepts or gives back.
func (b *inbox) wait(ctx context.Context, s *share, size int64) error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return ErrClosed
	}
	if b.free(s, size) {
		b.budget.take(s, amount{size, 1})
		b.mu.Unlock()
		return nil
	}
	w := &waiter{share: s, size: size, ready: make(chan struct{})}
	b.waiters = append(b.waiters, w)
	if s.waiting++; s.waiting == 1 {
		b.lines++
	}
	b.mu.Unlock()

	select {
	case <-w.ready:
	case <-ctx.Done():
	}
	// Both may have happened: ctx decides, so that the outcome does not depend on which one the select saw.
	err := ctx.Err()
	b.mu.Lock()
	if err == nil && w.granted {
		b.mu.Unlock()
		return nil
	}
	var ready []*waiter
	if w.granted {
		ready = b.giveBack(s, amount{size, 1})
	} else if i := slices.Index(b.waiters, w); i >= 0 {
		b.waiters = slices.Delete(b.waiters, i, i+1)
		b.leave(s)
		ready = b.grant() // it may have been too large for space that the next one can use
	}
	b.mu.Unlock()
	release(ready)
	if err == nil {
		err = ErrClosed
	}
	return err
}

// leave notes that one who waited for s does not any more.
func (b *inbox) leave(s *share) {
	if s.waiting--; s.waiting == 0 {
		b.lines--
	}
}

// giveBack gives space back and returns the waiters that get it, to be released without the lock.
func (b *inbox) giveBack(s *share, a amount) []*waiter {
	b.budget.give(s, a)
	return b.grant()
}

// grant gives what is free to those who wait: to those of one stream in their order, and what is for all streams in the order of all. So the first one
// who has to wait on keeps what is for all from those behind it, lest small records for ever overtake a large one; but not what is reserved for their
// streams.
func (b *inbox) grant() (ready []*waiter) {
	if b.closed {
		return nil
	}
	b.grants++
	stuck, at := 0, 0 // streams that wait on; waiters that do
	for at < len(b.waiters) && stuck < b.lines {
		w := b.waiters[at]
		if w.share.passed == b.grants {
			at++
			continue
		}
		if !b.budget.fits(w.share, w.size, stuck == 0) {
			w.share.passed = b.grants
			stuck++
			at++
			continue
		}
		b.budget.take(w.share, amount{w.size, 1})
		w.granted = true
		b.leave(w.share)
		ready = append(ready, w)
		if at == 0 {
			b.waiters = b.waiters[1:]
		} else {
			b.waiters = slices.Delete(b.waiters, at, at+1)
		}
	}
	return ready
}

func release(waiters []*waiter) {
	for _, w := range waiters {
		close(w.ready)
	}
}
