package lease

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Coordinator is one worker's side of the protocol: it looks at the table, takes what is free, renews what it holds, and lets go of it. Package consumer is
// built on it; use it by itself to divide anything else that has a key.
//
// Its API may change until v1.
type Coordinator struct {
	owner string
	store Store
	cfg   Config
	log   *zap.Logger
	hooks Hooks
	clock clock
	seed  uint64
	end   time.Time  // at which the application ends; zero if it does not
	rng   *rand.Rand // of the goroutine that runs Run

	wake    chan struct{} // capacity 1: look at the table now
	stopped chan struct{} // closed when Run has returned

	mu         sync.Mutex
	started    bool
	stopping   bool
	stopWatch  context.CancelFunc // nil before Run
	keepers    map[string]*keeper
	health     Health
	left       []string // keys that a drain left behind
	succession succession
	stream     Stream                   // as Seed was told; zero before
	service    serviceClock             // as the last listing showed it
	asks       map[string]bool          // keys this worker asks others for
	rests      map[string]time.Duration // keys it does not ask for until then, monotonic: their owners declined
	moving     map[string]bool          // keys it gets ready to give to whoever asked
	beside     bool                     // there are workers of KCL
	fleet      error                    // a *FleetError, why this worker stopped; nil if there was none
	signs      []Sign                   // that CheckFleet read last
	checked    bool                     // it did

	application string   // for the names of KCL's other tables
	born        []string // children of shards that were finished here, to be looked for

	tended tended
	alarm  chan *FleetError  // capacity 1
	handed map[string]string // hand-offs of KCL 3.x that the last look showed, by key; of the goroutine that looks
	looked bool              // there was one
}

// Health is a snapshot of a coordinator's relation to its table.
type Health struct {
	LastScan time.Time   // when the table was last read, all of it or what this worker needs of it; zero before
	Err      error       // of the last reading; nil if it succeeded
	Rows     []*RowError // rows that the last complete look could not read
}

// maxLabel bounds a worker's label, so that a row stays below 1,024 bytes, the size that one DynamoDB write unit pays for.
const maxLabel = 64

// New makes a coordinator. It does no I/O. worker names this process in logs and, with a suffix of its own for each start, in the rows: no start adopts the
// leases of an earlier one, which may be alive.
//
// Errors: *ConfigError, joined.
func New(worker string, s Store, cfg Config, opts ...Option) (*Coordinator, error) {
	err := cfg.Validate()
	if worker == "" || len(worker) > maxLabel {
		err = errors.Join(err, &ConfigError{Field: "worker", Problem: fmt.Sprintf("label of %d bytes is not within 1 and %d", len(worker), maxLabel)})
	}
	if err != nil {
		return nil, err
	}
	o := options{log: zap.NewNop()}
	for _, opt := range opts {
		opt.leaseOption(&o)
	}
	if !o.seeded {
		o.seed = randomSeed()
	}
	rng := rand.New(rand.NewPCG(o.seed, hash64(worker)))
	owner := fmt.Sprintf("%s-%08x", worker, rng.Uint32())
	return &Coordinator{
		owner: owner, store: s, cfg: cfg.WithDefaults(), hooks: o.hooks, clock: newClock(), seed: o.seed, end: o.end, rng: rng,
		log:  o.log.With(zap.String("worker", owner)),
		wake: make(chan struct{}, 1), stopped: make(chan struct{}), alarm: make(chan *FleetError, 1),
		keepers: make(map[string]*keeper),
		asks:    make(map[string]bool), rests: make(map[string]time.Duration), moving: make(map[string]bool),
	}, nil
}

func randomSeed() uint64 {
	var b [8]byte
	_, _ = crand.Read(b[:]) // never fails
	return binary.LittleEndian.Uint64(b[:])
}

func hash64(s string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(s))
	return mix(h.Sum64())
}

// Owner returns the id that stands in the rows this worker owns: its label and this start's suffix.
func (c *Coordinator) Owner() string { return c.owner }

// Health returns a snapshot. Cheap; call it from any goroutine.
func (c *Coordinator) Health() Health {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.health
}

// timing is Config for one tenure. The pause before a request is repeated differs from lease to lease, so that a throttled table does not see them all
// come back at once.
func (c *Coordinator) timing(key string) timing {
	rng := rand.New(rand.NewPCG(c.seed, hash64(key)))
	base := c.cfg.RenewInterval / 8
	return timing{
		valid:  c.cfg.FailoverTime - c.cfg.Margin,
		margin: c.cfg.Margin,
		renew:  c.cfg.RenewInterval,
		retry:  base/2 + time.Duration(rng.Int64N(int64(base)+1)),

		handoff: c.cfg.HandoffTimeout,
	}
}

// begin takes l unless this worker has a tenure of that key, or is stopping.
func (c *Coordinator) begin(l Lease, r *running) {
	c.mu.Lock()
	if c.stopping || c.keepers[l.Key] != nil {
		c.mu.Unlock()
		return
	}
	k := newKeeper(c, l.Key, r)
	c.keepers[l.Key] = k
	c.mu.Unlock()
	k.begin(l)
}

// forget removes a keeper that is over and whose user code has returned. A finished shard has children: they are looked for at once.
func (c *Coordinator) forget(k *keeper, last Lease) {
	c.mu.Lock()
	delete(c.keepers, k.key)
	delete(c.moving, k.key)
	if last.Ended() {
		c.born = append(c.born, last.Children...)
	}
	c.mu.Unlock()
	if last.Ended() {
		c.lookSoon()
	}
}

// lookSoon asks for a look at the table without waiting for its turn.
func (c *Coordinator) lookSoon() {
	select {
	case c.wake <- struct{}{}:
	default: // one is due already
	}
}

// holding returns the keepers there are, by key.
func (c *Coordinator) holding() []*keeper {
	c.mu.Lock()
	defer c.mu.Unlock()
	ks := make([]*keeper, 0, len(c.keepers))
	for _, k := range c.keepers {
		ks = append(ks, k)
	}
	slices.SortFunc(ks, func(a, b *keeper) int { return strings.Compare(a.key, b.key) })
	return ks
}
