package send

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/kinesiskit/kinesiskit/producer/internal/route"
	"github.com/kinesiskit/kinesiskit/shard"
)

// What a shard costs while nothing is sent to it: its lane, and its place in the map.
func TestAnIdleLaneTakesLessThanAKibibyte(t *testing.T) {
	const shards = 10_000
	listing := make([]shard.Shard, shards)
	width := ^uint64(0)/shards + 1
	for i := range listing {
		listing[i] = shard.Shard{
			ID: fmt.Sprintf("shardId-%012d", i), First: "49590338271490256608559692538361571095921575989136588898",
			Range: shard.HashRange{Start: shard.HashKey{Hi: width * uint64(i)}, End: shard.HashKey{Hi: width*uint64(i+1) - 1, Lo: ^uint64(0)}},
		}
	}
	listing[shards-1].Range.End = shard.MaxHashKey
	used := func() uint64 {
		runtime.GC()
		runtime.GC() // the first may leave what finalizers hold
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := used()
	c := New(Limits{InFlight: 24, BatchRecords: 500, BatchBytes: 5 << 20, AggregateBytes: 50 << 10, RatePercent: 150}, rand.New(rand.NewPCG(1, 1)), Errors{})
	c.SetSpread(route.SpreadByKeys)
	m, err := route.Next(nil, listing, start)
	if err != nil {
		t.Fatal(err)
	}
	var step Step
	c.SetMap(m, &step)
	if _, wake := c.Next(start); !wake.IsZero() {
		t.Errorf("wakes at %v", wake)
	}
	if each := (int64(used()) - int64(before)) / shards; each > 1024 {
		t.Errorf("%d bytes for each lane", each)
	} else {
		t.Logf("%d bytes for each lane", each)
	}
	runtime.KeepAlive(c)
}
