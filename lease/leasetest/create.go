package leasetest

import (
	"errors"
	"testing"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/lease"
)

func created(t *testing.T, s lease.Store) {
	sparse := lease.Lease{Key: other, Checkpoint: checkpoint.Checkpoint{Position: checkpoint.TrimHorizon}}
	for _, l := range []lease.Lease{full(t), sparse} {
		create(t, s, l)
		holds(t, s, l)
	}
	eventually(t, s, key, other)
	for l, err := range s.List(t.Context()) {
		if err != nil {
			t.Fatalf("List: %v", err)
		}
		if l.Key == key {
			same(t, "List", l, full(t))
		} else {
			same(t, "List", l, sparse)
		}
	}
}

func existsOnce(t *testing.T, s lease.Store) {
	released := full(t)
	released.Key, released.Owner = other, ""
	for _, l := range []lease.Lease{full(t), released} {
		create(t, s, l)
		err := s.Create(t.Context(), lease.Lease{Key: l.Key, Owner: "w2", Checkpoint: checkpoint.Checkpoint{Position: checkpoint.TrimHorizon}})
		if !errors.Is(err, lease.ErrExists) {
			t.Fatalf("the second Create over a row of owner %q = %v, want lease.ErrExists", l.Owner, err)
		}
		holds(t, s, l)
	}
}

func notFound(t *testing.T, s lease.Store) {
	absent(t, s, key)
	create(t, s, full(t))
	absent(t, s, other)
}

func noKey(t *testing.T, s lease.Store) {
	l := full(t)
	l.Key = ""
	if err := s.Create(t.Context(), l); err == nil {
		t.Error("Create took a lease without a key")
	}
	if keys := keysOf(t.Context(), t, s); len(keys) != 0 {
		t.Errorf("rows %q, want none", keys)
	}
}

func notShared(t *testing.T, s lease.Store) {
	scribble := func(l lease.Lease) {
		l.Parents[0], l.Children[0], l.Checkpoint.State[0] = "scribbled", "scribbled", 0xEE
	}
	given := full(t)
	create(t, s, given)
	scribble(given)
	holds(t, s, full(t))

	got, err := s.Get(t.Context(), key)
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	scribble(got)
	holds(t, s, full(t))

	for l, err := range s.List(t.Context()) {
		if err != nil {
			t.Fatalf("List: %v", err)
		}
		scribble(l)
	}
	holds(t, s, full(t))

	set := full(t)
	written, err := s.Write(t.Context(), key, lease.Condition{Counter: &set.Counter}, lease.Change{Checkpoint: &set.Checkpoint, Children: set.Children, ReadTo: set.ReadTo})
	if err != nil {
		t.Fatalf("Write: %v", err)
	}
	scribble(set)
	scribble(written)
	holds(t, s, full(t))

	wrong := full(t).Counter - 1
	_, err = s.Write(t.Context(), key, lease.Condition{Counter: &wrong}, lease.Change{AddCounter: 1})
	var conflict *lease.ConflictError
	if errors.As(err, &conflict) && conflict.Current != nil {
		scribble(*conflict.Current)
	}
	holds(t, s, full(t))
}
