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

	// Worker is this process in logs and, with a suffix for each start, as the owner of leases. At most 64 bytes. Default: the host's name, or
	// the first 64 bytes of it.
	Worker string

	Polling Polling

	// ShutdownTimeout bounds the stop that begins when Run's ctx ends. Default: 20 s, since Kubernetes kills after 30 s. Negative: unbounded.
	ShutdownTimeout time.Duration

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

const (
	maxRecords      = 10_000 // AWS limit of GetRecords
	maxPollInterval = 4 * time.Minute
	maxWorker       = 64 // keeps a lease's row within one write unit
)

// Stream names and ARNs as Kinesis accepts them.
var (
	streamName = regexp.MustCompile(`^[a-zA-Z0-9_.-]{1,128}$`)
	streamARN  = regexp.MustCompile(`^arn:aws[a-z-]*:kinesis:[a-z0-9-]+:[0-9]{12}:stream/([a-zA-Z0-9_.-]{1,128})$`)
)

// WithDefaults returns c with every zero field replaced by its default.
func (c Config) WithDefaults() Config {
	if c.Worker == "" {
		c.Worker = hostName()
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
	if c.ShutdownTimeout == 0 {
		c.ShutdownTimeout = 20 * time.Second
	}
	c.Lease = c.Lease.WithDefaults()
	return c
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
	if len(c.Worker) > maxWorker {
		bad("Worker", "has %d bytes, more than %d", len(c.Worker), maxWorker)
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
	return errors.Join(append(errs, leaseErrors(c.Lease)...)...)
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
