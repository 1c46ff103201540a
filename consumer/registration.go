package consumer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"go.uber.org/zap"

	"github.com/kinesiskit/kinesiskit/consumer/internal/fetch"
	"github.com/kinesiskit/kinesiskit/internal/awsx"
	"github.com/kinesiskit/kinesiskit/internal/retry"
)

const (
	// registerTimeout bounds one call about a fan-out consumer.
	registerTimeout = 10 * time.Second

	// deregisterTimeout bounds the deregistration at the end of Run, with its repetitions.
	deregisterTimeout = 5 * time.Second
)

// errUnreadable: an answer without what it has to have.
var errUnreadable = errors.New("the answer is incomplete")

// registration is the fan-out consumer that all shards of a Consumer read in the name of. Every worker of the application looks for it; whoever finds
// none registers it, and of several who do so at one time the service takes the first and the others find that one.
type registration struct {
	api     KinesisAPI
	stream  fetch.Stream
	cfg     FanOut
	log     *zap.Logger
	rng     *rand.Rand
	backoff *retry.Backoff
	turn    chan struct{} // has one element: whoever takes it out may ask the service, and puts it back

	// Of whoever has the turn.
	streamARN string
	next      time.Time // before that, the last error is answer enough: a hundred shards are one caller
	err       error

	mu   sync.Mutex
	arn  string // of an ACTIVE consumer; empty if it has to be looked for
	mine string // of the consumer that this process registered; empty if it registered none
}

func newRegistration(api KinesisAPI, stream fetch.Stream, cfg FanOut, log *zap.Logger, rng *rand.Rand) *registration {
	r := &registration{
		api: api, stream: stream, cfg: cfg, log: log, rng: rng, streamARN: stream.ARN,
		backoff: retry.NewBackoff(rng, startBackoff, startBackoffMax), turn: make(chan struct{}, 1),
	}
	r.turn <- struct{}{}
	return r
}

func (r *registration) known() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.arn
}

// ARN implements fetch.Registration.
func (r *registration) ARN(ctx context.Context) (string, error) {
	if arn := r.known(); arn != "" {
		return arn, nil
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	select {
	case <-r.turn:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	defer func() { r.turn <- struct{}{} }()
	if arn := r.known(); arn != "" {
		return arn, nil
	}
	if r.err != nil && time.Now().Before(r.next) {
		return "", r.err
	}
	arn, err := r.find(ctx)
	if ctx.Err() != nil {
		return "", ctx.Err() // which says nothing to the others
	}
	r.err = err
	if err != nil {
		r.next = time.Now().Add(r.backoff.Next())
		return "", err
	}
	r.backoff.Reset()
	r.mu.Lock()
	r.arn = arn
	r.mu.Unlock()
	return arn, nil
}

// Missing implements fetch.Registration.
func (r *registration) Missing(arn string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.arn == arn { // not one that was found since
		r.arn = ""
	}
}

// find returns the ARN of the consumer if it is ACTIVE. A consumer that is given by its name, and absent, is registered.
func (r *registration) find(ctx context.Context) (string, error) {
	in := &kinesis.DescribeStreamConsumerInput{ConsumerARN: &r.cfg.ARN}
	if r.cfg.ARN == "" {
		if err := r.findStream(ctx); err != nil {
			return "", err
		}
		in = &kinesis.DescribeStreamConsumerInput{StreamARN: &r.streamARN, ConsumerName: &r.cfg.Name}
	}
	bounded, cancel := context.WithTimeout(ctx, registerTimeout)
	defer cancel()
	out, err := r.api.DescribeStreamConsumer(bounded, in, awsx.KinesisOnce)
	if err == nil && out.ConsumerDescription == nil {
		return "", fmt.Errorf("describe stream consumer: %w", errUnreadable)
	}
	if err == nil {
		return active(aws.ToString(out.ConsumerDescription.ConsumerARN), out.ConsumerDescription.ConsumerStatus)
	}
	if r.cfg.ARN != "" || awsx.Classify(err) != awsx.Gone {
		return "", fmt.Errorf("describe stream consumer: %w", err)
	}
	return r.register(ctx)
}

// findStream learns the stream's ARN, without which a consumer cannot be looked for.
func (r *registration) findStream(ctx context.Context) error {
	if r.streamARN != "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, registerTimeout)
	defer cancel()
	out, err := r.api.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: &r.stream.Name}, awsx.KinesisOnce)
	if err != nil {
		return fmt.Errorf("describe stream summary: %w", err)
	}
	if out.StreamDescriptionSummary == nil {
		return fmt.Errorf("describe stream summary: %w", errUnreadable)
	}
	r.streamARN = aws.ToString(out.StreamDescriptionSummary.StreamARN)
	return nil
}

// register makes the consumer. If its answer is lost, or another worker was first, the next attempt finds what there is.
func (r *registration) register(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, registerTimeout)
	defer cancel()
	out, err := r.api.RegisterStreamConsumer(ctx, &kinesis.RegisterStreamConsumerInput{
		StreamARN: &r.streamARN, ConsumerName: &r.cfg.Name,
	}, awsx.KinesisOnce)
	if err != nil {
		return "", fmt.Errorf("register stream consumer: %w", err)
	}
	if out.Consumer == nil {
		return "", fmt.Errorf("register stream consumer: %w", errUnreadable)
	}
	arn := aws.ToString(out.Consumer.ConsumerARN)
	r.mu.Lock()
	r.mine = arn
	r.mu.Unlock()
	r.log.Info("fan-out consumer registered", zap.String("arn", arn))
	return active(arn, out.Consumer.ConsumerStatus)
}

// active returns arn if the consumer can be subscribed for.
func active(arn string, status types.ConsumerStatus) (string, error) {
	if arn == "" {
		return "", errUnreadable
	}
	if status != types.ConsumerStatusActive {
		return "", fmt.Errorf("stream consumer %s is %s, not ACTIVE", arn, status)
	}
	return arn, nil
}

// deregister undoes register, if this process did it and was asked to. It takes no longer than deregisterTimeout.
func (r *registration) deregister(ctx context.Context) {
	if r == nil || !r.cfg.Deregister {
		return
	}
	r.mu.Lock()
	arn := r.mine
	r.mu.Unlock()
	if arn == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deregisterTimeout)
	defer cancel()
	backoff := retry.NewBackoff(r.rng, startBackoff, startBackoffMax)
	for {
		_, err := r.api.DeregisterStreamConsumer(ctx, &kinesis.DeregisterStreamConsumerInput{ConsumerARN: &arn}, awsx.KinesisOnce)
		if err == nil || awsx.Classify(err) == awsx.Gone {
			r.log.Info("fan-out consumer deregistered", zap.String("arn", arn))
			return
		}
		if retry.Sleep(ctx, backoff.Next()) != nil {
			r.log.Warn("fan-out consumer is still registered", zap.String("arn", arn), zap.Error(err))
			return
		}
	}
}

// hopeless returns what ends Run of an error of the registration.
func (r *registration) hopeless(err error) error {
	field := "FanOut"
	if r.cfg.ARN != "" {
		field = "FanOut.ARN"
	}
	var problem string
	switch class := awsx.Classify(err); {
	case class == awsx.Gone && r.cfg.ARN != "":
		problem = "does not exist"
	case class == awsx.Denied:
		problem = "may not be described or registered"
	case class == awsx.Invalid:
		problem = "is refused"
	default:
		return nil
	}
	return &ConfigError{Field: field, Problem: problem, Err: err}
}

// startFanOut sees to it that the consumer is registered and ACTIVE before the first lease is taken or, where polling can stand in, that nothing is wrong
// which waiting cannot mend.
func (c *Consumer) startFanOut(ctx context.Context) error {
	if c.registration == nil {
		return nil
	}
	find := func(ctx context.Context) error {
		_, err := c.registration.ARN(ctx)
		if err != nil && c.cfg.FanOut.OrElsePoll && ctx.Err() == nil && c.registration.hopeless(err) == nil {
			c.log.Warn("fan-out consumer is not ready, shards are polled", zap.Error(err))
			return nil
		}
		return err
	}
	return c.attempt(ctx, "register fan-out consumer", find, c.registration.hopeless)
}
