package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the table of guards into DESIGN.md")

const (
	guardsBegin = "<!-- guards:begin -->\n"
	guardsEnd   = "<!-- guards:end -->"
)

// DESIGN.md names, for each promise, the test that holds it and the patch that breaks it. The patches know all three.
func TestDesignListsEveryGuard(t *testing.T) {
	const file = "../../DESIGN.md"
	patches, err := load("../../testdata/mutants")
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	want.WriteString("| promise | test | patch |\n|---|---|---|\n")
	for _, p := range patches {
		fmt.Fprintf(&want, "| %s | `%s` %s | %s |\n", strings.ReplaceAll(p.guard, "|", "\\|"), p.pkg, strings.Trim(p.run, "^$"), p.name)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(text), guardsBegin)
	table, tail, ended := strings.Cut(rest, guardsEnd)
	if !ok || !ended {
		t.Fatalf("%s has no %q and %q", file, guardsBegin, guardsEnd)
	}
	if table == want.String() {
		return
	}
	if !*update {
		t.Fatal("DESIGN.md's table of guards is not that of the patches: go test ./internal/mutants -run Design -update")
	}
	if err := os.WriteFile(file, []byte(head+guardsBegin+want.String()+guardsEnd+tail), 0o644); err != nil {
		t.Fatal(err)
	}
}
