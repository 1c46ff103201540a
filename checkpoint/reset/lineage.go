package reset

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/lease"
	"github.com/kinesiskit/kinesiskit/shard"
)

// readers is how many shards are asked at one time. The limits that matter are those of a shard.
const readers = 8

// goalKind is what is left of a shard.
type goalKind int

const (
	untouched goalKind = iota // the shard stays where it is
	partly                    // what follows a place, at once
	whole                     // all of it, once its parents are finished
	finished                  // nothing
)

// goal is where a shard should stand.
type goal struct {
	kind    goalKind
	to      checkpoint.Position
	arrival time.Time // of the first record that will be delivered, if that is known
	why     string
}

// unread reports whether the shard holds its descendants back.
func (g goal) unread() bool { return g.kind == partly || g.kind == whole }

// asNamed is why a shard moves that was given a position.
const asNamed = "as named"

// notStarted is TRIM_HORIZON on a shard with parents: it waits until all of them are finished.
func notStarted() goal {
	return goal{kind: whole, to: checkpoint.TrimHorizon, why: "after its parents"}
}

// generations sorts shards so that each comes after all its parents, by id within a generation. What a damaged listing has in a circle comes last.
func generations(g *shard.Graph, shards []shard.Shard) [][]shard.Shard {
	left := make(map[string]shard.Shard, len(shards))
	for _, s := range shards {
		left[s.ID], _ = g.Shard(s.ID)
	}
	var ordered [][]shard.Shard
	for len(left) > 0 {
		var next []shard.Shard
		for _, id := range slices.Sorted(maps.Keys(left)) {
			if !slices.ContainsFunc(left[id].Parents, func(p string) bool { _, ok := left[p]; return ok }) {
				next = append(next, left[id])
			}
		}
		if len(next) == 0 {
			for _, id := range slices.Sorted(maps.Keys(left)) {
				next = append(next, left[id])
			}
		}
		for _, s := range next {
			delete(left, s.ID)
		}
		ordered = append(ordered, next)
	}
	return ordered
}

// decide sets every shard's goal: a shard starts over as a whole if anything is left of a parent, and is resolved by itself if not. Parents outside the
// listing have nothing left.
func (v *view) decide(ctx context.Context, resolve func(context.Context, shard.Shard) (goal, error)) (map[string]goal, error) {
	goals := make(map[string]goal)
	for _, generation := range v.ordered {
		var ask []shard.Shard
		for _, s := range generation {
			if slices.ContainsFunc(s.Parents, func(id string) bool { return goals[id].unread() }) {
				goals[s.ID] = notStarted()
			} else {
				ask = append(ask, s)
			}
		}
		answers := make([]goal, len(ask))
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(readers)
		for i, s := range ask {
			group.Go(func() (err error) {
				answers[i], err = resolve(ctx, s)
				return err
			})
		}
		if err := group.Wait(); err != nil {
			return nil, err
		}
		for i, s := range ask {
			goals[s.ID] = answers[i]
		}
	}
	return goals, nil
}

// exactly sets the goals of the shards that are named and of their descendants.
func (v *view) exactly(named map[string]checkpoint.Position, rows map[string]lease.Lease) (map[string]goal, error) {
	for _, id := range slices.Sorted(maps.Keys(named)) {
		if _, ok := v.graph.Shard(id); !ok {
			return nil, &TargetError{Shard: id, Problem: "is not in the stream"}
		}
	}
	goals := make(map[string]goal)
	for _, generation := range v.ordered {
		for _, s := range generation {
			p, ok := named[s.ID]
			moved := slices.ContainsFunc(s.Parents, func(id string) bool { return goals[id].unread() })
			switch {
			case ok:
				g, err := v.named(s, p, goals, rows)
				if err != nil {
					return nil, err
				}
				goals[s.ID] = g
			case moved:
				goals[s.ID] = notStarted()
			}
		}
	}
	return goals, nil
}

// named checks a position that was given for a shard.
func (v *view) named(s shard.Shard, p checkpoint.Position, goals map[string]goal, rows map[string]lease.Lease) (goal, error) {
	refuse := func(format string, args ...any) error {
		return &TargetError{Shard: s.ID, Problem: fmt.Sprintf(format, args...)}
	}
	waiting := func(id string) bool { return v.holdsBack(id, goals, rows) }
	switch {
	case p == checkpoint.TrimHorizon && slices.ContainsFunc(s.Parents, waiting):
		return notStarted(), nil
	case p == checkpoint.TrimHorizon:
		return beginning(s, asNamed)
	case p == checkpoint.ShardEnd && s.Open():
		return goal{}, refuse("SHARD_END, but it is open")
	case p != checkpoint.ShardEnd && (p.IsSentinel() || p == checkpoint.Position{}):
		return goal{}, refuse("%q would depend on when, and by whom, it is started", p)
	}
	for a := range v.graph.Ancestors(s.ID) {
		if waiting(a.ID) {
			return goal{}, refuse("%s, but its ancestor %s is not at its end", p, a.ID)
		}
	}
	if p == checkpoint.ShardEnd {
		return goal{kind: finished, to: p, why: asNamed}, nil
	}
	if !within(s, p) {
		return goal{}, refuse("%s is no sequence number of it", p)
	}
	return goal{kind: partly, to: p, why: asNamed}, nil
}

// holdsBack reports whether something is left of a shard: by its goal or, if it is not moved, by its row. A shard without a row was finished and cleaned up.
func (v *view) holdsBack(id string, goals map[string]goal, rows map[string]lease.Lease) bool {
	if g, ok := goals[id]; ok {
		return g.unread()
	}
	row, ok := rows[id]
	return ok && !row.Ended()
}

// within reports whether p lies in the shard's range of sequence numbers; a number of another shard would never be served.
func within(s shard.Shard, p checkpoint.Position) bool {
	first, err := checkpoint.At(s.First, -1)
	if err == nil && p.Compare(first) < 0 {
		return false
	}
	if s.Open() {
		return true
	}
	last, err := checkpoint.At(s.Last, p.Sub())
	return err != nil || p.Compare(last) <= 0
}
