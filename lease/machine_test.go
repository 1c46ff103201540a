package lease

import (
	"errors"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
)

var epoch = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// at is a moment of a host whose two clocks agree.
func at(d time.Duration) instant { return instant{mono: d, wall: epoch.Add(d)} }

// skewed is a moment at which the wall clock is ahead of the monotonic one.
func skewed(mono, ahead time.Duration) instant {
	return instant{mono: mono, wall: epoch.Add(mono + ahead)}
}

func pos(n int) checkpoint.Position {
	p, err := checkpoint.At(strconv.Itoa(n), 0)
	if err != nil {
		panic(err)
	}
	return p
}

const (
	testFailover = 10 * time.Second
	testMargin   = 500 * time.Millisecond
	testValid    = testFailover - testMargin
	testRenew    = 3 * time.Second
	testRetry    = 400 * time.Millisecond
	testHandoff  = 30 * time.Second
)

var testTiming = timing{valid: testValid, margin: testMargin, renew: testRenew, retry: testRetry, handoff: testHandoff}

func freeRow() Lease {
	return Lease{Key: "s", Counter: 100, Checkpoint: checkpoint.Checkpoint{Position: pos(5)}}
}

// holding returns a tenure whose take was sent at 0 and answered at once: counter 101, position 5.
func holding(t *testing.T) *machine {
	t.Helper()
	m, e := take("me", testTiming, freeRow(), testFailover, at(0))
	if e.write == nil {
		t.Fatal("a take emits no write")
	}
	if e = m.answered(at(0), e.write.set.Apply(freeRow())); !e.acquired || m.phase != held {
		t.Fatalf("answered take: %+v, phase %d", e, m.phase)
	}
	return m
}

// renewing returns a tenure whose first renewal is under way since testRenew.
func renewing(t *testing.T) (*machine, *write) {
	t.Helper()
	m := holding(t)
	e := m.tick(at(testRenew))
	if e.write == nil || e.write.purpose != forRenewal {
		t.Fatalf("no renewal when one is due: %+v", e)
	}
	return m, e.write
}

func mustAdmit(t *testing.T, m *machine, now instant, p checkpoint.Position) {
	t.Helper()
	if _, err := m.admit(now, p); err != nil {
		t.Fatalf("admit at %v: %v", now.mono, err)
	}
}

func validUntil(t *testing.T, m *machine, end time.Duration) {
	t.Helper()
	mustAdmit(t, m, at(end-1), checkpoint.Position{})
	if _, err := m.admit(at(end), checkpoint.Position{}); !errors.Is(err, ErrLost) {
		t.Fatalf("admit at the end of validity: %v, want ErrLost", err)
	}
}

func ackOf(e effects, id int) (error, bool) {
	for _, a := range e.acks {
		if a.id == id {
			return a.err, true
		}
	}
	return nil, false
}

func wantLost(t *testing.T, m *machine, e effects) {
	t.Helper()
	if !e.over || !e.cancel || m.phase != over || !errors.Is(m.why, ErrLost) {
		t.Fatalf("effects %+v, phase %d, why %v: want lost, with its context cancelled", e, m.phase, m.why)
	}
}

// What the row that refused a renewal looks like decides what becomes of the tenure.
func TestRefusalIsReadByTheRowThatRefused(t *testing.T) {
	t.Parallel()
	mine := freeRow()
	mine.Owner, mine.Counter, mine.FailoverTime = "me", 101, testFailover
	edit := func(f func(*Lease)) *Lease { l := mine; f(&l); return &l }
	for name, c := range map[string]struct {
		current *Lease
		absent  bool
		lost    bool
		read    bool
		counter int64
	}{
		"no such row":                          {absent: true, lost: true},
		"the store cannot say":                 {read: true},
		"another owner":                        {current: edit(func(l *Lease) { l.Owner, l.Counter = "you", 102 }), lost: true},
		"another owner, same counter":          {current: edit(func(l *Lease) { l.Owner = "you" }), lost: true},
		"no owner, counter moved":              {current: edit(func(l *Lease) { l.Owner, l.Counter = "", 102 }), lost: true},
		"KCL 3 hand-off":                       {current: edit(func(l *Lease) { l.CheckpointOwner = "me" }), lost: true},
		"KCL 3 hand-off, counter of ours":      {current: edit(func(l *Lease) { l.CheckpointOwner, l.Counter = "me", 102 }), lost: true},
		"our work":                             {current: edit(func(l *Lease) { l.Counter = 102 }), counter: 102},
		"our counter, position of a stranger":  {current: edit(func(l *Lease) { l.Counter, l.Checkpoint.Position = 102, pos(3) }), lost: true},
		"position edited, counter untouched":   {current: edit(func(l *Lease) { l.Checkpoint.Position = pos(3) }), lost: true},
		"nothing differs: a stale answer":      {current: edit(func(l *Lease) {}), read: true},
		"counter two ahead":                    {current: edit(func(l *Lease) { l.Counter = 103 }), lost: true},
		"counter behind, row made anew or so":  {current: edit(func(l *Lease) { l.Counter = 100 }), lost: true},
		"our counter, finished by a stranger":  {current: edit(func(l *Lease) { l.Counter, l.Checkpoint.Position = 102, checkpoint.ShardEnd }), lost: true},
		"our counter, forward by a stranger":   {current: edit(func(l *Lease) { l.Counter, l.Checkpoint.Position = 102, pos(9) }), lost: true},
		"our counter, rewound to the horizon":  {current: edit(func(l *Lease) { l.Counter, l.Checkpoint.Position = 102, checkpoint.TrimHorizon }), lost: true},
		"counter far ahead, our owner, edited": {current: edit(func(l *Lease) { l.Counter, l.Checkpoint.Position = 110, pos(3) }), lost: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, _ := renewing(t)
			e := m.refused(at(testRenew+time.Second), c.current, c.absent)
			switch {
			case c.lost:
				wantLost(t, m, e)
				return
			case c.read:
				if !e.read || e.over || e.write != nil {
					t.Fatalf("effects %+v, want a read", e)
				}
				e = m.readBack(at(testRenew+2*time.Second), c.current)
				if c.current == nil {
					wantLost(t, m, e)
				} else if e.write == nil || *e.write.when.Counter != 101 {
					t.Fatalf("effects %+v, want the write again, with the same counter", e)
				}
				return
			}
			if e.over || m.row.Counter != c.counter {
				t.Fatalf("over %v, counter %d, want held at %d", e.over, m.row.Counter, c.counter)
			}
			validUntil(t, m, testRenew+testValid)
		})
	}
}

func TestStaleAnswersAreBelievedThreeTimesAtMost(t *testing.T) {
	t.Parallel()
	m, w := renewing(t)
	stale := m.row
	now := testRenew
	for n := 1; ; n++ {
		now += 10 * time.Millisecond
		e := m.refused(at(now), &stale, false)
		if !e.read {
			t.Fatalf("refusal %d: %+v, want a read", n, e)
		}
		now += 10 * time.Millisecond
		e = m.readBack(at(now), &stale)
		if e.over {
			if n != maxRereads {
				t.Fatalf("given up after %d, want %d", n, maxRereads)
			}
			wantLost(t, m, e)
			return
		}
		if e.write == nil || *e.write.when.Counter != *w.when.Counter {
			t.Fatalf("read %d: %+v, want the write again", n, e)
		}
		if n > maxRereads {
			t.Fatal("no end")
		}
	}
}

func TestRowThatIsGoneWhenReadMeansLost(t *testing.T) {
	t.Parallel()
	m, _ := renewing(t)
	m.refused(at(testRenew), nil, false)
	wantLost(t, m, m.readBack(at(testRenew), nil))
}

// Others saw the counter move at some time after the request left, never before; so belief counts from the request that did it, or, if only the row shows that it
// was done, from the first that can have.
func TestBeliefCountsFromTheRequestThatProvesIt(t *testing.T) {
	t.Parallel()
	first, second := testRenew, testRenew+2*time.Second
	start := func(t *testing.T) (*machine, *write) {
		m, w := renewing(t)
		if e := m.unanswered(at(second - testRetry)); e.over {
			t.Fatal("lost by one request without an answer")
		}
		e := m.tick(at(second))
		if e.write == nil || *e.write.when.Counter != *w.when.Counter {
			t.Fatalf("second attempt: %+v, want the same counter", e)
		}
		return m, e.write
	}
	t.Run("direct answer", func(t *testing.T) {
		t.Parallel()
		m, w := start(t)
		m.answered(at(second+time.Second), w.set.Apply(m.row))
		validUntil(t, m, second+testValid)
	})
	t.Run("read back from the refusal", func(t *testing.T) {
		t.Parallel()
		m, w := start(t)
		row := w.set.Apply(m.row)
		if e := m.refused(at(second+time.Second), &row, false); e.over {
			t.Fatal("our own work taken for a stranger's")
		}
		validUntil(t, m, first+testValid)
	})
	t.Run("read back by a read", func(t *testing.T) {
		t.Parallel()
		m, w := start(t)
		row := w.set.Apply(m.row)
		m.refused(at(second+time.Second), nil, false)
		m.readBack(at(second+time.Second), &row)
		validUntil(t, m, first+testValid)
	})
	t.Run("first answer late", func(t *testing.T) {
		t.Parallel()
		m, w := renewing(t)
		m.answered(at(testRenew+1500*time.Millisecond), w.set.Apply(m.row))
		validUntil(t, m, testRenew+testValid)
	})
}

func TestTakeCountsFromItsOwnRequest(t *testing.T) {
	t.Parallel()
	m, e := take("me", testTiming, freeRow(), testFailover, at(0))
	w := e.write
	if e.acquired || w.purpose != forTake || *w.when.Counter != 100 || *w.when.Owner != "" || *w.set.Owner != "me" || w.set.FailoverTime != testFailover {
		t.Fatalf("take: %+v", w)
	}
	if _, err := m.admit(at(0), pos(6)); !errors.Is(err, ErrLost) {
		t.Fatalf("admit before the take is answered: %v", err)
	}
	m.unanswered(at(2 * time.Second))
	e = m.tick(at(2*time.Second + testRetry))
	if e.write != w {
		t.Fatalf("take is not repeated as it was: %+v", e.write)
	}
	m.answered(at(3*time.Second), w.set.Apply(freeRow()))
	validUntil(t, m, 2*time.Second+testRetry+testValid)
}

func TestATakeWithoutAnAnswerIsLeftToTheNextLook(t *testing.T) {
	t.Parallel()
	m, e := take("me", testTiming, freeRow(), testFailover, at(0))
	for range takeAttempts {
		e = m.unanswered(m.sent)
		if m.phase == over {
			break
		}
		now, ok := m.wake()
		if !ok {
			t.Fatal("no wake between two attempts of a take")
		}
		m.tick(at(now))
	}
	if m.phase != over || e.cancel || !errors.Is(m.why, ErrLost) {
		t.Fatalf("phase %d after %d attempts without an answer", m.phase, takeAttempts)
	}
}

// A take may be sent for a row as it stood before a former tenure of ours, whose work is then what refuses it. Others have watched that counter since, so
// belief counts from the claim that follows.
func TestTakeOfAStaleRowIsNotProvedByOldWork(t *testing.T) {
	t.Parallel()
	m, w := renewing(t) // 101, then 102 answered
	m.answered(at(testRenew), w.set.Apply(m.row))
	table := m.row
	late := testRenew + testValid
	wantLost(t, m, m.tick(at(late)))
	stale := table
	stale.Counter = 101

	for name, listed := range map[string]Lease{"our row before a renewal": stale, "the row before our take": freeRow()} {
		again, _ := take("me", testTiming, listed, testFailover, at(late))
		e := again.refused(at(late+time.Second), &table, false)
		if e.acquired || e.write == nil {
			t.Fatalf("%s: %+v, phase %d: believed on old work", name, e, again.phase)
		}
		again.answered(at(late+2*time.Second), e.write.set.Apply(table))
		validUntil(t, again, late+time.Second+testValid)
	}
}

func TestTakeThatIsAnsweredTooLateNeverBegins(t *testing.T) {
	t.Parallel()
	m, e := take("me", testTiming, freeRow(), testFailover, at(0))
	e = m.answered(at(testValid), e.write.set.Apply(freeRow()))
	if e.acquired || !e.over {
		t.Fatalf("%+v: a lease whose time is over was acquired", e)
	}
}

func TestTakeStartsFromTheRowItsAnswerShows(t *testing.T) {
	t.Parallel()
	m, e := take("me", testTiming, freeRow(), testFailover, at(0))
	edited := freeRow()
	edited.Checkpoint.Position = pos(2)
	m.answered(at(0), e.write.set.Apply(edited))
	if m.row.Checkpoint.Position != pos(2) || m.permitted != pos(2) {
		t.Fatalf("starts at %v, permits %v; want what the answer shows", m.row.Checkpoint.Position, m.permitted)
	}
}

func TestTakeFromAnotherOwnerCountsTheSwitch(t *testing.T) {
	t.Parallel()
	row := freeRow()
	row.Owner, row.OwnerSwitches, row.CheckpointOwner = "you", 4, "x"
	_, e := take("me", testTiming, row, testFailover, at(0))
	got := e.write.set.Apply(row)
	if got.OwnerSwitches != 5 || got.CheckpointOwner != "" || *e.write.when.Owner != "you" {
		t.Fatalf("take leaves %+v", got)
	}
}

func TestBeliefEndsByEitherClock(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		now  instant
		want error
	}{
		"within":                       {at(testValid - 1), nil},
		"monotonic over":               {at(testValid), ErrLost},
		"wall over, within the margin": {skewed(testValid-testMargin, testMargin), ErrLost},
		"wall a margin ahead":          {skewed(time.Second, testMargin), nil},
		"wall more than that ahead":    {skewed(time.Second, testMargin+1), errDoubt},
		"suspended for an hour":        {skewed(time.Second, time.Hour), errDoubt},
		"wall set back":                {skewed(time.Second, -time.Hour), nil},
		"wall set back, time over":     {skewed(testValid, -time.Hour), ErrLost},
		"suspended, monotonic over":    {skewed(testValid, time.Hour), ErrLost},
	} {
		if _, err := holding(t).admit(c.now, pos(6)); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: admit answers %v, want %v", name, err, c.want)
		}
	}
}

func TestDoubtIsSettledByOneRenewal(t *testing.T) {
	t.Parallel()
	doubtful := func(t *testing.T) (*machine, *write) {
		m := holding(t)
		e, err := m.admit(skewed(time.Second, time.Hour), pos(6))
		if !errors.Is(err, errDoubt) || e.write == nil || !e.write.inDoubt || e.over {
			t.Fatalf("admit: %v, %+v; want a renewal at once", err, e)
		}
		if m.permitted != pos(5) {
			t.Fatal("a delivery that was not admitted permits its positions")
		}
		return m, e.write
	}
	t.Run("answered", func(t *testing.T) {
		t.Parallel()
		m, w := doubtful(t)
		if e := m.answered(skewed(1200*time.Millisecond, time.Hour), w.set.Apply(m.row)); !e.settled || e.over {
			t.Fatalf("%+v, want settled", e)
		}
		mustAdmit(t, m, skewed(1300*time.Millisecond, time.Hour), pos(6))
	})
	t.Run("refused", func(t *testing.T) {
		t.Parallel()
		m, _ := doubtful(t)
		row := m.row
		row.Owner, row.Counter = "you", 102
		e := m.refused(skewed(1200*time.Millisecond, time.Hour), &row, false)
		wantLost(t, m, e)
		if !e.settled {
			t.Fatal("nobody tells who waits for the end of the doubt")
		}
	})
	t.Run("unanswered", func(t *testing.T) {
		t.Parallel()
		m, _ := doubtful(t)
		wantLost(t, m, m.unanswered(skewed(2*time.Second, time.Hour)))
	})
	t.Run("an earlier renewal is no answer", func(t *testing.T) {
		t.Parallel()
		m, w := renewing(t)
		_, err := m.admit(skewed(testRenew+100*time.Millisecond, time.Hour), pos(6))
		if !errors.Is(err, errDoubt) {
			t.Fatalf("admit: %v", err)
		}
		e := m.answered(skewed(testRenew+200*time.Millisecond, time.Hour), w.set.Apply(m.row))
		if e.settled || e.write == nil || !e.write.inDoubt {
			t.Fatalf("%+v: a request that left before the clocks parted settles nothing; want another", e)
		}
	})
	t.Run("an earlier renewal without an answer is asked again", func(t *testing.T) {
		t.Parallel()
		m, _ := renewing(t)
		_, _ = m.admit(skewed(testRenew+100*time.Millisecond, time.Hour), pos(6))
		if e := m.unanswered(skewed(testRenew+200*time.Millisecond, time.Hour)); e.over {
			t.Fatal("lost for a request that was sent before the doubt")
		}
		e := m.tick(skewed(testRenew+200*time.Millisecond+testRetry, time.Hour))
		if e.write == nil || !e.write.inDoubt {
			t.Fatalf("%+v, want a renewal that settles it", e)
		}
	})
	t.Run("clock set back again", func(t *testing.T) {
		t.Parallel()
		m, _ := doubtful(t)
		_, e, err := m.store(at(1100*time.Millisecond), m.row.Checkpoint.Position)
		if err != nil || !e.settled {
			t.Fatalf("%v, %+v: who waits for the end of the doubt is not told that it ended", err, e)
		}
		mustAdmit(t, m, at(1200*time.Millisecond), pos(6))
	})
}

func TestRenewalsAreSentInTimeAndOneAtATime(t *testing.T) {
	t.Parallel()
	m := holding(t)
	if due, ok := m.wake(); !ok || due != testRenew {
		t.Fatalf("wake at %v, want %v", due, testRenew)
	}
	if e := m.tick(at(testRenew - 1)); e.write != nil {
		t.Fatal("renewed early")
	}
	w := m.tick(at(testRenew)).write
	if w == nil {
		t.Fatal("not renewed")
	}
	if due, ok := m.wake(); !ok || due != testValid {
		t.Fatalf("with a renewal under way: wake at %v, want the end of validity %v", due, testValid)
	}
	if e := m.tick(at(2 * testRenew)); e.write != nil {
		t.Fatal("a second write while one is under way")
	}
	mustAdmit(t, m, at(2*testRenew), pos(9))
	if _, e, err := m.store(at(2*testRenew), pos(9)); err != nil || e.write != nil {
		t.Fatalf("checkpoint: %v, %+v: a second write while one is under way", err, e)
	}
	m.unanswered(at(2*testRenew + time.Second))
	if due, _ := m.wake(); due != 2*testRenew+time.Second+testRetry {
		t.Fatalf("retry at %v", due)
	}
	if e := m.tick(at(2*testRenew + time.Second + testRetry)); e.write == nil || e.write.position != pos(9) {
		t.Fatalf("%+v: want one write with the checkpoint in it", e)
	}
	wantLost(t, m, m.tick(at(testValid)))
	if _, ok := m.wake(); ok {
		t.Fatal("a tenure that is over wants to be woken")
	}
}

func TestExplicitCheckpointsCoalesceAndAreAcknowledgedTogether(t *testing.T) {
	t.Parallel()
	m, renewal := renewing(t)
	mustAdmit(t, m, at(testRenew), pos(9))
	var ids []int
	for _, n := range []int{6, 8, 7} {
		id, e, err := m.store(at(testRenew), pos(n))
		if err != nil || id == 0 || e.write != nil || len(e.acks) > 0 {
			t.Fatalf("store %d: id %d, %v, %+v", n, id, err, e)
		}
		ids = append(ids, id)
	}
	e := m.answered(at(testRenew+1), renewal.set.Apply(m.row))
	if len(e.acks) > 0 {
		t.Fatal("acknowledged by a renewal that did not carry them")
	}
	w := e.write
	if w == nil || w.position != pos(8) || *w.when.Position != pos(5) || *w.when.Counter != 102 || *w.when.Owner != "me" || *w.when.CheckpointOwner != "" {
		t.Fatalf("%+v: want the highest, fenced by owner, counter and position", w)
	}
	if w.set.OwnerSwitches == nil || *w.set.OwnerSwitches != 0 {
		t.Fatal("a checkpoint does not reset the count of owner switches")
	}
	e = m.answered(at(testRenew+2), w.set.Apply(m.row))
	if !e.stored {
		t.Fatal("a stored position is not reported")
	}
	for _, id := range ids {
		if err, ok := ackOf(e, id); !ok || err != nil {
			t.Fatalf("wait %d: %v, %v", id, err, ok)
		}
	}
	validUntil(t, m, testRenew+1+testValid)
}

func TestMarkRidesOnTheNextWrite(t *testing.T) {
	t.Parallel()
	m := holding(t)
	mustAdmit(t, m, at(1), pos(9))
	if err := m.mark(pos(7)); err != nil {
		t.Fatal(err)
	}
	if e := m.tick(at(2)); e.write != nil {
		t.Fatal("a mark makes a request")
	}
	w := m.tick(at(testRenew)).write
	if w == nil || w.position != pos(7) || w.set.Checkpoint.Position != pos(7) {
		t.Fatalf("%+v: want the mark in the renewal", w)
	}
	m.answered(at(testRenew), w.set.Apply(m.row))
	e := m.release(at(testRenew + 1))
	if e.write == nil || e.write.set.Checkpoint != nil || e.write.when.Position != nil {
		t.Fatalf("%+v: a release without news carries a position", e.write)
	}

	m = holding(t)
	mustAdmit(t, m, at(1), pos(9))
	if err := m.mark(pos(9)); err != nil {
		t.Fatal(err)
	}
	if e := m.release(at(2)); e.write == nil || e.write.position != pos(9) || *e.write.set.Owner != "" {
		t.Fatalf("%+v: want the mark and the release in one write", e.write)
	}
}

func TestNothingIsStoredThatWasNotPermitted(t *testing.T) {
	t.Parallel()
	m := holding(t)
	mustAdmit(t, m, at(1), pos(7))
	for name, c := range map[string]struct {
		p    checkpoint.Position
		want error
	}{
		"backwards":      {pos(4), checkpoint.ErrBackwards},
		"horizon":        {checkpoint.TrimHorizon, checkpoint.ErrBackwards},
		"none":           {checkpoint.Position{}, checkpoint.ErrBackwards},
		"not delivered":  {pos(8), checkpoint.ErrNotDelivered},
		"end, by itself": {checkpoint.ShardEnd, checkpoint.ErrNotDelivered},
		"where it is":    {pos(5), nil},
		"delivered":      {pos(7), nil},
	} {
		if err := m.mark(c.p); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("mark %s: %v, want %v", name, err, c.want)
		}
		m2 := holding(t)
		mustAdmit(t, m2, at(1), pos(7))
		if _, _, err := m2.store(at(2), c.p); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("store %s: %v, want %v", name, err, c.want)
		}
	}
	m = holding(t)
	m.pass(pos(8))
	if err := m.mark(pos(8)); err != nil {
		t.Errorf("mark of what needed no delivery: %v", err)
	}
}

func TestCheckpointWithoutAnswerIsUncertain(t *testing.T) {
	t.Parallel()
	m := holding(t)
	mustAdmit(t, m, at(1), pos(9))
	low, e, _ := m.store(at(1), pos(7))
	if e.write == nil {
		t.Fatal("an explicit checkpoint waits for the renewal")
	}
	m.unanswered(at(2))
	if _, _, err := m.store(at(2), pos(6)); !errors.Is(err, checkpoint.ErrBackwards) {
		t.Fatalf("below what may be stored: %v", err)
	}
	high, _, err := m.store(at(2), pos(9)) // never sent: the pause after a request without an answer is not over
	if err != nil {
		t.Fatal(err)
	}
	e = m.tick(at(testValid))
	wantLost(t, m, e)
	if err, _ := ackOf(e, low); !errors.Is(err, checkpoint.ErrUncertain) || !errors.Is(err, ErrLost) {
		t.Errorf("sent: %v, want ErrUncertain beside ErrLost", err)
	}
	if err, ok := ackOf(e, high); !ok || errors.Is(err, checkpoint.ErrUncertain) || !errors.Is(err, ErrLost) {
		t.Errorf("never sent: %v, want ErrLost alone", err)
	}
}

func TestReadBackAcknowledgesOnlyWhatTheRowHolds(t *testing.T) {
	t.Parallel()
	m := holding(t)
	mustAdmit(t, m, at(1), pos(9))
	low, e, _ := m.store(at(1), pos(7))
	earlier := e.write
	m.unanswered(at(2))
	high, _, _ := m.store(at(2), pos(9))
	e = m.tick(at(2 * time.Second))
	if e.write == nil || e.write.position != pos(9) || *e.write.when.Counter != 101 {
		t.Fatalf("%+v: want the newer position with the same counter", e.write)
	}
	row := earlier.set.Apply(m.row) // the first request is the one that was applied
	e = m.refused(at(3*time.Second), &row, false)
	if err, ok := ackOf(e, low); !ok || err != nil {
		t.Errorf("what the row holds: %v, %v; want nil", err, ok)
	}
	if _, ok := ackOf(e, high); ok {
		t.Error("acknowledged what the row does not hold")
	}
	if e.write == nil || e.write.position != pos(9) || *e.write.when.Counter != 102 || *e.write.when.Position != pos(7) {
		t.Fatalf("%+v: want the newer position issued again on what was found", e.write)
	}
	validUntil(t, m, 1+testValid)
}

func TestAbandonedCheckpointRidesOnTheNextWrite(t *testing.T) {
	t.Parallel()
	m, renewal := renewing(t)
	mustAdmit(t, m, at(testRenew), pos(9))
	id, _, _ := m.store(at(testRenew), pos(8))
	if m.abandon(id) {
		t.Error("a position that was never sent may be stored")
	}
	e := m.answered(at(testRenew), renewal.set.Apply(m.row))
	if e.write != nil {
		t.Error("nobody waits, and a request is made")
	}
	w := m.tick(at(2 * testRenew)).write
	if w == nil || w.position != pos(8) {
		t.Fatalf("%+v: want the position on the next renewal", w)
	}
	id, _, _ = m.store(at(2*testRenew), pos(9))
	m.unanswered(at(2*testRenew + 1))
	m.tick(at(2*testRenew + 1 + testRetry))
	if !m.abandon(id) {
		t.Error("a position that was sent cannot be stored")
	}
	if e := m.tick(at(2*testRenew + testValid)); len(e.acks) > 0 {
		t.Errorf("an abandoned wait is answered: %+v", e.acks)
	}
}

func TestPositionEditedUnderARenewalEndsTheTenure(t *testing.T) {
	t.Parallel()
	m, w := renewing(t)
	row := w.set.Apply(m.row)
	row.Checkpoint.Position = pos(2)
	wantLost(t, m, m.answered(at(testRenew), row))
}

func TestLateAnswersAreIgnored(t *testing.T) {
	t.Parallel()
	m, w := renewing(t)
	row := w.set.Apply(m.row)
	wantLost(t, m, m.tick(at(testValid)))
	for name, e := range map[string]effects{
		"answered":   m.answered(at(testValid+1), row),
		"refused":    m.refused(at(testValid+1), &row, false),
		"read":       m.readBack(at(testValid+1), &row),
		"unanswered": m.unanswered(at(testValid + 1)),
		"tick":       m.tick(at(testValid + 2)),
		"release":    m.release(at(testValid + 2)),
	} {
		if e.write != nil || e.read || e.over || e.acquired || len(e.acks) > 0 {
			t.Errorf("%s after the end: %+v", name, e)
		}
	}
	if _, err := m.admit(at(testValid+1), pos(6)); !errors.Is(err, ErrLost) {
		t.Errorf("admit after the end: %v", err)
	}
	if err := m.mark(pos(5)); !errors.Is(err, ErrLost) {
		t.Errorf("mark after the end: %v", err)
	}
	if _, _, err := m.store(at(testValid+1), pos(5)); !errors.Is(err, ErrLost) {
		t.Errorf("store after the end: %v", err)
	}
	if _, err := m.end(at(testValid + 1)); !errors.Is(err, ErrLost) {
		t.Errorf("end after the end: %v", err)
	}
	if _, _, err := m.spawn(at(testValid+1), []string{"c"}); !errors.Is(err, ErrLost) {
		t.Errorf("spawn after the end: %v", err)
	}
}

// An answer that comes after the old proof has run out, before anybody noticed, is a new proof: nobody can have taken the lease in between.
func TestAnswerAfterTheEndOfAnOldProofIsANewOne(t *testing.T) {
	t.Parallel()
	m := holding(t)
	w := m.tick(at(testValid - 1)).write
	m.answered(at(testValid+time.Second), w.set.Apply(m.row))
	validUntil(t, m, testValid-1+testValid)
}

func spawned(t *testing.T, m *machine, now time.Duration, children ...string) {
	t.Helper()
	id, e, err := m.spawn(at(now), children)
	if err != nil || e.write == nil || !slices.Equal(e.write.set.Children, children) {
		t.Fatalf("spawn: %v, %+v", err, e)
	}
	e = m.answered(at(now), e.write.set.Apply(m.row))
	if err, ok := ackOf(e, id); !ok || err != nil {
		t.Fatalf("spawn answered: %v, %v", err, ok)
	}
}

func TestShardEndNeedsChildren(t *testing.T) {
	t.Parallel()
	m := holding(t)
	if e, err := m.end(at(1)); !errors.Is(err, errNoChildren) || e.write != nil {
		t.Fatalf("end without children: %v, %+v", err, e)
	}
	mustAdmit(t, m, at(1), pos(6))
	spawned(t, m, 2, "b", "a")
	if id, e, err := m.spawn(at(3), []string{"a", "b"}); id != 0 || err != nil || e.write != nil {
		t.Fatalf("the same children again: %d, %v, %+v", id, err, e)
	}
	e, err := m.end(at(4))
	if err != nil || e.write == nil || e.write.position != checkpoint.ShardEnd || *e.write.when.Position != pos(5) {
		t.Fatalf("end: %v, %+v", err, e)
	}
	if e = m.answered(at(5), e.write.set.Apply(m.row)); !e.over || m.why != nil || e.cancel {
		t.Fatalf("answered end: %+v, %v", e, m.why)
	}
}

func TestOverlappingSpawnsAreAllAnswered(t *testing.T) {
	t.Parallel()
	m, renewal := renewing(t)
	one, _, _ := m.spawn(at(testRenew), []string{"a", "b"})
	two, _, _ := m.spawn(at(testRenew), []string{"b", "a"})
	e := m.answered(at(testRenew), renewal.set.Apply(m.row))
	e = m.answered(at(testRenew), e.write.set.Apply(m.row))
	for _, id := range []int{one, two} {
		if err, ok := ackOf(e, id); !ok || err != nil {
			t.Errorf("spawn %d: %v, %v", id, err, ok)
		}
	}
	m = holding(t)
	one, _, _ = m.spawn(at(1), []string{"a"})
	m.unanswered(at(2))
	e = m.tick(at(testValid))
	if err, ok := ackOf(e, one); !ok || !errors.Is(err, ErrLost) {
		t.Errorf("spawn of a lost lease: %v, %v", err, ok)
	}
}

// A release or an end that is on its way may be applied at any time, and the next owner may start at that time.
func TestBeliefIsOverWhenAReleaseOrAnEndIsEmitted(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(*testing.T, *machine) effects{
		"release": func(_ *testing.T, m *machine) effects { return m.release(at(10)) },
		"end": func(t *testing.T, m *machine) effects {
			spawned(t, m, 9, "c")
			e, err := m.end(at(10))
			if err != nil {
				t.Fatal(err)
			}
			return e
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			closed := func(m *machine, when string, now time.Duration) {
				t.Helper()
				if _, err := m.admit(at(now), pos(7)); !errors.Is(err, ErrLost) {
					t.Fatalf("admit %s: %v", when, err)
				}
				if err := m.mark(pos(6)); !errors.Is(err, ErrLost) {
					t.Fatalf("mark %s: %v", when, err)
				}
			}
			m := holding(t)
			mustAdmit(t, m, at(1), pos(6))
			e := leave(t, m)
			w := e.write
			if w == nil || m.phase != closing {
				t.Fatalf("%+v, phase %d", e, m.phase)
			}
			closed(m, "while it is on its way", 11)
			m.unanswered(at(time.Second))
			closed(m, "after it was not answered", time.Second)
			again := m.tick(at(2 * time.Second)).write
			if again == nil || again.purpose != w.purpose || *again.when.Counter != *w.when.Counter {
				t.Fatalf("not repeated: %+v", again)
			}
			row := w.set.Apply(m.row)
			if e = m.refused(at(3*time.Second), &row, false); !e.over || m.why != nil {
				t.Fatalf("own work not recognised: %+v, %v", e, m.why)
			}
			closed(m, "when it is over", 3*time.Second)
		})
	}
}

func TestReleaseIsRepeatedWhileTheLeaseLastsAndNoLonger(t *testing.T) {
	t.Parallel()
	m := holding(t)
	m.release(at(1))
	sent := 1
	var e effects
	for {
		now := m.sent.mono + time.Second
		m.unanswered(at(now))
		due, ok := m.wake()
		if !ok {
			t.Fatal("nothing wakes a release that was not answered")
		}
		if e = m.tick(at(due)); e.write == nil {
			break
		}
		sent++
	}
	if !e.over || !errors.Is(m.why, ErrLost) || e.cancel {
		t.Fatalf("%+v, %v: want the row left to expire", e, m.why)
	}
	if m.sent.mono >= testValid || sent < 5 {
		t.Fatalf("%d requests, the last at %v; want as many as fit before %v", sent, m.sent.mono, testValid)
	}
}

func TestEndWithoutAnswerIsUncertain(t *testing.T) {
	t.Parallel()
	m := holding(t)
	spawned(t, m, 1, "c")
	if _, err := m.end(at(2)); err != nil {
		t.Fatal(err)
	}
	m.unanswered(at(3))
	if e := m.tick(at(1 + testValid)); !e.over || !errors.Is(m.why, checkpoint.ErrUncertain) || !errors.Is(m.why, ErrLost) {
		t.Fatalf("%+v, %v", e, m.why)
	}
}

func TestReleaseWaitsForTheWriteInFlight(t *testing.T) {
	t.Parallel()
	m, renewal := renewing(t)
	if e := m.release(at(testRenew + 1)); e.write != nil || e.over {
		t.Fatalf("%+v: two writes in flight", e)
	}
	if _, err := m.admit(at(testRenew+1), pos(6)); !errors.Is(err, ErrLost) {
		t.Fatalf("admit after the lease was given up: %v", err)
	}
	e := m.answered(at(testRenew+2), renewal.set.Apply(m.row))
	if e.write == nil || e.write.purpose != forRelease || *e.write.when.Counter != 102 {
		t.Fatalf("%+v: want the release", e)
	}

	// The renewal was applied, and its answer lost; the release that expected the same counter finds it, and is issued again.
	m, renewal = renewing(t)
	m.release(at(testRenew + 1))
	m.unanswered(at(testRenew + 2))
	e = m.tick(at(testRenew + 2 + testRetry))
	if e.write == nil || e.write.purpose != forRelease || *e.write.when.Counter != 101 {
		t.Fatalf("%+v: want the release, with the counter that is known", e)
	}
	row := renewal.set.Apply(m.row)
	e = m.refused(at(testRenew+2+testRetry), &row, false)
	if e.over || e.write == nil || e.write.purpose != forRelease || *e.write.when.Counter != 102 {
		t.Fatalf("%+v: want the release again", e)
	}
	if _, err := m.admit(at(testRenew+2+testRetry), pos(6)); !errors.Is(err, ErrLost) {
		t.Fatalf("belief came back: %v", err)
	}
}

func TestEndAfterReleaseIsRefused(t *testing.T) {
	t.Parallel()
	m := holding(t)
	spawned(t, m, 1, "c")
	m.release(at(2))
	if _, err := m.end(at(3)); !errors.Is(err, ErrLost) {
		t.Fatalf("end while the release is on its way: %v", err)
	}
	m.unanswered(at(4))
	if w := m.tick(at(time.Second)).write; w == nil || w.purpose != forRelease {
		t.Fatalf("%+v: the release became something else", w)
	}
}
