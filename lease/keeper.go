package lease

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/kinesiskit/kinesiskit/checkpoint"
)

// keeper is the shell around one machine: it gives it the time and the store's answers, and performs its effects. Everything that touches the machine goes
// through do, and whoever has an event brings it: a timer, a request's goroutine, user code. So renewal depends on no other goroutine being alive, and no
// select has to choose between two events. mu is held for the machine's work only, never across a request, a channel or a callback.
type keeper struct {
	c   *Coordinator
	key string
	r   *running

	over chan struct{} // closed when the machine is over
	gone chan struct{} // closed when it is and user code has returned, or was given up

	mu       sync.Mutex
	leaving  chan struct{} // of the call of serve that runs, or comes next: closed by stop and move
	stopping bool          // leaving was closed for good
	moving   bool          // leaving was closed because another worker asks for the lease
	moveBy   time.Time     // while moving: when the request is declined
	m        *machine
	timer    *time.Timer
	armed    bool
	armedAt  time.Duration           // on the monotonic clock; while armed
	cancel   context.CancelCauseFunc // of the tenure's context; nil before it begins
	start    checkpoint.Checkpoint
	token    Token
	began    time.Time
	waits    map[int]chan error
	settled  chan struct{} // closed at the end of a doubt; nil if nobody waits for it
	acquired bool
	serving  bool
	isOver   bool // gone is closed, or about to be
}

func newKeeper(c *Coordinator, key string, r *running) *keeper {
	return &keeper{c: c, key: key, r: r, leaving: make(chan struct{}), over: make(chan struct{}), gone: make(chan struct{}), waits: make(map[int]chan error)}
}

// begin emits the take.
func (k *keeper) begin(l Lease) {
	timing := k.c.timing(k.key)
	timing.pin = k.c.pin(l)
	k.do(func(now instant) effects {
		k.began = time.Now()
		m, e := take(k.c.owner, timing, l, k.c.cfg.FailoverTime, now)
		k.m = m
		return e
	})
}

// do runs f under the lock, and performs what it asks for after it.
func (k *keeper) do(f func(now instant) effects) {
	k.mu.Lock()
	now := k.c.clock.now()
	e := f(now)
	k.rearm(now)
	if e.none() && !k.ending() {
		k.mu.Unlock()
		return
	}
	p := k.prepare(e)
	k.mu.Unlock()
	p.perform(k)
}

// ending reports whether nothing is left of the tenure, and nobody has been told.
func (k *keeper) ending() bool { return k.m.phase == over && !k.serving && !k.isOver }

// work is what do performs after the lock is given back.
type work struct {
	e       effects
	answers []answer
	settled chan struct{}
	cancel  context.CancelCauseFunc
	begin   context.Context // of a tenure that begins
	lease   Lease
	ended   bool
	why     error
	gone    bool
}

type answer struct {
	to  chan error
	err error
}

// prepare brings the keeper's own state up to date with e. It runs under the lock.
func (k *keeper) prepare(e effects) work {
	w := work{e: e, lease: k.m.row}
	if e.write != nil || e.read {
		k.r.requests.Add(1) // under the lock: whoever sees that the machine is over can wait for what it asked for before
	}
	for _, a := range e.acks {
		if to, ok := k.waits[a.id]; ok {
			delete(k.waits, a.id)
			w.answers = append(w.answers, answer{to, a.err})
		}
	}
	if e.settled {
		w.settled, k.settled = k.settled, nil
	}
	if e.cancel {
		w.cancel = k.cancel
	}
	if e.acquired {
		w.begin, k.cancel = context.WithCancelCause(k.r.base)
		k.acquired, k.serving = true, true
		k.token = Token{Key: k.key, Counter: k.m.row.Counter}
	}
	if e.over && k.acquired {
		w.ended, w.why = true, k.m.why
	}
	if k.ending() {
		k.isOver, w.gone = true, true
	}
	return w
}

// rearm sets the timer to the machine's next moment. Most calls do not move that moment, and leave the timer alone.
func (k *keeper) rearm(now instant) {
	at, ok := k.m.wake()
	if ok == k.armed && (!ok || at == k.armedAt) {
		return
	}
	k.armed, k.armedAt = ok, at
	d := max(0, at-now.mono)
	switch {
	case !ok:
		k.timer.Stop()
	case k.timer == nil:
		k.timer = time.AfterFunc(d, k.tick)
	default:
		k.timer.Reset(d)
	}
}

// tick is the timer's.
func (k *keeper) tick() {
	k.do(func(now instant) effects {
		k.armed = false // it has fired: whatever comes next has to set it again
		return k.m.tick(now)
	})
}

// perform does what must not be done under the lock. The end of the context comes first: nothing may delay it.
func (w *work) perform(k *keeper) {
	if w.cancel != nil {
		w.cancel(ErrLost)
	}
	if w.settled != nil {
		close(w.settled)
	}
	for _, a := range w.answers {
		a.to <- a.err // has room for it
	}
	if w.e.over {
		close(k.over)
	}
	if w.e.asked {
		k.asked()
	}
	if w.e.write != nil {
		go k.request(w.e.write)
	}
	if w.e.read {
		go k.read()
	}
	k.tell(w)
	if w.begin != nil {
		go k.serve(w.begin)
	}
	if w.gone {
		k.c.forget(k, w.lease)
		close(k.gone)
	}
}

// tell reports what happened to hooks and log.
func (k *keeper) tell(w *work) {
	if w.begin == nil && !w.e.stored && !w.ended {
		return
	}
	event := Event{Lease: w.lease, Took: time.Since(k.began)}
	h := k.c.hooks
	if w.begin != nil {
		k.c.log.Info("lease acquired", zap.String("lease", k.key), zap.Int64("counter", w.lease.Counter), zap.Stringer("checkpoint", w.lease.Checkpoint.Position))
		if h.Acquired != nil {
			h.Acquired(event)
		}
	}
	if w.e.stored && h.Stored != nil {
		h.Stored(event)
	}
	if !w.ended {
		return
	}
	event.Err = w.why
	if w.why != nil {
		k.c.log.Warn("lease lost", zap.String("lease", k.key), zap.Int64("counter", w.lease.Counter))
	} else {
		k.c.log.Info("lease given away", zap.String("to", w.lease.Owner), zap.String("lease", k.key), zap.Stringer("checkpoint", w.lease.Checkpoint.Position))
	}
	if h.Ended != nil {
		h.Ended(event)
	}
}

// request is one attempt at a write.
func (k *keeper) request(w *write) {
	defer k.r.requests.Done()
	ctx, cancel := context.WithTimeout(k.r.io, k.c.cfg.RequestTimeout)
	defer cancel()
	row, err := k.c.store.Write(ctx, k.key, w.when, w.set)
	var conflict *ConflictError
	if errors.As(err, &conflict) {
		k.c.refusedBy(conflict.Current)
	}
	k.do(func(now instant) effects {
		switch {
		case err == nil:
			return k.m.answered(now, row)
		case conflict != nil:
			return k.m.refused(now, conflict.Current, conflict.Absent)
		}
		return k.m.unanswered(now)
	})
}

// read is one attempt at a read.
func (k *keeper) read() {
	defer k.r.requests.Done()
	ctx, cancel := context.WithTimeout(k.r.io, k.c.cfg.RequestTimeout)
	defer cancel()
	row, err := k.c.store.Get(ctx, k.key)
	if err == nil {
		k.c.refusedBy(&row)
	}
	k.do(func(now instant) effects {
		switch {
		case err == nil:
			return k.m.readBack(now, &row)
		case errors.Is(err, ErrNotFound):
			return k.m.readBack(now, nil)
		}
		return k.m.unanswered(now)
	})
}
