package send

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/kinesiskit/kinesiskit/shard"
)

// Sizes are exact: what goes on the wire is what was counted, no more than it may be, and one record more would be too much.
func TestAggregatesAreNoLargerThanTheirLimit(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 0))
			most := 150 + rng.IntN(3000)
			h := newHarness(t, Limits{AggregateBytes: most}, 2)
			var items []*Item
			for i := range 300 {
				it := &Item{
					Key: strings.Repeat(string(rune('a'+rng.IntN(20))), 1+rng.IntN(40)), Data: make([]byte, rng.IntN(most/4)),
					Seq: uint64(i + 1), Accepted: h.now, Hash: shard.HashKey{Lo: uint64(i)},
				}
				if rng.IntN(3) == 0 {
					it.Explicit = shard.HashKey{Lo: rng.Uint64() >> rng.IntN(64)}.String()
				}
				items = append(items, it)
			}
			h.Add(items, &h.step)
			var entries []*Entry
			for {
				r, _ := h.Next(h.now)
				if r == nil {
					break
				}
				entries = append(entries, r.Entries...)
			}
			sent := 0
			for i, e := range entries {
				key, _, data := e.Payload()
				sent += len(e.Items)
				if size := len(key) + len(data); size != e.Bytes || size > most {
					t.Fatalf("%d bytes, counted as %d, of %d", size, e.Bytes, most)
				}
				if i+1 < len(entries) {
					more := Entry{Items: append(append([]*Item(nil), e.Items...), entries[i+1].Items[0])}
					if _, _, data := more.Payload(); len(data)+len(outerKey) <= most {
						t.Fatalf("the next record had room: %d bytes of %d", len(data)+len(outerKey), most)
					}
				}
			}
			if sent != len(items) {
				t.Fatalf("%d of %d records", sent, len(items))
			}
		})
	}
}

func TestALaneIsDueWhenAnAggregateIsFullHoweverLargeThatIs(t *testing.T) {
	h := newHarness(t, Limits{AggregateBytes: 1 << 20, Linger: time.Second}, 1)
	h.add(lower, 4000, 100)
	h.none() // and not an empty one
	h.add(lower, 8000, 100)
	if r := h.request(); len(r.Entries) != 1 || r.Bytes < 1_000_000 {
		t.Errorf("%d entries, %d bytes", len(r.Entries), r.Bytes)
	}
}
