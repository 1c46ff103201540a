//go:build linux

package lease

import (
	"math/rand/v2"
	"runtime"
	"syscall"
	"testing"
	"time"
)

func largeView() view {
	m := newMoving(rand.New(rand.NewPCG(1, 1)), 5000, 500)
	var o observer
	for i := range 4 {
		o.lookAt(time.Duration(i)*time.Second, m.rows...)
	}
	return view{me: m.names[499], rows: m.rows, seen: o.seen, held: m.held(m.names[499]), overdue: testFailover, now: 4 * time.Second}
}

func BenchmarkPlan(b *testing.B) {
	v := largeView()
	for b.Loop() {
		makePlan(v)
	}
}

// threadTime is the processor time of this thread: what else the machine does is not counted.
func threadTime(t *testing.T) time.Duration {
	t.Helper()
	const thread = 1 // RUSAGE_THREAD
	var u syscall.Rusage
	if err := syscall.Getrusage(thread, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func TestALargePlanTakesLittleTime(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	owned := largeView()
	free := owned
	free.rows = freeRows(5000)
	var o observer
	o.lookAt(0, free.rows...)
	free.seen = o.seen
	for name, v := range map[string]view{"all owned": owned, "all free": free} {
		best := time.Hour
		for range 5 {
			began := threadTime(t)
			makePlan(v)
			best = min(best, threadTime(t)-began)
		}
		t.Logf("%s: a plan for 5,000 leases and 500 workers takes %v of a processor", name, best)
		if best > 50*time.Millisecond {
			t.Errorf("%s: a plan takes %v", name, best)
		}
	}
}
