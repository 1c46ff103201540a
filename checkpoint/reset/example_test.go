package reset_test

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/checkpoint/reset"
	"github.com/kinesiskit/kinesiskit/kinesistest"
	"github.com/kinesiskit/kinesiskit/lease"
	"github.com/kinesiskit/kinesiskit/lease/dynamostore"
)

// replay makes an application read again, after a mistake in it was corrected and its workers were stopped.
func replay(ctx context.Context, cfg aws.Config, to reset.Target, backup io.Writer) error {
	leases := dynamostore.New(dynamodb.NewFromConfig(cfg), dynamostore.Config{Table: "orders-app", NeverCreate: true})
	plan, err := reset.Make(ctx, kinesis.NewFromConfig(cfg), leases, "orders", to)
	if err != nil {
		return err
	}
	for _, m := range plan.Moves {
		fmt.Printf("%s: %s to %s (%s)\n", m.Shard, m.From, m.To, m.Why)
	}
	for _, warning := range plan.Warns {
		fmt.Println("warning:", warning)
	}
	report, err := plan.Execute(ctx, leases, reset.ExecuteOptions{Backup: backup})
	var active *reset.ActiveError
	if errors.As(err, &active) {
		return fmt.Errorf("stop these first: %q", active.Owners)
	}
	fmt.Printf("%d written, %d failed\n", report.Written, report.Failed)
	return err
}

func Example() {
	ctx := context.Background()
	server := kinesistest.New() // in the place of AWS
	cfg := server.Config("")
	server.CreateStream("orders", 1)
	left, right := server.Split("orders", "shardId-000000000000")
	table := dynamostore.New(dynamodb.NewFromConfig(cfg), dynamostore.Config{Table: "orders-app"})
	done := checkpoint.Checkpoint{Position: checkpoint.ShardEnd}
	somewhere, _ := checkpoint.Parse("4959:3")
	err := errors.Join(table.Open(ctx),
		table.Create(ctx, lease.Lease{Key: "shardId-000000000000", Checkpoint: done, Children: []string{left, right}}),
		table.Create(ctx, lease.Lease{Key: left, Parents: []string{"shardId-000000000000"}, Checkpoint: checkpoint.Checkpoint{Position: somewhere}}),
	)
	if err != nil {
		fmt.Println(err)
		return
	}

	// Time(since) is what one mostly wants; the second child has no row yet, and gets it when its parent is finished again.
	if err := replay(ctx, cfg, reset.Oldest(), io.Discard); err != nil {
		fmt.Println(err)
	}
	// Output:
	// shardId-000000000000: SHARD_END to TRIM_HORIZON (oldest record)
	// shardId-000000000001: 4959:3 to TRIM_HORIZON (after its parents)
	// 2 written, 0 failed
}
