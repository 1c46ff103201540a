package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesiskit/kinesiskit/consumer"
	"github.com/kinesiskit/kinesiskit/kinesistest"
)

func TestWorkersThatStartTogetherShareOneConsumer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleetOn(t, kinesistest.New(kinesistest.WithTransitions(20*time.Second)))
		defer f.close()
		f.s.CreateStream(streamName, 4)
		time.Sleep(30 * time.Second)
		registered := f.s.On("RegisterStreamConsumer", kinesistest.LoseReply()).Times(1)
		for i := range 6 {
			f.run(pushed(fmt.Sprint("w", i), nil), nil)
		}
		for k := range 16 {
			f.put(fmt.Sprint(k), "x")
		}
		f.until("registered", time.Minute, func() bool { return registered.Hits() == 1 })
		time.Sleep(15 * time.Second)
		if n, calls := len(f.deliveries()), f.s.Calls("SubscribeToShard"); n != 0 || calls != 0 {
			t.Errorf("%d records and %d subscriptions before the consumer was ACTIVE", n, calls)
		}
		f.delivered(16)
		if got := f.consumers(); !slices.Equal(got, []string{"app ACTIVE"}) {
			t.Errorf("consumers %q", got)
		}
	})
}

func TestAConsumerThatSomebodyDeregistersIsRegisteredAgain(t *testing.T) {
	bubble(t, 2, func(f *fleet) {
		w1, w2 := f.run(pushed("w1", nil), nil), f.run(pushed("w2", nil), nil)
		f.until("one shard each", time.Minute, func() bool { return len(w1.Health().Shards) == 1 && len(w2.Health().Shards) == 1 })
		for i := range 30 {
			if i%10 == 5 {
				f.deregister("app")
			}
			f.put("k", fmt.Sprint(i))
			time.Sleep(2 * time.Second)
		}
		f.delivered(30)
		f.want(numbers(0, 30)...)
		if got := f.consumers(); !slices.Equal(got, []string{"app ACTIVE"}) {
			t.Errorf("consumers %q", got)
		}
	})
}

func TestOnlyWhatThisProcessRegisteredIsDeregistered(t *testing.T) {
	deregister := func(o *consumer.FanOut) { o.Deregister = true }
	bubble(t, 1, func(f *fleet) {
		f.put("k", "a")
		first := f.run(pushed("w1", deregister), nil)
		f.delivered(1)
		second := f.run(pushed("w2", deregister), nil)
		time.Sleep(failover)
		if err := second.leave(); err != nil {
			t.Fatal(err)
		}
		if got := f.consumers(); len(got) != 1 {
			t.Errorf("a worker that registered nothing left consumers %q", got)
		}
		f.s.On("DeregisterStreamConsumer", kinesistest.Throttle()).Times(2)
		if err := first.leave(); err != nil {
			t.Fatal(err)
		}
		if got := f.consumers(); len(got) != 0 {
			t.Errorf("the worker that registered it left consumers %q", got)
		}
	})
}

func TestADeregistrationThatFailsDelaysTheEndOfRunByFiveSeconds(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		w := f.run(pushed("w1", func(o *consumer.FanOut) { o.Deregister = true }), nil)
		f.until("held", time.Minute, func() bool { return len(w.Health().Shards) == 1 })
		f.s.On("DeregisterStreamConsumer", kinesistest.Delay(time.Hour))
		begin := time.Now()
		if err := w.leave(); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took < 5*time.Second || took > 7*time.Second {
			t.Errorf("the stop took %v", took)
		}
	})
}

func TestConsumersOfTwoNamesReadEverythingEach(t *testing.T) {
	bubble(t, 2, func(f *fleet) {
		for _, name := range []string{"left", "right"} {
			cfg := pushed(name, func(o *consumer.FanOut) { o.Name = name })
			w := f.make(cfg, nil)
			other := f.store // of the first
			if name == "right" {
				other = f.table("other-app")
			}
			c, err := consumer.New(cfg, kinesis.NewFromConfig(f.s.Config(name)), other, f.recorder(name))
			if err != nil {
				t.Fatal(err)
			}
			w.Consumer = c
			w.run()
		}
		for i := range 50 {
			f.put(fmt.Sprint(i%5), fmt.Sprint(i))
			time.Sleep(time.Second)
		}
		f.delivered(100)
		for _, name := range []string{"left", "right"} {
			last := map[string]int{}
			n := 0
			for _, d := range f.deliveries() {
				if d.worker == name {
					var i int
					_, _ = fmt.Sscan(d.data, &i)
					if i < last[d.key] {
						t.Errorf("%s: %d after %d", name, i, last[d.key])
					}
					last[d.key] = i
					n++
				}
			}
			if n != 50 {
				t.Errorf("%s got %d records", name, n)
			}
		}
		if got := f.consumers(); !slices.Equal(got, []string{"left ACTIVE", "right ACTIVE"}) {
			t.Errorf("consumers %q", got)
		}
	})
}

func TestAConsumerOfAGivenARNIsUsedAndLeftAlone(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		out, err := f.api.RegisterStreamConsumer(context.Background(), &kinesis.RegisterStreamConsumerInput{StreamARN: ptr(testStreamARN), ConsumerName: ptr("theirs")})
		if err != nil {
			t.Fatal(err)
		}
		f.put("k", "a")
		w := f.run(pushed("w1", func(o *consumer.FanOut) { o.ARN = *out.Consumer.ConsumerARN }), nil)
		f.delivered(1)
		if n := f.s.Calls("RegisterStreamConsumer") + f.s.Calls("DescribeStreamSummary"); n != 1 {
			t.Errorf("%d calls that were not needed", n-1)
		}
		f.deregister("theirs")
		f.put("k", "b")
		time.Sleep(time.Minute)
		if h := w.Health(); len(h.Shards) != 1 || h.Shards[0].Err == nil || len(f.consumers()) != 0 {
			t.Errorf("health %+v, consumers %q", h, f.consumers())
		}
		if err := w.leave(); err != nil {
			t.Fatal(err)
		}
		late := f.run(pushed("w2", func(o *consumer.FanOut) { o.ARN = *out.Consumer.ConsumerARN }), nil)
		<-late.done
		var bad *consumer.ConfigError
		var gone *types.ResourceNotFoundException
		if !errors.As(late.err, &bad) || bad.Field != "FanOut.ARN" || !errors.As(late.err, &gone) {
			t.Errorf("run returned %v", late.err)
		}
	})
}

func TestAFanOutConsumerThatMayNotBeHadEndsRun(t *testing.T) {
	for _, op := range []string{"DescribeStreamSummary", "DescribeStreamConsumer", "RegisterStreamConsumer"} {
		for _, orElsePoll := range []bool{false, true} {
			t.Run(fmt.Sprint(op, orElsePoll), func(t *testing.T) {
				bubble(t, 1, func(f *fleet) {
					f.s.On(op, kinesistest.Exception("AccessDeniedException", "no")).From("w1")
					w := f.run(pushed("w1", func(o *consumer.FanOut) { o.OrElsePoll = orElsePoll }), nil)
					<-w.done
					var bad *consumer.ConfigError
					if !errors.As(w.err, &bad) || bad.Field != "FanOut" {
						t.Errorf("run returned %v", w.err)
					}
				})
			})
		}
	}
}

func TestWhileNoConsumerCanBeHadShardsArePolledIfThatIsWanted(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		for i := range 20 {
			time.Sleep(time.Second)
			_, err := f.api.RegisterStreamConsumer(context.Background(), &kinesis.RegisterStreamConsumerInput{StreamARN: ptr(testStreamARN), ConsumerName: ptr(fmt.Sprint("c", i))})
			if err != nil {
				t.Fatal(err)
			}
		}
		f.put("k", "0")
		// One waits, and says so.
		patient := f.run(pushed("patient", nil), nil)
		time.Sleep(30 * time.Second)
		var limit *types.LimitExceededException
		if h := patient.Health(); h.State != consumer.Starting || !errors.As(h.Err, &limit) || len(f.deliveries()) != 0 {
			t.Errorf("health %+v", h)
		}
		if err := patient.leave(); err != nil {
			t.Fatal(err)
		}
		// The other does not.
		var way ways
		w := f.run(pushed("w1", func(o *consumer.FanOut) { o.OrElsePoll = true }), nil, way.option())
		f.delivered(1)
		if h := w.Health(); h.Ready() != nil || h.Shards[0].Err != nil {
			t.Errorf("health %+v", h)
		}
		for i := 1; i < 120; i++ {
			switch i {
			case 30:
				f.deregister("c7")
			case 80:
				f.deregister("app")
				if _, err := f.api.RegisterStreamConsumer(context.Background(), &kinesis.RegisterStreamConsumerInput{StreamARN: ptr(testStreamARN), ConsumerName: ptr("c7")}); err != nil {
					t.Fatal(err)
				}
			}
			f.put("k", fmt.Sprint(i))
			time.Sleep(time.Second)
			if p, _ := way.read(); i == 29 && p != 0 || i == 79 && p == 0 {
				t.Errorf("after %d s: %d events", i, p)
			}
		}
		f.delivered(120)
		f.want(numbers(0, 120)...)
		if _, polled := way.read(); polled < 60 {
			t.Errorf("%d polls", polled)
		}
		for i, d := range f.deliveries()[1:] {
			if i > 0 && d.at.Sub(f.deliveries()[i].at) > 15*time.Second {
				t.Errorf("record %s came %v after the one before", d.data, d.at.Sub(f.deliveries()[i].at))
			}
		}
	})
}

func TestFanOutNamesAreChecked(t *testing.T) {
	t.Parallel()
	const arn = testStreamARN + "/consumer/theirs:1700000000"
	for name, c := range map[string]struct {
		application, stream string
		fanOut              consumer.FanOut
		want                string
	}{
		"nothing":               {"app", streamName, consumer.FanOut{}, ""},
		"arn":                   {"app", streamName, consumer.FanOut{ARN: arn}, ""},
		"both by arn":           {"app", testStreamARN, consumer.FanOut{ARN: arn, OrElsePoll: true}, ""},
		"application":           {"my app", streamName, consumer.FanOut{}, "FanOut.Name"},
		"application, and arn":  {"my app", streamName, consumer.FanOut{ARN: arn}, ""},
		"name":                  {"app", streamName, consumer.FanOut{Name: strings.Repeat("x", 129)}, "FanOut.Name"},
		"stream's arn":          {"app", streamName, consumer.FanOut{ARN: testStreamARN}, "FanOut.ARN"},
		"another stream":        {"app", "invoices", consumer.FanOut{ARN: arn}, "FanOut.ARN"},
		"another account":       {"app", strings.Replace(testStreamARN, "000000000000", "111111111111", 1), consumer.FanOut{ARN: arn}, "FanOut.ARN"},
		"name beside arn":       {"app", streamName, consumer.FanOut{ARN: arn, Name: "theirs"}, "FanOut.Name"},
		"deregister beside arn": {"app", streamName, consumer.FanOut{ARN: arn, Deregister: true}, "FanOut.Deregister"},
	} {
		cfg := consumer.Config{Application: c.application, Stream: c.stream, FanOut: &c.fanOut}
		if got := strings.Join(fields(cfg.Validate()), " "); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	given := consumer.FanOut{}
	if full := (consumer.Config{Application: "app", FanOut: &given}).WithDefaults(); full.FanOut.Name != "app" || given.Name != "" {
		t.Errorf("default name %q, the caller's became %q", full.FanOut.Name, given.Name)
	}
}
