package main

import (
	"testing"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/lease"
	"github.com/kinesiskit/kinesiskit/shard"
)

// boardOf has a shard with all keys, and three workers.
func boardOf(t *testing.T) *board {
	t.Helper()
	b := newBoard(smallInput(t))
	for _, name := range []string{"w1", "w2", "w3"} {
		b.workers[name] = &workerState{name: name}
	}
	b.list([]shard.Shard{{ID: "shardId-000000000000", Range: shard.HashRange{End: shard.MaxHashKey}}})
	return b
}

func TestMovesAreChangesFromOneWorkerToAnother(t *testing.T) {
	t.Parallel()
	b := boardOf(t)
	for _, worker := range []string{"w1", "w1", "w2", "w1"} {
		b.heard(worker, line{Acquired: "shardId-000000000000"})
	}
	if b.moves != 2 || b.counts[moved] != 2 {
		t.Errorf("%d moves, told %d", b.moves, b.counts[moved])
	}
}

func TestShardIsReadOnceItsNewReaderHasARecord(t *testing.T) {
	t.Parallel()
	b := boardOf(t)
	s := b.shards["shardId-000000000000"]
	b.ledger.sent("a", 0)
	d := &delivery{Key: "a", Sum: b.input.at("a", 0).sum, Shard: s.id, At: positionAt(t, 1)}
	if s.read() {
		t.Error("read by nobody")
	}
	b.heard("w1", line{Acquired: s.id})
	b.heard("w1", line{Handed: d})
	if !s.read() {
		t.Error("w1 has had a record")
	}
	b.heard("w2", line{Acquired: s.id})
	if s.read() {
		t.Error("w2 has not had a record")
	}
}

func TestShardWithoutKeysIsReadOnceItIsAcquired(t *testing.T) {
	t.Parallel()
	b := boardOf(t)
	s := b.shards["shardId-000000000000"]
	s.weight = 0
	b.heard("w1", line{Acquired: s.id})
	if !s.read() {
		t.Error("nothing will ever come")
	}
}

func TestDeadWorkersDuplicatesAreBoundByTheTable(t *testing.T) {
	t.Parallel()
	b := boardOf(t)
	const id = "shardId-000000000000"
	b.heard("w1", line{Acquired: id})
	for i := range 3 {
		b.ledger.sent("a", 0)
		b.heard("w1", line{Handed: &delivery{Key: "a", Ordinal: i, Sum: b.input.at("a", i).sum, Shard: id, At: positionAt(t, i)}})
	}
	b.dead("w1")
	row := lease.Lease{Key: id, Owner: "w1-0badcafe", Checkpoint: checkpoint.Checkpoint{Position: positionAt(t, 1)}}
	b.looked([]lease.Lease{row})
	if unstored, _ := b.ledger.bound(); unstored != 1 {
		t.Errorf("bound %d", unstored)
	}
	row.Owner, row.Checkpoint.Position = "w2-0badcafe", positionAt(t, 2) // that is how far w2 is
	b.looked([]lease.Lease{row})
	if unstored, _ := b.ledger.bound(); unstored != 1 {
		t.Errorf("bound %d after another owner's progress", unstored)
	}
}

func TestOpenShardsAreThoseWithoutChildren(t *testing.T) {
	t.Parallel()
	b := boardOf(t)
	whole := shard.HashRange{End: shard.MaxHashKey}
	left, right := shard.HashRange{End: shard.HashKey{Hi: 1 << 63}}, shard.HashRange{Start: shard.HashKey{Hi: 1 << 63, Lo: 1}, End: shard.MaxHashKey}
	b.list([]shard.Shard{
		{ID: "shardId-000000000000", Range: whole},
		{ID: "shardId-000000000002", Range: right, Parents: []string{"shardId-000000000000"}},
		{ID: "shardId-000000000001", Range: left, Parents: []string{"shardId-000000000000"}},
	})
	open := b.open()
	if len(open) != 2 || open[0].id != "shardId-000000000001" || open[1].id != "shardId-000000000002" {
		t.Errorf("open: %v", named(open))
	}
}

func TestShardNumbers(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{"shardId-000000000000": "0", "shardId-000000000120": "120", "other": "other"} {
		if got := short(id); got != want {
			t.Errorf("%s is %s", id, got)
		}
	}
}
