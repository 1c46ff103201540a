package reset

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/lease"
	"github.com/kinesiskit/kinesiskit/lease/memstore"
)

// javaWorld is one lease, two workers that write it as KCL does, and an operator who resets it at any point between their requests.
//
// What matters of KCL: every write holds on condition of the counter alone. A renewal that is refused reads the row, and is taken for done if the row
// has the worker's name and the counter that the renewal would have written. Requests may be applied late, or twice, and their answers may be lost.
type javaWorld struct {
	t       *testing.T
	ctx     context.Context
	rng     *rand.Rand
	table   *memstore.Store
	workers [2]javaWorker
	late    []func() // requests that are still on their way
	era     int      // how many resets were applied
	stored  int      // checkpoints that were applied
}

// javaWorker is what a worker believes.
type javaWorker struct {
	name    string
	holds   bool
	counter int64
	place   int64 // up to which it has processed
	era     int   // in which it won the lease
}

const javaKey = "shardId-000000000000"

func (w *javaWorld) row() lease.Lease {
	l, err := w.table.Get(w.ctx, javaKey)
	if err != nil {
		w.t.Fatal(err)
	}
	return l
}

// write sends a request that holds for a counter: applied now, now and once more later, or only later; answered or not.
func (w *javaWorld) write(counter int64, set lease.Change, applied func()) (done, answered bool) {
	apply := func() bool {
		_, err := w.table.Write(w.ctx, javaKey, lease.Condition{Counter: &counter}, set)
		if err == nil {
			applied()
		}
		return err == nil
	}
	switch w.rng.IntN(6) {
	case 0:
		w.late = append(w.late, func() { apply() })
		return false, false
	case 1:
		apply()
		w.late = append(w.late, func() { apply() })
		return false, false
	}
	return apply(), true
}

// act is one step of one worker.
func (w *javaWorld) act(me *javaWorker) {
	switch {
	case len(w.late) > 0 && w.rng.IntN(3) == 0:
		i := w.rng.IntN(len(w.late))
		request := w.late[i]
		w.late = append(w.late[:i], w.late[i+1:]...)
		request()
	case !me.holds:
		w.take(me)
	case w.rng.IntN(3) == 0:
		me.place++
	case w.rng.IntN(2) == 0:
		w.renew(me)
	default:
		era, place := me.era, me.place
		done, _ := w.write(me.counter, lease.Change{AddCounter: 1, Checkpoint: &checkpoint.Checkpoint{Position: number(place)}}, func() {
			w.stored++
			if era < w.era {
				w.t.Errorf("a worker that won the lease before the reset stored %d after it", place)
			}
		})
		if done {
			me.counter++
		}
	}
}

func (w *javaWorld) take(me *javaWorker) {
	row := w.row()
	if row.Owner != "" && w.rng.IntN(4) > 0 {
		return // mostly an owner is alive
	}
	done, _ := w.write(row.Counter, lease.Change{AddCounter: 1, Owner: &me.name}, func() {})
	if done {
		*me = javaWorker{name: me.name, holds: true, counter: row.Counter + 1, place: position(w.row()), era: w.era}
	}
}

func (w *javaWorld) renew(me *javaWorker) {
	done, answered := w.write(me.counter, lease.Change{AddCounter: 1}, func() {})
	if !answered {
		return // it will try again, with the counter it knows
	}
	if !done {
		row := w.row()
		if me.holds = row.Owner == me.name && row.Counter == me.counter+1; !me.holds {
			return
		}
	}
	me.counter++
}

func number(n int64) checkpoint.Position {
	p, err := checkpoint.At(fmt.Sprint(1000+n), 0)
	if err != nil {
		panic(err)
	}
	return p
}

func position(l lease.Lease) int64 {
	var n int64
	_, _ = fmt.Sscan(l.Checkpoint.Position.Sequence(), &n)
	return n - 1000
}

// between is the table as the operator's tool sees it: workers act before each of its requests.
type between struct {
	lease.Store
	w *javaWorld
}

func (b between) Get(ctx context.Context, key string) (lease.Lease, error) {
	b.w.steps(3)
	return b.Store.Get(ctx, key)
}

func (b between) Write(ctx context.Context, key string, when lease.Condition, set lease.Change) (lease.Lease, error) {
	b.w.steps(2)
	l, err := b.Store.Write(ctx, key, when, set)
	if err == nil {
		b.w.era++
	}
	return l, err
}

func (w *javaWorld) steps(most int) {
	for range w.rng.IntN(most + 1) {
		w.act(&w.workers[w.rng.IntN(len(w.workers))])
	}
}

// 100,000 interleavings of two workers, their late and repeated requests, and a reset of the running application.
func TestALiveResetIsNeverOverwrittenByAFormerOwnerOfKCL(t *testing.T) {
	t.Parallel()
	interleavings := 100_000
	if testing.Short() {
		interleavings = 10_000
	}
	synctest.Test(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(1, 1))
		resets, stored := 0, 0
		for range interleavings {
			w := &javaWorld{t: t, ctx: t.Context(), rng: rng, table: memstore.New()}
			w.workers[0].name, w.workers[1].name = "a", "b"
			row := lease.Lease{Key: javaKey, Checkpoint: checkpoint.Checkpoint{Position: number(0)}}
			if err := w.table.Create(w.ctx, row); err != nil {
				t.Fatal(err)
			}
			w.steps(20)
			plan := &Plan{Moves: []Move{{Key: javaKey, Shard: javaKey, To: number(-5), row: w.row()}}}
			_, err := plan.Execute(w.ctx, between{w.table, w}, ExecuteOptions{Live: true})
			if err != nil && !errors.Is(err, ErrChanged) {
				t.Fatal(err)
			}
			w.steps(20)
			for _, request := range w.late {
				request()
			}
			resets += w.era
			stored += w.stored
			if t.Failed() {
				return
			}
		}
		if resets < interleavings*9/10 || stored < interleavings {
			t.Errorf("%d resets and %d checkpoints were applied in %d runs, which proves little", resets, stored, interleavings)
		}
	})
}
