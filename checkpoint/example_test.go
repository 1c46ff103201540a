package checkpoint_test

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/kinesiskit/kinesiskit/checkpoint"
)

// Positions of one shard in order: from its beginning, over two records of one
// aggregate, to its end.
func Example() {
	var positions []checkpoint.Position
	for _, text := range []string{"SHARD_END", "4959:7", "10000:-1", "4959:12", "TRIM_HORIZON"} {
		p, err := checkpoint.Parse(text)
		if err != nil {
			fmt.Println(err)
			return
		}
		positions = append(positions, p)
	}
	slices.SortFunc(positions, checkpoint.Position.Compare)
	for _, p := range positions {
		fmt.Println(p)
	}
	// Output:
	// TRIM_HORIZON
	// 4959:7
	// 4959:12
	// 10000:-1
	// SHARD_END
}

// sink buffers records and knows itself when they are safe. It asks for no more
// of the library than a Checkpointer.
type sink struct {
	progress checkpoint.Checkpointer
	last     checkpoint.Position
}

func (s *sink) uploaded(ctx context.Context) error {
	err := s.progress.Checkpoint(ctx, s.last)
	if errors.Is(err, checkpoint.ErrUncertain) {
		err = s.progress.Checkpoint(ctx, s.last) // storing the same place twice is harmless
	}
	return err
}

// shardProgress stands for the library, which stores progress in a table.
type shardProgress struct{ stored checkpoint.Position }

func (p *shardProgress) Checkpoint(_ context.Context, to checkpoint.Position) error {
	if to.Compare(p.stored) < 0 {
		return checkpoint.ErrBackwards
	}
	p.stored = to
	return nil
}

func (p *shardProgress) Prepare(_ context.Context, at checkpoint.Position, _ []byte) (checkpoint.Prepared, error) {
	return announced{p, at}, nil
}

type announced struct {
	shard *shardProgress
	at    checkpoint.Position
}

func (a announced) Commit(ctx context.Context) error { return a.shard.Checkpoint(ctx, a.at) }

func ExampleCheckpointer() {
	progress := &shardProgress{stored: checkpoint.TrimHorizon}
	last, _ := checkpoint.At("4959", 7)
	s := sink{progress: progress, last: last}
	fmt.Println(s.uploaded(context.Background()), progress.stored)

	s.last = checkpoint.TrimHorizon
	fmt.Println(s.uploaded(context.Background()))
	// Output:
	// <nil> 4959:7
	// checkpoint: position is before the stored one
}
