package leasetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/lease"
)

func ptr[T any](v T) *T { return &v }

// show writes a condition for a message; its fields are pointers.
func show(c lease.Condition) string {
	var parts []string
	if c.Counter != nil {
		parts = append(parts, fmt.Sprintf("counter %d", *c.Counter))
	}
	if c.Owner != nil {
		parts = append(parts, fmt.Sprintf("owner %q", *c.Owner))
	}
	if c.CheckpointOwner != nil {
		parts = append(parts, fmt.Sprintf("checkpoint owner %q", *c.CheckpointOwner))
	}
	if c.AskedBy != nil {
		parts = append(parts, fmt.Sprintf("asked by %q", *c.AskedBy))
	}
	if c.AskedOf != nil {
		parts = append(parts, fmt.Sprintf("asked of %q", *c.AskedOf))
	}
	if c.Speaks != nil {
		parts = append(parts, fmt.Sprintf("speaks %q", *c.Speaks))
	}
	if c.Position != nil {
		parts = append(parts, fmt.Sprintf("position %q", *c.Position))
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// everyChange is one change for each field and each thing that it can do, and one of all fields at once.
func everyChange(t *testing.T) map[string]lease.Change {
	t.Helper()
	prepared := checkpoint.Checkpoint{Position: at(t, sequence, -1), Pending: at(t, later, 3), State: []byte("state")}
	return map[string]lease.Change{
		"counter by one":              {AddCounter: 1},
		"counter by more":             {AddCounter: 17},
		"owner":                       {Owner: ptr("w2")},
		"no owner":                    {Owner: ptr("")},
		"checkpoint owner":            {CheckpointOwner: ptr("w2")},
		"no checkpoint owner":         {CheckpointOwner: ptr("")},
		"request":                     {AskedBy: ptr("w2"), AskedOf: ptr("w1")},
		"asked by nobody":             {AskedBy: ptr("")},
		"asked of nobody":             {AskedOf: ptr("")},
		"mark":                        {Speaks: ptr("w2")},
		"no mark":                     {Speaks: ptr("")},
		"owner switches":              {OwnerSwitches: ptr(int64(8))},
		"no owner switches":           {OwnerSwitches: ptr(int64(0))},
		"checkpoint, nothing pending": {Checkpoint: &checkpoint.Checkpoint{Position: at(t, later, 0)}},
		"checkpoint in an aggregate":  {Checkpoint: &checkpoint.Checkpoint{Position: at(t, later, 12)}},
		"checkpoint at the end":       {Checkpoint: &checkpoint.Checkpoint{Position: checkpoint.ShardEnd}},
		"checkpoint, end pending":     {Checkpoint: &checkpoint.Checkpoint{Position: at(t, later, 0), Pending: checkpoint.ShardEnd}},
		"checkpoint, pending, state":  {Checkpoint: &prepared},
		"checkpoint, pending only":    {Checkpoint: &checkpoint.Checkpoint{Position: prepared.Position, Pending: prepared.Pending}},
		"children":                    {Children: []string{"shardId-000000000031"}},
		"failover time":               {FailoverTime: time.Minute},
		"an instant to start at":      {StartAt: time.UnixMilli(1_700_000_000_999).UTC()},
		"a starting number":           {First: sequence},
		"an end that was reached":     {ReadTo: time.UnixMilli(1_800_000_000_999).UTC()},
		"everything": {
			AddCounter: 1, Owner: ptr("w2"), CheckpointOwner: ptr(""), AskedBy: ptr("w3"), AskedOf: ptr(""), Speaks: ptr("w2"), OwnerSwitches: ptr(int64(0)),
			Checkpoint: &prepared,
			Children:   []string{"shardId-000000000031", "shardId-000000000030"}, FailoverTime: time.Hour,
			StartAt: time.UnixMilli(1_600_000_000_001).UTC(), First: later, ReadTo: time.UnixMilli(1_900_000_000_001).UTC(),
		},
	}
}

func changes(t *testing.T, s lease.Store) {
	before := []lease.Lease{full(t), {Key: "", Counter: 1, Checkpoint: checkpoint.Checkpoint{Position: checkpoint.TrimHorizon}}}
	row := 0
	for name, set := range everyChange(t) {
		for _, l := range before {
			row++
			l.Key = fmt.Sprintf("shardId-%012d", row)
			create(t, s, l)
			got, err := s.Write(t.Context(), l.Key, lease.Condition{Counter: &l.Counter}, set)
			if err != nil {
				t.Fatalf("%s: Write: %v", name, err)
			}
			same(t, name+": Write", got, set.Apply(l))
			holds(t, s, got)
		}
	}
}

func sets(t *testing.T, s lease.Store) {
	l := full(t)
	twice := func(ids []string) []string { return append(append([]string(nil), ids[1], ids[0]), ids...) }
	given := l
	given.Parents, given.Children = twice(l.Parents), twice(l.Children)
	create(t, s, given)
	holds(t, s, l)

	l.Children = []string{"shardId-000000000030", "shardId-000000000031"}
	got, err := s.Write(t.Context(), key, lease.Condition{Counter: &l.Counter}, lease.Change{Children: twice(l.Children)})
	if err != nil {
		t.Fatalf("Write: %v", err)
	}
	same(t, "Write", got, l)
	holds(t, s, l)
}

// stateWithPending: the state belongs to the pending position, and goes with it.
func stateWithPending(t *testing.T, s lease.Store) {
	l := full(t)
	given := l
	given.Checkpoint.Pending = checkpoint.Position{}
	l.Checkpoint.Pending, l.Checkpoint.State = checkpoint.Position{}, nil
	create(t, s, given)
	holds(t, s, l)

	pending := full(t).Checkpoint
	for _, set := range []checkpoint.Checkpoint{pending, {Position: pending.Position, State: pending.State}} {
		got, err := s.Write(t.Context(), key, lease.Condition{Counter: &l.Counter}, lease.Change{Checkpoint: &set})
		if err != nil {
			t.Fatalf("Write: %v", err)
		}
		l.Checkpoint, l.ReadTo = set, time.Time{} // which was said of the checkpoint before
		if l.Checkpoint.Pending == (checkpoint.Position{}) {
			l.Checkpoint.State = nil
		}
		same(t, "Write", got, l)
		holds(t, s, l)
	}
}

func noChange(t *testing.T, s lease.Store) {
	l := full(t)
	create(t, s, l)
	got, err := s.Write(t.Context(), key, lease.Condition{Owner: &l.Owner}, lease.Change{})
	if err != nil {
		t.Fatalf("Write: %v", err)
	}
	same(t, "Write", got, l)
	holds(t, s, l)
}

// noUpsert is about a database whose update creates what it does not find: a row made of nothing but the change would look like a lease whose shard
// was never read.
func noUpsert(t *testing.T, s lease.Store) {
	staysAway(t, s, lease.Lease{}) // whose conditions hold for what is not there, if any do
	if keys := keysOf(t.Context(), t, s); len(keys) != 0 {
		t.Errorf("rows %q, want none", keys)
	}
}

func noResurrection(t *testing.T, s lease.Store) {
	l := full(t)
	create(t, s, l)
	if err := s.Delete(t.Context(), key, lease.Condition{Counter: &l.Counter}); err != nil {
		t.Fatalf("Delete: %v", err)
	}
	absent(t, s, key)
	staysAway(t, s, l)
}

// staysAway tries every change, and every condition that l satisfies, on a key without a row.
func staysAway(t *testing.T, s lease.Store, l lease.Lease) {
	t.Helper()
	try := func(name string, c lease.Condition, set lease.Change) {
		_, err := s.Write(t.Context(), key, c, set)
		if err == nil {
			t.Fatalf("%s: Write happened under %s, without a row", name, show(c))
		}
		refused(t, err, key, nil)
		absent(t, s, key)
	}
	all := everyChange(t)
	for name, set := range all {
		try(name, lease.Condition{Owner: &l.Owner}, set)
	}
	everyCondition(t, l, func(c lease.Condition) {
		try("everything", c, all["everything"])
		refused(t, s.Delete(t.Context(), key, c), key, nil)
		absent(t, s, key)
	}, func(lease.Condition) {})
}
