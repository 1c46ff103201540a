package lease

import (
	"cmp"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"time"
)

// observer remembers when it first saw each lease's counter stand where it stands. It is a value of one worker: what a worker that started just now
// has not seen for itself it does not believe, whatever timestamps a row may hold.
type observer struct {
	seen     map[string]sighting
	owners   map[string]time.Duration // when each was seen first, monotonic
	harmless map[string]bool          // owners without a mark, none of whose leases lives
}

// sighting is one counter, and when the first read that showed it had returned.
type sighting struct {
	counter int64
	owner   string
	since   time.Duration // monotonic
	free    time.Duration // monotonic; since when the lease may be taken; only if isFree
	isFree  bool
	looks   int  // that showed this owner, up to this one
	moved   bool // the counter was seen to get here
}

// unread is the counter of a lease that only a map has shown.
const unread = -1

// look takes in one complete listing. issued and returned frame the read: a counter is known to have stood still from the return of the first read that
// showed it to the issue of the last, on the monotonic clock, which may miss some time but invents none. It forgets rows that are gone.
func (o *observer) look(rows []Lease, issued, returned instant, failover time.Duration) {
	seen := make(map[string]sighting, len(rows))
	owners := make(map[string]time.Duration)
	for _, r := range rows {
		s, known := o.seen[r.Key]
		looks := 0
		if known && s.owner == r.Owner {
			looks = s.looks
		}
		if !known || s.counter != r.Counter || s.owner != r.Owner {
			s = sighting{counter: r.Counter, owner: r.Owner, since: returned.mono, moved: known && s.counter != unread && s.counter != r.Counter}
		}
		s.looks = looks + 1
		owners[r.Owner] = returned.mono
		if first, met := o.owners[r.Owner]; met {
			owners[r.Owner] = first
		}
		free := r.Owner == "" || issued.mono-s.since >= max(failover, r.FailoverTime)
		if free && !s.isFree {
			s.free = returned.mono
		}
		s.isFree = free
		seen[r.Key] = s
	}
	o.seen, o.owners = seen, owners
}

// met takes in who owns what, without counters. An owner that a map and a listing show has stood in two looks; a counter that was never read has not
// stood still.
func (o *observer) met(list []Owned, now time.Duration) {
	seen := maps.Clone(o.seen)
	if seen == nil {
		seen = make(map[string]sighting, len(list))
	}
	owners := make(map[string]time.Duration)
	for _, l := range list {
		s, known := seen[l.Key]
		if !known || s.owner != l.Owner {
			s = sighting{counter: unread, owner: l.Owner, since: now}
		}
		s.looks++
		seen[l.Key] = s
		owners[l.Owner] = now
		if first, met := o.owners[l.Owner]; met {
			owners[l.Owner] = first
		}
	}
	o.seen, o.owners = seen, owners
}

// nextExpiry returns when the next lease may turn out to be expired, on the monotonic clock.
func (o *observer) nextExpiry(rows []Lease, failover time.Duration) (at time.Duration, ok bool) {
	for _, r := range rows {
		s := o.seen[r.Key]
		if s.isFree || r.Ended() {
			continue
		}
		if t := s.since + max(failover, r.FailoverTime); !ok || t < at {
			at, ok = t, true
		}
	}
	return at, ok
}

// view is what a worker plans on.
type view struct {
	me      string
	rows    []Lease             // sorted by key
	seen    map[string]sighting // of the same look
	held    map[string]bool     // keys this worker has a tenure of, or is about to
	max     int                 // of this worker; 0 is no limit
	overdue time.Duration       // a lease that is free for longer is taken without regard to shares
	now     time.Duration       // monotonic
	asks    map[string]bool     // keys that this worker asks others for
	rests   map[string]bool     // keys that it does not ask for again yet
	others  map[string]bool     // live owners that run KCL
	bite    int                 // leases that a round may take at least
}

// plan is what the view asks for.
type plan struct {
	take    []Lease // in order
	ask     []Lease // of others, who have more
	steal   []Lease // from a worker of KCL that has more; at most one
	tend    []Lease // finished leases of this worker, to be kept
	spare   []Lease // given to this worker, and beyond what it may hold
	wanted  int     // leases this worker would like to hold beyond those it has
	workers int     // with a live lease, this one included
	expired int
	unowned int
	active  int // leases that carry weight: neither finished nor waiting for parents

	free []Lease        // unowned or expired, by key
	load map[string]int // leases of everybody else that lives, counted where they go
}

// makePlan decides which leases to take. Shares are equal, ceil(active/workers); finished leases and those that wait for parents carry no weight and are
// not taken. A round takes few, so that workers that start together share before one of them has everything: as many as this worker holds, at least one.
// Who takes which of the free leases is spread by a hash of worker and key, so that two workers rarely try the same. What was given to this worker it
// claims at once, whatever the shares say. When nothing is free, balance decides what to ask others for.
//
// Beside workers of KCL all leases count, as they do for those: two ways of counting would pull the same leases to and fro.
func makePlan(v view) plan {
	byKey := make(map[string]Lease, len(v.rows))
	for _, r := range v.rows {
		byKey[r.Key] = r
	}
	var p plan
	var free, given, movable []Lease
	mine, load := 0, map[string]int{v.me: 0}
	for _, r := range v.rows {
		if len(v.others) == 0 && (r.Ended() || blocked(r, byKey)) {
			continue
		}
		p.active++
		if v.held[r.Key] {
			mine++
			continue
		}
		s := v.seen[r.Key]
		if r.Ended() {
			mine += p.keep(v, r, load)
			continue
		}
		// A row with our own id that we do not hold was given to us, or is what a request without an answer left behind: nobody holds it, so it needs no
		// patience. A KCL 3 leader that has taken it in hand does.
		stray := r.Owner == v.me && r.CheckpointOwner == ""
		if !s.isFree && !stray {
			if v.movable(r, load) {
				movable = append(movable, r)
			}
			continue
		}
		if r.Owner == "" {
			p.unowned++
		} else {
			p.expired++
		}
		if stray {
			given = append(given, r)
		} else {
			free = append(free, r)
		}
	}
	p.workers = len(load)
	share := (p.active + p.workers - 1) / p.workers
	p.wanted = max(0, share-mine)
	room := len(v.rows)
	if v.max > 0 {
		room = max(0, v.max-mine)
		p.wanted = min(p.wanted, room)
	}
	given, p.spare = given[:min(len(given), room)], given[min(len(given), room):]
	room -= len(given)
	mine += len(given)
	bite := max(1, v.bite, mine)
	p.free, p.load = slices.Clone(free), maps.Clone(load)
	p.take = append(slices.Clip(given), choose(v, free, min(p.wanted-len(given), bite), min(room, bite))...)
	if len(free) == 0 {
		load[v.me] += mine
		p.ask, p.steal = v.divide(balance(v, movable, load, p.active, min(room, maxAsks)-len(v.asks)))
	}
	return p
}

// movable counts a lease where it goes, and reports whether another worker may have it.
func (v view) movable(r Lease, load map[string]int) bool {
	load[r.Owner] += 0
	if to := v.bound(r); to != r.Owner {
		load[to]++
		return false
	}
	load[r.Owner]++
	return (r.speaks() || v.others[r.Owner]) && r.CheckpointOwner == "" && v.seen[r.Key].looks >= settledIn && !v.rests[r.Key]
}

// keep counts a finished lease, and keeps it if it is this worker's. It returns how much that adds to what this worker holds.
func (p *plan) keep(v view, r Lease, load map[string]int) int {
	if r.Owner == v.me {
		p.tend = append(p.tend, r)
		return 1
	}
	if !v.seen[r.Key].isFree {
		load[r.Owner]++
	}
	return 0
}

// bound returns who will own l when the request for it is granted, which is its owner if there is none.
func (v view) bound(l Lease) string {
	switch by := l.request(); {
	case v.asks[l.Key]:
		return v.me
	case by != "" && l.speaks():
		return by
	}
	return l.Owner
}

// balance chooses up to n leases to ask for. It aims at shares that differ by one at most: those who have most keep the larger shares, so that nobody moves
// what need not move; at rest there is nothing to choose. load has everybody's leases, those on their way counted where they go. Who gets which is settled for
// all workers at once, so that those who see the same rows do not ask for the same.
func balance(v view, movable []Lease, load map[string]int, active, n int) []Lease {
	workers := slices.SortedFunc(maps.Keys(load), func(a, b string) int { return cmp.Or(load[b]-load[a], strings.Compare(a, b)) })
	spare := make(map[string]int, len(workers))
	for i, w := range workers {
		target := active / len(workers)
		if i < active%len(workers) {
			target++
		}
		spare[w] = load[w] - target
	}
	if min(n, -spare[v.me]) <= 0 {
		return nil
	}
	takers := slices.DeleteFunc(workers, func(w string) bool { return spare[w] >= 0 })
	movable = slices.DeleteFunc(movable, func(l Lease) bool { return spare[l.Owner] <= 0 })
	slices.SortFunc(movable, func(a, b Lease) int {
		return cmp.Or(cmp.Compare(rendezvous(a.Key, a.Owner), rendezvous(b.Key, b.Owner)), strings.Compare(a.Key, b.Key))
	})
	var ask []Lease
	for _, l := range movable {
		if spare[l.Owner] <= 0 || len(takers) == 0 || len(ask) == n {
			continue
		}
		spare[l.Owner]--
		to := takers[0]
		takers = takers[1:]
		if spare[to]++; spare[to] < 0 {
			takers = append(takers, to) // its next one after the others had theirs
		}
		if to == v.me {
			ask = append(ask, l)
		}
	}
	return ask
}

// choose picks up to n of the free leases, and up to most if more of them have been free for too long: a worker that counts in the shares may be unable
// to take its own.
func choose(v view, free []Lease, n, most int) []Lease {
	weight := make(map[string]uint64, len(free))
	late := make(map[string]bool, len(free))
	for _, r := range free {
		weight[r.Key] = rendezvous(r.Key, v.me)
		if s := v.seen[r.Key]; s.isFree && v.now-s.free > v.overdue {
			late[r.Key] = true
		}
	}
	slices.SortStableFunc(free, func(a, b Lease) int {
		switch {
		case late[a.Key] != late[b.Key]:
			if late[a.Key] {
				return -1
			}
			return 1
		case weight[a.Key] != weight[b.Key]:
			if weight[a.Key] > weight[b.Key] {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Key, b.Key)
	})
	n = min(max(n, 0, min(most, len(late))), len(free))
	return free[:n]
}

// blocked reports whether a lease waits for a parent, as far as the same look tells: not started, and a parent's row is there and not finished.
func blocked(l Lease, byKey map[string]Lease) bool {
	if started(l.Checkpoint.Position) {
		return false
	}
	for _, id := range l.Parents {
		if parent, ok := byKey[id]; ok && !parent.Ended() {
			return true
		}
	}
	return false
}

// rendezvous is the weight of a lease for a worker: the same for the same pair everywhere, unrelated for any two.
func rendezvous(key, worker string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(worker))
	h.Write([]byte{0})
	h.Write([]byte(key))
	return mix(h.Sum64())
}

// mix spreads FNV's bits: the last bytes of a key move only its low half.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}
