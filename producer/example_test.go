package producer_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesiskit/kinesiskit/kinesistest"
	"github.com/kinesiskit/kinesiskit/producer"
)

// A server in this process stands in for AWS: with kinesis.NewFromConfig of a real configuration the rest is the same.
func Example() {
	server := kinesistest.New()
	defer server.Close()
	server.CreateStream("orders", 1)

	p, err := producer.New(producer.Config{Stream: "orders"}, kinesis.NewFromConfig(server.Config("example")))
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	for _, order := range []string{"first", "second", "third"} {
		err := p.PutFunc(ctx, producer.Record{PartitionKey: "customer-7", Data: []byte(order)}, func(r producer.Result, err error) {
			fmt.Println(order, r.Shard, r.Sub, err)
		})
		if err != nil {
			fmt.Println(err)
			return
		}
	}

	// Everything accepted is stored or reported when Close returns.
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := p.Close(ctx); err != nil {
		fmt.Println(err)
		return
	}
	// Output:
	// first shardId-000000000000 0 <nil>
	// second shardId-000000000000 1 <nil>
	// third shardId-000000000000 2 <nil>
}

// PutAll is for programs that may go on only when the records are stored.
func ExampleProducer_PutAll() {
	server := kinesistest.New()
	defer server.Close()
	server.CreateStream("orders", 2)
	p, err := producer.New(producer.Config{Stream: "orders"}, kinesis.NewFromConfig(server.Config("example")))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = p.Close(context.Background()) }()

	results, err := p.PutAll(context.Background(), []producer.Record{
		{PartitionKey: "a", ExplicitHashKey: "0", Data: []byte("stored")},
		{PartitionKey: "", Data: []byte("without a key")},
	})
	fmt.Println(results[0].Shard, results[0].Aggregated)
	var invalid *producer.InvalidError
	fmt.Println(errors.As(err, &invalid), err)
	// Output:
	// shardId-000000000000 false
	// true producer: PartitionKey is empty
}

// A producer without a stream of its own: each record names one. A stream that stands still fills its part of the buffer, and holds up no other.
func ExampleRecord_stream() {
	server := kinesistest.New()
	defer server.Close()
	server.CreateStream("orders", 1)
	server.CreateStream("audit", 1)

	p, err := producer.New(producer.Config{}, kinesis.NewFromConfig(server.Config("example")))
	if err != nil {
		fmt.Println(err)
		return
	}
	results, err := p.PutAll(context.Background(), []producer.Record{
		{Stream: "orders", PartitionKey: "customer-7", Data: []byte("a chair")},
		{Stream: "audit", PartitionKey: "customer-7", Data: []byte("customer-7 ordered a chair")},
	})
	for _, r := range results {
		fmt.Println(r.Stream, r.Shard, err)
	}
	if err := p.Close(context.Background()); err != nil {
		fmt.Println(err)
	}
	for _, s := range p.Health().Streams {
		fmt.Println(s.Stream, s.BufferedRecords, s.Err)
	}
	// Output:
	// orders shardId-000000000000 <nil>
	// audit shardId-000000000000 <nil>
	// audit 0 <nil>
	// orders 0 <nil>
}
