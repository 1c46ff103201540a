package lease

import (
	"errors"
	"slices"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
)

// admitted checks a delivery at the moment it is let through.
func (w *world) admitted(k *simKeep, s *simShard, upTo checkpoint.Position, done int) {
	w.note("admit "+k.p.owner, k.key, int64(number(upTo)), k.m.row.Counter)
	if k.p.dead || k.p.h.suspended || k.p.h.stopped > w.now {
		w.violated("simulation: %s admits while it is stopped", k.p.owner)
	}
	if slices.Contains(s.former, k) && !k.evicted {
		w.violated("%s %s (counter %d): admitted after %s was", k.p.owner, k.key, k.m.row.Counter, s.admitted.p.owner)
	}
	if s.admitted != k && !k.evicted {
		if s.admitted != nil {
			s.former = append(s.former, s.admitted)
			if s.admitted.p.owner != k.p.owner {
				w.count.takeOvers++
			}
		}
		s.admitted = k
	}
	for _, h := range w.hosts {
		if h.p == nil || h.p == k.p {
			continue
		}
		o := h.p.keeps[k.key]
		if o == nil || o.m.phase != held || o.m.ending || o.m.releasing || o.evicted || k.evicted {
			continue
		}
		if expired, doubtful := o.m.standing(h.now()); !expired && !doubtful {
			w.violated("%s %s: admitted while %s believes, for another %v", k.p.owner, k.key, h.p.owner, o.m.from.mono+o.m.timing.valid-h.now().mono)
		}
	}
	if number(upTo) > 0 && done == 0 {
		for _, id := range s.parents {
			if parent, ok := w.rows[id]; (!ok || !parent.Ended()) && (len(w.javas) == 0 || !w.byID[id].ended) { // a worker of KCL may delete it, or write over its end
				w.violated("%s %s: started, and its parent %s is not finished", k.p.owner, k.key, id)
			}
		}
	}
	w.overlaps(k)
	if upTo.Compare(k.permitted) > 0 {
		k.permitted = upTo
	}
}

// written checks a write that the table accepted.
func (w *world) written(k *simKeep, x *write, expects int64, old, l Lease) {
	who := k.p.owner
	if x.purpose == forTake {
		k.evicted = false // it takes the row as the operator left it
	}
	if k.evicted {
		w.violated("%s %s: wrote after an operator moved the counter", who, k.key)
	}
	if old.Counter != expects {
		w.violated("%s %s: wrote on counter %d, knew %d", who, k.key, old.Counter, expects)
	}
	if x.purpose != forTake && old.Owner != who {
		w.violated("%s %s: wrote on a row of %q", who, k.key, old.Owner)
	}
	p := l.Checkpoint.Position
	if p.Compare(k.stored) > 0 {
		k.stored = p
	}
	w.pending(k, old.Checkpoint, l.Checkpoint)
	if x.purpose == forEnd {
		s := w.byID[k.key]
		for _, c := range s.children {
			if w.byID[c].opened == 0 || !slices.Contains(l.Children, c) {
				w.violated("%s %s: finished without child %s", who, k.key, c)
			}
		}
		w.count.ended++
	}
	switch x.purpose {
	case forRelease:
		w.count.released++
	case forGive:
		w.wroteGift(k, old, l)
	case forTake:
		if k.steals && !w.isJava(old.Owner) && old.Owner != who { // its own: a take whose answer was lost
			w.violated("%s %s: taken without asking from %q", who, k.key, old.Owner)
		}
		if l.Speaks != who || l.AskedBy != "" || l.AskedOf != "" || l.CheckpointOwner != "" {
			w.violated("%s %s: taken as %+v", who, k.key, l)
		}
	}
	switch {
	case p == old.Checkpoint.Position:
		return
	case p.Compare(old.Checkpoint.Position) < 0:
		w.violated("%s %s: stored position moved back from %v to %v", who, k.key, old.Checkpoint.Position, p)
	case p.Compare(k.asked) > 0:
		w.violated("%s %s: stored %v, processed up to %v", who, k.key, p, k.asked)
	case p != checkpoint.ShardEnd && p.Compare(k.permitted) > 0:
		w.violated("%s %s: stored %v, handed over up to %v", who, k.key, p, k.permitted)
	case p == checkpoint.ShardEnd && (!k.ending || w.byID[k.key].processed < w.byID[k.key].total):
		w.violated("%s %s: finished with %d of %d records processed", who, k.key, w.byID[k.key].processed, w.byID[k.key].total)
	}
}

// pending checks what a write has left announced.
func (w *world) pending(k *simKeep, old, now checkpoint.Checkpoint) {
	none := checkpoint.Position{}
	switch {
	case now.Pending == none && len(now.State) > 0:
		w.violated("%s %s: state without what it was announced with", k.p.owner, k.key)
	case now.Pending == none || now.Pending == old.Pending && string(now.State) == string(old.State):
		if now.Pending != none && now.Position != old.Position {
			w.violated("%s %s: a checkpoint left an announcement of before", k.p.owner, k.key)
		}
	case now.Pending.Compare(k.permitted) > 0 || now.Pending.Compare(now.Position) < 0:
		w.violated("%s %s: announced %v, stored %v, handed over up to %v", k.p.owner, k.key, now.Pending, now.Position, k.permitted)
	default:
		k.announced = append(k.announced, now)
	}
}

// announced checks what the caller of a two-phase checkpoint is told.
func (w *world) announced(k *simKeep, p checkpoint.Position, state []byte, err error) {
	stood := slices.ContainsFunc(k.announced, func(c checkpoint.Checkpoint) bool { return c.Pending == p && string(c.State) == string(state) })
	switch {
	case err == nil:
		w.count.announced++
		if !stood {
			w.violated("%s %s: the announcement of %v was acknowledged, and never stood in the row", k.p.owner, k.key, p)
		}
	case errors.Is(err, checkpoint.ErrUncertain):
	case stood:
		w.violated("%s %s: %v was announced, and its caller told that it was not: %v", k.p.owner, k.key, p, err)
	}
}

func (w *world) acquired(k *simKeep) {
	w.count.acquired++
	w.claimed(k)
	p := k.m.row.Checkpoint.Position
	if p.Compare(k.stored) > 0 {
		k.stored = p
	}
	w.note("acquired "+k.p.owner, k.key, k.m.row.Counter, int64(number(p)))
}

// answered checks what a checkpoint's caller is told.
func (w *world) answered(k *simKeep, p checkpoint.Position, err error) {
	switch {
	case err == nil:
		w.count.acks++
		if k.stored.Compare(p) < 0 {
			w.violated("%s %s: %v acknowledged, %v stored", k.p.owner, k.key, p, k.stored)
		}
	case errors.Is(err, checkpoint.ErrUncertain):
		w.count.uncertain++
	case k.stored.Compare(p) >= 0 && k.stored != checkpoint.ShardEnd:
		w.violated("%s %s: %v is stored, and its caller was told that it is not: %v", k.p.owner, k.key, p, err)
	}
}

func (w *world) tenureOver(k *simKeep, cancelled bool) {
	w.note("over "+k.p.owner, k.key, k.m.row.Counter, 0)
	if !k.acquired || !cancelled {
		return // a release whose answer was lost may find the next owner: nothing was lost by that
	}
	w.count.lost++
	if k.evicted {
		return
	}
	if w.faults.none() || w.faults.single {
		w.violated("%s %s: lost for nothing: %v", k.p.owner, k.key, k.m.why)
	}
}

// owned reports what no live worker holds although it could.
func (w *world) owned() (missing []string) {
	for _, key := range w.keys() {
		l := w.rows[key]
		if l.Ended() || blocked(l, w.rows) {
			continue
		}
		held := false
		for _, h := range w.hosts {
			held = held || h.p != nil && h.p.owner == l.Owner && h.p.keeps[key] != nil
		}
		for _, j := range w.javas {
			before, _ := w.asOf(key, w.now-time.Second)
			held = held || !j.dead && j.ID == l.Owner && (j.Holds(key, w.now) || before.Owner != l.Owner) // the answer may be on its way
		}
		if !held {
			missing = append(missing, key)
		}
	}
	return missing
}

// unprocessed reports shards with records that nobody processed.
func (w *world) unprocessed() (missing []string) {
	for _, s := range w.shards {
		if s.processed < s.total || len(s.children) > 0 && !w.rows[s.id].Ended() && !w.deleted[s.id] {
			missing = append(missing, s.id)
		}
	}
	return missing
}
