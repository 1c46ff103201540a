package fetch

import (
	"context"
	"sync"
)

// Sizes of what is asked for before it is known how large it is.
const (
	pageMax   = 10 << 20 // what GetRecords answers at most (AWS limit)
	pageMin   = 1 << 20  // a record of the size that a stream allows by default (AWS limit), which any next page may be
	remembers = 10       // sizes that an estimate is made of
)

// Budget bounds the payload that all shards of a process hold: what was fetched and is not done. Shards ask it before they fetch, and wait in line
// (see ledger for who is served). Safe for concurrent use.
//
// The bound is of payload. A response costs some five times that while the SDK decodes it; and a page may turn out larger than what was asked for, by
// as much as one response.
type Budget struct {
	mu   sync.Mutex
	l    ledger
	open map[*share]*Account
}

// NewBudget returns a Budget of so many bytes, which should be two of the largest pages and more.
func NewBudget(bytes int64) *Budget {
	return &Budget{l: ledger{limit: bytes}, open: make(map[*share]*Account)}
}

// Buffered is the payload that is held now.
func (b *Budget) Buffered() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.l.held
}

// Open adds a shard.
func (b *Budget) Open() *Account {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := &Account{b: b, share: b.l.open()}
	b.open[a.share] = a
	return a
}

// Account is one shard's part of a Budget. At most one of its methods that wait may be called at a time; the others may be called meanwhile.
type Account struct {
	b     *Budget
	share *share
	sizes [remembers]int64 // of the last pages
	pages int
	ready chan struct{} // closed when what is asked for is granted; nil if nothing is
	press chan struct{} // closed when others need what this shard can drop; nil unless it is stuck
}

// do changes the ledger, and tells those whom the change concerns when the lock is given back.
func (a *Account) do(change func(l *ledger)) {
	for _, told := range a.b.change(change) {
		close(told)
	}
}

// change returns the channels that are to be closed. Nobody else closes them: each is taken away as it is found.
func (b *Budget) change(change func(l *ledger)) (tell []chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(&b.l)
	for _, s := range b.l.settle() {
		granted := b.open[s]
		tell, granted.ready = append(tell, granted.ready), nil
	}
	for _, s := range b.l.stuck {
		if other := b.open[s]; s.pressed && other.press != nil {
			tell, other.press = append(tell, other.press), nil
		}
	}
	return tell
}

// wait asks for bytes and waits until they are there, or returns ctx's error.
func (a *Account) wait(ctx context.Context, stands bool, amount func(l *ledger) int64) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	ready := make(chan struct{})
	a.do(func(l *ledger) {
		a.ready = ready
		l.request(a.share, amount(l), stands)
	})
	select {
	case <-ready:
	case <-ctx.Done():
	}
	if ctx.Err() == nil {
		return nil
	}
	a.do(func(l *ledger) {
		if a.share.ask > 0 {
			l.withdraw(a.share)
			return
		}
		if !stands { // granted in the same moment
			l.reserve(a.share, -a.share.reserved)
			return
		}
		l.stand(a.share, -a.share.standing)
	})
	return ctx.Err()
}

// Reserve waits for the memory of the next page. Land or Forgo has to follow.
func (a *Account) Reserve(ctx context.Context) error {
	return a.wait(ctx, false, func(*ledger) int64 { return a.estimate() })
}

// Take waits for the memory of a page of so many bytes, which is in hand already. Land or Forgo has to follow.
func (a *Account) Take(ctx context.Context, bytes int) error {
	return a.wait(ctx, false, func(*ledger) int64 { return int64(bytes) })
}

// Land turns what was reserved into a page of so many bytes. They count until Done.
func (a *Account) Land(bytes int) {
	a.do(func(l *ledger) {
		a.sizes[a.pages%remembers] = int64(bytes)
		a.pages++
		l.land(a.share, int64(bytes))
		if stands := l.standingFor(a.estimate()); stands < a.share.standing {
			l.stand(a.share, stands-a.share.standing)
		}
	})
}

// Forgo gives back what was reserved, for a fetch that brought nothing.
func (a *Account) Forgo() {
	a.do(func(l *ledger) { l.reserve(a.share, -a.share.reserved) })
}

// Done gives back so many bytes of pages.
func (a *Account) Done(bytes int) {
	a.do(func(l *ledger) { l.done(a.share, int64(bytes)) })
}

// Stand waits for what an open subscription may buffer: two events, and no more than the shard's part of half of the budget, so that however many
// shards there are, each can be subscribed to.
func (a *Account) Stand(ctx context.Context) error {
	return a.wait(ctx, true, func(l *ledger) int64 { return l.standingFor(a.estimate()) })
}

// Leave gives back what Stand got.
func (a *Account) Leave() {
	a.do(func(l *ledger) { l.stand(a.share, -a.share.standing) })
}

// Stick says that the shard makes no progress: it gets nothing more until Move. The channel is closed when others need the memory: all that the failing
// call does not need is to be dropped then.
func (a *Account) Stick() <-chan struct{} {
	press := make(chan struct{})
	a.do(func(l *ledger) {
		a.press = press
		l.stick(a.share)
	})
	return press
}

// Move says that the shard makes progress again.
func (a *Account) Move() {
	a.do(func(l *ledger) {
		a.press = nil
		l.move(a.share)
	})
}

// Close gives everything back. Nothing else may be called any more.
func (a *Account) Close() {
	a.do(func(l *ledger) {
		l.close(a.share)
		delete(a.b.open, a.share)
	})
}

// estimate is what the next page may take: twice the largest of the last ten, before the first the largest there can be.
func (a *Account) estimate() int64 {
	if a.pages == 0 {
		return pageMax
	}
	largest := int64(0)
	for _, n := range a.sizes[:min(a.pages, remembers)] {
		largest = max(largest, n)
	}
	return min(pageMax, max(pageMin, 2*largest))
}
