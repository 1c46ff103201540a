// Package plugintest is what the tests of the plugins have in common: a stream of two shards, and somebody who writes to it and reads it.
package plugintest

import (
	"context"
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesiskit/kinesiskit/consumer"
	"github.com/kinesiskit/kinesiskit/kinesistest"
	"github.com/kinesiskit/kinesiskit/lease/dynamostore"
	"github.com/kinesiskit/kinesiskit/producer"
)

// World is a server with the stream "orders", which the application "app" reads.
type World struct {
	T      *testing.T
	Server *kinesistest.Server
}

// New starts one that ends with the test.
func New(t *testing.T) *World {
	t.Helper()
	w := &World{T: t, Server: kinesistest.New()}
	t.Cleanup(func() { _ = w.Server.Close() })
	w.Server.CreateStream("orders", 2)
	return w
}

// Must ends the test if err is not nil.
func (w *World) Must(err error) {
	w.T.Helper()
	if err != nil {
		w.T.Fatal(err)
	}
}

// Consume runs a worker of the application until stop is called.
func (w *World) Consume(h consumer.Handler, opts ...consumer.Option) (stop func()) {
	w.T.Helper()
	cfg := consumer.Config{Application: "app", Stream: "orders", Worker: "worker"}
	aws := w.Server.Config("worker")
	c, err := consumer.New(cfg, kinesis.NewFromConfig(aws), dynamostore.New(dynamodb.NewFromConfig(aws), dynamostore.Config{Table: "orders-app"}), h, opts...)
	w.Must(err)
	ctx, cancel := context.WithCancel(w.T.Context())
	done := make(chan error)
	go func() { done <- c.Run(ctx) }()
	return func() {
		cancel()
		w.Must(<-done)
	}
}

// Put stores n records, for all shards.
func (w *World) Put(n int, opts ...producer.Option) {
	w.T.Helper()
	p, err := producer.New(producer.Config{Stream: "orders"}, kinesis.NewFromConfig(w.Server.Config("producer")), opts...)
	w.Must(err)
	records := make([]producer.Record, n)
	for i := range records {
		records[i] = producer.Record{PartitionKey: fmt.Sprint("key ", i), Data: []byte("data")}
	}
	_, err = p.PutAll(w.T.Context(), records)
	w.Must(err)
	w.Must(p.Close(w.T.Context()))
}
