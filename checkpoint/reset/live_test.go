package reset_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint/reset"
	"github.com/kinesiskit/kinesiskit/kinesistest"
)

// Workers read, shards are split and merged, writes to the table are lost or come late, and in the middle of it somebody resets the application. A plan
// that time has overtaken is made again, as its error says.
func TestALiveResetReachesEveryRecordAgainWhateverTheWorkersWrite(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			bubble(t, 5000+seed, 2, func(t *testing.T, w *world) {
				f := w.start("live", 2)
				w.s.On("UpdateItem", kinesistest.LoseReply()).From("live0").Sometimes(0.1)
				w.s.On("UpdateItem", kinesistest.ApplyLate(4*time.Second)).From("live1").Sometimes(0.1)
				for range 3 {
					for range 10 {
						w.put()
						w.pause()
					}
					w.reshard()
				}
				time.Sleep(time.Duration(w.rng.IntN(20_000)) * time.Millisecond)
				to := w.sent[w.rng.IntN(len(w.sent))].at
				written := time.Now()
				for try := 0; ; try++ {
					_, err := w.plan(reset.Time(to)).Execute(t.Context(), w.store, reset.ExecuteOptions{Live: true})
					if err == nil {
						break
					}
					if !errors.Is(err, reset.ErrChanged) || try == 10 {
						t.Fatal(err)
					}
				}
				for range 5 {
					w.put()
					w.pause()
				}
				time.Sleep(3 * time.Minute)
				f.stop()
				again := make(map[string]bool)
				for i, data := range f.got {
					if !f.at[i].Before(written) {
						again[data] = true
					}
				}
				for _, data := range w.since(to) {
					if !again[data] {
						t.Errorf("%s was not delivered after the reset", data)
					}
				}
				w.want("later", w.run("later", 1), nil)
			})
		})
	}
}
