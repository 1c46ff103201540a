package route

import (
	"math/rand/v2"
	"testing"
)

func TestAStreamIsDescribedFirstThenFromTimeToTimeAndWhenItSurprises(t *testing.T) {
	t.Parallel()
	w := NewWatch(rand.New(rand.NewPCG(1, 1)))
	now := start
	if w.Tried() || !w.Start(now) || w.Start(now) || !w.Wake().IsZero() {
		t.Fatal("not once at the start")
	}
	w.Done(now, true)
	if next := w.Wake().Sub(now); !w.Tried() || next < DescribePeriod || next > DescribePeriod*6/5 {
		t.Fatalf("again after %v", next)
	}
	now = now.Add(DescribePeriod * 2)
	if !w.Start(now) {
		t.Fatal("not after the period")
	}
	w.Done(now, true)
	w.Unexpected()
	w.Unexpected()
	if w.Start(now.Add(describeGap)) {
		t.Error("after two records on unexpected shards")
	}
	w.Unexpected()
	if w.Start(now.Add(describeGap - 1)) {
		t.Error("within the gap")
	}
	if !w.Start(now.Add(describeGap)) {
		t.Error("not after three records on unexpected shards")
	}
	w.Unexpected() // while it is described: counts for the next time, with what comes then
	w.Done(now, true)
	if w.Start(now.Add(describeGap)) {
		t.Error("for the same three again")
	}
}

func TestADescriptionThatFailsIsAskedForAgain(t *testing.T) {
	t.Parallel()
	w := NewWatch(rand.New(rand.NewPCG(1, 1)))
	now := start
	for range 20 {
		if !w.Start(now) {
			t.Fatalf("not at %v", now)
		}
		w.Done(now, false)
		if wait := w.Wake().Sub(now); wait < describeFirst/2 || wait > describeMost {
			t.Fatalf("again after %v", wait)
		}
		now = w.Wake()
	}
}
