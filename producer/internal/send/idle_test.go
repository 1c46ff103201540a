package send

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/kinesiskit/kinesiskit/producer/internal/route"
	"github.com/kinesiskit/kinesiskit/shard"
)

// Not parallel: it measures the heap.
func TestAnIdleLaneTakesLessThanAKibibyte(t *testing.T) {
	const lanes = 10_000
	list := make([]shard.Shard, lanes)
	width := ^uint64(0)/lanes + 1
	for i := range list {
		end := shard.MaxHashKey
		if i < lanes-1 {
			end = shard.HashKey{Hi: width*uint64(i+1) - 1, Lo: ^uint64(0)}
		}
		list[i] = shard.Shard{ID: fmt.Sprint("s", i), First: "1", Range: shard.HashRange{Start: shard.HashKey{Hi: width * uint64(i)}, End: end}}
	}
	m, err := route.Next(nil, list, start)
	if err != nil {
		t.Fatal(err)
	}
	heap := func() int64 {
		var s runtime.MemStats
		runtime.GC()
		runtime.GC() // pools are emptied by the second one
		runtime.ReadMemStats(&s)
		return int64(s.HeapAlloc)
	}
	before := heap()
	l := limits()
	l.Linger = 0
	c := New(l, rand.New(rand.NewPCG(1, 1)), Errors{errExpired, errStopped, errPredecessor})
	c.SetSpread(route.SpreadByKeys)
	var step Step
	c.SetMap(m, &step)
	seq := uint64(0)
	for i := range list { // each has had something to do
		items := make([]*Item, 5)
		for j := range items {
			seq++
			items[j] = &Item{Key: "k", Data: make([]byte, 100), Hash: list[i].Range.Start, Seq: seq, Accepted: start}
		}
		c.Add(items, &step)
	}
	sent := 0
	for {
		r, _ := c.Next(start)
		if r == nil {
			break
		}
		sent += r.UserRecords()
		for _, e := range r.Entries {
			e.release()
		}
		c.Answer(r, stored(r), start, &step)
	}
	step = Step{}
	if sent != 5*lanes {
		t.Fatalf("%d records sent", sent)
	}
	if each := (heap() - before) / lanes; each > 1024 {
		t.Errorf("%d bytes for each lane", each)
	} else {
		t.Logf("%d bytes for each lane", each)
	}
	runtime.KeepAlive(c)
}
