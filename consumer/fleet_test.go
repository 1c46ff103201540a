package consumer_test

import (
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesiskit/kinesiskit/aggregation"
	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/consumer"
	"github.com/kinesiskit/kinesiskit/kinesistest"
	"github.com/kinesiskit/kinesiskit/lease"
	"github.com/kinesiskit/kinesiskit/lease/dynamostore"
)

const (
	streamName = "orders"
	tableName  = "orders-app"
	failover   = 10 * time.Second
	shard0     = "shardId-000000000000"
	shard1     = "shardId-000000000001"
	shard2     = "shardId-000000000002"
	shard3     = "shardId-000000000003"
)

// fleet is a server and the workers of one application, in a bubble.
type fleet struct {
	t     *testing.T
	s     *kinesistest.Server
	api   *kinesis.Client
	store *dynamostore.Store

	mu      sync.Mutex
	got     []delivery
	drops   []consumer.DropEvent
	fails   []string
	workers []*worker
}

// delivery is one record as a worker's code was given it.
type delivery struct {
	worker, shard, key, data string
	position                 checkpoint.Position
	at                       time.Time
}

// worker is one Consumer whose requests the server knows by its name.
type worker struct {
	f    *fleet
	name string
	*consumer.Consumer
	stop context.CancelFunc // of Run's ctx
	done chan struct{}
	err  error // of Run; read after done
	cuts *kinesistest.Rule
}

// bubble runs a test of a fleet in virtual time. Whatever it started has to be over at its end.
func bubble(t *testing.T, shards int, test func(f *fleet)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, shards)
		defer f.close()
		test(f)
	})
}

func newFleet(t *testing.T, shards int) *fleet {
	t.Helper()
	s := kinesistest.New()
	if shards > 0 {
		s.CreateStream(streamName, shards)
	}
	return newFleetOn(t, s)
}

// newFleetOn is newFleet on a server of the test's making.
func newFleetOn(t *testing.T, s *kinesistest.Server) *fleet {
	f := &fleet{t: t, s: s, api: kinesis.NewFromConfig(s.Config("test"))}
	f.store = f.table(tableName)
	return f
}

func (f *fleet) table(name string) *dynamostore.Store {
	return dynamostore.New(dynamodb.NewFromConfig(f.s.Config("test")), dynamostore.Config{Table: name})
}

// close ends what a test left running.
func (f *fleet) close() {
	for _, w := range f.workers {
		if w.cuts != nil {
			w.cuts.Remove()
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		_ = w.Shutdown(ctx)
		cancel()
		<-w.done
	}
	_ = f.s.Close()
}

// fast is the configuration of a test's worker.
func fast(name string) consumer.Config {
	return consumer.Config{Application: "app", Stream: streamName, Worker: name, Lease: lease.Config{FailoverTime: failover}}
}

// make builds a worker and does not start it. h nil: every record is noted in f.got.
func (f *fleet) make(cfg consumer.Config, h consumer.Handler, opts ...consumer.Option) *worker {
	f.t.Helper()
	if h == nil {
		h = f.recorder(cfg.Worker)
	}
	db := dynamostore.New(dynamodb.NewFromConfig(f.s.Config(cfg.Worker)), dynamostore.Config{Table: tableName})
	hooks := consumer.Hooks{Dropped: f.noteDrop, Failed: f.noteFailure}
	opts = append([]consumer.Option{consumer.WithSeed(uint64(len(f.workers))), consumer.WithHooks(hooks)}, opts...)
	c, err := consumer.New(cfg, kinesis.NewFromConfig(f.s.Config(cfg.Worker)), db, h, opts...)
	if err != nil {
		f.t.Fatal(err)
	}
	w := &worker{f: f, name: cfg.Worker, Consumer: c, done: make(chan struct{})}
	f.workers = append(f.workers, w)
	return w
}

// run starts a worker.
func (f *fleet) run(cfg consumer.Config, h consumer.Handler, opts ...consumer.Option) *worker {
	f.t.Helper()
	w := f.make(cfg, h, opts...)
	w.run()
	return w
}

func (f *fleet) start(name string) *worker {
	f.t.Helper()
	return f.run(fast(name), nil)
}

func (w *worker) run() {
	ctx, cancel := context.WithCancel(context.Background())
	w.stop = cancel
	go func() {
		defer close(w.done)
		w.err = w.Run(ctx)
	}()
}

// leave ends Run's ctx and returns what Run returned.
func (w *worker) leave() error {
	w.stop()
	<-w.done
	return w.err
}

// cut takes the network away.
func (w *worker) cut() { w.cuts = w.f.s.On("*", kinesistest.LoseRequest()).From(w.name) }

func (f *fleet) recorder(name string) consumer.Handler {
	return consumer.Each(func(_ context.Context, r *consumer.Record) error {
		f.note(name, r)
		return nil
	})
}

func (f *fleet) note(worker string, r *consumer.Record) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.got = append(f.got, delivery{worker, r.Shard().ID(), r.PartitionKey, string(r.Data), r.Position, time.Now()})
}

func (f *fleet) noteDrop(e consumer.DropEvent) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.drops = append(f.drops, e)
}

func (f *fleet) noteFailure(e *consumer.Failure, _ consumer.Verdict) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fails = append(f.fails, fmt.Sprintf("%d/%d: %v", e.Attempt, len(e.Records), e.Err))
}

func (f *fleet) deliveries() []delivery {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.got)
}

func (f *fleet) dropped() []consumer.DropEvent {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.drops)
}

func (f *fleet) failures() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.fails)
}

// data is what was delivered, in order.
func (f *fleet) data() []string {
	var all []string
	for _, d := range f.deliveries() {
		all = append(all, d.data)
	}
	return all
}

// until waits, in virtual time, for something to become true.
func (f *fleet) until(what string, limit time.Duration, ok func() bool) {
	f.t.Helper()
	for begin := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		synctest.Wait()
		if ok() {
			return
		}
		if time.Since(begin) > limit {
			f.t.Fatalf("not within %v: %s; delivered %d, health %s", limit, what, len(f.deliveries()), f.healths())
		}
	}
}

func (f *fleet) healths() string {
	var b strings.Builder
	for _, w := range f.workers {
		fmt.Fprintf(&b, "\n%s: %+v", w.name, w.Health())
	}
	return b.String()
}

// delivered waits until n records were delivered.
func (f *fleet) delivered(n int) {
	f.t.Helper()
	f.until(fmt.Sprintf("%d deliveries", n), 2*time.Minute, func() bool { return len(f.deliveries()) >= n })
}

// want compares everything delivered, in order.
func (f *fleet) want(data ...string) {
	f.t.Helper()
	if got := f.data(); !slices.Equal(got, data) {
		f.t.Fatalf("delivered %q, want %q", got, data)
	}
}

// put stores one ordinary record a datum.
func (f *fleet) put(key string, data ...string) {
	f.t.Helper()
	for _, d := range data {
		_, err := f.api.PutRecord(context.Background(), &kinesis.PutRecordInput{StreamName: ptr(streamName), PartitionKey: &key, Data: []byte(d)})
		if err != nil {
			f.t.Fatal(err)
		}
	}
}

// aggregate packs one record a datum, "key=datum", into one Kinesis record.
func aggregate(users ...string) []byte {
	var b aggregation.Builder
	for _, u := range users {
		key, data, _ := strings.Cut(u, "=")
		b.Add(aggregation.Record{PartitionKey: key, Data: []byte(data)})
	}
	return b.AppendTo(nil)
}

// putRaw stores one Kinesis record at a hash key, "" for that of the partition key, and returns its sequence number.
func (f *fleet) putRaw(key, hashKey string, data []byte) string {
	f.t.Helper()
	in := &kinesis.PutRecordInput{StreamName: ptr(streamName), PartitionKey: &key, Data: data}
	if hashKey != "" {
		in.ExplicitHashKey = &hashKey
	}
	out, err := f.api.PutRecord(context.Background(), in)
	if err != nil {
		f.t.Fatal(err)
	}
	return *out.SequenceNumber
}

// row reads a lease past the rules for workers.
func (f *fleet) row(key string) lease.Lease {
	f.t.Helper()
	l, err := f.store.Get(context.Background(), key)
	if err != nil && !errors.Is(err, lease.ErrNotFound) {
		f.t.Fatal(err)
	}
	return l
}

// owns reports whether worker w owns a lease.
func (f *fleet) owns(w *worker, key string) bool { return f.row(key).Owner == w.Health().Worker }

// stored waits until position p is in the table.
func (f *fleet) stored(key string, p checkpoint.Position) {
	f.t.Helper()
	f.until("stored "+p.String(), time.Minute, func() bool { return f.row(key).Checkpoint.Position == p })
}

func at(t *testing.T, sequence string, sub int64) checkpoint.Position {
	t.Helper()
	p, err := checkpoint.At(sequence, sub)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func numbers(from, to int) []string {
	var s []string
	for i := from; i < to; i++ {
		s = append(s, fmt.Sprint(i))
	}
	return s
}

func ptr[T any](v T) *T { return &v }

// reframe changes the message inside an aggregate and makes its checksum anew.
func reframe(aggregate []byte, change func(message []byte)) []byte {
	message := aggregate[4 : len(aggregate)-md5.Size]
	change(message)
	sum := md5.Sum(message)
	return append(aggregate[:len(aggregate)-md5.Size], sum[:]...)
}
