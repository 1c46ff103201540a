package main

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"go.uber.org/zap"

	"github.com/kinesiskit/kinesiskit/consumer"
	"github.com/kinesiskit/kinesiskit/lease/dynamostore"
)

// handler is what is done with a record.
type handler interface {
	handle(ctx context.Context, r *consumer.Record) error
}

// worker is the process: a consumer, and what is known of it.
type worker struct {
	log  *zap.Logger
	work *counters
	c    *consumer.Consumer
}

func newWorker(s settings, cfg aws.Config, log *zap.Logger, h handler) (*worker, error) {
	w := &worker{log: log, work: &counters{}}
	var err error
	w.c, err = consumer.New(
		consumer.Config{Application: s.application, Stream: s.stream, Worker: s.worker, ParallelizationFactor: s.parallel},
		kinesis.NewFromConfig(cfg),
		dynamostore.New(dynamodb.NewFromConfig(cfg), dynamostore.Config{Table: s.table}),
		consumer.Each(h.handle),
		consumer.WithLogger(log),
		consumer.WithHooks(w.work.hooks()))
	return w, err
}

// run works until ctx ends, and then until all is stopped. The probes are answered meanwhile: a worker that stops is not ready, and alive.
func (w *worker) run(ctx context.Context, listener net.Listener) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	server := &http.Server{Handler: w.probes(), ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() {
		defer stop() // a worker that cannot be probed is no use
		served <- server.Serve(listener)
	}()
	err := w.consume(ctx)
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = server.Shutdown(closing)
	if failed := <-served; !errors.Is(failed, http.ErrServerClosed) {
		err = errors.Join(err, failed)
	}
	return err
}

// consume runs the consumer, and says each minute how much was done.
func (w *worker) consume(ctx context.Context) error {
	ended := make(chan struct{})
	told := make(chan struct{})
	go func() {
		defer close(told)
		ticker := time.NewTicker(time.Minute)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				w.tell()
			case <-ended:
				w.tell()
				return
			}
		}
	}()
	err := w.c.Run(ctx)
	close(ended)
	<-told
	return err
}

// tell logs what was counted since the last time, and what stands in the way.
func (w *worker) tell() {
	h := w.c.Health()
	fields := append(w.work.take(), zap.Int("shards", len(h.Shards)), zap.Int64("buffered", h.Buffered))
	for _, s := range h.Shards {
		if s.Err != nil {
			w.log.Warn("shard does not move", zap.String("shard", s.ID), zap.Stringer("state", s.State), zap.Int("attempt", s.Attempt), zap.Error(s.Err))
		}
	}
	w.log.Info("worked", append(fields, zap.Error(h.Err))...)
}

// probes answers /live and /ready, and shows everything under /health.
func (w *worker) probes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /live", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /ready", func(out http.ResponseWriter, _ *http.Request) {
		if err := w.c.Health().Ready(); err != nil {
			http.Error(out, err.Error(), http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("GET /health", func(out http.ResponseWriter, _ *http.Request) {
		out.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(out).Encode(w.summary())
	})
	return mux
}

// shardSummary is one shard as /health shows it.
type shardSummary struct {
	ID     string `json:"id"`
	State  string `json:"state"`
	Stored string `json:"stored"`
	Behind string `json:"behind"`
	Undone int    `json:"undone"`
	Error  string `json:"error,omitempty"`
}

type summary struct {
	State  string         `json:"state"`
	Worker string         `json:"worker"`
	Error  string         `json:"error,omitempty"`
	Shards []shardSummary `json:"shards"`
}

func (w *worker) summary() summary {
	h := w.c.Health()
	all := summary{State: h.State.String(), Worker: h.Worker, Error: text(h.Err), Shards: []shardSummary{}}
	for _, s := range h.Shards {
		all.Shards = append(all.Shards, shardSummary{
			ID: s.ID, State: s.State.String(), Stored: s.Checkpoint.String(), Behind: s.Behind.String(), Undone: s.Undone, Error: text(s.Err),
		})
	}
	return all
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
