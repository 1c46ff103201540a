package conformance

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

const (
	unprovenBegin = "<!-- unproven:begin -->\n"
	unprovenEnd   = "<!-- unproven:end -->"
)

// What no independent server shows rests on our own reading of AWS's documentation. A reader of DESIGN.md should know which.
func TestDesignListsEveryUnprovenBehaviour(t *testing.T) {
	const file = "../../DESIGN.md"
	want, proven, unproven := coverage()
	t.Logf("%d behaviours: %d are shown by at least one independent server, %d by none\n%s", len(behaviours), proven, unproven, want)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, begun := strings.Cut(string(text), unprovenBegin)
	list, tail, ended := strings.Cut(rest, unprovenEnd)
	if !begun || !ended {
		t.Fatalf("%s has no %q and %q", file, unprovenBegin, unprovenEnd)
	}
	if list == want {
		return
	}
	if !*update {
		t.Fatal("DESIGN.md's list of unproven behaviours is not that of the table: go test ./internal/conformance -run Design -update")
	}
	if err := os.WriteFile(file, []byte(head+unprovenBegin+want+unprovenEnd+tail), 0o644); err != nil {
		t.Fatal(err)
	}
}

// coverage is the list for DESIGN.md, and how many behaviours are shown by an independent server, and by none.
func coverage() (list string, proven, unproven int) {
	var rows strings.Builder
	for _, b := range behaviours {
		if len(b.shown()) > 0 {
			proven++
			continue
		}
		unproven++
		why := "takes longer than a test outside of virtual time may"
		if !b.slow {
			parts := make([]string, 0, len(b.skips))
			for _, server := range independent[b.service] {
				parts = append(parts, server+" "+b.skips[server])
			}
			why = strings.Join(parts, "; ")
		}
		fmt.Fprintf(&rows, "| %s | %s | %s | %s |\n", b.service, cell(b.name), cell(b.says), cell(why))
	}
	head := fmt.Sprintf("%d behaviours, %d of them shown by at least one independent server. By none:\n\n", len(behaviours), proven)
	return head + "| service | behaviour | AWS's documentation | why none shows it |\n|---|---|---|---|\n" + rows.String(), proven, unproven
}

func cell(text string) string { return strings.ReplaceAll(text, "|", "\\|") }
