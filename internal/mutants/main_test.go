package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// module is a small module with a guarantee, a test that holds it, and tests that hold nothing.
var module = map[string]string{
	"go.mod": "module example.invalid/limits\n\ngo 1.25.0\n",
	"limits.go": `package limits

const top = 10

func Clamp(n int) int {
	if n > top {
		return top
	}
	return n
}
`,
	"limits_test.go": `package limits

import (
	"testing"
	"time"
)

func TestClampHoldsTheTop(t *testing.T) {
	if Clamp(11) != 10 {
		t.Fatal("above the top")
	}
}

func TestClampHoldsTheTopInSubtests(t *testing.T) {
	t.Run("one", func(t *testing.T) { TestClampHoldsTheTop(t) })
}

func TestClampRuns(t *testing.T) { Clamp(11) }

func TestClampElsewhere(t *testing.T) {
	done := make(chan int)
	go func() {
		if Clamp(11) != 10 {
			panic("above the top")
		}
		close(done)
	}()
	<-done
}

func TestClampHangs(t *testing.T) {
	for Clamp(11) != 10 {
		time.Sleep(time.Millisecond)
	}
}

func TestBroken(t *testing.T) { t.Fatal("always") }

func TestSkipped(t *testing.T) { t.Skip() }
`,
}

const noClamp = `--- a/limits.go
+++ b/limits.go
@@ -5,4 +5,4 @@
 func Clamp(n int) int {
-	if n > top {
+	if n > top+1 {
 		return top
 	}
`

func TestVerdicts(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for name, text := range module {
		write(t, root, name, text)
	}
	for _, c := range []struct {
		name, patch string
		ok          bool
		says        string
	}{
		{"noticed", header("TestClampHoldsTheTop") + noClamp, true, "caught"},
		{"noticed-in-a-subtest", header("TestClampHoldsTheTopInSubtests/one") + noClamp, true, "caught"},
		{"noticed-by-a-pattern", header("Holds|Runs") + noClamp, true, "caught"},
		{"noticed-by-a-panic-elsewhere", header("TestClampElsewhere") + noClamp, true, "caught"},
		{"noticed-by-the-time-it-takes", header("TestClampHangs") + "# timeout: 2s\n" + noClamp, true, "caught"},
		{"survivor", header("TestClampRuns") + noClamp, false, "SURVIVED"},
		{"breaks-the-build", header("TestClampHoldsTheTop") + strings.Replace(noClamp, "top+1", "bottom", 1), false, "does not build"},
		{"breaks-another", header("TestClampRuns") + ends, false, "the run failed, but not in"},
		{"outdated", header("TestClampHoldsTheTop") + strings.Replace(noClamp, "return top", "return limit", 1), false, "does not apply"},
		{"no-such-file", header("TestClampHoldsTheTop") + strings.ReplaceAll(noClamp, "limits.go", "absent.go"), false, "does not apply"},
		{"outside", header("TestClampHoldsTheTop") + strings.ReplaceAll(noClamp, "b/limits.go", "b/../limits.go"), false, "outside the module"},
		{"without-effect", header("TestClampHoldsTheTop") + strings.Replace(noClamp, "top+1", "top", 1), false, "changes nothing"},
		{"broken-test", header("TestBroken") + noClamp, false, "fails without the patch too"},
		{"skipped-test", header("TestSkipped") + noClamp, false, "no test"},
		{"absent-test", header("TestClamp$") + noClamp, false, "no test"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write(t, dir, c.name+".patch", c.patch)
			var out, errs bytes.Buffer
			code := command(t.Context(), []string{"-root", root, "-dir", dir}, &out, &errs)
			if (code == 0) != c.ok || !strings.Contains(out.String(), c.says) || !strings.Contains(out.String(), c.name) {
				t.Errorf("status %d, want success %v and %q:\n%s%s", code, c.ok, c.says, &out, &errs)
			}
		})
	}
	t.Cleanup(func() {
		for name, text := range module {
			if now, err := os.ReadFile(filepath.Join(root, name)); err != nil || string(now) != text {
				t.Errorf("%s was changed (%v)", name, err)
			}
		}
	})
}

// A package may belong to a module of its own below root; its patch changes that module, or the one around it.
func TestAPackageOfAModuleOfItsOwn(t *testing.T) {
	t.Parallel()
	root, dir := t.TempDir(), t.TempDir()
	for name, text := range module {
		write(t, root, name, text)
	}
	for _, sub := range []string{"plugin", "plugin/user"} {
		if err := os.Mkdir(filepath.Join(root, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	write(t, root, "plugin/go.mod", "module example.invalid/limits/plugin\n\ngo 1.25.0\n\nrequire example.invalid/limits v0.0.0\n\nreplace example.invalid/limits => ..\n")
	write(t, root, "plugin/user/user_test.go", `package user

import (
	"testing"

	"example.invalid/limits"
)

func TestTheTop(t *testing.T) {
	if limits.Clamp(11) != 10 {
		t.Fatal("above the top")
	}
}
`)
	write(t, dir, "crossing.patch", "# guard: nothing is above the top\n# test: ./plugin/user TestTheTop\n"+noClamp)
	var out bytes.Buffer
	if code := command(t.Context(), []string{"-root", root, "-dir", dir}, &out, &out); code != 0 {
		t.Errorf("status %d:\n%s", code, &out)
	}
}

// ends lets the process end outside every test.
const ends = `--- a/limits.go
+++ b/limits.go
@@ -1,3 +1,7 @@
 package limits

+import "os"
+
+func init() { os.Exit(3) }
+
 const top = 10
`

func TestOneSurvivorFailsTheWholeRun(t *testing.T) {
	t.Parallel()
	root, dir := t.TempDir(), t.TempDir()
	for name, text := range module {
		write(t, root, name, text)
	}
	write(t, dir, "a.patch", header("TestClampHoldsTheTop")+noClamp)
	write(t, dir, "b.patch", header("TestClampRuns")+noClamp)
	for _, c := range []struct {
		run  string
		code int
		says string
	}{
		{"", 1, "1 of 2 caught"},
		{"a", 0, "1 of 1 caught"},
		{"b", 1, "0 of 1 caught"},
	} {
		var out bytes.Buffer
		if code := command(t.Context(), []string{"-root", root, "-dir", dir, "-run", c.run}, &out, &out); code != c.code || !strings.Contains(out.String(), c.says) {
			t.Errorf("-run %q: status %d, want %d and %q:\n%s", c.run, code, c.code, c.says, &out)
		}
	}
}

func TestCommandRefusesWhatItCannotRun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "bad.patch", "no header\n")
	for _, args := range [][]string{
		{"-dir", dir},
		{"-dir", dir, "-run", "nothing"},
		{"-dir", dir, "-run", "("},
		{"-dir", dir, "-p", "0"},
		{"-dir", dir, "argument"},
		{"-unknown"},
	} {
		var out bytes.Buffer
		if code := command(t.Context(), args, &out, &out); code == 0 || out.Len() == 0 {
			t.Errorf("%q: status %d, output %q", args, code, &out)
		}
	}
}

func header(test string) string {
	return "# guard: nothing is above the top\n# test: ./. " + test + "\n"
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
