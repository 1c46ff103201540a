package leasetest

import (
	"testing"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/lease"
)

// fields of a Condition, as a bit set.
const (
	onCounter = 1 << iota
	onOwner
	onCheckpointOwner
	onAskedBy
	onAskedOf
	onSpeaks
	onPosition
	onAll = 1<<iota - 1
)

// condition asks for l in the fields of set; in those of wrong too, for something else.
func condition(t *testing.T, l lease.Lease, set, wrong int) lease.Condition {
	t.Helper()
	counter, owner, checkpointOwner, position := l.Counter, l.Owner, l.CheckpointOwner, l.Checkpoint.Position
	askedBy, askedOf, speaks := l.AskedBy, l.AskedOf, l.Speaks
	if wrong&onCounter != 0 {
		counter++
	}
	if wrong&onOwner != 0 {
		owner += "x"
	}
	if wrong&onCheckpointOwner != 0 {
		checkpointOwner += "x"
	}
	if wrong&onAskedBy != 0 {
		askedBy += "x"
	}
	if wrong&onAskedOf != 0 {
		askedOf += "x"
	}
	if wrong&onSpeaks != 0 {
		speaks += "x"
	}
	if wrong&onPosition != 0 {
		position = at(t, later, 0)
	}
	var c lease.Condition
	if set&onCounter != 0 {
		c.Counter = &counter
	}
	if set&onOwner != 0 {
		c.Owner = &owner
	}
	if set&onCheckpointOwner != 0 {
		c.CheckpointOwner = &checkpointOwner
	}
	if set&onAskedBy != 0 {
		c.AskedBy = &askedBy
	}
	if set&onAskedOf != 0 {
		c.AskedOf = &askedOf
	}
	if set&onSpeaks != 0 {
		c.Speaks = &speaks
	}
	if set&onPosition != 0 {
		c.Position = &position
	}
	return c
}

// everyCondition calls holding for every combination of fields that holds for l, and refusing for every one of which one field does not hold.
func everyCondition(t *testing.T, l lease.Lease, holding, refusing func(lease.Condition)) {
	t.Helper()
	for set := 1; set <= onAll; set++ {
		holding(condition(t, l, set, 0))
		for wrong := 1; wrong <= onAll; wrong <<= 1 {
			if set&wrong != 0 {
				refusing(condition(t, l, set, wrong))
			}
		}
	}
}

func conditions(t *testing.T, s lease.Store) {
	handedOff := full(t)
	bare := lease.Lease{Key: other, Counter: 4, Checkpoint: checkpoint.Checkpoint{Position: checkpoint.TrimHorizon}}
	change := lease.Change{OwnerSwitches: ptr(int64(9))}
	for _, l := range []lease.Lease{handedOff, bare} {
		create(t, s, l)
		switches := l.OwnerSwitches
		everyCondition(t, l,
			func(c lease.Condition) {
				switches++
				l.OwnerSwitches = switches
				got, err := s.Write(t.Context(), l.Key, c, lease.Change{OwnerSwitches: &switches})
				if err != nil {
					t.Fatalf("Write under %s: %v", show(c), err)
				}
				same(t, "Write", got, l)
				holds(t, s, l)
			},
			func(c lease.Condition) {
				_, err := s.Write(t.Context(), l.Key, c, change)
				if err == nil {
					t.Fatalf("Write happened although %s does not hold", show(c))
				}
				refused(t, err, l.Key, &l)
				holds(t, s, l)
			})
	}
}

func absentOwners(t *testing.T, s lease.Store) {
	owned := full(t)
	create(t, s, owned)
	nobody := []lease.Condition{{Owner: ptr("")}, {CheckpointOwner: ptr("")}, {AskedBy: ptr("")}, {AskedOf: ptr("")}, {Speaks: ptr("")}}
	for _, c := range nobody {
		_, err := s.Write(t.Context(), key, c, lease.Change{AddCounter: 1})
		refused(t, err, key, &owned)
		refused(t, s.Delete(t.Context(), key, c), key, &owned)
	}
	holds(t, s, owned)

	bare := lease.Lease{Key: other, Counter: 1, Checkpoint: checkpoint.Checkpoint{Position: checkpoint.TrimHorizon}}
	create(t, s, bare)
	somebody := []lease.Condition{{Owner: ptr("w1")}, {CheckpointOwner: ptr("w1")}, {AskedBy: ptr("w1")}, {AskedOf: ptr("w1")}, {Speaks: ptr("w1")}}
	for _, c := range somebody {
		_, err := s.Write(t.Context(), other, c, lease.Change{AddCounter: 1})
		refused(t, err, other, &bare)
	}
	for _, c := range nobody {
		if _, err := s.Write(t.Context(), other, c, lease.Change{AddCounter: 1}); err != nil {
			t.Fatalf("Write under %s: %v", show(c), err)
		}
		bare.Counter++
	}
	holds(t, s, bare)
}

// positions writes under every position for every stored one. A store that compares as text, as numbers or only the sequence number fails.
func positions(t *testing.T, s lease.Store) {
	all := []checkpoint.Position{
		{},
		checkpoint.AtTimestamp, checkpoint.TrimHorizon, checkpoint.Latest, checkpoint.ShardEnd,
		at(t, "1", 0), at(t, "10", 0), at(t, "9", 0),
		at(t, sequence, -1), at(t, sequence, 0), at(t, sequence, 1), at(t, sequence, 1_000),
		at(t, later, 0),
	}
	l := lease.Lease{Key: key}
	create(t, s, l)
	for _, stored := range all {
		set := checkpoint.Checkpoint{Position: stored}
		got, err := s.Write(t.Context(), key, lease.Condition{Counter: &l.Counter}, lease.Change{AddCounter: 1, Checkpoint: &set})
		if err != nil {
			t.Fatalf("Write of position %q: %v", stored, err)
		}
		l.Counter++
		l.Checkpoint = set
		same(t, "Write", got, l)
		for _, asked := range all {
			_, err := s.Write(t.Context(), key, lease.Condition{Position: &asked}, lease.Change{AddCounter: 1})
			switch {
			case asked != stored:
				if err == nil {
					t.Fatalf("a Write under position %q happened, stored was %q", asked, stored)
				}
				refused(t, err, key, &l)
			case err != nil:
				t.Fatalf("Write under the stored position %q: %v", stored, err)
			default:
				l.Counter++
			}
		}
		holds(t, s, l)
	}
}

func unconditional(t *testing.T, s lease.Store) {
	create(t, s, full(t))
	for _, k := range []string{key, other} {
		_, err := s.Write(t.Context(), k, lease.Condition{}, lease.Change{AddCounter: 1})
		if err == nil {
			t.Error("Write without a condition happened")
		}
		if err := s.Delete(t.Context(), k, lease.Condition{}); err == nil {
			t.Error("Delete without a condition happened")
		}
	}
	holds(t, s, full(t))
	absent(t, s, other)
}

func deletes(t *testing.T, s lease.Store) {
	l := full(t)
	create(t, s, l)
	everyCondition(t, l,
		func(c lease.Condition) {
			if err := s.Delete(t.Context(), key, c); err != nil {
				t.Fatalf("Delete under %s: %v", show(c), err)
			}
			absent(t, s, key)
			create(t, s, l)
		},
		func(c lease.Condition) {
			err := s.Delete(t.Context(), key, c)
			if err == nil {
				t.Fatalf("Delete happened although %s does not hold", show(c))
			}
			refused(t, err, key, &l)
			holds(t, s, l)
		})
}
