package lease

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
)

// proc is a worker: what coordinator and keepers do around the machine, the observer and the plan, without a goroutine.
type proc struct {
	h        *host
	owner    string
	dead     bool
	leaving  bool
	failover time.Duration
	renew    time.Duration
	timeout  time.Duration
	timing   timing
	seen     observer
	keeps    map[string]*simKeep
	known    map[string]int64 // the highest counter of each lease that a former tenure knew to be its own
	lossy    map[string]bool
	rows     []Lease // of the last look
	asks     map[string]bool
	rests    map[string]time.Duration
	passing  bool // has nothing left but what was given to it while it stopped
	tended   tended
	tends    bool // its renewals of finished leases go on
}

func (w *world) start(h *host, failover time.Duration) {
	w.ids++
	p := &proc{h: h, owner: fmt.Sprintf("%s.%d", h.name, w.ids), failover: failover, keeps: map[string]*simKeep{}, known: map[string]int64{}, lossy: map[string]bool{}, asks: map[string]bool{}, rests: map[string]time.Duration{}}
	cfg := Config{FailoverTime: failover}.WithDefaults()
	p.renew, p.timeout = cfg.RenewInterval, cfg.RequestTimeout
	base := cfg.RenewInterval / 8
	p.timing = timing{valid: failover - cfg.Margin, margin: cfg.Margin, renew: cfg.RenewInterval, retry: base/2 + w.between(0, base), handoff: failover}
	h.p = p
	w.note("start", p.owner, int64(failover), 0)
	p.at(w.between(0, time.Second), p.look)
}

// die is a crash: everything but what is on the network is gone. Another incarnation starts some time later.
func (p *proc) die() {
	w := p.h.w
	p.dead = true
	p.h.p = nil
	if len(p.asks) > 0 {
		w.count.askerDied++
	}
	for _, k := range p.keeps {
		if k.moving && !p.passing {
			w.count.ownerDied++
		}
	}
	w.note("die", p.owner, 0, 0)
	w.after(w.between(0, 3*p.failover), func() { w.start(p.h, p.failover) })
}

// leave is a stop that drains.
func (p *proc) leave() {
	p.leaving = true
	p.h.w.note("leave", p.owner, 0, 0)
	announced := false
	for _, key := range slices.Sorted(maps.Keys(p.keeps)) {
		k := p.keeps[key]
		k.do(func(now instant) (e effects) {
			var ok bool
			e, ok = k.m.mute(now, !announced)
			announced = announced || ok
			return e
		})
	}
	p.maybeGone()
}

func (p *proc) maybeGone() {
	if p.leaving && !p.dead && len(p.keeps)+len(p.asks) == 0 && !p.passing {
		p.passing = true
		p.passOn()
	}
}

func (p *proc) look() {
	if p.leaving {
		return
	}
	issued := p.h.now()
	interval := min(2*time.Second, p.failover/5)
	p.step(0, func() {
		p.list(func(rows []Lease, ok bool) {
			if !ok {
				p.at(interval, p.look)
				return
			}
			returned := p.h.now()
			p.seen.look(rows, issued, returned, p.failover)
			p.rows = rows
			p.step(0, func() { p.plan(rows, returned.mono, interval) })
		})
	})
}

func (p *proc) plan(rows []Lease, returned, interval time.Duration) {
	w := p.h.w
	v := view{me: p.owner, rows: rows, seen: p.seen.seen, held: map[string]bool{}, overdue: p.failover, now: returned, asks: maps.Clone(p.asks), rests: map[string]bool{}}
	for key, until := range p.rests {
		v.rests[key] = until > returned
	}
	for key := range p.keeps {
		v.held[key] = true
	}
	v.others = p.seen.others(rows)
	pl := makePlan(v)
	for _, l := range pl.take {
		p.step(0, func() { p.begin(l) })
	}
	for _, l := range pl.steal {
		p.step(0, func() { p.steal(l) })
	}
	p.tend(pl.tend)
	for _, l := range pl.ask {
		p.step(0, func() { p.ask(l) })
	}
	wait := interval
	if pl.expired+pl.unowned > 0 {
		wait = min(wait, soon)
	}
	if at, ok := p.seen.nextExpiry(rows, p.failover); ok {
		wait = min(wait, max(0, at-p.h.now().mono)+time.Millisecond)
	}
	p.at(wait+w.between(0, wait/5), p.look)
}

func (p *proc) begin(l Lease) {
	if p.leaving || p.keeps[l.Key] != nil {
		return
	}
	k := &simKeep{p: p, key: l.Key, waits: map[int]func(error){}, stored: checkpoint.Position{}, handed: -1}
	p.keeps[l.Key] = k
	if p.known[l.Key] > l.Counter {
		p.h.w.count.staleTakes++
	}
	k.do(func(now instant) (e effects) {
		k.m, e = take(p.owner, p.timing, l, p.failover, now)
		return e
	})
}

// simKeep is keeper without goroutines, and what the checks know about its tenure.
type simKeep struct {
	p        *proc
	key      string
	m        *machine
	u        *simUser
	timers   int
	waits    map[int]func(error)
	acquired bool
	serving  bool
	isGone   bool
	out      int // requests under way
	doubting bool
	moving   bool
	closed   bool // a write that ends the tenure in good order was emitted
	handed   int  // records processed when user code returned for another worker; -1: it did not

	permitted checkpoint.Position // by admissions that succeeded
	asked     checkpoint.Position // by user code that had processed it
	stored    checkpoint.Position // highest in the table since the tenure began
	announced []checkpoint.Checkpoint
	ending    bool
	evicted   bool          // by an operator, or a worker of KCL
	steals    bool          // takes from a worker of KCL that lives
	stolen    time.Duration // by one, on the host's monotonic clock; 0: not
	stolenOf  int           // the host's halts at that moment
	unheard   int           // requests without an answer since then
}

func (k *simKeep) do(f func(now instant) effects) {
	w := k.p.h.w
	now := k.p.h.now()
	e := f(now)
	k.timers++
	if at, ok := k.m.wake(); ok {
		mine := k.timers
		k.p.timer(at, func() {
			if mine == k.timers {
				k.do(k.m.tick)
			}
		})
	}
	if k.m.doubt && !k.doubting {
		w.count.doubts++
	}
	k.doubting = k.m.doubt
	if k.closed && k.m.phase == held {
		w.violated("%s %s: held after its last write was emitted", k.p.owner, k.key)
	}
	if e.acquired {
		k.acquired, k.serving = true, true
		w.acquired(k)
	}
	if e.over {
		w.tenureOver(k, e.cancel)
	}
	gone := k.m.phase == over && !k.serving && !k.isGone
	if gone {
		k.isGone = true
		w.count.reclaims += k.m.claims
	}
	k.perform(e, gone)
}

func (k *simKeep) perform(e effects, gone bool) {
	p := k.p
	if e.cancel && k.u != nil {
		p.step(0, func() { k.u.cancel() })
	}
	for _, a := range e.acks {
		if f := k.waits[a.id]; f != nil {
			delete(k.waits, a.id)
			p.step(0, func() { f(a.err) })
		}
	}
	if e.settled && k.u != nil {
		p.step(0, func() { k.u.settled() })
	}
	if e.asked {
		p.step(0, k.isAsked)
	}
	if e.over && k.u != nil {
		p.step(0, func() { k.u.over() })
	}
	if e.write != nil {
		k.write(e.write)
	}
	if e.read {
		k.read()
	}
	if e.acquired {
		k.u = &simUser{k: k, w: p.h.w}
		p.step(0, k.u.start)
	}
	if gone {
		p.step(0, func() {
			delete(p.keeps, k.key)
			p.known[k.key] = max(p.known[k.key], k.m.row.Counter)
			p.maybeGone()
		})
	}
}

func (k *simKeep) write(x *write) {
	w, p := k.p.h.w, k.p
	if k.out++; k.out > 1 {
		w.violated("%s %s: two requests in flight at once", p.owner, k.key)
	}
	if (x.purpose == forRelease || x.purpose == forGive) && k.serving {
		w.violated("%s %s: given away while user code runs", p.owner, k.key)
	}
	k.closed = k.closed || x.purpose == forRelease || x.purpose == forGive || x.purpose == forEnd
	if x.set.AskedBy != nil && x.purpose == forRenewal {
		w.count.declines++
	}
	expects := k.m.row.Counter
	p.step(0, func() {
		p.call(k.key, func(late bool) reply { return w.apply(k, x, expects, late) }, func(r reply, answered bool) {
			k.out--
			k.do(func(now instant) effects {
				first := k.m.first != nil && *k.m.first != k.m.sent
				was := k.m.row.Counter
				var e effects
				switch {
				case !answered:
					k.unheard++
					return k.m.unanswered(now)
				case r.ok:
					if e = k.m.answered(now, r.row); first && k.m.phase == held {
						w.count.resolvedNot++
					}
				default:
					if e = k.m.refused(now, r.current, r.absent); k.m.row.Counter == was+1 {
						w.count.resolvedDone++
						if k.m.row.Checkpoint.Position != x.position {
							w.count.otherPayload++
						}
					}
				}
				return e
			})
		})
	})
}

func (k *simKeep) read() {
	w, p := k.p.h.w, k.p
	if k.out++; k.out > 1 {
		w.violated("%s %s: a read beside a write", p.owner, k.key)
	}
	p.step(0, func() {
		p.call(k.key, func(bool) reply { l, ok := w.rows[k.key]; return reply{row: l, ok: ok} }, func(r reply, answered bool) {
			k.out--
			k.do(func(now instant) effects {
				was := k.m.row.Counter
				switch {
				case !answered:
					return k.m.unanswered(now)
				case !r.ok:
					return k.m.readBack(now, nil)
				}
				e := k.m.readBack(now, &r.row)
				if k.m.row.Counter == was+1 {
					w.count.resolvedDone++
				}
				return e
			})
		})
	})
}

// apply is the table's side of a write.
func (w *world) apply(k *simKeep, x *write, expects int64, late bool) reply {
	old, there := w.rows[k.key]
	if !there {
		return reply{absent: true}
	}
	if !x.when.Holds(old) {
		if late {
			w.count.lateRefused++
		}
		if w.chance(w.faults.noItem) {
			if w.rng.IntN(2) == 0 {
				return reply{}
			}
			// A store that answers with an older copy of the row.
			if l, ok := w.asOf(k.key, w.now-w.between(0, time.Second)); ok && x.when.Holds(l) {
				return reply{current: &l}
			}
		}
		return reply{current: &old}
	}
	if late {
		w.count.lateApplied++
	}
	l := x.set.Apply(old)
	w.written(k, x, expects, old, l)
	w.commit(l)
	return reply{row: l, ok: true}
}

// simUser is the code that processes a shard.
type simUser struct {
	k         *simKeep
	w         *world
	s         *simShard
	done      int // records processed, as this tenure knows
	cancelled bool
	returned  bool
	blocked   func() // what goes on when a doubt is settled
	atOver    func()
}

func (u *simUser) start() {
	u.s = u.w.byID[u.k.key]
	row := u.k.m.row
	row.Checkpoint.Position = u.k.m.target()
	if u.done = number(row.Checkpoint.Position); started(row.Checkpoint.Position) {
		u.loop()
		return
	}
	u.gate(row.Parents)
}

func (u *simUser) stop() bool {
	if u.cancelled || u.k.p.leaving || u.k.moving || u.k.m.phase == over {
		u.ret()
		return true
	}
	return u.returned
}

// gate judges the parents one by one, as Gate does.
func (u *simUser) gate(parents []string) {
	if u.stop() {
		return
	}
	open := true
	var next func(rest []string)
	again := func() { u.k.p.step(min(2*time.Second, u.k.p.failover/5), func() { u.gate(parents) }) }
	next = func(rest []string) {
		if len(rest) == 0 {
			if open {
				u.loop()
				return
			}
			u.w.count.gateWaits++
			again()
			return
		}
		id := rest[0]
		u.k.p.call("gate "+id, func(bool) reply { l, ok := u.w.rows[id]; return reply{row: l, ok: ok} }, func(r reply, answered bool) {
			if !answered {
				again()
				return
			}
			var verdict gate
			if r.ok {
				verdict = judgeParent(&r.row, true)
			} else {
				verdict = judgeParent(nil, true)
			}
			open = open && verdict == gateOpen
			if verdict != gateRestore {
				next(rest[1:])
				return
			}
			u.w.count.restored++
			u.k.p.call("gate "+id, func(bool) reply { u.w.rootsFirst(id); return reply{ok: true} }, func(reply, bool) {
				u.k.p.step(settle, func() { next(rest[1:]) })
			})
		})
	}
	next(parents)
}

// spawn makes a child's row, or one that Tenure.Spawn makes before it; then it is to be asked again.
func (w *world) spawn(id string) (done bool) {
	if _, ok := w.rows[id]; ok {
		return true
	}
	if slices.ContainsFunc(w.byID[id].parents, w.rootsFirst) {
		return false
	}
	w.create(w.byID[id])
	return true
}

func (w *world) rootsFirst(id string) (made bool) {
	if _, ok := w.rows[id]; ok {
		return false
	}
	if slices.ContainsFunc(w.byID[id].parents, w.rootsFirst) {
		return true
	}
	w.count.rootsFirst++
	w.create(w.byID[id])
	return true
}

func (w *world) create(s *simShard) {
	if _, ok := w.rows[s.id]; !ok {
		w.commit(Lease{Key: s.id, Counter: 1e6 + w.now.Milliseconds(), Parents: s.parents, Checkpoint: checkpoint.Checkpoint{Position: checkpoint.TrimHorizon}})
	}
	if s.opened == 0 {
		s.opened = w.now + 1
	}
}

func (u *simUser) loop() {
	if u.stop() {
		return
	}
	w := u.w
	if !w.quiet && w.chance(0.002) {
		u.ret() // user code may return whenever it likes
		return
	}
	there := min(u.s.total, int((w.now-u.s.opened)/u.s.every))
	switch {
	case u.done >= u.s.total && len(u.s.children) > 0:
		u.finish()
		return
	case u.done >= there:
		u.k.p.step(w.between(u.s.every/2, u.s.every*2), func() { u.admit(0) })
		return
	}
	n := min(there, u.done+1+w.rng.IntN(4))
	u.k.p.step(w.between(time.Millisecond, 200*time.Millisecond), func() { u.admit(n) })
}

// admit asks whether records up to n may be handed over; 0 hands over nothing.
func (u *simUser) admit(n int) {
	if u.stop() {
		return
	}
	var err error
	u.k.do(func(now instant) (e effects) {
		var p checkpoint.Position
		if n > 0 {
			p = pos(n)
		}
		if e, err = u.k.m.admit(now, p); err == nil {
			u.w.admitted(u.k, u.s, p, u.done)
		}
		return e
	})
	switch {
	case errors.Is(err, errDoubt):
		u.blocked = func() { u.admit(n) }
	case err != nil:
		u.w.count.expiredAtAdmit++
		u.ret()
	default:
		d := u.w.between(0, 100*time.Millisecond)
		if !u.w.quiet && u.w.chance(0.01) {
			d = u.w.between(0, 2*u.k.p.failover)
		}
		u.k.p.step(d, func() { u.processed(n) })
	}
}

func (u *simUser) processed(n int) {
	if n > 0 {
		u.done = n
		u.s.processed = max(u.s.processed, n)
	}
	if n == 0 || u.cancelled && u.w.rng.IntN(2) == 0 {
		u.loop()
		return
	}
	m := u.k.m
	switch x := u.w.rng.IntN(20); {
	case x < 8:
		u.k.ask(pos(n))
		_ = m.mark(pos(n))
		u.loop()
	case x < 14:
		u.store(n)
	case x < 15:
		if err := m.mark(pos(n + 100)); err == nil {
			u.w.violated("%s %s: marked %d, handed over %d", u.k.p.owner, u.k.key, n+100, n)
		} else if errors.Is(err, checkpoint.ErrNotDelivered) {
			u.w.count.notDelivered++
		}
		u.loop()
	case x < 17:
		u.announce(n)
	default:
		u.loop()
	}
}

// announce prepares a checkpoint, and commits it some time after that was answered.
func (u *simUser) announce(n int) {
	k, p := u.k, pos(n)
	state := []byte(fmt.Sprintf("%s/%d", k.p.owner, u.w.steps))
	var id int
	var err error
	k.do(func(now instant) (e effects) {
		if id, e, err = k.m.prepare(now, p, state); id != 0 {
			k.waits[id] = func(err error) {
				u.w.announced(k, p, state, err)
				if err == nil && u.w.rng.IntN(2) == 0 {
					u.store(n)
					return
				}
				u.loop()
			}
		}
		return e
	})
	if err != nil {
		u.loop()
	}
}

func (k *simKeep) ask(p checkpoint.Position) {
	if p.Compare(k.asked) > 0 {
		k.asked = p
	}
}

func (u *simUser) store(n int) {
	k := u.k
	p := pos(n)
	k.ask(p)
	var id int
	var err error
	k.do(func(now instant) (e effects) {
		id, e, err = k.m.store(now, p)
		if id != 0 {
			k.waits[id] = func(err error) {
				u.w.answered(k, p, err)
				u.loop()
			}
		}
		return e
	})
	if err != nil || id == 0 {
		u.loop()
		return
	}
	if u.w.chance(0.2) {
		k.p.at(u.w.between(0, k.p.renew), func() {
			if k.waits[id] != nil {
				delete(k.waits, id)
				u.w.count.abandoned++
				if !k.m.abandon(id) && k.stored.Compare(p) >= 0 {
					u.w.violated("%s %s: %v is stored, and abandon said it cannot be", k.p.owner, k.key, p)
				}
				u.loop()
			}
		})
	}
}

// finish ends a shard: its children's rows, their ids, SHARD_END.
func (u *simUser) finish() {
	k := u.k
	var create func(rest []string)
	create = func(rest []string) {
		if u.stop() {
			return
		}
		if len(rest) == 0 {
			u.spawn()
			return
		}
		k.p.call("child "+rest[0], func(bool) reply { return reply{ok: u.w.spawn(rest[0])} }, func(r reply, answered bool) {
			wait := time.Millisecond
			if r.ok {
				rest = rest[1:]
			} else if answered {
				wait = settle
			}
			k.p.step(wait, func() { create(rest) })
		})
	}
	create(u.s.children)
}

func (u *simUser) spawn() {
	k := u.k
	var id int
	var err error
	then := func(err error) {
		if err != nil {
			u.ret()
			return
		}
		k.ask(checkpoint.ShardEnd)
		k.ending = true
		u.atOver = u.ret
		k.do(func(now instant) (e effects) {
			e, err = k.m.end(now)
			return e
		})
		if err != nil {
			u.ret()
		}
	}
	k.do(func(now instant) (e effects) {
		id, e, err = k.m.spawn(now, u.s.children)
		if id != 0 {
			k.waits[id] = then
		}
		return e
	})
	if err != nil || id == 0 {
		then(err)
	}
}

func (u *simUser) settled() {
	if f := u.blocked; f != nil {
		u.blocked = nil
		f()
	}
}

func (u *simUser) cancel() {
	u.cancelled = true
	u.settled()
}

func (u *simUser) over() {
	u.settled()
	if f := u.atOver; f != nil {
		u.atOver = nil
		f()
	}
}

// ret is user code that returns: the lease is given away, or served again if it returned for a request that is gone.
func (u *simUser) ret() {
	if u.returned {
		return
	}
	u.returned = true
	k := u.k
	heir := ""
	if k.p.leaving {
		heir = k.p.heir()
	}
	if k.moving && !u.cancelled {
		if u.done > number(k.m.target()) {
			k.ask(pos(u.done))
			_ = k.m.mark(pos(u.done))
		}
		k.handed = u.done
	}
	again := false
	k.do(func(now instant) effects {
		if again = k.moving && !u.cancelled && !k.p.leaving && k.m.stays(now); again {
			k.moving, k.handed = false, -1
			return effects{}
		}
		k.serving = false
		k.m.heir = heir
		return k.m.release(now)
	})
	if again {
		u.w.count.resumed++
		k.u = &simUser{k: k, w: u.w}
		k.p.step(0, k.u.start)
	}
}
