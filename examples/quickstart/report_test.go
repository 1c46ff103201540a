package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
)

// storedReport is what a real run printed with -json.
func storedReport(t *testing.T) report {
	t.Helper()
	text, err := os.ReadFile("testdata/summary.json")
	if err != nil {
		t.Fatal(err)
	}
	var r report
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		t.Fatal(err)
	}
	again, err := r.json()
	if err != nil || again != string(text) {
		t.Fatalf("testdata/summary.json is not what -json prints now (%v); make it anew", err)
	}
	return r
}

const (
	begin = "<!-- quickstart:begin -->\n"
	end   = "<!-- quickstart:end -->\n"
)

// To bring in a new result:
//
//	go run ./examples/quickstart -json > examples/quickstart/testdata/summary.json
//	go test ./examples/quickstart -run TestReadmeShowsARealSummary -update
func TestReadmeShowsARealSummary(t *testing.T) {
	t.Parallel()
	r := storedReport(t)
	if !r.good() {
		t.Error("the stored result is not a good one")
	}
	summary := r.summary()
	if strings.Contains(summary, "~\n") {
		t.Errorf("a line is cut:\n%s", summary)
	}
	fits(t, strings.Split(strings.TrimSuffix(summary, "\n"), "\n"))

	const path = "../../README.md"
	readme, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := strings.Cut(string(readme), begin)
	block, after, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		t.Fatalf("%s lacks the lines %s and %s", path, strings.TrimSpace(begin), strings.TrimSpace(end))
	}
	want := "```text\n" + summary + "```\n"
	if *update {
		if err := os.WriteFile(path, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		block = want
	}
	if block != want {
		t.Errorf("%s shows another summary than this; -update writes it:\n%s", path, want)
	}
}

// bad is a run in which everything went wrong.
func bad() report {
	r := report{
		RecordsPut: 17070, RecordsDelivered: 17415, Duplicates: 345, DuplicatesBound: 300, Unstored: 233, Repeated: 67,
		Lost: 1, OutOfOrder: 1234, Altered: 2, Rounds: 10, Events: 1707, Keys: 12, Seconds: 123.4, FailoverTime: 4, PerSec: 999, P99: 3.8, Longest: 99.9,
	}
	for i := range maxExamples {
		r.Examples = append(r.Examples, fmt.Sprintf("out of order: record %d of key ci came after a later one", i))
	}
	for i := range 30 {
		r.Happenings = append(r.Happenings, happening{float64(i), moved, "shard 1 from w1 to w2"})
	}
	r.Happenings = append(r.Happenings, happening{31, stopped, "w1, which read shard 3, gets SIGTERM"})
	return r
}

func TestSummaryOfABadRunSaysSoAndFits(t *testing.T) {
	t.Parallel()
	summary := bad().summary()
	fits(t, strings.Split(strings.TrimSuffix(summary, "\n"), "\n"))
	golden(t, "summary-bad.txt", summary)
}

func TestEachBrokenPromiseFailsTheRun(t *testing.T) {
	t.Parallel()
	good := report{RecordsPut: 20, Rounds: 2, Events: 10, Duplicates: 3, DuplicatesBound: 3}
	if !good.good() {
		t.Fatal("a good run fails")
	}
	for name, breaks := range map[string]func(*report){
		"lost":                   func(r *report) { r.Lost = 1 },
		"out of order":           func(r *report) { r.OutOfOrder = 1 },
		"over the bound":         func(r *report) { r.Duplicates = 4 },
		"altered":                func(r *report) { r.Altered = 1 },
		"put less than the file": func(r *report) { r.RecordsPut = 19 },
	} {
		r := good
		breaks(&r)
		if r.good() {
			t.Errorf("%s: the run passes", name)
		}
	}
}
