package leasetest

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/lease"
	"github.com/kinesiskit/kinesiskit/shard"
)

// Run tests a store, and what it does as a lease.OwnerLister if it is one. open returns one whose table is empty or does not exist yet; it is called once for every part of the contract, also while other
// parts run, so no two may share a table. Run calls Open on what it gets, once.
func Run(t *testing.T, open func(t *testing.T) lease.Store) {
	for _, part := range []struct {
		name string
		test func(t *testing.T, s lease.Store)
	}{
		{"a created lease is what Get and List answer", created},
		{"a key exists once", existsOnce},
		{"a key without a row is not found", notFound},
		{"a lease without a key is refused", noKey},
		{"a write happens exactly under its condition", conditions},
		{"nobody and no hand-off are conditions", absentOwners},
		{"positions are compared for equality", positions},
		{"a write without a condition is refused", unconditional},
		{"a change sets what it names and nothing else", changes},
		{"parents and children are sets", sets},
		{"state is kept with what is pending", stateWithPending},
		{"a write without a change answers the row", noChange},
		{"a delete happens exactly under its condition", deletes},
		{"a row that is not there stays away", noUpsert},
		{"a deleted row does not come back", noResurrection},
		{"a list has every row once", list},
		{"a list may be left early", listLeftEarly},
		{"the parts of a list are the list", parts},
		{"leases are listed by owner", byOwner},
		{"a consistent list is never stale", listConsistent},
		{"of several creators one wins", oneCreator},
		{"of several writers one wins", oneWriter},
		{"a write that races a delete does not bring the row back", deleteWins},
		{"nothing is done for a ctx that has ended", endedContext},
		{"what is kept is not shared with the caller", notShared},
	} {
		t.Run(part.name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			if err := s.Open(t.Context()); err != nil {
				t.Fatalf("Open: %v", err)
			}
			part.test(t, s)
		})
	}
}

const (
	key   = "shardId-000000000012"
	other = "shardId-000000000013"

	// Of 56 digits, as Kinesis's are: more than any integer type holds.
	sequence = "49590338271490256608559692538361571095921575989136588898"
	later    = "49590338271490256608559692540925702759324208523137515618"
)

// full is a lease in which every field is set.
func full(t *testing.T) lease.Lease {
	t.Helper()
	half, err := shard.ParseHashRange("170141183460469231731687303715884105728", "340282366920938463463374607431768211455")
	if err != nil {
		t.Fatal(err)
	}
	return lease.Lease{
		Key:             key,
		Owner:           "w1",
		CheckpointOwner: "w0",
		AskedBy:         "w4",
		AskedOf:         "w3",
		Speaks:          "w2",
		Counter:         1_700_000_000_000,
		OwnerSwitches:   3,
		Checkpoint:      checkpoint.Checkpoint{Position: at(t, sequence, 7), Pending: at(t, later, -1), State: []byte{0, 1, 0xFF}},
		Parents:         []string{"shardId-000000000003", "shardId-000000000004"},
		Children:        []string{"shardId-000000000020", "shardId-000000000021"},
		HashRange:       half,
		Stream:          "earthquakes",
		StartAt:         time.UnixMilli(1_700_000_000_123).UTC(),
		First:           "49590338271490256608559692538361571095921575989136588800",
		ReadTo:          time.UnixMilli(1_800_000_000_456).UTC(),
		FailoverTime:    2500 * time.Millisecond,
	}
}

func at(t *testing.T, sequence string, sub int64) checkpoint.Position {
	t.Helper()
	p, err := checkpoint.At(sequence, sub)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func create(t *testing.T, s lease.Store, l lease.Lease) {
	t.Helper()
	if err := s.Create(t.Context(), l); err != nil {
		t.Fatalf("Create(%s): %v", l.Key, err)
	}
}

// holds demands that the row of want.Key is want.
func holds(t *testing.T, s lease.Store, want lease.Lease) {
	t.Helper()
	got, err := s.Get(t.Context(), want.Key)
	if err != nil {
		t.Fatalf("Get(%s): %v", want.Key, err)
	}
	same(t, "Get", got, want)
}

// absent demands that there is no row under key.
func absent(t *testing.T, s lease.Store, key string) {
	t.Helper()
	if l, err := s.Get(t.Context(), key); !errors.Is(err, lease.ErrNotFound) {
		t.Fatalf("Get(%s) = %+v, %v, want lease.ErrNotFound", key, l, err)
	}
}

func same(t *testing.T, what string, got, want lease.Lease) {
	t.Helper()
	if got, want := normal(got), normal(want); !reflect.DeepEqual(got, want) {
		t.Fatalf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

// normal makes leases comparable: Parents and Children are sets, and no bytes are no bytes however they are written.
func normal(l lease.Lease) lease.Lease {
	set := func(ids []string) []string {
		if len(ids) == 0 {
			return nil
		}
		return slices.Sorted(slices.Values(ids))
	}
	l.Parents, l.Children = set(l.Parents), set(l.Children)
	if len(l.Checkpoint.State) == 0 {
		l.Checkpoint.State = nil
	}
	return l
}

// refused demands a *lease.ConflictError about key that does not lie: current is the row that refused, nil if there is none. A store need not be able
// to say either.
func refused(t *testing.T, err error, key string, current *lease.Lease) {
	t.Helper()
	var conflict *lease.ConflictError
	if !errors.As(err, &conflict) {
		t.Fatalf("error %v, want a *lease.ConflictError", err)
	}
	if conflict.Key != key {
		t.Errorf("the conflict is about %q, want %q", conflict.Key, key)
	}
	if conflict.Absent && current != nil {
		t.Fatal("the conflict says that there is no row, but there is one")
	}
	if conflict.Current == nil {
		return
	}
	if current == nil {
		t.Fatalf("the conflict has the row %+v, but there is none", *conflict.Current)
	}
	same(t, "the conflict's row", *conflict.Current, *current)
}

// keysOf reads a listing, which must not fail.
func keysOf(ctx context.Context, t *testing.T, s lease.Store) []string {
	t.Helper()
	var keys []string
	for l, err := range s.List(ctx) {
		if err != nil {
			t.Fatalf("List: %v", err)
		}
		keys = append(keys, l.Key)
	}
	return keys
}
