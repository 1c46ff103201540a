package consumer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"go.uber.org/zap"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/consumer/internal/fetch"
	"github.com/kinesiskit/kinesiskit/internal/awsx"
	"github.com/kinesiskit/kinesiskit/internal/retry"
	"github.com/kinesiskit/kinesiskit/lease"
	"github.com/kinesiskit/kinesiskit/shard"
)

// errLeaving ends what a session does because the shard is to be given away in good order.
var errLeaving = errors.New("consumer: leaving the shard")

// errUnservable: a row of Java's that says AT_TIMESTAMP, whose time only Java's configuration knows, or a row without any position.
var errUnservable = errors.New("consumer: the stored position cannot be started from: nothing tells what it stands for (AT_TIMESTAMP needs Config.Start)")

// session is one time of holding one shard. Its methods run on one goroutine, except health.
//
// Two contexts go through it. ctx is the tenure's, and your code's: it ends when the shard is lost, or at a hard stop. stay is shorter: it ends as soon
// as the shard is to be given away, and everything that only waits or reads runs under it.
type session struct {
	c      *Consumer
	tenure *lease.Tenure
	shard  *Shard // nil until the parents are finished
	log    *zap.Logger
	rng    *rand.Rand
	view   view

	place    fetch.Place // where reading begins
	unpinned bool        // the row stands for an instant: no record was fetched yet
	verified bool        // reading at the row's position has succeeded
	missing  time.Time   // since when complete listings do not have the shard; zero if one had it
	aged     bool        // the shard was finished because it has aged out of the stream
	unpacker *unpacker
	feed     *feed     // nil before the first page is asked for
	unit     []Record  // of the page in hand: what the last call of your code was about
	rest     []Record  // of it: what stands behind that
	parallel *parallel // nil if records come one after the other

	processor Processor           // nil with Each and Batches
	accepted  checkpoint.Position // the processor returned nil for everything up to here, or nobody has to
	kept      checkpoint.Position // the last record that it returned nil for
	unflushed error               // of a Flush(ShardEnded) that was not repeated because the shard is left

	skips skipLog

	warnedCorrupt, warnedOutside, warnedKept bool
}

func (s *session) id() string { return s.tenure.Lease().Key }

// serve is what the coordinator calls for each lease. Its nil gives the lease away; with an error, or if it was asked to leave for nothing, the coordinator
// calls it again, if it still can.
func (c *Consumer) serve(ctx context.Context, t *lease.Tenure) error {
	key := t.Lease().Key
	s := &session{c: c, tenure: t, log: c.log.With(zap.String("shard", key)), rng: c.rng(key)}
	c.mu.Lock()
	c.sessions[s] = struct{}{}
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.sessions, s)
		c.mu.Unlock()
	}()
	s.watchSlow()
	defer s.unwatchSlow()
	stay, release := s.staying(ctx)
	defer release()
	if err := s.run(ctx, stay); !errors.Is(err, errLeaving) {
		return err
	}
	return nil
}

// staying returns stay. The goroutine behind it is over when release returns.
func (s *session) staying(ctx context.Context) (stay context.Context, release func()) {
	stay, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-s.tenure.Leaving():
			cancel(errLeaving)
		case <-stay.Done():
		}
	}()
	return stay, func() {
		cancel(nil)
		<-done
	}
}

// stopped returns why nothing more is to be begun: the shard is not ours any more, or, after that, it is to be given away. It asks Leaving itself, since
// stay ends a moment later.
func (s *session) stopped(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	select {
	case <-s.tenure.Leaving():
		return errLeaving
	default:
		return nil
	}
}

// run leads a shard through its life. errLeaving and nil (the shard is finished) are its good ends.
func (s *session) run(ctx, stay context.Context) error {
	if err := s.tenure.Gate(stay, s.gateListing); err != nil {
		return s.because(ctx, err)
	}
	graph, err := s.describe(ctx, stay)
	if err != nil {
		return err
	}
	start := s.tenure.Start().Position
	s.place = fetch.Place{Position: start, Since: s.tenure.Lease().StartAt, First: s.shard.Info().First}
	s.unpinned = start == checkpoint.Latest || start == checkpoint.AtTimestamp
	if start == checkpoint.ShardEnd || start == (checkpoint.Position{}) || s.unpinned && s.place.Since.IsZero() {
		return s.refuse(ctx, stay, start)
	}
	s.unpacker = newUnpacker(s.shard, start, newSieve(s.c.cfg.Aggregates, s.shard.ID(), graph), s.c.distribution.keys)
	if err := s.open(ctx, stay); err != nil {
		return err
	}
	s.view.enter(Processing)
	err = s.read(ctx, stay)
	if n, last := s.skips.rest(); n > 0 {
		s.tellSkips(n, last)
	}
	if errors.Is(err, errLeaving) {
		s.close(ctx, s.flushLeaving(ctx))
		return s.because(ctx, err)
	}
	if err == nil && s.aged {
		s.close(ctx, ErrExpired)
		return nil
	}
	s.close(ctx, err)
	return err
}

// gateListing is what the parent gate looks at when a parent's row is missing.
func (s *session) gateListing(ctx context.Context) (*shard.Graph, time.Time, error) {
	graph, at, err := s.c.listing.refresh(ctx)
	return graph, serviceTime(at), err
}

// because prefers what ended ctx, or the leaving, to the error that came of it.
func (s *session) because(ctx context.Context, err error) error {
	if stop := s.stopped(ctx); stop != nil {
		return stop
	}
	return err
}

// describe finds the shard in the listing and makes the Shard.
func (s *session) describe(ctx, stay context.Context) (*shard.Graph, error) {
	graph, _ := s.c.listing.known()
	backoff := retry.NewBackoff(s.rng, startBackoff, startBackoffMax)
	for listed := false; ; {
		row := s.tenure.Lease()
		info, ok := graph.Shard(row.Key)
		if !ok && listed {
			info = shard.Shard{ID: row.Key, Parents: row.Parents, Range: row.HashRange}
		}
		if ok {
			if err := row.Identify(info); err != nil {
				return nil, s.strange(ctx, stay, err)
			}
		}
		if ok || listed {
			s.shard = &Shard{stream: s.c.stream.Name, info: info, tenure: s.tenure, c: s.c}
			return graph, nil
		}
		fresh, _, err := s.c.listing.refresh(stay)
		if stop := s.stopped(ctx); stop != nil {
			return nil, stop
		}
		if err != nil {
			s.trouble("shard cannot be looked up", err)
			_ = retry.Sleep(stay, backoff.Next())
			continue
		}
		graph, listed = fresh, true
	}
}

// refuse keeps a shard that cannot be read, so that Health can say so and nobody else has to find out.
func (s *session) refuse(ctx, stay context.Context, start checkpoint.Position) error {
	s.trouble("shard is held and not read", fmt.Errorf("%w: %s", errUnservable, start))
	<-stay.Done()
	return s.because(ctx, errLeaving)
}

// open makes the processor.
func (s *session) open(ctx, stay context.Context) error {
	if s.c.handler.open == nil {
		return nil
	}
	s.view.enter(Opening)
	try := s.newTry()
	for {
		if stop := s.stopped(ctx); stop != nil {
			return stop
		}
		p, admitted, err := s.openOnce(ctx, try)
		if !admitted {
			return err
		}
		if err == nil {
			s.processor = p
			s.well(try)
			return nil
		}
		verdict, stop := s.failed(ctx, try, nil, err)
		switch {
		case stop != nil:
		case verdict == Halt:
			stop = s.halt(ctx, stay, try, err)
		default:
			stop = s.again(ctx, stay, try)
		}
		if stop != nil {
			return stop
		}
	}
}

func (s *session) openOnce(ctx context.Context, t *try) (p Processor, admitted bool, err error) {
	slot, now := s.view.begin(inOpen, nil)
	t.begin(now)
	defer s.view.end(slot)
	if err := s.tenure.Admit(ctx, nothing); err != nil {
		return nil, false, err
	}
	p, err = s.callOpen(ctx)
	return p, true, err
}

// read fetches and delivers until the shard is finished (nil) or something ends the session.
func (s *session) read(ctx, stay context.Context) error {
	memory := s.c.budget.Open()
	s.feed = newFeed(s.source(memory), memory)
	defer s.feed.close()
	stay, cancel := context.WithCancel(stay)
	if s.c.cfg.ParallelizationFactor > 1 {
		s.parallel = s.newParallel(ctx, stay, memory)
		defer s.parallel.close()
	}
	defer cancel() // before the closes, which wait for what it ends
	for {
		got := s.feed.next(stay)
		if stop := s.stopped(ctx); stop != nil {
			return stop
		}
		if got.err != nil {
			if done, err := s.fetchFailed(ctx, stay, got); done || err != nil {
				return err
			}
			continue
		}
		s.same()
		last := s.cut(got.page)
		whole, err := s.page(ctx, stay, got, last)
		switch {
		case err != nil:
			return err
		case whole && last:
			return s.endReached(ctx, stay)
		case !whole || !got.page.Closed:
			continue
		}
		if children := s.children(stay, got.page); children != nil {
			return s.finish(ctx, stay, children, got.page.At)
		}
	}
}

// page delivers one page and accounts for what is not delivered of it. It is not whole if only its beginning was delivered, and the rest was given up,
// to be fetched once more. last says that no other page will be asked for.
func (s *session) page(ctx, stay context.Context, from fetched, last bool) (whole bool, err error) {
	p := from.page
	got := s.unpacker.unpack(p)
	s.view.fetched(p.Behind)
	s.mended()
	s.c.fetched(FetchEvent{
		Stream: s.c.stream.Name, Shard: s.shard.ID(), Records: len(p.Records), Bytes: p.Bytes, UserRecords: len(got.records), OutsideKept: got.outside.n,
		Behind: p.Behind, Took: from.took, FanOut: from.fanOut,
	})
	if p.Trimmed {
		next := checkpoint.Position{}
		if len(p.Records) > 0 {
			next = p.Records[0].Position
		}
		s.expired(next)
	}
	if err := s.pin(ctx, stay, p); err != nil {
		return false, err
	}
	s.tellDrops(&got)
	if len(got.records) > 0 && !p.Closed && !last {
		s.feed.lookAhead(stay)
	}
	end := got.end
	if err := s.deliver(ctx, stay, got.records, p.Behind); err != nil {
		return false, err
	}
	if s.unit, s.rest = nil, nil; !s.feed.done() {
		return false, nil
	}
	return true, s.passed(end)
}

// tellDrops reports what is left out of a page, before anything of the page is delivered. The first of a kind is logged.
func (s *session) tellDrops(got *unpacked) {
	for _, e := range got.drops {
		switch {
		case e.Why == Corrupt && !s.warnedCorrupt:
			s.warnedCorrupt = true
			s.log.Warn("aggregate has entries that cannot be read, the others are delivered",
				zap.Int("entries", e.Records), zap.Stringer("first", e.First), zap.Stringer("last", e.Last), zap.NamedError("reason", got.corrupt))
		case e.Why == OutsideRange && !s.warnedOutside:
			s.warnedOutside = true
			s.log.Warn("records of an aggregate belong to another shard, they are dropped",
				zap.Int("records", e.Records), zap.Stringer("first", e.First), zap.Stringer("last", e.Last))
		}
		s.c.dropped(e)
	}
	if kept := got.outside; kept.n > 0 && !s.warnedKept {
		s.warnedKept = true
		s.log.Info("records of an aggregate belong to another shard, they are delivered",
			zap.Int("records", kept.n), zap.Stringer("first", kept.first), zap.Stringer("last", kept.last))
	}
}

// trouble shows err in Health, and logs it if all was well before. A throttle is not worth a line: it is how a shard with several readers works.
func (s *session) trouble(what string, err error) {
	if s.view.failing(0, err, awsx.Classify(err) != awsx.Throttle) {
		s.log.Warn(what, zap.Error(err))
	}
}

// mended takes a trouble back.
func (s *session) mended() {
	if s.parallel != nil && s.parallel.fails() {
		return // it is your code's trouble that Health shows
	}
	if s.view.well() {
		s.log.Info("shard can be read again")
	}
}
