package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// event is a line of go test -json: of the test binary (Action run, pass, fail, skip, output) or of the build (build-output, build-fail).
type event struct {
	Action string
	Test   string
	Output string
}

// killAfter is what the go command gets beyond the test's own timeout to compile, link and report, before the run is given up.
const killAfter = 10 * time.Minute

// goTest runs the patch's test and reads what came of it. The error is about the run itself: the go command missing, ctx ended.
func goTest(ctx context.Context, root string, p patch, flags ...string) (*outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout+killAfter)
	defer cancel()
	args := append([]string{"test", "-json", "-timeout=" + p.timeout.String(), "-run", p.pattern()}, flags...)
	dir, pkg, err := moduleOf(root, p.pkg)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "go", append(args, pkg)...)
	cmd.Dir = dir
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	if cause := context.Cause(ctx); cause != nil {
		return nil, cause
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return nil, fmt.Errorf("go test: %w", err)
	}
	out := &outcome{ok: err == nil}
	if scanErr := out.read(&stdout); scanErr != nil {
		return nil, scanErr
	}
	out.output.Write(stderr.Bytes())
	return out, nil
}

// moduleOf returns the directory of the module that pkg belongs to, and pkg as it is named there: some packages are in modules of their own.
func moduleOf(root, pkg string) (dir, name string, err error) {
	at := filepath.Join(root, filepath.FromSlash(pkg))
	for dir = at; dir != root && len(dir) > len(root); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			name, err = filepath.Rel(dir, at)
			return dir, "./" + filepath.ToSlash(name), err
		}
	}
	return root, pkg, nil
}

func (o *outcome) read(stdout *bytes.Buffer) error {
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			o.output.WriteString(lines.Text() + "\n") // go vet and a few errors of the go command come as plain text
			continue
		}
		o.add(e)
	}
	return lines.Err()
}

func (o *outcome) add(e event) {
	switch e.Action {
	case "build-fail":
		o.buildFailed = true
	case "build-output", "output":
		o.output.WriteString(e.Output)
		if o.crash.Len() > 0 || strings.HasPrefix(e.Output, "panic: ") || strings.HasPrefix(e.Output, "fatal error: ") {
			o.crash.WriteString(e.Output)
		}
	case "pass", "fail":
		test, _, sub := strings.Cut(e.Test, "/")
		switch {
		case test == "":
		case e.Action == "fail" && !slices.Contains(o.failedTests, test):
			o.failedTests = append(o.failedTests, test)
		case e.Action == "pass" && !sub:
			o.passed = append(o.passed, test)
		}
	}
}
