package producer

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"go.uber.org/zap"

	"github.com/kinesiskit/kinesiskit/producer/internal/send"
	"github.com/kinesiskit/kinesiskit/shard"
)

// KinesisAPI is what a Producer calls; *kinesis.Client has it. It may gain methods in a minor version: embed *kinesis.Client when wrapping. Calls are
// made from several goroutines.
type KinesisAPI interface {
	DescribeStreamSummary(ctx context.Context, in *kinesis.DescribeStreamSummaryInput, opts ...func(*kinesis.Options)) (*kinesis.DescribeStreamSummaryOutput, error)
	ListShards(ctx context.Context, in *kinesis.ListShardsInput, opts ...func(*kinesis.Options)) (*kinesis.ListShardsOutput, error)
	PutRecords(ctx context.Context, in *kinesis.PutRecordsInput, opts ...func(*kinesis.Options)) (*kinesis.PutRecordsOutput, error)
}

// Option is a collaborator of a Producer.
type Option interface{ producerOption() }

type option func(*Producer)

func (option) producerOption() {}

// WithLogger makes the producer log changes of its state: sending fails, sending works again, the stream's shards changed, records that nobody else
// hears of were not stored. It never logs data or keys. Default: silent.
func WithLogger(l *zap.Logger) Option { return option(func(p *Producer) { p.log = l }) }

// WithHooks adds observers. Several options add up: all are called, in the order of the options.
func WithHooks(h Hooks) Option { return option(func(p *Producer) { p.hooks = append(p.hooks, h) }) }

// WithOnFailure sets a function that is called once for every accepted record that was not stored, before its future or callback hears of it, on the
// goroutine of the callbacks (see PutFunc). Without it such records are counted and logged, at most once a second. A panic in it is not caught.
func WithOnFailure(fn func(*RecordError)) Option {
	return option(func(p *Producer) { p.onFailure = fn })
}

// WithSeed makes the delays of retries and refreshes repeatable. Default: a random seed.
func WithSeed(seed uint64) Option { return option(func(p *Producer) { p.seed = &seed }) }

// Producer writes records to one stream or several. Safe for concurrent use. Its goroutines start with the first record that is accepted and end in Close.
type Producer struct {
	cfg       Config
	kinesis   KinesisAPI
	log       *zap.Logger
	hooks     []Hooks
	onFailure func(*RecordError)
	seed      *uint64

	inbox     *inbox
	hashes    hashes
	callbacks callbacks
	settled   bool // some hook wants Settled
	streams   registry
	main      *stream // Config's; nil: none

	ctx    context.Context // of requests; ends at a hard stop, and when the engine has nothing left to do
	cancel context.CancelFunc
	tasks  sync.WaitGroup // every goroutine but the engine
	done   chan struct{}  // closed when all have ended

	engine engine
}

// New returns a Producer. It does no I/O and starts nothing. Errors: one or more *InvalidError.
func New(cfg Config, k KinesisAPI, opts ...Option) (*Producer, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.WithDefaults()
	cfg.Linger = max(cfg.Linger, 0)
	cfg.AggregateBytes = max(cfg.AggregateBytes, 0)
	cfg.RateLimit = max(cfg.RateLimit, 0)
	p := &Producer{cfg: cfg, kinesis: k, log: zap.NewNop(), done: make(chan struct{})}
	for _, o := range opts {
		if o, ok := o.(option); ok {
			o(p)
		}
	}
	for _, h := range p.hooks {
		p.settled = p.settled || h.Settled != nil
	}
	if p.seed == nil {
		var seed [8]byte
		_, _ = crand.Read(seed[:]) // never fails: it would end the program
		n := binary.NativeEndian.Uint64(seed[:])
		p.seed = &n
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.streams.present.Store(&directory{byName: make(map[string]*stream)})
	least := 1
	if cfg.Stream == "" {
		least = 2 // a producer without a stream of its own has several
	}
	p.inbox = newInbox(cfg.BufferBytes, cfg.BufferRecords, least)
	if cfg.Stream != "" {
		p.main = p.addStream(cfg.Stream)
	}
	return p, nil
}

func (p *Producer) limits() send.Limits {
	cfg := &p.cfg
	return send.Limits{
		Linger: cfg.Linger, AggregateBytes: cfg.AggregateBytes, BatchRecords: cfg.BatchRecords, BatchBytes: cfg.BatchBytes,
		InFlight: cfg.InFlight, RecordTTL: cfg.RecordTTL, Ordered: cfg.Ordered, Gaps: cfg.OrderedGaps, RatePercent: cfg.RateLimit,
	}
}

// Put accepts one record, copying what it needs. It waits for buffer space until ctx ends; Puts that wait are served in turn. After that ctx no longer
// matters: an accepted record is stored, or reported failed, whatever becomes of ctx.
//
// Errors, nothing accepted: *InvalidError, ErrClosed, ctx's.
func (p *Producer) Put(ctx context.Context, r Record) (*Future, error) {
	return p.put(ctx, r, nil)
}

// PutFunc is Put with a callback: called exactly once if the error is nil, never otherwise, with what Future.Result would return.
//
// Callbacks come one at a time, on a goroutine of their own and under no lock; those of one shard in the order in which the records' fates were decided,
// which with Ordered is their order in the stream, and those of one aggregate in the order of their Puts. A record leaves the buffer before its
// callback is called, so a callback may Put, even when the buffer is full, and sending goes on while a callback runs. The price is that a callback that is
// slower than the stream lets results pile up; it should hand long work on. It must not wait for Flush or Close, which wait for it. A panic in it is
// not caught.
func (p *Producer) PutFunc(ctx context.Context, r Record, done func(Result, error)) error {
	_, err := p.put(ctx, r, done)
	return err
}

func (p *Producer) put(ctx context.Context, r Record, done func(Result, error)) (*Future, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s, err := p.streamOf(r.Stream)
	if err != nil {
		return nil, err
	}
	hash, err := p.check(s, &r)
	if err != nil {
		return nil, err
	}
	f := future(s, &r, hash)
	f.done = done
	start, err := p.inbox.put(f)
	if errors.Is(err, ErrFull) {
		if err := p.inbox.wait(ctx, &s.share, r.size()); err != nil {
			return nil, err
		}
		f = future(s, &r, hash) // again: what waits for space must not take any
		f.done = done
		start, err = p.inbox.acceptGranted(f)
	}
	if err != nil {
		return nil, err
	}
	if start {
		go p.run()
	}
	return f, nil
}

// TryPut is Put that does not wait. Errors: *InvalidError, ErrClosed, ErrFull, which it also returns while others wait for space.
func (p *Producer) TryPut(r Record) (*Future, error) {
	s, err := p.streamOf(r.Stream)
	if err != nil {
		return nil, err
	}
	hash, err := p.check(s, &r)
	if err != nil {
		return nil, err
	}
	f := future(s, &r, hash)
	start, err := p.inbox.put(f)
	if err != nil {
		return nil, err
	}
	if start {
		go p.run()
	}
	return f, nil
}

// future is for a record that was checked.
func future(s *stream, r *Record, hash shard.HashKey) *Future {
	f := newFuture(r.Data)
	f.stream = s
	f.item.Key, f.item.Explicit, f.item.Hash, f.item.Owner = r.PartitionKey, r.ExplicitHashKey, hash, f
	f.size = int32(r.size())
	return f
}

// PutAll puts all records and waits for all. The error joins one *RecordError or *InvalidError for each record that is not known to be stored, in
// their order; results stand at the same index as their records.
//
// When ctx ends first, records that were accepted are still being sent; their *RecordError says MayExist and matches ctx's error. Those that were not
// accepted have one without MayExist.
func (p *Producer) PutAll(ctx context.Context, rs []Record) ([]Result, error) {
	results := make([]Result, len(rs))
	errs := make([]error, len(rs))
	futures := make([]*Future, len(rs))
	for i, r := range rs {
		f, err := p.Put(ctx, r)
		if invalid := (*InvalidError)(nil); err != nil && !errors.As(err, &invalid) {
			err = &RecordError{Record: r, Err: err}
		}
		futures[i], errs[i] = f, err
	}
	for i, f := range futures {
		if f == nil {
			continue
		}
		var err error
		results[i], err = f.Result(ctx)
		if verdict := (*RecordError)(nil); err != nil && !errors.As(err, &verdict) {
			err = &RecordError{Record: rs[i], MayExist: true, Err: err}
		}
		errs[i] = err
	}
	return results, errors.Join(errs...)
}

// Flush sends what is buffered now without lingering and waits until everything accepted before the call has its verdict and the callbacks have been
// called. Errors: ctx's.
func (p *Producer) Flush(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	done := p.inbox.flush()
	if done == nil {
		return nil
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

const (
	// stopGrace is how long a hard stop waits for requests whose context was cancelled.
	stopGrace = time.Second
	// callbackGrace is how long it then waits for the program's callbacks.
	callbackGrace = time.Second
)

// Close refuses new records, flushes, and waits: for the verdict of every accepted record, for callbacks, and for the producer's goroutines. When ctx
// ends first, requests under way are cancelled and records without a verdict fail with ErrClosed, MayExist if an attempt may still reach the stream;
// then the error is ctx's. Nothing is left unsettled, and no goroutine of the producer is left, unless the KinesisAPI does not return from a call whose
// context has ended, or a callback does not return, within a second.
//
// Close may be called several times, also at once.
func (p *Producer) Close(ctx context.Context) error {
	if !p.inbox.close(false) {
		p.cancel()
		return nil
	}
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
	}
	select {
	case <-p.done:
		return nil
	default:
	}
	p.inbox.close(true)
	p.cancel()
	timer := time.NewTimer(stopGrace + callbackGrace)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
	}
	return fmt.Errorf("producer: close: %w", ctx.Err())
}
