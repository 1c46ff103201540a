package consumer

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/kinesiskit/kinesiskit/internal/awsx"
	"github.com/kinesiskit/kinesiskit/internal/retry"
	"github.com/kinesiskit/kinesiskit/lease"
)

// Delays between attempts at the start: short enough that a table which is being created costs no more than a second once it is there.
const (
	startBackoff    = 250 * time.Millisecond
	startBackoffMax = 5 * time.Second
)

// start does what has to succeed before the first lease can be taken: the table is there, the stream is listed as a whole, and the shards that have to
// be read first have rows.
func (c *Consumer) start(ctx context.Context) error {
	if err := c.attempt(ctx, "open lease table", c.store.Open, c.hopelessTable); err != nil {
		return err
	}
	alone := func(ctx context.Context) error { return c.coordinator.CheckFleet(ctx, c.cfg.Application) }
	if err := c.attempt(ctx, "look for KCL 3.x", alone, c.hopelessTable); err != nil {
		return err
	}
	list := func(ctx context.Context) error {
		_, _, err := c.listing.refresh(ctx)
		return err
	}
	if err := c.attempt(ctx, "list shards", list, c.hopelessStream); err != nil {
		return err
	}
	if err := c.startFanOut(ctx); err != nil {
		return err
	}
	return c.attempt(ctx, "create leases", c.createFirst, c.hopelessTable)
}

// listingLag is how long a listing may not know of a shard's end that is in the table already.
const listingLag = 5 * time.Second

// createFirst makes the first shards' rows. What it finds strange it looks at twice: the listing may lag behind the table.
func (c *Consumer) createFirst(ctx context.Context) error {
	graph, at := c.listing.known()
	err := c.coordinator.Seed(ctx, c.lineage(), graph, at)
	var identity *lease.IdentityError
	if !errors.As(err, &identity) {
		return err
	}
	if err := retry.Sleep(ctx, listingLag); err != nil {
		return err
	}
	if graph, at, err = c.listing.refresh(ctx); err != nil {
		return err
	}
	return c.coordinator.Seed(ctx, c.lineage(), graph, at)
}

// lineage is the stream as the coordinator has to know it.
func (c *Consumer) lineage() lease.Stream {
	return lease.Stream{Name: c.stream.Name, Start: c.cfg.Start.s, List: c.listing.refresh, OpenAt: c.listing.openAt}
}

// serviceTime is the service's clock as far as it is known; the counters that begin with it need one that grows, and nothing more.
func serviceTime(at time.Time) time.Time {
	if at.IsZero() {
		return time.Now()
	}
	return at
}

// attempt repeats op until it succeeds, ctx ends, or hopeless turns its error into one that ends Run.
func (c *Consumer) attempt(ctx context.Context, what string, op func(context.Context) error, hopeless func(error) error) error {
	backoff := retry.NewBackoff(c.rng(what), startBackoff, startBackoffMax)
	for first := true; ; first = false {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		err := op(ctx)
		if err == nil || ctx.Err() != nil {
			return err
		}
		if final := hopeless(err); final != nil {
			return final
		}
		c.note(err)
		if first {
			c.log.Warn("start is delayed", zap.String("step", what), zap.Error(err))
		}
		if err := retry.Sleep(ctx, backoff.Next()); err != nil {
			return err
		}
	}
}

// hopelessTable returns what ends Run of an error of the lease table.
func (c *Consumer) hopelessTable(err error) error {
	var table *lease.TableError
	var future *lease.FutureError
	var fleet *lease.FleetError
	switch {
	case errors.As(err, &fleet):
		return &FleetError{Owners: fleet.Owners}
	case errors.As(err, &future):
		return &ConfigError{Field: "Start", Problem: "is a time that has not come yet", Err: err}
	case errors.As(err, &table):
		return err
	}
	if foreign := c.foreign(err); foreign != nil {
		return foreign
	}
	switch awsx.Classify(err) {
	case awsx.Denied:
		return &ConfigError{Field: "Store", Problem: "access to the lease table is denied", Err: err}
	case awsx.Invalid:
		return &ConfigError{Field: "Store", Problem: "a request to the lease table is refused", Err: err}
	}
	return nil
}

// foreign returns what err says about rows of another stream, nil if it is about something else.
func (c *Consumer) foreign(err error) error {
	var stream *lease.StreamError
	var identity *lease.IdentityError
	switch {
	case errors.As(err, &stream):
		return &IdentityError{Stream: c.stream.Name, Shard: stream.Key, Stored: stream.Stored, Found: stream.Stream}
	case errors.As(err, &identity):
		return &IdentityError{Stream: c.stream.Name, Shard: identity.Key, Stored: identity.Stored, Found: identity.Found}
	}
	return nil
}

// hopelessStream returns what ends Run of an error of the listing.
func (c *Consumer) hopelessStream(err error) error {
	var problem string
	switch awsx.Classify(err) {
	case awsx.Gone:
		problem = "does not exist"
	case awsx.Denied:
		problem = "may not be listed"
	case awsx.Invalid:
		problem = "is refused"
	default:
		return nil
	}
	return &ConfigError{Field: "Stream", Problem: problem, Err: err}
}
