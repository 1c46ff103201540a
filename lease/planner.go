package lease

import (
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
)

// observer remembers when it first saw each lease's counter stand where it stands. It is a value of one worker: what a worker that started just now
// has not seen for itself it does not believe, whatever timestamps a row may hold.
type observer struct {
	seen map[string]sighting
}

// sighting is one counter, and when the first read that showed it had returned.
type sighting struct {
	counter int64
	owner   string
	since   time.Duration // monotonic
	free    time.Duration // monotonic; since when the lease may be taken; only if isFree
	isFree  bool
}

// look takes in one complete listing. issued and returned frame the read: a counter is known to have stood still from the return of the first read that
// showed it to the issue of the last, on the monotonic clock, which may miss some time but invents none. It forgets rows that are gone.
func (o *observer) look(rows []Lease, issued, returned instant, failover time.Duration) {
	seen := make(map[string]sighting, len(rows))
	for _, r := range rows {
		s, known := o.seen[r.Key]
		if !known || s.counter != r.Counter || s.owner != r.Owner {
			s = sighting{counter: r.Counter, owner: r.Owner, since: returned.mono}
		}
		free := r.Owner == "" || issued.mono-s.since >= max(failover, r.FailoverTime)
		if free && !s.isFree {
			s.free = returned.mono
		}
		s.isFree = free
		seen[r.Key] = s
	}
	o.seen = seen
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
	me       string
	rows     []Lease             // sorted by key
	seen     map[string]sighting // of the same look
	held     map[string]bool     // keys this worker has a tenure of, or is about to
	max      int                 // of this worker; 0 is no limit
	overdue  time.Duration       // a lease that is free for longer is taken without regard to shares
	now      time.Duration       // monotonic
	unserved map[string]bool     // keys not to be taken
}

// plan is what the view asks for.
type plan struct {
	take    []Lease // in order
	wanted  int     // leases this worker would like to hold beyond those it has
	workers int     // with a live lease, this one included
	expired int
	unowned int
	active  int // leases that carry weight: neither finished nor waiting for parents
}

// makePlan decides which leases to take. Shares are equal, ceil(active/workers); finished leases and those that wait for parents carry no weight and are
// not taken. A round takes few, so that workers that start together share before one of them has everything: as many as this worker holds, at least one.
// Who takes which of the free leases is spread by a hash of worker and key, so that two workers rarely try the same.
func makePlan(v view) plan {
	byKey := make(map[string]Lease, len(v.rows))
	for _, r := range v.rows {
		byKey[r.Key] = r
	}
	var p plan
	var free []Lease
	mine, owners := 0, map[string]bool{v.me: true}
	for _, r := range v.rows {
		if r.Ended() || blocked(r, byKey) {
			continue
		}
		p.active++
		if v.held[r.Key] {
			mine++
			continue
		}
		// A row with our own id that we do not hold is what a request without an answer left behind: nobody holds it, so it needs no patience.
		stray := r.Owner == v.me
		if s := v.seen[r.Key]; !s.isFree && !stray {
			owners[r.Owner] = true
			continue
		}
		if r.Owner == "" {
			p.unowned++
		} else {
			p.expired++
		}
		if !v.unserved[r.Key] {
			free = append(free, r)
		}
	}
	p.workers = len(owners)
	share := (p.active + p.workers - 1) / p.workers
	p.wanted = max(0, share-mine)
	room := len(free)
	if v.max > 0 {
		room = max(0, v.max-mine)
		p.wanted = min(p.wanted, room)
	}
	p.take = choose(v, free, min(p.wanted, max(1, mine)), min(room, max(1, mine)))
	return p
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
	n = min(max(n, min(most, len(late))), len(free))
	return free[:n]
}

// blocked reports whether a lease waits for a parent, as far as the same look tells: not started, and a parent's row is there and not finished.
func blocked(l Lease, byKey map[string]Lease) bool {
	if l.Checkpoint.Position != checkpoint.TrimHorizon {
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
