package consumer

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"time"

	"github.com/kinesiskit/kinesiskit/consumer/internal/fetch"
	"github.com/kinesiskit/kinesiskit/lease"
)

// Config of a Consumer. Zero means default, negative means off where a field says so.
type Config struct {
	// Application names the fleet in logs. Required. Workers of one application share a lease table and divide the stream among themselves.
	Application string

	// Stream is what to read: a name, or an ARN, which may be another account's. Required.
	Stream string

	// Start is where the application begins at its very first start, when its lease table has no rows. Default: TrimHorizon, so that nothing is missed; KCL's
	// default is LATEST (KCL initialPositionInStream).
	Start Start

	// End makes the application a bounded one: of each shard it delivers what stands before the first record that arrived at this time or later, and Run
	// returns nil when every shard of the stream was read so far or to its own end, by whichever worker of the fleet. An open shard without a later
	// record counts as read ten seconds after End. Workers look every five seconds whether the others are done. Every worker of the application should have the same
	// End; an application that is started again with a later one, or none, goes on behind what was delivered. Default: never.
	End time.Time

	// Worker is this process in logs and, with a suffix for each start, as the owner of leases. At most 64 bytes. Default: the host's name, or
	// the first 64 bytes of it.
	Worker string

	// FanOut reads by enhanced fan-out instead of by polling. Default: nil, polling, since a fan-out consumer is paid for by the hour; KCL's default is
	// fan-out.
	FanOut *FanOut

	Polling Polling

	// BufferBytes bounds the payload that this consumer holds for all of its shards together: what was fetched and is not done, what is being fetched,
	// and what open subscriptions may buffer. A shard waits for its turn when the bound is reached. Each shard is entitled to an equal part, or to one
	// page where that is more. A shard whose processing fails keeps the records of the call that fails, and what came with them is fetched once more; what
	// such shards keep never takes more than half of the bound away from the others, and is held beyond it if need be. A response of GetRecords, 10 MiB
	// at most, costs some five times its payload while it is decoded, and a page may exceed what was set aside for it, so leave room for both.
	// KCL bounds each shard alone, by 8 MiB (maxBytes of its record cache) and a response. Default: 256 MiB. At least 32 MiB.
	BufferBytes int64

	// Aggregates says what becomes of records of aggregates that lie outside their shard. It should be the same for all workers of an application. Default:
	// Stale. KCL has Whole, and no choice.
	Aggregates Filter

	// ParallelizationFactor is how many records of one shard your code works on at the same time, with [Each]: at most one of a partition key, so that
	// a key's records still come one after the other, in order. The stored position is the last record in front of the first that is not done; see the
	// package's comment. Default: 1. At most 10,000. KCL has no such thing; in Lambda it is called the same, and is 10 at most.
	ParallelizationFactor int

	// ShutdownTimeout bounds the stop that begins when Run's ctx ends. Default: 20 s, since Kubernetes kills after 30 s. Negative: unbounded.
	ShutdownTimeout time.Duration

	// SlowCall is how long a call of your code may run before the log and Hooks.Slow tell of it, and then again each minute. Nothing else happens: the
	// call goes on, and the lease is renewed all the while. Default: 60 s. Negative: never. KCL: logWarningForTaskAfterMillis, which is off there.
	SlowCall time.Duration

	// Lease has the times of the lease protocol. Every worker of an application should have the same.
	Lease lease.Config
}

// Polling says how a shard is asked for records. A shard answers five calls and 2 MiB a second to all applications together (AWS limits); with
// the defaults one call a second is left to others.
type Polling struct {
	MaxRecords  int           // of one page. Default and maximum: 10,000 (AWS limit)
	MinInterval time.Duration // between two calls while behind. Default: 250 ms. Negative: no pause, for servers without the limits
	MaxInterval time.Duration // between two calls at the tip. Default: 1 s; at most 4 min, since an iterator lives for 5
}

// FanOut is enhanced fan-out: a consumer that is registered with the stream, for which each shard has 2 MiB a second beside what other consumers read
// (AWS limit), pushed as it is written. A stream has at most 20 consumers (AWS limit; 50 on-demand with a commitment). The consumer is the
// application's: all workers use the same one, and another application needs one of its own.
type FanOut struct {
	// Name of the consumer. It is registered if the stream has none of that name, at the start and whenever it is found to be gone.
	// Default: Application
	Name string

	// ARN is of a consumer that somebody else registered, such as whoever owns the stream. It is used instead of Name, and never registered.
	ARN string

	// Deregister ends the registration when Run ends, if it was this process that registered the consumer and was told so: after a lost answer it does
	// not know. Run waits for that, 5 s at most. Other workers of the application then register the consumer anew, which costs them a pause: set it for
	// an application that has one worker. Default: a consumer stays registered, and paid for.
	Deregister bool

	// OrElsePoll polls, as Config.Polling says, while no subscription can be had: the consumer is not ACTIVE, the stream has too many of them, or
	// subscriptions have failed for 10 s. It goes back to fan-out by itself. Default: wait, and say so in Health.
	OrElsePoll bool
}

const (
	maxRecords      = 10_000 // AWS limit of GetRecords
	maxPollInterval = 4 * time.Minute
	minBuffer       = 32 << 20 // its half holds the largest answer of GetRecords
	maxWorker       = 64       // keeps a lease's row within one write unit
)

// Names of streams, which are also those of fan-out consumers, and ARNs as Kinesis accepts them.
var (
	streamName = regexp.MustCompile(`^[a-zA-Z0-9_.-]{1,128}$`)
	streamARN  = regexp.MustCompile(`^arn:aws[a-z-]*:kinesis:[a-z0-9-]+:[0-9]{12}:stream/([a-zA-Z0-9_.-]{1,128})$`)

	// The stream's ARN, and the name of the consumer with the second of its registration.
	consumerARN = regexp.MustCompile(`^(arn:aws[a-z-]*:kinesis:[a-z0-9-]+:[0-9]{12}:stream/([a-zA-Z0-9_.-]{1,128}))/consumer/[a-zA-Z0-9_.-]{1,128}:[0-9]+$`)
)

// WithDefaults returns c with every zero field replaced by its default.
func (c Config) WithDefaults() Config {
	if c.Worker == "" {
		c.Worker = hostName()
	}
	if c.FanOut != nil {
		own := *c.FanOut // the caller's stays as it is
		if own.Name == "" && own.ARN == "" {
			own.Name = c.Application
		}
		c.FanOut = &own
	}
	if c.Polling.MaxRecords == 0 {
		c.Polling.MaxRecords = maxRecords
	}
	if c.Polling.MinInterval == 0 {
		c.Polling.MinInterval = 250 * time.Millisecond
	}
	if c.Polling.MaxInterval == 0 {
		c.Polling.MaxInterval = max(time.Second, c.Polling.MinInterval)
	}
	if c.BufferBytes == 0 {
		c.BufferBytes = 256 << 20
	}
	if c.ParallelizationFactor == 0 {
		c.ParallelizationFactor = 1
	}
	if c.ShutdownTimeout == 0 {
		c.ShutdownTimeout = 20 * time.Second
	}
	if c.SlowCall == 0 {
		c.SlowCall = time.Minute
	}
	c.End = wholeMilliseconds(c.End)
	c.Lease = c.Lease.WithDefaults()
	return c
}

// wholeMilliseconds rounds up: what arrives carries whole milliseconds, and so do rows of the lease table.
func wholeMilliseconds(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return time.UnixMilli(t.Add(time.Millisecond - 1).UnixMilli()).UTC()
}

// Validate returns every violation, joined, each a *ConfigError. It judges c with its defaults filled in.
func (c Config) Validate() error {
	c = c.WithDefaults()
	var errs []error
	bad := func(field, format string, args ...any) {
		errs = append(errs, &ConfigError{Field: field, Problem: fmt.Sprintf(format, args...)})
	}
	if c.Application == "" {
		bad("Application", "is empty")
	}
	switch {
	case c.Stream == "":
		bad("Stream", "is empty")
	case !streamName.MatchString(c.Stream) && !streamARN.MatchString(c.Stream):
		bad("Stream", "%.300q is neither a stream's name nor its ARN", c.Stream)
	}
	if at := c.Start.s.At; !at.IsZero() && at.UnixMilli() <= 0 {
		bad("Start", "%s is before 1970", c.Start)
	}
	switch at := c.Start.s.At; {
	case c.End.IsZero():
	case c.End.UnixMilli() <= 0:
		bad("End", "%v is before 1970", c.End)
	case !at.IsZero() && !c.End.After(at):
		bad("End", "%v is not after Start %s", c.End, c.Start)
	}
	if len(c.Worker) > maxWorker {
		bad("Worker", "has %d bytes, more than %d", len(c.Worker), maxWorker)
	}
	if c.FanOut != nil {
		c.validateFanOut(bad)
	}
	if n := c.Polling.MaxRecords; n < 1 || n > maxRecords {
		bad("Polling.MaxRecords", "%d is not within 1 and %d", n, maxRecords)
	}
	if d := c.Polling.MaxInterval; d <= 0 || d > maxPollInterval {
		bad("Polling.MaxInterval", "%v is not within 0 and %v", d, maxPollInterval)
	}
	if c.Polling.MinInterval > c.Polling.MaxInterval {
		bad("Polling.MinInterval", "%v is longer than MaxInterval %v", c.Polling.MinInterval, c.Polling.MaxInterval)
	}
	if c.Aggregates < Stale || c.Aggregates > Everything {
		bad("Aggregates", "%d is no Filter", c.Aggregates)
	}
	if n := c.ParallelizationFactor; n < 1 || n > window.Records {
		bad("ParallelizationFactor", "%d is not within 1 and %d", n, window.Records)
	}
	if c.BufferBytes < minBuffer {
		bad("BufferBytes", "%d is less than %d", c.BufferBytes, minBuffer)
	}
	return errors.Join(append(errs, leaseErrors(c.Lease)...)...)
}

func (c Config) validateFanOut(bad func(field, format string, args ...any)) {
	f := c.FanOut
	if f.ARN == "" {
		if c.Application != "" && !streamName.MatchString(f.Name) {
			bad("FanOut.Name", "%.300q cannot be a consumer's name: 1 to 128 letters, digits and _ . -", f.Name)
		}
		return
	}
	switch m := consumerARN.FindStringSubmatch(f.ARN); {
	case m == nil:
		bad("FanOut.ARN", "%.300q is not the ARN of a consumer", f.ARN)
	case m[1] != c.Stream && m[2] != c.Stream:
		bad("FanOut.ARN", "%s is a consumer of another stream than %.300q", f.ARN, c.Stream)
	}
	if f.Name != "" {
		bad("FanOut.Name", "is given beside ARN, which names the consumer")
	}
	if f.Deregister {
		bad("FanOut.Deregister", "is for a consumer that this process may register, not for one that is given by its ARN")
	}
}

// leaseErrors makes violations in the lease's part ours.
func leaseErrors(c lease.Config) []error {
	err := c.Validate()
	if err == nil {
		return nil
	}
	parts := []error{err}
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		parts = joined.Unwrap()
	}
	errs := make([]error, len(parts))
	for i, part := range parts {
		field, problem := "Lease", part.Error()
		var named *lease.ConfigError
		if errors.As(part, &named) {
			field, problem = "Lease."+named.Field, named.Problem
		}
		errs[i] = &ConfigError{Field: field, Problem: problem}
	}
	return errs
}

// stream is the stream as requests and lease rows name it.
func (c Config) stream() fetch.Stream {
	if m := streamARN.FindStringSubmatch(c.Stream); m != nil {
		return fetch.Stream{Name: m[1], ARN: c.Stream}
	}
	return fetch.Stream{Name: c.Stream}
}

func hostName() string {
	name, err := os.Hostname()
	if err != nil || name == "" {
		return "worker"
	}
	return name[:min(len(name), maxWorker)]
}
