package fetch_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/consumer/internal/fetch"
	"github.com/kinesiskit/kinesiskit/kinesistest"
)

const (
	streamName = "orders"
	shardID    = "shardId-000000000000"
)

// spy notes which iterators are asked for, and when records are.
type spy struct {
	*kinesis.Client
	iterators []string
	polls     []time.Duration
	limit     int32
	begin     time.Time

	positions  []string // of subscriptions
	subscribed []time.Duration
}

func (s *spy) GetShardIterator(ctx context.Context, in *kinesis.GetShardIteratorInput, opts ...func(*kinesis.Options)) (*kinesis.GetShardIteratorOutput, error) {
	what := string(in.ShardIteratorType)
	if in.StartingSequenceNumber != nil {
		what += " " + *in.StartingSequenceNumber
	}
	s.iterators = append(s.iterators, what)
	return s.Client.GetShardIterator(ctx, in, opts...)
}

func (s *spy) GetRecords(ctx context.Context, in *kinesis.GetRecordsInput, opts ...func(*kinesis.Options)) (*kinesis.GetRecordsOutput, error) {
	s.polls = append(s.polls, time.Since(s.begin))
	s.limit = *in.Limit
	return s.Client.GetRecords(ctx, in, opts...)
}

// bench is one shard, and what reads it.
type bench struct {
	t *testing.T
	s *kinesistest.Server
	*spy
}

func bubble(t *testing.T, test func(b *bench), opts ...kinesistest.Option) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(opts...)
		defer s.Close()
		s.CreateStream(streamName, 1)
		test(&bench{t, s, &spy{Client: kinesis.NewFromConfig(s.Config("reader")), begin: time.Now()}})
	})
}

func (b *bench) put(data ...string) (sequences []string) {
	b.t.Helper()
	for _, d := range data {
		name, key := streamName, "k"
		out, err := kinesis.NewFromConfig(b.s.Config("writer")).PutRecord(context.Background(),
			&kinesis.PutRecordInput{StreamName: &name, PartitionKey: &key, Data: []byte(d)})
		if err != nil {
			b.t.Fatal(err)
		}
		sequences = append(sequences, *out.SequenceNumber)
	}
	return sequences
}

func (b *bench) poller(start checkpoint.Position, change func(*fetch.Options)) *fetch.Poller {
	o := fetch.Options{
		Stream: fetch.Stream{Name: streamName}, Shard: shardID, Start: fetch.Place{Position: start}, MaxRecords: 100,
		MinInterval: 250 * time.Millisecond, MaxInterval: time.Second, Rand: rand.New(rand.NewPCG(1, 1)), Memory: fetch.NewBudget(1 << 30).Open(),
	}
	if change != nil {
		change(&o)
	}
	return fetch.New(b.spy, o)
}

func (b *bench) next(p nexter) *fetch.Page {
	b.t.Helper()
	page, err := p.Next(context.Background())
	if err != nil {
		b.t.Fatal(err)
	}
	return page
}

func (b *bench) fails(p nexter) {
	b.t.Helper()
	if page, err := p.Next(context.Background()); err == nil {
		b.t.Fatalf("got %+v, want an error", page)
	}
}

func at(t *testing.T, sequence string, sub int64) checkpoint.Position {
	t.Helper()
	p, err := checkpoint.At(sequence, sub)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func data(p *fetch.Page) string {
	var all []string
	for _, r := range p.Records {
		all = append(all, string(r.Data))
	}
	return strings.Join(all, "")
}

func TestPollsArePacedByHowFarBehindTheyAre(t *testing.T) {
	bubble(t, func(b *bench) {
		b.put("a", "b", "c")
		p := b.poller(checkpoint.TrimHorizon, func(o *fetch.Options) { o.MaxRecords = 1 })
		time.Sleep(time.Second)
		b.begin = time.Now()
		for range 5 {
			b.next(p)
		}
		ms := time.Millisecond
		if want := []time.Duration{0, 250 * ms, 500 * ms, 1500 * ms, 2500 * ms}; !slices.Equal(b.polls, want) {
			t.Errorf("polled at %v, want %v", b.polls, want)
		}
		if b.limit != 1 {
			t.Errorf("limit %d", b.limit)
		}
	})
}

func TestTimeSpentOnAPageCountsForThePause(t *testing.T) {
	bubble(t, func(b *bench) {
		p := b.poller(checkpoint.TrimHorizon, nil)
		b.next(p)
		time.Sleep(10 * time.Second)
		b.next(p)
		if want := []time.Duration{0, 10 * time.Second}; !slices.Equal(b.polls, want) {
			t.Errorf("polled at %v, want %v", b.polls, want)
		}
	})
}

func TestALargePageIsFollowedByThePauseThatTheReadRateAsksFor(t *testing.T) {
	for name, c := range map[string]struct{ interval, want time.Duration }{
		"limited":   {250 * time.Millisecond, 2 * time.Second},
		"unlimited": {-1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(b *bench) {
				for range 4 {
					b.put(strings.Repeat("x", 1<<20-1))
				}
				b.put("y")
				p := b.poller(checkpoint.TrimHorizon, func(o *fetch.Options) { o.MaxRecords, o.MinInterval = 4, c.interval })
				time.Sleep(time.Minute)
				b.begin = time.Now()
				b.next(p)
				b.next(p)
				if b.polls[1] != c.want {
					t.Errorf("4 MiB were followed by a pause of %v, want %v", b.polls[1], c.want)
				}
			}, kinesistest.WithoutLimits()) // the pause is the poller's own, also where the service would not ask for it
		})
	}
}

func TestThrottlesAndOutagesKeepTheIterator(t *testing.T) {
	for name, fault := range map[string]kinesistest.Fault{
		"throttle": kinesistest.Throttle(), "500": kinesistest.Status(500), "lost": kinesistest.LoseReply(), "slow": kinesistest.Delay(time.Hour),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(b *bench) {
				b.put("a")
				b.s.On("GetRecords", fault).Times(3)
				p := b.poller(checkpoint.TrimHorizon, nil)
				for range 3 {
					b.fails(p)
				}
				if want := map[string]time.Duration{"slow": 30 * time.Second}[name]; p.Took() != want {
					t.Errorf("the request took %v, want %v", p.Took(), want)
				}
				if got := data(b.next(p)); got != "a" || !slices.Equal(b.iterators, []string{"TRIM_HORIZON"}) {
					t.Errorf("got %q with iterators %q", got, b.iterators)
				}
				if pause := b.polls[3] - b.polls[2]; pause < 500*time.Millisecond {
					t.Errorf("the third failure was followed by a pause of %v", pause)
				}
				b.s.On("GetRecords", kinesistest.Status(500)).Times(1)
				b.fails(p)
				b.next(p)
				if pause := b.polls[5] - b.polls[4]; pause > 250*time.Millisecond {
					t.Errorf("the first failure after a success was followed by a pause of %v", pause)
				}
			})
		})
	}
}

func TestAnExpiredIteratorIsReplacedAtTheSamePlace(t *testing.T) {
	bubble(t, func(b *bench) {
		seq := b.put("a", "b", "c")
		p := b.poller(at(t, seq[1], 0), func(o *fetch.Options) { o.MaxRecords = 1 })
		b.s.On("GetRecords", kinesistest.ExpireIterator()).Times(1)
		b.fails(p) // before the first record
		got := data(b.next(p))
		time.Sleep(6 * time.Minute) // a real expiry
		b.fails(p)
		got += data(b.next(p))
		want := []string{"AT_SEQUENCE_NUMBER " + seq[1], "AT_SEQUENCE_NUMBER " + seq[1], "AFTER_SEQUENCE_NUMBER " + seq[1]}
		if got != "bc" || !slices.Equal(b.iterators, want) {
			t.Errorf("got %q with iterators %q, want %q", got, b.iterators, want)
		}
	})
}

func TestAnUnreadableAnswerDoesNotMoveTheIterator(t *testing.T) {
	bubble(t, func(b *bench) {
		b.put("a")
		b.s.On("GetRecords", kinesistest.Do(func(_ context.Context, _ *kinesistest.Request, next func() kinesistest.Reply) kinesistest.Reply {
			r := next()
			r.Body = []byte(strings.Replace(string(r.Body), `"SequenceNumber":"`, `"SequenceNumber":"-`, 1))
			return r
		})).Times(1)
		p := b.poller(checkpoint.TrimHorizon, nil)
		b.fails(p)
		if got := data(b.next(p)); got != "a" {
			t.Errorf("got %q", got)
		}
	})
}

func TestOnlyAStartAtARecordCanFindItTrimmed(t *testing.T) {
	for name, c := range map[string]struct {
		sub   int64
		trim  bool
		first bool // the number is the shard's starting number, as far as is known
		want  bool
	}{
		"there":                    {0, false, false, false},
		"trimmed":                  {0, true, false, true},
		"inside, trimmed":          {7, true, false, true},
		"before a record, there":   {-1, false, false, false},
		"before a record, trimmed": {-1, true, false, true},
		"before the first record":  {-1, true, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(b *bench) {
				seq := b.put("a")
				time.Sleep(time.Second)
				if c.trim {
					b.s.Trim(streamName, time.Now())
				}
				p := b.poller(at(t, seq[0], c.sub), func(o *fetch.Options) {
					if c.first {
						o.Start.First = seq[0]
					}
				})
				if c.trim && b.next(p).Trimmed {
					t.Error("an empty page proves nothing")
				}
				b.put("b")
				if page := b.next(p); page.Trimmed != c.want {
					t.Errorf("trimmed: %v, want %v", page.Trimmed, c.want)
				}
				b.put("c")
				if page := b.next(p); page.Trimmed {
					t.Error("said twice")
				}
			})
		})
	}
}

func TestTheLastPageHasRecordsAndChildren(t *testing.T) {
	bubble(t, func(b *bench) {
		b.put("a", "b")
		left, right := b.s.Split(streamName, shardID)
		p := b.poller(checkpoint.TrimHorizon, nil)
		page := b.next(p)
		if data(page) != "ab" || !page.Closed || len(page.Children) != 2 {
			t.Fatalf("page %+v", page)
		}
		ids := []string{page.Children[0].ID, page.Children[1].ID}
		slices.Sort(ids)
		if !slices.Equal(ids, []string{left, right}) || !page.Children[0].Range.Known() || !slices.Equal(page.Children[0].Parents, []string{shardID}) {
			t.Errorf("children %+v", page.Children)
		}
		if again := b.next(p); !again.Closed || len(again.Records) != 0 {
			t.Errorf("asked again it answers %+v", again)
		}
	})
}

func TestAnEndedContextEndsTheWaitAndMakesNoCall(t *testing.T) {
	bubble(t, func(b *bench) {
		ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
		defer cancel()
		p := b.poller(checkpoint.TrimHorizon, nil)
		b.next(p)
		if _, err := p.Next(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(b.begin) != 300*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(b.begin))
		}
		if len(b.polls) != 1 {
			t.Errorf("%d calls", len(b.polls))
		}
	})
}

func TestAStreamsArnIsUsedInsteadOfItsName(t *testing.T) {
	t.Parallel()
	name, arn := fetch.Stream{Name: "n", ARN: "a"}.Reference()
	if name != nil || *arn != "a" {
		t.Errorf("%v %v", name, arn)
	}
	if name, arn = (fetch.Stream{Name: "n"}).Reference(); *name != "n" || arn != nil {
		t.Errorf("%v %v", name, arn)
	}
}
