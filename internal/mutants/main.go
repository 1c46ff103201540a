// Command mutants proves that the tests can fail: each patch of testdata/mutants takes one guarantee out of the source, and the test that claims
// to hold that guarantee must then fail. The source itself is never changed; the go command reads the patched files through an overlay.
//
//	go run ./internal/mutants [-run regexp] [-p 2] [-dir testdata/mutants]
//
// It prints one line for each patch and ends with status 1 when one was not noticed, did not apply, did not build, or names a test that does not
// pass on the source as it is.
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
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := command(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// command is main with its surroundings as arguments; it returns the exit status.
func command(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("mutants", flag.ContinueOnError)
	flags.SetOutput(stderr)
	run := flags.String("run", "", "only the patches whose file name matches this `regexp`")
	parallel := flags.Int("p", 2, "how many to run at a time")
	root := flags.String("root", ".", "the module's directory")
	dir := flags.String("dir", "testdata/mutants", "the directory of the patches")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	selected, err := regexp.Compile(*run)
	if err != nil || *parallel < 1 || flags.NArg() > 0 {
		fmt.Fprintln(stderr, "mutants: -run takes a regular expression, -p a positive number, and there are no arguments")
		return 2
	}
	patches, err := load(*dir, selected.MatchString)
	if err != nil {
		fmt.Fprintln(stderr, "mutants:", err)
		return 1
	}
	if len(patches) == 0 {
		fmt.Fprintf(stderr, "mutants: no patch in %s matches %q\n", *dir, *run)
		return 1
	}
	abs, err := filepath.Abs(*root)
	if err != nil {
		fmt.Fprintln(stderr, "mutants:", err)
		return 1
	}
	start := time.Now()
	bad := 0
	s := suite{root: abs, parallel: *parallel}
	s.run(ctx, patches, func(v verdict) {
		took := v.took.Round(100 * time.Millisecond)
		if v.err == nil {
			fmt.Fprintf(stdout, "caught  %-40s %6v  %s\n", v.patch.name, took, v.patch.guard)
			return
		}
		bad++
		fmt.Fprintf(stdout, "ERROR   %-40s %6v  %s\n        %s %s: %v\n", v.patch.name, took, v.patch.guard, v.patch.pkg, v.patch.run, v.err)
	})
	fmt.Fprintf(stdout, "%d of %d caught in %v\n", len(patches)-bad, len(patches), time.Since(start).Round(time.Second))
	if bad > 0 {
		return 1
	}
	return 0
}
