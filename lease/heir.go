package lease

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/kinesiskit/kinesiskit/internal/retry"
)

// peer is another worker that a lease may be given to.
type peer struct {
	owner string
	load  int           // leases, finished ones aside
	since time.Duration // when this worker saw it first, monotonic
}

// peers returns the workers that speak and live, by name. A worker that stops changes its mark in its rows: one such row is enough. One whose
// counters have all stood still for half of its FailoverTime may be dead: what is given to it would be out of everybody's hands until it expires.
func peers(me string, rows []Lease, o observer, now, failover time.Duration) []peer {
	byOwner := make(map[string]*peer)
	alive, mute := make(map[string]bool), make(map[string]bool)
	for _, r := range rows {
		if r.Owner == "" || r.Owner == me || r.Ended() {
			continue
		}
		if byOwner[r.Owner] == nil {
			byOwner[r.Owner] = &peer{owner: r.Owner, since: o.owners[r.Owner]}
		}
		byOwner[r.Owner].load++
		mute[r.Owner] = mute[r.Owner] || !r.speaks()
		alive[r.Owner] = alive[r.Owner] || now-o.seen[r.Key].since < max(failover, r.FailoverTime)/2
	}
	var list []peer
	for owner, p := range byOwner {
		if alive[owner] && !mute[owner] {
			list = append(list, *p)
		}
	}
	slices.SortFunc(list, func(a, b peer) int { return strings.Compare(a.owner, b.owner) })
	return list
}

// succession is what a worker that stops knows about who could go on. The others may be stopping too, so it does not trust what it knew before.
type succession struct {
	seen    observer // of the last look
	peers   []peer
	at      time.Duration // of the survey, monotonic
	known   bool          // there was one
	asking  chan struct{} // closed at the end of the survey under way; nil without one
	reached bool          // the last look succeeded
	stops   bool          // this worker does
	since   time.Duration // and did so then, monotonic
}

// heard is how long a worker that stops waits before it chooses heirs. Others that stop in the same instant have announced it by then, and nobody gives
// leases to somebody who is about to go. The row that announces it stays for twice as long.
const heard = 100 * time.Millisecond

// alone reports whether the last look showed no other worker.
func (s *succession) alone(me string) bool {
	for owner := range s.seen.owners {
		if owner != "" && owner != me {
			return false
		}
	}
	return true
}

// heir chooses who gets a lease of a worker that stops: the one with the least, among equals the newest, since a fleet that is replaced worker by worker
// stops its oldest next. Without one, or if the table does not answer, the lease goes to nobody. It answers when wait has passed since the stop began.
func (c *Coordinator) heir(ctx context.Context, key string, wait time.Duration) string {
	for {
		c.mu.Lock()
		s := &c.succession
		now := c.clock.now().mono
		switch {
		case !s.reached || s.alone(c.owner):
			c.mu.Unlock()
			return ""
		case now < s.since+wait:
			left := s.since + wait - now
			c.mu.Unlock()
			if retry.Sleep(ctx, left) != nil {
				return ""
			}
			continue
		case s.asking != nil:
			survey := s.asking
			c.mu.Unlock()
			<-survey
			continue
		case !s.known || now-s.at > soon:
			s.asking = make(chan struct{})
			c.mu.Unlock()
			c.survey(ctx)
			continue
		}
		defer c.mu.Unlock()
		if len(s.peers) == 0 {
			return ""
		}
		return bestHeir(s.peers, key)
	}
}

// bestHeir picks who gets a lease: who has least, among equals the newest. It counts the lease for it.
func bestHeir(peers []peer, key string) string {
	best := 0
	for i, p := range peers {
		b := peers[best]
		if cmp.Or(cmp.Compare(p.load, b.load), cmp.Compare(b.since, p.since), cmp.Compare(rendezvous(key, b.owner), rendezvous(key, p.owner))) < 0 {
			best = i
		}
	}
	peers[best].load++
	return peers[best].owner
}

// survey looks once who is there.
func (c *Coordinator) survey(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, min(c.cfg.RequestTimeout, releaseTime/2)) // a hard stop grants no more than twice that
	defer cancel()
	issued := c.clock.now()
	rows, _, err := readAll(c.store.List(ctx))
	returned := c.clock.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &c.succession
	s.known, s.at, s.peers = true, returned.mono, nil
	if err == nil {
		s.seen.look(rows, issued, returned, c.cfg.FailoverTime)
		s.peers = peers(c.owner, rows, s.seen, returned.mono, c.cfg.FailoverTime)
	}
	close(s.asking)
	s.asking = nil
}

// passOn gives away what was given to this worker while it stopped: it holds none of it, and nobody else would take it before it expires. It is called when
// nothing else of the worker is left. Code that did not return keeps its leases out of everybody's hands.
func (c *Coordinator) passOn(ctx context.Context) {
	c.mu.Lock()
	reached, left := c.succession.reached, c.left
	c.mu.Unlock()
	if !reached {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, releaseTime)
	defer cancel()
	rows, _, err := readAll(c.store.List(ctx))
	if err != nil {
		return
	}
	for _, l := range rows {
		if l.Owner == c.owner && !l.Ended() && !slices.Contains(left, l.Key) {
			c.disown(ctx, l, c.heir(ctx, l.Key, 0))
		}
	}
}

// disown gives l, which this worker owns and does not hold, to another or, if to is empty, to nobody. If it cannot, the lease expires.
func (c *Coordinator) disown(ctx context.Context, l Lease, to string) {
	when, set := disowning(l, to)
	_ = c.write(ctx, l.Key, when, set)
}

func disowning(l Lease, to string) (Condition, Change) {
	none := ""
	set := Change{AddCounter: 1, Owner: &to, Speaks: &to, AskedBy: &none, AskedOf: &none}
	if to != "" {
		switches := l.OwnerSwitches + 1
		set.OwnerSwitches = &switches
	}
	return Condition{Counter: &l.Counter, Owner: &l.Owner, CheckpointOwner: &none}, set
}
