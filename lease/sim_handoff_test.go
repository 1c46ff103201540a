package lease

import "time"

// What follows is ask, passOn and heir of a coordinator, without goroutines.

// ask leads one request for l to its end.
func (p *proc) ask(l Lease) {
	if p.leaving || p.asks[l.Key] {
		return
	}
	w := p.h.w
	w.count.asks++
	w.note("ask "+p.owner, l.Key, l.Counter, 0)
	p.asks[l.Key] = true
	patience := p.h.now().mono + p.timing.handoff + p.failover
	heard := false
	over := func(rest bool) {
		delete(p.asks, l.Key)
		if rest {
			p.rests[l.Key] = p.h.now().mono + p.timing.handoff
		}
		p.maybeGone()
	}
	withdraw := func() {
		w.count.withdrawals++
		when, set := withdrawing(p.owner, l)
		p.call("ask "+l.Key, func(late bool) reply { return w.beside(l.Key, when, set, late) }, func(reply, bool) { over(true) })
	}
	var poll func()
	poll = func() {
		p.step(askPoll, func() {
			if p.leaving || p.h.now().mono >= patience {
				withdraw()
				return
			}
			p.call("ask "+l.Key, func(bool) reply { l, ok := w.rows[l.Key]; return reply{row: l, ok: ok} }, func(r reply, answered bool) {
				switch {
				case !answered:
					poll()
					return
				case !r.ok:
					over(false)
					return
				}
				switch judgeRequest(p.owner, l.Owner, r.row) {
				case pending:
					heard = true
					poll()
				case given:
					over(false)
					p.begin(r.row)
				case refused:
					over(heard)
				case moot:
					over(false)
				}
			})
		})
	}
	when, set := asking(p.owner, l)
	p.call("ask "+l.Key, func(late bool) reply { return w.beside(l.Key, when, set, late) }, func(r reply, answered bool) {
		if answered && !r.ok {
			over(false)
			return
		}
		heard = answered
		poll()
	})
}

// beside is a write of a worker that does not hold the lease, about a request.
func (w *world) beside(key string, when Condition, set Change, late bool) reply {
	old, there := w.rows[key]
	if !there || !when.Holds(old) {
		return reply{current: &old, absent: !there}
	}
	if late {
		w.count.lateAsks++
	}
	l := set.Apply(old)
	if l.Owner != old.Owner || l.Counter != old.Counter || l.Checkpoint.Position != old.Checkpoint.Position {
		w.violated("%s: a request changed more than itself: %+v", key, l)
	}
	w.commit(l)
	return reply{row: l, ok: true}
}

// isAsked is user code that is asked to leave, or a worker that gives too much already.
func (k *simKeep) isAsked() {
	if k.p.h.w.chance(0.05) {
		k.do(func(instant) effects {
			k.m.decline()
			return effects{}
		})
		return
	}
	k.moving = true
}

// heir is chosen from what the last look showed, which may be long ago.
func (p *proc) heir() string {
	ps := peers(p.owner, p.rows, p.seen, p.h.now().mono, p.failover)
	if len(ps) == 0 {
		return ""
	}
	return ps[p.h.w.rng.IntN(len(ps))].owner
}

// passOn is the end of a process that drained.
func (p *proc) passOn() {
	w := p.h.w
	p.list(func(rows []Lease, ok bool) {
		left := 1
		next := func() {
			if left--; left == 0 {
				p.die()
			}
		}
		for _, l := range rows {
			if !ok || l.Owner != p.owner || l.Ended() {
				continue
			}
			left++
			w.count.passedOn++
			when, set := disowning(l, p.heir())
			p.call("pass "+l.Key, func(bool) reply {
				old, there := w.rows[l.Key]
				if !there || !when.Holds(old) {
					return reply{}
				}
				w.commit(set.Apply(old))
				return reply{ok: true}
			}, func(reply, bool) { next() })
		}
		p.at(time.Millisecond, next)
	})
}

// gift is a lease that was given, until somebody claims it.
type gift struct {
	by      string
	to      string
	counter int64
	done    int // records the giver had processed; -1: not known
}

// wroteGift checks a give that the table accepted.
func (w *world) wroteGift(k *simKeep, old, l Lease) {
	w.count.gives++
	if l.Owner == "" || !l.speaks() || l.AskedBy != "" || l.AskedOf != "" {
		w.violated("%s %s: given as %+v", k.p.owner, k.key, l)
	}
	want := old.Checkpoint.Position
	if k.asked.Compare(want) > 0 {
		want = k.asked
	}
	edited := old.Checkpoint.Position != k.m.row.Checkpoint.Position // by an operator: who takes over starts there
	if l.Checkpoint.Position != want && !edited {
		w.violated("%s %s: given at %v, processed up to %v", k.p.owner, k.key, l.Checkpoint.Position, want)
	}
	if k.m.request == "" {
		w.count.inherits++
	}
	if !edited {
		w.gifts[k.key] = gift{by: k.p.owner, to: l.Owner, counter: l.Counter, done: k.handed}
	}
}

// claimed checks a tenure that begins with what was given.
func (w *world) claimed(k *simKeep) {
	g, ok := w.gifts[k.key]
	delete(w.gifts, k.key)
	if !ok || g.counter+1 != k.m.row.Counter || g.to != k.p.owner {
		return
	}
	w.count.claims++
	if at := number(k.m.row.Checkpoint.Position); g.done >= 0 && at != g.done {
		w.violated("%s %s: begins at %d, %s was done with %d", k.p.owner, k.key, at, g.by, g.done)
	}
}
