package lease

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/kinesiskit/kinesiskit/shard"
)

// listShards returns a complete listing of the stream's shards, and the service's clock.
type listShards = func(context.Context) (*shard.Graph, time.Time, error)

// A row is never made before those of the shards that it waits for. We would wait for a parent without a row, and make it; KCL takes a parent without a row
// for one that is finished and was cleaned up, and starts the child. So does an application of Java that takes over in between.

// settle is the pause between a row and the next that waits for it: KCL reads parents eventually consistent.
const settle = 3 * time.Second

// otherParents makes the row of a parent of child, which this tenure's shard is one of, if it has none; made says that it made one, and is to be asked again.
// If there is a row of child already it makes none: the parents may be finished, and their rows cleaned up.
func (t *Tenure) otherParents(ctx context.Context, child shard.Shard, list listShards, create func(shard.Shard, time.Time) error) (made bool, err error) {
	others := slices.DeleteFunc(slices.Clone(child.Parents), func(id string) bool { return id == t.k.key })
	if len(others) == 0 {
		return false, nil
	}
	if _, err := t.k.c.get(ctx, child.ID); !errors.Is(err, ErrNotFound) {
		return false, err
	}
	for _, id := range others {
		_, err := t.k.c.get(ctx, id)
		if err == nil {
			continue
		}
		if !errors.Is(err, ErrNotFound) {
			return false, err
		}
		g, at, err := list(ctx)
		if err != nil {
			return false, err
		}
		first, err := t.firstShards(ctx, g)
		if err != nil {
			return false, err
		}
		if made, err := t.rootsFirst(ctx, g, id, first, func(s shard.Shard) error { return create(s, at) }); made || err != nil {
			return made, err
		}
	}
	return false, nil
}

// Continuing returns the shards that continue this tenure's shard as far as they are known although the stream has forgotten the shard itself: by a complete
// listing, which has its children for longer, and by the rows that name it as a parent. None known is no error.
func (t *Tenure) Continuing(ctx context.Context, g *shard.Graph) ([]shard.Shard, error) {
	children := g.Children(t.k.key)
	ctx, cancel := context.WithTimeout(ctx, mendInterval)
	defer cancel()
	rows, _, err := readAll(t.k.c.store.ListConsistent(ctx))
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		named := slices.ContainsFunc(children, func(s shard.Shard) bool { return s.ID == r.Key })
		if !named && slices.Contains(r.Parents, t.k.key) {
			children = append(children, shard.Shard{ID: r.Key, Parents: r.Parents, Range: r.HashRange, First: r.First})
		}
	}
	return children, nil
}

// rootsFirst makes one row: that of the shard, or of the first of its ancestors that is listed, has no row, and whose own parents have theirs.
// What came before the application's first shards it does not read.
func (t *Tenure) rootsFirst(ctx context.Context, g *shard.Graph, id string, first map[string]bool, create func(shard.Shard) error) (made bool, err error) {
	s, listed := g.Shard(id)
	if !listed {
		return false, nil
	}
	if _, err := t.k.c.get(ctx, id); !errors.Is(err, ErrNotFound) {
		return false, err
	}
	if first[id] {
		return true, create(s)
	}
	for _, parent := range s.Parents {
		if made, err := t.rootsFirst(ctx, g, parent, first, create); made || err != nil {
			return made, err
		}
	}
	return true, create(s)
}

// firstShards returns the shards that the application began with, if that was at an instant, else none.
func (t *Tenure) firstShards(ctx context.Context, g *shard.Graph) (map[string]bool, error) {
	instant, s := t.Lease().StartAt, t.k.c.seeded()
	if instant.IsZero() || s.OpenAt == nil {
		return nil, nil
	}
	openThen, err := s.OpenAt(ctx, instant)
	if err != nil || !covers(openThen) {
		return nil, err
	}
	first := make(map[string]bool)
	for _, f := range firstShards(g, openThen) {
		first[f.ID] = true
	}
	return first, nil
}
