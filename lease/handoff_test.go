package lease

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
)

// request puts a request into the machine's row as the store has it: the answer to the write in flight shows it.
func withRequest(l Lease, by, of string) Lease {
	l.AskedBy, l.AskedOf = by, of
	return l
}

// asked returns a tenure that has heard a request of "you" at testRenew. Position 5 is stored, 9 may be, 7 is marked.
func asked(t *testing.T) *machine {
	t.Helper()
	m, w := renewing(t)
	mustAdmit(t, m, at(testRenew), pos(9))
	if err := m.mark(pos(7)); err != nil {
		t.Fatal(err)
	}
	e := m.answered(at(testRenew), withRequest(w.set.Apply(m.row), "you", "me"))
	if !e.asked || m.request != "you" {
		t.Fatalf("%+v, request %q: not heard", e, m.request)
	}
	return m
}

func TestARequestIsHeardIfItIsForThisOwner(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		by, of string
		heard  bool
	}{
		"of us":                {"you", "me", true},
		"of a former owner":    {"you", "they", false},
		"of nobody":            {"you", "", false},
		"by nobody":            {"", "me", false},
		"none":                 {"", "", false},
		"by ourselves, oddly":  {"me", "me", false},
		"ours, of someone":     {"me", "they", false},
		"of one like us":       {"you", "me2", false},
		"of the empty and us?": {"", "", false},
	} {
		m, w := renewing(t)
		e := m.answered(at(testRenew), withRequest(w.set.Apply(m.row), c.by, c.of))
		if e.asked != c.heard || (m.request != "") != c.heard || m.stays(at(testRenew)) == c.heard {
			t.Errorf("%s: asked %v, request %q, want heard %v", name, e.asked, m.request, c.heard)
		}
		if e := m.tick(at(2 * testRenew)); e.write == nil || e.write.set.Owner != nil || e.asked {
			t.Errorf("%s: %+v: want a renewal like any other", name, e)
		}
	}
}

func TestAGiveIsOneWriteWithTheFinalPosition(t *testing.T) {
	t.Parallel()
	m := asked(t)
	m.row.OwnerSwitches = 4
	e := m.release(at(testRenew + 1))
	w := e.write
	if w == nil || w.purpose != forGive || m.phase != closing {
		t.Fatalf("%+v, phase %d: want a give", e, m.phase)
	}
	for what, ok := range map[string]bool{
		"owner":            *w.when.Owner == "me",
		"counter":          *w.when.Counter == 102,
		"checkpoint owner": *w.when.CheckpointOwner == "",
		"request":          *w.when.AskedBy == "you" && *w.when.AskedOf == "me",
		"position":         *w.when.Position == pos(5),
	} {
		if !ok {
			t.Errorf("%s: condition %+v", what, w.when)
		}
	}
	got := w.set.Apply(m.row)
	if got.Owner != "you" || got.Speaks != "you" || got.AskedBy != "" || got.AskedOf != "" || got.Counter != 103 || got.Checkpoint.Position != pos(7) || got.OwnerSwitches != 1 {
		t.Errorf("the row after it: %+v", got)
	}
	if e = m.answered(at(testRenew+2), got); !e.over || e.cancel || m.why != nil {
		t.Errorf("%+v, %v: want the tenure over in good order", e, m.why)
	}
}

// A give that is on its way may be applied at any time: whatever its answer, this tenure never believes again.
func TestBeliefIsOverWhenAGiveIsEmitted(t *testing.T) {
	t.Parallel()
	closed := func(m *machine, when string, now time.Duration) {
		t.Helper()
		if _, err := m.admit(at(now), pos(8)); !errors.Is(err, ErrLost) {
			t.Fatalf("admit %s: %v", when, err)
		}
		if m.stays(at(now)) {
			t.Fatalf("%s: user code would be called again", when)
		}
	}
	m := asked(t)
	first := m.release(at(testRenew + 1)).write
	closed(m, "while the give is on its way", testRenew+2)
	m.unanswered(at(testRenew + time.Second))
	closed(m, "after it was not answered", testRenew+time.Second)
	again := m.tick(at(testRenew + 2*time.Second)).write
	if again == nil || again.purpose != forGive || again.owner != "you" || *again.when.Counter != *first.when.Counter || again.position != first.position {
		t.Fatalf("%+v: want the same write again", again)
	}

	// The request was taken back: a refusal does not bring belief back, but the lease is released at once.
	row := withRequest(m.row, "", "")
	e := m.refused(at(testRenew+3*time.Second), &row, false)
	closed(m, "after it was refused", testRenew+3*time.Second)
	if !e.read {
		t.Fatalf("%+v: want a read, the answer may be stale", e)
	}
	e = m.readBack(at(testRenew+3*time.Second), &row)
	w := e.write
	if w == nil || w.purpose != forRelease || *w.set.Owner != "" || *w.set.Speaks != "" || *w.when.Counter != *first.when.Counter || w.position != pos(7) {
		t.Fatalf("%+v: want a release that expects the same counter", e)
	}
	closed(m, "while the release is on its way", testRenew+4*time.Second)

	// It was the give that was applied.
	row = first.set.Apply(withRequest(m.row, "you", "me"))
	if e = m.refused(at(testRenew+5*time.Second), &row, false); !e.over || m.why != nil {
		t.Fatalf("own give not recognised: %+v, %v", e, m.why)
	}
	closed(m, "when it is over", testRenew+6*time.Second)
}

func TestAGiveIsRepeatedWhileTheLeaseLastsAndNoLonger(t *testing.T) {
	t.Parallel()
	m := asked(t)
	m.release(at(testRenew + 1))
	for {
		m.unanswered(at(m.sent.mono + time.Second))
		due, ok := m.wake()
		if !ok {
			t.Fatal("nothing wakes a give that was not answered")
		}
		e := m.tick(at(due))
		if e.write == nil {
			if !e.over || !errors.Is(m.why, ErrLost) || e.cancel || due < testRenew+testValid {
				t.Fatalf("at %v: %+v, %v: want the row left to expire", due, e, m.why)
			}
			return
		}
		if e.write.purpose != forGive || *e.write.when.Counter != 102 {
			t.Fatalf("%+v: want the same give", e.write)
		}
	}
}

func TestARequestIsDeclinedWhenUserCodeTakesTooLong(t *testing.T) {
	t.Parallel()
	m := asked(t)
	now := testRenew
	for now < testRenew+testHandoff {
		at0, _ := m.wake()
		now = at0
		if e := m.tick(at(now)); e.write != nil {
			if e.write.set.AskedBy != nil && now < testRenew+testHandoff {
				t.Fatalf("declined at %v, %v after it was heard", now, now-testRenew)
			}
			m.answered(at(now), e.write.set.Apply(m.row))
		}
	}
	if m.request != "" || m.declined != "you" && m.row.AskedBy != "" || !m.stays(at(now)) {
		t.Fatalf("at %v: request %q, declined %q", now, m.request, m.declined)
	}
	mustAdmit(t, m, at(now), pos(10))

	// It is too late at the moment at which the time is over, whether or not anybody woke up before.
	m = asked(t)
	m.from = at(testRenew + testHandoff)
	if m.stays(at(testRenew + testHandoff - 1)) {
		t.Fatal("a request that is open leaves the lease here")
	}
	if !m.stays(at(testRenew + testHandoff)) {
		t.Fatal("a request is honoured after its time")
	}

	// The removal rides on the renewal; one without an answer is repeated with it.
	m = asked(t)
	m.decline()
	w := m.tick(at(2 * testRenew)).write
	if w == nil || w.purpose != forRenewal || w.set.AskedBy == nil || *w.set.AskedBy != "" || *w.set.AskedOf != "" || w.set.Owner != nil {
		t.Fatalf("%+v: want a renewal that takes the request out of the row", w)
	}
	e := m.answered(at(2*testRenew), withRequest(w.set.Apply(m.row), "you", "me"))
	if e.asked != false || m.request != "" {
		t.Fatalf("%+v: a request that was declined is heard again, and nothing says that it is another", e)
	}
	w = m.tick(at(3 * testRenew)).write
	if w.set.AskedBy == nil {
		t.Fatal("the request is still in the row, and the next renewal leaves it there")
	}
	m.answered(at(3*testRenew), w.set.Apply(m.row))
	w = m.tick(at(4 * testRenew)).write
	if w.set.AskedBy != nil {
		t.Fatal("a request that came after it would be declined unheard")
	}
	if e = m.answered(at(4*testRenew), withRequest(w.set.Apply(m.row), "you", "me")); !e.asked {
		t.Fatal("a new request is not heard")
	}
	mustAdmit(t, m, at(4*testRenew), pos(11))
}

// Whether the lease goes is decided when user code returns: a request that was taken back by then costs the call of serve, not the lease.
func TestARequestThatIsTakenBackLeavesTheLease(t *testing.T) {
	t.Parallel()
	m := asked(t)
	w := m.tick(at(2 * testRenew)).write
	e := m.answered(at(2*testRenew), withRequest(w.set.Apply(m.row), "", ""))
	if e.asked || m.request != "" || !m.stays(at(2*testRenew)) {
		t.Fatalf("%+v, request %q", e, m.request)
	}
	mustAdmit(t, m, at(2*testRenew), pos(10))

	// Another asks instead.
	w = m.tick(at(3 * testRenew)).write
	if e = m.answered(at(3*testRenew), withRequest(w.set.Apply(m.row), "they", "me")); !e.asked || m.request != "they" {
		t.Fatalf("%+v, request %q", e, m.request)
	}
	if w = m.release(at(3 * testRenew)).write; w == nil || w.owner != "they" || *w.when.AskedBy != "they" {
		t.Fatalf("%+v: want it given to who asks now", w)
	}
}

func TestWithoutARequestTheHeirGetsTheLease(t *testing.T) {
	t.Parallel()
	m := holding(t)
	m.row.OwnerSwitches = 4
	m.heir = "heir"
	w := m.release(at(1)).write
	got := w.set.Apply(m.row)
	if w.purpose != forGive || w.when.AskedBy != nil || got.Owner != "heir" || got.Speaks != "heir" || got.OwnerSwitches != 5 {
		t.Fatalf("%+v: %+v", w, got)
	}
	m = asked(t)
	m.heir = "heir"
	if w = m.release(at(testRenew)).write; w.owner != "you" {
		t.Fatalf("given to %q, and %q asks", w.owner, m.request)
	}
	m = holding(t)
	w = m.release(at(1)).write
	if got = w.set.Apply(withRequest(m.row, "x", "y")); got.Owner != "" || got.Speaks != "" || got.AskedBy != "" || got.AskedOf != "" {
		t.Fatalf("released as %+v", got)
	}
}

func TestAShardThatEndsIsNotGiven(t *testing.T) {
	t.Parallel()
	m := asked(t)
	spawned(t, m, testRenew, "c")
	e, err := m.end(at(testRenew + 1))
	if err != nil || e.write == nil || e.write.purpose != forEnd {
		t.Fatalf("%+v, %v", e, err)
	}
	if e = m.release(at(testRenew + 2)); e.write != nil {
		t.Fatalf("%+v: want nothing beside the end", e.write)
	}
	m.unanswered(at(testRenew + 3))
	if w := m.tick(at(testRenew + time.Second)).write; w.purpose != forEnd {
		t.Fatalf("%+v: the end became something else", w)
	}
}

func TestATakeMarksTheRowAndForgetsRequests(t *testing.T) {
	t.Parallel()
	row := withRequest(freeRow(), "they", "you")
	row.Owner, row.Speaks, row.CheckpointOwner = "you", "you", "you"
	_, e := take("me", testTiming, row, testFailover, at(0))
	got := e.write.set.Apply(row)
	if got.Owner != "me" || got.Speaks != "me" || got.AskedBy != "" || got.AskedOf != "" || got.CheckpointOwner != "" {
		t.Errorf("%+v", got)
	}
}

// The owner in a row is a hint. What makes an owner is its own write that moves the counter.
func TestAClaimBelievesFromItsOwnWrite(t *testing.T) {
	t.Parallel()
	row := freeRow()
	row.Owner, row.Speaks = "me", "me"
	m, e := take("me", testTiming, row, testFailover, at(time.Second))
	w := e.write
	if *w.when.Counter != 100 || *w.when.Owner != "me" || w.when.CheckpointOwner == nil || *w.when.CheckpointOwner != "" || w.set.AddCounter != 1 || w.set.OwnerSwitches != nil {
		t.Fatalf("claim: %+v", w)
	}
	if _, err := m.admit(at(time.Second), pos(6)); !errors.Is(err, ErrLost) {
		t.Fatalf("admit before the claim is answered: %v", err)
	}
	if e = m.answered(at(2*time.Second), w.set.Apply(row)); !e.acquired {
		t.Fatalf("%+v", e)
	}
	validUntil(t, m, time.Second+testValid)

	// A KCL 3 leader takes the lease in hand before the claim arrives.
	m, _ = take("me", testTiming, row, testFailover, at(0))
	row.CheckpointOwner = "you"
	m.refused(at(1), &row, false)
	for range maxRereads {
		if e = m.readBack(at(2), &row); e.over {
			break
		}
		m.refused(at(3), &row, false)
	}
	if !e.over || e.acquired {
		t.Fatalf("%+v: want the claim given up", e)
	}
}

// A give that was never answered may be applied to the row that its former owner takes again, or before that.
func TestALateGiveAndANewTakeExcludeEachOther(t *testing.T) {
	t.Parallel()
	m := asked(t)
	before := m.row
	give := m.release(at(testRenew + 1)).write
	m.unanswered(at(testRenew + 2))
	m.tick(at(testRenew + testValid))
	if m.phase != over {
		t.Fatal("not over")
	}
	next, e := take("me", testTiming, before, testFailover, at(testRenew+testValid+1))
	if given := give.set.Apply(before); e.write.when.Holds(given) {
		t.Error("the take holds after the give")
	}
	if taken := e.write.set.Apply(before); give.when.Holds(taken) {
		t.Error("the give holds after the take")
	}
	given := give.set.Apply(before)
	if e = next.refused(at(testRenew+testValid+2), &given, false); !e.over || e.acquired {
		t.Errorf("%+v: took the next owner's lease for its own", e)
	}
}

// A take that crosses the former owner's late give to the same worker finds the row as it would have left it. The give moved the counter before the take
// was sent, as far as anybody knows, so belief must not count from the take, however many attempts of it went before.
func TestATakeDoesNotTakeALateGiveForItself(t *testing.T) {
	t.Parallel()
	row := freeRow()
	row.Owner, row.Speaks = "you", "you"
	for _, unanswered := range []int{0, 1} {
		m, e := take("me", testTiming, row, testFailover, at(time.Second))
		given := e.write.set.Apply(row) // by the other worker's write, with the same outcome
		now := time.Second
		for range unanswered {
			m.unanswered(at(now))
			now += testRetry
			m.tick(at(now))
		}
		e = m.refused(at(now+time.Second), &given, false)
		if e.acquired || m.phase != acquiring {
			t.Fatalf("%d unanswered: %+v: believed on somebody else's write", unanswered, e)
		}
		if e.write == nil || *e.write.when.Counter != given.Counter || *e.write.when.Owner != "me" || *e.write.when.CheckpointOwner != "" {
			t.Fatalf("%d unanswered: %+v: want the row claimed at once", unanswered, e)
		}
		if e = m.answered(at(now+2*time.Second), e.write.set.Apply(given)); !e.acquired {
			t.Fatalf("%d unanswered: %+v: the claim was answered", unanswered, e)
		}
		validUntil(t, m, now+time.Second+testValid)
	}
}

// A row that names this worker is claimed as it stands, as often as it refuses because an attempt of ours arrives late, but not for ever.
func TestAClaimIsNotRepeatedForEver(t *testing.T) {
	t.Parallel()
	m, e := take("me", testTiming, freeRow(), testFailover, at(0))
	row := e.write.set.Apply(freeRow())
	for n := range maxClaims {
		if e = m.refused(at(time.Duration(n)), &row, false); e.write == nil || *e.write.when.Counter != row.Counter {
			t.Fatalf("claim %d: %+v", n+1, e)
		}
		row = e.write.set.Apply(row)
	}
	if e = m.refused(at(time.Second), &row, false); !e.over || e.acquired {
		t.Fatalf("%+v: want it left to the next look", e)
	}
}

// What refuses a take is claimed only if it names this worker, is no KCL 3 hand-off, and has not been made anew or finished.
func TestATakeThatIsRefusedByAnotherIsOver(t *testing.T) {
	t.Parallel()
	mine := freeRow()
	mine.Owner, mine.Speaks, mine.Counter = "me", "me", 101
	for name, f := range map[string]func(*Lease){
		"another owner":   func(l *Lease) { l.Owner = "you" },
		"nobody":          func(l *Lease) { l.Owner = "" },
		"KCL 3 hand-off":  func(l *Lease) { l.CheckpointOwner = "me" },
		"a younger row":   func(l *Lease) { l.Counter = 99 },
		"a finished one":  func(l *Lease) { l.Checkpoint.Position = checkpoint.ShardEnd },
		"same counter":    func(l *Lease) { l.Counter = 100 },
		"edited position": func(l *Lease) { l.Owner, l.Counter, l.Checkpoint.Position = "", 100, pos(3) },
	} {
		m, _ := take("me", testTiming, freeRow(), testFailover, at(0))
		row := mine
		f(&row)
		if e := m.refused(at(1), &row, false); !e.over || e.acquired || e.write != nil {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

func TestAWorkerThatStopsChangesItsMark(t *testing.T) {
	t.Parallel()
	m := holding(t)
	if e, ok := m.mute(at(1), false); e.write != nil || !ok {
		t.Fatalf("%+v: it rides on the next renewal", e)
	}
	w := m.tick(at(testRenew)).write
	if w.set.Speaks == nil || *w.set.Speaks != "-me" {
		t.Fatalf("%+v", w.set)
	}
	m.answered(at(testRenew), w.set.Apply(m.row))
	if w = m.tick(at(2 * testRenew)).write; w.set.Speaks != nil {
		t.Errorf("%+v: it is changed already", w.set)
	}

	m = holding(t)
	e, _ := m.mute(at(1), true)
	if e.write == nil || e.write.purpose != forRenewal || *e.write.set.Speaks != "-me" {
		t.Fatalf("%+v: want it announced at once", e)
	}
	m.unanswered(at(2))
	if w = m.tick(at(2 + testRetry)).write; w == nil || *w.set.Speaks != "-me" {
		t.Fatal("an announcement without an answer is not repeated")
	}
	if e = m.answered(at(3+testRetry), w.set.Apply(m.row)); e.write != nil {
		t.Errorf("%+v: it was announced", e.write)
	}
	if _, ok := m.mute(at(4+testRetry), true); ok {
		t.Error("there is no mark to take out")
	}
}

func TestARequestTouchesNothingButItself(t *testing.T) {
	t.Parallel()
	l := row("s", "you", 7)
	l.Speaks = "you"
	when, set := asking("me", l)
	got := set.Apply(l)
	if got.AskedBy != "me" || got.AskedOf != "you" || got.Owner != "you" || got.Counter != 7 || set.AddCounter != 0 || got.Speaks != "you" {
		t.Errorf("asked: %+v", got)
	}
	for name, c := range map[string]struct {
		edit func(*Lease)
		ok   bool
	}{
		"nothing changed":        {func(*Lease) {}, true},
		"the counter moved":      {func(l *Lease) { l.Counter = 900 }, true},
		"another owner":          {func(l *Lease) { l.Owner = "they" }, false},
		"taken by one like KCL":  {func(l *Lease) { l.Owner = "java" }, false},
		"it does not speak":      {func(l *Lease) { l.Speaks = "" }, false},
		"somebody else asked":    {func(l *Lease) { l.AskedBy, l.AskedOf = "they", "you" }, false},
		"an old request came":    {func(l *Lease) { l.AskedBy, l.AskedOf = "they", "x" }, false},
		"half a request came":    {func(l *Lease) { l.AskedOf = "you" }, false},
		"the owner gave it away": {func(l *Lease) { l.Owner, l.Speaks = "they", "they" }, false},
	} {
		now := l
		c.edit(&now)
		if when.Holds(now) != c.ok {
			t.Errorf("%s: holds %v", name, !c.ok)
		}
	}
	stale := l
	stale.AskedBy, stale.AskedOf = "they", "x"
	if when, _ = asking("me", stale); !when.Holds(stale) {
		t.Error("a request to a former owner keeps others from asking")
	}
	when, set = withdrawing("me", l)
	if !when.Holds(got) || when.Holds(withRequest(l, "they", "you")) || when.Holds(withRequest(l, "me", "they")) || when.Holds(l) {
		t.Errorf("withdraws under %+v", when)
	}
	if back := set.Apply(got); back.AskedBy != "" || back.AskedOf != "" || back.Owner != "you" || back.Counter != 7 {
		t.Errorf("withdrawn: %+v", back)
	}
}

func TestWhatARowSaysToWhoAsked(t *testing.T) {
	t.Parallel()
	l := withRequest(row("s", "you", 7), "me", "you")
	for name, c := range map[string]struct {
		edit func(*Lease)
		want verdict
	}{
		"nothing yet":        {func(*Lease) {}, pending},
		"renewed":            {func(l *Lease) { l.Counter++ }, pending},
		"given":              {func(l *Lease) { *l = row("s", "me", 8) }, given},
		"declined":           {func(l *Lease) { l.AskedBy, l.AskedOf = "", "" }, refused},
		"another asks":       {func(l *Lease) { l.AskedBy = "they" }, refused},
		"another's":          {func(l *Lease) { *l = row("s", "they", 8) }, moot},
		"released":           {func(l *Lease) { *l = row("s", "", 8) }, moot},
		"finished":           {func(l *Lease) { l.Checkpoint.Position = checkpoint.ShardEnd }, moot},
		"taken, request old": {func(l *Lease) { l.Owner = "they" }, moot},
	} {
		now := l
		c.edit(&now)
		if got := judgeRequest("me", "you", now); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// fleetOf makes rows by how many leases each worker has: a's, then b's, and so on. All speak.
func fleetOf(loads ...int) []Lease {
	var rows []Lease
	for w, n := range loads {
		for i := range n {
			l := row(fmt.Sprintf("%c%02d", 'a'+w, i), string(rune('a'+w)), 1)
			l.Speaks = l.Owner
			rows = append(rows, l)
		}
	}
	return rows
}

// settled is a view after enough looks.
func settled(me string, rows []Lease) view {
	var o observer
	for i := range settledIn {
		o.lookAt(time.Duration(i), rows...)
	}
	v := view{me: me, rows: rows, seen: o.seen, held: map[string]bool{}, overdue: testFailover, asks: map[string]bool{}, rests: map[string]bool{}}
	for _, r := range rows {
		if r.Owner == me {
			v.held[r.Key] = true
		}
	}
	return v
}

func TestPlanAsksForItsShareOfThoseWhoHaveMore(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rows []Lease
		me   string
		want int
		of   string // owners that may be asked
	}{
		"a newcomer":                       {fleetOf(6), "z", 3, "a"},
		"a newcomer, at most four":         {fleetOf(100), "z", 4, "a"},
		"nothing to share":                 {fleetOf(1), "z", 0, ""},
		"two for two":                      {fleetOf(1, 1), "z", 0, ""},
		"at rest":                          {fleetOf(3, 3, 3), "a", 0, ""},
		"at rest, not divisible":           {fleetOf(4, 3, 3), "b", 0, ""},
		"one has two more":                 {fleetOf(4, 2, 3), "b", 1, "a"},
		"three have one more than needed":  {fleetOf(3, 3, 3, 1), "d", 1, "abc"},
		"one has three times as much":      {fleetOf(9, 3), "b", 3, "a"},
		"the fuller one does not ask":      {fleetOf(6, 2), "a", 0, ""},
		"a newcomer beside equals":         {fleetOf(4, 4, 4), "z", 3, "abc"},
		"only of those above their share":  {fleetOf(8, 2, 2), "z", 3, "a"},
		"the third of a fleet that is off": {fleetOf(10, 2, 6), "b", 4, "a"},
	} {
		p := makePlan(settled(c.me, c.rows))
		if len(p.ask) != c.want || len(p.take) > 0 {
			t.Errorf("%s: asks for %v, takes %v, want %d", name, keysOf(p.ask), keysOf(p.take), c.want)
		}
		for _, l := range p.ask {
			if !strings.Contains(c.of, l.Owner) {
				t.Errorf("%s: asks %s for %s", name, l.Owner, l.Key)
			}
		}
	}
}

func TestPlanDoesNotAskForEverything(t *testing.T) {
	t.Parallel()
	// parent, which c00 waits for, is a's too, and nothing can be asked for but a00.
	for name, c := range map[string]struct {
		edit func(v *view)
		want bool
	}{
		"as it is":             {func(*view) {}, true},
		"does not speak":       {func(v *view) { v.rows[0].Speaks = "" }, false},
		"speaks of old":        {func(v *view) { v.rows[0].Speaks = "b" }, false},
		"asked for by another": {func(v *view) { v.rows[0].AskedBy, v.rows[0].AskedOf = "y", "a" }, false},
		"asked for long ago":   {func(v *view) { v.rows[0].AskedBy, v.rows[0].AskedOf = "y", "x" }, true},
		"asked for already":    {func(v *view) { v.asks["a00"] = true }, false},
		"declined":             {func(v *view) { v.rests["a00"] = true }, false},
		"finished":             {func(v *view) { v.rows[0].Checkpoint.Position = checkpoint.ShardEnd }, false},
		"in a KCL 3 leader's hand": {func(v *view) {
			v.rows[0].CheckpointOwner = "a"
		}, false},
		"waits for a parent": {func(v *view) {
			v.rows[0].Checkpoint.Position, v.rows[0].Parents = checkpoint.TrimHorizon, []string{"a01"}
		}, false},
		"owner seen twice only": {func(v *view) {
			s := v.seen["a00"]
			s.looks = 2
			v.seen["a00"] = s
		}, false},
		"something is free": {func(v *view) { v.rows = append(v.rows, row("free", "", 1)); v.seen["free"] = sighting{isFree: true} }, false},
		"at MaxLeases":      {func(v *view) { v.max, v.held["z"] = 1, true; v.rows = append(v.rows, row("z", "z", 1)) }, false},
	} {
		rows := fleetOf(6)
		v := settled("z", rows)
		for i := 1; i < len(rows); i++ {
			v.rests[rows[i].Key] = true
		}
		c.edit(&v)
		if c.want != (len(makePlan(v).ask) == 1) || !c.want && len(makePlan(v).ask) > 0 {
			t.Errorf("%s: asks for %v", name, keysOf(makePlan(v).ask))
		}
	}
}

func TestWhatWasGivenIsClaimedAtOnce(t *testing.T) {
	t.Parallel()
	rows := fleetOf(8, 1)
	v := settled("a", rows)
	for _, r := range rows[1:8] {
		delete(v.held, r.Key)
	}
	if p := makePlan(v); len(p.take) != 7 || len(p.spare) != 0 || len(p.ask) != 0 {
		t.Errorf("claims %v of 7, whatever its share and its bite; gives back %v", keysOf(p.take), keysOf(p.spare))
	}
	v.max = 3
	if p := makePlan(v); len(p.take) != 2 || len(p.spare) != 5 {
		t.Errorf("claims %v, gives back %v: want as many as MaxLeases lets it hold", keysOf(p.take), keysOf(p.spare))
	}
}

func TestAChangeOfOwnerIsSettledAfterThreeLooks(t *testing.T) {
	t.Parallel()
	var o observer
	l := row("s", "a", 1)
	for i := range 5 {
		l.Counter++
		o.lookAt(time.Duration(i), l)
	}
	if n := o.seen["s"].looks; n != 5 {
		t.Errorf("%d looks showed the owner, want 5, whatever the counter did", n)
	}
	l.Owner = "b"
	o.lookAt(6, l)
	if n := o.seen["s"].looks; n != 1 {
		t.Errorf("%d looks showed the new owner, want 1", n)
	}
	if o.owners["b"] != 6 {
		t.Errorf("b was seen first at %v", o.owners["b"])
	}
	if _, known := o.owners["a"]; known {
		t.Error("an owner without leases is remembered")
	}
}

// Whatever shares they begin with, workers that see the same rows move what must move for shares that differ by one, and nothing afterwards.
func TestSharesBecomeEqualWithoutAMoveTooMany(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 2))
		loads := make([]int, 1+rng.IntN(7))
		total := 0
		for w := range loads {
			loads[w] = rng.IntN(15)
			total += loads[w]
		}
		if total == 0 {
			continue
		}
		rows := fleetOf(loads...)
		slices.SortFunc(loads, func(a, b int) int { return b - a })
		least := 0
		for i, n := range loads {
			target := total / len(loads)
			if i < total%len(loads) {
				target++
			}
			least += max(0, n-target)
		}
		moved, quiet := 0, 0
		for round := 0; quiet < 2; round++ { // a plan is a function of what is seen: two rounds that ask nothing are all that follow
			if round > 200 {
				t.Fatalf("seed %d: no rest: %v", seed, loads)
			}
			asked := 0
			var next []Lease
			next = append(next, rows...)
			for w := range loads {
				for _, l := range makePlan(settled(string(rune('a'+w)), rows)).ask {
					i := slices.IndexFunc(next, func(r Lease) bool { return r.Key == l.Key })
					if next[i].Owner == l.Owner { // the first asker wins
						next[i].Owner = string(rune('a' + w))
						next[i].Speaks = next[i].Owner
						moved++
					}
					asked++
				}
			}
			if rows = next; asked == 0 {
				quiet++
			}
		}
		// Workers without a lease see one another only when they have asked, so a few leases move twice.
		if idle := slices.Contains(loads, 0); !idle && moved != least || moved > 2*least+len(loads) {
			t.Errorf("seed %d: %v: %d moves, want %d", seed, loads, moved, least)
		}
		count := map[string]int{}
		for _, r := range rows {
			count[r.Owner]++
		}
		for owner, n := range count {
			if n > (total+len(loads)-1)/len(loads) && len(count) == len(loads) {
				t.Errorf("seed %d: %s has %d of %d", seed, owner, n, total)
			}
		}
	}
}

func TestPeersAreThoseWhoSpeakAndLive(t *testing.T) {
	t.Parallel()
	rows := fleetOf(2, 3, 1, 2, 1)
	rows[2].Speaks = ""                               // one of b's: b stops
	rows[6].Speaks = "old"                            // d's are a KCL's
	rows[7].Speaks = "old"                            //
	rows[8].Checkpoint.Position = checkpoint.ShardEnd // e has nothing else
	free := row("f", "", 1)
	rows = append(rows, free)
	var o observer
	o.lookAt(0, rows...)
	rows[0].Counter++ // a lives; of c nothing has moved
	o.lookAt(testFailover/2, rows...)
	var got []string
	for _, p := range peers("x", rows, o, testFailover/2, testFailover) {
		got = append(got, fmt.Sprint(p.owner, p.load, p.since))
	}
	if want := []string{"a2 0s"}; !slices.Equal(got, want) {
		t.Errorf("peers %v, want %v", got, want)
	}
	if got := peers("a", rows, o, testFailover/2-1, testFailover); len(got) != 1 || got[0].owner != "c" {
		t.Errorf("peers of a %v, want c alone", got)
	}
	rows[0].FailoverTime, rows[5].FailoverTime = 4*testFailover, 4*testFailover
	if got := peers("x", rows, o, testFailover, testFailover); len(got) != 2 {
		t.Errorf("%v: a worker may be silent for longer if its own FailoverTime is longer", got)
	}
}

func TestTheHeirIsTheLeastLoadedThenTheNewest(t *testing.T) {
	t.Parallel()
	c, err := New("w", nil, Config{})
	if err != nil {
		t.Fatal(err)
	}
	others := observer{owners: map[string]time.Duration{"old": 0}}
	c.succession = succession{seen: others, since: -heard, reached: true, known: true, at: c.clock.now().mono, peers: []peer{{"old", 2, 0}, {"new", 2, 9}, {"full", 4, 20}}}
	var got []string
	for i := range 5 {
		got = append(got, c.heir(t.Context(), fmt.Sprint("s", i), heard))
	}
	if want := []string{"new", "old", "new", "old", "full"}; !slices.Equal(got, want) && !slices.Equal(got[:4], want[:4]) {
		t.Errorf("heirs %v, want %v", got, want)
	}
	if got[4] != "full" {
		t.Errorf("the fifth goes to %s: want the newest of three equals", got[4])
	}
	c.succession.reached = false
	if to := c.heir(t.Context(), "s", 0); to != "" {
		t.Errorf("%q is given a lease by a worker that cannot see the table", to)
	}
}
