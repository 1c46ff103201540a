package memstore_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/lease"
	"github.com/kinesiskit/kinesiskit/lease/memstore"
)

// Two workers want the same lease. Each writes on the condition that the row is as it last saw it; the second one is told who came first.
func Example() {
	ctx := context.Background()
	s := memstore.New()
	if err := s.Create(ctx, lease.Lease{
		Key:        "shardId-000000000000",
		Checkpoint: checkpoint.Checkpoint{Position: checkpoint.TrimHorizon},
	}); err != nil {
		fmt.Println(err)
		return
	}

	nobody, seen := "", int64(0)
	for _, worker := range []string{"w1", "w2"} {
		l, err := s.Write(ctx, "shardId-000000000000",
			lease.Condition{Owner: &nobody, Counter: &seen},
			lease.Change{Owner: &worker, AddCounter: 1})
		var conflict *lease.ConflictError
		switch {
		case errors.As(err, &conflict):
			fmt.Println(worker, "is late:", conflict.Current.Owner, "has it")
		case err != nil:
			fmt.Println(err)
		default:
			fmt.Println(worker, "holds", l.Key, "from", l.Checkpoint.Position)
		}
	}

	// Output:
	// w1 holds shardId-000000000000 from TRIM_HORIZON
	// w2 is late: w1 has it
}
