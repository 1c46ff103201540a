package consumer_test

import (
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kinesiskit/kinesiskit/aggregation"
	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/consumer"
)

// batches notes every record of a batch and what fail says of it.
func (f *fleet) batches(fail func(b *consumer.Batch) error) consumer.Handler {
	return consumer.Batches(func(_ context.Context, b *consumer.Batch) error {
		for i := range b.Records {
			f.note("w1", &b.Records[i])
		}
		return fail(b)
	})
}

func TestProgressRidesOnTheRenewalAndCostsNoWrites(t *testing.T) {
	handlers := map[string]func(f *fleet) consumer.Handler{
		"Each":    func(f *fleet) consumer.Handler { return f.recorder("w1") },
		"Batches": func(f *fleet) consumer.Handler { return f.batches(func(*consumer.Batch) error { return nil }) },
	}
	for name, handler := range handlers {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, func(f *fleet) {
				w := f.run(fast("w1"), handler(f))
				f.until("held", time.Minute, func() bool { return len(w.Health().Shards) == 1 })
				const seconds, each = 60, 10
				before := f.s.Calls("UpdateItem")
				for range seconds {
					f.put("k", numbers(0, each)...)
					time.Sleep(time.Second)
				}
				f.delivered(seconds * each)
				f.stored(shard0, f.deliveries()[seconds*each-1].position)
				writes := f.s.Calls("UpdateItem") - before
				if renewals := int(70*time.Second/(failover/3)) + 1; writes > renewals {
					t.Errorf("%d writes for %d records in %d s, want at most one a renewal interval: %d", writes, seconds*each, seconds, renewals)
				}
				f.put("k", "last")
				f.delivered(seconds*each + 1)
				before = f.s.Calls("UpdateItem")
				if err := w.leave(); err != nil {
					t.Fatal(err)
				}
				if p := f.row(shard0).Checkpoint.Position; p != f.deliveries()[seconds*each].position {
					t.Errorf("a stop left %s stored", p)
				}
				if n := f.s.Calls("UpdateItem") - before; n != 1 {
					t.Errorf("position and release took %d writes", n)
				}
			})
		})
	}
}

func TestARecordThatFailsIsHandedOverAgainAndNothingOvertakesIt(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("k", "a", "b", "c")
		left := 3
		h := consumer.Each(func(_ context.Context, r *consumer.Record) error {
			f.note("w1", r)
			if string(r.Data) == "b" && left > 0 {
				left--
				return errUser
			}
			return nil
		})
		f.run(fast("w1"), h)
		f.delivered(6)
		f.want("a", "b", "b", "b", "b", "c")
		if fails := f.failures(); !slices.Equal(fails, []string{"1/1: user", "2/1: user", "3/1: user"}) {
			t.Errorf("failures %q", fails)
		}
	})
}

func TestAFailedBatchIsHandedOverWhole(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("k", "a", "b", "c")
		var attempts []int
		f.run(fast("w1"), f.batches(func(b *consumer.Batch) error {
			attempts = append(attempts, b.Attempt)
			if b.Attempt < 3 {
				return errUser
			}
			return nil
		}))
		f.delivered(9)
		f.want("a", "b", "c", "a", "b", "c", "a", "b", "c")
		if !slices.Equal(attempts, []int{1, 2, 3}) {
			t.Errorf("attempts %v", attempts)
		}
		if fails := f.failures(); !slices.Equal(fails, []string{"1/3: user", "2/3: user"}) {
			t.Errorf("failures %q", fails)
		}
	})
}

func TestWhatStandsBeforeARecordErrorIsDone(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("k", "a", "b", "c", "d")
		w := f.run(fast("w1"), f.batches(func(b *consumer.Batch) error {
			for i := range b.Records {
				if string(b.Records[i].Data) == "c" {
					return fmt.Errorf("wrapped: %w", &consumer.RecordError{Record: &b.Records[i], Err: errUser})
				}
			}
			return nil
		}))
		f.delivered(4 + 2 + 2)
		f.want("a", "b", "c", "d", "c", "d", "c", "d")
		f.stored(shard0, f.deliveries()[1].position)
		for i, fail := range f.failures() {
			if !strings.HasPrefix(fail, fmt.Sprintf("%d/1: ", i+1)) {
				t.Errorf("failure %d is %q", i, fail)
			}
		}
		if err := w.leave(); err != nil {
			t.Fatal(err)
		}
		if p := f.row(shard0).Checkpoint.Position; p != f.deliveries()[1].position {
			t.Errorf("stored %s", p)
		}
	})
}

func TestARecordErrorOfAForeignRecordIsAnOrdinaryError(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("k", "a", "b")
		foreign := []*consumer.Record{nil, {}, {Position: at(t, "12345", 0)}}
		f.run(fast("w1"), f.batches(func(b *consumer.Batch) error {
			if b.Attempt <= len(foreign) {
				return &consumer.RecordError{Record: foreign[b.Attempt-1], Err: errUser}
			}
			return nil
		}))
		f.delivered(8)
		f.want("a", "b", "a", "b", "a", "b", "a", "b")
	})
}

func TestAPanicIsAFailureWithAStack(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("k", "a")
		panicked := false
		var seen *consumer.PanicError
		h := consumer.Each(func(_ context.Context, r *consumer.Record) error {
			f.note("w1", r)
			if !panicked {
				panicked = true
				panic(errUser)
			}
			return nil
		})
		failed := consumer.WithHooks(consumer.Hooks{Failed: func(e *consumer.Failure, _ consumer.Verdict) { errors.As(e.Err, &seen) }})
		f.run(fast("w1"), h, failed)
		f.delivered(2)
		f.want("a", "a")
		if seen == nil || !errors.Is(seen, errUser) || !strings.Contains(string(seen.Stack), "TestAPanicIsAFailureWithAStack") {
			t.Errorf("failure %+v", seen)
		}
	})
}

func TestOneFailingShardDoesNotStopTheOthers(t *testing.T) {
	bubble(t, 2, func(f *fleet) {
		h := consumer.Each(func(_ context.Context, r *consumer.Record) error {
			if r.Shard().ID() == shard0 {
				return errUser
			}
			f.note("w1", r)
			return nil
		})
		f.putRaw("k", "0", []byte("bad"))
		f.putRaw("k", "340282366920938463463374607431768211455", []byte("good"))
		w := f.run(fast("w1"), h)
		f.delivered(1)
		time.Sleep(time.Minute)
		f.want("good")
		if err := w.Health().Ready(); err != nil {
			t.Errorf("unready: %v", err)
		}
	})
}

func TestUserRecordsOfAggregatesHaveTheirOwnPositions(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		seq := f.putRaw("a", "", aggregate("x=1", "y=2", "z=3"))
		plain := f.putRaw("p", "", []byte("4"))
		w := f.run(fast("w1"), nil)
		f.delivered(4)
		f.want("1", "2", "3", "4")
		for i, d := range f.deliveries() {
			want := at(t, plain, 0)
			if i < 3 {
				want = at(t, seq, int64(i))
			}
			if d.position != want || d.key != []string{"x", "y", "z", "p"}[i] {
				t.Errorf("record %d is %+v", i, d)
			}
		}
		_ = w
	})
}

func TestARestartInTheMiddleOfAnAggregateDeliversExactlyTheRest(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		seq := f.putRaw("a", "", aggregate("k=1", "k=2", "k=3", "k=4"))
		f.put("k", "5")
		reached := make(chan struct{})
		w1 := f.run(fast("w1"), consumer.Each(func(_ context.Context, r *consumer.Record) error {
			f.note("w1", r)
			if string(r.Data) == "2" {
				close(reached)
				time.Sleep(time.Second) // the stop reaches the shard
			}
			return nil
		}))
		<-reached
		if err := w1.leave(); err != nil {
			t.Fatal(err)
		}
		if p := f.row(shard0).Checkpoint.Position; p != at(t, seq, 1) {
			t.Fatalf("stored %s", p)
		}
		f.start("w2")
		f.delivered(5)
		f.want("1", "2", "3", "4", "5")
	})
}

func TestCorruptEntriesAreReportedAndTheirNeighboursDelivered(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("k", "before")
		seq := f.putRaw("a", "", corruptAggregate("second"))
		f.put("k", "after")
		w := f.start("w1")
		f.delivered(4)
		f.want("before", "first", "third", "after")
		if d := f.deliveries()[2]; d.position != at(t, seq, 2) {
			t.Errorf("the entry behind the corrupt one stands at %s", d.position)
		}
		drops := f.dropped()
		if len(drops) != 1 || drops[0].Why != consumer.Corrupt || drops[0].Records != 1 || drops[0].First != at(t, seq, 1) || drops[0].Last != at(t, seq, 1) {
			t.Errorf("dropped %+v", drops)
		}
		seq = f.putRaw("a", "", corruptAggregate("third"))
		f.delivered(6)
		f.stored(shard0, at(t, seq, 2)) // an entry that nobody can read is done
		if err := w.leave(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestAPageOfWhichNothingIsDeliveredMovesThePosition(t *testing.T) {
	open := func(f *fleet) map[string]consumer.Handler {
		return map[string]consumer.Handler{
			"Each":     f.recorder("w1"),
			"Batches":  f.batches(func(*consumer.Batch) error { return nil }),
			"PerShard": consumer.PerShard(func(context.Context, *consumer.Shard) (consumer.Processor, error) { return &processor{}, nil }),
		}
	}
	for _, name := range []string{"Each", "Batches", "PerShard"} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, func(f *fleet) {
				seq := f.putRaw("a", "", emptyAggregate())
				f.run(fast("w1"), open(f)[name])
				f.stored(shard0, at(t, seq, 0))
				f.want()
			})
		})
	}
}

func TestAnExplicitPositionTakesTheUndeliveredEndOfThePageAlong(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("k", "a")
		f.putRaw("a", "", emptyAggregate())
		shards := make(chan *consumer.Shard, 1)
		h := consumer.PerShard(func(_ context.Context, s *consumer.Shard) (consumer.Processor, error) {
			return &processor{process: func(_ context.Context, b *consumer.Batch) error {
				f.note("w1", &b.Records[0])
				shards <- s
				return nil
			}}, nil
		})
		f.run(fast("w1"), h)
		f.delivered(1)
		s, p := <-shards, f.deliveries()[0].position
		time.Sleep(2 * failover)
		if stored := f.row(shard0).Checkpoint.Position; stored != checkpoint.TrimHorizon {
			t.Fatalf("stored %s although the record before it is open", stored)
		}
		end := at(t, f.s.Records(streamName)[1].Sequence, 0)
		for range 2 { // the second time it is behind what is stored, by no fault of the caller's
			if err := s.Checkpoint(context.Background(), p); err != nil {
				t.Errorf("checkpoint: %v", err)
			}
			if stored := f.row(shard0).Checkpoint.Position; stored != end {
				t.Errorf("stored %s, want %s", stored, end)
			}
		}
		next := f.putRaw("a", "", emptyAggregate())
		f.stored(shard0, at(t, next, 0))
		if err := s.Mark(p); err != nil {
			t.Errorf("mark of the last record, once more: %v", err)
		}
	})
}

// corruptAggregate has three entries of which one names a key that is not in the table: its index is changed, and the checksum made anew.
func corruptAggregate(bad string) []byte {
	var b aggregation.Builder
	for _, d := range []string{"first", "second", "third"} {
		b.Add(aggregation.Record{PartitionKey: "k", Data: []byte(d)})
	}
	return reframe(b.AppendTo(nil), func(message []byte) {
		i := strings.Index(string(message), bad) // … 08 <key index> 1a <length> <data>
		message[i-3] = 0x7f
	})
}

// emptyAggregate has a partition key and no entry.
func emptyAggregate() []byte {
	message := []byte{0x0a, 1, 'k'}
	sum := md5.Sum(message)
	return slices.Concat([]byte{0xf3, 0x89, 0x9a, 0xc2}, message, sum[:])
}
