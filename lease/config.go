package lease

import (
	"errors"
	"fmt"
	"time"
)

// Config sets the protocol's times. Every worker of an application should have the same FailoverTime. Zero means the default, everywhere.
type Config struct {
	// FailoverTime is how long an owner may be silent before others take its leases. At most one hour; at least 100 ms.
	// Default: 10 s (KCL failoverTimeMillis).
	FailoverTime time.Duration

	// RenewInterval is how often an owner writes each of its leases. Default: FailoverTime/3, as KCL has it.
	RenewInterval time.Duration

	// Margin is how much earlier than FailoverTime an owner stops believing in its lease. It covers the difference in speed of two hosts' clocks: with
	// the default, 5 percent. Default: FailoverTime/20.
	Margin time.Duration

	// RequestTimeout bounds one request to the table. Default: RenewInterval/2, so that a renewal has time for a second attempt.
	RequestTimeout time.Duration

	// HandoffTimeout is how long an owner that another worker asks for a lease lets running code finish; then it declines, and keeps the lease. At most one
	// hour. Default: 30 s (KCL gracefulLeaseHandoffTimeoutMillis).
	HandoffTimeout time.Duration

	// MaxLeases bounds what this worker takes, finished shards aside. Default: 0, no limit (KCL maxLeasesForWorker).
	MaxLeases int
}

// Bounds of times.
const (
	minFailoverTime   = 100 * time.Millisecond
	maxFailoverTime   = time.Hour
	maxHandoffTimeout = time.Hour
)

// WithDefaults returns c with every zero field replaced by its default.
func (c Config) WithDefaults() Config {
	if c.FailoverTime == 0 {
		c.FailoverTime = 10 * time.Second
	}
	if c.RenewInterval == 0 {
		c.RenewInterval = c.FailoverTime / 3
	}
	if c.Margin == 0 {
		c.Margin = c.FailoverTime / 20
	}
	if c.RequestTimeout == 0 {
		c.RequestTimeout = c.RenewInterval / 2
	}
	if c.HandoffTimeout == 0 {
		c.HandoffTimeout = 30 * time.Second
	}
	return c
}

// Validate refuses what would break the protocol, each violation a *ConfigError, joined. It judges c with its defaults filled in.
//
// Two owners at once are impossible only if an owner stops before others may take: Margin must be positive, at least 1/1000 of FailoverTime. And a
// lease is only kept if a renewal, and a second attempt at it, fit before that moment: RenewInterval + 2×RequestTimeout <= FailoverTime − Margin.
func (c Config) Validate() error {
	c = c.WithDefaults()
	var errs []error
	bad := func(field, format string, args ...any) {
		errs = append(errs, &ConfigError{Field: field, Problem: fmt.Sprintf(format, args...)})
	}
	if c.FailoverTime < minFailoverTime || c.FailoverTime > maxFailoverTime {
		bad("FailoverTime", "%v is not within %v and %v", c.FailoverTime, minFailoverTime, maxFailoverTime)
	}
	if c.RenewInterval <= 0 {
		bad("RenewInterval", "%v is not positive", c.RenewInterval)
	}
	if c.RequestTimeout <= 0 {
		bad("RequestTimeout", "%v is not positive", c.RequestTimeout)
	}
	if c.Margin < c.FailoverTime/1000 || c.Margin >= c.FailoverTime {
		bad("Margin", "%v is not within 1/1000 of FailoverTime and FailoverTime", c.Margin)
	}
	if c.RenewInterval+2*c.RequestTimeout > c.FailoverTime-c.Margin {
		bad("RenewInterval", "%v and two requests of RequestTimeout %v do not fit into FailoverTime %v less Margin %v",
			c.RenewInterval, c.RequestTimeout, c.FailoverTime, c.Margin)
	}
	if c.HandoffTimeout <= 0 || c.HandoffTimeout > maxHandoffTimeout {
		bad("HandoffTimeout", "%v is not within 0 and %v", c.HandoffTimeout, maxHandoffTimeout)
	}
	if c.MaxLeases < 0 {
		bad("MaxLeases", "%d is negative", c.MaxLeases)
	}
	return errors.Join(errs...)
}
