package lease

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// divide shares out what is free among the workers of a fleet in which a few watch for all, to whoever has least.
func (w *watch) divide(v view, p plan, others []peer) (take []Lease, give []grant) {
	w.recall(v)
	loads := maps.Clone(p.load)
	loads[w.me] = len(v.held)
	heirs := w.heirs(v, loads, others)
	bite := max(8, 2*len(v.held))
	if v.max > 0 {
		bite = min(bite, max(0, v.max-len(v.held)))
	}
	for _, l := range p.take { // what was given to this worker
		if l.Owner == w.me {
			take = append(take, l)
		}
	}
	for _, l := range p.free {
		if !w.mine(l, v) || w.crowd(l, v) {
			continue
		}
		switch to := heirs.least(); {
		case to == w.me && len(take) < bite:
			take = append(take, l)
		case to != w.me && to != "":
			give = append(give, grant{lease: l, to: to, at: v.now})
		}
	}
	for _, g := range give {
		w.given[g.lease.Key] = g
	}
	return take, give
}

// mine reports whether this watcher deals with a free lease. What has expired it takes at once: the watchers see that at different times. What nobody owns
// is the first watcher's, so that one plan shares it out; if that one is slow, it is the next one's, and so on. A worker that has nothing is the first for
// nobody but itself.
func (w *watch) mine(l Lease, v view) bool {
	rank := slices.Index(w.watchers, w.me)
	if l.Owner != "" || rank == 0 && (w.counts[w.me] > 0 || len(w.counts) == 0) {
		return true
	}
	return v.now-v.seen[l.Key].free > mostCrowded+time.Duration(max(1, rank))*nextInLine
}

// crowd reports whether a lease that nobody owns is better left alone for a moment: workers are just coming, and those of them that have nothing yet cannot
// be seen. What an owner left behind when it died is not waited with.
func (w *watch) crowd(l Lease, v view) bool {
	return l.Owner == "" && v.now-w.newcomer < crowded && v.now-v.seen[l.Key].free < mostCrowded
}

// recall finds what came back: a worker that holds as much as it may returns what it is given, and gets nothing for a while.
func (w *watch) recall(v view) {
	const patience, penalty = time.Minute, 5 * time.Minute
	for _, l := range v.rows {
		if g, ok := w.given[l.Key]; ok && l.Owner == "" && l.Counter > g.lease.Counter+1 && v.now-g.at < patience {
			w.full[g.to] = v.now + penalty
		}
	}
	maps.DeleteFunc(w.given, func(_ string, g grant) bool { return v.now-g.at >= patience })
	maps.DeleteFunc(w.full, func(_ string, until time.Duration) bool { return until <= v.now })
}

// heirs are the workers that may get something, by load.
type heirs struct {
	order []string
	loads map[string]int
}

// heirs are this worker, and those that speak and live.
func (w *watch) heirs(v view, loads map[string]int, others []peer) *heirs {
	h := &heirs{loads: loads}
	if v.max == 0 || len(v.held) < v.max {
		h.order = append(h.order, w.me)
	}
	for _, p := range others {
		if _, dead := w.suspects[p.owner]; !dead && w.full[p.owner] == 0 {
			h.order = append(h.order, p.owner)
		}
	}
	slices.SortFunc(h.order, func(a, b string) int {
		return cmp.Or(cmp.Compare(loads[a], loads[b]), cmp.Compare(rendezvous("heir", a), rendezvous("heir", b)), cmp.Compare(a, b))
	})
	return h
}

// least picks who has least, and counts the lease for it. The order is kept as a queue: whoever got one stands behind its equals.
func (h *heirs) least() string {
	if len(h.order) == 0 {
		return ""
	}
	to := h.order[0]
	h.loads[to]++
	i, _ := slices.BinarySearchFunc(h.order[1:], h.loads[to], func(o string, load int) int {
		if h.loads[o] <= load {
			return -1
		}
		return 1
	})
	copy(h.order, h.order[1:i+1])
	h.order[i] = to
	return to
}

// giving is the write with which a watcher takes a lease that is free on behalf of another: it never holds it. The other claims it, and believes from there.
func giving(g grant, failover time.Duration) (Condition, Change) {
	none, c := "", g.lease.Counter
	set := Change{
		AddCounter: 1, Owner: &g.to, Speaks: &g.to, AskedBy: &none, AskedOf: &none, CheckpointOwner: &none, FailoverTime: failover,
	}
	if g.lease.Owner != "" {
		switches := g.lease.OwnerSwitches + 1
		set.OwnerSwitches = &switches
	}
	return Condition{Counter: &c, Owner: &g.lease.Owner}, set
}

// weigh is what listing rows costs: half a read unit for 4 KB, by the names and values of attributes. It is a little more than DynamoDB counts.
func weigh(rows []Lease) float64 {
	const names, numbers, ranges = 196, 24, 78
	bytes := 0
	for _, l := range rows {
		bytes += names + numbers + len(l.Key) + len(l.Owner) + len(l.Speaks) + len(l.AskedBy) + len(l.AskedOf) + len(l.Stream) + len(l.Checkpoint.Position.Sequence())
		if l.HashRange.Known() {
			bytes += ranges
		}
		for _, ids := range [][]string{l.Parents, l.Children} {
			for _, id := range ids {
				bytes += len(id)
			}
		}
	}
	const unit = 2 * 4096
	return float64(bytes) / unit
}

// harmless are the owners without a mark that hold nothing any more but what is finished or has expired.
func harmless(rows []Lease, o observer) map[string]bool {
	quiet := make(map[string]bool)
	for _, r := range rows {
		if r.Owner != "" && !r.ours() {
			live := !r.Ended() && !o.seen[r.Key].isFree
			if before, met := quiet[r.Owner]; !met || before {
				quiet[r.Owner] = !live
			}
		}
	}
	maps.DeleteFunc(quiet, func(_ string, q bool) bool { return !q })
	return quiet
}
