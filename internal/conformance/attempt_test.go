package conformance

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"
)

// attempt is a run that is expected to fail: it keeps what would fail the test.
type attempt struct {
	testing.TB
	ctx context.Context

	mu   sync.Mutex
	said string
	bad  bool
}

// try runs a behaviour and returns why it failed, or false if it passed.
func try(t testing.TB, b *behaviour, e *env) (why string, failed bool) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	a := &attempt{TB: t, ctx: ctx}
	done := make(chan struct{})
	go func() { // Fatal ends its goroutine
		defer close(done)
		defer func() {
			if r := recover(); r != nil { // an answer lacks what the behaviour follows a pointer to
				a.note(fmt.Sprint(r))
			}
		}()
		b.run(a, e)
	}()
	<-done
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.said, a.bad
}

func (a *attempt) note(text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.bad {
		a.said = text
	}
	a.bad = true
}

func (a *attempt) Context() context.Context { return a.ctx }

func (a *attempt) Failed() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.bad
}

func (a *attempt) Fail()                             { a.note("") }
func (a *attempt) Error(args ...any)                 { a.note(fmt.Sprint(args...)) }
func (a *attempt) Errorf(format string, args ...any) { a.note(fmt.Sprintf(format, args...)) }

func (a *attempt) FailNow() {
	a.note("")
	runtime.Goexit()
}

func (a *attempt) Fatal(args ...any) {
	a.note(fmt.Sprint(args...))
	runtime.Goexit()
}

func (a *attempt) Fatalf(format string, args ...any) {
	a.note(fmt.Sprintf(format, args...))
	runtime.Goexit()
}
