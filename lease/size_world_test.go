package lease

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/shard"
)

// A fleet at size, in virtual time: the shipped watch, planner, conditions and changes over a table of rows. There are no goroutines; whatever takes time is an event.
// What a worker reads is as old as its request, and a little older; the index lags behind. Renewals are computed, not sent: a row that is held has the
// counter that its owner's renewals would have given it.
const (
	sizeFailover = 10 * time.Second
	sizeRenew    = sizeFailover / 3

	pageTime   = 60 * time.Millisecond  // of 1 MB of a scan
	callTime   = 10 * time.Millisecond  // there and back
	sizeStale  = 100 * time.Millisecond // eventually consistent reads
	maxLag     = 200 * time.Millisecond // of the index
	codeTime   = 100 * time.Millisecond // user code that is asked to leave
	indexBytes = 18                     // names of the two keys
)

type sizeEvent struct {
	at  time.Duration
	seq int
	do  func()
}

type sizeQueue []sizeEvent

func (q *sizeQueue) Len() int { return len(*q) }
func (q *sizeQueue) Less(i, j int) bool {
	a, b := (*q)[i], (*q)[j]
	return a.at < b.at || a.at == b.at && a.seq < b.seq
}
func (q *sizeQueue) Swap(i, j int) { (*q)[i], (*q)[j] = (*q)[j], (*q)[i] }
func (q *sizeQueue) Push(x any)    { *q = append(*q, x.(sizeEvent)) }
func (q *sizeQueue) Pop() any {
	old := *q
	e := old[len(old)-1]
	*q = old[:len(old)-1]
	return e
}

// sizeRow is a row with its recent past.
type sizeRow struct {
	Lease
	holder  *sizeWorker // who holds it now, nil: nobody
	since   time.Duration
	left    time.Duration // when the last holder was gone
	past    []sizeVersion
	moves   int
	longest time.Duration // without a holder, after a first one
}

type sizeVersion struct {
	until time.Duration
	row   Lease
}

// sizeWorld is the table, and the clock.
type sizeWorld struct {
	rng     *rand.Rand
	now     time.Duration
	seq     int
	queue   sizeQueue
	rows    []*sizeRow
	byKey   map[string]*sizeRow
	byOwner map[string]map[string]*sizeRow

	workers []*sizeWorker
	starts  int

	units   map[int]float64 // read units by second
	writes  map[string]int
	refused int
}

func newSizeWorld(seed uint64, leases int) *sizeWorld {
	w := &sizeWorld{rng: rand.New(rand.NewPCG(seed, 7)), byKey: map[string]*sizeRow{}, byOwner: map[string]map[string]*sizeRow{}, units: map[int]float64{}, writes: map[string]int{}}
	at, err := checkpoint.At("49590338271490256608559692538361571095921575989136588898", 0)
	if err != nil {
		panic(err)
	}
	for i := range leases {
		r := &sizeRow{Lease: Lease{
			Key: fmt.Sprintf("shardId-%012d", i), Counter: 1_700_000_000_000, Checkpoint: checkpoint.Checkpoint{Position: at}, Stream: "transactions",
			HashRange: shard.HashRange{End: shard.MaxHashKey},
		}}
		w.rows = append(w.rows, r)
		w.byKey[r.Key] = r
	}
	return w
}

func (w *sizeWorld) after(d time.Duration, do func()) {
	w.seq++
	heap.Push(&w.queue, sizeEvent{w.now + d, w.seq, do})
}

// run lets time pass until t.
func (w *sizeWorld) run(t time.Duration) {
	for len(w.queue) > 0 && w.queue[0].at <= t {
		e := heap.Pop(&w.queue).(sizeEvent)
		w.now = e.at
		e.do()
	}
	w.now = t
}

func (w *sizeWorld) within(d time.Duration) time.Duration {
	return time.Duration(w.rng.Int64N(int64(d) + 1))
}

// lag is how far the index is behind with one row at this moment.
func (w *sizeWorld) lag(key string) time.Duration {
	return time.Duration(hash64(key+w.now.String()) % uint64(maxLag))
}

func (w *sizeWorld) spend(units float64) { w.units[int(w.now/time.Second)] += units }

// spent is the mean a second of a time, and the highest of one second.
func (w *sizeWorld) spent(from, to time.Duration) (mean, most float64) {
	for s := int(from / time.Second); s < int(to/time.Second); s++ {
		mean += w.units[s]
		most = max(most, w.units[s])
	}
	return mean / (to - from).Seconds(), most
}

func (w *sizeWorld) written() (n int) {
	for _, m := range w.writes {
		n += m
	}
	return n
}

// current is a row as it stands, renewals included.
func (r *sizeRow) current(now time.Duration) Lease {
	l := r.Lease
	if r.holder != nil {
		l.Counter += int64((now - r.since) / sizeRenew)
	}
	return l
}

// as is a row as it stood a while ago.
func (r *sizeRow) as(then, now time.Duration) Lease {
	for i := len(r.past) - 1; i >= 0 && r.past[i].until > then; i-- {
		if i == 0 || r.past[i-1].until <= then {
			return r.past[i].row
		}
	}
	return r.current(now)
}

// write is a conditional write.
func (w *sizeWorld) write(kind, key string, when Condition, set Change) (Lease, bool) {
	w.writes[kind]++
	r := w.byKey[key]
	l := r.current(w.now)
	if !when.Holds(l) {
		w.refused++
		return l, false
	}
	for len(r.past) > 0 && r.past[0].until < w.now-time.Second {
		r.past = r.past[1:]
	}
	r.past = append(r.past, sizeVersion{w.now, l})
	r.Lease = set.Apply(l)
	if r.Owner != l.Owner {
		delete(w.byOwner[l.Owner], key)
		if w.byOwner[r.Owner] == nil {
			w.byOwner[r.Owner] = map[string]*sizeRow{}
		}
		w.byOwner[r.Owner][key] = r
	}
	if r.holder != nil {
		r.since = w.now - (w.now-r.since)%sizeRenew // the next renewal comes when it would have come
		if set.AddCounter > 0 {
			r.since = w.now
		}
	}
	return r.Lease, true
}

// hold and leave keep the books of who holds a row.
func (w *sizeWorld) hold(r *sizeRow, by *sizeWorker) {
	if r.moves++; r.moves > 1 {
		r.longest = max(r.longest, w.now-r.left)
	}
	r.holder, r.since = by, w.now
}

func (w *sizeWorld) leave(r *sizeRow) {
	r.Lease = r.current(w.now)
	r.holder, r.left = nil, w.now
}

// listing is what a scan issued now shows: each row as it stood up to sizeStale ago.
func (w *sizeWorld) listing(part, parts int) []Lease {
	var rows []Lease
	for i, r := range w.rows {
		if mix(uint64(i)+1)%uint64(parts) != uint64(part) {
			continue
		}
		rows = append(rows, r.as(w.now-w.within(sizeStale), w.now))
	}
	return rows
}

// owners is what the index shows.
func (w *sizeWorld) owners() (list []Owned, units float64) {
	bytes := 0
	for _, r := range w.rows {
		if l := r.as(w.now-w.within(maxLag), w.now); l.Owner != "" {
			list = append(list, Owned{l.Key, l.Owner})
			bytes += indexBytes + len(l.Key) + len(l.Owner)
		}
	}
	return list, max(0.5, float64(bytes)/8192)
}

// loads are the leases that each worker that lives holds; all says whether every lease is held.
func (w *sizeWorld) loads() (least, most int, all bool) {
	loads := map[*sizeWorker]int{}
	for _, o := range w.workers {
		if o.alive {
			loads[o] = 0
		}
	}
	all = true
	for _, r := range w.rows {
		if r.holder == nil {
			all = false
			continue
		}
		loads[r.holder]++
	}
	least = len(w.rows)
	for _, n := range loads {
		least, most = min(least, n), max(most, n)
	}
	return least, most, all
}

// until runs to the first moment at which all leases are held, and to that at which the shares differ by no more than one and stay so.
func (w *sizeWorld) until(limit time.Duration) (owned, even time.Duration) {
	for from := w.now; w.now < from+limit; {
		w.run(w.now + 100*time.Millisecond)
		least, most, all := w.loads()
		if all && owned == 0 {
			owned = w.now - from
		}
		if !all || most-least > 1 {
			even = 0
		} else if even == 0 {
			even = w.now - from
		}
	}
	return owned, even
}

// perLease is how many conditional writes there were for each lease, renewals aside.
func (w *sizeWorld) perLease() float64 { return float64(w.written()) / float64(len(w.rows)) }

// watching are the workers that live and watch for all.
func (w *sizeWorld) watching() (list []*sizeWorker) {
	for _, o := range w.living() {
		if o.w.watching() {
			list = append(list, o)
		}
	}
	return list
}
