package producer

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/kinesiskit/kinesiskit/producer/internal/send"
)

// While records only wait for company, the engine is not woken for each of them: it takes them when there are this many, or when a quarter of Linger
// has passed.
const (
	urgentRecords = 512
	urgentBytes   = 64 << 10

	// sharedStamp is how many records share a time of acceptance, except for the first ones since the engine looked. To ask for the time costs as much as
	// the rest of an acceptance. A time is wrong by a quarter of Linger at most, since the engine takes the records after that.
	sharedStamp = 16
)

// inbox is where the program's goroutines and those that perform requests leave what the engine has to look at, and where the bounds of the buffer are
// kept. Its lock is the only one on the path of a Put, held for some tens of nanoseconds: acceptance order, the bounds and the refusal of records after
// Close are one decision. That is also why Put and Close cannot race: a record is either in items before closed is set, and then the engine takes it
// before it can finish, or it is refused.
type inbox struct {
	wake chan struct{} // holds one signal; sent to by any, received by the engine

	mu         sync.Mutex
	maxBytes   int64
	maxRecords int

	// Accepted and without a verdict, or granted to somebody who waits for it.
	bytes   int64
	records int
	waiters []*waiter // first come, first served

	seq       uint64    // of the latest accepted record
	stamp     time.Time // when, or a little before
	items     []*send.Item
	itemBytes int64
	spare     []*send.Item // the previous items' memory

	answers  []answer
	listings []listing
	told     []toldUpTo

	started, closed, hard bool
	flushTo               uint64

	// Records are counted by epochs, which Flush begins: a Flush is done when nothing of its epoch or an earlier one is left. pending[0] belongs to
	// epoch first; there is always at least the present one.
	first       uint64
	pending     []int
	outstanding int // the sum of pending
	flushes     []flush
}

type waiter struct {
	size    int64
	granted bool
	ready   chan struct{} // closed when granted, or when the producer is closed
}

type flush struct {
	epoch uint64
	done  chan struct{}
}

func newInbox(maxBytes int64, maxRecords int) *inbox {
	return &inbox{wake: make(chan struct{}, 1), maxBytes: maxBytes, maxRecords: maxRecords, pending: make([]int, 1)}
}

// signal makes the engine look.
func (b *inbox) signal() {
	select {
	case b.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// put accepts f if there is space and nobody waits for some. start: this is the first record.
func (b *inbox) put(f *Future) (start bool, err error) {
	b.mu.Lock()
	switch {
	case b.closed:
		b.mu.Unlock()
		return false, ErrClosed
	case len(b.waiters) > 0 || !b.fits(int64(f.size)):
		b.mu.Unlock()
		return false, ErrFull
	}
	b.reserve(int64(f.size))
	start, signal := b.accept(f)
	b.mu.Unlock()
	if signal {
		b.signal()
	}
	return start, nil
}

func (b *inbox) fits(size int64) bool { return b.records < b.maxRecords && b.bytes+size <= b.maxBytes }

func (b *inbox) reserve(size int64) {
	b.bytes += size
	b.records++
}

// accept takes f, whose space is reserved. The engine is signalled for the first of the items, to plan when it takes them, and when there are many.
func (b *inbox) accept(f *Future) (start, signal bool) {
	if n := len(b.items); n < sharedStamp || n%sharedStamp == 0 {
		b.stamp = time.Now()
	}
	b.seq++
	f.item.Seq, f.item.Accepted = b.seq, b.stamp
	f.epoch = b.first + uint64(len(b.pending)-1)
	b.pending[len(b.pending)-1]++
	b.outstanding++
	before := b.urgent()
	b.items = append(b.items, &f.item)
	b.itemBytes += int64(f.size)
	start = !b.started
	b.started = true
	return start, len(b.items) == 1 || !before && b.urgent()
}

func (b *inbox) urgent() bool { return len(b.items) >= urgentRecords || b.itemBytes >= urgentBytes }

// wait waits for space for size bytes. The caller then has it: it accepts or gives back.
func (b *inbox) wait(ctx context.Context, size int64) error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return ErrClosed
	}
	if len(b.waiters) == 0 && b.fits(size) {
		b.reserve(size)
		b.mu.Unlock()
		return nil
	}
	w := &waiter{size: size, ready: make(chan struct{})}
	b.waiters = append(b.waiters, w)
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
		ready = b.free(w.size, 1)
	} else if i := slices.Index(b.waiters, w); i >= 0 {
		b.waiters = slices.Delete(b.waiters, i, i+1)
		ready = b.grant() // it may have been too large for space that the next one can use
	}
	b.mu.Unlock()
	release(ready)
	if err == nil {
		err = ErrClosed
	}
	return err
}

// acceptGranted accepts f, whose space wait has granted.
func (b *inbox) acceptGranted(f *Future) (start bool, err error) {
	b.mu.Lock()
	if b.closed {
		ready := b.free(int64(f.size), 1)
		b.mu.Unlock()
		release(ready)
		return false, ErrClosed
	}
	start, signal := b.accept(f)
	b.mu.Unlock()
	if signal {
		b.signal()
	}
	return start, nil
}

// free gives space back and returns the waiters that get it, to be released without the lock.
func (b *inbox) free(bytes int64, records int) []*waiter {
	b.bytes -= bytes
	b.records -= records
	return b.grant()
}

func (b *inbox) grant() (ready []*waiter) {
	if b.closed {
		return nil
	}
	for len(b.waiters) > 0 && b.fits(b.waiters[0].size) {
		w := b.waiters[0]
		b.waiters = b.waiters[1:]
		b.reserve(w.size)
		w.granted = true
		ready = append(ready, w)
	}
	return ready
}

func release(waiters []*waiter) {
	for _, w := range waiters {
		close(w.ready)
	}
}

// tally sums up records that share a verdict.
type tally struct {
	records int
	bytes   int64
	epochs  []epochCount // runs of one epoch
}

type epochCount struct {
	epoch   uint64
	records int
}

func (t *tally) add(f *Future) {
	t.records++
	t.bytes += int64(f.size)
	if n := len(t.epochs); n > 0 && t.epochs[n-1].epoch == f.epoch {
		t.epochs[n-1].records++
		return
	}
	t.epochs = append(t.epochs, epochCount{f.epoch, 1})
}

// decided gives back the space of records that have a verdict.
func (b *inbox) decided(t *tally) {
	b.mu.Lock()
	ready := b.free(t.bytes, t.records)
	b.mu.Unlock()
	release(ready)
}

// finished notes that the program has been told about records.
func (b *inbox) finished(t *tally) {
	b.mu.Lock()
	for _, e := range t.epochs {
		b.pending[e.epoch-b.first] -= e.records
	}
	b.outstanding -= t.records
	for len(b.pending) > 1 && b.pending[0] == 0 {
		b.pending = b.pending[1:]
		b.first++
	}
	n := slices.IndexFunc(b.flushes, func(f flush) bool { return f.epoch >= b.first })
	if n < 0 {
		n = len(b.flushes)
	}
	done := b.flushes[:n:n]
	b.flushes = b.flushes[n:]
	last := b.closed && b.outstanding == 0
	b.mu.Unlock()
	for _, f := range done {
		close(f.done)
	}
	if last {
		b.signal()
	}
}

// flush begins a new epoch and returns a channel that is closed when all earlier ones are done; nil if they are.
func (b *inbox) flush() <-chan struct{} {
	b.mu.Lock()
	if b.outstanding == 0 {
		b.mu.Unlock()
		return nil
	}
	b.flushTo = b.seq
	f := flush{epoch: b.first + uint64(len(b.pending)-1), done: make(chan struct{})}
	b.flushes = append(b.flushes, f)
	b.pending = append(b.pending, 0)
	for b.pending[0] == 0 {
		b.pending = b.pending[1:]
		b.first++
	}
	b.mu.Unlock()
	b.signal()
	return f.done
}

// close refuses what comes from now on; hard also gives up what is here. It reports whether there is an engine to wait for.
func (b *inbox) close(hard bool) (started bool) {
	b.mu.Lock()
	b.closed = true
	b.hard = b.hard || hard
	b.flushTo = b.seq
	waiters := b.waiters
	b.waiters = nil
	started = b.started
	b.mu.Unlock()
	release(waiters)
	b.signal()
	return started
}

// toldUpTo are records that have failed, and the latest record that was accepted before the program was told so.
type toldUpTo struct {
	items []*send.Item
	seq   uint64
}

// tell notes that the program is being told that items have failed. What is accepted under a later lock was put by a program that could know, and the
// engine gets the note no later than that record.
func (b *inbox) tell(items []*send.Item) {
	b.mu.Lock()
	b.told = append(b.told, toldUpTo{items, b.seq})
	b.mu.Unlock()
}

// delivery is what the engine takes from the inbox.
type delivery struct {
	items        []*send.Item
	itemsAt      time.Time // when the items that were left have to be taken; zero: none are left
	answers      []answer
	listings     []listing
	told         []toldUpTo
	flushTo      uint64
	closed, hard bool
	outstanding  int
}

// take empties the inbox at now. Items that are few and younger than patience stay.
func (b *inbox) take(now time.Time, patience time.Duration) delivery {
	b.mu.Lock()
	defer b.mu.Unlock()
	d := delivery{
		answers: b.answers, listings: b.listings, told: b.told, flushTo: b.flushTo, closed: b.closed, hard: b.hard, outstanding: b.outstanding,
	}
	b.answers, b.listings, b.told = nil, nil, nil
	if len(b.items) == 0 {
		return d
	}
	if at := b.items[0].Accepted.Add(patience); now.Before(at) && !b.urgent() && b.items[0].Seq > b.flushTo {
		d.itemsAt = at
		return d
	}
	d.items = b.items
	b.items, b.spare = b.spare[:0], nil
	b.itemBytes = 0
	return d
}

// reuse gives the memory of taken items back.
func (b *inbox) reuse(items []*send.Item) {
	if items == nil {
		return
	}
	clear(items)
	b.mu.Lock()
	b.spare = items
	b.mu.Unlock()
}

func (b *inbox) answer(a answer) {
	b.mu.Lock()
	b.answers = append(b.answers, a)
	b.mu.Unlock()
	b.signal()
}

func (b *inbox) listing(l listing) {
	b.mu.Lock()
	b.listings = append(b.listings, l)
	b.mu.Unlock()
	b.signal()
}
