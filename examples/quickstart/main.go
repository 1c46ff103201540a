// Quickstart is all of kinesiskit in twenty seconds: real earthquakes go through a Kinesis stream to three worker processes. While they flow, a shard
// is split and two are merged, one worker is killed without warning and another is asked to stop. In the end every record that was put is held
// against what the workers were handed: was one lost, did one overtake another, did one come twice that should not have?
//
//	go run ./examples/quickstart
//
// Kinesis and DynamoDB are kinesistest's, in this process, on loopback: no account, no credentials, no network. With -endpoint it runs against any
// other server, and with -aws against AWS.
//
// To read it: worker.go is the consumer, produce.go the producer, both as you would write them. story.go is what happens to them, ledger.go the
// judge. The rest is starting processes (fleet.go) and showing what they do (view.go, report.go).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// Exit statuses.
const (
	exitGood        = 0
	exitBad         = 1 // something was lost, out of order or too often there; or the run could not be finished
	exitUsage       = 2
	exitInterrupted = 130
)

func main() {
	if j, isWorker := os.LookupEnv(jobVariable); isWorker {
		os.Exit(runJob(j))
	}
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr *os.File) int {
	o, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitGood
	case err != nil:
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second ^C does not wait for anything

	r, err := perform(ctx, o, screenFor(o, stdout))
	switch {
	case ctx.Err() != nil:
		return exitInterrupted
	case err != nil:
		fmt.Fprintf(stderr, "quickstart: %v\n", err)
		return exitBad
	}
	if err := show(r, o, stdout); err != nil {
		fmt.Fprintf(stderr, "quickstart: %v\n", err)
		return exitBad
	}
	if !r.good() {
		return exitBad
	}
	return exitGood
}

// show prints what came of it.
func show(r report, o options, out io.Writer) error {
	text := r.summary()
	if o.json {
		var err error
		if text, err = r.json(); err != nil {
			return err
		}
	}
	_, err := io.WriteString(out, text)
	return err
}
