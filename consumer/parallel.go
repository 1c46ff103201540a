package consumer

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/consumer/internal/fetch"
	"github.com/kinesiskit/kinesiskit/consumer/internal/track"
	"github.com/kinesiskit/kinesiskit/internal/retry"
)

// window bounds what one shard has begun and not finished with Config.ParallelizationFactor.
var window = track.Limits{Records: 10_000, Bytes: 16 << 20, Age: 5 * time.Minute}

// parallel hands the records of one shard to several goroutines, and keeps the order of each key. The session's goroutine fills the window; a worker
// takes the next record that may begin, and the one after it, until there is none. What has to change changes under mu, which is held for nothing else.
type parallel struct {
	s         *session
	ctx, stay context.Context // the session's
	most      int             // workers at a time
	memory    *fetch.Account

	over sync.WaitGroup // workers, and the timer while it is set

	mu      sync.Mutex
	t       *track.Tracker[*work]
	workers int
	halted  int       // records that the policy halted: while there are any nothing begins
	failing int       // records that failed at their last attempt
	closed  bool      // the session ends: only those begin that others count on
	until   time.Time // and only until then
	err     error     // ends the session
	timer   *time.Timer
	armed   time.Time     // what it is set to; zero if it is not
	waits   chan struct{} // closed when the session's goroutine should look again; nil if it does not wait
	blocked bool          // it waits for room, and the oldest record is parked or halted

	entered checkpoint.Position // of what was added last; the session's goroutine alone looks at it
}

// work is one record on its way.
type work struct {
	id     uint64
	unit   [1]Record // a copy: the page is not kept alive by the last of its records
	behind time.Duration
	try    try
	load   *load
	bytes  int
	failed bool
}

// load is what is left of the memory that a page takes. It is given back record by record, and what the records do not add up to with the last.
type load struct {
	bytes, undone int
	shed          bool // what had not been added was given up
}

func (l *load) done(bytes int) (back int) {
	l.undone--
	if back = min(bytes, l.bytes); l.undone == 0 {
		back = l.bytes
	}
	l.bytes -= back
	return back
}

func (s *session) newParallel(ctx, stay context.Context, memory *fetch.Account) *parallel {
	p := &parallel{s: s, ctx: ctx, stay: stay, most: s.c.cfg.ParallelizationFactor, memory: memory, t: track.New[*work](window)}
	s.view.also(p.show)
	return p
}

// deliver adds what is left of a page to the window, and waits where it is full. It returns when all was added, or given up.
func (p *parallel) deliver(bytes int, behind time.Duration) error {
	s := p.s
	of := &load{bytes: bytes, undone: 1} // one for the page itself
	for len(s.rest) > 0 {
		if err := p.room(of); err != nil {
			return err
		}
		if len(s.rest) == 0 {
			break // given up meanwhile
		}
		r := &s.rest[0]
		p.add(r, of, behind)
		s.rest = s.rest[1:]
	}
	p.mu.Lock()
	back := of.done(0)
	p.mu.Unlock()
	p.memory.Done(back)
	return nil
}

func (p *parallel) add(r *Record, of *load, behind time.Duration) {
	w := &work{unit: [1]Record{*r}, behind: behind, try: try{attempt: 1}, load: of, bytes: len(r.Data) + len(r.PartitionKey)}
	p.entered = r.Position
	p.mu.Lock()
	of.undone++
	p.t.Add(r.PartitionKey, r.Position, w.bytes, time.Now(), w)
	p.kick()
	p.mu.Unlock()
}

// kick starts workers for what may begin. It runs under mu.
func (p *parallel) kick() {
	for n := p.t.Ready(); n > 0 && p.workers < p.most && !p.rests(); n-- {
		p.workers++
		p.over.Add(1)
		go p.work()
	}
}

// rests reports whether nothing may begin. It runs under mu.
func (p *parallel) rests() bool {
	return p.err != nil || p.halted > 0 || p.ctx.Err() != nil || p.closed && !time.Now().Before(p.until)
}

func (p *parallel) work() {
	defer p.over.Done()
	for w := p.take(); w != nil; w = p.take() {
		for p.call(w) {
		}
	}
}

// take begins the next record, or ends the worker.
func (p *parallel) take() *work {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.rests() {
		if id, w, ok := p.t.Next(); ok {
			w.id = id
			return w
		}
	}
	p.workers--
	return nil
}

// call makes one attempt, and reports whether the next one is due at once.
func (p *parallel) call(w *work) (again bool) {
	// Nothing becomes storable with the call: records before this one may not be done. That comes with done.
	admitted, err := p.s.process(p.ctx, w.unit[:], nothing, w.behind, &w.try)
	switch {
	case !admitted:
		p.fail(err)
		return false
	case err == nil:
		p.done(w, true)
		return false
	}
	p.mu.Lock()
	if !w.failed {
		w.failed = true
		p.failing++
	}
	p.mu.Unlock()
	verdict, stop := p.s.failed(p.ctx, &w.try, w.unit[:], err)
	switch {
	case stop != nil:
		p.fail(stop)
	case verdict == Skip:
		p.s.skip(w.unit[:])
		p.done(w, false)
	case verdict == Halt:
		return p.halt(w, err)
	default:
		p.park(w)
	}
	return false
}

// fail ends the session. Its goroutine learns it when it waits, or by the end of ctx that is behind err.
func (p *parallel) fail(err error) {
	p.mu.Lock()
	if p.err == nil {
		p.err = err
	}
	p.nudge()
	p.mu.Unlock()
}

// done ends a record, and lets be stored what is done as a whole.
func (p *parallel) done(w *work, succeeded bool) {
	p.mu.Lock()
	p.t.Done(w.id)
	back := w.load.done(w.bytes)
	mended := false
	if w.failed {
		p.failing--
		mended = p.failing == 0
	}
	at, moved := p.t.Progress()
	p.kick()
	if p.t.Low() || p.t.Undone() == 0 {
		p.nudge()
	}
	p.mu.Unlock()
	p.memory.Done(back)
	if mended && p.s.view.well() && succeeded {
		p.s.log.Info("call of the application's code succeeded", zap.Int("attempt", w.try.attempt))
	}
	if moved {
		p.stored(at)
	}
}

// stored hands on how far everything is done. Two workers may come here in the wrong order: what is lower then changes nothing.
func (p *parallel) stored(at checkpoint.Position) {
	p.s.tenure.Pass(at)
	if err := p.s.mark(at); err != nil {
		p.fail(err)
	}
}

// pass accounts for the end of a page.
func (p *parallel) pass(end checkpoint.Position) {
	p.entered = end
	p.mu.Lock()
	p.t.Pass(end)
	at, moved := p.t.Progress()
	p.mu.Unlock()
	if moved {
		p.stored(at)
	}
}

// park lets a record that failed wait for its backoff. Others go on, those of its key excepted.
func (p *parallel) park(w *work) {
	if w.try.backoff == nil {
		// A source of its own, or the delays would depend on which of several calls failed first.
		w.try.backoff = retry.NewBackoff(p.s.c.rng(p.s.id()+" "+w.unit[0].Position.String()), userBackoff, userBackoffMax)
	}
	p.mu.Lock()
	p.t.Park(w.id, time.Now().Add(w.try.backoff.Next()))
	p.arm()
	p.nudge() // who waits may have to be reported as blocked
	p.mu.Unlock()
}

// arm sets the timer for the first of what is parked. It runs under mu.
func (p *parallel) arm() {
	due, ok := p.t.Due()
	if !ok || p.closed || !p.armed.IsZero() && !due.Before(p.armed) {
		return
	}
	if p.armed.IsZero() || p.timer.Stop() {
		if p.armed.IsZero() {
			p.over.Add(1)
		}
		p.armed = due
		p.timer = time.AfterFunc(time.Until(due), p.wake)
	}
	// Else it has just fired: wake sets it anew.
}

// wake is the timer's.
func (p *parallel) wake() {
	defer p.over.Done()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.armed = time.Time{}
	if p.closed {
		return
	}
	p.t.Wake(time.Now())
	p.arm()
	p.kick()
}
