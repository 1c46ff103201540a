package lease

import "time"

// instant is a moment on this host's two clocks. The monotonic one stands still while the machine is suspended, the wall clock can be set: a holder
// believes the one that says more has passed, an observer only the monotonic one. No clock of another host is ever compared with either.
type instant struct {
	mono time.Duration // since an arbitrary start
	wall time.Time     // without a monotonic reading
}

// clock reads instants of one process.
type clock struct{ start time.Time }

func newClock() clock { return clock{start: time.Now()} }

func (c clock) now() instant {
	t := time.Now()
	return instant{mono: t.Sub(c.start), wall: t.Round(0)}
}

// since returns how much each clock has advanced from o to i.
func (i instant) since(o instant) (mono, wall time.Duration) {
	return i.mono - o.mono, i.wall.Sub(o.wall)
}
