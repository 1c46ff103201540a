package lease

import (
	"context"
	"time"

	"go.uber.org/zap"
)

// serve runs the program's code for one tenure, again and again while it fails, and gives the lease back when it has returned.
func (k *keeper) serve(ctx context.Context) {
	t := &Tenure{k: k}
	backoff := k.backoff()
	for !k.isLeaving() { // a take that was answered after the stop began is given back as it is
		err := k.r.serve(ctx, t)
		if err == nil || ctx.Err() != nil || k.isLeaving() {
			break
		}
		k.c.log.Warn("lease is served again after an error", zap.String("lease", k.key), zap.Error(err))
		if !k.pause(ctx, backoff.Next()) {
			break
		}
	}
	k.do(func(now instant) effects {
		k.serving = false
		return k.m.release(now)
	})
	k.end()
}

// pause waits before serve is called again, unless the lease goes away meanwhile.
func (k *keeper) pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-k.leaving:
	case <-timer.C:
	}
	return ctx.Err() == nil && !k.isLeaving()
}

// end ends the context of a tenure whose code has returned, so that nothing that was started under it goes on.
func (k *keeper) end() {
	k.mu.Lock()
	cancel := k.cancel
	k.mu.Unlock()
	cancel(nil)
}

// leave asks the code that serves the lease to finish.
func (k *keeper) leave() {
	k.mu.Lock()
	first := !k.isLeft
	k.isLeft = true
	k.mu.Unlock()
	if first {
		close(k.leaving)
	}
}

func (k *keeper) isLeaving() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.isLeft
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
