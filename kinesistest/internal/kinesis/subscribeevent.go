package kinesis

import (
	"context"
	"errors"
	"io"
	"strconv"
	"time"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

// ErrClosing is what Next ends with when closing was closed.
var ErrClosing = errors.New("kinesis: closing")

// Next waits, on the goroutine that calls, for the next frame of the subscription's answer: the initial response, an event, or the
// exception that it ends with. The error is io.EOF behind the last frame, ErrClosing, or ctx's. Calls must not overlap.
func (sub *Subscription) Next(ctx context.Context, closing <-chan struct{}) ([]byte, error) {
	for {
		if err := ended(ctx); err != nil {
			return nil, err
		}
		select {
		case <-closing:
			return nil, ErrClosing
		default:
		}
		sub.service.mu.Lock()
		frame, until := sub.look(time.Now())
		var wake <-chan struct{}
		if frame == nil {
			wake = sub.waitFor()
		}
		sub.service.mu.Unlock()
		if frame != nil {
			return frame()
		}
		sub.pause(ctx, closing, wake, until)
	}
}

// ended is why ctx has ended. A deadline of this very moment has passed, whether or not ctx knows it already.
func ended(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		return context.DeadlineExceeded
	}
	return ctx.Err()
}

// framer makes a frame, outside the service's mutex.
type framer func() ([]byte, error)

func end() ([]byte, error) { return nil, io.EOF }

// look finds out what is to be sent now. If it is nothing, until is when to look again at the latest. The caller holds the service's mutex.
func (sub *Subscription) look(now time.Time) (frame framer, until time.Time) {
	switch {
	case sub.ended:
		return end, time.Time{}
	case !sub.opened:
		sub.opened = true
		return func() ([]byte, error) { return wire.Event("initial-response", []byte("{}")), nil }, time.Time{}
	case sub.stream.gone(now):
		sub.service.drop(sub.stream)
	}
	switch {
	case sub.failed != nil:
		sub.ended = true
		return func() ([]byte, error) { return sub.failed.Exception(), nil }, time.Time{}
	case !now.Before(sub.ends):
		sub.end()
		return end, time.Time{}
	}
	sh, f := sub.shard, sub.feed
	sh.trim(sub.stream.horizon(now))
	if sub.next < sh.trimmed {
		sub.next, sub.step = sh.trimmed, 0
	}
	until = earlier(sub.ends, sub.due)
	if sub.stream.doing == statusDeleting {
		until = earlier(until, sub.stream.until)
	}
	if sub.next < sh.count() {
		if f.bytes.has(now, 1, burst) {
			return sub.event(mostPageRecords, now), time.Time{}
		}
		until = earlier(until, f.bytes.taken.Add(1-burst))
	} else if !sh.open() {
		return sub.event(0, now), time.Time{}
	}
	if !now.Before(sub.due) {
		return sub.event(0, now), time.Time{}
	}
	return nil, until
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// event takes the next event, with at most limit records. The caller holds the service's mutex.
func (sub *Subscription) event(limit int, now time.Time) framer {
	sh := sub.shard
	p := sh.page(sub.next, limit, mostEventSize, now)
	sub.due = now.Add(longestSilence)
	if n := len(p.records); n > 0 {
		sub.next, sub.step = p.first+uint64(n), 0
		if sub.service.cfg.Limits {
			sub.feed.bytes.spend(now, price(p.size(), feedRate))
		}
	} else {
		sub.step = min(sub.step+1, stride-1)
	}
	if !sh.open() && sub.next >= sh.count() {
		for _, child := range sub.stream.children(sh.id) {
			p.children = append(p.children, child.view())
		}
		sub.end()
	} else {
		p.next = sh.sequence.between(sub.next, sub.step)
	}
	return p.event
}

func (p *page) size() (n int) {
	for i := range p.records {
		n += p.records[i].size()
	}
	return n
}

// event is the page as an event's frame.
func (p *page) event() ([]byte, error) {
	frame, err := p.appendTo(wire.OpenEvent("SubscribeToShardEvent", p.encodedSize()), "ContinuationSequenceNumber")
	if err != nil {
		return nil, err
	}
	return wire.CloseFrame(frame), nil
}

// between is the number that is some steps, less than a stride, behind the record before index next: behind its own number with no
// step. It grows with both, so that a shard's readers see where they are move on while nothing is written.
func (s sequence) between(next, step uint64) string {
	return s.prefix + strconv.FormatUint(s.base+next*stride+step, 10)
}

// stepOf tells how many steps a number, which place has seen, is behind a record's.
func (s sequence) stepOf(number string) uint64 {
	counter, _ := strconv.ParseUint(number[prefixDigits:], 10, 64)
	return (counter - s.base) % stride
}
