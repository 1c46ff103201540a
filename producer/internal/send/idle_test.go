package send

import (
	"runtime"
	"testing"
	"time"
	"weak"
)

func TestAnIdleLaneHoldsOnToNoRecord(t *testing.T) {
	h := newHarness(t, flowing(), 1)
	h.add(lower, 20, 100)
	var items []weak.Pointer[Item]
	for _, it := range h.lanes[0].queue {
		items = append(items, weak.Make(it))
	}
	h.sendFor(time.Second, all)
	h.step = Step{}
	runtime.GC()
	for i, it := range items {
		if it.Value() != nil {
			t.Fatalf("record %d of a lane that has none is still in memory", i)
		}
	}
	runtime.KeepAlive(h)
}
