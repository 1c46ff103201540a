package reset_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesiskit/kinesiskit/aggregation"
	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/checkpoint/reset"
	"github.com/kinesiskit/kinesiskit/consumer"
	"github.com/kinesiskit/kinesiskit/kinesistest"
	"github.com/kinesiskit/kinesiskit/lease"
	"github.com/kinesiskit/kinesiskit/lease/dynamostore"
)

const (
	streamName = "orders"
	tableName  = "orders-app"
	failover   = 10 * time.Second
)

// world is a stream whose every user record is known, and a lease table, in a bubble.
type world struct {
	t     *testing.T
	rng   *rand.Rand
	s     *kinesistest.Server
	api   *kinesis.Client
	store *dynamostore.Store
	open  []string // shards, in the order of their hash keys
	sent  []record // in the order in which they arrived
	keys  map[string]int
}

// record is a user record and when the service took it.
type record struct {
	key, data string
	at        time.Time
}

// bubble runs a test in virtual time.
func bubble(t *testing.T, seed uint64, shards int, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New()
		s.CreateStream(streamName, shards)
		w := &world{
			t: t, rng: rand.New(rand.NewPCG(seed, 1)), s: s, api: kinesis.NewFromConfig(s.Config("tool")), keys: make(map[string]int),
			store: dynamostore.New(dynamodb.NewFromConfig(s.Config("tool")), dynamostore.Config{Table: tableName}),
		}
		for i := range shards {
			w.open = append(w.open, fmt.Sprintf("shardId-%012d", i))
		}
		if err := w.store.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		test(t, w)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// next is a user record of one of a few keys, whose data says which of its key it is.
func (w *world) next() aggregation.Record {
	key := "key" + strconv.Itoa(w.rng.IntN(12))
	w.keys[key]++
	return aggregation.Record{PartitionKey: key, Data: []byte(key + "/" + strconv.Itoa(w.keys[key]))}
}

// put stores a Kinesis record: a plain one, or an aggregate of records of one key.
func (w *world) put() {
	w.t.Helper()
	r := w.next()
	users, key, data := []aggregation.Record{r}, r.PartitionKey, r.Data
	if w.rng.IntN(3) == 0 {
		var b aggregation.Builder
		b.Add(r)
		for range w.rng.IntN(3) {
			w.keys[key]++
			again := aggregation.Record{PartitionKey: key, Data: []byte(key + "/" + strconv.Itoa(w.keys[key]))}
			b.Add(again)
			users = append(users, again)
		}
		data = b.AppendTo(nil)
	}
	_, err := w.api.PutRecord(w.t.Context(), &kinesis.PutRecordInput{StreamName: ptr(streamName), PartitionKey: &key, Data: data})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, u := range users {
		w.sent = append(w.sent, record{u.PartitionKey, string(u.Data), time.Now()})
	}
}

// reshard splits or merges as many of the open shards as chance wants: one generation.
func (w *world) reshard() {
	var next []string
	for i := 0; i < len(w.open); i++ {
		switch n := w.rng.IntN(4); {
		case n == 0 && i+1 < len(w.open):
			next = append(next, w.s.Merge(streamName, w.open[i], w.open[i+1]))
			i++
		case n <= 1:
			left, right := w.s.Split(streamName, w.open[i])
			next = append(next, left, right)
		default:
			next = append(next, w.open[i])
		}
	}
	w.open = next
}

// pause lets some time pass, mostly little, sometimes none, rarely much.
func (w *world) pause() {
	switch w.rng.IntN(8) {
	case 0:
	case 1:
		time.Sleep(time.Duration(w.rng.IntN(300)) * time.Second)
	default:
		time.Sleep(time.Duration(w.rng.IntN(2000)) * time.Millisecond)
	}
}

// run lets workers read until nothing arrives any more, and returns what they were given, in order.
func (w *world) run(name string, workers int) []string {
	w.t.Helper()
	f := w.start(name, workers)
	for idle, n := 0, 0; idle < 3; {
		time.Sleep(20 * time.Second)
		if m := len(f.delivered()); m > n {
			idle, n = 0, m
		} else {
			idle++
		}
	}
	f.stop()
	return f.delivered()
}

// fleet is consumers that note what they are given.
type fleet struct {
	w       *world
	stops   []context.CancelFunc
	running sync.WaitGroup

	mu  sync.Mutex
	got []string
	at  []time.Time
}

func (w *world) start(name string, workers int) *fleet {
	w.t.Helper()
	f := &fleet{w: w}
	for i := range workers {
		cfg := w.s.Config(name + strconv.Itoa(i))
		table := dynamostore.New(dynamodb.NewFromConfig(cfg), dynamostore.Config{Table: tableName})
		c, err := consumer.New(
			consumer.Config{Application: "app", Stream: streamName, Worker: name + strconv.Itoa(i), Lease: lease.Config{FailoverTime: failover}},
			kinesis.NewFromConfig(cfg), table,
			consumer.Each(func(_ context.Context, r *consumer.Record) error {
				f.mu.Lock()
				defer f.mu.Unlock()
				f.got, f.at = append(f.got, string(r.Data)), append(f.at, time.Now())
				return nil
			}), consumer.WithSeed(uint64(i)))
		if err != nil {
			w.t.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.Background())
		f.stops = append(f.stops, stop)
		f.running.Go(func() {
			if err := c.Run(ctx); err != nil {
				w.t.Error(err)
			}
		})
	}
	return f
}

func (f *fleet) stop() {
	for _, stop := range f.stops {
		stop()
	}
	f.running.Wait()
}

func (f *fleet) delivered() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.got)
}

// since is the oracle: what arrived at t or later.
func (w *world) since(t time.Time) []string {
	var all []string
	for _, r := range w.sent {
		if !r.at.Truncate(time.Millisecond).Before(t) {
			all = append(all, r.data)
		}
	}
	return all
}

// want demands that got is exactly what is wanted, each once, and those of a key in their order.
func (w *world) want(what string, got, want []string) {
	w.t.Helper()
	if g, o := slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want)); !slices.Equal(g, o) {
		w.t.Errorf("%s: delivered %d records, want %d: missing %v, surplus %v", what, len(g), len(o), minus(o, g), minus(g, o))
	}
	last := make(map[string]int)
	for _, data := range got {
		key, number, _ := strings.Cut(data, "/")
		n, err := strconv.Atoi(number)
		if err != nil || n < last[key] {
			w.t.Errorf("%s: %s came after %d of its key", what, data, last[key])
		}
		last[key] = n
	}
}

func minus(a, b []string) []string {
	left := make(map[string]int)
	for _, s := range b {
		left[s]++
	}
	var more []string
	for _, s := range a {
		if left[s]--; left[s] < 0 {
			more = append(more, s)
		}
	}
	return more
}

// rows reads the table.
func (w *world) rows() map[string]lease.Lease {
	w.t.Helper()
	rows := make(map[string]lease.Lease)
	for l, err := range w.store.List(w.t.Context()) {
		if err != nil {
			w.t.Fatal(err)
		}
		rows[l.Key] = l
	}
	return rows
}

// clean deletes, as a cleanup does, finished rows whose children have rows and whose parents have none, until chance stops it.
func (w *world) clean() {
	w.t.Helper()
	for {
		rows := w.rows()
		var old []string
		for _, key := range slices.Sorted(maps.Keys(rows)) {
			l := rows[key]
			kept := func(id string) bool { _, ok := rows[id]; return ok }
			begun := func(id string) bool { return kept(id) && rows[id].Checkpoint.Position != checkpoint.TrimHorizon }
			if l.Ended() && !slices.ContainsFunc(l.Parents, kept) && !slices.ContainsFunc(l.Children, func(id string) bool { return !begun(id) }) {
				old = append(old, key)
			}
		}
		if len(old) == 0 || w.rng.IntN(4) == 0 {
			return
		}
		l := rows[old[w.rng.IntN(len(old))]]
		if err := w.store.Delete(w.t.Context(), l.Key, lease.Condition{Counter: &l.Counter}); err != nil {
			w.t.Fatal(err)
		}
	}
}

// reset plans and writes.
func (w *world) reset(to reset.Target, opts reset.ExecuteOptions) (*reset.Plan, reset.Report) {
	w.t.Helper()
	plan, err := reset.Make(w.t.Context(), w.api, w.store, streamName, to)
	if err != nil {
		w.t.Fatal(err)
	}
	report, err := plan.Execute(w.t.Context(), w.store, opts)
	if err != nil {
		w.t.Fatal(err)
	}
	return plan, report
}

func ptr[T any](v T) *T { return &v }

func at(t *testing.T, sequence string, sub int64) checkpoint.Position {
	t.Helper()
	p, err := checkpoint.At(sequence, sub)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
