package consumer_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/consumer"
	"github.com/kinesiskit/kinesiskit/kinesistest"
)

func TestAnUnknownStreamEndsRunWithTheServicesError(t *testing.T) {
	bubble(t, 0, func(f *fleet) {
		w := f.start("w1")
		<-w.done
		var bad *consumer.ConfigError
		var gone *types.ResourceNotFoundException
		if !errors.As(w.err, &bad) || bad.Field != "Stream" || !errors.As(w.err, &gone) {
			t.Fatalf("run returned %v", w.err)
		}
		if h := w.Health(); h.State != consumer.Stopped || !errors.Is(h.Err, w.err) || h.Ready() == nil {
			t.Errorf("health %+v", h)
		}
	})
}

func TestDeniedAccessAtTheStartEndsRun(t *testing.T) {
	for op, field := range map[string]string{"ListShards": "Stream", "Scan": "Store"} {
		t.Run(op, func(t *testing.T) {
			bubble(t, 1, func(f *fleet) {
				f.s.On(op, kinesistest.Exception("AccessDeniedException", "no")).From("w1")
				w := f.start("w1")
				<-w.done
				var bad *consumer.ConfigError
				if !errors.As(w.err, &bad) || bad.Field != field {
					t.Fatalf("run returned %v", w.err)
				}
			})
		})
	}
}

func TestRowsOfAnotherStreamEndRunAndAreNotTouched(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.s.CreateStream("invoices", 1)
		cfg := fast("w1")
		cfg.Stream = "invoices"
		w := f.run(cfg, nil)
		f.until("owned", time.Minute, func() bool { return len(w.Health().Shards) == 1 })
		if err := w.leave(); err != nil {
			t.Fatal(err)
		}
		before := f.row(shard0)
		w = f.start("w2")
		<-w.done
		var other *consumer.IdentityError
		if !errors.As(w.err, &other) || other.Stored != "invoices" || other.Found != streamName || other.Shard != shard0 {
			t.Fatalf("run returned %v", w.err)
		}
		if after := f.row(shard0); after.Counter != before.Counter || after.Owner != before.Owner {
			t.Errorf("row changed from %+v to %+v", before, after)
		}
	})
}

func TestOutagesDelayTheStartAndDoNotEndIt(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.s.On("DescribeTable", kinesistest.Status(500)).From("w1").Times(2)
		f.s.On("ListShards", kinesistest.Throttle()).From("w1").Times(3)
		f.s.On("PutItem", kinesistest.LoseReply()).From("w1").Times(1)
		f.put("k", "a")
		w := f.start("w1")
		synctest.Wait()
		if h := w.Health(); h.State != consumer.Starting || h.Err == nil || h.Ready() == nil {
			t.Errorf("health during the outage %+v", h)
		}
		f.delivered(1)
		if h := w.Health(); h.State != consumer.Running || h.Err != nil {
			t.Errorf("health after it %+v", h)
		}
	})
}

func TestAnIncompleteListingIsNotBelieved(t *testing.T) {
	bubble(t, 2, func(f *fleet) {
		half := func(_ context.Context, _ *kinesistest.Request, next func() kinesistest.Reply) kinesistest.Reply {
			r := next()
			r.Body = []byte(`{"Shards":[{"ShardId":"shardId-000000000000","HashKeyRange":{"StartingHashKey":"0","EndingHashKey":"17"},` +
				`"SequenceNumberRange":{"StartingSequenceNumber":"1"}}]}`)
			return r
		}
		f.s.On("ListShards", kinesistest.Do(half)).From("w1").Times(2)
		w := f.start("w1")
		f.until("both shards", time.Minute, func() bool { return len(w.Health().Shards) == 2 })
	})
}

func TestAStopDuringAStartThatCannotSucceedIsAtOnce(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.s.On("DescribeTable", kinesistest.Delay(time.Hour)).From("w1")
		w := f.start("w1")
		time.Sleep(10 * time.Second)
		begin := time.Now()
		if err := w.leave(); err != nil || time.Since(begin) > 0 {
			t.Errorf("run returned %v after %v", err, time.Since(begin))
		}
	})
}

func TestAStreamCanBeNamedByItsArn(t *testing.T) {
	bubble(t, 2, func(f *fleet) {
		out, err := f.api.DescribeStreamSummary(context.Background(), &kinesis.DescribeStreamSummaryInput{StreamName: ptr(streamName)})
		if err != nil {
			t.Fatal(err)
		}
		named := f.s.On("*", kinesistest.Fault{}).From("w1").When(func(r *kinesistest.Request) bool {
			return r.Service == "kinesis" && strings.Contains(string(r.Body), "StreamName")
		})
		cfg := fast("w1")
		cfg.Stream = *out.StreamDescriptionSummary.StreamARN
		var s *consumer.Shard
		f.put("k", "a")
		f.run(cfg, consumer.Each(func(_ context.Context, r *consumer.Record) error {
			s = r.Shard()
			f.note("w1", r)
			return nil
		}))
		f.delivered(1)
		if named.Hits() != 0 {
			t.Errorf("%d requests name the stream", named.Hits())
		}
		row := f.row(s.ID())
		if s.Stream() != streamName || row.Stream != streamName || s.Info().Range != row.HashRange || s.Info().First == "" ||
			s.Token().Key != s.ID() || s.Token().Counter > row.Counter || s.Start().Position != checkpoint.TrimHorizon {
			t.Errorf("shard %+v of stream %q, token %+v, start %v; row %+v", s.Info(), s.Stream(), s.Token(), s.Start(), row)
		}
	})
}

func TestAStopThatOvertakesTheStartIsClean(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		ctx, cancel := context.WithCancel(context.Background())
		overtake := func(e zapcore.Entry) error {
			if e.Message == "consumer running" {
				cancel()
				time.Sleep(time.Second) // the stop is over before this goroutine goes on
			}
			return nil
		}
		core := zapcore.NewCore(zapcore.NewJSONEncoder(zapcore.EncoderConfig{}), zapcore.AddSync(io.Discard), zap.InfoLevel)
		w := f.make(fast("w1"), nil, consumer.WithLogger(zap.New(zapcore.RegisterHooks(core, overtake))))
		close(w.done)
		if err := w.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if l := f.row(shard0); l.Owner != "" {
			t.Errorf("row %+v", l)
		}
	})
}
