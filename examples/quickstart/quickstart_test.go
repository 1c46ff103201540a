package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// The whole program, as it is started by a user: real processes, real signals, real time.
func TestNothingIsLostThroughSplitMergeKillAndStop(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 20 s of real time")
	}
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	program := filepath.Join(t.TempDir(), "quickstart")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, program, "-json", "-rounds", "2")
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s%s", err, stdout.String(), stderr.String())
	}
	if stderr.Len() > 0 {
		t.Errorf("stderr: %s", stderr.String())
	}
	var r report
	d := json.NewDecoder(&stdout)
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil || d.More() {
		t.Fatalf("stdout is not one report: %v, more: %v", err, d.More())
	}
	if !r.good() || r.RecordsPut < 2*1707 || r.RecordsDelivered != r.RecordsPut+r.Duplicates {
		t.Errorf("not a good run: %+v", r)
	}
	if r.Splits != 1 || r.Merges != 1 || r.WorkersKilled != 1 || r.WorkersStopped != 1 || r.LeaseMoves < 2 {
		t.Errorf("something did not happen: %+v", r)
	}
}
