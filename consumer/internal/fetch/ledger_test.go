package fetch

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// yard is a ledger and the shards that use it, with what is known of them besides.
type yard struct {
	t      *testing.T
	l      ledger
	rng    *rand.Rand
	shares []*share
	asked  map[*share]int // when
	now    int
}

func (y *yard) mib(n int64) int64 { return 1 + y.rng.Int64N(n<<20) }

// step does to one shard what it may do next.
func (y *yard) step() {
	y.now++
	if len(y.shares) == 0 || y.rng.IntN(40) == 0 && len(y.shares) < 30 {
		y.shares = append(y.shares, y.l.open())
		return
	}
	i := y.rng.IntN(len(y.shares))
	s := y.shares[i]
	switch n := y.rng.IntN(20); {
	case n == 0:
		y.l.close(s)
		y.shares = slices.Delete(y.shares, i, i+1)
	case n == 1 && s.ask > 0:
		y.l.withdraw(s)
	case n < 4 && s.held > 0:
		y.l.stick(s)
	case n < 6:
		y.l.move(s)
	case s.reserved > 0: // mostly less than what was asked for
		y.l.land(s, y.mib(12)*y.rng.Int64N(2)+y.rng.Int64N(s.reserved))
	case n < 14 && s.held > 0:
		y.l.done(s, s.held)
	case s.ask == 0 && s.standing == 0 && n == 19:
		y.request(s, y.l.standingFor(y.mib(10)), true)
	case s.ask == 0 && s.reserved == 0:
		y.request(s, y.mib(10), false)
	}
}

func (y *yard) request(s *share, n int64, stands bool) {
	y.asked[s] = y.now
	y.l.request(s, n, stands)
}

// settle checks what was granted, and that nobody was who should have waited.
func (y *yard) settle() {
	y.t.Helper()
	entitled, asks := map[*share]bool{}, map[*share]amounts{}
	for _, s := range y.l.queue {
		entitled[s] = y.l.entitled(s)
		if asks[s] = (amounts{pages: s.ask}); s.stands {
			asks[s] = amounts{standing: s.ask}
		}
	}
	all := y.l.all
	granted := y.l.settle()
	for _, s := range granted {
		ask := asks[s]
		all.pages += ask.pages
		all.standing += ask.standing
		halves := ask.pages == 0 || all.pages-y.l.parked.pages <= y.l.limit/2
		halves = halves && (ask.standing == 0 || all.standing-y.l.parked.standing <= y.l.limit/2)
		if all.sum() > y.l.limit && !halves || all.sum()-y.l.parked.sum() > y.l.limit {
			y.t.Fatalf("more was granted than there is: %+v", y.l)
		}
		if s.isStuck || s.ask != 0 {
			y.t.Fatal("granted to one who gets nothing")
		}
		for _, w := range y.l.queue {
			if entitled[w] && !w.isStuck && (!entitled[s] || y.asked[w] < y.asked[s]) {
				y.t.Fatal("granted past somebody who is entitled and was first")
			}
		}
		if !entitled[s] && y.l.all.sum() > y.l.limit/2 {
			y.t.Fatal("the upper half is for those who are entitled")
		}
	}
	for _, w := range y.l.queue {
		if entitled[w] && !w.isStuck && slices.ContainsFunc(y.l.stuck, func(s *share) bool { return !s.pressed }) {
			y.t.Fatal("somebody waits, and a stuck shard is not pressed")
		}
	}
	y.balance()
}

// balance adds up.
func (y *yard) balance() {
	y.t.Helper()
	var all, parked amounts
	var held int64
	for _, s := range y.shares {
		all.pages += s.held + s.reserved
		all.standing += s.standing
		held += s.held
		if s.isStuck {
			parked.pages += s.held + s.reserved
			parked.standing += s.standing
		}
	}
	if all != y.l.all || parked != y.l.parked || held != y.l.held || y.l.owned != len(y.shares) {
		y.t.Fatalf("%+v in use, %+v parked, %d held by %d, but the ledger says %+v", all, parked, held, len(y.shares), y.l)
	}
}

// flow lets every shard that is not stuck finish what it has, page after page, and checks that each of them then gets what it asks for, however
// many are stuck.
func (y *yard) flow() {
	y.t.Helper()
	var waiting []*share
	for _, s := range y.shares {
		if s.isStuck {
			continue
		}
		if s.ask == 0 && s.reserved == 0 && s.standing == 0 {
			y.request(s, y.mib(10), false)
		}
		if s.ask > 0 {
			waiting = append(waiting, s)
		}
	}
	for range len(y.shares) + 1 {
		y.settle()
		for _, s := range y.shares {
			if !s.isStuck && s.reserved+s.held > 0 {
				y.l.land(s, s.reserved)
				y.l.done(s, s.held)
			}
			if !s.isStuck { // nor does a subscription stay larger than its part
				y.l.stand(s, min(0, y.l.standingFor(s.standing)-s.standing))
			}
		}
	}
	for _, s := range waiting {
		if s.ask > 0 {
			y.t.Fatalf("a shard that makes progress waits for %d for ever: %+v", s.ask, y.l)
		}
	}
}

func TestStuckShardsNeverStarveOthersOfMemory(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		y := &yard{t: t, l: ledger{limit: 32 << 20}, rng: rand.New(rand.NewPCG(seed, 1)), asked: map[*share]int{}}
		for range 400 {
			y.step()
			y.settle()
			if y.rng.IntN(50) == 0 {
				y.flow()
			}
		}
		for _, s := range y.shares {
			y.l.close(s)
		}
		if y.l.all.sum() != 0 || y.l.parked.sum() != 0 || y.l.held != 0 || len(y.l.queue) != 0 || len(y.l.stuck) != 0 {
			t.Fatalf("when all are closed the ledger says %+v", y.l)
		}
	}
}

func TestMemoryIsGrantedInOrder(t *testing.T) {
	t.Parallel()
	l := ledger{limit: 32 << 20}
	a, b, c, d := l.open(), l.open(), l.open(), l.open()
	ask := func(s *share, mib int64) int {
		l.request(s, mib<<20, false)
		return len(l.settle())
	}
	if ask(a, 10) != 1 || ask(b, 10) != 1 || ask(c, 10) != 1 {
		t.Fatal("three pages fit")
	}
	if ask(d, 10) != 0 {
		t.Fatal("a fourth does not")
	}
	l.land(a, 8<<20)
	if ask(a, 1) != 0 {
		t.Error("a second page overtook a first one")
	}
	l.land(b, 1<<20)
	if got := l.settle(); len(got) != 1 || got[0] != d {
		t.Errorf("what b did not need went to %v", got)
	}
	l.land(c, 1<<20)
	l.land(d, 1<<20)
	if got := l.settle(); len(got) != 1 || got[0] != a {
		t.Errorf("with the lower half free a page ahead went to %v", got)
	}
}

func TestAnAnswerIsExpectedToBeTwiceTheLargestOfTheLastTen(t *testing.T) {
	t.Parallel()
	b := NewBudget(1 << 30)
	a := b.Open()
	want := func(bytes int64) {
		t.Helper()
		if err := a.Reserve(context.Background()); err != nil || a.share.reserved != bytes {
			t.Errorf("reserved %d, want %d: %v", a.share.reserved, bytes, err)
		}
	}
	page := func(bytes int) {
		a.Land(bytes)
		a.Done(bytes)
	}
	want(10 << 20)
	page(3 << 20)
	want(6 << 20)
	page(8 << 20)
	for range 9 {
		want(10 << 20)
		page(100)
	}
	want(10 << 20)
	page(100)
	want(1 << 20)
	if a.Forgo(); a.share.reserved != 0 || b.Buffered() != 0 {
		t.Errorf("%d reserved, %d held", a.share.reserved, b.Buffered())
	}
}

func TestWaitingForMemoryEndsWithTheContextAndLeavesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(32 << 20)
		full := b.Open()
		full.Land(32 << 20)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		a := b.Open()
		for _, wait := range []func(context.Context) error{a.Reserve, a.Stand, func(ctx context.Context) error { return a.Take(ctx, 1) }} {
			if err := wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v", err)
			}
		}
		go func() {
			time.Sleep(time.Second)
			full.Done(1 << 20)
		}()
		begin := time.Now()
		if err := a.Take(context.Background(), 1<<20); err != nil || time.Since(begin) != time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		a.Close()
		full.Close()
		if b.l.all.sum() != 0 || b.l.owned != 0 || len(b.open) != 0 {
			t.Errorf("left %+v", b.l)
		}
	})
}

func TestSubscriptionsOfManyShardsFitIntoHalfOfTheBudget(t *testing.T) {
	t.Parallel()
	b := NewBudget(32 << 20)
	var all []*Account
	for range 500 {
		all = append(all, b.Open())
	}
	for _, a := range all {
		if err := a.Stand(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	if b.l.all.sum() > 16<<20 || b.Buffered() != 0 {
		t.Errorf("%d in use, %d held", b.l.all.sum(), b.Buffered())
	}
	if err := all[0].Take(context.Background(), 16<<20); err != nil { // the largest event there can be
		t.Fatal(err)
	}
	all[0].Leave()
	if all[0].share.standing != 0 {
		t.Errorf("a subscription that is over stands for %d", all[0].share.standing)
	}
}

func TestAStuckShardIsPressedOnceSomebodyWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(32 << 20)
		stuck, other := b.Open(), b.Open()
		stuck.Land(31 << 20)
		press := stuck.Stick()
		select {
		case <-press:
			t.Error("nobody needs anything")
		default:
		}
		if err := other.Reserve(context.Background()); err != nil { // at once: half is left
			t.Fatal(err)
		}
		<-press
		<-stuck.Stick() // the next failure: nothing has changed
		stuck.Move()
		other.Forgo()
		select {
		case <-stuck.Stick():
			t.Error("it made progress, and nobody waits")
		default:
		}
	})
}
