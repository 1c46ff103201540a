package leasetest_test

import (
	"context"
	"errors"
	"iter"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/kinesiskit/kinesiskit/lease"
	"github.com/kinesiskit/kinesiskit/lease/leasetest"
	"github.com/kinesiskit/kinesiskit/lease/memstore"
)

// broken is a store with one fault.
type broken struct {
	*memstore.Store
	get    func(ctx context.Context, s *memstore.Store, key string) (lease.Lease, error)
	list   func(ctx context.Context, s *memstore.Store) iter.Seq2[lease.Lease, error]
	create func(ctx context.Context, s *memstore.Store, l lease.Lease) error
	write  func(ctx context.Context, s *memstore.Store, key string, when lease.Condition, set lease.Change) (lease.Lease, error)
	remove func(ctx context.Context, s *memstore.Store, key string, when lease.Condition) error
}

func (b *broken) Get(ctx context.Context, key string) (lease.Lease, error) {
	if b.get != nil {
		return b.get(ctx, b.Store, key)
	}
	return b.Store.Get(ctx, key)
}

func (b *broken) List(ctx context.Context) iter.Seq2[lease.Lease, error] {
	if b.list != nil {
		return b.list(ctx, b.Store)
	}
	return b.Store.List(ctx)
}

func (b *broken) ListConsistent(ctx context.Context) iter.Seq2[lease.Lease, error] {
	return b.List(ctx)
}

func (b *broken) Create(ctx context.Context, l lease.Lease) error {
	if b.create != nil {
		return b.create(ctx, b.Store, l)
	}
	return b.Store.Create(ctx, l)
}

func (b *broken) Write(ctx context.Context, key string, when lease.Condition, set lease.Change) (lease.Lease, error) {
	if b.write != nil {
		return b.write(ctx, b.Store, key, when, set)
	}
	return b.Store.Write(ctx, key, when, set)
}

func (b *broken) Delete(ctx context.Context, key string, when lease.Condition) error {
	if b.remove != nil {
		return b.remove(ctx, b.Store, key, when)
	}
	return b.Store.Delete(ctx, key, when)
}

// replace writes a row as it likes, whatever is there.
func replace(ctx context.Context, s *memstore.Store, l lease.Lease) error {
	if old, err := s.Get(ctx, l.Key); err == nil {
		if err := s.Delete(ctx, l.Key, lease.Condition{Counter: &old.Counter}); err != nil {
			return err
		}
	}
	return s.Create(ctx, l)
}

// letOthersIn makes a race that memory is too fast to show.
func letOthersIn() {
	for range 100 {
		runtime.Gosched()
	}
}

// kept has the parents of the first lease that a store was asked for.
var kept sync.Map

// under makes a store that judges another condition than it was given; the one whose fields it drops entirely holds always.
func under(other func(lease.Condition) lease.Condition) broken {
	judge := func(ctx context.Context, s *memstore.Store, key string, when lease.Condition) lease.Condition {
		if when.Validate() != nil {
			return when
		}
		when = other(when)
		if when.Validate() != nil {
			if l, err := s.Get(ctx, key); err == nil {
				when.Counter = &l.Counter
			} else {
				when.Counter = new(int64)
			}
		}
		return when
	}
	return broken{
		write: func(ctx context.Context, s *memstore.Store, key string, when lease.Condition, set lease.Change) (lease.Lease, error) {
			return s.Write(ctx, key, judge(ctx, s, key, when), set)
		},
		remove: func(ctx context.Context, s *memstore.Store, key string, when lease.Condition) error {
			return s.Delete(ctx, key, judge(ctx, s, key, when))
		},
	}
}

// setting makes a store that writes another change than it was given.
func setting(other func(before lease.Lease, set lease.Change) lease.Change) broken {
	return broken{write: func(ctx context.Context, s *memstore.Store, key string, when lease.Condition, set lease.Change) (lease.Lease, error) {
		before, err := s.Get(ctx, key)
		if err == nil {
			set = other(before, set)
		}
		return s.Write(ctx, key, when, set)
	}}
}

// faultVariable names the fault with which this program, started by the test below, runs the contract.
const faultVariable = "LEASETEST_FAULT"

func TestBrokenStore(t *testing.T) {
	name := os.Getenv(faultVariable)
	if name == "" {
		t.Skip("is run by TestEveryFaultIsFound")
	}
	leasetest.Run(t, func(*testing.T) lease.Store {
		s := faults[name].broken
		s.Store = memstore.New()
		return &s
	})
}

func TestEveryFaultIsFound(t *testing.T) {
	t.Parallel()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(faults)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run := exec.CommandContext(t.Context(), program, "-test.run=^TestBrokenStore$", "-test.v")
			run.Env = append(os.Environ(), faultVariable+"="+name)
			out, err := run.CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) {
				t.Fatalf("the contract holds: %v", err)
			}
			want := "--- FAIL: TestBrokenStore/" + strings.ReplaceAll(faults[name].part, " ", "_")
			if !strings.Contains(string(out), want) {
				t.Errorf("found, but not where it should be, in %q:\n%s", faults[name].part, out)
			}
		})
	}
}
