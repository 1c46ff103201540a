package leasetest_test

import (
	"context"
	"errors"
	"iter"
	"reflect"
	"slices"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/lease"
	"github.com/kinesiskit/kinesiskit/lease/memstore"
)

// faults are what a store can do wrong, each with the part of the contract that must notice.
var faults = map[string]struct {
	part string // of the contract, that must fail
	broken
}{
	"upsert": {"a row that is not there stays away", broken{
		write: func(ctx context.Context, s *memstore.Store, key string, when lease.Condition, set lease.Change) (lease.Lease, error) {
			l, err := s.Write(ctx, key, when, set)
			var conflict *lease.ConflictError
			if errors.As(err, &conflict) && conflict.Absent && when.Holds(lease.Lease{}) {
				l = set.Apply(lease.Lease{Key: key})
				return l, s.Create(ctx, l)
			}
			return l, err
		},
	}},
	"upsert, refused": {"a deleted row does not come back", broken{
		write: func(ctx context.Context, s *memstore.Store, key string, when lease.Condition, set lease.Change) (lease.Lease, error) {
			l, err := s.Write(ctx, key, when, set)
			var conflict *lease.ConflictError
			if errors.As(err, &conflict) && conflict.Absent {
				err = errors.Join(err, s.Create(ctx, set.Apply(lease.Lease{Key: key})))
			}
			return l, err
		},
	}},
	"delete of nothing succeeds": {"a row that is not there stays away", broken{
		remove: func(ctx context.Context, s *memstore.Store, key string, when lease.Condition) error {
			err := s.Delete(ctx, key, when)
			var conflict *lease.ConflictError
			if errors.As(err, &conflict) && conflict.Absent {
				return nil
			}
			return err
		},
	}},
	"delete is unconditional": {"a delete happens exactly under its condition", broken{
		remove: func(ctx context.Context, s *memstore.Store, key string, when lease.Condition) error {
			if l, err := s.Get(ctx, key); err == nil && when.Validate() == nil {
				when = lease.Condition{Counter: &l.Counter}
			}
			return s.Delete(ctx, key, when)
		},
	}},
	"create replaces": {"a key exists once", broken{create: replace}},
	"create answers late": {"of several creators one wins", broken{
		create: func(ctx context.Context, s *memstore.Store, l lease.Lease) error {
			if _, err := s.Get(ctx, l.Key); err == nil {
				return lease.ErrExists
			}
			letOthersIn()
			_ = s.Create(ctx, l)
			return nil
		},
	}},
	"no key": {"a lease without a key is refused", broken{
		create: func(ctx context.Context, s *memstore.Store, l lease.Lease) error {
			if l.Key == "" {
				return nil
			}
			return s.Create(ctx, l)
		},
	}},
	"counter is not compared":  {"a write happens exactly under its condition", under(func(c lease.Condition) lease.Condition { c.Counter = nil; return c })},
	"owner is not compared":    {"a write happens exactly under its condition", under(func(c lease.Condition) lease.Condition { c.Owner = nil; return c })},
	"hand-off is not seen":     {"a write happens exactly under its condition", under(func(c lease.Condition) lease.Condition { c.CheckpointOwner = nil; return c })},
	"asker is not compared":    {"a write happens exactly under its condition", under(func(c lease.Condition) lease.Condition { c.AskedBy = nil; return c })},
	"asked is not compared":    {"a write happens exactly under its condition", under(func(c lease.Condition) lease.Condition { c.AskedOf = nil; return c })},
	"mark is not compared":     {"a write happens exactly under its condition", under(func(c lease.Condition) lease.Condition { c.Speaks = nil; return c })},
	"position is not compared": {"a write happens exactly under its condition", under(func(c lease.Condition) lease.Condition { c.Position = nil; return c })},
	"nobody is anybody": {"nobody and no hand-off are conditions", under(func(c lease.Condition) lease.Condition {
		if c.Owner != nil && *c.Owner == "" {
			c.Owner = nil
		}
		return c
	})},
	"positions lose their sub": {"positions are compared for equality", broken{
		write: func(ctx context.Context, s *memstore.Store, key string, when lease.Condition, set lease.Change) (lease.Lease, error) {
			if l, err := s.Get(ctx, key); err == nil && when.Position != nil && when.Position.Sequence() == l.Checkpoint.Position.Sequence() {
				when.Position = &l.Checkpoint.Position
			}
			return s.Write(ctx, key, when, set)
		},
	}},
	"unconditional writes": {"a write without a condition is refused", broken{
		write: func(ctx context.Context, s *memstore.Store, key string, when lease.Condition, set lease.Change) (lease.Lease, error) {
			if l, err := s.Get(ctx, key); err == nil && when.Validate() != nil {
				when.Counter = &l.Counter
			}
			return s.Write(ctx, key, when, set)
		},
	}},
	"answers the old row": {"a change sets what it names and nothing else", broken{
		write: func(ctx context.Context, s *memstore.Store, key string, when lease.Condition, set lease.Change) (lease.Lease, error) {
			before, _ := s.Get(ctx, key)
			_, err := s.Write(ctx, key, when, set)
			return before, err
		},
	}},
	"refusal has another row": {"a write happens exactly under its condition", broken{
		write: func(ctx context.Context, s *memstore.Store, key string, when lease.Condition, set lease.Change) (lease.Lease, error) {
			l, err := s.Write(ctx, key, when, set)
			var conflict *lease.ConflictError
			if errors.As(err, &conflict) && conflict.Current != nil {
				conflict.Current.Counter++
			}
			return l, err
		},
	}},
	"pending stays": {"a change sets what it names and nothing else", setting(func(before lease.Lease, set lease.Change) lease.Change {
		if set.Checkpoint != nil && set.Checkpoint.Pending == (checkpoint.Position{}) {
			set.Checkpoint = &checkpoint.Checkpoint{Position: set.Checkpoint.Position, Pending: before.Checkpoint.Pending, State: before.Checkpoint.State}
		}
		return set
	})},
	"children add up": {"a change sets what it names and nothing else", setting(func(before lease.Lease, set lease.Change) lease.Change {
		if len(set.Children) > 0 {
			set.Children = append(slices.Clone(before.Children), set.Children...)
		}
		return set
	})},
	"owner stays": {"a change sets what it names and nothing else", setting(func(_ lease.Lease, set lease.Change) lease.Change {
		if set.Owner != nil && *set.Owner == "" {
			set.Owner = nil
		}
		return set
	})},
	"write is not atomic": {"of several writers one wins", broken{
		write: func(ctx context.Context, s *memstore.Store, key string, when lease.Condition, set lease.Change) (lease.Lease, error) {
			l, err := s.Get(ctx, key)
			if err != nil || when.Validate() != nil || !when.Holds(l) {
				return s.Write(ctx, key, when, set)
			}
			letOthersIn()
			after := set.Apply(l)
			for range 3 { // until it is there: somebody else may write as carelessly
				if replace(ctx, s, after) == nil {
					break
				}
			}
			return after, nil
		},
	}},
	"first row only": {"a list has every row once", broken{
		list: func(ctx context.Context, s *memstore.Store) iter.Seq2[lease.Lease, error] {
			return func(yield func(lease.Lease, error) bool) {
				rows := 0
				for l, err := range s.List(ctx) {
					if rows++; rows > 100 || !yield(l, err) {
						return
					}
				}
			}
		},
	}},
	"a row twice": {"a list has every row once", broken{
		list: func(ctx context.Context, s *memstore.Store) iter.Seq2[lease.Lease, error] {
			return func(yield func(lease.Lease, error) bool) {
				rows := 0
				for l, err := range s.List(ctx) {
					if rows++; !yield(l, err) || rows == 200 && !yield(l, err) {
						return
					}
				}
			}
		},
	}},
	"a listing that is left early goes on": {"a list may be left early", broken{
		list: func(ctx context.Context, s *memstore.Store) iter.Seq2[lease.Lease, error] {
			return func(yield func(lease.Lease, error) bool) {
				for l, err := range s.List(ctx) {
					yield(l, err)
				}
			}
		},
	}},
	"not found is a zero lease": {"a key without a row is not found", broken{
		get: func(ctx context.Context, s *memstore.Store, key string) (lease.Lease, error) {
			l, err := s.Get(ctx, key)
			if errors.Is(err, lease.ErrNotFound) {
				return lease.Lease{}, nil
			}
			return l, err
		},
	}},
	"a field is lost": {"a created lease is what Get and List answer", broken{
		get: func(ctx context.Context, s *memstore.Store, key string) (lease.Lease, error) {
			l, err := s.Get(ctx, key)
			l.FailoverTime = l.FailoverTime.Truncate(time.Second)
			return l, err
		},
	}},
	"an id twice": {"parents and children are sets", setting(func(_ lease.Lease, set lease.Change) lease.Change {
		if n := len(set.Children); n > 1 && len(slices.Compact(slices.Sorted(slices.Values(set.Children)))) < n {
			set.Children = append(set.Children, "shardId-000000000099")
		}
		return set
	})},
	"state goes into what is pending": {"state is kept with what is pending", setting(func(_ lease.Lease, set lease.Change) lease.Change {
		if set.Checkpoint != nil && set.Checkpoint.Pending == (checkpoint.Position{}) && len(set.Checkpoint.State) > 0 {
			set.Checkpoint = &checkpoint.Checkpoint{Position: set.Checkpoint.Position, Pending: set.Checkpoint.Position, State: set.Checkpoint.State}
		}
		return set
	})},
	"an empty change is refused": {"a write without a change answers the row", broken{
		write: func(ctx context.Context, s *memstore.Store, key string, when lease.Condition, set lease.Change) (lease.Lease, error) {
			if reflect.DeepEqual(set, lease.Change{}) {
				return lease.Lease{}, errors.New("nothing to write")
			}
			return s.Write(ctx, key, when, set)
		},
	}},
	"a write puts its row back": {"a write that races a delete does not bring the row back", broken{
		write: func(ctx context.Context, s *memstore.Store, key string, when lease.Condition, set lease.Change) (lease.Lease, error) {
			before, err := s.Get(ctx, key)
			letOthersIn()
			after, refusal := s.Write(ctx, key, when, set)
			var conflict *lease.ConflictError
			if err == nil && when.Holds(before) && errors.As(refusal, &conflict) && conflict.Absent {
				after = set.Apply(before)
				return after, s.Create(ctx, after)
			}
			return after, refusal
		},
	}},
	"parents are shared": {"what is kept is not shared with the caller", broken{
		get: func(ctx context.Context, s *memstore.Store, key string) (lease.Lease, error) {
			l, err := s.Get(ctx, key)
			if err == nil {
				parents, _ := kept.LoadOrStore(s, l.Parents)
				if parents := parents.([]string); len(parents) == len(l.Parents) {
					l.Parents = parents
				}
			}
			return l, err
		},
	}},
	"writes without ctx": {"nothing is done for a ctx that has ended", broken{
		write: func(ctx context.Context, s *memstore.Store, key string, when lease.Condition, set lease.Change) (lease.Lease, error) {
			l, err := s.Write(context.WithoutCancel(ctx), key, when, set)
			return l, errors.Join(err, ctx.Err())
		},
	}},
}
