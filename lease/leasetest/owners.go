package leasetest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/kinesiskit/kinesiskit/lease"
)

// parts demands that every lease is in exactly one part of the table, and as it is.
func parts(t *testing.T, s lease.Store) {
	lister, ok := s.(lease.OwnerLister)
	if !ok {
		return
	}
	const rows = 40
	want := make(map[string]lease.Lease, rows)
	for i := range rows {
		l := full(t)
		l.Key = fmt.Sprintf("shardId-%012d", i)
		create(t, s, l)
		want[l.Key] = l
	}
	for _, of := range []int{1, 3, 16} {
		seen := 0
		for range patience {
			seen = 0
			for part := range of {
				for l, err := range lister.ListPart(t.Context(), part, of) {
					if err != nil {
						t.Fatalf("ListPart(%d, %d): %v", part, of, err)
					}
					same(t, "ListPart", l, want[l.Key])
					seen++
				}
			}
			if seen == rows {
				break
			}
		}
		if seen != rows {
			t.Errorf("%d parts have %d leases together, want %d", of, seen, rows)
		}
	}
}

// byOwner follows owners through creation, writes and deletion.
func byOwner(t *testing.T, s lease.Store) {
	lister, ok := s.(lease.OwnerLister)
	if !ok {
		return
	}
	for i, owner := range []string{"w1", "w2", "w1", "", "w3"} {
		l := full(t)
		l.Key, l.Owner, l.Counter = fmt.Sprintf("s%d", i), owner, 1
		create(t, s, l)
	}
	ownedBy(t, lister, "w1", "s0", "s2")
	ownedBy(t, lister, "w4")
	owners(t, lister, lease.Owned{Key: "s0", Owner: "w1"}, lease.Owned{Key: "s1", Owner: "w2"}, lease.Owned{Key: "s2", Owner: "w1"}, lease.Owned{Key: "s4", Owner: "w3"})

	one, w1, nobody := int64(1), "w1", ""
	for key, owner := range map[string]*string{"s3": &w1, "s0": &nobody} {
		if _, err := s.Write(t.Context(), key, lease.Condition{Counter: &one}, lease.Change{Owner: owner}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Delete(t.Context(), "s1", lease.Condition{Counter: &one}); err != nil {
		t.Fatal(err)
	}
	ownedBy(t, lister, "w1", "s2", "s3")
	ownedBy(t, lister, "w2")
	owners(t, lister, lease.Owned{Key: "s2", Owner: "w1"}, lease.Owned{Key: "s3", Owner: "w1"}, lease.Owned{Key: "s4", Owner: "w3"})
}

// ownedBy demands that the leases of one owner are listed, sooner or later.
func ownedBy(t *testing.T, s lease.OwnerLister, owner string, want ...string) {
	t.Helper()
	var got []string
	for range patience {
		got = nil
		for key, err := range s.ListOwned(t.Context(), owner) {
			if err != nil {
				t.Fatalf("ListOwned(%s): %v", owner, err)
			}
			got = append(got, key)
		}
		slices.Sort(got)
		if slices.Equal(got, want) {
			return
		}
	}
	t.Errorf("ListOwned(%s) has %q, want %q", owner, got, want)
}

// owners demands that all leases with an owner are listed, sooner or later.
func owners(t *testing.T, s lease.OwnerLister, want ...lease.Owned) {
	t.Helper()
	var got []lease.Owned
	for range patience {
		got = nil
		for o, err := range s.ListOwners(t.Context()) {
			if err != nil {
				t.Fatalf("ListOwners: %v", err)
			}
			got = append(got, o)
		}
		slices.SortFunc(got, func(a, b lease.Owned) int {
			if a.Key < b.Key {
				return -1
			}
			return 1
		})
		if slices.Equal(got, want) {
			return
		}
	}
	t.Errorf("ListOwners has %v, want %v", got, want)
}
