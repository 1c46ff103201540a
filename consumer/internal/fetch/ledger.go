package fetch

import "slices"

// ledger divides bytes among shards. It is a value that operations change: no clock, no goroutine, no lock.
//
// What a shard has is pages: those that were fetched and are not done (held), and one that is being fetched (reserved). And it has what an open
// subscription may buffer (standing). What it lacks, it asks for, and asks are served in their order, as long as everything is within the limit. Three
// rules keep one shard from living at the cost of another:
//
//   - A shard is entitled to its part of the limit or, where that is less than a page, to one page. What goes beyond, a page fetched ahead, comes out of
//     the lower half alone, and after all who are entitled.
//   - A shard whose code fails is stuck, and gets nothing more. What it has counts like anything else, but whatever that is, the others can have half of
//     the limit in pages, and half in subscriptions.
//   - When an entitled ask does not fit into the limit, those that are stuck are pressed to drop what they do not need for the call that fails.
type ledger struct {
	limit  int64
	owned  int // shares that are open
	held   int64
	all    amounts
	parked amounts // of all, what stuck shares have
	queue  []*share
	stuck  []*share // in the order in which they got stuck
}

type amounts struct{ pages, standing int64 }

func (a amounts) sum() int64 { return a.pages + a.standing }

// share is what one shard has of a ledger.
type share struct {
	held, reserved, standing int64

	ask     int64 // 0: it waits for nothing
	stands  bool  // the ask is for standing
	isStuck bool
	pressed bool // others need what it can drop
}

func (s *share) pages() int64 { return s.held + s.reserved }

func (l *ledger) open() *share {
	l.owned++
	return &share{}
}

// close takes everything back.
func (l *ledger) close(s *share) {
	l.withdraw(s)
	l.move(s)
	l.hold(s, -s.held)
	l.reserve(s, -s.reserved)
	l.stand(s, -s.standing)
	l.owned--
}

// The three amounts change through these, so that the sums are right.

func (l *ledger) hold(s *share, n int64) {
	s.held += n
	l.held += n
	l.add(s, amounts{pages: n})
}

func (l *ledger) reserve(s *share, n int64) {
	s.reserved += n
	l.add(s, amounts{pages: n})
}

func (l *ledger) stand(s *share, n int64) {
	s.standing += n
	l.add(s, amounts{standing: n})
}

func (l *ledger) add(s *share, n amounts) {
	l.all.pages += n.pages
	l.all.standing += n.standing
	if s.isStuck {
		l.park(n.pages, n.standing)
	}
}

func (l *ledger) park(pages, standing int64) {
	l.parked.pages += pages
	l.parked.standing += standing
}

// request puts s into the queue. n is cut to what can be had at all.
func (l *ledger) request(s *share, n int64, stands bool) {
	s.ask, s.stands = max(1, min(n, l.limit/2)), stands
	l.queue = append(l.queue, s)
}

func (l *ledger) withdraw(s *share) {
	s.ask = 0
	l.queue = slices.DeleteFunc(l.queue, func(q *share) bool { return q == s })
}

// land makes a page of n bytes of the fetch that was under way.
func (l *ledger) land(s *share, n int64) {
	l.reserve(s, -s.reserved)
	l.hold(s, n)
}

// done takes back n bytes of pages.
func (l *ledger) done(s *share, n int64) {
	l.hold(s, -min(n, s.held))
}

// stick notes that the shard's code fails.
func (l *ledger) stick(s *share) {
	if s.isStuck {
		return
	}
	s.isStuck = true
	l.park(s.pages(), s.standing)
	l.stuck = append(l.stuck, s)
}

// move notes that the shard's code succeeds.
func (l *ledger) move(s *share) {
	if !s.isStuck {
		return
	}
	l.park(-s.pages(), -s.standing)
	s.isStuck, s.pressed = false, false
	l.stuck = slices.DeleteFunc(l.stuck, func(q *share) bool { return q == s })
}

// settle grants what can be granted, in order, and presses the stuck if that is less than what is due. It returns whose ask was granted.
func (l *ledger) settle() (granted []*share) {
	waits := false // somebody who is entitled
	for _, s := range l.queue {
		if s.isStuck || !l.entitled(s) {
			continue
		}
		if l.all.sum()+s.ask > l.limit {
			l.press()
			if waits = !l.half(s); waits {
				break // behind the first that has to wait nobody is served, or a large ask would wait for ever
			}
		}
		granted = append(granted, s)
		l.grant(s)
	}
	for _, s := range l.queue {
		if !waits && s.ask > 0 && !s.isStuck && l.all.sum()+s.ask <= l.limit/2 {
			granted = append(granted, s)
			l.grant(s)
		}
	}
	l.queue = slices.DeleteFunc(l.queue, func(s *share) bool { return s.ask == 0 })
	return granted
}

// half reports whether the half that no stuck shard can take has room for what s asks for.
func (l *ledger) half(s *share) bool {
	moving := amounts{l.all.pages - l.parked.pages, l.all.standing - l.parked.standing}
	if moving.sum()+s.ask > l.limit {
		return false
	}
	if s.stands {
		return moving.standing+s.ask <= l.limit/2
	}
	return moving.pages+s.ask <= l.limit/2
}

func (l *ledger) grant(s *share) {
	if s.stands {
		l.stand(s, s.ask)
	} else {
		l.reserve(s, s.ask)
	}
	s.ask = 0
}

// entitled reports whether s asks for no more than its part. What a subscription may buffer does not count against the page that comes of it.
func (l *ledger) entitled(s *share) bool {
	return s.stands || s.pages() == 0 || s.pages()+s.ask <= l.limit/int64(l.owned)
}

func (l *ledger) press() {
	for _, s := range l.stuck {
		s.pressed = true
	}
}

// standingFor is what a subscription may stand for, if it could use n: those of all shards together never take more than half of the limit.
func (l *ledger) standingFor(n int64) int64 {
	return max(1, min(n, l.limit/2/int64(max(1, l.owned))))
}
