package lease

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
)

// announcing returns a tenure whose announcement of 7 is under way since 1 s: counter 101, position 5.
func announcing(t *testing.T) (m *machine, id int, w *write) {
	t.Helper()
	m = holding(t)
	mustAdmit(t, m, at(time.Second), pos(9))
	id, e, err := m.prepare(at(time.Second), pos(7), []byte("seven"))
	if err != nil || e.write == nil || e.write.purpose != forRenewal {
		t.Fatalf("%v, %+v: want a write at once", err, e)
	}
	return m, id, e.write
}

func TestAnAnnouncementLeavesTheStoredPosition(t *testing.T) {
	t.Parallel()
	m, id, w := announcing(t)
	if *w.when.Counter != 101 || *w.when.Owner != "me" || *w.when.Position != pos(5) || *w.when.CheckpointOwner != "" {
		t.Errorf("condition %+v", w.when)
	}
	got := w.set.Apply(m.row)
	if c := got.Checkpoint; c.Position != pos(5) || c.Pending != pos(7) || string(c.State) != "seven" || got.Counter != 102 {
		t.Errorf("the row after it: %+v", got)
	}
	e := m.answered(at(2*time.Second), got)
	if err, ok := ackOf(e, id); !ok || err != nil {
		t.Errorf("%+v: want the call answered", e)
	}
	validUntil(t, m, time.Second+testValid) // it counts as the renewal
}

// A renewal that changes nothing leaves it, any checkpoint takes it back, a commit of the stored position included.
func TestACheckpointTakesAnAnnouncementBack(t *testing.T) {
	t.Parallel()
	for name, ask := range map[string]func(m *machine) effects{
		"mark of a lower position": func(m *machine) effects {
			if err := m.mark(pos(6)); err != nil {
				t.Error(err)
			}
			return m.tick(at(time.Second + testRenew))
		},
		"commit": func(m *machine) effects {
			_, e, err := m.store(at(3*time.Second), pos(7))
			if err != nil {
				t.Error(err)
			}
			return e
		},
		"the stored position once more": func(m *machine) effects {
			_, e, err := m.store(at(3*time.Second), pos(5))
			if err != nil {
				t.Error(err)
			}
			return e
		},
		"the end": func(m *machine) effects {
			m.row.Children = []string{"c"}
			e, err := m.end(at(3 * time.Second))
			if err != nil {
				t.Error(err)
			}
			return e
		},
	} {
		m, _, w := announcing(t)
		m.answered(at(2*time.Second), w.set.Apply(m.row))
		e := ask(m)
		if e.write == nil {
			t.Errorf("%s: no write", name)
			continue
		}
		if c := e.write.set.Apply(m.row).Checkpoint; c.Pending != (checkpoint.Position{}) || c.State != nil {
			t.Errorf("%s: leaves %+v", name, c)
		}
	}
	m, _, w := announcing(t)
	m.answered(at(2*time.Second), w.set.Apply(m.row))
	if e := m.tick(at(time.Second + testRenew)); e.write == nil || e.write.set.Checkpoint != nil {
		t.Errorf("%+v: want a renewal that leaves it alone", e)
	}
	if e := m.release(at(2*time.Second + testRenew)); e.write != nil {
		t.Errorf("%+v: two writes in flight", e)
	}
}

// A commit of the position that is stored already waits for the write that takes the announcement away, not for one that was on its way before.
func TestACommitIsNotAnsweredByAnEarlierRenewal(t *testing.T) {
	t.Parallel()
	m := holding(t)
	_, e, err := m.prepare(at(0), pos(5), nil)
	if err != nil {
		t.Fatal(err)
	}
	m.answered(at(0), e.write.set.Apply(m.row))
	renewal := m.tick(at(testRenew)).write
	id, _, err := m.store(at(testRenew), pos(5))
	if err != nil || id == 0 {
		t.Fatalf("id %d, %v: want a write of its own", id, err)
	}
	e = m.answered(at(testRenew), renewal.set.Apply(m.row))
	if _, ok := ackOf(e, id); ok || e.write == nil || e.write.set.Checkpoint == nil {
		t.Fatalf("%+v: want the commit written", e)
	}
	e = m.answered(at(testRenew), e.write.set.Apply(m.row))
	if err, ok := ackOf(e, id); !ok || err != nil || m.announced() {
		t.Fatalf("%+v, %+v", e, m.row.Checkpoint)
	}
}

// The row that refuses the second attempt tells whether the first was applied: by what is pending in it, not by the position alone.
func TestAnAnnouncementIsReadBack(t *testing.T) {
	t.Parallel()
	m, id, w := announcing(t)
	before := m.row
	m.unanswered(at(2 * time.Second))
	m.tick(at(2*time.Second + testRetry))
	applied := w.set.Apply(before)
	e := m.refused(at(3*time.Second), &applied, false)
	if err, ok := ackOf(e, id); !ok || err != nil || m.row.Checkpoint.Pending != pos(7) {
		t.Errorf("%+v: want it found applied", e)
	}

	// An earlier renewal is what was applied, and left no announcement: it is made now.
	m = holding(t)
	mustAdmit(t, m, at(time.Second), pos(9))
	renewal := m.tick(at(testRenew)).write
	id, _, err := m.prepare(at(testRenew), pos(7), []byte("seven"))
	if err != nil {
		t.Fatal(err)
	}
	before = m.row
	m.unanswered(at(testRenew + 1))
	m.tick(at(testRenew + 1 + testRetry))
	applied = renewal.set.Apply(before)
	e = m.refused(at(testRenew+time.Second), &applied, false)
	if _, ok := ackOf(e, id); ok || e.write == nil || e.write.pending != pos(7) || *e.write.when.Counter != 102 {
		t.Errorf("%+v: want it announced with the next counter", e)
	}

	// Somebody else's announcement is not ours.
	m, _, w = announcing(t)
	applied = w.set.Apply(m.row)
	applied.Checkpoint.State = []byte("eight")
	wantLost(t, m, m.refused(at(2*time.Second), &applied, false))
}

func TestAnnouncementsAreWrittenOneByOneBehindCheckpoints(t *testing.T) {
	t.Parallel()
	m, w := renewing(t)
	mustAdmit(t, m, at(testRenew), pos(9))
	low, _, _ := m.prepare(at(testRenew), pos(6), []byte("six"))
	first, _, _ := m.prepare(at(testRenew), pos(8), []byte("a"))
	second, _, _ := m.prepare(at(testRenew), pos(8), []byte("b"))
	stored, _, err := m.store(at(testRenew), pos(7))
	if err != nil {
		t.Fatal(err)
	}
	e := m.answered(at(testRenew), w.set.Apply(m.row))
	var acks []ack
	for range 3 {
		acks = append(acks, e.acks...)
		e = m.answered(at(testRenew), e.write.set.Apply(m.row))
	}
	acks = append(acks, e.acks...)
	want := []ack{{stored, nil}, {low, checkpoint.ErrBackwards}, {first, nil}, {second, nil}}
	if !slices.EqualFunc(acks, want, func(a, b ack) bool { return a.id == b.id && errors.Is(a.err, b.err) }) {
		t.Errorf("answers %+v, want %+v", acks, want)
	}
	if c := m.row.Checkpoint; c.Position != pos(7) || c.Pending != pos(8) || string(c.State) != "b" {
		t.Errorf("stands as %+v", c)
	}
}

func TestAnAnnouncementIsJudgedAsACheckpointIs(t *testing.T) {
	t.Parallel()
	m := holding(t)
	mustAdmit(t, m, at(0), pos(8))
	if err := m.mark(pos(7)); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		p    checkpoint.Position
		want error
	}{
		"before the stored position": {pos(4), checkpoint.ErrBackwards},
		"before what was marked":     {pos(6), checkpoint.ErrBackwards},
		"past what was delivered":    {pos(9), checkpoint.ErrNotDelivered},
	} {
		if _, _, err := m.prepare(at(0), c.p, nil); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	_, e, err := m.prepare(at(0), pos(8), nil)
	if err != nil || e.write == nil || e.write.position != pos(7) {
		t.Fatalf("%v, %+v: what was marked rides along", err, e)
	}
	if _, _, err := m.prepare(at(testValid), pos(8), nil); !errors.Is(err, ErrLost) {
		t.Errorf("after the loss: %v", err)
	}
}

func TestALostTenureAnswersItsAnnouncements(t *testing.T) {
	t.Parallel()
	m, id, _ := announcing(t)
	waiting, _, err := m.prepare(at(time.Second), pos(8), nil)
	if err != nil {
		t.Fatal(err)
	}
	e := m.tick(at(testValid))
	wantLost(t, m, e)
	if err, ok := ackOf(e, id); !ok || !errors.Is(err, ErrLost) || !errors.Is(err, checkpoint.ErrUncertain) {
		t.Errorf("one that was sent: %v", err)
	}
	if err, ok := ackOf(e, waiting); !ok || !errors.Is(err, ErrLost) || errors.Is(err, checkpoint.ErrUncertain) {
		t.Errorf("one that was not sent: %v", err)
	}
}
