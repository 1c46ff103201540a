package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesiskit/kinesiskit/consumer"
	"github.com/kinesiskit/kinesiskit/kinesistest"
)

// gated is a handler that notes a record once the test lets it.
func (f *fleet) gated(worker string, gate <-chan struct{}) consumer.Handler {
	return consumer.Each(func(ctx context.Context, r *consumer.Record) error {
		select {
		case <-gate:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		f.note(worker, r)
		return nil
	})
}

// single is fast with pages of one record.
func single(name string) consumer.Config {
	cfg := fast(name)
	cfg.Polling.MaxRecords = 1
	return cfg
}

func TestTheNextPageIsFetchedWhileYourCodeRuns(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("k", numbers(0, 5)...)
		gate := make(chan struct{})
		w := f.run(single("w1"), f.gated("w1", gate))
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := f.s.Calls("GetRecords"); n != 2 {
			t.Errorf("%d pages were fetched while the first was worked on, want that and one more", n)
		}
		if got := w.Health().Buffered; got != 2*int64(len("k0")) {
			t.Errorf("%d bytes are buffered", got)
		}
		for i := range 5 {
			gate <- struct{}{}
			time.Sleep(time.Second) // the next page has its time meanwhile
			begin := time.Now()
			f.delivered(i + 1)
			if took := time.Since(begin); took > 0 {
				t.Errorf("record %d came %v late: it was not there", i, took)
			}
		}
		f.want(numbers(0, 5)...)
		f.until("nothing is buffered", time.Minute, func() bool { return w.Health().Buffered == 0 })
	})
}

func TestAPageThatWasFetchedAheadGoesToTheNextOwner(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("k", numbers(0, 5)...)
		gate := make(chan struct{})
		w1 := f.run(single("w1"), f.gated("w1", gate))
		time.Sleep(10 * time.Second)
		go func() {
			time.Sleep(time.Second)
			gate <- struct{}{}
		}()
		if err := w1.leave(); err != nil {
			t.Fatal(err)
		}
		if got := w1.Health().Buffered; got != 0 {
			t.Errorf("%d bytes are buffered by nobody", got)
		}
		f.start("w2")
		f.delivered(5)
		f.want(numbers(0, 5)...)
	})
}

func TestAnEndThatWasFetchedAheadWaitsForWhatStandsBeforeIt(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("k", "a", "b")
		f.s.Split(streamName, shard0)
		f.put("k", "c")
		gate := make(chan struct{})
		w := f.run(single("w1"), f.gated("w1", gate))
		for _, before := range []string{"", "a"} {
			time.Sleep(20 * time.Second)
			synctest.Wait()
			if got := strings.Join(f.data(), ""); got != before || f.row(shard0).Ended() || len(w.Health().Shards) != 1 {
				t.Errorf("delivered %q, ended: %v, shards %+v", got, f.row(shard0).Ended(), w.Health().Shards)
			}
			gate <- struct{}{}
		}
		close(gate)
		f.delivered(3)
		f.want("a", "b", "c")
		f.until("the end", time.Minute, f.row(shard0).Ended)
	})
}

func TestAFailureToFetchAheadIsToldAndMendedAfterTheCall(t *testing.T) {
	for name, fault := range map[string]kinesistest.Fault{
		"throttle": kinesistest.Throttle(), "expired": kinesistest.ExpireIterator(), "kms": kinesistest.Exception("KMSDisabledException", "no"),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, func(f *fleet) {
				f.put("k", numbers(0, 5)...)
				f.s.On("GetRecords", fault).After(1).Times(2)
				gate := make(chan struct{})
				w := f.run(single("w1"), f.gated("w1", gate))
				time.Sleep(time.Minute)
				gate <- struct{}{}
				f.until("told", time.Minute, func() bool { return name == "expired" || w.Health().Shards[0].Err != nil })
				close(gate)
				f.delivered(5)
				f.want(numbers(0, 5)...)
			})
		})
	}
}

func TestDelaysOfYourCodeDoNotDependOnThoseOfFetching(t *testing.T) {
	var runs [2][]time.Duration
	for i := range runs {
		synctest.Test(t, func(t *testing.T) {
			f := newFleet(t, 1)
			defer f.close()
			f.put("k", "a", "b")
			if i == 1 {
				f.s.On("GetRecords", kinesistest.Throttle()).After(1).For(time.Minute)
			}
			begin := time.Now()
			f.run(single("w1"), consumer.Each(func(context.Context, *consumer.Record) error {
				runs[i] = append(runs[i], time.Since(begin))
				time.Sleep(time.Second) // meanwhile the next page is asked for
				return errors.New("no")
			}))
			time.Sleep(time.Minute)
		})
	}
	if n := min(len(runs[0]), len(runs[1])); n < 5 || !slices.Equal(runs[0], runs[1]) {
		t.Errorf("one seed, two timings: %v and, with throttles, %v", runs[0], runs[1])
	}
}

// calls counts a worker's calls for records in each second, and the throttles.
type calls struct {
	mu        sync.Mutex
	begin     time.Time
	perSecond map[int]int
	throttled int
}

func (c *calls) option() consumer.Option {
	c.begin, c.perSecond = time.Now(), map[int]int{}
	return consumer.WithHooks(consumer.Hooks{Fetched: func(e consumer.FetchEvent) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.perSecond[int((time.Since(c.begin)-e.Took).Seconds())]++
		if e.Err != nil {
			c.throttled++
		}
	}})
}

func (c *calls) most() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	most := 0
	for _, n := range c.perSecond {
		most = max(most, n)
	}
	return most
}

// reader polls the shard once a second, as another application might.
func (f *fleet) reader(for_ time.Duration) (throttled int) {
	f.t.Helper()
	it, err := f.api.GetShardIterator(context.Background(), &kinesis.GetShardIteratorInput{
		StreamName: ptr(streamName), ShardId: ptr(shard0), ShardIteratorType: types.ShardIteratorTypeLatest,
	})
	if err != nil {
		f.t.Fatal(err)
	}
	for begin := time.Now(); time.Since(begin) < for_; time.Sleep(time.Second) {
		if _, err := f.api.GetRecords(context.Background(), &kinesis.GetRecordsInput{ShardIterator: it.ShardIterator}); err != nil {
			throttled++
		}
	}
	return throttled
}

func TestAtTheTipAShardIsAskedOnceASecond(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		var c calls
		f.run(fast("w1"), nil, c.option())
		time.Sleep(time.Minute)
		f.put("k", numbers(0, 10)...)
		f.delivered(10)
		if n := f.s.Calls("GetRecords"); n < 55 || n > 65 || c.most() > 1 {
			t.Errorf("%d calls in a minute, at most %d in a second", n, c.most())
		}
	})
}

func TestBehindTheTipFourCallsASecondLeaveOneToOthers(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("k", numbers(0, 200)...)
		var c calls
		f.run(single("w1"), nil, c.option())
		time.Sleep(time.Second)
		throttled := f.reader(40 * time.Second)
		f.delivered(160)
		if c.most() > 4 || c.throttled > 0 || throttled > 0 {
			t.Errorf("at most %d calls in a second; it was throttled %d times, and another reader %d times", c.most(), c.throttled, throttled)
		}
	})
}

func TestAfterTenMiBNothingIsAskedForFiveSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 1)
		defer f.close()
		const records = 22
		for i := range records {
			f.putRaw("k", "", heavy(fmt.Sprint(i)))
			time.Sleep(1100 * time.Millisecond) // a shard takes a MiB a second
		}
		var c calls
		begin := time.Now()
		f.run(fast("w1"), consumer.Each(func(_ context.Context, r *consumer.Record) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.got = append(f.got, delivery{data: light(r.Data), at: time.Now()})
			return nil
		}), c.option())
		f.delivered(records)
		f.want(numbers(0, records)...)
		if took := time.Since(begin); c.throttled > 0 || took < 9*time.Second || took > 15*time.Second {
			t.Errorf("22 MiB took %v, with %d throttles: a shard gives 10 MiB at once, and 2 MiB a second", took, c.throttled)
		}
	})
}

func TestThrottlesAreWaitedOutWithSeededDelays(t *testing.T) {
	var runs [2][]time.Duration
	for i := range runs {
		synctest.Test(t, func(t *testing.T) {
			f := newFleet(t, 1)
			defer f.close()
			f.s.On("GetRecords", kinesistest.Throttle()).Times(8)
			f.put("k", "a")
			begin := time.Now()
			f.run(fast("w1"), nil, consumer.WithHooks(consumer.Hooks{Fetched: func(e consumer.FetchEvent) {
				if len(runs[i]) < 9 {
					runs[i] = append(runs[i], time.Since(begin))
				}
			}}))
			f.delivered(1)
			f.want("a")
		})
	}
	if !slices.Equal(runs[0], runs[1]) {
		t.Errorf("one seed, two timings: %v and %v", runs[0], runs[1])
	}
	limit := 250 * time.Millisecond
	for i := 1; i < len(runs[0]); i++ {
		if wait := runs[0][i] - runs[0][i-1]; wait < limit/2 || wait > limit {
			t.Errorf("throttle %d was followed by a pause of %v, want %v to %v", i, wait, limit/2, limit)
		}
		limit = min(2*limit, 10*time.Second)
	}
}

func TestTroubleWithTheKeyOfAStreamPasses(t *testing.T) {
	for _, code := range []string{
		"KMSAccessDeniedException", "KMSDisabledException", "KMSInvalidStateException", "KMSNotFoundException", "KMSOptInRequired", "KMSThrottlingException",
	} {
		t.Run(code, func(t *testing.T) {
			bubble(t, 1, func(f *fleet) {
				f.put("k", "a")
				rule := f.s.On("GetRecords", kinesistest.Exception(code, "no"))
				w := f.start("w1")
				f.until("told", time.Minute, func() bool {
					hs := w.Health().Shards
					return len(hs) == 1 && hs[0].Err != nil && strings.Contains(hs[0].Err.Error(), code)
				})
				time.Sleep(10 * time.Minute)
				if w.Health().State != consumer.Running {
					t.Fatalf("state %v", w.Health().State)
				}
				rule.Remove()
				f.delivered(1)
				f.until("well", time.Minute, func() bool { return w.Health().Shards[0].Err == nil })
			})
		})
	}
}
