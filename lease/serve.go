package lease

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/kinesiskit/kinesiskit/checkpoint"
)

// serve runs the program's code for one tenure, again and again while it fails or was asked to leave for nothing, and gives the lease away when it has
// returned.
func (k *keeper) serve(ctx context.Context) {
	t := &Tenure{k: k}
	backoff := k.backoff()
	done := false
	for k.proceed(ctx, done) {
		err := k.r.serve(ctx, t)
		asked := k.isLeaving()
		done = err == nil && !asked
		if done || asked || ctx.Err() != nil {
			continue
		}
		k.c.log.Warn("lease is served again after an error", zap.String("lease", k.key), zap.Error(err))
		k.pause(ctx, backoff.Next())
	}
	k.end()
}

// proceed decides what comes next while no user code runs: another call of it, or the end of the tenure. done says that the code is done with the lease
// although nobody asked it to leave. The question and the release are one step, so that a request cannot be taken back in between.
func (k *keeper) proceed(ctx context.Context, done bool) (again bool) {
	heir := ""
	if wait, needed := k.needsHeir(); needed {
		heir = k.c.heir(k.r.io, k.key, wait)
	}
	k.do(func(now instant) effects {
		if again = !done && !k.stopping && ctx.Err() == nil && k.m.stays(now); !again {
			k.serving = false
			k.m.heir = heir
			return k.m.release(now)
		}
		k.start = k.m.row.Checkpoint
		k.start.Position = k.m.target() // what is marked need not come again, stored or not
		if k.moving {
			k.moving, k.leaving = false, make(chan struct{})
		}
		return effects{}
	})
	if again {
		k.c.stays(k.key)
	}
	return again
}

// fromTheBeginning is for a shard whose row names an instant that is not its own.
func (k *keeper) fromTheBeginning() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.start.Position = checkpoint.TrimHorizon
}

// pause waits before serve is called again, unless the lease goes away meanwhile.
func (k *keeper) pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-k.leave():
	case <-timer.C:
	}
}

// end ends the context of a tenure whose code has returned, so that nothing that was started under it goes on.
func (k *keeper) end() {
	k.mu.Lock()
	cancel := k.cancel
	k.mu.Unlock()
	cancel(nil)
}

// leave returns the channel that is closed when the call of serve that runs should come to its end.
func (k *keeper) leave() <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.leaving
}

// stop asks the code that serves the lease to finish, for good. With announce the row says so at once, if there is one to say it; that is what is answered.
func (k *keeper) stop(announce bool) (announced bool) {
	k.ask(func() { k.stopping = true })
	k.mu.Lock()
	begun := k.m != nil // else it will be given away as it is
	k.mu.Unlock()
	if begun {
		k.do(func(now instant) (e effects) {
			e, announced = k.m.mute(now, announce)
			return e
		})
	}
	return announced
}

// move asks it to finish because another worker asks for the lease. Whether it is given is decided when the code has returned.
func (k *keeper) move() {
	k.ask(func() { k.moving, k.moveBy = true, time.Now().Add(k.c.cfg.HandoffTimeout) })
}

func (k *keeper) ask(why func()) {
	k.mu.Lock()
	before := k.stopping || k.moving
	why()
	leaving := k.leaving
	k.mu.Unlock()
	if !before {
		close(leaving)
	}
}

// isLeaving reports whether the code that serves the lease was asked to finish.
func (k *keeper) isLeaving() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.stopping || k.moving
}

// needsHeir reports whether the lease is to be given away although nobody asks for it, and how long after the stop began.
func (k *keeper) needsHeir() (wait time.Duration, needed bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if wait = heard; k.m.announce {
		wait = 2 * heard
	}
	return wait, k.stopping && k.m.stays(k.c.clock.now())
}

// asked follows a request for the lease that was heard.
func (k *keeper) asked() {
	if k.c.moves(k) {
		k.move()
		return
	}
	k.do(func(instant) effects {
		k.m.decline()
		return effects{}
	})
}

// halt ends the tenure's context with cause. The lease stays ours, and is renewed, until the code has returned.
func (k *keeper) halt(cause error) {
	k.mu.Lock()
	cancel := k.cancel
	k.mu.Unlock()
	if cancel != nil {
		cancel(cause)
	}
}

func (k *keeper) isGone() bool {
	select {
	case <-k.gone:
		return true
	default:
		return false
	}
}

// drop stops renewing a lease whose code does not return: it expires, and nobody is told that it is free before it is.
func (k *keeper) drop() {
	k.do(func(instant) (e effects) {
		k.serving = false // as far as a stop is concerned
		if k.m.phase != over {
			k.m.finish(ErrLost, &e)
		}
		return e
	})
}
