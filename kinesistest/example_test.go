package kinesistest_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesiskit/kinesiskit/kinesistest"
)

func Example() {
	ctx := context.Background()
	s := kinesistest.New()
	defer s.Close()
	s.CreateStream("orders", 2)
	k := kinesis.NewFromConfig(s.Config("app"))

	// The connection breaks twice, once before and once after the record is stored. The SDK tries again, and succeeds.
	s.On("PutRecord", kinesistest.LoseReply()).Times(1)
	s.On("PutRecord", kinesistest.LoseRequest()).Times(1)
	_, err := k.PutRecord(ctx, &kinesis.PutRecordInput{
		StreamName: aws.String("orders"), PartitionKey: aws.String("customer-7"), Data: []byte("two espressi"),
	})
	fmt.Println("put:", err, "after", s.Calls("PutRecord"), "calls")
	for _, r := range s.Records("orders") {
		fmt.Printf("%s: %s: %s\n", r.Shard, r.PartitionKey, r.Data)
	}

	// Exceptions are the service's own types.
	s.On("GetRecords", kinesistest.ExpireIterator()).From("app").Times(1)
	_, err = k.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: aws.String("…")})
	var expired *types.ExpiredIteratorException
	fmt.Println("expired:", errors.As(err, &expired))
	// Output:
	// put: <nil> after 3 calls
	// shardId-000000000000: customer-7: two espressi
	// shardId-000000000000: customer-7: two espressi
	// expired: true
}
