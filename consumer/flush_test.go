package consumer_test

import (
	"strings"
	"testing"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/consumer"
)

func TestAFlushThatFailsAtAStopIsRepeatedAndThenStored(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("k", "a")
		var j journal
		w := f.run(fast("w1"), j.handler(failTimes("flush", 3)))
		f.until("processed", time.Minute, func() bool { return len(j.all()) == 2 })
		go w.stop()
		f.until("flush failed", time.Minute, func() bool { return len(f.failures()) == 1 })
		if err := w.Health().Err; err == nil || !strings.HasPrefix(err.Error(), "shard "+shard0+" is to be left (stopping) and is not flushed: user") {
			t.Errorf("health says %v", err)
		}
		if err := w.leave(); err != nil {
			t.Fatal(err)
		}
		j.want(t, "open "+shard0, "process a #1", "flush stopping", "flush stopping", "flush stopping", "flush stopping", "close <nil>")
		if got, want := f.row(shard0).Checkpoint.Position.Sequence(), f.s.Records(streamName)[0].Sequence; got != want {
			t.Errorf("stored %s, want %s", got, want)
		}
	})
}

func TestAFlushThatKeepsFailingAtAStopStoresNothingAndEndsInTime(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("k", "a")
		var j journal
		cfg := fast("w1")
		cfg.ShutdownTimeout = 10 * time.Second
		w := f.run(cfg, j.handler(failTimes("flush", 99)))
		f.until("processed", time.Minute, func() bool { return len(j.all()) == 2 })
		begin := time.Now()
		if err := w.leave(); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took < 3*time.Second || took > cfg.ShutdownTimeout {
			t.Errorf("the stop took %v", took)
		}
		calls := j.all()
		if n := len(f.failures()); n < 4 || calls[len(calls)-1] != "close user" || len(calls) != n+3 {
			t.Errorf("%d failures, calls %q", n, calls)
		}
		if l := f.row(shard0); l.Checkpoint.Position != checkpoint.TrimHorizon || l.Owner != "" {
			t.Errorf("row %+v", l)
		}
	})
}

// What fails on this worker may work on the other one: the shard moves before the request for it is declined, and what was not flushed comes again.
func TestAFlushThatKeepsFailingDoesNotKeepAShardFromMoving(t *testing.T) {
	bubble(t, 2, func(f *fleet) {
		f.putRaw("k", "0", []byte("a"))
		f.putRaw("k", "340282366920938463463374607431768211455", []byte("a"))
		var j1, j2 journal
		cfg := fast("w1")
		cfg.Lease.HandoffTimeout = 10 * time.Second
		f.run(cfg, j1.handler(failTimes("flush", 99)))
		f.until("processed", time.Minute, func() bool { return len(j1.all()) == 4 })
		w2 := f.run(fast("w2"), j2.handler(nil))
		f.until("failing", time.Minute, func() bool { return len(f.failures()) > 0 })
		begin := time.Now()
		f.moved(w2, 1, 2)
		f.until("processed", time.Minute, func() bool { return len(j2.all()) == 2 })
		if took := time.Since(begin); took > cfg.Lease.HandoffTimeout+2*time.Second {
			t.Errorf("the move took %v", took)
		}
		if got := j2.all()[1]; got != "process a #1" {
			t.Errorf("w2 begins with %q", got)
		}
		if n := len(f.failures()); n < 4 {
			t.Errorf("flush was tried %d times", n)
		}
	})
}

func TestFlushAtShardEndIsRepeatedForAsLongAsItTakes(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.put("k", "a")
		var j journal
		var told journal
		w := f.run(fast("w1"), j.handler(failTimes("flush", 15)), verdicts(&told))
		f.until("processed", time.Minute, func() bool { return len(j.all()) == 2 })
		f.s.Split(streamName, shard0)
		time.Sleep(3 * time.Minute)
		if f.row(shard0).Ended() || !f.owns(w, shard0) {
			t.Errorf("row %+v", f.row(shard0))
		}
		if first, _, _ := strings.Cut(w.Health().Err.Error(), "\n"); !strings.Contains(first, "its children wait") {
			t.Errorf("health's first line is %q", first)
		}
		f.until("finished", time.Hour, func() bool { return f.row(shard0).Ended() })
		for _, line := range told.all() {
			if !strings.HasSuffix(line, consumer.Retry.String()) {
				t.Errorf("told %q", line)
			}
		}
	})
}
