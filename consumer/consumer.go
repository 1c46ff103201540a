package consumer

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/consumer/internal/fetch"
	"github.com/kinesiskit/kinesiskit/lease"
)

// Consumer is one worker of a fleet: it holds some of a stream's shards and runs your code for them. Make one with [New].
type Consumer struct {
	cfg     Config
	stream  fetch.Stream
	api     KinesisAPI
	store   lease.Store
	handler *handler
	log     *zap.Logger
	hooks   []Hooks
	policy  ErrorPolicy // nil: always Retry
	watched bool        // a hook looks at calls that deliver records
	seed    uint64

	coordinator *lease.Coordinator
	listing     *listing
	budget      *fetch.Budget

	registration *registration // nil without fan-out
	distribution *distribution

	done chan struct{} // closed when Run has returned, or never will be

	hard     context.Context // ends, with cause ErrStopped, when what is left of a stop is to be cut short
	stopHard context.CancelCauseFunc

	mu       sync.Mutex
	state    State
	err      error                          // of a start that failed, or fails at the moment, or why Run is about to end
	expired  map[string]checkpoint.Position // by shard: what the log was told of
	failure  error                          // what waiting cannot mend, found after the start
	askDrain context.CancelFunc             // nil before Run
	drainBy  time.Time                      // when what is left will be stopped hard; zero if that is not known
	sessions map[*session]struct{}
	explicit map[string]checkpoint.Position // by lease, what Shard.Checkpoint asked for last
}

// New checks everything it can without the network and starts nothing.
//
// Errors: those of [Config.Validate]; *ConfigError for anything else that is missing or wrong.
func New(cfg Config, k KinesisAPI, s lease.Store, h Handler, opts ...Option) (*Consumer, error) {
	err := errors.Join(cfg.Validate(), checkParts(k, s, h), checkParallel(cfg, h))
	if err != nil {
		return nil, err
	}
	cfg = cfg.WithDefaults()
	c := &Consumer{
		cfg: cfg, stream: cfg.stream(), api: k, store: s, handler: h.(*handler),
		log: zap.NewNop(), seed: randomSeed(), done: make(chan struct{}), sessions: make(map[*session]struct{}),
		expired:  make(map[string]checkpoint.Position),
		explicit: make(map[string]checkpoint.Position),
	}
	for _, o := range opts {
		if o, ok := o.(option); ok {
			o(c)
		}
	}
	for _, h := range c.hooks {
		c.watched = c.watched || h.ProcessStart != nil || h.ProcessEnd != nil
	}
	c.log = c.log.With(zap.String("application", cfg.Application), zap.String("stream", c.stream.Name))
	c.listing = &listing{api: k, stream: c.stream}
	c.budget = fetch.NewBudget(cfg.BufferBytes)
	c.coordinator, err = lease.New(cfg.Worker, s, cfg.Lease, lease.WithLogger(c.log), lease.WithSeed(c.seed), lease.WithHooks(c.leaseHooks()), lease.WithEnd(cfg.End))
	if err != nil {
		return nil, &ConfigError{Field: "Lease", Problem: "is refused", Err: err}
	}
	c.log = c.log.With(zap.String("worker", c.coordinator.Owner()))
	c.distribution = &distribution{api: k, stream: c.stream, log: c.log, rng: c.rng("distribution"), parallel: cfg.ParallelizationFactor > 1}
	if cfg.FanOut != nil {
		c.registration = newRegistration(k, c.stream, *cfg.FanOut, c.log, c.rng("fan-out"))
	}
	return c, nil
}

// checkParts checks what New is given beside Config. A store that can judge itself is asked to, so that a mistake shows before anything runs.
func checkParts(k KinesisAPI, s lease.Store, h Handler) error {
	var errs []error
	if k == nil {
		errs = append(errs, &ConfigError{Field: "Kinesis", Problem: "is nil"})
	}
	if s == nil {
		errs = append(errs, &ConfigError{Field: "Store", Problem: "is nil"})
	} else if v, ok := s.(interface{ Validate() error }); ok {
		if err := v.Validate(); err != nil {
			errs = append(errs, &ConfigError{Field: "Store", Problem: "is refused", Err: err})
		}
	}
	if mine, ok := h.(*handler); !ok || mine == nil || mine.each == nil && mine.batches == nil && mine.open == nil {
		errs = append(errs, &ConfigError{Field: "Handler", Problem: "is none that Each, Batches or PerShard made of a function"})
	}
	return errors.Join(errs...)
}

// checkParallel: what returns for many records at once says nothing of each, and a Processor is promised one call at a time.
func checkParallel(cfg Config, h Handler) error {
	if mine, ok := h.(*handler); cfg.ParallelizationFactor > 1 && ok && mine != nil && mine.each == nil {
		return &ConfigError{Field: "ParallelizationFactor", Problem: "is for Each, not for Batches or PerShard"}
	}
	return nil
}

// leaseHooks makes one of all that were given.
func (c *Consumer) leaseHooks() lease.Hooks {
	var merged lease.Hooks
	for _, h := range c.hooks {
		merged.Acquired = both(merged.Acquired, h.Lease.Acquired)
		merged.Ended = both(merged.Ended, h.Lease.Ended)
		merged.Stored = both(merged.Stored, h.Lease.Stored)
		merged.Scanned = both(merged.Scanned, h.Lease.Scanned)
	}
	merged.Stored = both(merged.Stored, c.stored)
	merged.Ended = both(merged.Ended, func(e lease.Event) {
		c.mu.Lock()
		delete(c.explicit, e.Lease.Key)
		c.mu.Unlock()
	})
	return merged
}

func both[T any](a, b func(T)) func(T) {
	if a == nil {
		return b
	}
	if b == nil {
		return a
	}
	return func(v T) { a(v); b(v) }
}

// rng is the source of one shard's delays: a function of the seed and the shard, so that no shard's draws depend on what another one did.
func (c *Consumer) rng(shard string) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(shard))
	return rand.New(rand.NewPCG(c.seed, h.Sum64()))
}

func randomSeed() uint64 {
	var b [8]byte
	_, _ = crand.Read(b[:]) // never fails
	return binary.LittleEndian.Uint64(b[:])
}
