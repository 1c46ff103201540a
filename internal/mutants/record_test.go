package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// chosenNames returns the names of the patches that the selection chooses on the sources of root.
func chosenNames(t *testing.T, root, dir, turn string) string {
	t.Helper()
	b, err := open(root, dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range selection(b.patches, b.prints, b.record, turn) {
		names = append(names, p.name)
	}
	return strings.Join(names, " ")
}

// recordAll writes the record that a run leaves in which every patch was caught.
func recordAll(t *testing.T, root, dir string) {
	t.Helper()
	b, err := open(root, dir)
	if err != nil {
		t.Fatal(err)
	}
	caught := map[string]bool{}
	for _, p := range b.patches {
		caught[p.name] = true
	}
	if err := b.record.update(b.prints, caught).write(filepath.Join(dir, recordFile)); err != nil {
		t.Fatal(err)
	}
}

func patchOf(file, test string) string {
	return fmt.Sprintf("# guard: nothing is above the top\n# test: %s\n--- a/%s\n+++ b/%s\n@@ -1 +1 @@\n-package a\n+package b\n", test, file, file)
}

// What a verdict rests on: the patch, the package that it changes, the package of its test with tests and helpers. A change of any has the patch run
// again; a change elsewhere does not.
func TestAPatchRunsAgainWhenWhatItsVerdictRestsOnHasChanged(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ what, file, text, want string }{
		{"nothing", "", "", ""},
		{"the file that is patched", "core/a.go", "package core // changed\n", "core crossing"},
		{"another file of the patched package", "core/b.go", "package core\n", "core crossing"},
		{"the test's package", "user/user.go", "package user // changed\n", "crossing"},
		{"the test", "user/user_test.go", "package user // changed\n", "crossing"},
		{"a new helper of the test", "user/helpers_test.go", "package user\n", "crossing"},
		{"a test of the patched package, by which one is caught", "core/a_test.go", "package core // changed\n", "core"},
		{"another package", "other/other.go", "package other // changed\n", ""},
		{"no Go file", "core/notes.txt", "notes\n", ""},
		{"the patch", "patches/core.patch", patchOf("core/a.go", "./core TestOther"), "core"},
		{"a patch that is new", "patches/new.patch", patchOf("core/a.go", "./core TestCore"), "new"},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			dir := filepath.Join(root, "patches")
			for _, sub := range []string{"core", "user", "other", "patches"} {
				if err := os.Mkdir(filepath.Join(root, sub), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			for _, file := range []string{"core/a.go", "core/a_test.go", "user/user.go", "user/user_test.go", "other/other.go"} {
				write(t, root, file, "package "+filepath.Dir(file)+"\n")
			}
			write(t, dir, "core.patch", patchOf("core/a.go", "./core TestCore"))
			write(t, dir, "crossing.patch", patchOf("core/a.go", "./user TestUser"))
			if got := chosenNames(t, root, dir, ""); got != "core crossing" {
				t.Errorf("without a record: runs %q, want both", got)
			}
			recordAll(t, root, dir)
			if c.file != "" {
				write(t, root, c.file, c.text)
			}
			if got := chosenNames(t, root, dir, ""); got != c.want {
				t.Errorf("runs %q, want %q", got, c.want)
			}
		})
	}
}

// Whatever is recorded, each patch has its turn: one in ten a run, all of them within some dozens of runs, the same ones for the same commit.
func TestEveryRecordedPatchHasItsTurn(t *testing.T) {
	t.Parallel()
	var patches []patch
	prints, r := map[string]string{}, record{}
	for i := range 300 {
		name := fmt.Sprint("patch-", i)
		patches = append(patches, patch{name: name})
		prints[name] = "print"
		r[name] = []string{"print"}
	}
	turns, total := map[string]int{}, 0
	for commit := range 100 {
		turn := fmt.Sprint("commit ", commit)
		first := selection(patches, prints, r, turn)
		if second := selection(patches, prints, r, turn); len(first) != len(second) {
			t.Fatalf("the same commit chose %d patches and %d", len(first), len(second))
		}
		if len(first) < 10 || len(first) > 60 {
			t.Errorf("%s: %d of 300 patches have their turn, want about 30", turn, len(first))
		}
		for _, p := range first {
			turns[p.name]++
			total++
		}
	}
	if len(turns) != 300 || total < 2700 || total > 3300 {
		t.Errorf("in 100 runs %d of 300 patches had a turn, %d turns in all; want each, and about 3000", len(turns), total)
	}
	if none := selection(patches, prints, r, ""); len(none) != 0 {
		t.Errorf("without a turn: %d patches run, want none", len(none))
	}
}

func TestTheRecordKeepsWhatIsTrue(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), recordFile)
	if err := os.WriteFile(file, []byte("# by hand\nb two\nb old\na one\ngone one\nchanged old\nsurvived one\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := readRecord(file)
	if err != nil {
		t.Fatal(err)
	}
	prints := map[string]string{"a": "one", "b": "two", "changed": "new", "survived": "one", "fresh": "one", "waits": "one"}
	if err := r.update(prints, map[string]bool{"survived": false, "fresh": true}).write(file); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if want := recordHead + "a one\nb two\nfresh one\n"; string(text) != want {
		t.Errorf("the record is\n%swant\n%s", text, want)
	}
}

func TestRecordThatIsNoneIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, recordFile, "a line\nanother\n")
	if _, err := readRecord(filepath.Join(dir, recordFile)); err == nil || !strings.Contains(err.Error(), "another") {
		t.Errorf("error %v, want one that shows the line", err)
	}
	if r, err := readRecord(filepath.Join(dir, "absent")); err != nil || len(r) != 0 {
		t.Errorf("no record: %v, %v; want an empty one", r, err)
	}
}

// From end to end: what was caught is left out until its sources change; what survives is never recorded and fails every run.
func TestASurvivorIsNeverRecorded(t *testing.T) {
	t.Parallel()
	root, dir := t.TempDir(), t.TempDir()
	for name, text := range module {
		write(t, root, name, text)
	}
	write(t, dir, "good.patch", header("TestClampHoldsTheTop")+noClamp)
	write(t, dir, "survivor.patch", header("TestClampRuns")+noClamp)
	run := func(code int, says string, args ...string) {
		t.Helper()
		var out bytes.Buffer
		got := command(t.Context(), append([]string{"-root", root, "-dir", dir}, args...), &out, &out)
		if got != code || !strings.Contains(out.String(), says) {
			t.Errorf("%q: status %d, want %d and %q:\n%s", args, got, code, says, &out)
		}
	}
	run(1, "1 of 2 caught", "-record")
	run(1, "1 of 2 are recorded", "-unrecorded")
	run(0, "0 of 0 caught", "-unrecorded", "-run", "good")
	write(t, root, "limits_test.go", strings.ReplaceAll(module["limits_test.go"], "above the top", "over the top"))
	run(0, "1 of 1 caught", "-unrecorded", "-run", "good")
}

// Whoever works on while the patches run has the next run judge what they changed.
func TestWhatHasChangedMeanwhileIsNotRecorded(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	dir := filepath.Join(root, "patches")
	for _, sub := range []string{"core", "patches"} {
		if err := os.Mkdir(filepath.Join(root, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	write(t, root, "core/a.go", "package core\n")
	write(t, root, "b.go", "package root\n")
	write(t, dir, "changed.patch", patchOf("core/a.go", "./core TestCore"))
	write(t, dir, "same.patch", patchOf("b.go", "./. TestRoot"))
	before, err := open(root, dir)
	if err != nil {
		t.Fatal(err)
	}
	write(t, root, "core/a.go", "package core // changed\n")
	o := options{root: root, dir: dir}
	if err := o.write(before, map[string]bool{"changed": true, "same": true}); err != nil {
		t.Fatal(err)
	}
	if got := chosenNames(t, root, dir, ""); got != "changed" {
		t.Errorf("the next run runs %q, want what has changed", got)
	}
}
