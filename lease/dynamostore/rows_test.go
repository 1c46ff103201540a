package dynamostore_test

import (
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/lease"
	"github.com/kinesiskit/kinesiskit/shard"
)

type row = map[string]types.AttributeValue

func text(s string) types.AttributeValue   { return &types.AttributeValueMemberS{Value: s} }
func number(s string) types.AttributeValue { return &types.AttributeValueMemberN{Value: s} }
func set(s ...string) types.AttributeValue { return &types.AttributeValueMemberSS{Value: s} }
func bytes(s string) types.AttributeValue  { return &types.AttributeValueMemberB{Value: []byte(s)} }

const (
	sequence = "49590338271490256608559692538361571095921575989136588898"
	later    = "49590338271490256608559692540925702759324208523137515618"
)

func lowerHalf(t *testing.T) shard.HashRange {
	t.Helper()
	r, err := shard.ParseHashRange("0", "170141183460469231731687303715884105727")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// javaRows are rows as versions of KCL leave them, and what they mean.
func javaRows(t *testing.T) map[string]struct {
	row  row
	want lease.Lease
} {
	t.Helper()
	return map[string]struct {
		row  row
		want lease.Lease
	}{
		"1.x, before aggregates": {
			row{"leaseKey": text(key), "leaseCounter": number("41"), "leaseOwner": text("host:1"), "checkpoint": text(sequence)},
			lease.Lease{Key: key, Owner: "host:1", Counter: 41, Checkpoint: checkpoint.Checkpoint{Position: at(t, sequence, 0)}},
		},
		"2.x, just created": {
			row{
				"leaseKey": text(key), "leaseCounter": number("0"), "ownerSwitchesSinceCheckpoint": number("0"),
				"checkpoint": text("TRIM_HORIZON"), "checkpointSubSequenceNumber": number("0"), "parentShardId": set("shardId-000000000003"),
				"startingHashKey": text("0"), "endingHashKey": text("170141183460469231731687303715884105727"),
			},
			lease.Lease{
				Key: key, Checkpoint: checkpoint.Checkpoint{Position: checkpoint.TrimHorizon},
				Parents: []string{"shardId-000000000003"}, HashRange: lowerHalf(t),
			},
		},
		"2.x, owned, within an aggregate, child of a merge": {
			row{
				"leaseKey": text(key), "leaseOwner": text("5b2f1c3e-0a66-4f0c-9d5e-6d9d8f7c1a11"), "leaseCounter": number("1882"),
				"ownerSwitchesSinceCheckpoint": number("2"), "checkpoint": text(sequence), "checkpointSubSequenceNumber": number("17"),
				"parentShardId": set("shardId-000000000004", "shardId-000000000003"),
			},
			lease.Lease{
				Key: key, Owner: "5b2f1c3e-0a66-4f0c-9d5e-6d9d8f7c1a11", Counter: 1882, OwnerSwitches: 2,
				Checkpoint: checkpoint.Checkpoint{Position: at(t, sequence, 17)}, Parents: []string{"shardId-000000000003", "shardId-000000000004"},
			},
		},
		"2.x, finished": {
			row{
				"leaseKey": text(key), "leaseOwner": text("w1"), "leaseCounter": number("9"), "ownerSwitchesSinceCheckpoint": number("0"),
				"checkpoint": text("SHARD_END"), "checkpointSubSequenceNumber": number("0"),
				"childShardIds": set("shardId-000000000021", "shardId-000000000020"),
			},
			lease.Lease{
				Key: key, Owner: "w1", Counter: 9, Checkpoint: checkpoint.Checkpoint{Position: checkpoint.ShardEnd},
				Children: []string{"shardId-000000000020", "shardId-000000000021"},
			},
		},
		"2.x, checkpoint prepared": {
			row{
				"leaseKey": text(key), "leaseOwner": text("w1"), "leaseCounter": number("9"), "checkpoint": text(sequence),
				"checkpointSubSequenceNumber": number("0"), "pendingCheckpoint": text(later), "pendingCheckpointSubSequenceNumber": number("4"),
				"pendingCheckpointState": bytes("\x00state\xff"),
			},
			lease.Lease{Key: key, Owner: "w1", Counter: 9, Checkpoint: checkpoint.Checkpoint{
				Position: at(t, sequence, 0), Pending: at(t, later, 4), State: []byte("\x00state\xff"),
			}},
		},
		"2.x, state written as a number": {
			row{
				"leaseKey": text(key), "leaseCounter": number("0"), "checkpoint": text("LATEST"), "checkpointSubSequenceNumber": number("0"),
				"pendingCheckpoint": text(later), "pendingCheckpointSubSequenceNumber": number("4"), "pendingCheckpointState": number("0"),
			},
			lease.Lease{Key: key, Checkpoint: checkpoint.Checkpoint{Position: checkpoint.Latest, Pending: at(t, later, 4)}},
		},
		"2.x, state written as a number, nothing pending": {
			row{
				"leaseKey": text(key), "leaseCounter": number("0"), "checkpoint": text("AT_TIMESTAMP"), "checkpointSubSequenceNumber": number("0"),
				"pendingCheckpointState": number("0"),
			},
			lease.Lease{Key: key, Checkpoint: checkpoint.Checkpoint{Position: checkpoint.AtTimestamp}},
		},
		"2.x, checkpoint prepared with empty state": {
			row{
				"leaseKey": text(key), "leaseCounter": number("9"), "checkpoint": text(sequence), "pendingCheckpoint": text("SHARD_END"),
				"pendingCheckpointSubSequenceNumber": number("0"), "pendingCheckpointState": bytes(""),
			},
			lease.Lease{Key: key, Counter: 9, Checkpoint: checkpoint.Checkpoint{Position: at(t, sequence, 0), Pending: checkpoint.ShardEnd}},
		},
		"2.x, state that belongs to nothing": {
			row{"leaseKey": text(key), "leaseCounter": number("9"), "checkpoint": text(sequence), "pendingCheckpointState": bytes("state")},
			lease.Lease{Key: key, Counter: 9, Checkpoint: checkpoint.Checkpoint{Position: at(t, sequence, 0)}},
		},
		"3.x, in a hand-off": {
			row{
				"leaseKey": text(key), "leaseOwner": text("w2"), "checkpointOwner": text("w1"), "leaseCounter": number("77"),
				"ownerSwitchesSinceCheckpoint": number("0"), "checkpoint": text(sequence), "checkpointSubSequenceNumber": number("0"),
				"throughputKBps": number("12.345678"), "entityType": text("LEASE"),
				"startingHashKey": text("0"), "endingHashKey": text("170141183460469231731687303715884105727"),
			},
			lease.Lease{
				Key: key, Owner: "w2", CheckpointOwner: "w1", Counter: 77,
				Checkpoint: checkpoint.Checkpoint{Position: at(t, sequence, 0)}, HashRange: lowerHalf(t),
			},
		},
		"ours": {
			row{
				"leaseKey": text(key), "leaseOwner": text("w1-4711"), "leaseCounter": number("1700000000000"), "checkpoint": text(sequence),
				"checkpointSubSequenceNumber": number("-1"), "entityType": text("LEASE"), "kkStream": text("earthquakes"), "kkFailover": number("2500"),
				"kkStart": number("1700000000123"), "kkFirst": text(sequence), "kkEnd": number("1800000000456"),
			},
			lease.Lease{
				Key: key, Owner: "w1-4711", Counter: 1_700_000_000_000, Checkpoint: checkpoint.Checkpoint{Position: at(t, sequence, -1)},
				Stream: "earthquakes", FailoverTime: 2500 * time.Millisecond,
				StartAt: time.UnixMilli(1_700_000_000_123).UTC(), First: sequence, ReadTo: time.UnixMilli(1_800_000_000_456).UTC(),
			},
		},
		"set to its start by hand": {
			row{
				"leaseKey": text(key), "leaseCounter": number("5"), "checkpoint": text("TRIM_HORIZON"), "checkpointSubSequenceNumber": number("17"),
				"startingHashKey": text("0"),
			},
			lease.Lease{Key: key, Counter: 5, Checkpoint: checkpoint.Checkpoint{Position: checkpoint.TrimHorizon}},
		},
	}
}

func TestRowsOfJavaAreReadForWhatTheyAre(t *testing.T) {
	t.Parallel()
	for name, c := range javaRows(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, s := opened(t)
			put(t, server, c.row)
			got, err := s.Get(t.Context(), key)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("\n got %+v\nwant %+v", got, c.want)
			}
		})
	}
}

// A take of ours, and a checkpoint that follows it, find every row of Java as they read it and leave alone what is not theirs.
func TestAWriteChangesNothingElseInRowsOfJava(t *testing.T) {
	t.Parallel()
	for name, c := range javaRows(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, s := opened(t)
			before := maps.Clone(c.row)
			before["futureText"], before["futureSet"] = text("kept"), set("kept", "too")
			before["futureMap"] = &types.AttributeValueMemberM{Value: row{"kept": &types.AttributeValueMemberNULL{Value: true}}}
			put(t, server, before)

			l := c.want
			taken, err := s.Write(t.Context(), key, asRead(l), lease.Change{
				AddCounter: 1, Owner: ptr("me"), CheckpointOwner: ptr(""), OwnerSwitches: ptr(l.OwnerSwitches + 1), FailoverTime: 4 * time.Second,
			})
			if err != nil {
				t.Fatal(err)
			}
			untouched(t, before, server.Items(table)[0],
				"leaseOwner", "leaseCounter", "checkpointOwner", "ownerSwitchesSinceCheckpoint", "kkFailover")
			if taken.Checkpoint.Position != l.Checkpoint.Position || taken.Counter != l.Counter+1 || taken.Owner != "me" {
				t.Errorf("taken as %+v", taken)
			}

			before = server.Items(table)[0]
			done := checkpoint.Checkpoint{Position: at(t, later, 5)}
			stored, err := s.Write(t.Context(), key, asRead(taken), lease.Change{AddCounter: 1, OwnerSwitches: ptr(int64(0)), Checkpoint: &done})
			if err != nil {
				t.Fatal(err)
			}
			after := server.Items(table)[0]
			untouched(t, before, after, "leaseCounter", "ownerSwitchesSinceCheckpoint", "checkpoint", "checkpointSubSequenceNumber",
				"pendingCheckpoint", "pendingCheckpointSubSequenceNumber", "pendingCheckpointState", "kkEnd")
			if !reflect.DeepEqual(stored.Checkpoint, done) {
				t.Errorf("stored %+v", stored.Checkpoint)
			}
			for _, attribute := range []string{"pendingCheckpoint", "pendingCheckpointSubSequenceNumber", "pendingCheckpointState"} {
				if v, ok := after[attribute]; ok {
					t.Errorf("%s is still there: %v", attribute, v)
				}
			}
			want := row{
				"leaseOwner": text("me"), "checkpoint": text(later), "checkpointSubSequenceNumber": number("5"), "ownerSwitchesSinceCheckpoint": number("0"),
			}
			for attribute, v := range want {
				if !reflect.DeepEqual(after[attribute], v) {
					t.Errorf("%s is %v, want %v", attribute, after[attribute], v)
				}
			}
		})
	}
}

// asRead is the condition that the row is as it was read, in every field.
func asRead(l lease.Lease) lease.Condition {
	return lease.Condition{Counter: &l.Counter, Owner: &l.Owner, CheckpointOwner: &l.CheckpointOwner, Position: &l.Checkpoint.Position}
}

func untouched(t *testing.T, before, after row, but ...string) {
	t.Helper()
	before, after = maps.Clone(before), maps.Clone(after)
	for _, attribute := range but {
		delete(before, attribute)
		delete(after, attribute)
	}
	for attribute := range before {
		if !reflect.DeepEqual(sorted(before[attribute]), sorted(after[attribute])) {
			t.Errorf("%s was %v and is %v", attribute, before[attribute], after[attribute])
		}
		delete(after, attribute)
	}
	for attribute, v := range after {
		t.Errorf("%s is new: %v", attribute, v)
	}
}

// sorted makes sets comparable, which have no order.
func sorted(v types.AttributeValue) types.AttributeValue {
	if v, ok := v.(*types.AttributeValueMemberSS); ok {
		return set(slices.Sorted(slices.Values(v.Value))...)
	}
	return v
}

func TestANewRowIsWhatJavaExpects(t *testing.T) {
	t.Parallel()
	server, s := opened(t)
	if err := s.Create(t.Context(), lease.Lease{
		Key: key, Counter: 1_700_000_000_000,
		Checkpoint: checkpoint.Checkpoint{Position: checkpoint.TrimHorizon, State: []byte("without a pending position, so not written")},
		Parents:    []string{"shardId-000000000004", "shardId-000000000003"}, HashRange: lowerHalf(t), Stream: "earthquakes",
	}); err != nil {
		t.Fatal(err)
	}
	want := row{
		"leaseKey": text(key), "leaseCounter": number("1700000000000"), "ownerSwitchesSinceCheckpoint": number("0"),
		"checkpoint": text("TRIM_HORIZON"), "checkpointSubSequenceNumber": number("0"), "entityType": text("LEASE"),
		"parentShardId":   set("shardId-000000000003", "shardId-000000000004"),
		"startingHashKey": text("0"), "endingHashKey": text("170141183460469231731687303715884105727"),
		"kkStream": text("earthquakes"),
	}
	untouched(t, want, server.Items(table)[0])
}

func TestAFailoverTimeIsNeverStoredShorter(t *testing.T) {
	t.Parallel()
	_, s := opened(t)
	if err := s.Create(t.Context(), lease.Lease{Key: key, FailoverTime: 1500*time.Millisecond + time.Nanosecond}); err != nil {
		t.Fatal(err)
	}
	l, err := s.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if want := 1501 * time.Millisecond; l.FailoverTime != want {
		t.Errorf("failover time %v, want %v", l.FailoverTime, want)
	}
}
