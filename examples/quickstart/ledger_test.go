package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
)

// smallInput has two events of key a and one of key b.
func smallInput(t *testing.T) *input {
	t.Helper()
	var lines []string
	for i, key := range []string{"a", "b", "a"} {
		lines = append(lines, fmt.Sprintf(`{"properties":{"net":%q,"i":%d}}`, key, i))
	}
	in, err := readInput([]byte(strings.Join(lines, "\n") + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func positionAt(t *testing.T, n int) checkpoint.Position {
	t.Helper()
	p, err := checkpoint.At(fmt.Sprint(1000+n), 0)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// history is a run in which each key has two rounds, all put at clock 0.
type history struct {
	t *testing.T
	l *ledger
	n int // deliveries so far: their clocks and positions
}

func newHistory(t *testing.T) *history {
	h := &history{t: t, l: newLedger(smallInput(t))}
	for range 2 {
		for _, e := range h.l.input.events {
			h.l.sent(e.key, 0)
			h.l.acknowledged(0)
		}
	}
	return h
}

// hand delivers records such as "a0" or "b1", one after another.
func (h *history) hand(worker string, names ...string) {
	h.t.Helper()
	for _, name := range names {
		h.n++
		h.handAt(worker, name, int64(h.n), h.n)
	}
}

func (h *history) handAt(worker, name string, clock int64, at int) {
	h.t.Helper()
	key, ordinal := name[:1], int(name[1]-'0')
	h.l.handed(worker, delivery{
		Key: key, Ordinal: ordinal, Sum: h.l.input.at(key, ordinal).sum, Shard: "s", Clock: clock, At: positionAt(h.t, at),
	})
}

func (h *history) expect(lost, outOfOrder, duplicates, bound int) {
	h.t.Helper()
	v := h.l.judge(2)
	unstored, repeats := h.l.bound()
	if got, want := fmt.Sprint(v.lost, v.outOfOrder, h.l.delivered-h.l.distinct, unstored+repeats),
		fmt.Sprint(lost, outOfOrder, duplicates, bound); got != want {
		h.t.Errorf("lost, out of order, duplicates, bound = %s, want %s (%v)", got, want, v.examples)
	}
}

var w1 = holding{"w1", "s"}

func TestLedgerFindsNothingInACleanRun(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.hand("w1", "a0", "b0", "a1", "a2", "b1", "a3")
	h.expect(0, 0, 0, 0)
	if h.l.altered != 0 || h.l.put != 6 {
		t.Errorf("altered %d, put %d", h.l.altered, h.l.put)
	}
}

func TestLedgerFindsALostRecord(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.hand("w1", "a0", "b0", "a2", "b1", "a3")
	h.expect(1, 0, 0, 0)
	if v := h.l.judge(2); len(v.examples) != 1 || v.examples[0] != "lost: record 1 of key a" {
		t.Errorf("examples %q", v.examples)
	}
}

func TestLedgerFindsWhatIsMissingAtTheEnd(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.hand("w1", "a0", "a1")
	h.expect(4, 0, 0, 0)
}

func TestLedgerFindsAReordering(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.hand("w1", "a1", "b0", "a0", "a3", "a2", "b1")
	h.expect(0, 2, 0, 0)
}

func TestLedgerCountsEachOvertakenRecord(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.hand("w1", "b0", "a3", "a0", "a1", "a2", "b1")
	h.expect(0, 3, 0, 0)
}

func TestLedgerTakesTheFirstDeliveryForTheOrder(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.hand("w1", "a0", "a1", "b0")
	h.l.killed(w1)
	h.l.acquired(holding{"w2", "s"})
	h.hand("w2", "a0", "a1", "b0", "a2", "b1", "a3")
	h.expect(0, 0, 3, 3)
}

func TestLedgerOrdersProcessesByTheClockAndNotByArrival(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.hand("w1", "b0", "b1", "a2", "a3")
	h.handAt("w2", "a0", -2, 90) // read late, handed over early
	h.handAt("w2", "a1", -1, 91)
	h.expect(0, 0, 0, 0)
}

func TestLedgerFindsADuplicateOverTheBound(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.hand("w1", "a0", "b0", "a1", "a2")
	h.l.stored(w1, positionAt(t, 2)) // a0 and b0 are done, for good
	h.l.killed(w1)
	h.l.acquired(holding{"w2", "s"})
	h.hand("w2", "b0", "a1", "a2", "b1", "a3") // b0 should not be here
	h.expect(0, 0, 3, 2)
}

func TestLedgerAllowsNothingAfterACleanRelease(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.hand("w1", "a0", "b0", "a1")
	h.l.acquired(holding{"w2", "s"})
	h.hand("w2", "a1", "a2", "b1", "a3")
	h.expect(0, 0, 1, 0)
}

func TestLedgerKeepsTheTenuresOfOneWorkerApart(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.l.acquired(w1)
	h.hand("w1", "a0", "b0", "a1")
	h.l.stored(w1, positionAt(t, 1))
	h.l.lost(w1)
	h.l.stored(w1, positionAt(t, 9)) // of whoever came next: says nothing about what was lost
	h.l.acquired(w1)
	h.hand("w1", "b0", "a1", "a2", "b1", "a3")
	h.l.stored(w1, positionAt(t, 8))
	h.expect(0, 0, 2, 2)
}

func TestLedgerSeesADeadWorkersLastWrite(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.hand("w1", "a0", "b0", "a1")
	h.l.killed(w1)
	h.l.stored(w1, positionAt(t, 3)) // sent before it died, seen afterwards
	h.expect(3, 0, 0, 0)
}

func TestLedgerAllowsWhatTheProducerMayHaveRepeated(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.l.repeats = 1
	h.hand("w1", "a0", "a0", "b0", "a1", "a2", "b1", "a3")
	h.expect(0, 0, 1, 1)
}

func TestLedgerRefusesWhatIsNotTheFiles(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	good := delivery{Key: "a", Ordinal: 0, Sum: h.l.input.at("a", 0).sum, Shard: "s", At: positionAt(t, 1)}
	for name, change := range map[string]func(*delivery){
		"other bytes":      func(d *delivery) { d.Sum = "0000000000000000" },
		"another's record": func(d *delivery) { d.Ordinal = 1 },
		"unknown key":      func(d *delivery) { d.Key = "zz" },
		"never put":        func(d *delivery) { d.Ordinal = 4 }, // the bytes of a0, in a round that was not
		"negative ordinal": func(d *delivery) { d.Ordinal = -2 },
	} {
		d := good
		change(&d)
		before := h.l.altered
		h.l.handed("w1", d)
		if h.l.altered != before+1 {
			t.Errorf("%s: taken for a delivery", name)
		}
	}
	h.expect(6, 0, 0, 0)
}

func TestLedgerMeasuresFromPutToFirstDelivery(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.handAt("w1", "a0", int64(time.Second), 1)
	h.handAt("w1", "a0", int64(time.Minute), 1)
	h.handAt("w1", "a1", int64(3*time.Second), 2)
	if v := h.l.judge(2); v.max != 3*time.Second || v.median != 3*time.Second {
		t.Errorf("median %v, max %v", v.median, v.max)
	}
}

func TestInputIsTheFile(t *testing.T) {
	t.Parallel()
	in, err := readInput(earthquakes)
	if err != nil {
		t.Fatal(err)
	}
	if len(in.events) != 1707 || len(in.places) != 12 {
		t.Fatalf("%d events of %d keys", len(in.events), len(in.places))
	}
	for round := range 2 {
		for i, e := range in.events {
			if at := in.at(e.key, in.ordinal(round, e)); at != &in.events[i] {
				t.Fatalf("event %d is not found again by key and ordinal", i)
			}
		}
	}
}

func TestRecordCarriesTheEventsBytesUnchanged(t *testing.T) {
	t.Parallel()
	event := []byte(`{"a": "<&>\u00e9", "b" : 1.0}`)
	data := seal("run", 17, event)
	e, ours := unseal("run", data)
	if !ours || e.Ordinal != 17 || sumOf(e.Event) != sumOf(event) {
		t.Errorf("ours %v, %+v", ours, e)
	}
	if _, ours := unseal("another", data); ours {
		t.Error("another run's record is taken for ours")
	}
	if _, ours := unseal("run", []byte("no envelope")); ours {
		t.Error("anything is taken for ours")
	}
}
