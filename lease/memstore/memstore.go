package memstore

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/lease"
)

var (
	_ lease.Store       = (*Store)(nil)
	_ lease.OwnerLister = (*Store)(nil)
)

var errNoKey = errors.New("a lease needs a key")

// Store is a lease table in memory. It is safe for concurrent use, never stale, and copies what it is given and what it gives. Its methods end at once;
// with a ctx that has ended they do nothing but return its error.
type Store struct {
	mu   sync.Mutex
	rows map[string]lease.Lease
}

// New makes an empty store.
func New() *Store { return &Store{rows: make(map[string]lease.Lease)} }

// Open has nothing to prepare.
func (s *Store) Open(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("memstore: open: %w", err)
	}
	return nil
}

// List yields the leases as they are when the iteration begins, by key.
func (s *Store) List(ctx context.Context) iter.Seq2[lease.Lease, error] {
	return func(yield func(lease.Lease, error) bool) {
		if err := ctx.Err(); err != nil {
			yield(lease.Lease{}, fmt.Errorf("memstore: list: %w", err))
			return
		}
		for _, l := range s.snapshot() {
			if !yield(l, nil) {
				return
			}
		}
	}
}

// ListConsistent is List: nothing here is ever stale.
func (s *Store) ListConsistent(ctx context.Context) iter.Seq2[lease.Lease, error] { return s.List(ctx) }

// ListPart yields the leases of one part of the table.
func (s *Store) ListPart(ctx context.Context, part, parts int) iter.Seq2[lease.Lease, error] {
	return func(yield func(lease.Lease, error) bool) {
		for l, err := range s.List(ctx) {
			if err != nil || partOf(l.Key, parts) == part {
				if !yield(l, err) {
					return
				}
			}
		}
	}
}

func partOf(key string, parts int) int {
	h := fnv.New32a()
	h.Write([]byte(key))
	return int(h.Sum32()) % max(1, parts)
}

// ListOwned yields the keys of one owner's leases.
func (s *Store) ListOwned(ctx context.Context, owner string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for o, err := range s.ListOwners(ctx) {
			if err != nil || o.Owner == owner {
				if !yield(o.Key, err) {
					return
				}
			}
		}
	}
}

// ListOwners yields the leases that have an owner, and that.
func (s *Store) ListOwners(ctx context.Context) iter.Seq2[lease.Owned, error] {
	return func(yield func(lease.Owned, error) bool) {
		for l, err := range s.List(ctx) {
			if err != nil || l.Owner != "" {
				if !yield(lease.Owned{Key: l.Key, Owner: l.Owner}, err) {
					return
				}
			}
		}
	}
}

// snapshot copies every row, so that no lock is held while the caller of List looks at one, and perhaps writes it.
func (s *Store) snapshot() []lease.Lease {
	s.mu.Lock()
	defer s.mu.Unlock()
	leases := make([]lease.Lease, 0, len(s.rows))
	for _, key := range slices.Sorted(maps.Keys(s.rows)) {
		leases = append(leases, clone(s.rows[key]))
	}
	return leases
}

// Get reads one lease. Errors: lease.ErrNotFound, or that of ctx.
func (s *Store) Get(ctx context.Context, key string) (lease.Lease, error) {
	if err := ctx.Err(); err != nil {
		return lease.Lease{}, fmt.Errorf("memstore: get %s: %w", key, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l, ok := s.rows[key]
	if !ok {
		return lease.Lease{}, fmt.Errorf("memstore: get %s: %w", key, lease.ErrNotFound)
	}
	return clone(l), nil
}

// Create adds a lease. Errors: lease.ErrExists, that of ctx, or one for a lease without a key.
func (s *Store) Create(ctx context.Context, l lease.Lease) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("memstore: create %s: %w", l.Key, err)
	}
	if l.Key == "" {
		return fmt.Errorf("memstore: create: %w", errNoKey)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.rows[l.Key]; ok {
		return fmt.Errorf("memstore: create %s: %w", l.Key, lease.ErrExists)
	}
	s.rows[l.Key] = clone(l)
	return nil
}

// Write changes a row if when holds, and returns what the row is then. Errors: *lease.ConflictError, which always says what refused the write; that of
// ctx; one for a condition in which nothing is set.
func (s *Store) Write(ctx context.Context, key string, when lease.Condition, set lease.Change) (lease.Lease, error) {
	if err := ready(ctx, when); err != nil {
		return lease.Lease{}, fmt.Errorf("memstore: write %s: %w", key, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l, err := s.match(key, when)
	if err != nil {
		return lease.Lease{}, err
	}
	l = clone(set.Apply(l))
	s.rows[key] = l
	return clone(l), nil
}

// Delete removes a row if when holds. Errors are those of Write.
func (s *Store) Delete(ctx context.Context, key string, when lease.Condition) error {
	if err := ready(ctx, when); err != nil {
		return fmt.Errorf("memstore: delete %s: %w", key, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.match(key, when); err != nil {
		return err
	}
	delete(s.rows, key)
	return nil
}

func ready(ctx context.Context, when lease.Condition) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return when.Validate()
}

// match is the row that when holds for. The lock is held.
func (s *Store) match(key string, when lease.Condition) (lease.Lease, error) {
	l, ok := s.rows[key]
	if !ok {
		return lease.Lease{}, &lease.ConflictError{Key: key, Absent: true}
	}
	if !when.Holds(l) {
		current := clone(l)
		return lease.Lease{}, &lease.ConflictError{Key: key, Current: &current}
	}
	return l, nil
}

// clone copies l with everything it points to, in the form in which a table would give it back: sets in order and without duplicates, no state
// without a pending position, instants of whole milliseconds.
func clone(l lease.Lease) lease.Lease {
	l.Parents = set(l.Parents)
	l.Children = set(l.Children)
	if l.Checkpoint.Pending == (checkpoint.Position{}) || len(l.Checkpoint.State) == 0 {
		l.Checkpoint.State = nil
	}
	l.Checkpoint.State = slices.Clone(l.Checkpoint.State)
	l.StartAt, l.ReadTo = instant(l.StartAt), instant(l.ReadTo)
	return l
}

func instant(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return time.UnixMilli(t.UnixMilli()).UTC()
}

func set(ids []string) []string {
	if len(ids) == 0 {
		return nil
	}
	return slices.Compact(slices.Sorted(slices.Values(ids)))
}
