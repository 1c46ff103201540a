package fetch

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/internal/awsx"
	"github.com/kinesiskit/kinesiskit/internal/retry"
)

const (
	// subscribeTimeout bounds the wait for a subscription's first frame, which the service sends at once.
	subscribeTimeout = 10 * time.Second

	// silence is how long a subscription may say nothing before its connection is taken for dead. A living one has an event every few seconds, records
	// or not; 30 s is what the HTTP client under KCL waits for a byte.
	silence = 30 * time.Second

	// takeOver is the age below which a subscription cannot be replaced (AWS: a call within 5 s of a successful one for the same consumer and
	// shard gets ResourceInUseException).
	takeOver = 5 * time.Second

	// refusalPause comes between calls while somebody else's subscription is too young: it is so for five seconds at most, and nobody tells since
	// when. AWS takes one call a second.
	refusalPause = time.Second

	// refusals is how many calls in a row are paced like that. One that was young at the first of them is old by then: what goes on refusing is
	// something else, such as a consumer that is not ACTIVE, and gets the delays of any other failure.
	refusals = 6
)

// Ends of a subscription that the service does not give a reason for, and that are not simply followed by the next one.
var (
	errSilent = fmt.Errorf("no event within %v", silence)
	errEmpty  = errors.New("subscription ended before its first event")
)

// SubscribeAPI is what fan-out calls for a shard.
type SubscribeAPI interface {
	SubscribeToShard(ctx context.Context, in *kinesis.SubscribeToShardInput, opts ...func(*kinesis.Options)) (*kinesis.SubscribeToShardOutput, error)
}

// Registration is the consumer in whose name a shard is subscribed to. Many Subscribers share one.
type Registration interface {
	// ARN returns the ARN of an ACTIVE consumer, or why there is none at the moment. It makes at most one attempt at getting one.
	ARN(ctx context.Context) (string, error)

	// Missing says that the service does not know the consumer, or the shard, that were named: ARN has to look again.
	Missing(arn string)
}

// SubscriberOptions are Options of a Subscriber; Shard, Start, Memory and Rand are those of Options.
type SubscriberOptions struct {
	Consumer Registration
	Shard    string
	Start    Place
	Memory   *Account
	Rand     *rand.Rand
}

// Subscriber yields the events of one shard's subscriptions, one after the other. It is not safe for concurrent use.
//
// It has no goroutine and no buffer. The SDK decodes at most two events ahead of the one that was taken; then nothing is read from the connection until
// Next asks again. So a page whose delivery takes long costs two events of memory, and what the connection itself buffers (up to 4 MiB of a stream
// in Go's HTTP/2). If the service ends the stream meanwhile, what was not taken is subscribed to again. Memory is asked for what a subscription may
// hold before it is opened, and for an event before it is taken.
type Subscriber struct {
	api     SubscribeAPI
	opts    SubscriberOptions
	at      *cursor
	backoff *retry.Backoff
	refused int       // calls in a row that another subscription was in the way of
	next    time.Time // of the next SubscribeToShard
	took    time.Duration
	current *subscription // nil: a new one is needed
}

// subscription is one that was opened.
type subscription struct {
	arn    string
	stream *kinesis.SubscribeToShardEventStream
	cancel context.CancelCauseFunc
	keep   func() bool // ends the watch over ctx
	opened time.Time
	clock  time.Time // the service's at opened; zero if the answer did not show it
	events int
}

// NewSubscriber returns a Subscriber that subscribes when Next is called.
func NewSubscriber(api SubscribeAPI, opts SubscriberOptions) *Subscriber {
	return newSubscriber(api, opts, newCursor(opts.Start))
}

func newSubscriber(api SubscribeAPI, opts SubscriberOptions, at *cursor) *Subscriber {
	return &Subscriber{api: api, opts: opts, at: at, backoff: retry.NewBackoff(opts.Rand, backoffBase, backoffMax)}
}

// Next waits for the next event, and subscribes before, as often as that takes. A page counts as taken when Next returns it: the subscriptions that
// follow begin behind it. After an error it can be called again: it then waits longer, and nothing is skipped. It returns ctx's error once ctx has
// ended. A subscription lives no longer than the ctx of the call that opened it, so all calls should have the same.
func (s *Subscriber) Next(ctx context.Context) (*Page, error) {
	s.took = 0
	for {
		if s.current == nil {
			if err := retry.Sleep(ctx, time.Until(s.next)); err != nil {
				return nil, err
			}
			if err := s.subscribe(ctx); err != nil {
				return nil, s.failed(ctx, err)
			}
		}
		got, err := s.event(ctx)
		if ctx.Err() != nil {
			s.Close()
			return nil, ctx.Err()
		}
		if err != nil {
			return nil, s.failed(ctx, err)
		}
		if got != nil {
			return got, nil
		}
		// It ended without a word, as it does after its five minutes, and as the SDK shows a connection that was cut.
	}
}

// Took is how long it took to subscribe, if the last Next had to. Events come by themselves.
func (s *Subscriber) Took() time.Duration { return s.took }

// FanOut is true.
func (s *Subscriber) FanOut() bool { return true }

// Close ends the subscription, if there is one. Next would open another.
func (s *Subscriber) Close() {
	if s.current == nil {
		return
	}
	sub := s.current
	s.current = nil
	sub.keep()
	sub.cancel(nil)
	_ = sub.stream.Close()
	for range sub.stream.Events() { // until the SDK's goroutine is over
	}
	s.opts.Memory.Leave()
}

// Rewind lets the next page begin with the record at which to stands: what was taken since is dropped, and so is the subscription.
func (s *Subscriber) Rewind(to checkpoint.Position) {
	s.Close()
	s.at.rewind(Place{Position: to})
}

// subscribe makes one attempt at a subscription, once there is memory for what it may hold.
func (s *Subscriber) subscribe(ctx context.Context) error {
	if err := s.opts.Memory.Stand(ctx); err != nil {
		return err
	}
	err := s.dial(ctx)
	if err != nil {
		s.opts.Memory.Leave()
	}
	return err
}

func (s *Subscriber) dial(ctx context.Context) error {
	begin := time.Now()
	defer func() { s.took = time.Since(begin) }()
	arn, err := s.opts.Consumer.ARN(ctx)
	if err != nil {
		return &unregisteredError{err}
	}
	in := &kinesis.SubscribeToShardInput{ConsumerARN: &arn, ShardId: &s.opts.Shard, StartingPosition: &types.StartingPosition{}}
	in.StartingPosition.Type, in.StartingPosition.SequenceNumber, in.StartingPosition.Timestamp = s.at.where(true)
	// The call's context is the stream's, so it cannot have the call's deadline.
	live, cancel := context.WithCancelCause(ctx)
	limit := time.AfterFunc(subscribeTimeout, func() { cancel(context.DeadlineExceeded) })
	out, err := s.api.SubscribeToShard(live, in, awsx.SubscribeOnce)
	inTime := limit.Stop()
	if err != nil {
		if errors.Is(context.Cause(live), context.DeadlineExceeded) && ctx.Err() == nil {
			err = fmt.Errorf("no answer within %v: %w", subscribeTimeout, context.DeadlineExceeded)
		}
		cancel(nil)
		if awsx.Classify(err) == awsx.Gone {
			s.opts.Consumer.Missing(arn)
		}
		return fmt.Errorf("subscribe to shard: %w", s.at.blame(err))
	}
	stream := out.GetStream()
	s.current = &subscription{arn: arn, stream: stream, cancel: cancel, opened: time.Now()}
	s.current.clock, _ = awsx.ServerTime(out.ResultMetadata)
	// Whoever holds the last page may keep it for long after ctx has ended. The stream is not to wait for that.
	s.current.keep = context.AfterFunc(live, func() { _ = stream.Close() })
	s.next = s.current.opened.Add(takeOver)
	if !inTime {
		s.Close()
		return fmt.Errorf("subscribe to shard: no answer within %v: %w", subscribeTimeout, context.DeadlineExceeded)
	}
	return nil
}

// event waits for the next event. Without one, and without an error, the subscription has ended.
func (s *Subscriber) event(ctx context.Context) (*Page, error) {
	timer := time.NewTimer(silence)
	defer timer.Stop()
	for {
		var event types.SubscribeToShardEventStream
		var open bool
		select {
		case event, open = <-s.current.stream.Events():
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-timer.C:
			s.Close()
			return nil, fmt.Errorf("subscription: %w", errSilent)
		}
		if !open {
			return nil, s.ended()
		}
		member, ok := event.(*types.SubscribeToShardEventStreamMemberSubscribeToShardEvent)
		if !ok {
			continue // of a kind that this SDK does not know; records come in no other
		}
		return s.take(ctx, &member.Value)
	}
}

// take makes a page of an event. One that cannot be read is not taken: it is subscribed to again.
func (s *Subscriber) take(ctx context.Context, e *types.SubscribeToShardEvent) (*Page, error) {
	got, err := eventPage(e)
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("subscription: %w", err)
	}
	if err := s.opts.Memory.Take(ctx, got.Bytes); err != nil {
		return nil, err
	}
	s.opts.Memory.Land(got.Bytes)
	s.current.events++
	s.refused = 0
	s.backoff.Reset()
	if !s.current.clock.IsZero() {
		got.At = s.current.clock.Add(time.Since(s.current.opened))
	}
	s.at.take(got, text(e.ContinuationSequenceNumber))
	if got.Closed {
		s.Close()
	}
	return got, nil
}

// ended returns why the stream is over, nil if nothing says so. A nil of the SDK does not mean that the stream is complete.
func (s *Subscriber) ended() error {
	sub := s.current
	s.Close()
	err := sub.stream.Err()
	var inUse *types.ResourceInUseException
	switch {
	case err == nil && sub.events == 0:
		err = errEmpty
	case err == nil:
		return nil
	case errors.As(err, &inUse): // by one that has just begun, and cannot be replaced before it is five seconds old
		s.next = time.Now().Add(takeOver + time.Duration(s.opts.Rand.Int64N(int64(time.Second))))
	case awsx.Classify(err) == awsx.Gone:
		s.opts.Consumer.Missing(sub.arn)
	}
	return fmt.Errorf("subscription: %w", err)
}

// failed decides when to subscribe again after err.
func (s *Subscriber) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var inUse *types.ResourceInUseException
	var wait time.Duration
	if s.refused < refusals && errors.As(err, &inUse) {
		s.refused++
		wait = refusalPause + time.Duration(s.opts.Rand.Int64N(int64(refusalPause/4)))
	} else {
		wait = s.backoff.Next()
	}
	if at := time.Now().Add(wait); at.After(s.next) {
		s.next = at
	}
	return fmt.Errorf("fetch: shard %s: %w", s.opts.Shard, err)
}

// unregisteredError says that there is no consumer to subscribe for.
type unregisteredError struct{ err error }

func (e *unregisteredError) Error() string { return "fan-out consumer: " + e.err.Error() }
func (e *unregisteredError) Unwrap() error { return e.err }
