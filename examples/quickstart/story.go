package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
)

// chapters is what happens, one after the other, while records flow. A chapter ends when what it did to the stream or the fleet has been dealt with:
// somebody reads on from there.
var chapters = []struct {
	name kind
	tell func(*story, context.Context) error
}{
	{start, (*story).start},
	{split, (*story).split},
	{merge, (*story).merge},
	{killed, (*story).kill},
	{stopped, (*story).stop},
	{finish, (*story).finish},
}

// between is how many records flow between two chapters: about two seconds' worth.
const between = 2000

// story is who does all that.
type story struct {
	options options
	board   *board
	res     *resources
	fleet   []*process
	half    *shardState   // of the split shard, the one that the merge takes
	told    chan struct{} // closed when nothing more happens, so that the producer may finish
	gone    map[string]bool
}

func (s *story) tell(ctx context.Context) error {
	for i, chapter := range chapters {
		s.board.with(func() { s.board.step = i })
		if err := chapter.tell(s, ctx); err != nil {
			return fmt.Errorf("%s: %w", chapter.name, err)
		}
		if chapter.name == finish {
			break
		}
		put := 0
		s.board.with(func() { put = s.board.ledger.put })
		err := s.wait(ctx, "records to flow", func(b *board) bool { return b.ledger.put >= put+between })
		if err != nil {
			return fmt.Errorf("after %s: %w", chapter.name, err)
		}
	}
	return nil
}

// start waits until the workers have divided the shards.
func (s *story) start(ctx context.Context) error {
	err := s.wait(ctx, "every shard to be read", func(b *board) bool { return allRead(b.open()) })
	s.board.with(func() {
		var names []string
		for _, p := range s.fleet {
			names = append(names, p.name)
		}
		s.board.happened(start, s.board.elapsed(), "workers %s read the stream's %d shards", strings.Join(names, ", "), len(s.board.open()))
	})
	return err
}

// split splits the shard with the most records, in the middle of its keys.
func (s *story) split(ctx context.Context) error {
	var busiest *shardState
	s.board.with(func() {
		for _, sh := range s.board.open() {
			if busiest == nil || sh.weight > busiest.weight {
				busiest = sh
			}
		}
	})
	_, err := s.res.streams.SplitShard(ctx, &kinesis.SplitShardInput{
		StreamName: &s.res.stream, ShardToSplit: &busiest.id, NewStartingHashKey: aws.String(busiest.keys.Middle().String()),
	})
	if err != nil {
		return fmt.Errorf("shard %s: %w", busiest.id, err)
	}
	at := s.board.elapsed()
	if err := s.relist(ctx, busiest.id); err != nil {
		return err
	}
	var halves []string
	err = s.wait(ctx, "both halves to be read", func(b *board) bool {
		halves = busiest.children
		return len(halves) == 2 && allRead(b.those(halves))
	})
	if err != nil {
		return err
	}
	s.board.with(func() {
		s.board.happened(split, at, "shard %s into %s and %s, read on after %.1f s", short(busiest.id), short(halves[0]), short(halves[1]),
			(s.board.elapsed() - at).Seconds())
		s.half = s.board.shards[halves[1]]
	})
	return nil
}

// merge merges one half of the split shard with a neighbour, which is another shard's offspring where there is one: the two have different histories,
// and often different readers.
func (s *story) merge(ctx context.Context) error {
	var a, b *shardState
	s.board.with(func() {
		open := s.board.open()
		i := slices.Index(open, s.half)
		j := i + 1
		if j == len(open) {
			i--
			j--
		}
		a, b = open[i], open[j]
	})
	_, err := s.res.streams.MergeShards(ctx, &kinesis.MergeShardsInput{
		StreamName: &s.res.stream, ShardToMerge: &a.id, AdjacentShardToMerge: &b.id,
	})
	if err != nil {
		return fmt.Errorf("shards %s and %s: %w", a.id, b.id, err)
	}
	at := s.board.elapsed()
	if err := s.relist(ctx, a.id); err != nil {
		return err
	}
	err = s.wait(ctx, "the merged shard to be read", func(b *board) bool { return len(a.children) == 1 && allRead(b.those(a.children)) })
	if err != nil {
		return err
	}
	s.board.with(func() {
		s.board.happened(merge, at, "shards %s and %s into %s, read on after %.1f s", short(a.id), short(b.id), short(a.children[0]),
			(s.board.elapsed() - at).Seconds())
	})
	return nil
}

// kill ends the busiest worker with SIGKILL. What it was handed and had not stored yet comes again.
func (s *story) kill(ctx context.Context) error {
	victim := s.busiest()
	shards := s.announce(victim, killed, "%s, which read %s, gets SIGKILL")
	if err := victim.signal(ctx, os.Kill, s.options.patience()); err != nil {
		return err
	}
	s.board.with(func() { s.board.dead(victim.name) })
	return s.inherited(ctx, victim, shards)
}

// stop asks the busier of the remaining workers to stop, as an orchestrator does. Nothing comes again.
func (s *story) stop(ctx context.Context) error {
	leaver := s.busiest()
	shards := s.announce(leaver, stopped, "%s, which read %s, gets SIGTERM")
	if err := s.dismiss(ctx, leaver); err != nil {
		return err
	}
	return s.inherited(ctx, leaver, shards)
}

// finish lets the producer come to its end, waits until everything is delivered or nothing comes any more, and stops whoever is left.
func (s *story) finish(ctx context.Context) error {
	close(s.told)
	if err := s.waitFor(ctx, s.options.limit(), "the producer", func(b *board) bool { return b.produced }); err != nil {
		return err
	}
	const silence = failoverTime + 5*time.Second // longer than any shard goes unread
	err := s.wait(ctx, "the last records", func(b *board) bool {
		return b.ledger.distinct == b.ledger.put || time.Since(b.last) > silence
	})
	for _, p := range s.fleet {
		if err == nil && !s.gone[p.name] {
			s.board.with(func() { s.board.doomed(p.name, finish) })
			err = s.dismiss(ctx, p)
		}
	}
	return err
}

// announce notes whose end is near, and returns the shards that will need another reader.
func (s *story) announce(p *process, by kind, text string) []*shardState {
	var shards []*shardState
	s.board.with(func() {
		shards = s.board.of(p.name)
		s.board.doomed(p.name, by)
		s.board.happened(by, s.board.elapsed(), text, p.name, named(shards))
	})
	s.gone[p.name] = true
	return shards
}

// inherited waits until others read what a worker has left.
func (s *story) inherited(ctx context.Context, from *process, shards []*shardState) error {
	return s.wait(ctx, "others to read the shards of "+from.name, func(*board) bool {
		return !slices.ContainsFunc(shards, func(sh *shardState) bool { return !sh.ended && (sh.reader == from.name || !sh.read()) })
	})
}

// dismiss asks a worker to stop, and expects it to leave in peace.
func (s *story) dismiss(ctx context.Context, p *process) error {
	s.gone[p.name] = true
	if err := p.signal(ctx, syscall.SIGTERM, s.options.patience()); err != nil {
		return err
	}
	if p.err != nil {
		return p.failure()
	}
	return nil
}

// busiest is the worker whose shards have the most records.
func (s *story) busiest() *process {
	var busiest *process
	most := -1
	s.board.with(func() {
		for _, p := range s.fleet {
			weight := 0
			for _, sh := range s.board.of(p.name) {
				weight += sh.weight
			}
			if !s.gone[p.name] && weight > most {
				busiest, most = p, weight
			}
		}
	})
	return busiest
}

// relist takes in the stream once it shows the children of a shard, and waits until it can be changed again.
func (s *story) relist(ctx context.Context, parent string) error {
	err := eventually(ctx, s.options.patience(), askService, "children of "+parent, func(ctx context.Context) (bool, error) {
		shards, err := s.res.shards(ctx)
		if err != nil {
			return false, err
		}
		s.board.list(shards)
		return s.board.holds(func() bool { return len(s.board.shards[parent].children) > 0 }), nil
	})
	if err != nil {
		return err
	}
	return s.res.active(ctx, s.options.patience())
}

// wait waits until the board shows that something is so.
func (s *story) wait(ctx context.Context, what string, isSo func(*board) bool) error {
	return s.waitFor(ctx, s.options.patience(), what, isSo)
}

func (s *story) waitFor(ctx context.Context, patience time.Duration, what string, isSo func(*board) bool) error {
	return eventually(ctx, patience, 25*time.Millisecond, what, func(context.Context) (bool, error) {
		return s.board.holds(func() bool { return isSo(s.board) }), nil
	})
}

func allRead(shards []*shardState) bool {
	return len(shards) > 0 && !slices.ContainsFunc(shards, func(s *shardState) bool { return !s.read() })
}

// named is "shard 3", or "shards 3, 4".
func named(shards []*shardState) string {
	var names []string
	for _, sh := range shards {
		names = append(names, short(sh.id))
	}
	switch len(names) {
	case 0:
		return "no shard"
	case 1:
		return "shard " + names[0]
	default:
		return "shards " + strings.Join(names, ", ")
	}
}
