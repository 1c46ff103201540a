package main

import "time"

// clock is the machine's clock as processes of one host can compare it: the time of day when the program started, and from there on the monotonic
// clock, which they share and which nobody can set.
type clock struct{ started time.Time }

func newClock() clock { return clock{time.Now()} }

// now is in nanoseconds.
func (c clock) now() int64 { return c.started.UnixNano() + int64(time.Since(c.started)) }
