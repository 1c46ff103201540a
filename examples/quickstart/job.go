package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// jobVariable is the environment variable that makes this program one of its own workers.
const jobVariable = "KINESISKIT_QUICKSTART_JOB"

// job is what a worker's process is told.
type job struct {
	Worker string `json:"worker"`
	Place  place  `json:"place"`
	Stream string `json:"stream"`
	Table  string `json:"table"`
	Run    string `json:"run"`
}

// runJob is a worker's process, from start to exit status. SIGTERM makes it finish, store its progress, release its shards, and go.
func runJob(text string) int {
	var j job
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", jobVariable, err)
		return 2
	}
	signal.Ignore(os.Interrupt) // a terminal's ^C is the parent's business, which then closes our stdin
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(1) // the parent is gone
	}()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := work(ctx, j, reporter{os.Stdout, newClock()}); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", j.Worker, err)
		return 1
	}
	return 0
}
