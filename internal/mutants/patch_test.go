package main

import (
	"strings"
	"testing"
	"time"
)

func TestParseReadsHeaderAndDiff(t *testing.T) {
	t.Parallel()
	p, err := parse("x", `# guard: a sentence: with a colon
# test: ./lease TestA|TestB/sub case
# timeout: 90s
#
# a remark

diff --git a/lease/a.go b/lease/a.go
index 1..2 100644
--- a/lease/a.go	2026-01-01
+++ b/lease/a.go	2026-01-01
@@ -1 +1,2 @@ func f()
-one
+1
+--- not a header
@@ -7,2 +8,1 @@

-x
\ No newline at end of file
--- a/lease/b.go
+++ b/lease/b.go
@@ -1,1 +1,1 @@
-b
+B
`)
	if err != nil {
		t.Fatal(err)
	}
	if p.guard != "a sentence: with a colon" || p.pkg != "./lease" || p.run != "TestA|TestB/sub case" || p.timeout != 90*time.Second {
		t.Errorf("header: %+v", p)
	}
	if len(p.edits) != 2 || len(p.edits[0].hunks) != 2 || p.edits[1].path != "lease/b.go" {
		t.Fatalf("edits: %+v", p.edits)
	}
	if got := strings.Join(p.edits[0].hunks[0].after, "|"); got != "1|--- not a header" {
		t.Errorf("first hunk adds %q", got)
	}
}

func TestParseRefusesWhatItWouldMisread(t *testing.T) {
	t.Parallel()
	const head = "# guard: g\n# test: ./p T\n"
	const diff = "--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n+b\n"
	if _, err := parse("x", head+diff); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"no header":             diff,
		"no guard":              "# test: ./p T\n" + diff,
		"no test":               "# guard: g\n" + diff,
		"test without name":     "# guard: g\n# test: ./p\n" + diff,
		"package of elsewhere":  "# guard: g\n# test: p T\n" + diff,
		"not a pattern":         "# guard: g\n# test: ./p (\n" + diff,
		"no duration":           head + "# timeout: soon\n" + diff,
		"no time":               head + "# timeout: 0s\n" + diff,
		"unknown key":           head + "# tset: ./p T\n" + diff,
		"no diff":               head,
		"no hunk":               head + "--- a/f\n+++ b/f\n",
		"hunk without file":     head + "@@ -1 +1 @@\n-a\n+b\n",
		"hunk without header":   head + "--- a/f\n+++ b/f\n@@ what @@\n-a\n+b\n",
		"too few lines":         head + "--- a/f\n+++ b/f\n@@ -1,2 +1 @@\n-a\n+b\n",
		"too many lines":        head + diff + "-c\n",
		"a stray line":          head + diff + "what\n",
		"a deletion":            head + "--- a/f\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n",
		"no line to start from": head + "--- a/f\n+++ b/f\n@@ -0,0 +1 @@\n+b\n",
	} {
		if p, err := parse("x", text); err == nil {
			t.Errorf("%s: read as %+v", name, p)
		}
	}
}

func TestApply(t *testing.T) {
	t.Parallel()
	const swap = "@@ -2,3 +2,3 @@\n a\n-b\n+B\n c\n"
	for _, c := range []struct{ name, diff, text, want, problem string }{
		{"where it says", swap, "0\na\nb\nc\n", "0\na\nB\nc\n", ""},
		{"at the end without a newline", swap, "0\na\nb\nc", "0\na\nB\nc", ""},
		{"the file has grown above", swap, "0\n0\n0\na\nb\nc\n", "0\n0\n0\na\nB\nc\n", ""},
		{"the file has shrunk above", swap, "a\nb\nc\n", "a\nB\nc\n", ""},
		{"its place wins over others", swap, "0\na\nb\nc\na\nb\nc\n", "0\na\nB\nc\na\nb\nc\n", ""},
		{"no place", swap, "0\na\nx\nc\n", "", "not there"},
		{"several places", swap, "0\n0\na\nb\nc\na\nb\nc\n", "", "2 others"},
		{"two hunks", "@@ -1 +1,3 @@\n-a\n+A\n+A\n+A\n@@ -3 +5 @@\n-c\n+C\n", "a\nb\nc\n", "A\nA\nA\nb\nC\n", ""},
		{"a hunk never goes above the one before it", "@@ -3 +3 @@\n-c\n+C\n@@ -4 +4 @@\n-a\n+A\n", "a\nb\nc\nd\n", "", "not there"},
		{"removal only", "@@ -1,2 +1 @@\n a\n-b\n", "a\nb\n", "a\n", ""},
	} {
		edits, err := parseDiff(strings.Split("--- a/f\n+++ b/f\n"+strings.TrimSuffix(c.diff, "\n"), "\n"))
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		got, err := edits[0].apply(c.text)
		switch {
		case c.problem == "" && (err != nil || got != c.want):
			t.Errorf("%s: %q, %v; want %q", c.name, got, err, c.want)
		case c.problem != "" && (err == nil || !strings.Contains(err.Error(), c.problem)):
			t.Errorf("%s: %q, %v; want an error with %q", c.name, got, err, c.problem)
		}
	}
}
