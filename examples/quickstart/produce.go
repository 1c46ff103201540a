package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/kinesiskit/kinesiskit/producer"
)

// pace is how many records are put a second. A shard takes 1 MiB a second (AWS limit), and the busiest of four gets three quarters of these, 0.6 MiB.
const pace = 1000

// produce puts the file, round after round, as long as more wants it. It returns when the stream has acknowledged every record.
func produce(ctx context.Context, streams producer.KinesisAPI, o options, run string, b *board, more func() bool) (err error) {
	// One request at a time keeps a key's records in the order in which they are put: none can overtake one that has to be sent again.
	p, err := producer.New(producer.Config{Stream: o.stream, InFlight: 1}, streams)
	if err != nil {
		return err
	}
	var failed firstError
	defer func() {
		closing, cancel := context.WithTimeoutCause(ctx, o.patience(), fmt.Errorf("not everything was acknowledged within %v", o.patience()))
		defer cancel()
		if e := p.Close(closing); err == nil && e != nil {
			err = fmt.Errorf("close producer: %w", e)
		}
		if e := failed.get(); e != nil {
			err = fmt.Errorf("put: %w", e)
		}
		b.with(func() { b.produced = err == nil })
	}()
	clock := newClock()
	beat := metronome{next: time.Now()}
	for round := 0; round < o.rounds || more(); round++ {
		b.with(func() { b.round = round + 1 })
		for _, e := range b.input.events {
			if err := beat.wait(ctx); err != nil {
				return err
			}
			ordinal := b.input.ordinal(round, e)
			b.with(func() { b.ledger.sent(e.key, clock.now()) })
			r := producer.Record{PartitionKey: e.key, Data: seal(run, ordinal, e.body)}
			err := p.PutFunc(ctx, r, func(res producer.Result, err error) {
				if err != nil {
					failed.set(err)
					return
				}
				b.with(func() { b.ledger.acknowledged(repeats(res)) })
			})
			if err != nil {
				return fmt.Errorf("put: %w", err)
			}
			if err := failed.get(); err != nil {
				return err
			}
		}
	}
	return nil
}

// repeats is how many copies more than one the stream may have of a record. Each attempt leaves one at most.
func repeats(res producer.Result) int {
	if res.MayRepeat {
		return res.Attempts - 1
	}
	return 0
}

// metronome keeps pace. It waits in steps of some milliseconds: a timer for each record would be the slowest part of the program.
type metronome struct{ next time.Time }

func (m *metronome) wait(ctx context.Context) error {
	m.next = m.next.Add(time.Second / pace)
	ahead := time.Until(m.next)
	switch {
	case ahead < -time.Second: // something was slow; do not rush after it
		m.next = time.Now()
		return ctx.Err()
	case ahead < 10*time.Millisecond:
		return ctx.Err()
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(ahead):
		return nil
	}
}

// firstError keeps the first of several.
type firstError struct {
	mu  sync.Mutex
	err error
}

func (f *firstError) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = err
	}
}

func (f *firstError) get() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}
