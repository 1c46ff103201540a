package consumer_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamotypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/kinesiskit/kinesiskit/consumer"
	"github.com/kinesiskit/kinesiskit/kinesistest"
	"github.com/kinesiskit/kinesiskit/lease"
)

func TestAfterASilentDeathAnotherWorkerContinuesAtTheStoredPosition(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("k", numbers(0, 10)...)
		w1 := f.start("w1")
		f.delivered(10)
		f.stored(shard0, f.deliveries()[9].position)
		w2 := f.start("w2")
		time.Sleep(time.Second)
		w1.cut()
		died := time.Now()
		f.put("k", numbers(10, 20)...)
		f.delivered(20)
		f.want(numbers(0, 20)...)
		d := f.deliveries()[10]
		if took := d.at.Sub(died); d.worker != "w2" || took > failover+5*time.Second {
			t.Errorf("%s took over after %v", d.worker, took)
		}
		if !f.owns(w2, shard0) {
			t.Error("the row does not say so")
		}
	})
}

func TestCodeOfALostShardIsCancelledBeforeAnotherOwnerStarts(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("k", "a")
		var lost time.Time
		var cause error
		done := make(chan struct{})
		h := consumer.Each(func(ctx context.Context, _ *consumer.Record) error {
			<-ctx.Done()
			lost, cause = time.Now(), context.Cause(ctx)
			close(done)
			return nil // it believes that the record is done, which must not be stored
		})
		w1 := f.run(fast("w1"), h)
		f.until("busy", time.Minute, func() bool { hs := w1.Health().Shards; return len(hs) == 1 && !hs[0].BusySince.IsZero() })
		f.start("w2")
		w1.cut()
		<-done
		if !errors.Is(cause, lease.ErrLost) {
			t.Errorf("cause %v", cause)
		}
		f.delivered(1)
		if d := f.deliveries()[0]; d.worker != "w2" || !d.at.After(lost) {
			t.Errorf("%s started at %v, the former owner was cancelled at %v", d.worker, d.at, lost)
		}
	})
}

func TestARenewalWithoutAnAnswerCostsNeitherTheLeaseNorADelivery(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("k", numbers(0, 5)...)
		w := f.start("w1")
		f.delivered(5)
		f.start("w2")
		lost := f.s.On("UpdateItem", kinesistest.LoseReply()).From("w1").Times(1)
		f.put("k", numbers(5, 10)...)
		f.until("a lost reply", time.Minute, func() bool { return lost.Hits() == 1 })
		f.put("k", numbers(10, 15)...)
		time.Sleep(3 * failover)
		f.want(numbers(0, 15)...)
		if !f.owns(w, shard0) {
			t.Error("lease lost")
		}
		f.stored(shard0, f.deliveries()[14].position)
	})
}

func TestACheckpointWhoseReplyIsLostIsStoredAndSaysSo(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("k", "a")
		answer := make(chan error, 1)
		h := consumer.PerShard(func(context.Context, *consumer.Shard) (consumer.Processor, error) {
			return &processor{process: func(ctx context.Context, b *consumer.Batch) error {
				f.note("w1", &b.Records[0])
				f.s.On("UpdateItem", kinesistest.LoseReply()).From("w1").Times(1)
				answer <- b.Shard.Checkpoint(ctx, b.Records[0].Position)
				return nil
			}}, nil
		})
		w := f.run(fast("w1"), h)
		if err := <-answer; err != nil {
			t.Errorf("checkpoint: %v", err)
		}
		if p := f.row(shard0).Checkpoint.Position; p != f.deliveries()[0].position {
			t.Errorf("stored %s", p)
		}
		time.Sleep(2 * failover)
		if !f.owns(w, shard0) {
			t.Error("lease lost")
		}
	})
}

func TestAVanishedTableStopsAllShardsAndWritesNothing(t *testing.T) {
	bubble(t, 2, func(f *fleet) {
		w := f.start("w1")
		f.until("both shards", time.Minute, func() bool { return len(w.Health().Shards) == 2 })
		db := dynamodb.NewFromConfig(f.s.Config("test"))
		if _, err := db.DeleteTable(context.Background(), &dynamodb.DeleteTableInput{TableName: ptr(tableName)}); err != nil {
			t.Fatal(err)
		}
		created := f.s.Calls("CreateTable")
		gone := time.Now()
		f.until("no shards", failover, func() bool { return len(w.Health().Shards) == 0 })
		if took := time.Since(gone); took > failover {
			t.Errorf("stopped after %v", took)
		}
		f.put("k", numbers(0, 10)...)
		time.Sleep(time.Minute)
		var missing *dynamotypes.ResourceNotFoundException
		if h := w.Health(); h.State != consumer.Running || !errors.As(h.Err, &missing) || h.Ready() == nil {
			t.Errorf("health %+v", h)
		}
		if n := len(f.deliveries()); n != 0 || f.s.Calls("CreateTable") != created {
			t.Errorf("%d deliveries, %d tables created", n, f.s.Calls("CreateTable")-created)
		}
		select {
		case <-w.done:
			t.Errorf("run returned %v", w.err)
		default:
		}
		// It was a restore: what the table has now counts.
		if err := f.store.Open(context.Background()); err != nil {
			t.Fatal(err)
		}
		f.start("w2") // seeds it
		f.delivered(10)
		f.until("ready again", failover, func() bool { return w.Health().Ready() == nil })
	})
}

func TestRowsThatAreNoLeasesAreReportedAndLeftAlone(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		if err := f.store.Open(context.Background()); err != nil {
			t.Fatal(err)
		}
		db := dynamodb.NewFromConfig(f.s.Config("test"))
		for _, item := range []map[string]dynamotypes.AttributeValue{
			{"leaseKey": &dynamotypes.AttributeValueMemberS{Value: "no-counter"}},
			{
				"leaseKey": &dynamotypes.AttributeValueMemberS{Value: "foreign"}, "leaseCounter": &dynamotypes.AttributeValueMemberN{Value: "1"},
				"entityType": &dynamotypes.AttributeValueMemberS{Value: "WORKER_METRICS"},
			},
		} {
			if _, err := db.PutItem(context.Background(), &dynamodb.PutItemInput{TableName: ptr(tableName), Item: item}); err != nil {
				t.Fatal(err)
			}
		}
		f.put("k", "a")
		w := f.start("w1")
		f.delivered(1)
		var row *lease.RowError
		h := w.Health()
		if !errors.As(h.Err, &row) || !strings.Contains(h.Err.Error(), "no-counter") || !strings.Contains(h.Err.Error(), "foreign") {
			t.Errorf("health says %v", h.Err)
		}
		if err := h.Ready(); err != nil {
			t.Errorf("such rows make the consumer unready: %v", err)
		}
		if err := w.leave(); err != nil {
			t.Fatal(err)
		}
		for _, item := range f.s.Items(tableName) {
			key := item["leaseKey"].(*dynamotypes.AttributeValueMemberS).Value
			if _, owned := item["leaseOwner"]; owned || key != shard0 && len(item) > 3 {
				t.Errorf("row %s is now %v", key, item)
			}
		}
		if n := len(f.s.Items(tableName)); n != 3 {
			t.Errorf("%d rows", n)
		}
	})
}

func TestAThrottledTableStopsNothingWithinFailoverTime(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		w := f.start("w1")
		f.until("held", time.Minute, func() bool { return len(w.Health().Shards) == 1 })
		f.s.On("*", kinesistest.Throttle()).From("w1").Table(tableName).For(failover / 2)
		for i := range 20 {
			f.put("k", numbers(i, i+1)...)
			time.Sleep(time.Second)
		}
		f.delivered(20)
		f.want(numbers(0, 20)...)
		if n := len(w.Health().Shards); n != 1 {
			t.Errorf("%d shards held", n)
		}
		synctest.Wait()
	})
}
