package producer_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesiskit/kinesiskit/aggregation"
	"github.com/kinesiskit/kinesiskit/kinesistest"
	"github.com/kinesiskit/kinesiskit/producer"
	"github.com/kinesiskit/kinesiskit/shard"
)

const stream = "orders"

func shardID(n int) string { return fmt.Sprintf("shardId-%012d", n) }

// world is a server with one stream and a producer, in a bubble: a goroutine that the producer leaves behind fails the test, and time is virtual.
type world struct {
	*testing.T
	s    *kinesistest.Server
	k    *kinesis.Client // the producer's
	look *kinesis.Client // the test's own; rules for "producer" do not hold for it
	p    *producer.Producer
}

func bubble(t *testing.T, shards int, cfg producer.Config, fn func(w *world), opts ...producer.Option) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New()
		defer s.Close()
		if shards > 0 {
			s.CreateStream(stream, shards)
		}
		w := &world{T: t, s: s, k: kinesis.NewFromConfig(s.Config("producer")), look: kinesis.NewFromConfig(s.Config("test"))}
		w.p = w.producer(cfg, opts...)
		defer w.close()
		fn(w)
	})
}

func clientOf(s *kinesistest.Server, name string) *kinesis.Client {
	return kinesis.NewFromConfig(s.Config(name))
}

func (w *world) producer(cfg producer.Config, opts ...producer.Option) *producer.Producer {
	w.Helper()
	cfg.Stream = cmp.Or(cfg.Stream, stream)
	p, err := producer.New(cfg, w.k, append([]producer.Option{producer.WithSeed(1)}, opts...)...)
	if err != nil {
		w.Fatal(err)
	}
	return p
}

// close gives everything an hour to be delivered.
func (w *world) close() {
	w.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	if err := w.p.Close(ctx); err != nil {
		w.Errorf("close: %v", err)
	}
}

func (w *world) put(key, data string) *producer.Future {
	w.Helper()
	f, err := w.p.Put(context.Background(), producer.Record{PartitionKey: key, Data: []byte(data)})
	if err != nil {
		w.Fatal(err)
	}
	return f
}

func (w *world) stored(f *producer.Future) producer.Result {
	w.Helper()
	r, err := f.Result(context.Background())
	if err != nil {
		w.Fatal(err)
	}
	return r
}

// failed waits for a failure.
func (w *world) failed(f *producer.Future) *producer.RecordError {
	w.Helper()
	_, err := f.Result(context.Background())
	var failure *producer.RecordError
	if !errors.As(err, &failure) {
		w.Fatalf("got %v, want a *RecordError", err)
	}
	return failure
}

func (w *world) flush() {
	w.Helper()
	if err := w.p.Flush(context.Background()); err != nil {
		w.Fatal(err)
	}
}

// ready puts a record and waits for it, so that the producer has its map.
func (w *world) ready() {
	w.Helper()
	w.stored(w.put("ready", "ready"))
}

// copyOf is a user record as it lies in the stream.
type copyOf struct {
	key, explicit, data string
	shard, sequence     string
	sub                 int
	aggregated          bool
	dropped             bool // a reader that follows the rules of the format does not deliver it
	outside             bool // it does not belong to its shard itself: a reader that looks at each record does not deliver it
	stale               bool // and the shard's past explains the whole aggregate: this module's consumer does not deliver it
}

// contents reads the stream as KCL does: an aggregate of which one record does not belong to its shard is dropped whole. Parents come before children.
func (w *world) contents() []copyOf {
	w.Helper()
	ranges, parents := make(map[string]shard.HashRange), make(map[string][]string)
	for in := (&kinesis.ListShardsInput{StreamName: aws.String(stream)}); ; {
		page, err := w.look.ListShards(context.Background(), in)
		if err != nil {
			w.Fatal(err)
		}
		for _, s := range page.Shards {
			r, err := shard.ParseHashRange(*s.HashKeyRange.StartingHashKey, *s.HashKeyRange.EndingHashKey)
			if err != nil {
				w.Fatal(err)
			}
			ranges[*s.ShardId] = r
			for _, id := range []*string{s.ParentShardId, s.AdjacentParentShardId} {
				if id != nil {
					parents[*s.ShardId] = append(parents[*s.ShardId], *id)
				}
			}
		}
		if page.NextToken == nil {
			break
		}
		in = &kinesis.ListShardsInput{NextToken: page.NextToken}
	}
	var all []copyOf
	for _, r := range w.s.Records(stream) {
		records, err := aggregation.Decode(nil, r.Data)
		if errors.Is(err, aggregation.ErrNotAggregate) {
			all = append(all, copyOf{key: r.PartitionKey, data: string(r.Data), shard: r.Shard, sequence: r.Sequence})
			continue
		}
		if err != nil || r.PartitionKey != "a" {
			w.Fatalf("aggregate %s has outer key %q, error %v", r.Sequence, r.PartitionKey, err)
		}
		out := func(of shard.HashRange) func(u aggregation.Record) bool {
			return func(u aggregation.Record) bool {
				k, err := u.HashKey()
				return err != nil || !of.Contains(k)
			}
		}
		dropped := slices.ContainsFunc(records, out(ranges[r.Shard]))
		explained := dropped && ancestor(parents, r.Shard, func(id string) bool { return !slices.ContainsFunc(records, out(ranges[id])) })
		for _, u := range records {
			outside := out(ranges[r.Shard])(u)
			all = append(all, copyOf{
				key: u.PartitionKey, explicit: u.ExplicitHashKey, data: string(u.Data), shard: r.Shard, sequence: r.Sequence,
				sub: u.Sub, aggregated: true, dropped: dropped, outside: outside, stale: outside && explained,
			})
		}
	}
	return all
}

// ancestor reports whether ok holds for some ancestor of the shard.
func ancestor(parents map[string][]string, id string, ok func(id string) bool) bool {
	return slices.ContainsFunc(parents[id], func(id string) bool { return ok(id) || ancestor(parents, id, ok) })
}

// load is records with keys and the ordinals of each, and what became of them.
type load struct {
	w       *world
	mu      sync.Mutex
	next    map[string]int
	results map[string]producer.Result // by key and ordinal
	errs    map[string]error
	order   []string // of callbacks
}

func newLoad(w *world) *load {
	return &load{w: w, next: make(map[string]int), results: make(map[string]producer.Result), errs: make(map[string]error)}
}

func (l *load) put(key string) {
	l.w.Helper()
	data := fmt.Sprintf("%s#%06d", key, l.next[key])
	l.next[key]++
	err := l.w.p.PutFunc(context.Background(), producer.Record{PartitionKey: key, Data: []byte(data)}, func(r producer.Result, err error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if _, twice := l.results[data]; twice {
			l.w.Errorf("%s: called back twice", data)
		}
		l.results[data], l.errs[data] = r, err
		l.order = append(l.order, data)
	})
	if err != nil {
		l.w.Fatal(err)
	}
}

// check: every record was acknowledged; its acknowledged copy is in the stream where the result says, and a reader delivers one; only records whose
// result says MayRepeat are there more than once. It returns how many copies there are too many.
func (l *load) check() (repeats int) {
	l.w.Helper()
	places, delivered, copies := make(map[string]map[string]bool), make(map[string]bool), make(map[string]int)
	for _, c := range l.w.contents() {
		if places[c.data] == nil {
			places[c.data] = make(map[string]bool)
		}
		places[c.data][fmt.Sprint(c.shard, c.sequence, c.sub, c.aggregated)] = true
		copies[c.data]++
		delivered[c.data] = delivered[c.data] || !c.dropped
	}
	for key, n := range l.next {
		for i := range n {
			data := fmt.Sprintf("%s#%06d", key, i)
			r, called := l.results[data]
			switch {
			case !called:
				l.w.Fatalf("%s: never called back", data)
			case l.errs[data] != nil:
				l.w.Fatalf("%s: %v", data, l.errs[data])
			case !places[data][fmt.Sprint(r.Shard, r.Sequence, r.Sub, r.Aggregated)]:
				l.w.Fatalf("%s: acknowledged at %+v, stored at %v", data, r, places[data])
			case !delivered[data]:
				l.w.Fatalf("%s: acknowledged, but a reader drops it: %v", data, places[data])
			case copies[data] > 1 && !r.MayRepeat:
				l.w.Fatalf("%s: stored %d times, and the result does not say so", data, copies[data])
			}
			repeats += copies[data] - 1
		}
	}
	return repeats
}

// checkOrder: the first delivered copies of each key stand in the order of their Puts, for a reader that follows the rules of the format and for one that
// looks at each record.
func (l *load) checkOrder() {
	l.w.Helper()
	l.checkOrderOf(func(c copyOf) bool { return !c.dropped })
	l.checkOrderOf(func(c copyOf) bool { return !c.outside })
}

func (l *load) checkOrderOf(delivered func(copyOf) bool) {
	l.w.Helper()
	next := make(map[string]int)
	for _, c := range l.w.contents() {
		var key string
		var n int
		if i := len(c.data) - 7; !delivered(c) || i < 0 || c.data[i] != '#' {
			continue
		} else if key = c.data[:i]; true {
			if _, err := fmt.Sscanf(c.data[i:], "#%06d", &n); err != nil {
				l.w.Fatal(err)
			}
		}
		switch {
		case n > next[key]:
			l.w.Fatalf("%s: %d is stored before %d", key, n, next[key])
		case n == next[key]:
			next[key]++
		}
	}
}
