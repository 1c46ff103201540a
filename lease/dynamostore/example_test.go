package dynamostore_test

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/kinesistest"
	"github.com/kinesiskit/kinesiskit/lease"
	"github.com/kinesiskit/kinesiskit/lease/dynamostore"
)

// Where does an application stand? The table that its workers share, or that a KCL application left behind, says it.
func Example() {
	ctx := context.Background()
	server := kinesistest.New() // in a program: config.LoadDefaultConfig(ctx)
	table := dynamostore.New(dynamodb.NewFromConfig(server.Config("")), dynamostore.Config{Table: "quakes"})
	if err := table.Open(ctx); err != nil {
		fmt.Println(err)
		return
	}
	for key, position := range map[string]checkpoint.Position{
		"shardId-000000000000": checkpoint.ShardEnd,
		"shardId-000000000001": checkpoint.TrimHorizon,
	} {
		if err := table.Create(ctx, lease.Lease{Key: key, Checkpoint: checkpoint.Checkpoint{Position: position}}); err != nil {
			fmt.Println(err)
			return
		}
	}

	for l, err := range table.List(ctx) {
		if err != nil {
			fmt.Println(err) // a row that is no lease, or the end of the listing
			continue
		}
		fmt.Printf("%s: owner %q, checkpoint %s\n", l.Key, l.Owner, l.Checkpoint.Position)
	}

	// Unordered output:
	// shardId-000000000000: owner "", checkpoint SHARD_END
	// shardId-000000000001: owner "", checkpoint TRIM_HORIZON
}
