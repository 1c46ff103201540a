package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kinesiskit/kinesiskit/kinesistest"
	"github.com/kinesiskit/kinesiskit/lease"
)

// workers are how many processes share the stream in the beginning.
const workers = 3

// perform is one run, from an empty stage to a swept one. When ctx ends early so does the run, quietly.
func perform(ctx context.Context, o options, scr screen) (r report, err error) {
	outer := ctx
	ctx, cancel := context.WithTimeoutCause(ctx, o.limit(), fmt.Errorf("not finished within %v", o.limit()))
	defer cancel()
	in, err := readInput(earthquakes)
	if err != nil {
		return r, err
	}
	at, say := o.place, scr.say
	if o.embedded() {
		server := kinesistest.New()
		defer func() { _ = server.Close() }()
		if at.Endpoint, err = server.Listen("127.0.0.1:0"); err != nil {
			return r, fmt.Errorf("start server: %w", err)
		}
		say = func(string) {} // it is all gone with the process
	}
	run := newRun()
	res, err := arrange(ctx, at, o, run, say)
	if res != nil && !o.embedded() {
		defer func() {
			err = errors.Join(err, res.tearDown(context.WithoutCancel(outer), say))
		}()
	}
	if err != nil {
		return r, err
	}
	b := newBoard(in)
	s := &story{options: o, board: b, res: res, told: make(chan struct{}), gone: make(map[string]bool)}
	shards, err := res.shards(ctx)
	if err != nil {
		return r, err
	}
	b.list(shards)
	defer func() {
		for _, p := range s.fleet {
			p.end()
		}
	}()
	for i := range workers {
		j := job{Worker: fmt.Sprintf("w%d", i+1), Place: at, Stream: o.stream, Table: res.table, Run: run}
		b.with(func() { b.workers[j.Worker] = &workerState{name: j.Worker} })
		p, err := launch(j, b.heard)
		if err != nil {
			return r, err
		}
		s.fleet = append(s.fleet, p)
	}
	if err := together(ctx, s, run, scr); err != nil {
		return r, err
	}
	b.with(func() { r = b.report() })
	return r, nil
}

// together runs the producer, the story, and those who watch, until the story is over or one of them fails.
func together(outer context.Context, s *story, run string, scr screen) error {
	g, ctx := errgroup.WithContext(outer)
	watching, enough := context.WithCancel(ctx)
	defer enough()
	g.Go(func() error {
		defer enough()
		return s.tell(ctx)
	})
	g.Go(func() error {
		return produce(ctx, s.res.streams, s.options, run, s.board, func() bool {
			select {
			case <-s.told:
				return false
			default:
				return true
			}
		})
	})
	for _, p := range s.fleet {
		g.Go(func() error { return s.guard(watching, p) })
	}
	g.Go(func() error {
		every(watching, 250*time.Millisecond, func() { look(watching, s.res.store, s.board) })
		return nil
	})
	g.Go(func() error {
		defer scr.close()
		every(watching, 200*time.Millisecond, func() { scr.draw(s.board.snapshot()) })
		return nil
	})
	err := g.Wait()
	if cause := context.Cause(outer); cause != nil && !errors.Is(err, cause) {
		return cause // what failed first failed for this reason
	}
	return err
}

// guard fails when a worker ends that nobody asked to.
func (s *story) guard(ctx context.Context, p *process) error {
	select {
	case <-ctx.Done():
		return nil
	case <-p.over:
	}
	if s.board.holds(func() bool { return s.board.workers[p.name].fate != "" }) {
		return nil
	}
	return p.failure()
}

// look reads the lease table: who owns what, and where the next owner would begin. A table that cannot be read is read again with the next look.
func look(ctx context.Context, store lease.Store, b *board) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	var rows []lease.Lease
	for row, err := range store.List(ctx) {
		if err != nil {
			return
		}
		rows = append(rows, row)
	}
	b.looked(rows)
}

// every does something now and then until ctx ends, and once more after that.
func every(ctx context.Context, d time.Duration, do func()) {
	ticker := time.NewTicker(d)
	defer ticker.Stop()
	for ctx.Err() == nil {
		do()
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
	do()
}

// newRun names a run, so that its records and its table are told from those of others.
func newRun() string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
