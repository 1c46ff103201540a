package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/kinesiskit/kinesiskit/internal/iamcheck"
	"github.com/kinesiskit/kinesiskit/lease"
)

// policy is what docs/iam.md allows for a command. It is read before a test goes to a directory of its own.
func policy(t *testing.T, name string) []string {
	t.Helper()
	document, err := os.ReadFile(filepath.Join("..", "..", "docs", "iam.md"))
	if err != nil {
		t.Fatal(err)
	}
	policies, err := iamcheck.Policies(string(document))
	if err != nil {
		t.Fatal(err)
	}
	return policies[name]
}

func TestGettingCheckpointsNeedsWhatItsPolicyAllows(t *testing.T) {
	want := policy(t, "checkpoint-get")
	a := newApplication(t)
	a.must("get -table orders-app")
	if called := a.s.Operations("tool"); !slices.Equal(called, want) {
		t.Errorf("docs/iam.md: policy checkpoint-get allows %q, called was %q", want, called)
	}
}

// A plan, a reset that makes a row which is missing, and an undo that deletes it.
func TestResettingCheckpointsNeedsWhatItsPolicyAllows(t *testing.T) {
	want := policy(t, "checkpoint-reset")
	a := newApplication(t)
	lost := a.rows()["shardId-000000000000"]
	if err := a.store.Delete(t.Context(), lost.Key, lease.Condition{Counter: &lost.Counter}); err != nil {
		t.Fatal(err)
	}
	a.must("reset -table orders-app -stream orders -to 1h")
	a.must("reset -table orders-app -stream orders -to 1h -execute -live -backup before.jsonl")
	a.must("undo -table orders-app -execute before.jsonl")
	if called := a.s.Operations("tool"); !slices.Equal(called, want) {
		t.Errorf("docs/iam.md: policy checkpoint-reset allows %q, called was %q", want, called)
	}
}
