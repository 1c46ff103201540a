package lease_test

import (
	"context"
	"fmt"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/lease"
	"github.com/kinesiskit/kinesiskit/lease/memstore"
)

// A coordinator divides anything that has a key: here the only worker gets both leases, stores a position in each, and gives them back.
func Example() {
	ctx := context.Background()
	table := memstore.New()
	for _, key := range []string{"north", "south"} {
		row := lease.Lease{Key: key, Checkpoint: checkpoint.Checkpoint{Position: checkpoint.TrimHorizon}}
		if err := table.Create(ctx, row); err != nil {
			fmt.Println(err)
			return
		}
	}

	c, err := lease.New("worker", table, lease.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	worked := make(chan struct{})
	go func() {
		<-worked
		<-worked
		_ = c.Shutdown(ctx)
	}()
	err = c.Run(ctx, func(ctx context.Context, t *lease.Tenure) error {
		p, err := checkpoint.At("42", 0)
		if err != nil {
			return err
		}
		if err := t.Admit(ctx, p); err != nil { // nil: held now, and what is handed over up to p may be stored
			return err
		}
		if err := t.Checkpoint(ctx, p); err != nil {
			return err
		}
		worked <- struct{}{}
		<-t.Leaving()
		return nil // released
	})
	for row := range table.List(ctx) {
		fmt.Printf("%s: owner %q, checkpoint %s\n", row.Key, row.Owner, row.Checkpoint.Position)
	}
	fmt.Println(err)
	// Output:
	// north: owner "", checkpoint 42
	// south: owner "", checkpoint 42
	// <nil>
}
