package leasetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/lease"
)

const workers = 8

// together runs do on several goroutines that start at the same moment, and returns what each answered.
func together(do func(worker int) error) []error {
	errs := make([]error, workers)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			<-start
			errs[w] = do(w)
		})
	}
	close(start)
	wg.Wait()
	return errs
}

// oneOf demands that one of errs is nil and that refusal accepts all the others; it returns whose is nil.
func oneOf(t *testing.T, errs []error, refusal func(error) bool) int {
	t.Helper()
	winner := -1
	for w, err := range errs {
		switch {
		case err == nil && winner >= 0:
			t.Fatalf("workers %d and %d both won", winner, w)
		case err == nil:
			winner = w
		case !refusal(err):
			t.Fatalf("worker %d: %v", w, err)
		}
	}
	if winner < 0 {
		t.Fatal("nobody won")
	}
	return winner
}

func isConflict(err error) bool {
	var conflict *lease.ConflictError
	return errors.As(err, &conflict)
}

func oneCreator(t *testing.T, s lease.Store) {
	for round := range 10 {
		l := lease.Lease{Key: fmt.Sprintf("shardId-%012d", round), Checkpoint: checkpoint.Checkpoint{Position: checkpoint.TrimHorizon}}
		winner := oneOf(t, together(func(worker int) error {
			mine := l
			mine.Owner = fmt.Sprint("w", worker)
			return s.Create(t.Context(), mine)
		}), func(err error) bool { return errors.Is(err, lease.ErrExists) })
		l.Owner = fmt.Sprint("w", winner)
		holds(t, s, l)
	}
}

func oneWriter(t *testing.T, s lease.Store) {
	l := lease.Lease{Key: key, Counter: 1, Checkpoint: checkpoint.Checkpoint{Position: checkpoint.TrimHorizon}}
	create(t, s, l)
	for range 50 {
		winner := oneOf(t, together(func(worker int) error {
			_, err := s.Write(t.Context(), key, lease.Condition{Counter: &l.Counter}, lease.Change{AddCounter: 1, Owner: ptr(fmt.Sprint("w", worker))})
			return err
		}), isConflict)
		l.Counter++
		l.Owner = fmt.Sprint("w", winner)
		holds(t, s, l)
	}
}

func deleteWins(t *testing.T, s lease.Store) {
	for range 20 {
		l := full(t)
		create(t, s, l)
		for w, err := range together(func(worker int) error {
			if worker == 0 {
				return s.Delete(t.Context(), key, lease.Condition{Owner: &l.Owner})
			}
			_, err := s.Write(t.Context(), key, lease.Condition{Owner: &l.Owner}, lease.Change{AddCounter: 1})
			return err
		}) {
			if err != nil && (w == 0 || !isConflict(err)) {
				t.Fatalf("worker %d: %v", w, err)
			}
		}
		absent(t, s, key)
	}
}

func endedContext(t *testing.T, s lease.Store) {
	l := full(t)
	create(t, s, l)
	ended, end := context.WithCancel(t.Context())
	end()
	for name, do := range map[string]func() error{
		"Open":   func() error { return s.Open(ended) },
		"Create": func() error { return s.Create(ended, lease.Lease{Key: other}) },
		"Get": func() error {
			_, err := s.Get(ended, key)
			return err
		},
		"Write": func() error {
			_, err := s.Write(ended, key, lease.Condition{Counter: &l.Counter}, lease.Change{AddCounter: 1})
			return err
		},
		"Delete": func() error { return s.Delete(ended, key, lease.Condition{Counter: &l.Counter}) },
		"List": func() error {
			for _, err := range s.List(ended) {
				return err
			}
			return nil
		},
		"ListConsistent": func() error {
			for _, err := range s.ListConsistent(ended) {
				return err
			}
			return nil
		},
	} {
		if err := do(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s with a ctx that was cancelled: %v, want context.Canceled", name, err)
		}
	}
	holds(t, s, l)
	absent(t, s, other)
}
