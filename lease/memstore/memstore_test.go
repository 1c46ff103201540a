package memstore_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/kinesiskit/kinesiskit/lease"
	"github.com/kinesiskit/kinesiskit/lease/leasetest"
	"github.com/kinesiskit/kinesiskit/lease/memstore"
)

func TestStoreKeepsTheContract(t *testing.T) {
	t.Parallel()
	leasetest.Run(t, func(*testing.T) lease.Store { return memstore.New() })
}

func TestListIsInOrderOfKeys(t *testing.T) {
	t.Parallel()
	s := memstore.New()
	var want []string
	for i := range 50 {
		key := fmt.Sprintf("shardId-%012d", i)
		want = append(want, key)
	}
	for _, i := range []int{1, 0} { // odd ones first
		for ; i < len(want); i += 2 {
			if err := s.Create(t.Context(), lease.Lease{Key: want[i]}); err != nil {
				t.Fatal(err)
			}
		}
	}
	var got []string
	for l, err := range s.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, l.Key)
	}
	if !slices.Equal(got, want) {
		t.Errorf("keys %v, want %v", got, want)
	}
}

func TestARowMayBeWrittenWhileTheListIsRead(t *testing.T) {
	t.Parallel()
	s := memstore.New()
	if err := s.Create(t.Context(), lease.Lease{Key: "shardId-000000000000"}); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for l, err := range s.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		seen++
		if err := s.Delete(t.Context(), l.Key, lease.Condition{Counter: &l.Counter}); err != nil {
			t.Error(err)
		}
	}
	if seen != 1 {
		t.Errorf("%d rows, want 1", seen)
	}
}
