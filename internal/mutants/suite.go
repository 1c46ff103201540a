package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// suite runs patches against the module at root.
type suite struct {
	root     string
	parallel int

	mu        sync.Mutex
	baselines map[string]*baseline
}

// baseline is what a test does on the unchanged source. Patches that name the same test share it.
type baseline struct {
	once sync.Once
	out  *outcome
	err  error
}

// verdict is what became of one patch.
type verdict struct {
	patch patch
	err   error // nil: its test noticed
	took  time.Duration
}

var errSurvived = errors.New("SURVIVED: its test passes without the guarantee")

// load reads the patches of dir in alphabetical order. A file that cannot be read as a patch is an error of the whole run.
func load(dir string) ([]patch, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.patch"))
	if err != nil {
		return nil, err
	}
	var patches []patch
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".patch")
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		p, err := parse(name, string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		patches = append(patches, p)
	}
	return patches, nil
}

// run judges the patches, s.parallel at a time, and reports each as soon as it and all before it are known.
func (s *suite) run(ctx context.Context, patches []patch, report func(verdict)) {
	verdicts := make([]chan verdict, len(patches))
	next := make(chan int, len(patches))
	for i := range patches {
		verdicts[i] = make(chan verdict, 1)
		next <- i
	}
	close(next)
	for range s.parallel {
		go func() {
			for i := range next {
				start := time.Now()
				err := s.judge(ctx, patches[i])
				verdicts[i] <- verdict{patches[i], err, time.Since(start)}
			}
		}()
	}
	for _, v := range verdicts {
		report(<-v)
	}
}

// judge returns nil when the patch's test passes on the source as it is and fails on the patched source.
func (s *suite) judge(ctx context.Context, p patch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	overlay, err := s.overlay(tmp, p)
	if err != nil {
		return fmt.Errorf("does not apply: %w", err)
	}
	base, err := s.baseline(ctx, p)
	if err != nil {
		return err
	}
	// Without symbols a test binary links in two thirds of the time, and its stacks name functions all the same.
	out, err := goTest(ctx, s.root, p, "-overlay="+overlay, "-count=1", "-vet=off", "-ldflags=-s -w")
	switch {
	case err != nil:
		return err
	case out.buildFailed:
		return fmt.Errorf("does not build:\n%s", out.tail())
	case out.failed(base.passed):
		return nil
	case out.ok:
		return errSurvived
	default:
		return fmt.Errorf("the run failed, but not in %s:\n%s", p.run, out.tail())
	}
}

// overlay writes the patched files and the file that tells the go command to read them in the place of the originals, which stay as they are.
func (s *suite) overlay(tmp string, p patch) (string, error) {
	replace := map[string]string{}
	for i, e := range p.edits {
		original := filepath.Join(s.root, filepath.FromSlash(e.path))
		if !filepath.IsLocal(filepath.FromSlash(e.path)) {
			return "", fmt.Errorf("%s: outside the module", e.path)
		}
		text, err := os.ReadFile(original)
		if err != nil {
			return "", err
		}
		changed, err := e.apply(string(text))
		if err != nil {
			return "", err
		}
		if changed == string(text) {
			return "", fmt.Errorf("%s: changes nothing", e.path)
		}
		replace[original] = filepath.Join(tmp, strconv.Itoa(i)+".go")
		if err := os.WriteFile(replace[original], []byte(changed), 0o600); err != nil {
			return "", err
		}
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	file := filepath.Join(tmp, "overlay.json")
	return file, os.WriteFile(file, text, 0o600)
}

// baseline runs the patch's test on the source as it is (the go command may answer from its cache) and says which tests that were.
func (s *suite) baseline(ctx context.Context, p patch) (*outcome, error) {
	key := p.pkg + " " + p.pattern() + " " + p.timeout.String()
	s.mu.Lock()
	if s.baselines == nil {
		s.baselines = map[string]*baseline{}
	}
	b, ok := s.baselines[key]
	if !ok {
		b = &baseline{}
		s.baselines[key] = b
	}
	s.mu.Unlock()
	b.once.Do(func() {
		b.out, b.err = goTest(ctx, s.root, p)
		switch {
		case b.err != nil:
		case !b.out.ok:
			b.err = fmt.Errorf("the test fails without the patch too:\n%s", b.out.tail())
		case len(b.out.passed) == 0:
			b.err = fmt.Errorf("no test of %s runs and passes under -run %s", p.pkg, p.run)
		}
	})
	return b.out, b.err
}

// outcome is what one run of go test said.
type outcome struct {
	ok          bool // exit status 0
	buildFailed bool
	passed      []string // top-level tests
	failedTests []string // top-level tests
	output      strings.Builder
	crash       strings.Builder // what was printed from the first panic or fatal error on
}

// failed reports whether one of the tests failed. A crash (a panic on another goroutine, a fatal error, a timeout) ends the process before the
// test can be reported; it counts when the crash names the test, in a stack or among the running tests.
func (o *outcome) failed(tests []string) bool {
	for _, t := range tests {
		if slices.Contains(o.failedTests, t) || strings.Contains(o.crash.String(), t) {
			return true
		}
	}
	return false
}

// tail returns the last lines that the run printed.
func (o *outcome) tail() string {
	const lines = 15
	all := strings.Split(strings.TrimRight(o.output.String(), "\n"), "\n")
	return "\t" + strings.Join(all[max(0, len(all)-lines):], "\n\t")
}
