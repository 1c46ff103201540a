package fetch

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/internal/awsx"
	"github.com/kinesiskit/kinesiskit/internal/retry"
)

const (
	// requestTimeout bounds one request, as KCL does it. A page of 10 MiB over a slow line takes seconds.
	requestTimeout = 30 * time.Second

	// readRate is what one shard gives to all its readers together, in bytes a second (AWS limit, 2 MiB): after a page of 10 MiB every call of the
	// next five seconds is refused.
	readRate = 2 << 20

	// Delays after failures: from as much as a call that is not refused would wait to a span at which an outage costs next to nothing.
	backoffBase = 250 * time.Millisecond
	backoffMax  = 10 * time.Second
)

// API is what polling calls.
type API interface {
	GetShardIterator(ctx context.Context, in *kinesis.GetShardIteratorInput, opts ...func(*kinesis.Options)) (*kinesis.GetShardIteratorOutput, error)
	GetRecords(ctx context.Context, in *kinesis.GetRecordsInput, opts ...func(*kinesis.Options)) (*kinesis.GetRecordsOutput, error)
}

// Stream names a stream in requests: by ARN if there is one, else by name. Requests carry one of the two.
type Stream struct{ Name, ARN string }

// Reference returns the two request members, one of them nil.
func (s Stream) Reference() (name, arn *string) {
	if s.ARN != "" {
		return nil, &s.ARN
	}
	return &s.Name, nil
}

// Options of a Poller.
type Options struct {
	Stream Stream
	Shard  string

	Start Place

	// Memory is asked before each page. What Next returned counts until Memory.Done.
	Memory *Account

	MaxRecords  int
	MinInterval time.Duration // between calls while behind; 0 or less: none, and no pause for the read rate either
	MaxInterval time.Duration // between calls at the tip
	Rand        *rand.Rand
}

// Poller fetches the pages of one shard, one after the other. It is not safe for concurrent use.
type Poller struct {
	api     API
	opts    Options
	backoff *retry.Backoff
	next    time.Time // of the next call
	took    time.Duration

	at       *cursor
	iterator string // empty: a new one is needed
}

// New returns a Poller whose first call is made at once.
func New(api API, opts Options) *Poller {
	return newPoller(api, opts, newCursor(opts.Start))
}

func newPoller(api API, opts Options, at *cursor) *Poller {
	return &Poller{api: api, opts: opts, at: at, backoff: retry.NewBackoff(opts.Rand, backoffBase, backoffMax)}
}

// Next waits until the service may be asked again, and until there is memory for the answer, and makes one attempt at the next page. After an error
// it can be called again: it then waits longer, and nothing is skipped. It returns ctx's error once ctx has ended.
func (p *Poller) Next(ctx context.Context) (*Page, error) {
	if err := retry.Sleep(ctx, time.Until(p.next)); err != nil {
		return nil, err
	}
	if err := p.opts.Memory.Reserve(ctx); err != nil { // only now, or the shards that wait for their time would have it all
		return nil, err
	}
	begin := time.Now()
	got, err := p.fetch(ctx)
	p.took = time.Since(begin)
	if err != nil || ctx.Err() != nil {
		p.opts.Memory.Forgo()
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		p.forget(err)
		p.next = time.Now().Add(p.backoff.Next())
		return nil, fmt.Errorf("fetch: shard %s: %w", p.opts.Shard, err)
	}
	p.backoff.Reset()
	p.next = begin.Add(p.interval(got))
	p.at.take(got, "")
	p.opts.Memory.Land(got.Bytes)
	return got, nil
}

// Rewind lets the next page begin with the record at which to stands: what was fetched since is dropped, and fetched once more.
func (p *Poller) Rewind(to checkpoint.Position) {
	p.iterator = ""
	p.at.rewind(Place{Position: to})
}

// Took is how long the requests of the last Next took, without the wait before them.
func (p *Poller) Took() time.Duration { return p.took }

// FanOut is false: these are polls.
func (p *Poller) FanOut() bool { return false }

// Close does nothing: between two calls of Next there is nothing that is open.
func (p *Poller) Close() {}

// fetch makes at most two requests: for an iterator, if there is none, and for the records.
func (p *Poller) fetch(ctx context.Context) (*Page, error) {
	if p.iterator == "" {
		if err := p.open(ctx); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	limit := int32(min(p.opts.MaxRecords, 10_000))
	_, arn := p.opts.Stream.Reference()
	out, err := p.api.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: &p.iterator, Limit: &limit, StreamARN: arn}, awsx.KinesisOnce)
	if err != nil {
		return nil, fmt.Errorf("get records: %w", err)
	}
	got, err := page(out)
	if err != nil {
		return nil, fmt.Errorf("get records: %w", err)
	}
	// Only now: an answer that could not be read must not move the iterator past its records.
	p.iterator = text(out.NextShardIterator)
	return got, nil
}

// open gets an iterator: behind the last record that was fetched or, before the first, the start once more.
func (p *Poller) open(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	in := &kinesis.GetShardIteratorInput{ShardId: &p.opts.Shard}
	in.StreamName, in.StreamARN = p.opts.Stream.Reference()
	in.ShardIteratorType, in.StartingSequenceNumber, in.Timestamp = p.at.where(false)
	out, err := p.api.GetShardIterator(ctx, in, awsx.KinesisOnce)
	if err != nil {
		return fmt.Errorf("get shard iterator: %w", p.at.blame(err))
	}
	p.iterator = text(out.ShardIterator)
	return nil
}

// forget gives the iterator up where an error says that it is of no use any more. After a throttle or an outage it is as good as before: a new one
// would cost a call of another limit, and before the first record it could begin elsewhere.
func (p *Poller) forget(err error) {
	switch awsx.Classify(err) {
	case awsx.Expired, awsx.Gone, awsx.Invalid:
		p.iterator = ""
	}
}

// interval is the time between the start of the call that answered got and the start of the next one.
func (p *Poller) interval(got *Page) time.Duration {
	d := p.opts.MinInterval
	if got.Behind == 0 {
		d = p.opts.MaxInterval
	}
	if p.opts.MinInterval > 0 {
		d = max(d, time.Duration(got.Bytes)*time.Second/readRate)
	}
	return d
}
