package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesiskit/kinesiskit/consumer"
	"github.com/kinesiskit/kinesiskit/kinesistest"
)

const testStreamARN = "arn:aws:kinesis:us-east-1:000000000000:stream/" + streamName

// pushed is fast with enhanced fan-out.
func pushed(name string, change func(*consumer.FanOut)) consumer.Config {
	cfg := fast(name)
	cfg.FanOut = &consumer.FanOut{}
	if change != nil {
		change(cfg.FanOut)
	}
	return cfg
}

// consumers are the names and states of the stream's fan-out consumers.
func (f *fleet) consumers() []string {
	f.t.Helper()
	out, err := f.api.ListStreamConsumers(context.Background(), &kinesis.ListStreamConsumersInput{StreamARN: ptr(testStreamARN)})
	if err != nil {
		f.t.Fatal(err)
	}
	var all []string
	for _, c := range out.Consumers {
		all = append(all, *c.ConsumerName+" "+string(c.ConsumerStatus))
	}
	return all
}

func (f *fleet) deregister(name string) {
	f.t.Helper()
	_, err := f.api.DeregisterStreamConsumer(context.Background(), &kinesis.DeregisterStreamConsumerInput{StreamARN: ptr(testStreamARN), ConsumerName: &name})
	if err != nil {
		f.t.Fatal(err)
	}
}

// ways counts the pages and the failures of a worker, by the way they came.
type ways struct {
	mu                                sync.Mutex
	pushed, polled, pushFail, polFail int
}

func (w *ways) option() consumer.Option {
	return consumer.WithHooks(consumer.Hooks{Fetched: func(e consumer.FetchEvent) {
		w.mu.Lock()
		defer w.mu.Unlock()
		switch {
		case e.FanOut && e.Err == nil:
			w.pushed++
		case e.FanOut:
			w.pushFail++
		case e.Err == nil:
			w.polled++
		default:
			w.polFail++
		}
	}})
}

func (w *ways) read() (pushed, polled int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pushed, w.polled
}

func TestByFanOutRecordsArePushedAndNothingIsPolled(t *testing.T) {
	bubble(t, 2, func(f *fleet) {
		f.put("k", "0")
		var way ways
		w := f.run(pushed("w1", nil), nil, way.option())
		f.until("both shards", time.Minute, func() bool { return len(w.Health().Shards) == 2 })
		f.delivered(1)
		time.Sleep(time.Minute)
		if first := f.deliveries()[0]; f.row(first.shard).Checkpoint.Position != first.position {
			t.Errorf("events without records moved the stored position to %s", f.row(first.shard).Checkpoint.Position)
		}
		for i := 1; i < 100; i++ { // beyond five minutes
			time.Sleep(7 * time.Second)
			f.put("k", fmt.Sprint(i))
			written := time.Now()
			f.delivered(i + 1)
			if late := f.deliveries()[i].at.Sub(written); late > 0 {
				t.Fatalf("record %d came after %v", i, late)
			}
		}
		f.want(numbers(0, 100)...)
		if n := f.s.Calls("GetRecords") + f.s.Calls("GetShardIterator"); n != 0 {
			t.Errorf("%d calls of polling", n)
		}
		if got, calls := f.consumers(), f.s.Calls("SubscribeToShard"); !slices.Equal(got, []string{"app ACTIVE"}) || calls > 10 {
			t.Errorf("consumers %q, %d subscriptions", got, calls)
		}
		if p, q := way.read(); p < 100 || q != 0 {
			t.Errorf("%d events and %d pages were told", p, q)
		}
		if err := w.leave(); err != nil {
			t.Fatal(err)
		}
		if got := f.consumers(); len(got) != 1 {
			t.Errorf("left with consumers %q", got)
		}
	})
}

// Faults of the calls and of the streams, of every kind and at any byte, while records keep coming, to 8 shards on one client.
func TestFaultsOfFanOutSkipAndReorderNothing(t *testing.T) {
	bubble(t, 8, func(f *fleet) {
		rng := rand.New(rand.NewPCG(5, 5))
		for range 150 {
			f.s.On("SubscribeToShard", kinesistest.CutStream(rng.IntN(5), rng.IntN(500))).From("w1").Times(1)
		}
		for _, fault := range []kinesistest.Fault{
			kinesistest.Throttle(), kinesistest.Status(500), kinesistest.LoseReply(), kinesistest.LoseRequest(), kinesistest.Delay(time.Minute),
			kinesistest.Exception("ResourceInUseException", "no"), kinesistest.Exception("ResourceNotFoundException", "gone"),
			kinesistest.Exception("KMSAccessDeniedException", "no"), kinesistest.CutStream(-1, 20),
		} {
			f.s.On("SubscribeToShard", fault).From("w1").Sometimes(0.05).For(4 * time.Minute)
		}
		w := f.run(pushed("w1", nil), nil)
		const keys, each = 16, 80
		for i := range each {
			for k := range keys {
				f.put(fmt.Sprint("key", k), fmt.Sprint(i))
			}
			time.Sleep(3 * time.Second)
		}
		f.delivered(keys * each)
		last := map[string]int{}
		for _, d := range f.deliveries() {
			if want := fmt.Sprint(last[d.key]); d.data != want {
				t.Fatalf("%s: %s where %s was due", d.key, d.data, want)
			}
			last[d.key]++
		}
		f.until("well", 2*time.Minute, func() bool {
			return !slices.ContainsFunc(w.Health().Shards, func(s consumer.ShardHealth) bool { return s.Err != nil })
		})
		if calls := f.s.Calls("SubscribeToShard"); calls < 150 {
			t.Errorf("%d subscriptions: the faults were not met", calls)
		}
	})
}

func TestAHandlerThatTakesTenMinutesCostsNeitherTheLeaseNorARecord(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("k", numbers(0, 3)...)
		h := consumer.Each(func(_ context.Context, r *consumer.Record) error {
			if string(r.Data) == "1" {
				time.Sleep(10 * time.Minute)
			}
			f.note("w1", r)
			return nil
		})
		w := f.run(pushed("w1", nil), h)
		f.delivered(1)
		f.run(pushed("w2", nil), nil) // would take the lease if it could
		for i := 3; i < 103; i++ {
			f.put("k", fmt.Sprint(i))
			time.Sleep(5 * time.Second)
			if !f.owns(w, shard0) {
				t.Fatal("the lease was lost")
			}
		}
		f.until("all", 10*time.Minute, func() bool { return len(f.deliveries()) == 103 })
		f.want(numbers(0, 103)...)
	})
}

func TestByFanOutReshardsKeepTheOrderOfEveryKey(t *testing.T) {
	bubble(t, 2, func(f *fleet) {
		for i := range 3 {
			f.run(pushed(fmt.Sprint("w", i), nil), nil)
		}
		const keys, each = 8, 50
		open := []string{shard0, shard1}
		for i := range each {
			for k := range keys {
				f.put(fmt.Sprint("key", k), fmt.Sprint(i))
			}
			switch i % 10 {
			case 2:
				left, right := f.s.Split(streamName, open[0])
				open = append(open[1:], left, right)
			case 7:
				n := len(open)
				open = append(open[:n-2], f.s.Merge(streamName, open[n-2], open[n-1]))
			}
			time.Sleep(time.Second)
		}
		f.delivered(keys * each)
		last := map[string]int{}
		for _, d := range f.deliveries() {
			if want := fmt.Sprint(last[d.key]); d.data != want {
				t.Fatalf("%s: %s where %s was due", d.key, d.data, want)
			}
			last[d.key]++
		}
		if n := f.s.Calls("GetRecords"); n != 0 {
			t.Errorf("%d polls", n)
		}
		if !f.row(shard0).Ended() || !f.row(shard1).Ended() {
			t.Error("the parents are not finished")
		}
	})
}

func TestByFanOutAStreamThatIsGoneEndsNoShard(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		w := f.run(pushed("w1", nil), nil)
		f.put("k", "a")
		f.delivered(1)
		gone := kinesistest.Exception("ResourceNotFoundException", "gone")
		for _, op := range []string{"SubscribeToShard", "ListShards", "DescribeStreamConsumer", "RegisterStreamConsumer"} {
			f.s.On(op, gone).From("w1").For(6 * time.Minute)
		}
		time.Sleep(5*time.Minute + 30*time.Second) // until the subscription has ended
		h := w.Health()
		if len(h.Shards) != 1 || h.Shards[0].Err == nil || f.row(shard0).Ended() {
			t.Errorf("health %+v, row %+v", h, f.row(shard0))
		}
		f.put("k", "b")
		f.delivered(2)
		f.want("a", "b")
		f.until("well", time.Minute, func() bool { return w.Health().Shards[0].Err == nil })
	})
}

func TestByFanOutARestartInsideAnAggregateDeliversExactlyTheRest(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("k", "0")
		f.putRaw("a", "", aggregate("k=1", "k=2", "k=3", "k=4", "k=5"))
		f.put("k", "6")
		var mu sync.Mutex
		n := 0
		h := consumer.Each(func(ctx context.Context, r *consumer.Record) error {
			mu.Lock()
			defer mu.Unlock()
			if n == 4 {
				return errors.New("not now")
			}
			n++
			f.note("w1", r)
			return nil
		})
		w := f.run(pushed("w1", nil), h)
		f.delivered(4)
		if err := w.leave(); err != nil {
			t.Fatal(err)
		}
		f.run(pushed("w2", nil), nil)
		f.delivered(7)
		f.want(numbers(0, 7)...)
	})
}

func TestByFanOutAnotherWorkerContinuesAfterASilentDeath(t *testing.T) {
	bubble(t, 2, func(f *fleet) {
		f.put("k", numbers(0, 10)...)
		w1 := f.run(pushed("w1", nil), nil)
		f.delivered(10)
		f.until("both shards", time.Minute, func() bool { return len(w1.Health().Shards) == 2 })
		f.stored(f.deliveries()[9].shard, f.deliveries()[9].position)
		w2 := f.run(pushed("w2", nil), nil)
		time.Sleep(time.Second)
		// Its table is out of reach, so its lease ends. Its subscription would live on.
		w1.cut()
		f.put("k", numbers(10, 20)...)
		f.until("w2 has both", 2*time.Minute, func() bool { return f.owns(w2, shard0) && f.owns(w2, shard1) })
		f.put("k", numbers(20, 30)...)
		f.delivered(30)
		seen := map[string]int{}
		next := 0
		for _, d := range f.deliveries() {
			var i int
			_, _ = fmt.Sscan(d.data, &i)
			if seen[d.data]++; i > next {
				t.Fatalf("%d where %d was due", i, next)
			}
			next = max(next, i+1)
		}
		if next != 30 {
			t.Errorf("%d of 30 came", next)
		}
	})
}

// closes counts the answers that were closed.
type closes struct {
	next aws.HTTPClient
	n    atomic.Int64
}

func (c *closes) Do(req *http.Request) (*http.Response, error) {
	resp, err := c.next.Do(req)
	if err == nil && strings.HasSuffix(req.Header.Get("X-Amz-Target"), "SubscribeToShard") {
		resp.Body = &closing{resp.Body, c}
	}
	return resp, err
}

type closing struct {
	io.ReadCloser
	all *closes
}

func (c *closing) Close() error {
	c.all.n.Add(1)
	return c.ReadCloser.Close()
}

// A stop ends the subscriptions at once, though code for a shard still runs: the next owner need not wait for it.
func TestAStopEndsSubscriptionsAtOnce(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		busy := make(chan struct{})
		h := consumer.Each(func(_ context.Context, r *consumer.Record) error {
			if string(r.Data) == "0" {
				<-busy
			}
			f.note("w1", r)
			return nil
		})
		f.put("k", "0")
		w1 := f.make(pushed("w1", nil), h)
		body := &closes{next: f.s.Config("w1").HTTPClient}
		api := kinesis.NewFromConfig(f.s.Config("w1"), func(o *kinesis.Options) { o.HTTPClient = body })
		var err error
		if w1.Consumer, err = consumer.New(pushed("w1", nil), api, f.store, h); err != nil {
			t.Fatal(err)
		}
		w1.run()
		f.until("busy", time.Minute, func() bool { hs := w1.Health().Shards; return len(hs) == 1 && !hs[0].BusySince.IsZero() })
		time.Sleep(10 * time.Second)
		before := body.n.Load()
		w1.stop()
		time.Sleep(time.Second)
		if body.n.Load() == before {
			t.Error("the subscription goes on")
		}
		f.put("k", "1", "2")
		close(busy)
		<-w1.done
		if w1.err != nil {
			t.Fatal(w1.err)
		}
		left := time.Now()
		f.run(pushed("w2", nil), nil)
		f.delivered(3)
		f.want("0", "1", "2")
		if d := f.deliveries()[1]; d.worker != "w2" || d.at.Sub(left) > 6*time.Second {
			t.Errorf("%s continued after %v", d.worker, d.at.Sub(left))
		}
	})
}
