// Command worker is a consumer as it is deployed: it is configured by its environment, says when it is ready, logs what it does and how much, and stops
// gracefully. What it does with records stands in handle.go; the rest is meant to be copied as it is.
//
//	STREAM=clicks APPLICATION=clicks-archive go run ./examples/worker
//
// The environment: that of the AWS SDK, and
//
//	STREAM       name or ARN of the stream. Required
//	APPLICATION  name of the application. Required
//	TABLE        the lease table, which is made if it is not there. Default: APPLICATION
//	WORKER       name of this process, such as the pod's. Default: the host's name
//	PARALLEL     records of a shard at a time, each with another key. Default: 1
//	LISTEN       where the probes are answered. Default: :8080
//
// SIGTERM begins a graceful stop, which takes at most 20 s: less than the 30 s that Kubernetes gives. A second signal ends the process at once.
// The probes are GET /live, which is 200 as long as the process answers, and GET /ready, which is 200 while the worker runs and reaches its lease table.
// Shards that fail make it neither: a restart would not help them.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/aws/aws-sdk-go-v2/config"
	"go.uber.org/zap"
)

func main() {
	if err := run(); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(1)
	}
}

func run() error {
	s, err := fromEnvironment(os.Getenv)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // so that a second signal does what signals do
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}
	log, err := zap.NewProduction()
	if err != nil {
		return err
	}
	defer func() { _ = log.Sync() }()
	w, err := newWorker(s, cfg, log, &archive{out: os.Stdout})
	if err != nil {
		return err
	}
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", s.listen)
	if err != nil {
		return err
	}
	return w.run(ctx, listener)
}

// settings is what the environment says.
type settings struct {
	stream, application, table, worker, listen string
	parallel                                   int
}

// fromEnvironment returns every mistake there is.
func fromEnvironment(get func(string) string) (settings, error) {
	or := func(name, fallback string) string {
		if v := get(name); v != "" {
			return v
		}
		return fallback
	}
	s := settings{stream: get("STREAM"), application: get("APPLICATION"), worker: get("WORKER"), listen: or("LISTEN", ":8080")}
	s.table = or("TABLE", s.application)
	var errs []error
	for _, required := range []string{"STREAM", "APPLICATION"} {
		if get(required) == "" {
			errs = append(errs, fmt.Errorf("environment: %s is not set", required))
		}
	}
	parallel := or("PARALLEL", "1")
	n, err := strconv.Atoi(parallel)
	if err != nil {
		errs = append(errs, fmt.Errorf("environment: PARALLEL: %w", err))
	}
	s.parallel = n
	return s, errors.Join(errs...)
}
