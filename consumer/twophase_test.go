package consumer_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/consumer"
	"github.com/kinesiskit/kinesiskit/lease"
)

// A worker announces a position and dies before it commits: the next one finds the announcement beside the position that counts, and the former one's
// commit is refused for ever, although the stored position would still allow it.
func TestTwoPhaseCheckpointAcrossOwners(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		var former checkpoint.Prepared
		var announced checkpoint.Position
		a := f.run(fast("a"), consumer.PerShard(func(_ context.Context, s *consumer.Shard) (consumer.Processor, error) {
			return &processor{process: func(ctx context.Context, b *consumer.Batch) error {
				if former != nil {
					return nil
				}
				announced = b.Records[len(b.Records)-1].Position
				var err error
				former, err = s.Prepare(ctx, announced, []byte("batch 1"))
				return err
			}}, nil
		}))
		f.put("k", "one")
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if former == nil {
			t.Fatal("nothing was announced")
		}
		a.cut()
		time.Sleep(2 * failover)

		starts := make(chan checkpoint.Checkpoint, 1)
		f.run(fast("b"), consumer.PerShard(func(ctx context.Context, s *consumer.Shard) (consumer.Processor, error) {
			starts <- s.Start()
			p, err := s.Prepare(ctx, s.Start().Position, nil)
			if err != nil {
				return nil, err
			}
			return &processor{}, p.Commit(ctx)
		}))
		got := <-starts
		if got.Pending != announced || string(got.State) != "batch 1" || got.Position.Compare(announced) >= 0 {
			t.Errorf("found %+v, want %v pending", got, announced)
		}
		time.Sleep(time.Second)
		if c := f.row("shardId-000000000000").Checkpoint; c.Pending != (checkpoint.Position{}) || c.State != nil {
			t.Errorf("stands as %+v after a commit", c)
		}
		a.cuts.Remove()
		if err := former.Commit(context.Background()); !errors.Is(err, lease.ErrLost) {
			t.Errorf("commit of a former owner: %v", err)
		}
	})
}
