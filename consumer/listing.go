package consumer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesiskit/kinesiskit/consumer/internal/fetch"
	"github.com/kinesiskit/kinesiskit/internal/awsx"
	"github.com/kinesiskit/kinesiskit/shard"
)

// listTimeout bounds one page of a listing.
const listTimeout = 10 * time.Second

// errorLife is how long a listing's error is worth showing: whoever needs a listing asks again within seconds, so an older error concerns nobody.
const errorLife = 30 * time.Second

// errIncomplete: a listing that lacks a part of the ring decides nothing, least of all that a shard does not exist.
var errIncomplete = errors.New("list shards: open shards do not cover all hash keys")

// listing is what this consumer knows of the stream's shards. All of its shards share it, so a reshard costs a consumer one listing, however many of
// its shards ask.
type listing struct {
	api    KinesisAPI
	stream fetch.Stream

	mu      sync.Mutex
	graph   *shard.Graph // the last complete one; nil before the first
	at      time.Time    // the service's clock then
	err     error        // of the last attempt
	ended   time.Time    // of the last attempt
	started int          // flights so far
	flight  *flight      // nil if none is under way
}

// flight is one attempt that several callers wait for.
type flight struct {
	number int
	done   chan struct{}
	graph  *shard.Graph
	at     time.Time
	err    error
	left   bool // whoever flew it gave up, so its outcome says nothing
}

// known returns the last complete listing, nil before the first, and the service's clock then.
func (l *listing) known() (*shard.Graph, time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.graph, l.at
}

// lastErr is the error of the last attempt, if somebody still wants a listing.
func (l *listing) lastErr() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.ended) > errorLife {
		return nil
	}
	return l.err
}

// refresh returns a complete listing that was asked for after the call, and the service's clock then (zero if it did not show it). A listing that was on its way already is not good enough: the caller may know of a shard that is younger.
func (l *listing) refresh(ctx context.Context) (*shard.Graph, time.Time, error) {
	l.mu.Lock()
	before := l.started
	l.mu.Unlock()
	for {
		if ctx.Err() != nil {
			return nil, time.Time{}, context.Cause(ctx)
		}
		f, mine := l.board()
		if mine {
			l.fly(ctx, f)
		}
		select {
		case <-f.done:
		case <-ctx.Done():
			continue
		}
		if f.number > before && !f.left {
			return f.graph, f.at, f.err
		}
	}
}

// board returns the flight that is under way, or a new one that the caller has to fly.
func (l *listing) board() (f *flight, mine bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.flight != nil {
		return l.flight, false
	}
	l.started++
	l.flight = &flight{number: l.started, done: make(chan struct{})}
	return l.flight, true
}

// fly makes the attempt on the goroutine and within the context of one of those who wait, so that nothing has to be ended with the consumer. If that
// one gives up, another flies again.
func (l *listing) fly(ctx context.Context, f *flight) {
	graph, at, err := l.list(ctx)
	f.graph, f.at, f.err, f.left = graph, at, err, ctx.Err() != nil
	l.mu.Lock()
	l.flight = nil
	if !f.left {
		l.err, l.ended = err, time.Now()
	}
	if err == nil {
		l.graph, l.at = graph, at
	}
	l.mu.Unlock()
	close(f.done)
}

// list makes a complete listing.
func (l *listing) list(ctx context.Context) (*shard.Graph, time.Time, error) {
	shards, at, err := l.pages(ctx, nil)
	if err != nil {
		return nil, time.Time{}, err
	}
	g := shard.NewGraph(shards)
	var covered []shard.HashRange
	for _, s := range g.Open() {
		covered = append(covered, s.Range)
	}
	if len(shard.Holes(covered)) > 0 {
		return nil, time.Time{}, errIncomplete
	}
	return g, at, nil
}

// openAt lists the shards that were open at t, as far as the stream still has them.
func (l *listing) openAt(ctx context.Context, t time.Time) ([]shard.Shard, error) {
	shards, _, err := l.pages(ctx, &types.ShardFilter{Type: types.ShardFilterTypeAtTimestamp, Timestamp: &t})
	return shards, err
}

// pages reads all pages under one token, and the service's clock at the first.
func (l *listing) pages(ctx context.Context, filter *types.ShardFilter) (shards []shard.Shard, at time.Time, err error) {
	in := &kinesis.ListShardsInput{ShardFilter: filter}
	in.StreamName, in.StreamARN = l.stream.Reference()
	for {
		out, err := l.page(ctx, in)
		if err != nil {
			return nil, time.Time{}, fmt.Errorf("list shards: %w", err)
		}
		if at.IsZero() {
			at, _ = awsx.ServerTime(out.ResultMetadata)
		}
		for _, s := range out.Shards {
			shards = append(shards, fetch.Listed(s))
		}
		if out.NextToken == nil {
			break
		}
		in = &kinesis.ListShardsInput{NextToken: out.NextToken} // which names the stream: naming it twice is refused
	}
	return shards, at, nil
}

func (l *listing) page(ctx context.Context, in *kinesis.ListShardsInput) (*kinesis.ListShardsOutput, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	return l.api.ListShards(ctx, in, awsx.KinesisOnce)
}

// continues reports whether children are all that continues shard id, as a split (two or more, of it alone) or a merge (one, of it and its neighbour)
// leaves them. An answer that names half of them must not finish the parent: nobody would read the other half.
func continues(id string, children []shard.Shard) bool {
	for _, c := range children {
		if c.ID == "" || !slices.Contains(c.Parents, id) {
			return false
		}
	}
	return len(children) > 1 || len(children) == 1 && len(children[0].Parents) > 1
}
