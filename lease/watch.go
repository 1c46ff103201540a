package lease

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// How much a fleet reads. While all workers together read no more of the table than a few would have to in a large fleet, each of them lists it every
// two seconds and sees everything for itself. Beyond that, three workers list it for all (watchers): they take what has expired, and give it on. The others ask the
// index for what was given to them, and, rarely, who is there.
const (
	watchUnits  = 130.0 // read units a second for the watchers of a fleet
	workerUnits = 0.45  // and for each worker; a unit is two eventually consistent reads of up to 4 KB
	maxWatchers = 3

	ownedEvery  = 1600 * time.Millisecond // plus up to ownedSpread: how long a gift waits for its new owner
	ownedSpread = 100 * time.Millisecond
	netEvery    = 20 * time.Second
	mapEvery    = 10 * time.Second
	mapShare    = 500 * time.Millisecond // for each worker, if that is longer
	watchEvery  = 2 * time.Second
	hungryEvery = 5 * time.Second

	smallPart  = 64 // a start reads one of so many parts to see how large the table is
	largePart  = 16 // and one of so many if that had too few leases to judge by
	fewRows    = 24
	smallTable = 24 // read units: five hundred workers that start at once may list a table of this size
	maxProbes  = 8
	firstBite  = 7 // leases that a worker takes before it knows who else is there
	calm       = 10 * time.Second

	crowded     = 1500 * time.Millisecond // since the last newcomer
	mostCrowded = 10 * time.Second
	nextInLine  = 3 * time.Second
)

const never = time.Duration(math.MaxInt64)

// reading is one way to look at the table.
type reading int

const (
	readOwned  reading = iota // what the index says is this worker's
	readRow                   // one row, never stale
	readOwners                // who owns what, from the index
	readPart                  // a part of the table
	readTable                 // all of it
)

// errand is what to read next, and when.
type errand struct {
	what reading
	at   time.Duration // monotonic
	key  string        // of readRow
	part int           // of readPart
	of   int           // so many parts
}

// watch decides what one worker reads of the table and when, from what the readings brought. It is a value: it does no I/O, reads no clock, and draws from the
// source it is given, so that a fleet of five hundred can be run through in a test as it ships.
type watch struct {
	me       string
	failover time.Duration
	rng      *rand.Rand
	seen     observer

	indexed  bool    // the store lists by owner, as far as we know
	sharing  bool    // a few watch for all; else every worker lists the table
	started  bool    // it is known which of the two
	units    float64 // of one listing of the table
	size     int     // leases in the table
	watchers []string
	counts   map[string]int    // leases by owner, of the last map or listing
	first    map[string]string // a lease of each owner: the smallest key
	suspects map[string]int64  // watchers whose counter stood still, and where
	quiet    map[string]bool   // owners that did not live, or stopped, in the last listing
	newcomer time.Duration     // when an owner was last seen for the first time

	at       [readTable + 1]time.Duration // when each reading is due
	kin      []string                     // children of shards that this worker finished
	parts    int                          // of which one is read
	probes   int
	most     int      // leases that this worker may have; 0: as many as it likes
	hungry   bool     // this worker has less than its share, as far as the map tells
	failures int      // in a row
	net      sighting // of the lease by which a watcher is judged
	netKey   string
	netOwner string
	given    map[string]grant // by key: what this watcher gave on, to see whether it comes back
	full     map[string]time.Duration
	done     map[string]bool // finished leases that still have this worker's name
}

// newWatch begins with the map if there is an index, else with a listing.
func newWatch(me string, failover time.Duration, indexed bool, rng *rand.Rand) *watch {
	w := &watch{me: me, failover: failover, rng: rng, indexed: indexed, parts: smallPart, suspects: map[string]int64{}, given: map[string]grant{}, full: map[string]time.Duration{}, done: map[string]bool{}}
	for r := range w.at {
		w.at[r] = never
	}
	if indexed {
		w.at[readOwners] = 0
	} else {
		w.at[readTable], w.started = 0, true
	}
	return w
}

// next is the reading that is due first.
func (w *watch) next() errand {
	if len(w.kin) > 0 {
		return errand{what: readRow, key: w.kin[0]}
	}
	var e errand
	e.at = never
	for what, at := range w.at {
		if at < e.at {
			e.what, e.at = reading(what), at
		}
	}
	switch e.what {
	case readRow:
		e.key = w.netKey
	case readPart:
		e.part, e.of = w.rng.IntN(w.parts), w.parts
	}
	return e
}

// spread is d plus up to a fifth of it.
func (w *watch) spread(d time.Duration) time.Duration {
	return d + w.within(d/5)
}

func (w *watch) within(d time.Duration) time.Duration {
	return time.Duration(w.rng.Int64N(int64(d) + 1))
}

// affordable reports whether so many workers may each list a table of the size seen last.
func (w *watch) affordable(workers int, margin float64) bool {
	each := w.units / lookEvery(w.failover).Seconds()
	return float64(workers)*each <= margin*(watchUnits+workerUnits*float64(workers))
}

// lookEvery bounds the pause between two looks at a fleet at rest in which everybody looks: what a take-over costs on top of FailoverTime, and how long a lease
// that a stopping worker has given away waits for its new owner.
func lookEvery(failover time.Duration) time.Duration { return min(1800*time.Millisecond, failover/5) }

// failed follows a reading without an answer: everything waits, longer each time, up to half of FailoverTime. What this worker holds is renewed by others than this.
func (w *watch) failed(now time.Duration, what reading, noIndex bool) {
	if noIndex {
		w.scan(now)
		w.indexed = false
		return
	}
	if what == readRow && len(w.kin) > 0 {
		w.kin = w.kin[1:] // a watcher will find it
		return
	}
	pause := min(w.failover/2, lookEvery(w.failover)<<min(w.failures, 10))
	w.failures++
	w.at[what] = now + pause - w.within(pause/6)
}

// scan makes this worker list the table by itself from now on.
func (w *watch) scan(now time.Duration) {
	w.sharing, w.started, w.kin = false, true, nil
	for r := range w.at {
		w.at[r] = never
	}
	w.at[readTable] = now
}

// share makes this worker rely on the watchers, of which it may be one.
func (w *watch) share(now time.Duration) {
	if w.sharing {
		return
	}
	w.sharing, w.started = true, true
	w.at[readTable] = never
	w.at[readOwned] = now
	w.at[readRow] = now + w.spread(netEvery)
	w.at[readOwners] = now + w.mapPause()
}

func (w *watch) mapPause() time.Duration {
	return w.spread(max(mapEvery, time.Duration(len(w.counts))*mapShare))
}

// prompt asks for a look without waiting for its turn: a shard has ended here, and its children are to be found.
func (w *watch) prompt(now time.Duration, children []string) {
	if !w.sharing {
		w.at[readTable] = min(w.at[readTable], now)
		return
	}
	w.kin = append(w.kin, children...)
}

// rank finds the watchers among the owners, this worker included, and picks the one that this worker keeps an eye on.
func (w *watch) rank(now time.Duration) {
	owners := []string{w.me}
	for owner := range w.counts {
		if _, dead := w.suspects[owner]; owner != w.me && !dead && !w.quiet[owner] {
			owners = append(owners, owner)
		}
	}
	w.watchers = topOf(owners)
	others := slices.DeleteFunc(slices.Clone(w.watchers), func(o string) bool { return o == w.me })
	if len(others) == 0 {
		w.netOwner, w.netKey, w.at[readRow] = "", "", never
		return
	}
	owner := others[int(hash64(w.me)%uint64(len(others)))]
	if key := w.first[owner]; owner != w.netOwner || key != w.netKey {
		w.netOwner, w.netKey, w.net = owner, key, sighting{counter: unread}
	}
	if w.at[readRow] == never {
		w.at[readRow] = now + w.spread(netEvery)
	}
}

// topOf returns the first few by rendezvous with the table.
func topOf(owners []string) []string {
	weight := make(map[string]uint64, len(owners))
	for _, o := range owners {
		weight[o] = rendezvous("table", o)
	}
	slices.SortFunc(owners, func(a, b string) int {
		return cmp.Or(cmp.Compare(weight[b], weight[a]), strings.Compare(a, b))
	})
	return owners[:min(len(owners), maxWatchers)]
}

func (w *watch) watching() bool { return slices.Contains(w.watchers, w.me) }

// watchPause is the time between two listings of one watcher.
func (w *watch) watchPause() time.Duration {
	return max(watchEvery, time.Duration(float64(len(w.watchers))*w.units/watchUnits*float64(time.Second)))
}
