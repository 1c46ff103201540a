// Package pipeline is a small pipeline, with the test that a pipeline deserves: orders are read from one stream, and bills written to another.
package pipeline

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesiskit/kinesiskit/consumer"
	"github.com/kinesiskit/kinesiskit/lease/dynamostore"
	"github.com/kinesiskit/kinesiskit/producer"
)

// Run bills orders until ctx ends. What makes it testable is that it takes its aws.Config and does not load one.
func Run(ctx context.Context, cfg aws.Config) error {
	client := kinesis.NewFromConfig(cfg)
	bills, err := producer.New(producer.Config{
		Stream:         "bills",
		InFlight:       1,  // a customer's bills keep their order
		AggregateBytes: -1, // and stand alone, for readers that unpack no aggregates
	}, client)
	if err != nil {
		return err
	}
	orders, err := consumer.New(
		consumer.Config{Application: "billing", Stream: "orders"},
		client,
		dynamostore.New(dynamodb.NewFromConfig(cfg), dynamostore.Config{Table: "billing"}),
		consumer.Batches(func(ctx context.Context, b *consumer.Batch) error {
			records := make([]producer.Record, len(b.Records))
			for i, order := range b.Records {
				records[i] = producer.Record{PartitionKey: order.PartitionKey, Data: append([]byte("bill for "), order.Data...)}
			}
			_, err := bills.PutAll(ctx, records)
			return err // nil: every bill is stored, so the orders are done
		}))
	if err != nil {
		return err
	}
	return errors.Join(orders.Run(ctx), bills.Close(context.WithoutCancel(ctx)))
}
