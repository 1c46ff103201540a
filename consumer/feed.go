package consumer

import (
	"context"
	"sync"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/consumer/internal/fetch"
)

// feed brings a session's pages, and accounts for the memory that they take. While your code works on a page that was polled, the next one is fetched. A
// subscription needs no help: the SDK reads ahead of it by itself.
type feed struct {
	source source
	memory *fetch.Account
	ahead  *ahead              // nil: nothing is fetched ahead
	page   *fetch.Page         // that your code works on; nil between two
	inHand int                 // bytes of it that count
	stuck  bool                // in it: a call fails
	back   checkpoint.Position // to which the source has to go back; zero if it has not
}

// fetched is what one attempt at a page came to.
type fetched struct {
	page   *fetch.Page
	err    error
	took   time.Duration
	fanOut bool
	wait   time.Duration // before the next attempt
}

// ahead is a page that is fetched before it is asked for.
type ahead struct {
	done chan struct{}

	mu      sync.Mutex
	got     fetched
	unasked bool // it is not wanted any more
}

func newFeed(s source, memory *fetch.Account) *feed { return &feed{source: s, memory: memory} }

func (f *feed) fetch(ctx context.Context) fetched {
	page, err := f.source.Next(ctx)
	return fetched{page, err, f.source.Took(), f.source.FanOut(), f.source.Wait()}
}

// next waits for the next page: the one that was fetched ahead, if there is one.
func (f *feed) next(stay context.Context) fetched {
	got, have := f.settle()
	if f.back != (checkpoint.Position{}) {
		f.source.Rewind(f.back)
		f.back, have = checkpoint.Position{}, false
	}
	if !have {
		got = f.fetch(stay)
	}
	if f.page = got.page; f.page != nil {
		f.inHand = f.page.Bytes
	}
	return got
}

// settle waits until nothing is fetched any more, and returns what was.
func (f *feed) settle() (got fetched, have bool) {
	if f.ahead == nil {
		return fetched{}, false
	}
	<-f.ahead.done // which the end of stay brings about, too
	a := f.ahead
	f.ahead = nil
	return a.got, !a.unasked
}

// lookAhead begins with the next page. It is called when your code is about to be.
func (f *feed) lookAhead(stay context.Context) {
	if f.ahead != nil || f.source.FanOut() {
		return
	}
	a := &ahead{done: make(chan struct{})}
	f.ahead = a
	go func() {
		defer close(a.done)
		got := f.fetch(stay)
		a.mu.Lock()
		a.got = got
		unasked := a.unasked
		a.mu.Unlock()
		if unasked {
			f.drop(a)
		}
	}()
}

// drop gives up a page that was fetched ahead.
func (f *feed) drop(a *ahead) {
	a.mu.Lock()
	bytes := 0
	if a.got.page != nil {
		bytes = a.got.page.Bytes
	}
	a.got.page, a.unasked = nil, true
	a.mu.Unlock()
	f.memory.Done(bytes)
}

// done says that what there is of the page in hand is done. That is not all of it if its end was shed.
func (f *feed) done() (all bool) {
	f.move()
	f.memory.Done(f.inHand)
	f.page, f.inHand = nil, 0
	return f.back == checkpoint.Position{}
}

// stick says that a call of your code fails. When the channel is closed, other shards need what shed gives up.
func (f *feed) stick() (press <-chan struct{}) {
	f.stuck = true
	return f.memory.Stick()
}

// move says that the call succeeded.
func (f *feed) move() {
	if f.stuck {
		f.stuck = false
		f.memory.Move()
	}
}

// shed gives up the page that was fetched ahead, and all of the page in hand but the records of a call that fails. The next page begins behind them. It
// reports whether there was anything to give.
func (f *feed) shed(first, last checkpoint.Position) bool {
	if f.back != (checkpoint.Position{}) {
		return false
	}
	kept := 0
	for begun, i := false, 0; i < len(f.page.Records); i++ {
		r := &f.page.Records[i]
		begun = begun || r.Position.Sequence() == first.Sequence()
		if begun && r.Position.Compare(last) <= 0 {
			kept += len(r.Data) + len(r.PartitionKey)
		}
	}
	f.memory.Done(f.inHand - kept)
	f.inHand = kept
	return f.retreat(last)
}

// retreat gives up the page that was fetched ahead, and lets the next page begin behind last. What is in hand is the caller's to account for.
func (f *feed) retreat(last checkpoint.Position) bool {
	if f.back != (checkpoint.Position{}) {
		return false
	}
	f.back = last
	if f.ahead != nil {
		f.drop(f.ahead)
	} else {
		f.source.Close() // an open subscription buffers
	}
	f.page.Records = nil
	return true
}

// lend leaves it to the caller to say how much of the page in hand is done.
func (f *feed) lend() (bytes int) {
	bytes, f.inHand = f.inHand, 0
	return bytes
}

// close waits for what is under way, whose context has ended.
func (f *feed) close() {
	f.settle()
	f.source.Close()
	f.memory.Close()
}

// pause waits between two attempts at a call of your code. If other shards need memory meanwhile, everything of the page goes that the call does not
// need.
func (s *session) pause(stay context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	press := s.sticks()
	for over := false; !over; {
		select {
		case <-stay.Done():
		case <-press:
		case <-timer.C:
			over = true
		}
		if stay.Err() != nil {
			return stay.Err()
		}
		select {
		case <-press:
			press = nil
			s.giveUpRest()
		default:
		}
	}
	return nil
}

// sticks says that the shard makes no progress, and moves that it does again. When the channel is closed, giveUpRest is to be called.
func (s *session) sticks() (press <-chan struct{}) {
	if s.feed == nil {
		return nil
	}
	return s.feed.stick()
}

func (s *session) moves() {
	if s.feed != nil {
		s.feed.move()
	}
}

// giveUpRest keeps what the failing call is about.
func (s *session) giveUpRest() {
	if len(s.unit) == 0 {
		return // the call is Flush, which has no page
	}
	first, last := s.unit[0].Position, s.unit[len(s.unit)-1].Position
	if s.feed.shed(first, last) {
		s.unpacker.start = last
		clear(s.rest) // the slice itself stays, as part of the unit's
		s.rest = nil
	}
}
