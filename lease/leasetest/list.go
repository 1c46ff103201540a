package leasetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/lease"
)

// patience is how often a listing may be stale before it counts as wrong.
const patience = 100

// eventually demands a listing of exactly these keys, each once.
func eventually(t *testing.T, s lease.Store, keys ...string) {
	t.Helper()
	var got []string
	for range patience {
		got = keysOf(t.Context(), t, s)
		slices.Sort(got)
		if slices.Equal(got, keys) {
			return
		}
	}
	t.Fatalf("List has %d keys, want %d; missing %q, too many %q", len(got), len(keys), without(keys, got), without(got, keys))
}

// without is what a has and b has not, or not as often; both in order.
func without(a, b []string) []string {
	var rest []string
	for _, k := range a {
		if i, ok := slices.BinarySearch(b, k); ok {
			b = slices.Delete(slices.Clone(b), i, i+1)
		} else {
			rest = append(rest, k)
		}
	}
	return rest
}

// list has rows enough for two pages of DynamoDB's, which are of 1 MB.
func list(t *testing.T, s lease.Store) {
	const rows, bytes = 320, 4096
	if keys := keysOf(t.Context(), t, s); len(keys) != 0 {
		t.Fatalf("List of an empty table has %q", keys)
	}
	l := lease.Lease{Checkpoint: checkpoint.Checkpoint{Position: at(t, sequence, 0), Pending: at(t, later, 0), State: make([]byte, bytes)}}
	keys := make([]string, rows)
	for i := range keys {
		keys[i] = fmt.Sprintf("shardId-%s%06d", strings.Repeat("0", 114), i) // 128 characters, the longest id of a shard
		l.Key = keys[i]
		create(t, s, l)
	}
	eventually(t, s, keys...)
}

func listLeftEarly(t *testing.T, s lease.Store) {
	create(t, s, full(t))
	create(t, s, lease.Lease{Key: other, Checkpoint: checkpoint.Checkpoint{Position: checkpoint.TrimHorizon}})
	eventually(t, s, key, other)
	for l, err := range s.List(t.Context()) {
		if err != nil {
			t.Fatalf("List: %v", err)
		}
		if _, err := s.Get(t.Context(), l.Key); err != nil {
			t.Errorf("Get within a listing: %v", err)
		}
		break
	}
}

// listConsistent asks at once for what was just written, time and again.
func listConsistent(t *testing.T, s lease.Store) {
	demand := func(what string, want ...lease.Lease) {
		t.Helper()
		var got []lease.Lease
		for l, err := range s.ListConsistent(t.Context()) {
			if err != nil {
				t.Fatalf("ListConsistent: %v", err)
			}
			got = append(got, l)
		}
		slices.SortFunc(got, func(a, b lease.Lease) int { return strings.Compare(a.Key, b.Key) })
		if len(got) != len(want) {
			t.Fatalf("%s: ListConsistent has %d rows, want %d", what, len(got), len(want))
		}
		for i := range want {
			same(t, what+": ListConsistent", got[i], want[i])
		}
	}
	demand("an empty table")
	for range 20 {
		l := full(t)
		create(t, s, l)
		demand("created", l)
		l.Counter++
		before := l.Counter - 1
		if _, err := s.Write(t.Context(), key, lease.Condition{Counter: &before}, lease.Change{AddCounter: 1}); err != nil {
			t.Fatalf("Write: %v", err)
		}
		demand("written", l)
		if err := s.Delete(t.Context(), key, lease.Condition{Counter: &l.Counter}); err != nil {
			t.Fatalf("Delete: %v", err)
		}
		demand("deleted")
	}
}
