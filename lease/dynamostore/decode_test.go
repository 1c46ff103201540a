package dynamostore

import (
	"errors"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/lease"
	"github.com/kinesiskit/kinesiskit/shard"
)

const (
	key      = "shardId-000000000012"
	sequence = "49590338271490256608559692538361571095921575989136588898"
	later    = "49590338271490256608559692540925702759324208523137515618"
)

type row = map[string]types.AttributeValue

func digits(s string) types.AttributeValue { return &types.AttributeValueMemberN{Value: s} }

// owned is a lease as somebody holds it, with a checkpoint prepared.
func owned() row {
	return row{
		attrKey: text(key), attrOwner: text("w1"), attrCounter: number(9), attrCheckpoint: text(sequence), attrCheckpointSub: number(0),
		attrPending: text(later), attrPendingSub: number(4),
		attrStartingHashKey: text("1"), attrEndingHashKey: text("170141183460469231731687303715884105727"),
	}
}

func TestARowThatIsNoLeaseIsNamedWithWhatIsWrong(t *testing.T) {
	t.Parallel()
	if _, err := decode(owned()); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("9", 100_000)
	for name, c := range map[string]struct {
		attribute string
		value     types.AttributeValue // nil: without it
		reason    string
	}{
		"leader's lock":            {"entityType", text("LEADER"), "LEADER"},
		"kind of another type":     {"entityType", digits("1"), "type N"},
		"kind without a name":      {"entityType", text(""), "LEASE"},
		"several streams":          {"streamName", text("123456789012:earthquakes:1700000000"), "several streams"},
		"several streams, shard":   {"shardId", text(key), "several streams"},
		"no counter":               {"leaseCounter", nil, "missing"},
		"counter as text":          {"leaseCounter", text("7"), "type S, not N"},
		"counter with a fraction":  {"leaseCounter", digits("7.5"), "7.5"},
		"counter past 64 bits":     {"leaseCounter", digits("9223372036854775808"), "64 bits"},
		"owner without a name":     {"leaseOwner", text(""), "empty"},
		"owner null":               {"leaseOwner", &types.AttributeValueMemberNULL{Value: true}, "type NULL, not S"},
		"hand-off without a name":  {"checkpointOwner", text(""), "empty"},
		"switches as text":         {"ownerSwitchesSinceCheckpoint", text("0"), "type S"},
		"checkpoint lost":          {"checkpoint", nil, "missing"},
		"checkpoint empty":         {"checkpoint", text(""), "neither"},
		"unknown sentinel":         {"checkpoint", text("EARLIEST"), "EARLIEST"},
		"sentinel in small":        {"checkpoint", text("trim_horizon"), "neither"},
		"checkpoint with a colon":  {"checkpoint", text(sequence + ":7"), "neither"},
		"checkpoint negative":      {"checkpoint", text("-1"), "neither"},
		"checkpoint very long":     {"checkpoint", text(long), "neither"},
		"checkpoint as a number":   {"checkpoint", digits("495903"), "type N"},
		"sub below -1":             {"checkpointSubSequenceNumber", digits("-2"), "-2"},
		"sub as text":              {"checkpointSubSequenceNumber", text("0"), "type S"},
		"pending is no position":   {"pendingCheckpoint", text("soon"), "soon"},
		"pending sub below -1":     {"pendingCheckpointSubSequenceNumber", digits("-2"), "-2"},
		"state as text":            {"pendingCheckpointState", text("state"), "type S, not B"},
		"parents as a list":        {"parentShardId", &types.AttributeValueMemberL{}, "type L, not SS"},
		"parents as text":          {"parentShardId", text("shardId-000000000003"), "type S, not SS"},
		"children of numbers":      {"childShardIds", &types.AttributeValueMemberNS{Value: []string{"1"}}, "type NS, not SS"},
		"start is no hash key":     {"startingHashKey", text("x"), "invalid syntax"},
		"end is no hash key":       {"endingHashKey", text("340282366920938463463374607431768211456"), "out of range"},
		"ends before it starts":    {"endingHashKey", text("0"), "out of range"},
		"start as a number":        {"startingHashKey", digits("0"), "type N"},
		"stream as a number":       {"kkStream", digits("0"), "type N"},
		"failover negative":        {"kkFailover", digits("-1"), "milliseconds"},
		"failover past a duration": {"kkFailover", digits("9223372036855"), "milliseconds"},
		"start negative":           {"kkStart", digits("-1"), "milliseconds"},
		"start as text":            {"kkStart", text("LATEST"), "type S"},
		"end past any time":        {"kkEnd", digits("9223372036855"), "milliseconds"},
		"first is no number":       {"kkFirst", text("TRIM_HORIZON"), "not a sequence number"},
		"first as a number":        {"kkFirst", digits("7"), "type N"},
		"asker without a name":     {"kkNext", text(""), "empty"},
		"asked as a number":        {"kkFrom", digits("0"), "type N"},
		"mark without a name":      {"kkOwner", text(""), "empty"},
		"failover as text":         {"kkFailover", text("10s"), "type S"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := owned()
			r[c.attribute] = c.value
			if c.value == nil {
				delete(r, c.attribute)
			}
			l, err := decode(r)
			var got *lease.RowError
			if !errors.As(err, &got) {
				t.Fatalf("lease %+v, error %v, want a *lease.RowError", l, err)
			}
			if got.Key != key || got.Attribute != c.attribute || !strings.Contains(got.Reason, c.reason) || len(got.Reason) > 200 {
				t.Errorf("%v, want one about %s that says %q", got, c.attribute, c.reason)
			}
		})
	}
}

func TestARowWithoutAKeyIsReported(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]row{"no row": nil, "no key": {attrCounter: number(1)}, "key of another type": {attrKey: number(1)}} {
		_, err := decode(r)
		var got *lease.RowError
		if !errors.As(err, &got) || got.Attribute != attrKey || got.Key != "" {
			t.Errorf("%s: %v, want a *lease.RowError about %s", name, err, attrKey)
		}
	}
}

// Many things are wrong with a row of another kind, and that it is of another kind is what helps.
func TestARowOfAnotherKindIsNamedByItsKind(t *testing.T) {
	t.Parallel()
	_, err := decode(row{attrKey: text("worker-1"), attrEntityType: text("WORKER_METRIC_STATS"), attrCounter: text("no")})
	var got *lease.RowError
	if !errors.As(err, &got) || got.Attribute != attrEntityType || got.Key != "worker-1" {
		t.Errorf("%v, want a *lease.RowError about %s", err, attrEntityType)
	}
}

// DynamoDB answers sets in any order; a decision must not depend on it.
func TestSetsComeInOneOrder(t *testing.T) {
	t.Parallel()
	r := owned()
	r[attrParents] = &types.AttributeValueMemberSS{Value: []string{"b", "a"}}
	r[attrChildren] = &types.AttributeValueMemberSS{Value: []string{"d", "c"}}
	l, err := decode(r)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := [][]string{l.Parents, l.Children}, [][]string{{"a", "b"}, {"c", "d"}}; !reflect.DeepEqual(got, want) {
		t.Errorf("parents and children %v, want %v", got, want)
	}
}

// One write unit pays for 1,024 bytes, and every lease is written every few seconds. The exception is a row that a KCL 3.x leader has taken in hand, which has
// a checkpointOwner for the time of that hand-off; only then may it cost another unit.
func TestTheLongestRowCostsOneWriteUnit(t *testing.T) {
	t.Parallel()
	place, err := checkpoint.At(sequence, 9_999)
	if err != nil {
		t.Fatal(err)
	}
	const ownerBytes = 64 + 1 + 8 // the longest label, and the suffix of a start
	owner := strings.Repeat("o", ownerBytes)
	r, err := encode(lease.Lease{
		Key:           key,
		Owner:         owner,
		AskedBy:       owner,
		AskedOf:       owner,
		Speaks:        owner,
		Counter:       9_999_999_999_999,
		OwnerSwitches: 99_999,
		Checkpoint:    checkpoint.Checkpoint{Position: place, Pending: place},
		Parents:       []string{"shardId-000000000003", "shardId-000000000004"},
		Children:      []string{"shardId-000000000020", "shardId-000000000021"},
		HashRange: shard.HashRange{
			Start: shard.HashKey{Hi: shard.MaxHashKey.Hi}, // both of 39 digits
			End:   shard.MaxHashKey,
		},
		Stream:       lease.StreamLabel(strings.Repeat("s", 128)),
		StartAt:      time.UnixMilli(9_999_999_999_999),
		First:        sequence,
		ReadTo:       time.UnixMilli(9_999_999_999_999),
		FailoverTime: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	r["throughputKBps"] = digits("123456.123456") // KCL 3.x adds it to every row it renews
	bytes := 0
	for attribute, v := range r {
		bytes += len(attribute)
		switch v := v.(type) {
		case *types.AttributeValueMemberS:
			bytes += len(v.Value)
		case *types.AttributeValueMemberN:
			bytes += (len(v.Value)+1)/2 + 1 // two digits a byte, and one byte
		case *types.AttributeValueMemberSS:
			for _, s := range v.Value {
				bytes += len(s)
			}
		default:
			t.Fatalf("%s is of type %T", attribute, v)
		}
	}
	t.Logf("%d bytes", bytes)
	if bytes >= 1024 {
		t.Errorf("%d bytes, want fewer than 1,024", bytes)
	}
}

// FuzzDecode gives every attribute any text as any type. What decodes must survive being written and read again, since that is what a worker does.
func FuzzDecode(f *testing.F) {
	f.Add([]byte("SSNNSNSNB"), key, "w1", "9", "0", sequence, "17", later, "4", "state", "1", "2", "2500")
	f.Add([]byte("SSNNSNSNNSSN"), key, "", "0", "0", "SHARD_END", "-1", "TRIM_HORIZON", "", "0", "0", "0", "0")
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8}, "a", "b", "-9223372036854775808", "1e3", "LATEST:7", "-2", "", "x", "", "9", "10", "9223372036854")
	f.Fuzz(func(t *testing.T, kinds []byte, key, owner, counter, switches, position, sub, pending, pendingSub, state, start, end, failover string) {
		r := make(row)
		for i, c := range []struct{ attribute, value string }{
			{attrKey, key}, {attrOwner, owner}, {attrCounter, counter}, {attrOwnerSwitches, switches}, {attrCheckpoint, position},
			{attrCheckpointSub, sub}, {attrPending, pending}, {attrPendingSub, pendingSub}, {attrPendingState, state},
			{attrStartingHashKey, start}, {attrEndingHashKey, end}, {attrFailover, failover}, {attrParents, key}, {attrChildren, state},
			{attrEntityType, position}, {attrStreamName, owner}, {attrStream, state}, {attrCheckpointOwner, pending},
			{attrAskedBy, owner}, {attrAskedOf, pending}, {attrSpeaks, state}, {attrStartAt, failover}, {attrFirst, position}, {attrReadTo, counter},
		} {
			if i < len(kinds) {
				if v := anyValue(kinds[i], c.value); v != nil {
					r[c.attribute] = v
				}
			}
		}
		before := maps.Clone(r)
		l, err := decode(r)
		if !reflect.DeepEqual(r, before) {
			t.Fatalf("decode changed the row %v to %v", before, r)
		}
		if err != nil {
			var bad *lease.RowError
			if !errors.As(err, &bad) || bad.Attribute == "" || bad.Reason == "" || len(bad.Reason) > 400 {
				t.Fatalf("%v, want a *lease.RowError that names an attribute", err)
			}
			return
		}
		again, err := encode(l)
		if err != nil {
			t.Fatalf("%+v cannot be written: %v", l, err)
		}
		read, err := decode(again)
		if err != nil || !reflect.DeepEqual(read, l) {
			t.Fatalf("\nread %+v\nthen %+v, %v", l, read, err)
		}
	})
}

// anyValue has a type for every byte, nil for some.
func anyValue(kind byte, value string) types.AttributeValue {
	switch kind {
	case 'S':
		return text(value)
	case 'N':
		return digits(value)
	case 'B':
		return &types.AttributeValueMemberB{Value: []byte(value)}
	case 'T':
		return &types.AttributeValueMemberSS{Value: []string{value, "other"}}
	case 'L':
		return &types.AttributeValueMemberL{Value: []types.AttributeValue{text(value)}}
	case '0':
		return &types.AttributeValueMemberNULL{Value: true}
	case 'U':
		return &types.UnknownUnionMember{Tag: value}
	}
	return nil
}
