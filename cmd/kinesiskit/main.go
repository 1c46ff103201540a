// Command kinesiskit is the module's tool for the command line.
//
//	kinesiskit local         serve Kinesis, DynamoDB and Firehose on this machine, for development
//	kinesiskit checkpoint    print, reset and restore where an application stands
//	kinesiskit help          say what there is
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	os.Exit(run(untilInterrupted(), os.Args[1:], os.Stdout, os.Stderr))
}

// untilInterrupted ends with the first signal to stop. A second one ends the process at once.
func untilInterrupted() context.Context {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx
}

const usage = `Usage: kinesiskit <command> [flags]

Commands:
  local        serve Kinesis, DynamoDB and Firehose on this machine until interrupted
  checkpoint   print, reset and restore where an application stands
  help         print this text

kinesiskit <command> -h lists a command's flags.
`

// The exit statuses: of a command line that is wrong, 2, as for package flag.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

// run performs one command line and returns the exit status. It returns when ctx ends, at the latest.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		_, _ = io.WriteString(stderr, usage)
		return exitUsage
	}
	switch args[0] {
	case "local":
		return local(ctx, args[1:], stdout, stderr)
	case "checkpoint":
		return checkpoints(ctx, args[1:], stdout, stderr)
	case "help", "-h", "-help", "--help":
		_, _ = io.WriteString(stdout, usage)
		return exitOK
	}
	_, _ = fmt.Fprintf(stderr, "kinesiskit: unknown command %q\n\n%s", args[0], usage)
	return exitUsage
}
