package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/consumer"
	"github.com/kinesiskit/kinesiskit/kinesistest"
	"github.com/kinesiskit/kinesiskit/lease"
)

// recreate deletes the stream and makes one of the same name.
func (f *fleet) recreate(shards int) {
	f.t.Helper()
	if _, err := f.api.DeleteStream(context.Background(), &kinesis.DeleteStreamInput{StreamName: ptr(streamName), EnforceConsumerDeletion: ptr(true)}); err != nil {
		f.t.Fatal(err)
	}
	f.s.CreateStream(streamName, shards)
}

// refused demands that Run ended because the table is about another stream.
func (w *worker) refused(shard string) {
	w.f.t.Helper()
	<-w.done
	var identity *consumer.IdentityError
	if !errors.As(w.err, &identity) || identity.Shard != shard || identity.Stream != streamName || identity.Stored == "" || identity.Found == "" {
		w.f.t.Fatalf("run returned %v", w.err)
	}
	if h := w.Health(); h.State != consumer.Stopped || !errors.Is(h.Err, identity) {
		w.f.t.Errorf("health %+v", h)
	}
}

func TestAStreamThatWasMadeAgainIsRefusedAtTheStartAndNothingIsWritten(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("k", "a")
		w := f.start("w1")
		f.delivered(1)
		if err := w.leave(); err != nil {
			t.Fatal(err)
		}
		f.recreate(1)
		f.put("k", "b")
		before := f.s.Items(tableName)
		w = f.start("w2")
		w.refused(shard0)
		if after := f.s.Items(tableName); !reflect.DeepEqual(after, before) {
			t.Errorf("rows changed from %v to %v", before, after)
		}
		f.want("a")
	})
}

func TestAStreamThatIsMadeAgainWhileItIsReadEndsRun(t *testing.T) {
	for name, fanOut := range map[string]*consumer.FanOut{"polling": nil, "fan-out": {}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, func(f *fleet) {
				cfg := fast("w1")
				cfg.FanOut = fanOut
				f.put("k", "a")
				w := f.run(cfg, nil)
				f.delivered(1)
				f.recreate(2)
				f.put("k", "b")
				when := time.Now()
				w.refused(shard0)
				if d := time.Since(when); d > 20*time.Second {
					t.Errorf("noticed after %v: by whoever reads it, who should be first", d)
				}
				f.want("a")
				if l := f.row(shard0); l.Ended() || l.Checkpoint.Position.IsSentinel() {
					t.Errorf("row %+v", l)
				}
			})
		})
	}
}

func TestARowOfJavaIsBelievedOnceItsPositionWasRead(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		first := f.putRaw("k", "", []byte("a"))
		f.put("k", "b")
		f.javaRow(lease.Lease{Key: shard0, Checkpoint: checkpoint.Checkpoint{Position: at(t, first, 0)}})
		down := f.s.On("GetRecords", kinesistest.Status(500)).From("w1")
		f.start("w1")
		time.Sleep(time.Minute)
		if got := f.row(shard0).First; got != "" {
			t.Fatalf("believed to be about shard %s before anything was read", got)
		}
		down.Remove()
		f.delivered(1)
		f.want("b")
		f.until("believed", time.Minute, func() bool { return f.row(shard0).First != "" })
	})
}

func TestARowOfJavaWithAForeignNumberIsRefused(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		time.Sleep(time.Second)
		f.s.CreateStream("invoices", 1)
		name, key := "invoices", "k"
		out, err := f.api.PutRecord(context.Background(), &kinesis.PutRecordInput{StreamName: &name, PartitionKey: &key, Data: []byte("a")})
		if err != nil {
			t.Fatal(err)
		}
		number := at(t, *out.SequenceNumber, 0) // later than the shard's beginning, so only the service can tell
		f.javaRow(lease.Lease{Key: shard0, Checkpoint: checkpoint.Checkpoint{Position: number}})
		f.put("k", "b")
		f.start("w1").refused(shard0)
		if l := f.row(shard0); l.Checkpoint.Position != number || l.First != "" || len(f.data()) != 0 {
			t.Errorf("row %+v, delivered %q", l, f.data())
		}
	})
}

func TestAShardIsNotFinishedIfTheStreamHasAnotherOfItsName(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("k", "a")
		w := f.start("w1")
		f.delivered(1)
		f.s.On("ListShards", answers(func(b map[string]any) {
			for _, s := range b["Shards"].([]any) {
				s.(map[string]any)["SequenceNumberRange"].(map[string]any)["StartingSequenceNumber"] = "49999999999999999999999999999999999999999999999999999999"
			}
		})).From("w1")
		f.s.Split(streamName, shard0)
		w.refused(shard0)
		if l := f.row(shard0); l.Ended() || f.row(shard1).Key != "" {
			t.Errorf("parent %+v, child %+v", l, f.row(shard1))
		}
	})
}

func TestEveryRowSaysWhichShardItIsAbout(t *testing.T) {
	bubble(t, 2, func(f *fleet) {
		f.put("k", "a")
		f.start("w1")
		f.delivered(1)
		f.s.Split(streamName, shard0)
		f.until("finished", time.Minute, func() bool { return f.row(shard0).Ended() })
		out, err := f.api.ListShards(context.Background(), &kinesis.ListShardsInput{StreamName: ptr(streamName)})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range out.Shards {
			if got := f.row(*s.ShardId).First; got != *s.SequenceNumberRange.StartingSequenceNumber {
				t.Errorf("%s is about %q", *s.ShardId, got)
			}
		}
	})
}

func TestRowsOfFinishedShardsAreDeletedAndNotMissed(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		for i := range 2 {
			f.start(fmt.Sprint("w", i))
		}
		f.put("k", "a")
		f.delivered(1)
		f.s.Split(streamName, shard0)
		f.put(keyIn(0, 2), "b")
		f.put(keyIn(1, 2), "c")
		f.delivered(3)
		f.until("deleted", 15*time.Minute, func() bool { return f.row(shard0).Key == "" })
		for _, id := range []string{shard1, shard2} {
			if child := f.row(id); child.Ended() || child.Checkpoint.Position == checkpoint.TrimHorizon {
				t.Errorf("deleted with a child that stands at %v", child.Checkpoint.Position)
			}
		}
		for _, w := range f.workers {
			if err := w.leave(); err != nil {
				t.Fatal(err)
			}
		}
		f.start("w4")
		f.put("k", "d")
		f.delivered(4)
		time.Sleep(2 * time.Minute)
		if n := len(f.data()); n != 4 || f.row(shard0).Key != "" {
			t.Errorf("delivered %q, row %+v", f.data(), f.row(shard0))
		}
	})
}

func TestARowThatIsLostIsMadeAgainAndItsShardReadFromItsBeginning(t *testing.T) {
	bubble(t, 2, func(f *fleet) {
		f.put(keyIn(0, 2), "a")
		f.put(keyIn(1, 2), "b")
		w := f.start("w1")
		f.delivered(2)
		f.until("stored", time.Minute, func() bool { return f.row(shard0).Checkpoint.Position != checkpoint.TrimHorizon })
		l := f.row(shard0)
		if err := f.store.Delete(context.Background(), shard0, lease.Condition{Owner: &l.Owner}); err != nil {
			t.Fatal(err)
		}
		f.until("read again", 5*time.Minute, func() bool { return f.owns(w, shard0) && len(f.deliveries()) == 3 })
		if got := f.data(); !slices.Equal(got[2:], []string{"a"}) {
			t.Errorf("delivered %q", got)
		}
	})
}
