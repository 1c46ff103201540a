package sim

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/consumer"
	"github.com/kinesiskit/kinesiskit/internal/sim/history"
	"github.com/kinesiskit/kinesiskit/kinesistest"
	"github.com/kinesiskit/kinesiskit/lease"
	"github.com/kinesiskit/kinesiskit/lease/dynamostore"
	"github.com/kinesiskit/kinesiskit/producer"
)

const (
	streamName = "stream"
	table      = "leases"
	failover   = 5 * time.Second

	chaos = 3 * time.Minute
	heal  = 4 * time.Minute // within which everything that was acknowledged must have been processed
)

// world is one run.
type world struct {
	seed   uint64
	rng    *rand.Rand // of the scheduler's goroutine, as the bus's
	bus    *bus
	server *kinesistest.Server
	direct *kinesis.Client // past the bus
	rows   map[string]history.Row

	mu     sync.Mutex // of check and counts, which the program's code tells of what it does
	check  *history.Checker
	counts Counts
	wrong  []string

	workers   []*worker
	producers []*source
	started   int
	full      bool         // nobody joins any more
	peace     bool         // under mu: trouble is over
	code      atomic.Int64 // calls of the program's code, those of dead processes too
}

// worker is one process that consumes.
type worker struct {
	w     *world
	name  string
	c     *consumer.Consumer
	stop  context.CancelFunc
	dead  bool           // crashed: nothing it does is seen any more
	tries map[string]int // how often it was given each record
	done  chan struct{}
	err   error
}

// Result is what a run came to.
type Result struct {
	Wrong  []string
	Hash   uint64
	Counts Counts
	Lasted time.Duration // of virtual time
}

// Run simulates one seed. It has to be called in a bubble of testing/synctest of its own.
func Run(seed uint64, trace func(format string, args ...any)) Result {
	begin := time.Now()
	w := newWorld(seed, trace)
	stop, scheduled := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(scheduled)
		w.bus.run(stop)
	}()
	w.live()
	for w.code.Load() > 0 {
		time.Sleep(time.Second)
	}
	close(stop)
	<-scheduled
	if err := w.server.Close(); err != nil {
		w.broken("%v", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts.Add(w.bus.counts)
	return Result{Wrong: append(w.check.Wrong(), w.wrong...), Hash: w.bus.hash, Counts: w.counts, Lasted: time.Since(begin)}
}

func newWorld(seed uint64, trace func(format string, args ...any)) *world {
	rng := rand.New(rand.NewPCG(seed, 0x73696d))
	w := &world{seed: seed, rng: rng, check: history.New(), rows: map[string]history.Row{}}
	w.bus = newBus(seed, drawFaults(rng))
	w.bus.trace, w.bus.watch = trace, w.performed
	w.server = kinesistest.New(kinesistest.WithSeed(seed))
	w.direct = kinesis.NewFromConfig(w.server.Config("truth"))
	w.server.CreateStream(streamName, 1+rng.IntN(6))
	w.listed()
	return w
}

// live is the run itself: chaos, then peace until everything is done, then the end of all processes.
func (w *world) live() {
	w.do(func() {
		for range 1 + w.rng.IntN(5) {
			w.join()
		}
		for i := range 1 + w.rng.IntN(2) {
			w.produce(fmt.Sprint("p", i))
		}
		w.disturb()
	})
	time.Sleep(chaos)
	w.do(func() {
		w.bus.quiet = true
		w.locked(func() { w.peace = true })
		for name := range w.bus.cut {
			w.mend(name)
		}
		if len(w.workers) == 0 {
			w.join()
		}
	})
	for _, p := range w.producers {
		p.close()
	}
	for deadline := time.Now().Add(heal); time.Now().Before(deadline) && !w.finished(); {
		time.Sleep(time.Second)
	}
	if !w.finished() {
		w.broken("not everything is handled and owned %v after the last trouble", heal)
	}
	w.locked(func() { w.check.Over() })
	var left []*worker
	w.do(func() { left, w.full = slices.Clone(w.workers), true })
	for _, x := range left {
		x.stop()
		<-x.done
		if x.err != nil {
			w.broken("%s: %v", x.name, x.err)
		}
	}
	for key, r := range w.rows {
		if r.Owner != "" && r.Checkpoint != checkpoint.ShardEnd {
			w.broken("%s is left to %s", key, r.Owner)
		}
	}
}

// do lets f happen on the scheduler's goroutine, where chance is drawn and processes are started, and waits for it.
func (w *world) do(f func()) {
	done := make(chan struct{})
	w.bus.ask(func() {
		f()
		close(done)
	})
	<-done
}

func (w *world) locked(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

func (w *world) broken(format string, args ...any) {
	w.locked(func() { w.wrong = append(w.wrong, fmt.Sprintf(format, args...)) })
}

// finished reports whether every copy that the checker knows is handled, and every shard that is not finished has an owner that lives.
func (w *world) finished() (all bool) {
	w.do(func() {
		w.locked(func() { all = w.check.Idle() })
		for _, r := range w.rows {
			all = all && (r.Checkpoint == checkpoint.ShardEnd || w.lives(r.Owner))
		}
	})
	return all
}

func (w *world) lives(owner string) bool {
	return slices.ContainsFunc(w.workers, func(x *worker) bool { return x.c.Health().Worker == owner })
}

// join starts a process that consumes.
func (w *world) join() {
	if w.full {
		return
	}
	w.started++
	x := &worker{w: w, name: fmt.Sprintf("w%d", w.started), tries: map[string]int{}, done: make(chan struct{})}
	cfg := w.server.Config(x.name)
	cfg.HTTPClient = &client{w.bus, x.name, cfg.HTTPClient}
	c, err := consumer.New(
		consumer.Config{Application: "app", Stream: streamName, Worker: x.name, Lease: lease.Config{FailoverTime: failover}},
		kinesis.NewFromConfig(cfg), dynamostore.New(dynamodb.NewFromConfig(cfg), dynamostore.Config{Table: table}),
		x.handler(w.rng.IntN(3)), consumer.WithSeed(w.seed<<8+uint64(w.started)), consumer.WithHooks(x.hooks()),
	)
	if err != nil {
		w.broken("%s: %v", x.name, err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	x.c, x.stop = c, cancel
	w.workers = append(w.workers, x)
	go func() {
		defer close(x.done)
		x.err = c.Run(ctx)
	}()
}

// remove takes a worker out of the fleet.
func (w *world) remove(i int) *worker {
	x := w.workers[i]
	w.workers = append(w.workers[:i:i], w.workers[i+1:]...)
	return x
}

// leave stops a worker in good order. What it was told to do within its time is done, or told.
func (w *world) leave(x *worker) {
	w.locked(func() { w.counts.Leaves++ })
	x.stop()
	go func() {
		<-x.done
		var drain *consumer.DrainError
		if x.err != nil && !errors.As(x.err, &drain) {
			w.broken("%s: %v", x.name, x.err)
		}
	}()
}

// crash ends a worker at once: from here on nothing that it does is seen by anybody.
func (w *world) crash(x *worker) {
	w.bus.cutOff(x.name)
	w.locked(func() { w.counts.Crashes++; x.dead = true })
	go func() {
		over, cancel := context.WithCancel(context.Background())
		cancel()
		_ = x.c.Shutdown(over)
	}()
}

// mend brings a client's network back, unless its process is dead.
func (w *world) mend(name string) {
	for _, x := range w.workers {
		if x.name == name && !x.dead {
			w.bus.connect(name)
		}
	}
}

// draw is chance for the program's code: it depends on what is asked about, not on when.
func (w *world) draw(what string, args ...any) *rand.Rand {
	h := fnv.New64a()
	fmt.Fprint(h, what)
	for _, a := range args {
		fmt.Fprint(h, " ", a)
	}
	return rand.New(rand.NewPCG(w.seed, h.Sum64()))
}

// source is one process that produces: records with a number each, of a few keys.
type source struct {
	w       *world
	name    string
	ordered bool
	p       *producer.Producer
	stop    chan struct{}
	done    chan struct{}
}

func (w *world) produce(name string) {
	s := &source{w: w, name: name, ordered: w.rng.IntN(2) == 0, stop: make(chan struct{}), done: make(chan struct{})}
	cfg := w.server.Config(name)
	cfg.HTTPClient = &client{w.bus, name, cfg.HTTPClient}
	p, err := producer.New(
		producer.Config{Stream: streamName, Ordered: s.ordered, AggregateBytes: []int{0, -1, 2000}[w.rng.IntN(3)]}, kinesis.NewFromConfig(cfg), producer.WithSeed(w.seed),
	)
	if err != nil {
		w.broken("%s: %v", name, err)
		return
	}
	s.p = p
	w.producers = append(w.producers, s)
	go s.run(2 + w.rng.IntN(20))
}
