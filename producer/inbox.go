package producer

import (
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

	mu      sync.Mutex
	budget  budget
	waiters []*waiter // first come, first served, but see grant
	lines   int       // streams that somebody waits for
	grants  uint64    // rounds of grant

	seq       uint64    // of the latest accepted record
	stamp     time.Time // when, or a little before
	items     []*send.Item
	itemBytes int64
	spare     []*send.Item // the previous items' memory

	answers      []answer
	listings     []listing
	descriptions []description
	told         []toldUpTo

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
	share   *share
	size    int64
	granted bool
	ready   chan struct{} // closed when granted, or when the producer is closed
}

type flush struct {
	epoch uint64
	done  chan struct{}
}

// newInbox: least is how many streams are expected at least.
func newInbox(maxBytes int64, maxRecords, least int) *inbox {
	return &inbox{wake: make(chan struct{}, 1), budget: budget{limit: amount{maxBytes, maxRecords}, least: least}, pending: make([]int, 1)}
}

// join makes room for a stream.
func (b *inbox) join(s *share) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.budget.join(s)
}

// signal makes the engine look.
func (b *inbox) signal() {
	select {
	case b.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// put accepts f if there is space and nobody waits for it. start: this is the first record.
func (b *inbox) put(f *Future) (start bool, err error) {
	b.mu.Lock()
	switch {
	case b.closed:
		b.mu.Unlock()
		return false, ErrClosed
	case !b.free(&f.stream.share, int64(f.size)):
		b.mu.Unlock()
		return false, ErrFull
	}
	b.budget.take(&f.stream.share, amount{int64(f.size), 1})
	start, signal := b.accept(f)
	b.mu.Unlock()
	if signal {
		b.signal()
	}
	return start, nil
}

// free reports whether there is space that nobody waits for: those who wait for the same stream come first, and what is for all streams belongs to whoever
// waits for any.
func (b *inbox) free(s *share, size int64) bool {
	return s.waiting == 0 && b.budget.fits(s, size, len(b.waiters) == 0)
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
	b.itemBytes += int64(f.bytes())
	start = !b.started
	b.started = true
	return start, len(b.items) == 1 || !before && b.urgent()
}

func (b *inbox) urgent() bool { return len(b.items) >= urgentRecords || b.itemBytes >= urgentBytes }

// acceptGranted accepts f, whose space wait has granted.
func (b *inbox) acceptGranted(f *Future) (start bool, err error) {
	b.mu.Lock()
	if b.closed {
		ready := b.giveBack(&f.stream.share, amount{int64(f.size), 1})
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

// decided gives back the space of records of s that have a verdict.
func (b *inbox) decided(s *share, t *tally) {
	b.mu.Lock()
	ready := b.giveBack(s, amount{t.bytes, t.records})
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
	b.waiters, b.lines = nil, 0
	started = b.started
	b.mu.Unlock()
	release(waiters)
	b.signal()
	return started
}

// toldUpTo are records that have failed, and the latest record that was accepted before the program was told so.
type toldUpTo struct {
	stream *stream
	items  []*send.Item
	seq    uint64
}

// tell notes that the program is being told that items have failed. What is accepted under a later lock was put by a program that could know, and the
// engine gets the note no later than that record.
func (b *inbox) tell(s *stream, items []*send.Item) {
	b.mu.Lock()
	b.told = append(b.told, toldUpTo{s, items, b.seq})
	b.mu.Unlock()
}

// delivery is what the engine takes from the inbox.
type delivery struct {
	items        []*send.Item
	itemsAt      time.Time // when the items that were left have to be taken; zero: none are left
	answers      []answer
	listings     []listing
	descriptions []description
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
		answers: b.answers, listings: b.listings, descriptions: b.descriptions, told: b.told,
		flushTo: b.flushTo, closed: b.closed, hard: b.hard, outstanding: b.outstanding,
	}
	b.answers, b.listings, b.descriptions, b.told = nil, nil, nil, nil
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

func (b *inbox) description(d description) {
	b.mu.Lock()
	b.descriptions = append(b.descriptions, d)
	b.mu.Unlock()
	b.signal()
}

// waiting notes for each stream how many of its records wait for a verdict.
func (b *inbox) waiting(streams []*stream) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range streams {
		s.waiting = s.share.held.records
	}
}
