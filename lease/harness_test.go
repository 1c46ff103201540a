package lease_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/lease"
	"github.com/kinesiskit/kinesiskit/lease/memstore"
)

const (
	failover = 10 * time.Second
	margin   = failover / 20
	renewal  = failover / 3
	lookMax  = 2400 * time.Millisecond // between two looks of one worker: two seconds and a fifth
)

// fate is what happens to one request of one worker.
type fate int

const (
	passes     fate = iota
	dropped         // never reaches the table, and nobody says so
	unanswered      // is executed, and its answer is lost
	failed          // is refused by a table that is not there
	delayed         // is executed, and answered after a second and a half
)

var errTable = errors.New("ResourceNotFoundException: no such table")

// link is one worker's way to the table.
type link struct {
	lease.Store
	mu    sync.Mutex
	judge func(op, key string) fate
	stale func([]lease.Lease) []lease.Lease
	bad   []*lease.RowError
	sent  map[string]time.Time // when the last write that reached the table was sent, by key
}

func (l *link) set(judge func(op, key string) fate) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.judge = judge
}

func (l *link) fate(op, key string) fate {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.judge == nil {
		return passes
	}
	return l.judge(op, key)
}

func (l *link) lastSent(key string) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sent[key]
}

// pass executes a request as its fate has it.
func pass[T any](ctx context.Context, f fate, do func(context.Context) (T, error)) (T, error) {
	var none T
	switch f {
	case dropped:
		<-ctx.Done()
		return none, ctx.Err()
	case unanswered:
		_, _ = do(ctx)
		<-ctx.Done()
		return none, ctx.Err()
	case failed:
		return none, errTable
	case delayed:
		got, err := do(ctx)
		time.Sleep(1500 * time.Millisecond)
		return got, err
	}
	return do(ctx)
}

func (l *link) ListConsistent(ctx context.Context) iter.Seq2[lease.Lease, error] {
	if l.fate("ListConsistent", "") == failed {
		return func(yield func(lease.Lease, error) bool) { yield(lease.Lease{}, errTable) }
	}
	return l.Store.ListConsistent(ctx)
}

func (l *link) List(ctx context.Context) iter.Seq2[lease.Lease, error] {
	return func(yield func(lease.Lease, error) bool) {
		rows, err := pass(ctx, l.fate("List", ""), func(ctx context.Context) (rows []lease.Lease, err error) {
			for r, err := range l.Store.List(ctx) {
				if err != nil {
					return nil, err
				}
				rows = append(rows, r)
			}
			return rows, nil
		})
		if err != nil {
			yield(lease.Lease{}, err)
			return
		}
		l.mu.Lock()
		stale, bad := l.stale, l.bad
		l.mu.Unlock()
		if stale != nil {
			rows = stale(rows)
		}
		for _, b := range bad {
			if !yield(lease.Lease{}, b) {
				return
			}
		}
		for _, r := range rows {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func (l *link) Get(ctx context.Context, key string) (lease.Lease, error) {
	return pass(ctx, l.fate("Get", key), func(ctx context.Context) (lease.Lease, error) { return l.Store.Get(ctx, key) })
}

func (l *link) Create(ctx context.Context, row lease.Lease) error {
	_, err := pass(ctx, l.fate("Create", row.Key), func(ctx context.Context) (struct{}, error) { return struct{}{}, l.Store.Create(ctx, row) })
	return err
}

func (l *link) Write(ctx context.Context, key string, when lease.Condition, set lease.Change) (lease.Lease, error) {
	now := time.Now()
	return pass(ctx, l.fate("Write", key), func(ctx context.Context) (lease.Lease, error) {
		row, err := l.Store.Write(ctx, key, when, set)
		if err == nil {
			l.mu.Lock()
			l.sent[key] = now
			l.mu.Unlock()
		}
		return row, err
	})
}

// table is a store with rows.
func table(t *testing.T, rows ...lease.Lease) lease.Store {
	t.Helper()
	s := memstore.New()
	for _, r := range rows {
		if err := s.Create(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func rows(n int) []lease.Lease {
	out := make([]lease.Lease, n)
	for i := range out {
		out[i] = leaseAt(fmt.Sprintf("s%02d", i), at(1))
	}
	return out
}

func leaseAt(key string, p checkpoint.Position, parents ...string) lease.Lease {
	return lease.Lease{Key: key, Counter: 1000, Checkpoint: checkpoint.Checkpoint{Position: p}, Parents: parents, Stream: "stream"}
}

func at(n int) checkpoint.Position {
	p, err := checkpoint.At(strconv.Itoa(n), 0)
	if err != nil {
		panic(err)
	}
	return p
}

func get(t *testing.T, s lease.Store, key string) lease.Lease {
	t.Helper()
	l, err := s.Get(context.Background(), key)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// worker is a coordinator that runs.
type worker struct {
	*lease.Coordinator
	t    *testing.T
	link *link
	done chan struct{}
	err  error
	stop context.CancelCauseFunc

	mu     sync.Mutex
	events []happened
}

type happened struct {
	what string // acquired, ended, lost, stored, served, cancelled
	key  string
	when time.Time
	err  error
	row  lease.Lease
}

func (w *worker) note(what, key string, row lease.Lease, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, happened{what, key, time.Now(), err, row})
}

func (w *worker) seen(what, key string) (list []happened) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		if e.what == what && (key == "" || e.key == key) {
			list = append(list, e)
		}
	}
	return list
}

// hold is user code that does nothing until it is told to stop.
func hold(ctx context.Context, t *lease.Tenure) error {
	select {
	case <-ctx.Done():
	case <-t.Leaving():
	}
	return nil
}

type serveFunc = func(context.Context, *lease.Tenure) error

// prepare makes a worker that does not run yet.
func prepare(t *testing.T, label string, s lease.Store, cfg lease.Config) *worker {
	t.Helper()
	if cfg.FailoverTime == 0 {
		cfg.FailoverTime = failover
	}
	w := &worker{t: t, link: &link{Store: s, sent: map[string]time.Time{}}, done: make(chan struct{})}
	c, err := lease.New(label, w.link, cfg, lease.WithSeed(7), lease.WithHooks(lease.Hooks{
		Acquired: func(e lease.Event) { w.note("acquired", e.Lease.Key, e.Lease, e.Err) },
		Stored:   func(e lease.Event) { w.note("stored", e.Lease.Key, e.Lease, e.Err) },
		Ended:    func(e lease.Event) { w.note("ended", e.Lease.Key, e.Lease, e.Err) },
	}))
	if err != nil {
		t.Fatal(err)
	}
	w.Coordinator = c
	return w
}

func (w *worker) start(serve serveFunc) *worker {
	ctx, stop := context.WithCancelCause(context.WithValue(context.Background(), ctxKey{}, "value"))
	w.stop = stop
	go func() {
		defer close(w.done)
		w.err = w.Run(ctx, func(ctx context.Context, t *lease.Tenure) error {
			key := t.Token().Key
			w.note("served", key, t.Lease(), nil)
			defer context.AfterFunc(ctx, func() { w.note("cancelled", key, lease.Lease{}, context.Cause(ctx)) })()
			return serve(ctx, t)
		})
	}()
	return w
}

type ctxKey struct{}

func run(t *testing.T, label string, s lease.Store, serve serveFunc) *worker {
	t.Helper()
	return prepare(t, label, s, lease.Config{}).start(serve)
}

// quit drains the worker and checks that it ended well.
func (w *worker) quit() {
	w.t.Helper()
	if err := w.Shutdown(context.Background()); err != nil {
		w.t.Errorf("shutdown: %v", err)
	}
	<-w.done
	if w.err != nil {
		w.t.Errorf("run: %v", w.err)
	}
	w.stop(nil)
}

// kill is a crash: nothing reaches the table any more, and the program ends.
func (w *worker) kill() {
	w.link.set(func(string, string) fate { return dropped })
}

func owners(t *testing.T, s lease.Store) map[string]int {
	t.Helper()
	count := map[string]int{}
	for r, err := range s.List(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		count[r.Owner]++
	}
	return count
}

func keysOf(events []happened) (keys []string) {
	for _, e := range events {
		keys = append(keys, e.key)
	}
	slices.Sort(keys)
	return keys
}
