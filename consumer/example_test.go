package consumer_test

import (
	"context"
	"fmt"
	"log"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/consumer"
	"github.com/kinesiskit/kinesiskit/kinesistest"
	"github.com/kinesiskit/kinesiskit/lease/dynamostore"
	"github.com/kinesiskit/kinesiskit/lease/memstore"
)

// put stores records, all with one partition key.
func put(k *kinesis.Client, stream string, data ...string) {
	for _, d := range data {
		if _, err := k.PutRecord(context.Background(), &kinesis.PutRecordInput{StreamName: &stream, PartitionKey: ptr("key"), Data: []byte(d)}); err != nil {
			log.Fatal(err)
		}
	}
}

// A first consumer. Against AWS, cfg is what config.LoadDefaultConfig returns.
func Example() {
	server := kinesistest.New()
	defer server.Close()
	server.CreateStream("earthquakes", 1)
	cfg := server.Config("quakes")
	put(kinesis.NewFromConfig(cfg), "earthquakes", "M 4.5 near Hilo", "M 5.1 south of Fiji")

	ctx, cancel := context.WithCancel(context.Background())
	c, err := consumer.New(
		consumer.Config{Application: "quakes", Stream: "earthquakes"},
		kinesis.NewFromConfig(cfg),
		dynamostore.New(dynamodb.NewFromConfig(cfg), dynamostore.Config{Table: "quakes"}),
		consumer.Each(func(_ context.Context, r *consumer.Record) error {
			fmt.Printf("%s\n", r.Data)
			if string(r.Data) == "M 5.1 south of Fiji" {
				cancel() // a program stops on a signal: see signal.NotifyContext
			}
			return nil
		}))
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := c.Run(ctx); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("stopped")
	// Output:
	// M 4.5 near Hilo
	// M 5.1 south of Fiji
	// stopped
}

// sink buffers records and uploads them together: when there are enough, when the shard ends, and at a stop.
type sink struct {
	shard *consumer.Shard
	buf   []string
	last  checkpoint.Position
}

func (s *sink) Process(ctx context.Context, b *consumer.Batch) error {
	for i := range b.Records {
		s.buf = append(s.buf, string(b.Records[i].Data))
		s.last = b.Records[i].Position
	}
	if len(s.buf) < 1000 {
		return nil
	}
	if err := s.upload(ctx); err != nil {
		return err
	}
	return s.shard.Checkpoint(ctx, s.last)
}

// Flush returns nil when all is uploaded, and the consumer then stores that.
func (s *sink) Flush(ctx context.Context, _ consumer.Reason) error { return s.upload(ctx) }

// Close has nothing to do: what is still in buf was not stored as done, so the shard's next owner gets it.
func (s *sink) Close(context.Context, error) {}

func (s *sink) upload(context.Context) error {
	fmt.Printf("uploaded %q\n", s.buf)
	s.buf = nil
	return nil
}

// A processor that buffers, here with leases in memory.
func ExamplePerShard() {
	server := kinesistest.New()
	defer server.Close()
	server.CreateStream("clicks", 1)
	k := kinesis.NewFromConfig(server.Config("sink"))
	put(k, "clicks", "a", "b", "c")

	ctx, cancel := context.WithCancel(context.Background())
	stop := consumer.WithHooks(consumer.Hooks{Fetched: func(e consumer.FetchEvent) {
		if e.Records == 0 { // everything there is was processed
			cancel()
		}
	}})
	open := func(_ context.Context, s *consumer.Shard) (consumer.Processor, error) { return &sink{shard: s}, nil }
	c, err := consumer.New(consumer.Config{Application: "sink", Stream: "clicks"}, k, memstore.New(), consumer.PerShard(open), stop)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := c.Run(ctx); err != nil {
		fmt.Println(err)
		return
	}
	// Output:
	// uploaded ["a" "b" "c"]
}
