package consumer_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/consumer"
	"github.com/kinesiskit/kinesiskit/kinesistest"
	"github.com/kinesiskit/kinesiskit/lease"
)

func TestAStartHasATextThatIsReadBack(t *testing.T) {
	t.Parallel()
	noon := time.Date(2030, 4, 5, 12, 0, 0, 250e6, time.FixedZone("", 3600))
	for text, want := range map[string]consumer.Start{
		"TRIM_HORIZON":             consumer.TrimHorizon(),
		"LATEST":                   consumer.Latest(),
		"2030-04-05T11:00:00.25Z":  consumer.At(noon),
		"2030-04-05T11:00:00.001Z": consumer.At(noon.Add(-249*time.Millisecond + 999*time.Microsecond)),
	} {
		b, err := json.Marshal(want)
		if err != nil || string(b) != fmt.Sprintf("%q", text) {
			t.Errorf("%s is written as %s, %v", text, b, err)
		}
		var got consumer.Start
		if err := json.Unmarshal(b, &got); err != nil || got != want {
			t.Errorf("%s is read as %v, %v", b, got, err)
		}
	}
	if (consumer.Start{}) != consumer.TrimHorizon() || consumer.At(time.Time{}) != consumer.TrimHorizon() {
		t.Error("the zero value is not TrimHorizon")
	}
	for _, text := range []string{"", "latest", "AT_TIMESTAMP", "2030-04-05", "1700000000"} {
		got := consumer.Latest()
		if err := got.UnmarshalText([]byte(text)); err == nil || got != consumer.Latest() {
			t.Errorf("%q is read as %v, %v", text, got, err)
		}
	}
}

// from is the configuration of a worker of an application that begins at start.
func from(name string, start consumer.Start) consumer.Config {
	cfg := fast(name)
	cfg.Start = start
	return cfg
}

func TestLatestBeginsWithTheFirstStart(t *testing.T) {
	for name, fanOut := range map[string]*consumer.FanOut{"polling": nil, "fan-out": {}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 2, func(f *fleet) {
				f.put("k", "before")
				time.Sleep(90500 * time.Millisecond)
				began := time.Now().Truncate(time.Second)
				cfg := from("w1", consumer.Latest())
				cfg.FanOut = fanOut
				w := f.run(cfg, nil)
				f.until("both shards", time.Minute, func() bool { return len(w.Health().Shards) == 2 })
				for _, id := range []string{shard0, shard1} {
					if l := f.row(id); l.Checkpoint.Position != checkpoint.Latest || !l.StartAt.Equal(began) || l.First == "" {
						t.Errorf("row %+v, want LATEST, begun at %v", l, began)
					}
				}
				time.Sleep(time.Minute)
				f.put("k", "after", "more")
				f.delivered(2)
				f.want("after", "more")
			})
		})
	}
}

func TestTheFirstRecordIsStoredBeforeItIsDelivered(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		var stored []checkpoint.Position
		w := f.run(from("w1", consumer.Latest()), consumer.Each(func(_ context.Context, r *consumer.Record) error {
			stored = append(stored, f.row(shard0).Checkpoint.Position)
			f.note("w1", r)
			return nil
		}))
		f.until("held", time.Minute, func() bool { return len(w.Health().Shards) == 1 })
		time.Sleep(time.Minute)
		lost := f.s.On("UpdateItem", kinesistest.LoseReply()).From("w1").Times(2)
		first := f.putRaw("k", "", []byte("a"))
		f.put("k", "b")
		f.delivered(2)
		f.want("a", "b")
		if stored[0] != at(t, first, -1) || lost.Hits() != 2 {
			t.Errorf("at the first delivery %v was stored, want %v; %d lost answers", stored[0], at(t, first, -1), lost.Hits())
		}
	})
}

func TestWhatArrivesBeforeAnybodyReadsIsNotPassedOver(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("k", "before")
		time.Sleep(2 * time.Second)
		w := f.run(from("w1", consumer.Latest()), nil)
		f.until("held", time.Minute, func() bool { return len(w.Health().Shards) == 1 })
		w.cut()
		f.put("k", "while the first worker is cut off")
		time.Sleep(10 * time.Minute)
		// The start is in the table, whatever the next worker is configured with, and however late it comes.
		f.run(from("w2", consumer.TrimHorizon()), nil)
		f.put("k", "later")
		f.delivered(2)
		f.want("while the first worker is cut off", "later")
	})
}

func TestAnIteratorThatExpiresBeforeTheFirstRecordLeavesNoGap(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		w := f.run(from("w1", consumer.Latest()), nil)
		f.until("held", time.Minute, func() bool { return len(w.Health().Shards) == 1 })
		time.Sleep(time.Minute)
		outage := f.s.On("GetRecords", kinesistest.Throttle()).From("w1")
		time.Sleep(10 * time.Second)
		f.put("k", "during the outage")
		time.Sleep(6 * time.Minute) // longer than an iterator lives
		outage.Remove()
		f.delivered(1)
		f.want("during the outage")
	})
}

func TestATimeIsStartedAtInTheShardsThatWereOpenThen(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		low := keyIn(0, 4)
		f.put(low, "0")
		time.Sleep(time.Minute)
		left, _ := f.s.Split(streamName, shard0)
		f.put(low, "1")
		time.Sleep(time.Minute)
		when := time.Now()
		f.put(low, "2")
		time.Sleep(time.Minute)
		f.s.Split(streamName, left)
		f.put(low, "3")
		time.Sleep(time.Minute)
		w := f.run(from("w1", consumer.At(when)), nil)
		f.delivered(2)
		time.Sleep(time.Minute)
		f.want("2", "3")
		if l := f.row(shard0); l.Key != "" {
			t.Errorf("a shard that ended before has the row %+v", l)
		}
		var ids []string
		for _, h := range w.Health().Shards {
			ids = append(ids, h.ID)
		}
		if want := []string{shard2, shard3, "shardId-000000000004"}; !slices.Equal(ids, want) {
			t.Errorf("held: %q, want %q", ids, want)
		}
		// The instant outlives the rows of the first shards.
		if l := f.row(shard3); !l.StartAt.Equal(when) || !slices.Equal(l.Parents, []string{left}) {
			t.Errorf("child's row %+v", l)
		}
	})
}

func TestATimeBeforeTheStreamIsItsBeginning(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("k", "a")
		time.Sleep(time.Minute)
		f.s.Split(streamName, shard0)
		f.put("k", "b")
		f.run(from("w1", consumer.At(time.Now().Add(-1000*time.Hour))), nil)
		f.delivered(2)
		f.want("a", "b")
	})
}

func TestATimeThatHasNotComeEndsRun(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		w := f.run(from("w1", consumer.At(time.Now().Add(time.Hour))), nil)
		<-w.done
		var bad *consumer.ConfigError
		var future *lease.FutureError
		if !errors.As(w.err, &bad) || bad.Field != "Start" || !errors.As(w.err, &future) {
			t.Errorf("run returned %v", w.err)
		}
		if n := len(f.s.Items(tableName)); n != 0 {
			t.Errorf("%d rows were written", n)
		}
	})
}

// javaRow makes a row as KCL makes it.
func (f *fleet) javaRow(l lease.Lease) {
	f.t.Helper()
	if err := f.store.Open(context.Background()); err != nil {
		f.t.Fatal(err)
	}
	if err := f.store.Create(context.Background(), l); err != nil {
		f.t.Fatal(err)
	}
}

func TestALatestRowOfJavaIsPinnedByWhoeverTakesItFirst(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.javaRow(lease.Lease{Key: shard0, Checkpoint: checkpoint.Checkpoint{Position: checkpoint.Latest}})
		f.put("k", "before")
		time.Sleep(5 * time.Second)
		w := f.start("w1")
		f.until("held", time.Minute, func() bool { return len(w.Health().Shards) == 1 })
		pinned := f.row(shard0).StartAt
		if d := time.Since(pinned); d < 0 || d > 2*time.Second {
			t.Fatalf("pinned to %v", pinned)
		}
		w.cut()
		f.put("k", "after")
		time.Sleep(time.Minute)
		f.start("w2")
		f.delivered(1)
		f.want("after")
		if got := f.row(shard0).StartAt; !got.Equal(pinned) {
			t.Errorf("pinned again, to %v", got)
		}
	})
}

func TestATimestampRowOfJavaNeedsItsTime(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.javaRow(lease.Lease{Key: shard0, Checkpoint: checkpoint.Checkpoint{Position: checkpoint.AtTimestamp}})
		f.put("k", "before")
		time.Sleep(time.Minute)
		when := time.Now()
		f.put("k", "after")
		w := f.start("w1")
		f.until("reported", time.Minute, func() bool { hs := w.Health().Shards; return len(hs) == 1 && hs[0].Err != nil })
		time.Sleep(3 * failover)
		if !f.owns(w, shard0) || f.row(shard0).Checkpoint.Position != checkpoint.AtTimestamp || f.s.Calls("GetShardIterator") != 0 {
			t.Errorf("row %+v, %d iterators", f.row(shard0), f.s.Calls("GetShardIterator"))
		}
		f.want()
		if err := w.leave(); err != nil {
			t.Fatal(err)
		}
		f.run(from("w2", consumer.At(when)), nil)
		f.delivered(1)
		f.want("after")
	})
}

func TestASymbolicRowOfAShardWhoseParentHasARowIsReadFromItsBeginning(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("k", "a")
		f.s.Split(streamName, shard0)
		f.put("k", "b")
		time.Sleep(time.Minute)
		// As a leader of Java's leaves it that repairs a hole: the child says LATEST.
		f.javaRow(lease.Lease{Key: shard0, Checkpoint: checkpoint.Checkpoint{Position: checkpoint.TrimHorizon}})
		for _, id := range []string{shard1, shard2} {
			f.javaRow(lease.Lease{Key: id, Parents: []string{shard0}, Checkpoint: checkpoint.Checkpoint{Position: checkpoint.Latest}})
		}
		hold := make(chan struct{})
		f.run(from("w1", consumer.Latest()), consumer.Each(func(_ context.Context, r *consumer.Record) error {
			if string(r.Data) == "a" {
				<-hold
			}
			f.note("w1", r)
			return nil
		}))
		time.Sleep(time.Minute)
		synctest.Wait()
		f.want() // it waits for its parent, too
		close(hold)
		f.delivered(2)
		f.want("a", "b")
	})
}

func TestWorkersThatListAroundAReshardAtTheFirstStartAgree(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("k", "before")
		time.Sleep(2 * time.Second)
		// The first worker lists, and is slow to create; a second one lists after the split.
		f.s.On("PutItem", kinesistest.ApplyLate(7*time.Second)).From("w1").Times(1)
		f.run(from("w1", consumer.Latest()), nil)
		time.Sleep(500 * time.Millisecond)
		synctest.Wait()
		f.put("k", "a")
		f.s.Split(streamName, shard0)
		time.Sleep(time.Second)
		f.run(from("w2", consumer.Latest()), nil)
		time.Sleep(5 * time.Second)
		f.put("k", "b")
		f.until("everything since the first start", 2*time.Minute, func() bool {
			return slices.Contains(f.data(), "a") && slices.Contains(f.data(), "b")
		})
		if slices.Contains(f.data(), "before") {
			t.Errorf("delivered %q", f.data())
		}
	})
}
