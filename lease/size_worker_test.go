package lease

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// sizeWorker is the shell around a watch, as events. What it decides itself is what run.go, ask.go and heir.go decide.
type sizeWorker struct {
	world *sizeWorld
	id    string
	w     *watch
	alive bool // and not stopping
	held  map[string]bool
	asks  map[string]bool
	rests map[string]time.Duration
	moves int // leases it gets ready to give
}

// start starts a worker.
func (w *sizeWorld) start() *sizeWorker {
	w.starts++
	rng := rand.New(rand.NewPCG(w.rng.Uint64(), uint64(w.starts)))
	o := &sizeWorker{
		world: w, id: fmt.Sprintf("payments-6d4cf56db6-%05d-%08x", w.starts, rng.Uint32()), alive: true,
		held: map[string]bool{}, asks: map[string]bool{}, rests: map[string]time.Duration{},
	}
	o.w = newWatch(o.id, sizeFailover, true, rng)
	for r := range o.w.at { // monotonic time began before the worker did
		if o.w.at[r] == 0 {
			o.w.at[r] = w.now
		}
	}
	w.workers = append(w.workers, o)
	o.wait()
	return o
}

func (o *sizeWorker) instant() instant {
	return instant{mono: o.world.now, wall: time.Unix(1_700_000_000, 0).Add(o.world.now)}
}

// wait schedules the next errand.
func (o *sizeWorker) wait() {
	e := o.w.next()
	o.world.after(max(0, e.at-o.world.now), func() {
		if o.alive {
			o.read(e)
		}
	})
}

// then goes on after d unless the worker is gone.
func (o *sizeWorker) then(d time.Duration, do func()) {
	o.world.after(d, func() {
		if o.alive {
			do()
		}
	})
}

func (o *sizeWorker) view() view {
	v := view{me: o.id, held: map[string]bool{}, asks: map[string]bool{}, rests: map[string]bool{}, now: o.world.now}
	for k := range o.held {
		v.held[k] = true
	}
	for k := range o.asks {
		v.asks[k] = true
	}
	for k, until := range o.rests {
		if until > o.world.now {
			v.rests[k] = true
		}
	}
	return v
}

func (o *sizeWorker) read(e errand) {
	w := o.world
	issued := o.instant()
	switch e.what {
	case readOwners:
		list, units := w.owners()
		w.spend(units)
		o.then(pageTime, func() {
			o.w.mapped(o.instant(), list, len(o.held))
			o.wait()
		})
	case readPart:
		rows := w.listing(e.part, e.of)
		w.spend(max(0.5, weigh(rows)))
		o.then(callTime, func() {
			for _, l := range o.w.probed(o.instant(), rows, o.view()) {
				o.take(l)
			}
			o.wait()
		})
	case readOwned:
		o.claim()
	case readRow:
		l := w.byKey[e.key].current(w.now)
		w.spend(1)
		o.then(callTime, func() {
			o.w.row(issued, o.instant(), e, l, true)
			o.wait()
		})
	case readTable:
		rows := w.listing(0, 1)
		units := weigh(rows)
		w.spend(units)
		const page = 128 // units
		o.then(pageTime+time.Duration(units/page*float64(pageTime)), func() { o.decide(o.w.list(rows, issued, o.instant(), o.view())) })
	}
}

func (o *sizeWorker) decide(d decision) {
	for _, l := range d.take {
		o.take(l)
	}
	for _, l := range d.ask {
		o.ask(l)
	}
	const few = 16
	for i, g := range d.give {
		o.then(time.Duration(1+i/few)*callTime, func() {
			when, set := giving(g, sizeFailover)
			o.world.write("give on", g.lease.Key, when, set)
		})
	}
	o.then(time.Duration(len(d.give)/few)*callTime, o.wait)
}

// claim asks the index, reads what it says strongly, and takes it.
func (o *sizeWorker) claim() {
	w := o.world
	var keys []string
	for key, r := range w.byOwner[o.id] {
		if r.as(w.now-w.lag(key), w.now).Owner == o.id {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	w.spend(0.5)
	o.then(callTime, func() {
		keys := o.w.owned(w.now, keys, o.view())
		w.spend(float64(len(keys)))
		o.then(callTime, func() {
			for i, key := range keys {
				if take, _ := o.w.claim(w.byKey[key].current(w.now), o.view(), i); take {
					o.take(w.byKey[key].current(w.now))
				}
			}
			o.wait()
		})
	})
}

// take is the take of a machine, which dbgCounts among the held until it is refused.
func (o *sizeWorker) take(l Lease) {
	if o.held[l.Key] {
		return
	}
	o.held[l.Key] = true
	_, e := take(o.id, timing{}, l, sizeFailover, o.instant())
	o.then(callTime/2+o.world.within(callTime/2), func() {
		kind := "take"
		if l.Owner == o.id {
			kind = "claim"
		}
		if _, ok := o.world.write(kind, l.Key, e.write.when, e.write.set); ok {
			o.world.hold(o.world.byKey[l.Key], o)
		} else {
			delete(o.held, l.Key)
		}
	})
}

// ask is negotiate: write the request, poll for the answer.
func (o *sizeWorker) ask(l Lease) {
	o.asks[l.Key] = true
	o.then(callTime/2, func() {
		when, set := asking(o.id, l)
		if _, ok := o.world.write("ask", l.Key, when, set); !ok {
			delete(o.asks, l.Key)
			return
		}
		r := o.world.byKey[l.Key]
		if r.holder != nil {
			owner := r.holder
			o.world.after(sizeRenew-(o.world.now-r.since)%sizeRenew, func() { owner.hear(r, o.id) })
		}
		o.poll(l, o.world.now+sizeFailover+30*time.Second)
	})
}

func (o *sizeWorker) poll(l Lease, patience time.Duration) {
	o.then(askPoll, func() {
		w := o.world
		w.spend(1)
		row := w.byKey[l.Key].current(w.now)
		switch judgeRequest(o.id, l.Owner, row) {
		case pending:
			if w.now < patience {
				o.poll(l, patience)
				return
			}
			when, set := withdrawing(o.id, l)
			w.write("withdraw", l.Key, when, set)
		case given:
			o.take(row)
		case refused:
			o.rests[l.Key] = w.now + 30*time.Second
		case moot:
		}
		delete(o.asks, l.Key)
	})
}

// hear is the owner's renewal that shows it a request.
func (o *sizeWorker) hear(r *sizeRow, by string) {
	if !o.alive || r.holder != o || r.request() != by {
		return
	}
	w := o.world
	if o.moves >= maxMoves {
		o.then(sizeRenew, func() { // the next renewal takes the request out
			if r.holder == o && r.request() == by {
				none := ""
				w.writes["ask"]-- // and costs nothing by itself
				w.write("ask", r.Key, Condition{AskedBy: &by}, Change{AskedBy: &none, AskedOf: &none})
			}
		})
		return
	}
	o.moves++
	o.then(w.within(codeTime)+callTime, func() {
		o.moves--
		if r.holder == o && r.request() == by {
			o.give(r, by)
		}
	})
}

// give ends belief, and gives.
func (o *sizeWorker) give(r *sizeRow, to string) {
	w := o.world
	w.leave(r)
	none, c := "", r.Counter
	w.write("give", r.Key, Condition{Counter: &c, Owner: &o.id}, Change{AddCounter: 1, Owner: &to, Speaks: &to, AskedBy: &none, AskedOf: &none})
	delete(o.held, r.Key)
}

// stop is a clean stop: announce, look who is there, give everything away, pass on what came late.
func (o *sizeWorker) stop() {
	w := o.world
	o.alive = false
	announced := false
	for _, r := range w.rows {
		if r.holder == o && !announced {
			mark := leavingMark(o.id)
			w.write("mute", r.Key, Condition{Owner: &o.id}, Change{Speaks: &mark})
			announced = true
		}
	}
	w.after(heard, func() {
		issued := o.instant()
		rows := w.listing(0, 1)
		w.spend(weigh(rows))
		w.after(2*pageTime, func() {
			seen := o.w.seen
			seen.look(rows, issued, o.instant(), sizeFailover)
			heirs := peers(o.id, rows, seen, w.now, sizeFailover)
			for _, r := range w.rows {
				if r.holder == o && len(heirs) > 0 {
					to := bestHeir(heirs, r.Key)
					w.after(w.within(codeTime), func() { o.give(r, to) })
				} else if r.holder == o {
					o.give(r, "")
				}
			}
			w.after(codeTime+maxLag, func() { o.passOn(heirs) })
		})
	})
}

func (o *sizeWorker) passOn(heirs []peer) {
	w := o.world
	for _, r := range w.rows {
		if r.Owner == o.id && len(heirs) > 0 {
			when, set := disowning(r.current(w.now), bestHeir(heirs, r.Key))
			w.write("pass on", r.Key, when, set)
		}
	}
}

// crash is the end without a word.
func (o *sizeWorker) crash() {
	o.alive = false
	for _, r := range o.world.rows {
		if r.holder == o {
			o.world.leave(r)
		}
	}
}

// living are the workers that run, oldest first.
func (w *sizeWorld) living() []*sizeWorker {
	return slices.DeleteFunc(slices.Clone(w.workers), func(o *sizeWorker) bool { return !o.alive })
}
