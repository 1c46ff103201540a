package fetch_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/consumer/internal/fetch"
	"github.com/kinesiskit/kinesiskit/internal/awsx"
	"github.com/kinesiskit/kinesiskit/kinesistest"
)

const streamARN = "arn:aws:kinesis:us-east-1:000000000000:stream/" + streamName

func (s *spy) SubscribeToShard(ctx context.Context, in *kinesis.SubscribeToShardInput, opts ...func(*kinesis.Options)) (*kinesis.SubscribeToShardOutput, error) {
	what := string(in.StartingPosition.Type)
	if in.StartingPosition.SequenceNumber != nil {
		what += " " + *in.StartingPosition.SequenceNumber
	}
	s.positions = append(s.positions, what)
	s.subscribed = append(s.subscribed, time.Since(s.begin))
	return s.Client.SubscribeToShard(ctx, in, opts...)
}

// registered is a consumer whose registration never ends, and what was said of it.
type registered struct {
	arn     string
	err     error
	missing int
}

func (r *registered) ARN(context.Context) (string, error) { return r.arn, r.err }
func (r *registered) Missing(string)                      { r.missing++ }

// register makes a consumer at the server.
func (b *bench) register(name string) *registered {
	b.t.Helper()
	out, err := kinesis.NewFromConfig(b.s.Config("operator")).RegisterStreamConsumer(context.Background(),
		&kinesis.RegisterStreamConsumerInput{StreamARN: aws.String(streamARN), ConsumerName: &name})
	if err != nil {
		b.t.Fatal(err)
	}
	return &registered{arn: *out.Consumer.ConsumerARN}
}

func (b *bench) subscriber(c fetch.Registration, start checkpoint.Position) *fetch.Subscriber {
	s := fetch.NewSubscriber(b.spy, fetch.SubscriberOptions{
		Consumer: c, Shard: shardID, Start: fetch.Place{Position: start}, Rand: rand.New(rand.NewPCG(1, 1)), Memory: fetch.NewBudget(1 << 30).Open(),
	})
	b.t.Cleanup(s.Close)
	return s
}

type nexter interface {
	Next(ctx context.Context) (*fetch.Page, error)
}

// records collects n records, and fails on an error or on more.
func (b *bench) records(from nexter, n int) string {
	b.t.Helper()
	var all strings.Builder
	for got := 0; got < n; {
		page, err := from.Next(context.Background())
		if err != nil {
			b.t.Fatal(err)
		}
		got += len(page.Records)
		all.WriteString(data(page))
		if got > n {
			b.t.Fatalf("%d records, %q, want %d", got, all.String(), n)
		}
	}
	return all.String()
}

// other subscribes for somebody else with the same consumer, and keeps what it gets to itself.
func (b *bench) other(arn string) {
	b.t.Helper()
	if err := b.tryOther(arn); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) tryOther(arn string) error {
	shard := shardID
	out, err := kinesis.NewFromConfig(b.s.Config("other")).SubscribeToShard(context.Background(), &kinesis.SubscribeToShardInput{
		ConsumerARN: &arn, ShardId: &shard, StartingPosition: &types.StartingPosition{Type: types.ShardIteratorTypeLatest},
	}, awsx.SubscribeOnce)
	if err != nil {
		return err
	}
	b.t.Cleanup(func() { _ = out.GetStream().Close() })
	return nil
}

func TestAfterFiveMinutesTheNextSubscriptionFollowsAtOnce(t *testing.T) {
	bubble(t, func(b *bench) {
		s := b.subscriber(b.register("app"), checkpoint.TrimHorizon)
		defer s.Close()
		b.put("a")
		got := b.records(s, 1)
		for time.Since(b.begin) < 11*time.Minute {
			page := b.next(s)
			if age := time.Since(page.At); age < 0 || age >= time.Second {
				t.Fatalf("the service's clock is %v off", age)
			}
		}
		b.put("b")
		if got += b.records(s, 1); got != "ab" {
			t.Errorf("got %q", got)
		}
		if want := []time.Duration{0, 5 * time.Minute, 10 * time.Minute}; !slices.Equal(b.subscribed, want) {
			t.Errorf("subscribed at %v, want %v", b.subscribed, want)
		}
		if b.positions[0] != "TRIM_HORIZON" || !strings.HasPrefix(b.positions[1], "AFTER_SEQUENCE_NUMBER ") || b.positions[1] >= b.positions[2] {
			t.Errorf("subscribed at %q: an idle shard's place moves on", b.positions)
		}
	})
}

func TestACutAtAnyByteLosesAndRepeatsNothing(t *testing.T) {
	bubble(t, func(b *bench) {
		rng := rand.New(rand.NewPCG(7, 7))
		s := b.subscriber(b.register("app"), checkpoint.TrimHorizon)
		defer s.Close()
		var want, got strings.Builder
		for range 200 { // one for each subscription
			b.s.On("SubscribeToShard", kinesistest.CutStream(rng.IntN(4), rng.IntN(400))).Times(1)
		}
		for i := range 60 {
			for j := range 1 + rng.IntN(4) {
				text := fmt.Sprintf("%d.%d ", i, j)
				want.WriteString(text)
				b.put(text)
				time.Sleep(time.Duration(rng.IntN(3000)) * time.Millisecond)
			}
			for got.Len() < want.Len() {
				page, err := s.Next(context.Background())
				if err == nil {
					got.WriteString(data(page))
				}
			}
		}
		if got.String() != want.String() {
			t.Errorf("got %q\nwant %q", got.String(), want.String())
		}
		if n := len(b.positions); n < 30 {
			t.Errorf("%d subscriptions: the cuts were not met", n)
		}
		for i := range b.subscribed[1:] {
			if d := b.subscribed[i+1] - b.subscribed[i]; d < 5*time.Second {
				t.Errorf("a subscription was followed by another call after %v", d)
			}
		}
	})
}

func TestASubscriptionThatIsCutAtOnceIsTold(t *testing.T) {
	bubble(t, func(b *bench) {
		b.put("a")
		s := b.subscriber(b.register("app"), checkpoint.TrimHorizon)
		defer s.Close()
		b.s.On("SubscribeToShard", kinesistest.CutStream(0, 0)).Times(2)
		b.fails(s)
		b.fails(s)
		if got := b.records(s, 1); got != "a" {
			t.Errorf("got %q", got)
		}
	})
}

// What was not taken is subscribed to again, and until then it costs two events of memory.
func TestAPageThatIsHeldCostsTwoEventsAndNothingElse(t *testing.T) {
	bubble(t, func(b *bench) {
		body := &counting{next: b.s.Config("reader").HTTPClient}
		cfg := b.s.Config("reader")
		cfg.HTTPClient = body
		b.spy.Client = kinesis.NewFromConfig(cfg)
		const event = 600_000 // so that each has an event of its own
		var want []string
		for i := range 8 {
			b.put(strings.Repeat(string(rune('a'+i)), event))
			want = append(want, string(rune('a'+i)))
		}
		s := b.subscriber(b.register("app"), checkpoint.TrimHorizon)
		defer s.Close()
		var got []string
		got = append(got, data(b.next(s))[:1])
		synctest.Wait()
		time.Sleep(10 * time.Minute) // in the hands of the application
		synctest.Wait()
		// Base64 makes four bytes of three.
		if n := body.read.Load(); n > 3*event*3/2 {
			t.Errorf("%d bytes were read, of which one event was taken", n)
		}
		for len(got) < len(want) {
			if text := data(b.next(s)); text != "" {
				got = append(got, text[:1])
			}
		}
		if !slices.Equal(got, want) || len(b.positions) < 2 {
			t.Errorf("got %q with subscriptions at %q", got, b.positions)
		}
	}, kinesistest.WithoutLimits())
}

// counting counts what is read of answers, and how many were closed.
type counting struct {
	next         aws.HTTPClient
	read, closed atomic.Int64
}

func (c *counting) Do(req *http.Request) (*http.Response, error) {
	resp, err := c.next.Do(req)
	if err == nil {
		resp.Body = &countingBody{resp.Body, c}
	}
	return resp, err
}

type countingBody struct {
	io.ReadCloser
	all *counting
}

func (c *countingBody) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.all.read.Add(int64(n))
	return n, err
}

func (c *countingBody) Close() error {
	c.all.closed.Add(1)
	return c.ReadCloser.Close()
}
