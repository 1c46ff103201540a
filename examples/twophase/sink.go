package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/consumer"
	"github.com/kinesiskit/kinesiskit/lease"
)

// phase is how far a file is.
type phase int

const (
	staged phase = iota + 1
	announced
	published
)

func (p phase) String() string { return [...]string{"", "staged", "announced", "published"}[p] }

// sink writes the records of one shard into files.
type sink struct {
	shard *consumer.Shard
	dir   directory
	at    func(ctx context.Context, p phase) error // called when a phase is reached; an error ends the attempt

	lines []string
	first checkpoint.Position
	last  checkpoint.Position
}

// openSink finishes what the owner before this one has announced, and discards what it has only staged.
func openSink(s *consumer.Shard, dir directory, at func(context.Context, phase) error) (*sink, error) {
	k := &sink{shard: s, dir: dir, at: at}
	if start := s.Start(); start.Pending != (checkpoint.Position{}) {
		if err := dir.publish(string(start.State)); err != nil {
			return nil, err
		}
		// Records behind the old position are on their way to Process; it drops those that this file has.
		k.last = start.Pending
	}
	return k, dir.discard(s.ID())
}

// Process collects records, and writes a file whenever there are enough.
func (k *sink) Process(ctx context.Context, b *consumer.Batch) error {
	if len(k.lines) == perFile { // the attempt before this one could not write them
		if err := k.write(ctx); err != nil {
			return err
		}
	}
	for i := range b.Records {
		r := &b.Records[i]
		if k.last.Compare(r.Position) >= 0 {
			continue // in a file already, or in the buffer since an attempt that failed
		}
		if len(k.lines) == 0 {
			k.first = r.Position
		}
		k.lines, k.last = append(k.lines, string(r.Data)), r.Position
		if len(k.lines) == perFile {
			if err := k.write(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// Flush writes what is left; after it returned nil the consumer stores the position itself.
func (k *sink) Flush(ctx context.Context, _ consumer.Reason) error { return k.write(ctx) }

// Close has nothing to do: what is not announced is the next owner's.
func (k *sink) Close(context.Context, error) {}

// write makes a file of the buffer. It may be called again after an error: each step finds what was done.
func (k *sink) write(ctx context.Context) error {
	if len(k.lines) == 0 {
		return nil
	}
	name := fmt.Sprintf("%s_%s", k.shard.ID(), strings.ReplaceAll(k.first.String(), ":", "."))
	if err := k.dir.stage(name, k.lines); err != nil {
		return err
	}
	if err := k.at(ctx, staged); err != nil {
		return err
	}
	position, err := k.shard.Prepare(ctx, k.last, []byte(name))
	if err != nil {
		return err
	}
	if err := k.at(ctx, announced); err != nil {
		return err
	}
	if err := k.dir.publish(name); err != nil {
		return err
	}
	if err := k.at(ctx, published); err != nil {
		return err
	}
	if err := position.Commit(ctx); err != nil {
		return err
	}
	k.lines = nil
	return nil
}

// cord is a worker's connection to the table, which a dead worker does not have.
type cord struct {
	lease.Store
	severed atomic.Bool
}

var errSevered = errors.New("the worker is dead")

func (c *cord) cut() { c.severed.Store(true) }

// Write refuses what a dead worker would write; it reads no more either, since all that it then does is to end.
func (c *cord) Write(ctx context.Context, key string, when lease.Condition, set lease.Change) (lease.Lease, error) {
	if c.severed.Load() {
		return lease.Lease{}, errSevered
	}
	return c.Store.Write(ctx, key, when, set)
}
