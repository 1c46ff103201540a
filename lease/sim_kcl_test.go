package lease

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/internal/kcl"
)

// simJava is a process of KCL 2.x: what it decides is kcl's, what happens to its requests is the world's. Its clock is the world's.
type simJava struct {
	kcl.Worker
	w       *world
	dead    bool
	stopped time.Duration
	tenures map[string]int // which one each lease is in: a take begins another
	busy    map[string]bool
}

// rowOf is what KCL sees of a row.
func rowOf(l Lease) kcl.Row {
	return kcl.Row{
		Key: l.Key, Owner: l.Owner, Counter: l.Counter, Switches: l.OwnerSwitches, Checkpoint: l.Checkpoint.Position.Sequence(), Parents: l.Parents, Children: l.Children,
	}
}

// javaCounts proves that what these simulations are for took place.
type javaCounts struct {
	joined, left, takes, steals, robbed, renewed, stored, backwards, refused, ended, deleted, stolen, stolenBack, tended, late, begun, blind int
}

func (c *javaCounts) add(o javaCounts) {
	c.joined += o.joined
	c.left += o.left
	c.takes += o.takes
	c.steals += o.steals
	c.robbed += o.robbed
	c.renewed += o.renewed
	c.stored += o.stored
	c.backwards += o.backwards
	c.refused += o.refused
	c.ended += o.ended
	c.deleted += o.deleted
	c.stolen += o.stolen
	c.stolenBack += o.stolenBack
	c.tended += o.tended
	c.late += o.late
	c.begun += o.begun
	c.blind += o.blind
}

func (w *world) isJava(owner string) bool { return strings.HasPrefix(owner, "java") }

// join starts a worker of KCL.
func (w *world) join(failover time.Duration) {
	w.ids++
	w.java.joined++
	j := &simJava{w: w, tenures: map[string]int{}, busy: map[string]bool{}, Worker: kcl.Worker{ID: fmt.Sprintf("java.%d", w.ids), Failover: failover, Release: w.rng.IntN(2) == 0}}
	w.javas = append(w.javas, j)
	w.note("join", j.ID, 0, 0)
	j.look()
	j.renew()
}

// at runs fn in d, or when the process goes on.
func (j *simJava) at(d time.Duration, fn func()) {
	j.w.after(d, func() {
		switch {
		case j.dead:
		case j.stopped > j.w.now:
			j.at(j.stopped-j.w.now, fn)
		default:
			fn()
		}
	})
}

// call is a request: lost, late, answered or not, as those of other processes.
func (j *simJava) call(apply func() bool, done func(ok, answered bool)) {
	w, f := j.w, j.w.faults
	if w.quiet {
		f = faults{}
	}
	there, back := w.between(500*time.Microsecond, 10*time.Millisecond), w.between(500*time.Microsecond, 10*time.Millisecond)
	send, answer := true, true
	switch x := w.rng.Float64(); {
	case x < f.drop:
		send = false
	case x < f.drop+f.lostReply:
		answer = false
	case x < f.drop+f.lostReply+f.late:
		w.java.late++
		there, answer = w.between(0, 30*time.Second), false
	}
	if send {
		w.after(there, func() {
			ok := apply()
			if answer {
				j.at(back, func() { done(ok, true) })
			}
		})
	}
	if !send || !answer {
		j.at(time.Second, func() { done(false, false) })
	}
}

// scan is eventually consistent, row by row.
func (j *simJava) scan(done func(rows []kcl.Row)) {
	w := j.w
	took := w.between(time.Millisecond, 200*time.Millisecond)
	seen := map[string]kcl.Row{}
	for _, s := range w.shards {
		w.after(w.between(0, took), func() {
			if l, ok := w.asOf(s.id, w.now-j.staleness()); ok {
				seen[l.Key] = rowOf(l)
			}
		})
	}
	j.at(took+1, func() {
		var rows []kcl.Row
		for _, s := range w.shards {
			if r, ok := seen[s.id]; ok {
				rows = append(rows, r)
			}
		}
		done(rows)
	})
}

const maxStale = 2 * time.Second

// staleness is how old an eventually consistent answer is.
func (j *simJava) staleness() time.Duration {
	if j.w.chance(0.2) {
		return j.w.between(0, maxStale)
	}
	return 0
}

// write sends x.
func (j *simJava) write(x kcl.Write, done func(ok, answered bool)) {
	w := j.w
	j.call(func() bool {
		old, there := w.rows[x.Key]
		if !there || !x.Holds(rowOf(old)) {
			w.java.refused++
			return false
		}
		w.javaWrote(j, x, old)
		return true
	}, done)
}

// javaWrote applies x, and checks what a write of KCL may do to us and what it may not.
func (w *world) javaWrote(j *simJava, x kcl.Write, old Lease) {
	l := old
	r := x.Apply(rowOf(old))
	l.Owner, l.Counter, l.OwnerSwitches, l.Children = r.Owner, r.Counter, r.Switches, r.Children
	switch x.Kind {
	case kcl.Take:
		w.robbed(j, x, old)
	case kcl.Renew:
		w.java.renewed++
	case kcl.Store:
		w.java.stored++
		p, err := checkpoint.At(x.Checkpoint, x.Sub)
		if x.Checkpoint == kcl.ShardEnd {
			w.java.ended++
			p, err = checkpoint.ShardEnd, nil
		}
		s := w.byID[x.Key]
		if err != nil || number(p) > s.processed && p != checkpoint.ShardEnd || p == checkpoint.ShardEnd && s.processed < s.total {
			w.violated("simulation: %s %s: KCL stored %v, processed %d of %d: %v", j.ID, x.Key, p, s.processed, s.total, err)
		}
		if p.Compare(old.Checkpoint.Position) < 0 {
			w.java.backwards++
		}
		l.Checkpoint = checkpoint.Checkpoint{Position: p}
	}
	w.commit(l)
}

// robbed is a take by KCL.
func (w *world) robbed(j *simJava, x kcl.Write, old Lease) {
	w.java.takes++
	if x.Stolen {
		w.java.steals++
	}
	delete(w.gifts, x.Key)
	for _, h := range w.hosts {
		if h.p == nil || h.p.keeps[x.Key] == nil {
			continue
		}
		k := h.p.keeps[x.Key]
		if k.m.phase == held && !k.evicted {
			if expired, doubtful := k.m.standing(h.now()); !x.Stolen && !expired && !doubtful && !k.m.ending && !k.m.releasing {
				w.violated("%s %s: believed in, and %s has seen it expire", k.p.owner, k.key, j.ID)
			}
			w.java.robbed++
		}
		k.evicted = true
		if k.stolen == 0 {
			k.stolen, k.stolenOf, k.unheard = h.now().mono, h.halts, 0
			if h.stopped > w.now {
				k.stolenOf = -1 // it was halted before
			}
		}
	}
	if w.isJava(old.Owner) {
		return
	}
	w.note("robbed "+old.Owner, x.Key, old.Counter, 0)
}

// overlaps checks how long a tenure goes on after KCL took its lease: until its next renewal is answered, and in any case until its time is over.
func (w *world) overlaps(k *simKeep) {
	if k.stolen == 0 {
		return
	}
	w.java.stolen++
	d := k.p.h.now().mono - k.stolen
	if d > k.p.timing.valid {
		w.violated("%s %s: admitted %v after KCL took the lease", k.p.owner, k.key, d)
	}
	undisturbed := k.unheard == 0 && k.stolenOf == k.p.h.halts && w.faults.noItem == 0 && k.p.h.stopped <= w.now
	if undisturbed && d > k.p.timing.renew+k.p.timeout+time.Millisecond {
		w.violated("%s %s: admitted %v after KCL took the lease, and every request was answered", k.p.owner, k.key, d)
	}
}

func (j *simJava) look() {
	w := j.w
	j.scan(func(rows []kcl.Row) {
		takes := j.Look(rows, w.now, w.rng.IntN)
		var next func()
		next = func() {
			if len(takes) == 0 {
				j.at(j.TakeEvery(), j.look)
				return
			}
			x := takes[0]
			takes = takes[1:]
			j.write(x, func(ok, _ bool) {
				if ok {
					j.Took(x, w.now)
					j.serve(x.Key)
				}
				next()
			})
		}
		next()
	})
}

func (j *simJava) renew() {
	for _, x := range j.Renewals(j.w.now) {
		j.answerTo(x, func() {})
	}
	j.at(j.RenewEvery(), j.renew)
}

// answerTo writes x and takes in the answer. Writes of one lease wait for each other, as they do under KCL's lock.
func (j *simJava) answerTo(x kcl.Write, then func()) {
	if j.busy[x.Key] {
		j.at(50*time.Millisecond, then)
		return
	}
	j.busy[x.Key] = true
	j.write(x, func(ok, answered bool) {
		j.busy[x.Key] = false
		switch {
		case ok:
			j.Done(x, j.w.now)
		case answered:
			var row *kcl.Row
			if l, there := j.w.asOf(x.Key, j.w.now-j.staleness()); there {
				r := rowOf(l)
				row = &r
			}
			j.Refused(x, row, j.w.now)
		}
		then()
	})
}

// serve processes a shard from where it was stored, as far as an eventually consistent read knows.
func (j *simJava) serve(key string) {
	w := j.w
	j.tenures[key]++
	mine := j.tenures[key]
	var start func()
	start = func() {
		l, ok := w.asOf(key, w.now-j.staleness())
		switch {
		case !j.holds(key, mine):
		case !ok:
			j.at(time.Second, start)
		default:
			j.gate(key, number(l.Checkpoint.Position), mine)
		}
	}
	j.at(w.between(0, time.Second), start)
}

// holds reports whether a tenure goes on, as far as the process knows.
func (j *simJava) holds(key string, tenure int) bool {
	return j.tenures[key] == tenure && j.Holds(key, j.w.now)
}

func (j *simJava) gate(key string, done, tenure int) {
	w := j.w
	var parents []kcl.Row
	for _, id := range w.byID[key].parents {
		if l, ok := w.asOf(id, w.now-j.staleness()); ok {
			parents = append(parents, rowOf(l))
		}
	}
	switch {
	case !j.holds(key, tenure):
	case kcl.Blocked(parents):
		j.at(time.Second, func() { j.gate(key, done, tenure) })
	default:
		w.started(j, key, done)
		j.process(key, done, tenure)
	}
}

// started checks that what we wrote into the table lets KCL start a shard after its parents. If a parent's row is as young as the answer may be old, KCL
// cannot know of it.
func (w *world) started(j *simJava, key string, done int) {
	if done > 0 {
		return
	}
	w.java.begun++
	for _, id := range w.byID[key].parents {
		s := w.byID[id]
		switch {
		case s.ended:
		case s.opened > w.now-maxStale:
			w.java.blind++
		default:
			w.violated("%s %s: KCL starts it, and its parent %s was never finished", j.ID, key, id)
		}
	}
}

// process is user code, which nothing stops: whether the lease is held it asks before.
func (j *simJava) process(key string, done, tenure int) {
	w, s := j.w, j.w.byID[key]
	if !j.holds(key, tenure) {
		return
	}
	if done >= s.total && len(s.children) > 0 {
		j.finish(key, tenure)
		return
	}
	n := min(s.total, int((w.now-s.opened)/s.every), done+1+w.rng.IntN(4))
	j.at(w.between(s.every/2, s.every*2), func() {
		if n > done {
			done = n
			s.processed = max(s.processed, n)
		}
		if n == 0 || !j.holds(key, tenure) || w.rng.IntN(2) == 0 {
			j.process(key, done, tenure)
			return
		}
		p := pos(done)
		j.answerTo(j.Store(key, p.Sequence(), p.Sub(), nil), func() { j.process(key, done, tenure) })
	})
}

// finish creates the children, records them, and ends the shard; then the row is deleted when KCL would.
func (j *simJava) finish(key string, tenure int) {
	w, s := j.w, j.w.byID[key]
	for _, c := range s.children {
		// The child of a merge waits until both parents have rows; now and then KCL gives up the lease instead.
		if _, ok := w.rows[c]; !ok && slices.ContainsFunc(w.byID[c].parents, func(id string) bool { _, ok := w.rows[id]; return !ok }) {
			if w.rng.IntN(30) == 0 {
				j.Drop(key)
			}
			j.at(500*time.Millisecond, func() { j.process(key, s.total, tenure) })
			return
		}
		w.create(w.byID[c])
	}
	j.write(kcl.Write{Kind: kcl.Children, Key: key, Children: s.children}, func(ok, _ bool) {
		again := func() { j.at(500*time.Millisecond, func() { j.process(key, s.total, tenure) }) }
		switch {
		case !ok || !j.holds(key, tenure):
			again()
		case w.rows[key].Ended():
			j.cleanUp(key, tenure)
		default:
			j.answerTo(j.Store(key, kcl.ShardEnd, 0, s.children), again)
		}
	})
}

// cleanUp deletes a finished lease, without a condition, when its children have begun.
func (j *simJava) cleanUp(key string, tenure int) {
	w := j.w
	j.at(time.Minute, func() {
		rows := map[string]kcl.Row{}
		for id, l := range w.rows {
			rows[id] = rowOf(l)
		}
		switch {
		case !j.holds(key, tenure):
		case kcl.Deletable(rows[key], rows):
			w.java.deleted++
			w.deleted[key] = true
			w.remove(key)
			j.Drop(key)
		default:
			j.cleanUp(key, tenure)
		}
	})
}

// steal is Coordinator.steal.
func (p *proc) steal(l Lease) {
	p.call("steal "+l.Key, func(bool) reply { row, ok := p.h.w.rows[l.Key]; return reply{row: row, ok: ok} }, func(r reply, answered bool) {
		if !answered || !r.ok || !stillOf(l, r.row) || p.leaving || p.keeps[l.Key] != nil {
			return
		}
		p.begin(r.row)
		p.keeps[l.Key].steals = true
		p.h.w.java.stolenBack++
	})
}

// tend is Coordinator.tend: it renews finished leases while there are some.
func (p *proc) tend(rows []Lease) {
	p.tended.set(rows)
	if len(rows) == 0 || p.tends {
		return
	}
	p.tends = true
	p.at(p.renew, p.tendAll)
}

func (p *proc) tendAll() {
	w := p.h.w
	rows := p.tended.all()
	if p.leaving || len(rows) == 0 {
		p.tends = false
		return
	}
	for _, l := range rows {
		when, set := tending(l)
		p.call("tend "+l.Key, func(bool) reply {
			old, there := w.rows[l.Key]
			if !there || !when.Holds(old) {
				return reply{}
			}
			if !old.Ended() {
				w.violated("%s %s: renewed as a finished lease", p.owner, l.Key)
			}
			w.java.tended++
			w.commit(set.Apply(old))
			return reply{row: w.rows[l.Key], ok: true}
		}, func(r reply, answered bool) {
			switch {
			case r.ok:
				p.tended.moved(l.Key, &r.row)
			case answered:
				p.tended.moved(l.Key, nil)
			}
		})
	}
	p.at(p.renew, p.tendAll)
}

// newWorldBeside has workers of KCL that come and go. All workers have one FailoverTime, and no operator edits rows, as fleets of both are required to be.
func newWorldBeside(seed uint64, trace func(string)) *world {
	w := emptyWorld(seed, trace)
	w.faults.edit = 0
	failover := []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 10 * time.Second}[w.rng.IntN(4)]
	for i := range 1 + w.rng.IntN(3) {
		w.addHost(i, failover)
	}
	for range 1 + w.rng.IntN(2) {
		w.join(failover)
	}
	w.disturb()
	var change func()
	change = func() {
		if w.quiet {
			return
		}
		alive := slices.DeleteFunc(slices.Clone(w.javas), func(j *simJava) bool { return j.dead })
		switch x := w.rng.IntN(4); {
		case len(alive) < 3 && (x == 0 || len(alive) == 0):
			w.join(failover)
		case len(alive) > 0 && x < 3:
			alive[w.rng.IntN(len(alive))].leave()
		case len(alive) > 0:
			alive[w.rng.IntN(len(alive))].stopped = w.now + w.between(0, 3*failover)
		}
		w.after(w.between(0, 60*time.Second), change)
	}
	w.after(w.between(0, time.Minute), change)
	if w.rng.IntN(2) == 0 { // the application of Java is gone at the end
		w.after(simChaos, func() {
			for _, j := range w.javas {
				j.leave()
			}
		})
	}
	return w
}

// leave is a crash, or a stop that keeps the leases owned: until they expire that is the same.
func (j *simJava) leave() {
	if !j.dead {
		j.dead = true
		j.w.java.left++
		j.w.note("leave", j.ID, 0, 0)
	}
}

func TestSimBesideWorkersOfKCL(t *testing.T) {
	t.Parallel()
	if *simSeed != 0 {
		w := newWorldBeside(*simSeed, func(s string) { t.Log(s) })
		w.live(simChaos)
		t.Logf("faults %+v", w.faults)
		t.Logf("hash %016x, %d steps, %+v, %+v", w.hash, w.steps, w.count, w.java)
		for _, s := range w.wrong {
			t.Error(s)
		}
		return
	}
	var total counts
	var java javaCounts
	steps, failed := 0, 0
	seeds := (*simSeeds + 2) / 3
	if testing.Short() {
		seeds = min(seeds, 6)
	}
	for seed := range uint64(seeds) {
		w := newWorldBeside(seed+1, nil)
		w.live(simChaos)
		total.add(w.count)
		java.add(w.java)
		steps += w.steps
		for _, s := range w.wrong {
			failed++
			t.Errorf("seed %d: %s\n\treplay: go test ./lease -run TestSimBeside -sim.seed %d -v", seed+1, s, seed+1)
		}
		if failed > 10 {
			t.Fatal("no further seeds are tried")
		}
	}
	t.Logf("%d seeds, %d steps: %+v, %+v", seeds, steps, total, java)
	if seeds < 33 {
		return // too few to insist on every kind of event
	}
	if java.blind > java.begun/20 {
		t.Errorf("%d of %d shards that KCL started it could not know the parents of", java.blind, java.begun)
	}
	for what, n := range map[string]int{
		"shards begun by KCL": java.begun, "workers of KCL": java.joined, "workers of KCL that stopped": java.left, "takes by KCL": java.takes, "steals by KCL": java.steals,
		"tenures that KCL took": java.robbed, "deliveries admitted after that": java.stolen, "checkpoints of KCL": java.stored,
		"checkpoints of KCL that moved back": java.backwards, "shards finished by KCL": java.ended, "rows deleted by KCL": java.deleted,
		"leases taken from KCL": java.stolenBack, "renewals of finished leases": java.tended, "writes of KCL that were refused": java.refused,
		"writes of KCL applied late": java.late, "leases lost": total.lost, "requests": total.asks,
	} {
		if n == 0 {
			t.Errorf("%s: %d; the simulation does not exercise them", what, n)
		}
	}
}
