package sim

import (
	"time"

	"github.com/kinesiskit/kinesiskit/shard"
)

// disturb lets each kind of trouble come again and again until the world is quiet.
func (w *world) disturb() {
	f := w.bus.faults
	w.every(f.leave, func() {
		if len(w.workers) > 0 {
			w.leave(w.remove(w.rng.IntN(len(w.workers))))
		}
		w.joinSoon()
	})
	w.every(f.crash, func() {
		if len(w.workers) > 0 {
			w.crash(w.remove(w.rng.IntN(len(w.workers))))
		}
		w.joinSoon()
	})
	w.every(f.cut, func() {
		if len(w.workers) == 0 {
			return
		}
		name := w.workers[w.rng.IntN(len(w.workers))].name
		w.locked(func() { w.counts.Partitions++ })
		w.bus.cutOff(name)
		w.bus.at(w.bus.between(time.Second, 3*failover), func() { w.mend(name) })
	})
	w.every(f.reshard, w.reshard)
}

// joinSoon brings another process in place of one that has gone.
func (w *world) joinSoon() {
	w.bus.at(w.bus.between(0, 10*time.Second), func() {
		if len(w.workers) < 8 {
			w.join()
		}
	})
}

func (w *world) every(mean time.Duration, do func()) {
	if mean == 0 {
		return
	}
	var again func()
	again = func() {
		w.bus.at(w.bus.between(mean/2, 2*mean), func() {
			if w.bus.quiet {
				return
			}
			do()
			again()
		})
	}
	again()
}

// reshard splits a shard, or merges two neighbours.
func (w *world) reshard() {
	open := shard.NewGraph(w.listed()).Open()
	i := w.rng.IntN(len(open))
	if len(open) > 1 && (len(open) > 8 || w.rng.IntN(2) == 0) {
		i = min(i, len(open)-2)
		w.server.Merge(streamName, open[i].ID, open[i+1].ID)
		w.locked(func() { w.counts.Merges++ })
	} else {
		w.server.Split(streamName, open[i].ID)
		w.locked(func() { w.counts.Splits++ })
	}
	w.listed()
}
