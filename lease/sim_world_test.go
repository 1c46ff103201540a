package lease

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
)

// world is one simulation: hosts with clocks of their own, one table, requests between them, and real time, which only the world and its checks know.
// Everything happens in one goroutine, in an order that the seed decides.
type world struct {
	seed    uint64
	rng     *rand.Rand
	now     time.Duration
	queue   events
	rows    map[string]Lease
	gifts   map[string]gift
	history map[string][]version
	shards  []*simShard
	byID    map[string]*simShard
	hosts   []*host
	faults  faults
	quiet   bool // faults are over
	hash    uint64
	trace   func(string)
	count   counts
	wrong   []string
	ids     int
	steps   int
	javas   []*simJava
	java    javaCounts
	deleted map[string]bool // rows that a worker of KCL has cleaned up
}

// faults says which faults a simulation has. Each seed draws its own set: few kinds at high rates find more than all kinds at once.
type faults struct {
	drop, lostReply, late, slow, throttle, stale, noItem float64 // a request
	single                                               bool    // never two lost replies in a row
	cut, pause, suspend, jump, crash, stop, edit         time.Duration
	stepPause                                            float64 // a process stops between any two steps
	rate                                                 float64 // of clocks, relative
}

func (f faults) none() bool { return f == faults{} }

// counts proves that what a simulation is for took place.
type counts struct {
	takeOvers, acquired, lost, resolvedDone, resolvedNot, longPauses, doubts, edits, lateApplied, lateRefused int
	staleTakes, reclaims, gateWaits, restored, ended, crashes, suspends, jumps, acks, uncertain, notDelivered int
	expiredAtAdmit, abandoned, released, otherPayload, announced, rootsFirst                                  int
	asks, gives, inherits, claims, declines, withdrawals, resumed, passedOn, lateAsks, askerDied, ownerDied   int
}

func (c *counts) add(o counts) {
	c.takeOvers += o.takeOvers
	c.acquired += o.acquired
	c.lost += o.lost
	c.announced += o.announced
	c.resolvedDone += o.resolvedDone
	c.resolvedNot += o.resolvedNot
	c.longPauses += o.longPauses
	c.doubts += o.doubts
	c.edits += o.edits
	c.lateApplied += o.lateApplied
	c.lateRefused += o.lateRefused
	c.staleTakes += o.staleTakes
	c.reclaims += o.reclaims
	c.gateWaits += o.gateWaits
	c.restored += o.restored
	c.ended += o.ended
	c.crashes += o.crashes
	c.suspends += o.suspends
	c.jumps += o.jumps
	c.acks += o.acks
	c.uncertain += o.uncertain
	c.notDelivered += o.notDelivered
	c.expiredAtAdmit += o.expiredAtAdmit
	c.abandoned += o.abandoned
	c.released += o.released
	c.otherPayload += o.otherPayload
	c.rootsFirst += o.rootsFirst
	c.asks += o.asks
	c.gives += o.gives
	c.inherits += o.inherits
	c.claims += o.claims
	c.declines += o.declines
	c.withdrawals += o.withdrawals
	c.resumed += o.resumed
	c.passedOn += o.passedOn
	c.lateAsks += o.lateAsks
	c.askerDied += o.askerDied
	c.ownerDied += o.ownerDied
}

type version struct {
	at  time.Duration
	row Lease
	ok  bool
}

// simShard is a shard and what was done with its records, which are numbered from 1.
type simShard struct {
	id       string
	parents  []string
	children []string
	total    int           // records; a shard with children ends after them
	every    time.Duration // between two records
	opened   time.Duration

	ended     bool       // it was finished at some time
	processed int        // every record up to here was processed by some tenure
	admitted  *simKeep   // the last that was admitted
	former    []*simKeep // those that others followed
}

type event struct {
	at  time.Duration
	tie uint64
	fn  func()
}

type events []event

func (q *events) Len() int { return len(*q) }
func (q *events) Less(i, j int) bool {
	a, b := (*q)[i], (*q)[j]
	return a.at < b.at || a.at == b.at && a.tie < b.tie
}
func (q *events) Swap(i, j int) { (*q)[i], (*q)[j] = (*q)[j], (*q)[i] }
func (q *events) Push(x any)    { *q = append(*q, x.(event)) }
func (q *events) Pop() any {
	old := *q
	x := old[len(old)-1]
	old[len(old)-1] = event{}
	*q = old[:len(old)-1]
	return x
}

// after runs fn in d, whatever the hosts do: the table's and the network's side.
func (w *world) after(d time.Duration, fn func()) {
	heap.Push(&w.queue, event{w.now + max(0, d), w.rng.Uint64(), fn})
}

func (w *world) run(until time.Duration) {
	for len(w.queue) > 0 && w.queue[0].at <= until && len(w.wrong) == 0 {
		e := heap.Pop(&w.queue).(event)
		w.now = e.at
		w.steps++
		e.fn()
	}
	w.now = max(w.now, until)
}

func (w *world) violated(format string, args ...any) {
	w.wrong = append(w.wrong, fmt.Sprintf("at %v: ", w.now)+fmt.Sprintf(format, args...))
	w.note("VIOLATION", "", 0, 0)
}

// note adds to the trace.
func (w *world) note(what, who string, a, b int64) {
	h := w.hash
	for _, s := range [...]string{what, who} {
		for i := range len(s) {
			h = (h ^ uint64(s[i])) * 1099511628211
		}
	}
	for _, n := range [...]int64{int64(w.now), a, b} {
		h = mix(h ^ uint64(n))
	}
	w.hash = h
	if w.trace != nil {
		w.trace(fmt.Sprintf("%12.6f %-14s %-10s %d %d", w.now.Seconds(), what, who, a, b))
	}
}

func (w *world) chance(p float64) bool { return p > 0 && w.rng.Float64() < p }

func (w *world) between(a, b time.Duration) time.Duration {
	return a + time.Duration(w.rng.Int64N(int64(b-a)+1))
}

// commit changes a row.
func (w *world) commit(l Lease) {
	w.rows[l.Key] = l
	if l.Ended() {
		w.byID[l.Key].ended = true
	}
	w.remember(l.Key, version{w.now, l, true})
	w.note("commit "+l.Owner, l.Key, l.Counter, int64(number(l.Checkpoint.Position)))
}

func (w *world) remove(key string) {
	delete(w.rows, key)
	w.remember(key, version{w.now, Lease{}, false})
	w.note("delete", key, 0, 0)
}

func (w *world) remember(key string, v version) {
	w.history[key] = append(w.history[key], v)
	h := w.history[key]
	for len(h) > 2 && h[1].at < w.now-time.Minute {
		h = h[1:]
	}
	w.history[key] = h
}

// asOf is a row as it stood some time ago.
func (w *world) asOf(key string, at time.Duration) (Lease, bool) {
	h := w.history[key]
	for _, v := range slices.Backward(h) {
		if v.at <= at {
			return v.row, v.ok
		}
	}
	return Lease{}, false
}

func (w *world) keys() []string {
	keys := make([]string, 0, len(w.rows))
	for k := range w.rows {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// number is how many records a position is past.
func number(p checkpoint.Position) int {
	if p == checkpoint.ShardEnd {
		return 1 << 30
	}
	n, _ := strconv.Atoi(p.Sequence())
	return n
}

// host is a machine: two clocks, at most one process of ours on it.
type host struct {
	w         *world
	name      string
	p         *proc
	rate      float64
	last      time.Duration
	mono      time.Duration
	wall      time.Duration
	suspended bool
	stopped   time.Duration // nothing runs until then
	cutUntil  time.Duration
	cutWhat   int
	halts     int
	backwards bool // its wall clock may be set back; such a host is never suspended: no clock would tell
}

// sync takes a new point to count from, before one of the clocks changes its ways.
func (h *host) sync() {
	now := h.now()
	h.last, h.mono, h.wall = h.w.now, now.mono, now.wall.Sub(epoch)
}

func (h *host) now() instant {
	d := time.Duration(float64(h.w.now-h.last) * (1 + h.rate))
	i := instant{mono: h.mono + d, wall: epoch.Add(h.wall + d)}
	if h.suspended {
		i.mono = h.mono
	}
	return i
}

// halt stops the host for d: a scheduler, a collector, SIGSTOP, or, with suspend, a machine that sleeps.
func (h *host) halt(d time.Duration, suspend bool) {
	h.sync()
	w := h.w
	end := w.now + d
	if h.stopped >= end {
		return
	}
	if h.p != nil && d >= h.p.failover {
		w.count.longPauses++
	}
	h.stopped = end
	h.halts++
	w.note("halt", h.name, int64(d), 0)
	if suspend && !h.suspended {
		w.count.suspends++
		h.suspended = true
		w.after(d, func() {
			h.sync()
			h.suspended = false
		})
	}
}

// at runs fn on the host's process in d, or when the host goes on; what is due then comes in any order. It never runs if the process died.
func (p *proc) at(d time.Duration, fn func()) {
	w := p.h.w
	w.after(d, func() {
		switch {
		case p.dead:
		case p.h.stopped > w.now || p.h.suspended:
			p.at(max(p.h.stopped-w.now, 1), fn)
		default:
			fn()
		}
	})
}

// step is at for what follows in the same goroutine: the process may stop before it.
func (p *proc) step(d time.Duration, fn func()) {
	w := p.h.w
	if !w.quiet && w.chance(w.faults.stepPause) {
		p.h.halt(time.Duration(float64(p.failover)*2*w.rng.Float64()*w.rng.Float64()), false)
	}
	p.at(d, fn)
}

// timer runs fn when the monotonic clock shows at.
func (p *proc) timer(at time.Duration, fn func()) {
	left := time.Duration(float64(at-p.h.now().mono)/(1+p.h.rate)) + time.Microsecond
	p.at(left, func() {
		if p.h.now().mono < at {
			p.timer(at, fn)
			return
		}
		fn()
	})
}

// reply is what the table answers.
type reply struct {
	row     Lease
	ok      bool // there is such a row; of a write, that it was applied
	current *Lease
	absent  bool
}

// call sends a request of one conversation, in which no two answers in a row are lost if faults.single. apply is executed by the table, at once, late, or never; done is called once on the process.
func (p *proc) call(about string, apply func(late bool) reply, done func(r reply, answered bool)) {
	w, h, f := p.h.w, p.h, p.h.w.faults
	if w.quiet {
		f = faults{}
	}
	finished := false
	finish := func(r reply, ok bool) {
		if !finished {
			finished = true
			done(r, ok)
		}
	}
	there, back := w.between(500*time.Microsecond, 10*time.Millisecond), w.between(500*time.Microsecond, 10*time.Millisecond)
	send, answer := true, true
	late := false
	switch x := w.rng.Float64(); {
	case h.cutUntil > w.now && !w.quiet:
		send, answer = h.cutWhat == 1, false
		if h.cutWhat == 2 { // kept by the network, and delivered when it is whole again
			send, late, there = true, true, h.cutUntil-w.now+there
		}
	case x < f.drop:
		send = false
	case x < f.drop+f.lostReply:
		if answer = f.single && p.lossy[about]; f.single {
			p.lossy[about] = !answer
		}
	case x < f.drop+f.lostReply+f.late:
		late, there = true, w.between(0, 30*time.Second)
	case x < f.drop+f.lostReply+f.late+f.slow:
		there, back = w.between(0, 2*p.timeout), w.between(0, p.timeout)
	case x < f.drop+f.lostReply+f.late+f.slow+f.throttle:
		// An error at once: before the request was executed, or after.
		send, answer = w.rng.IntN(2) == 0, false
		p.at(there+back, func() { finish(reply{}, false) })
	}
	if f.single && answer {
		p.lossy[about] = false
	}
	if send {
		w.after(there, func() {
			r := apply(late)
			if answer {
				p.at(back, func() { finish(r, true) })
			}
		})
	}
	p.timer(h.now().mono+p.timeout, func() { finish(reply{}, false) })
}

// list reads the table page by page: every row at another time, some of them as they were before.
func (p *proc) list(done func(rows []Lease, ok bool)) {
	w := p.h.w
	f := w.faults
	if w.quiet {
		f = faults{}
	}
	took := w.between(time.Millisecond, 50*time.Millisecond)
	if w.chance(f.slow + f.late) {
		took = w.between(0, p.failover)
	}
	if !w.quiet && p.h.cutUntil > w.now || w.chance(f.drop) {
		p.at(p.timeout, func() { done(nil, false) })
		return
	}
	rows := make(map[string]Lease)
	for _, s := range w.shards {
		w.after(w.between(0, took), func() {
			at := w.now
			if w.chance(f.stale) {
				at -= w.between(0, 3*p.failover)
			}
			if l, ok := w.asOf(s.id, at); ok {
				rows[l.Key] = l
			}
		})
	}
	p.at(took+1, func() {
		var all []Lease
		for _, l := range rows {
			all = append(all, l)
		}
		slices.SortFunc(all, func(a, b Lease) int { return strings.Compare(a.Key, b.Key) })
		done(all, true)
	})
}

// evict notes that an operator took a row from under its owner, who learns of it with its next write: until then two may be admitted. Nobody promises more.
func (w *world) evict(key string) {
	for _, h := range w.hosts {
		if h.p != nil && h.p.keeps[key] != nil {
			h.p.keeps[key].evicted = true
		}
	}
}

// edit is what an operator does to a row.
func (w *world) edit() {
	keys := w.keys()
	l := w.rows[keys[w.rng.IntN(len(keys))]]
	if l.Ended() {
		return
	}
	w.count.edits++
	rewind := func() {
		if n := number(l.Checkpoint.Position); n > 1 {
			l.Checkpoint.Position = pos(1 + w.rng.IntN(n))
		}
	}
	w.note("edit", l.Key, l.Counter, 0)
	delete(w.gifts, l.Key)
	switch w.rng.IntN(5) {
	case 0:
		rewind()
	case 1:
		rewind()
		l.Counter += 1 + w.rng.Int64N(3)
		if l.Checkpoint.Position == w.rows[l.Key].Checkpoint.Position {
			l.Counter++ // to move a counter by one and nothing else is to renew in the owner's name
		}
	case 2:
		rewind()
		l.Owner, l.Counter = "", l.Counter+1
	case 3:
		l.Owner, l.Counter = "", l.Counter+1
	case 4:
		// A parent's row is lost although a child's is there.
		s := w.byID[l.Key]
		for _, c := range s.children {
			if child, ok := w.rows[c]; ok && !started(child.Checkpoint.Position) {
				w.evict(l.Key)
				w.remove(l.Key)
				return
			}
		}
		return
	}
	if l.Counter != w.rows[l.Key].Counter {
		w.evict(l.Key)
	}
	w.commit(l)
}

// disturb makes the faults of hosts happen, each at its own rate.
func (w *world) disturb() {
	f := w.faults
	every := func(mean time.Duration, what func()) {
		if mean == 0 {
			return
		}
		var next func()
		next = func() {
			if w.quiet {
				return
			}
			what()
			w.after(w.between(mean/4, mean*2), next)
		}
		w.after(w.between(0, mean*2), next)
	}
	some := func() *host { return w.hosts[w.rng.IntN(len(w.hosts))] }
	long := func(h *host) time.Duration {
		d := 4 * time.Second
		if h.p != nil {
			d = h.p.failover
		}
		return time.Duration(float64(d) * (0.2 + 2*w.rng.Float64()))
	}
	every(f.cut, func() {
		h := some()
		h.cutUntil, h.cutWhat = w.now+long(h), w.rng.IntN(3)
		w.note("cut", h.name, int64(h.cutUntil-w.now), int64(h.cutWhat))
	})
	every(f.pause, func() { h := some(); h.halt(long(h), false) })
	every(f.suspend, func() {
		if h := some(); !h.backwards {
			h.halt(long(h), true)
		}
	})
	every(f.jump, func() {
		h := some()
		h.sync()
		d := w.between(0, time.Hour)
		if h.backwards && w.rng.IntN(2) == 0 {
			d = -d
		}
		h.wall += d
		w.count.jumps++
		w.note("jump", h.name, int64(d), 0)
	})
	every(f.crash, func() {
		if h := some(); h.p != nil {
			w.count.crashes++
			h.p.die()
		}
	})
	every(f.stop, func() {
		if h := some(); h.p != nil {
			h.p.leave()
		}
	})
	every(f.edit, w.edit)
}
