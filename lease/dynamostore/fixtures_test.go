package dynamostore_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/lease"
)

// fixture is a table as workers of KCL left it: rows in DynamoDB's JSON, a line each. testdata says in its names which version wrote them.
func fixture(t *testing.T, name string) []row {
	t.Helper()
	content, err := os.ReadFile("testdata/" + name + ".jsonl")
	if err != nil {
		t.Fatal(err)
	}
	var rows []row
	for line := range strings.Lines(string(content)) {
		var item map[string]json.RawMessage
		if err := json.Unmarshal([]byte(line), &item); err != nil {
			t.Fatal(err)
		}
		r := row{}
		for attribute, v := range item {
			r[attribute] = ofJSON(t, v)
		}
		rows = append(rows, r)
	}
	return rows
}

func ofJSON(t *testing.T, raw json.RawMessage) types.AttributeValue {
	t.Helper()
	var v struct {
		S, N *string
		B    []byte
		SS   []string
		M    map[string]json.RawMessage
		L    []json.RawMessage
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	switch {
	case v.S != nil:
		return text(*v.S)
	case v.N != nil:
		return number(*v.N)
	case v.B != nil:
		return &types.AttributeValueMemberB{Value: v.B}
	case v.SS != nil:
		return set(v.SS...)
	case v.M != nil:
		m := row{}
		for name, raw := range v.M {
			m[name] = ofJSON(t, raw)
		}
		return &types.AttributeValueMemberM{Value: m}
	case v.L != nil:
		l := &types.AttributeValueMemberL{}
		for _, raw := range v.L {
			l.Value = append(l.Value, ofJSON(t, raw))
		}
		return l
	}
	t.Fatalf("%s is of a type that no row has", raw)
	return nil
}

var fixtures = []string{"kcl-2.7.2", "kcl-2.7.2-aggregate", "kcl-2.7.2-prepared", "kcl-3.5.1", "kcl-3.5.1-stopped"}

func isLease(r row) bool { return r["leaseCounter"] != nil }

// What was read from a row that KCL wrote, written anew, is the row: nothing of a lease is lost on us.
func TestRowsThatKCLWroteSurviveBeingReadAndWritten(t *testing.T) {
	t.Parallel()
	for _, name := range fixtures {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			leases := 0
			for _, before := range fixture(t, name) {
				if !isLease(before) {
					continue
				}
				leases++
				server, s := opened(t)
				put(t, server, before)
				key := before["leaseKey"].(*types.AttributeValueMemberS).Value
				l, err := s.Get(t.Context(), key)
				if err != nil {
					t.Fatal(err)
				}
				if err := s.Delete(t.Context(), key, lease.Condition{Counter: &l.Counter}); err != nil {
					t.Fatal(err)
				}
				if err := s.Create(t.Context(), l); err != nil {
					t.Fatal(err)
				}
				untouched(t, before, server.Items(table)[0], "entityType", "throughputKBps") // KCL 3.x writes these, and may do without
			}
			if leases == 0 {
				t.Error("no lease")
			}
		})
	}
}

// A take, a checkpoint and a release of ours leave all else in a row that KCL wrote as it was.
func TestRowsThatKCLWroteKeepWhatIsNotOurs(t *testing.T) {
	t.Parallel()
	for _, name := range fixtures {
		for _, before := range fixture(t, name) {
			if !isLease(before) {
				continue
			}
			server, s := opened(t)
			put(t, server, before)
			key := before["leaseKey"].(*types.AttributeValueMemberS).Value
			l, err := s.Get(t.Context(), key)
			if err != nil {
				t.Fatal(err)
			}
			set := []lease.Change{
				{AddCounter: 1, Owner: ptr("me"), Speaks: ptr("me"), AskedBy: ptr(""), AskedOf: ptr(""), CheckpointOwner: ptr("")},
				{AddCounter: 1, Checkpoint: &checkpoint.Checkpoint{Position: at(t, later, 5)}},
				{AddCounter: 1, Owner: ptr(""), Speaks: ptr("")},
			}
			for _, c := range set {
				if l, err = s.Write(t.Context(), key, asRead(l), c); err != nil {
					t.Fatal(err)
				}
			}
			untouched(t, before, server.Items(table)[0], "leaseOwner", "leaseCounter", "checkpoint", "checkpointSubSequenceNumber",
				"pendingCheckpoint", "pendingCheckpointSubSequenceNumber", "pendingCheckpointState")
		}
	}
}

// Rows of other kinds are named by their kind, and stay.
func TestRowsOfKCL3ThatAreNoLeasesAreNamedAndKept(t *testing.T) {
	t.Parallel()
	server, s := opened(t)
	rows := fixture(t, "kcl-3.5.1")
	for _, r := range rows {
		put(t, server, r)
	}
	leases, kinds := 0, []string{}
	for _, err := range s.List(context.Background()) {
		var bad *lease.RowError
		switch {
		case err == nil:
			leases++
		case errors.As(err, &bad):
			kinds = append(kinds, bad.Key+" "+strings.SplitN(bad.Reason, " ", 2)[0])
		default:
			t.Fatal(err)
		}
	}
	slices.Sort(kinds)
	want := []string{`Leader "LEADER"`, `Migration3.0 "CLIENT_VERSION_MIGRATION"`, `java3-1 "WORKER_METRIC_STATS"`}
	if leases != 2 || !slices.Equal(kinds, want) {
		t.Errorf("%d leases, others %q", leases, kinds)
	}
	for _, before := range rows {
		for _, after := range server.Items(table) {
			if after["leaseKey"].(*types.AttributeValueMemberS).Value == before["leaseKey"].(*types.AttributeValueMemberS).Value {
				untouched(t, before, after)
			}
		}
	}
	if n := len(server.Items(table)); n != len(rows) {
		t.Errorf("%d rows of %d are left", n, len(rows))
	}
}
