package consumer_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesiskit/kinesiskit/consumer"
	"github.com/kinesiskit/kinesiskit/kinesistest"
	"github.com/kinesiskit/kinesiskit/lease/memstore"
)

// A policy that tries three times and then moves the record to a dead-letter stream. A record that cannot be moved is not given up.
func ExampleWithErrorPolicy() {
	server := kinesistest.New()
	defer server.Close()
	server.CreateStream("payments", 1)
	server.CreateStream("payments-dead", 1)
	k := kinesis.NewFromConfig(server.Config("ledger"))
	put(k, "payments", "10", "ten", "20")

	deadLetter := func(ctx context.Context, records []consumer.Record) (err error) {
		for _, r := range records {
			_, e := k.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: ptr("payments-dead"), PartitionKey: &r.PartitionKey, Data: r.Data})
			err = errors.Join(err, e)
		}
		return err
	}
	policy := func(ctx context.Context, f *consumer.Failure) consumer.Verdict {
		if f.Attempt < 3 || deadLetter(ctx, f.Records) != nil {
			return consumer.Retry
		}
		return consumer.Skip
	}

	ctx, cancel := context.WithCancel(context.Background())
	attempts := 0
	c, err := consumer.New(consumer.Config{Application: "ledger", Stream: "payments"}, k, memstore.New(),
		consumer.Each(func(_ context.Context, r *consumer.Record) error {
			switch string(r.Data) {
			case "ten":
				attempts++
				return errors.New("not a number")
			case "20":
				cancel() // this example has seen enough
			}
			fmt.Printf("paid %s\n", r.Data)
			return nil
		}),
		consumer.WithErrorPolicy(policy))
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := c.Run(ctx); err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range server.Records("payments-dead") {
		fmt.Printf("set aside %s, after %d attempts\n", r.Data, attempts)
	}
	// Output:
	// paid 10
	// paid 20
	// set aside ten, after 3 attempts
}
