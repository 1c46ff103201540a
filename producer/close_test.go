package producer_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesiskit/kinesiskit/kinesistest"
	"github.com/kinesiskit/kinesiskit/producer"
)

func TestCloseDeliversEverythingThatWasAccepted(t *testing.T) {
	bubble(t, 4, producer.Config{Linger: time.Hour}, func(w *world) {
		w.s.On("PutRecords", kinesistest.FailRecords(throttled, 0.5)).For(time.Second)
		l := newLoad(w)
		for i := range 3000 {
			l.put(fmt.Sprint("key-", i%11))
		}
		start := time.Now()
		w.close()
		l.check()
		if took := time.Since(start); took > 10*time.Second {
			w.Errorf("took %v: it lingered", took)
		}
		if _, err := w.p.Put(context.Background(), producer.Record{PartitionKey: "k"}); !errors.Is(err, producer.ErrClosed) {
			w.Errorf("Put after Close: %v", err)
		}
		if _, err := w.p.TryPut(producer.Record{PartitionKey: "k"}); !errors.Is(err, producer.ErrClosed) {
			w.Errorf("TryPut after Close: %v", err)
		}
		if err := w.p.Flush(context.Background()); err != nil {
			w.Errorf("Flush after Close: %v", err)
		}
		w.close()
	})
}

func TestCloseOfAProducerThatWasNeverUsed(t *testing.T) {
	bubble(t, 1, producer.Config{}, func(w *world) {
		w.close()
		w.close()
		if n := w.s.Calls("*"); n != 0 {
			w.Errorf("%d calls", n)
		}
	})
}

func TestCloseWithADeadServiceReportsEverythingWhenCtxEnds(t *testing.T) {
	for name, fault := range map[string]kinesistest.Fault{
		"refuses": kinesistest.Status(503), "hangs": kinesistest.Delay(time.Hour), "breaks": kinesistest.LoseRequest(), "throttles": kinesistest.Throttle(),
	} {
		for _, op := range []string{"PutRecords", "*"} {
			t.Run(name+" "+op, func(t *testing.T) {
				bubble(t, 2, producer.Config{}, func(w *world) {
					if op != "*" {
						w.ready()
					}
					w.s.On(op, fault)
					var called int
					var exist int
					for i := range 2000 {
						if err := w.p.PutFunc(context.Background(), producer.Record{PartitionKey: fmt.Sprint(i)}, func(_ producer.Result, err error) {
							called++
							var e *producer.RecordError
							if !errors.As(err, &e) || !errors.Is(err, producer.ErrClosed) {
								w.Errorf("got %v", err)
							} else if e.MayExist {
								exist++
							}
						}); err != nil {
							w.Fatal(err)
						}
					}
					time.Sleep(time.Second)
					ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
					defer cancel()
					start := time.Now()
					if err := w.p.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
						w.Errorf("close: %v", err)
					}
					if took := time.Since(start); took != 3*time.Second {
						w.Errorf("took %v", took)
					}
					if called != 2000 {
						w.Errorf("%d records reported", called)
					}
					if sent := op != "*" && name != "throttles"; sent && exist != 2000 || !sent && exist != 0 {
						w.Errorf("%d may exist", exist)
					}
				})
			})
		}
	}
}

// deaf does not return from a request whose context has ended.
type deaf struct {
	*kinesis.Client
	release chan struct{}
}

func (d deaf) PutRecords(ctx context.Context, in *kinesis.PutRecordsInput, opts ...func(*kinesis.Options)) (*kinesis.PutRecordsOutput, error) {
	<-d.release
	return d.Client.PutRecords(context.WithoutCancel(ctx), in, opts...)
}

func TestCloseDoesNotWaitForACallThatIgnoresItsContext(t *testing.T) {
	bubble(t, 1, producer.Config{}, func(w *world) {
		d := deaf{w.k, make(chan struct{})}
		p, err := producer.New(producer.Config{Stream: stream}, d)
		if err != nil {
			w.Fatal(err)
		}
		f, err := p.Put(context.Background(), producer.Record{PartitionKey: "k"})
		if err != nil {
			w.Fatal(err)
		}
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		start := time.Now()
		if err := p.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			w.Errorf("close: %v", err)
		}
		if took := time.Since(start); took > 4*time.Second {
			w.Errorf("took %v", took)
		}
		if e := w.failed(f); !errors.Is(e, producer.ErrClosed) || !e.MayExist {
			w.Errorf("got %+v", e)
		}
		close(d.release)
	})
}

func TestCloseMayBeCalledManyTimesAtOnce(t *testing.T) {
	bubble(t, 1, producer.Config{Linger: time.Hour}, func(w *world) {
		f := w.put("k", "v")
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(w.close)
		}
		wg.Wait()
		w.stored(f)
	})
}

func TestCloseWakesWhoWaitsForSpace(t *testing.T) {
	bubble(t, 1, producer.Config{BufferRecords: 1}, func(w *world) {
		w.s.On("PutRecords", kinesistest.Status(500)).For(time.Minute)
		w.put("k", "v")
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				if _, err := w.p.Put(context.Background(), producer.Record{PartitionKey: "k"}); !errors.Is(err, producer.ErrClosed) {
					w.Errorf("got %v", err)
				}
			})
		}
		synctest.Wait()
		w.close()
		wg.Wait()
	})
}

func TestFlushWaitsForWhatWasPutBeforeIt(t *testing.T) {
	bubble(t, 2, producer.Config{Linger: time.Hour}, func(w *world) {
		w.flush()
		settled := 0
		for i := range 100 {
			if err := w.p.PutFunc(context.Background(), producer.Record{PartitionKey: fmt.Sprint(i)}, func(producer.Result, error) { settled++ }); err != nil {
				w.Fatal(err)
			}
		}
		start := time.Now()
		w.flush()
		if settled != 100 {
			w.Errorf("%d of 100 are settled", settled)
		}
		if took := time.Since(start); took != 0 {
			w.Errorf("took %v", took)
		}
		late := w.put("late", "")
		w.flush()
		later := w.put("later", "")
		w.stored(late)
		select {
		case <-later.Done():
			w.Error("a record put after Flush did not linger")
		default:
		}
		w.s.On("PutRecords", kinesistest.Status(500)).For(time.Minute)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := w.p.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
			w.Errorf("flush: %v", err)
		}
	})
}

// No bubble: real goroutines that race is what it is about.
func TestPutRacingCloseNeverPanicsAndLosesNothing(t *testing.T) {
	t.Parallel()
	var accepted, settled, refused atomic.Int64
	for round := range 3000 {
		p, err := producer.New(producer.Config{Stream: stream, Linger: -1, BufferRecords: 3}, new(null))
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		var tried atomic.Int64
		for g := range 3 {
			wg.Go(func() {
				for i := range 4 {
					tried.Add(1)
					err := p.PutFunc(context.Background(), producer.Record{PartitionKey: fmt.Sprint(g, i)}, func(_ producer.Result, err error) {
						if err == nil {
							settled.Add(1)
						}
					})
					switch {
					case err == nil:
						accepted.Add(1)
					case errors.Is(err, producer.ErrClosed):
						refused.Add(1)
					default:
						t.Errorf("round %d: %v", round, err)
					}
				}
			})
		}
		wg.Go(func() {
			for tried.Load() < int64(round%13) { // so that Close comes between any two Puts in some rounds
				runtime.Gosched()
			}
			if err := p.Close(context.Background()); err != nil {
				t.Errorf("round %d: close: %v", round, err)
			}
		})
		wg.Wait()
		if err := p.Close(context.Background()); err != nil {
			t.Errorf("round %d: close: %v", round, err)
		}
		if a, s := accepted.Load(), settled.Load(); a != s {
			t.Fatalf("round %d: %d accepted, %d settled", round, a, s)
		}
	}
	if accepted.Load() == 0 || refused.Load() == 0 {
		t.Errorf("%d accepted, %d refused: nothing raced", accepted.Load(), refused.Load())
	}
}
