// Command mutants proves that the tests can fail: each patch of testdata/mutants takes one guarantee out of the source, and the test that claims
// to hold that guarantee must then fail. The source itself is never changed; the go command reads the patched files through an overlay.
//
//	go run ./internal/mutants [-run regexp] [-unrecorded [-turn text]] [-record] [-p 2] [-dir testdata/mutants]
//
// It prints one line for each patch and ends with status 1 when one was not noticed, did not apply, did not build, or names a test that does not
// pass on the source as it is.
//
// The record, caught.txt beside the patches, says which were caught and on which sources. With -unrecorded only those run of which it does not say so
// of the sources as they are, and with -turn one in ten of the others, chosen by that text. With -record the outcome is written into it.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := command(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// options are what the command line says.
type options struct {
	root, dir, turn    string
	run                *regexp.Regexp
	unrecorded, record bool
	parallel           int
}

// command is main with its surroundings as arguments; it returns the exit status.
func command(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("mutants", flag.ContinueOnError)
	flags.SetOutput(stderr)
	var o options
	run := flags.String("run", "", "only the patches whose file name matches this `regexp`")
	flags.IntVar(&o.parallel, "p", 2, "how many to run at a time")
	flags.StringVar(&o.root, "root", ".", "the module's directory")
	flags.StringVar(&o.dir, "dir", "testdata/mutants", "the directory of the patches")
	flags.BoolVar(&o.unrecorded, "unrecorded", false, "leave out the patches that are recorded as caught on the sources as they are")
	flags.StringVar(&o.turn, "turn", "", "with -unrecorded: run one in ten of the recorded ones too, chosen by this `text`, say that of a commit")
	flags.BoolVar(&o.record, "record", false, "write what was caught into caught.txt beside the patches")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	var err error
	if o.run, err = regexp.Compile(*run); err != nil || o.parallel < 1 || flags.NArg() > 0 {
		fmt.Fprintln(stderr, "mutants: -run takes a regular expression, -p a positive number, and there are no arguments")
		return 2
	}
	if o.root, err = filepath.Abs(o.root); err == nil {
		err = o.execute(ctx, stdout)
	}
	if err != nil {
		fmt.Fprintln(stderr, "mutants:", err)
		return 1
	}
	return 0
}

// execute runs what the options select. An error says that something is wrong with one of the patches, or with all.
func (o *options) execute(ctx context.Context, stdout io.Writer) error {
	b, err := open(o.root, o.dir)
	if err != nil {
		return err
	}
	patches := slices.DeleteFunc(slices.Clone(b.patches), func(p patch) bool { return !o.run.MatchString(p.name) })
	if len(patches) == 0 {
		return fmt.Errorf("no patch in %s matches %q", o.dir, o.run)
	}
	if o.unrecorded {
		all := len(patches)
		patches = selection(patches, b.prints, b.record, o.turn)
		fmt.Fprintf(stdout, "%d of %d are recorded as caught on these sources and left out\n", all-len(patches), all)
	}
	caught := judgeAll(ctx, &suite{root: o.root, parallel: o.parallel}, patches, stdout)
	good := howMany(caught)
	if o.record {
		if err := o.write(b, caught); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if bad := len(patches) - good; bad > 0 {
		return fmt.Errorf("%d of %d were not caught", bad, len(patches))
	}
	return nil
}

// write records the verdicts. Somebody may have worked on the sources meanwhile: a verdict on what has changed is one on neither state.
func (o *options) write(before *book, caught map[string]bool) error {
	now, err := open(o.root, o.dir)
	if err != nil {
		return err
	}
	for name := range caught {
		if now.prints[name] != before.prints[name] {
			delete(caught, name)
		}
	}
	return now.record.update(now.prints, caught).write(filepath.Join(o.dir, recordFile))
}

// book is the directory of the patches: they, what their verdicts rest on, and what is known of them.
type book struct {
	patches []patch
	prints  map[string]string
	record  record
}

func open(root, dir string) (*book, error) {
	patches, err := load(dir)
	if err != nil {
		return nil, err
	}
	prints, err := fingerprints(root, dir, patches)
	if err != nil {
		return nil, err
	}
	r, err := readRecord(filepath.Join(dir, recordFile))
	if err != nil {
		return nil, err
	}
	return &book{patches, prints, r}, nil
}

// judgeAll prints the verdict of each patch and returns which were caught. Those that the end of ctx left without a verdict are not in it.
func judgeAll(ctx context.Context, s *suite, patches []patch, stdout io.Writer) map[string]bool {
	start := time.Now()
	caught := map[string]bool{}
	s.run(ctx, patches, func(v verdict) {
		took := v.took.Round(100 * time.Millisecond)
		if v.err == nil {
			caught[v.patch.name] = true
			fmt.Fprintf(stdout, "caught  %-40s %6v  %s\n", v.patch.name, took, v.patch.guard)
			return
		}
		if ctx.Err() == nil {
			caught[v.patch.name] = false
		}
		fmt.Fprintf(stdout, "ERROR   %-40s %6v  %s\n        %s %s: %v\n", v.patch.name, took, v.patch.guard, v.patch.pkg, v.patch.run, v.err)
	})
	fmt.Fprintf(stdout, "%d of %d caught in %v\n", howMany(caught), len(patches), time.Since(start).Round(time.Second))
	return caught
}

func howMany(caught map[string]bool) int {
	n := 0
	for _, ok := range caught {
		if ok {
			n++
		}
	}
	return n
}
