package lease

import (
	"time"

	"go.uber.org/zap"
)

// Option hands a collaborator to [New].
type Option interface{ leaseOption(*options) }

type options struct {
	log    *zap.Logger
	hooks  Hooks
	seed   uint64
	seeded bool
	end    time.Time
}

type optionFunc func(*options)

func (f optionFunc) leaseOption(o *options) { f(o) }

// WithLogger logs state changes: leases won and lost, tables that cannot be reached, rows that cannot be read. Default: silent.
func WithLogger(l *zap.Logger) Option { return optionFunc(func(o *options) { o.log = l }) }

// WithHooks reports events to h.
func WithHooks(h Hooks) Option { return optionFunc(func(o *options) { o.hooks = h }) }

// WithSeed makes jitter and the suffix of the owner's id repeatable. For tests: two workers of one label and seed would be the same owner, which
// breaks the protocol. Default: a random seed.
func WithSeed(seed uint64) Option {
	return optionFunc(func(o *options) { o.seed, o.seeded = seed, true })
}

// Hooks report what a coordinator does. Functions that are nil are not called; the others run on the coordinator's own goroutines, possibly several at once,
// and must not block.
type Hooks struct {
	Acquired func(Event)     // a tenure begins
	Ended    func(Event)     // a tenure is over. Err: nil if it was given away, released or finished, else why (ErrLost, or the cause of a hard stop)
	Stored   func(Event)     // Lease.Checkpoint was stored
	Scanned  func(ScanEvent) // once a look at the table
}

// Event is about one lease, as this worker last knew it.
type Event struct {
	Lease Lease
	Took  time.Duration // of the tenure so far; with Acquired, from the first request for it to the answer
	Err   error         // with Ended only, see there
}

// ScanEvent is one look at the table.
type ScanEvent struct {
	Leases  int           // rows that are leases
	Workers int           // owners of live leases, this one included
	Expired int           // leases whose owner has been silent for too long
	Unowned int           // leases that nobody owns and that could be read
	Wanted  int           // leases this worker would like to have beyond those it holds
	Took    time.Duration // of the listing
	Err     error         // why it failed, and the numbers are 0; nil if it succeeded
}
