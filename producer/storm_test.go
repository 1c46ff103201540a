package producer_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/kinesiskit/kinesiskit/kinesistest"
	"github.com/kinesiskit/kinesiskit/producer"
)

var storm = flag.Duration("storm", 20*time.Second, "for how long a stream is resharded every second, in the bubble's time")

// Whoever reads the stream, by the rule of the format, record by record, or as this module's consumer does, is given everything that was acknowledged; and
// what is there twice was sent again, or had an attempt without an answer, and its result says so.
func TestNoReaderLosesAnythingInAStormOfSplitsAndMerges(t *testing.T) {
	for _, ordered := range []bool{false, true} {
		t.Run(fmt.Sprint("ordered ", ordered), func(t *testing.T) {
			resent := 0
			hooks := producer.Hooks{Resent: func(e producer.ResentEvent) { resent += e.Records }}
			bubble(t, 2, producer.Config{AggregateBytes: 1 << 10, Ordered: ordered}, func(w *world) {
				w.s.On("PutRecords", kinesistest.Delay(50*time.Millisecond)).Sometimes(0.5)
				lost := w.s.On("PutRecords", kinesistest.LoseReply()).Sometimes(0.005)
				rng := rand.New(rand.NewPCG(1, 1))
				l := newLoad(w)
				stop := make(chan struct{})
				go w.reshard(rand.New(rand.NewPCG(1, 2)), time.Second, stop)
				for end := time.Now().Add(*storm); time.Now().Before(end); time.Sleep(time.Duration(1+rng.IntN(9)) * time.Millisecond) {
					l.put(fmt.Sprint("key-", rng.IntN(40)))
				}
				close(stop)
				w.flush()
				repeats := l.check()
				l.checkReaders()
				if ordered {
					l.checkOrder()
				}
				w.Logf("%d records, %d of them sent again, %d answers lost, %d repeats", len(l.results), resent, lost.Hits(), repeats)
				if resent == 0 {
					w.Error("the storm was not felt")
				}
				time.Sleep(time.Second)
			}, producer.WithHooks(hooks))
		})
	}
}

// checkReaders: each reader is given every acknowledged record.
func (l *load) checkReaders() {
	l.w.Helper()
	given := make(map[string][3]bool)
	for _, c := range l.w.contents() {
		g := given[c.data]
		given[c.data] = [3]bool{g[0] || !c.dropped, g[1] || !c.outside, g[2] || !c.stale}
	}
	for data := range l.results {
		for i, reader := range []string{"by the rule of the format", "record by record", "as this module's consumer does"} {
			if !given[data][i] {
				l.w.Fatalf("%s: lost to who reads %s", data, reader)
			}
		}
	}
}
