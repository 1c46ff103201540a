package lease

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// decision is what a reading leads to.
type decision struct {
	plan  plan
	take  []Lease
	ask   []Lease // of their owners
	spare []Lease // given to this worker, and beyond what it may hold
	give  []grant // taken on behalf of others

	others map[string]bool // live owners that run KCL
}

// grant is a lease that this worker gives to another without having held it.
type grant struct {
	lease Lease
	to    string
	at    time.Duration
}

// mapped takes in who owns what. held is how many leases this worker has.
func (w *watch) mapped(now instant, list []Owned, held int) {
	w.failures, w.quiet = 0, nil
	w.count(now.mono, list)
	w.seen.met(list, now.mono)
	if w.units == 0 { // the size of the table is not known yet
		w.at[readOwners], w.at[readPart] = never, now.mono
		return
	}
	w.settle(now, held)
}

// count takes over who has how many.
func (w *watch) count(now time.Duration, list []Owned) {
	before := w.counts
	w.counts, w.first = make(map[string]int), make(map[string]string)
	for _, o := range list {
		w.counts[o.Owner]++
		if key, met := w.first[o.Owner]; !met || o.Key < key {
			w.first[o.Owner] = o.Key
		}
	}
	for owner := range w.counts {
		if before[owner] == 0 && owner != w.me {
			w.newcomer = now
		}
	}
	maps.DeleteFunc(w.suspects, func(owner string, _ int64) bool { return w.counts[owner] == 0 })
}

// workers is how many there are, this one included.
func (w *watch) workers() int {
	if w.counts[w.me] > 0 {
		return len(w.counts)
	}
	return len(w.counts) + 1
}

// leases is how many have an owner.
func (w *watch) leases() (n int) {
	for _, of := range w.counts {
		n += of
	}
	return n
}

// lacks reports whether, as the map has it, this worker has less than its share. Who has the larger shares is decided as the plan decides it: those that have most.
func (w *watch) lacks(held int) bool {
	leases, workers := w.leases(), w.workers()
	target, before := leases/workers, 0
	for owner, n := range w.counts {
		if owner != w.me && (n > held || n == held && owner < w.me) {
			before++
		}
	}
	if before < leases%workers {
		target++
	}
	return held < target
}

// settle decides, after a map, how this worker goes on.
func (w *watch) settle(now instant, held int) {
	workers, margin := w.workers(), 1.0
	if w.sharing {
		margin = 0.8 // whoever shares goes on to do so while it is not clear that it need not
	}
	if w.affordable(workers, margin) || w.hasForeign() {
		w.scan(now.mono)
		return
	}
	w.share(now.mono)
	w.rank(now.mono)
	w.at[readOwners] = now.mono + w.mapPause()
	if held == 0 && 8*w.leases() < 7*w.size && w.probes < maxProbes {
		w.at[readPart], w.probes = now.mono, w.probes+1 // others were faster where this worker looked
	}
	if w.watching() && w.at[readTable] == never {
		w.at[readTable] = now.mono + w.within(watchEvery/4)
	}
	if w.hungry = w.lacks(held) && (w.most == 0 || held < w.most); !w.hungry {
		return
	}
	w.at[readOwners] = now.mono + w.spread(mapEvery*4/5)
	switch {
	case held == 0:
		w.at[readTable] = min(w.at[readTable], now.mono+w.within(mapEvery))
	case now.mono-w.newcomer >= calm:
		w.at[readTable] = min(w.at[readTable], now.mono+w.within(hungryEvery))
	}
}

// hasForeign reports whether an owner is none of ours, by its name. Whether such an owner lives only a listing tells; while it does, everybody lists.
func (w *watch) hasForeign() bool {
	for owner := range w.counts {
		if !w.seen.harmless[owner] && !isOurs(owner) {
			return true
		}
	}
	return false
}

// isOurs reports whether an owner's id has the form that New gives: a label and eight hexadecimal digits. Of an owner in the index nothing else is known. One that
// is ours and has another form would only be read about more than necessary.
func isOurs(owner string) bool {
	i := strings.LastIndexByte(owner, '-')
	return i >= 0 && len(owner)-i-1 == 8 && strings.Trim(owner[i+1:], "0123456789abcdef") == ""
}

// probed takes in one part of the table, by which its size is judged. If much of a large table is free this worker takes a bite of the part, and then looks who
// else is there: five hundred that start together cannot each list the table, and need not, if each takes what its share may be from wherever it looked.
func (w *watch) probed(now instant, rows []Lease, v view) []Lease {
	w.failures = 0
	w.units, w.size, w.most = float64(w.parts)*weigh(rows), w.parts*len(rows), v.max
	w.at[readPart] = never
	if w.parts == smallPart && len(rows) < fewRows {
		w.parts, w.at[readPart] = largePart, now.mono
		return nil
	}
	if w.units <= smallTable {
		w.scan(now.mono)
		return nil
	}
	free := slices.DeleteFunc(slices.Clone(rows), func(l Lease) bool {
		return l.Owner != "" || l.Ended() || v.held[l.Key] || !started(l.Checkpoint.Position) && len(l.Parents) > 0
	})
	if few := 4*len(free) < len(rows); few && 8*w.leases() < 7*w.size && w.probes < maxProbes {
		w.at[readPart], w.probes = now.mono, w.probes+1 // others have been here; elsewhere more may be left
		return nil
	} else if few {
		w.settle(now, len(v.held))
		return nil
	}
	w.at[readOwners] = now.mono + time.Second + w.within(time.Second)
	most := firstBite
	if v.max > 0 {
		most = min(most, max(0, v.max-len(v.held)))
	}
	return choose(v, free, most, 0)
}

// list takes in a complete listing.
func (w *watch) list(rows []Lease, issued, returned instant, v view) decision {
	now := returned.mono
	w.failures = 0
	w.units, w.size = weigh(rows), len(rows)
	w.seen.look(rows, issued, returned, w.failover)
	v.rows, v.seen, v.now, v.overdue, w.most = rows, w.seen.seen, now, w.failover, v.max
	if w.sharing {
		v.bite = max(8, 2*len(v.held))
	}
	w.seen.harmless = harmless(rows, w.seen)
	v.others = w.seen.others(rows)
	p := makePlan(v)
	d := decision{plan: p, take: p.take, ask: p.ask, spare: p.spare, others: v.others}
	w.count(now, owned(rows))
	switch {
	case !w.indexed || w.hasForeign() || len(v.others) > 0:
		w.scan(now)
	case !w.sharing && !w.affordable(p.workers, 1):
		w.share(now)
	}
	if !w.sharing {
		w.at[readTable] = now + w.rest(p, rows, now)
		return d
	}
	others := peers(w.me, rows, w.seen, now, w.failover)
	w.quiet = w.without(others)
	w.rank(now)
	w.hungry = p.wanted > len(v.asks) && (len(p.ask) > 0 || len(v.held)+len(v.asks) < p.active/p.workers)
	d.ask = p.ask[:min(len(p.ask), w.courage(now, v))]
	if w.watching() {
		d.take, d.give = w.divide(v, p, others)
	} else {
		d.take = slices.DeleteFunc(d.take, func(l Lease) bool { // which are the watchers' to share out
			return l.Owner != w.me && now-w.seen.seen[l.Key].free <= w.failover
		})
	}
	w.at[readOwners] = max(w.at[readOwners], now+mapEvery*4/5)
	w.at[readTable] = w.nextLook(returned, rows, p, v)
	return d
}

// without are the owners that are not among those that live: they watch for nobody.
func (w *watch) without(others []peer) map[string]bool {
	quiet := make(map[string]bool, len(w.counts))
	for owner := range w.counts {
		quiet[owner] = owner != w.me
	}
	for _, p := range others {
		quiet[p.owner] = false
	}
	return quiet
}

// owned is what a map would have of rows.
func owned(rows []Lease) []Owned {
	var list []Owned
	for _, r := range rows {
		if r.Owner != "" && !r.Ended() {
			list = append(list, Owned{r.Key, r.Owner})
		}
	}
	return list
}

// courage is how many leases this worker may ask for at once. In a fleet that is still growing, whatever moves now moves again soon: so a worker that has none
// asks for one, which shows the others that it is there, and for the rest when nobody has come for a while.
func (w *watch) courage(now time.Duration, v view) int {
	switch {
	case now-w.newcomer >= calm:
		return maxAsks
	case len(v.held) == 0 && len(v.asks) == 0:
		return 1
	}
	return 0
}

// rest is how long a worker that lists for itself waits.
func (w *watch) rest(p plan, rows []Lease, now time.Duration) time.Duration {
	wait := lookEvery(w.failover)
	if p.expired+p.unowned > 0 {
		wait = min(wait, soon)
	}
	wait -= w.within(wait / 6)
	if at, ok := w.seen.nextExpiry(rows, w.failover); ok {
		wait = min(wait, w.spread(max(0, at-now)+time.Millisecond))
	}
	return wait
}

// nextLook is when this worker lists the table again while a few do so for all.
func (w *watch) nextLook(now instant, rows []Lease, p plan, v view) time.Duration {
	next := never
	if w.watching() {
		next = now.mono + w.phase(now)
		if len(p.free) > 0 {
			next = min(next, now.mono+w.spread(soon))
		}
		if at, ok := w.seen.nextExpiry(rows, w.failover); ok {
			next = min(next, max(now.mono, at)+w.within(soon/6)+time.Millisecond)
		}
	}
	if w.hungry {
		quiet := max(now.mono, w.newcomer+calm)
		if len(v.held) == 0 {
			quiet = now.mono
		}
		next = min(next, quiet+hungryEvery/2+w.within(hungryEvery))
	}
	return next
}

// phase is how long a watcher waits until its turn. The watchers share the interval by their rank, on what each takes for the time of day: it decides nothing but
// when to look, and a wrong clock costs some evenness.
func (w *watch) phase(now instant) time.Duration {
	every := w.watchPause()
	slot := every * time.Duration(slices.Index(w.watchers, w.me)) / time.Duration(len(w.watchers))
	past := time.Duration(now.wall.UnixNano()%int64(every)+int64(every)) % every
	wait := (slot - past + every) % every
	if wait < every/2 {
		wait += every
	}
	return wait
}

// owned takes in the leases that name this worker, and returns those that it may claim: it does not hold them, and does not know them to be finished.
func (w *watch) owned(now time.Duration, keys []string, v view) []string {
	w.failures = 0
	w.at[readOwned] = now + ownedEvery + w.within(ownedSpread)
	w.done = maps.Clone(w.done)
	maps.DeleteFunc(w.done, func(key string, _ bool) bool { return !slices.Contains(keys, key) })
	return slices.DeleteFunc(keys, func(key string) bool { return v.held[key] || w.done[key] })
}

// claim judges the row behind such a key, read strongly.
func (w *watch) claim(l Lease, v view, claimed int) (take, spare bool) {
	switch {
	case l.Owner != w.me || l.CheckpointOwner != "":
		return false, false
	case l.Ended():
		w.done[l.Key] = true
		return false, false
	case v.max > 0 && len(v.held)+claimed >= v.max:
		return false, true
	}
	return true, false
}

// row takes in one row, read strongly: that of a child whose parent ended here, or the one by which a watcher is judged. found is false if there is none.
func (w *watch) row(issued, returned instant, e errand, l Lease, found bool) (take bool) {
	w.failures = 0
	if len(w.kin) > 0 && w.kin[0] == e.key {
		w.kin = w.kin[1:]
		return found && l.Owner == "" && !l.Ended() && len(l.Parents) < 2 // after a merge somebody else may not be done yet
	}
	now := returned.mono
	w.at[readRow] = now + w.spread(netEvery)
	switch {
	case !found || l.Owner != w.netOwner || l.Ended():
		w.at[readOwners] = min(w.at[readOwners], now+w.within(time.Second)) // the map is old
	case l.Counter != w.net.counter:
		w.net = sighting{counter: l.Counter, since: now}
		delete(w.suspects, w.netOwner)
	case issued.mono-w.net.since >= max(w.failover, l.FailoverTime):
		w.suspects[w.netOwner] = l.Counter
		w.rank(now)
		if w.watching() && w.at[readTable] == never {
			w.at[readTable] = now
		}
	}
	return false
}
