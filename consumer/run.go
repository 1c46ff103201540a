package consumer

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/kinesiskit/kinesiskit/lease"
)

// Run works until ctx ends or Shutdown is called, until everything up to Config.End is done, or until something is wrong that waiting cannot mend. It can be called once.
//
// The end of ctx does not cancel your code, it starts a graceful stop: nothing more is fetched, running calls finish, Flush is called, progress is
// stored and the shards are released, all within Config.ShutdownTimeout. What is not done by then is stopped hard: contexts end with cause [ErrStopped],
// and shards whose code returns within two seconds are still released. The values of ctx reach your code.
//
// Run returns nil after a complete stop and *[DrainError] after one that was cut short. *[IdentityError] says that the lease table is about another stream,
// or about one that was deleted and made again, also while Run works: it stops then, as Shutdown would make it. *[FleetError] says that live
// workers of KCL 3.x run this application: at the start it takes 35 seconds to tell them from what a stopped fleet left behind; later this worker stops. Other errors come from the start, before
// anything was read: *[ConfigError] (the stream does not exist, or may not be listed; the fan-out consumer cannot be used or registered), *lease.TableError,
// [ErrRunning]. Throttling, outages, lost leases and a lease table that vanishes never end Run; [Consumer.Health] tells of them.
//
// When Run has returned, everything it started is over, except for calls of your code that did not return although their context had ended, and the
// Close that follows them.
func (c *Consumer) Run(ctx context.Context) error {
	running, err := c.begin(ctx)
	if err != nil {
		return err
	}
	defer c.end()
	defer c.registration.deregister(ctx)
	if err := c.start(running); err != nil {
		if running.Err() != nil {
			return nil // asked to stop before it held anything
		}
		c.note(err)
		c.log.Error("consumer cannot start", zap.Error(err))
		return err
	}
	return c.work(ctx, running)
}

// begin returns the context that ends when a stop is to begin.
func (c *Consumer) begin(ctx context.Context) (context.Context, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.askDrain != nil {
		return nil, ErrRunning
	}
	running, ask := context.WithCancel(ctx)
	if c.state == Stopped { // by a Shutdown that came first
		ask()
	}
	c.askDrain = ask
	c.state = Starting
	c.hard, c.stopHard = context.WithCancelCause(context.WithoutCancel(ctx))
	return running, nil
}

func (c *Consumer) end() {
	c.askDrain()
	c.stopHard(ErrStopped)
	c.mu.Lock()
	c.state = Stopped
	c.mu.Unlock()
	select {
	case <-c.done: // by a Shutdown that came first
	default:
		close(c.done)
	}
}

// work holds leases until a stop is complete.
func (c *Consumer) work(ctx, running context.Context) error {
	c.enter(Running)
	c.note(nil)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-running.Done()
		c.enter(Draining)
		c.log.Info("consumer stopping")
		defer c.bound(ctx)()
		_ = c.coordinator.Shutdown(c.hard) // Run reports the same
	}()
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		if graph, _ := c.listing.known(); c.cfg.Aggregates != Everything {
			c.distribution.watch(running, len(graph.Open()))
		}
	}()
	c.log.Info("consumer running")
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.untilEnd(running)
	}()
	mended := make(chan struct{})
	go func() {
		defer close(mended)
		if err := c.foreign(c.coordinator.Mend(running)); err != nil {
			c.fail(err)
		}
	}()
	err := c.coordinator.Run(context.WithoutCancel(ctx), c.serve) // Shutdown alone ends it, softly or hard
	c.askDrain()
	<-stopped
	<-watched
	<-mended
	<-ended
	var left *lease.DrainError
	var fleet *lease.FleetError
	switch {
	case errors.As(err, &fleet):
		err = &FleetError{Owners: fleet.Owners}
	case errors.Is(err, lease.ErrRunning):
		err = nil // the stop overtook the start of the coordinator, which then holds nothing
	case errors.As(err, &left):
		err = &DrainError{Shards: left.Keys}
	}
	c.mu.Lock()
	if c.failure != nil {
		err = errors.Join(c.failure, err)
	}
	c.mu.Unlock()
	c.log.Info("consumer stopped", zap.Error(err))
	return err
}

// fail begins a stop because of err, which Run will return: waiting cannot mend it. The first one counts.
func (c *Consumer) fail(err error) {
	c.mu.Lock()
	first := c.failure == nil
	if first {
		c.failure, c.err = err, err
	}
	ask := c.askDrain
	c.mu.Unlock()
	if first {
		c.log.Error("consumer cannot go on", zap.Error(err))
		ask()
	}
}

// bound sees to it that a stop which ctx's end began, or joined, takes no longer than ShutdownTimeout. A stop that Shutdown began has Shutdown's bound.
func (c *Consumer) bound(ctx context.Context) (release func()) {
	if c.cfg.ShutdownTimeout < 0 {
		return func() {}
	}
	if ctx.Err() != nil {
		c.stopBy(time.Now().Add(c.cfg.ShutdownTimeout)) // before any Flush asks
	}
	over, cancel := context.WithCancel(context.Background())
	armed := make(chan struct{})
	disarm := context.AfterFunc(ctx, func() {
		defer close(armed)
		c.stopBy(time.Now().Add(c.cfg.ShutdownTimeout))
		timer := time.NewTimer(c.cfg.ShutdownTimeout)
		defer timer.Stop()
		select {
		case <-over.Done():
		case <-timer.C:
			c.stopHard(ErrStopped)
		}
	})
	return func() {
		cancel()
		if !disarm() {
			<-armed
		}
	}
}

// stopBy notes when a stop will be cut short; the earliest of several counts.
func (c *Consumer) stopBy(at time.Time) {
	c.mu.Lock()
	if c.drainBy.IsZero() || at.Before(c.drainBy) {
		c.drainBy = at
	}
	c.mu.Unlock()
}

// Shutdown starts a graceful stop, as the end of Run's ctx does, and waits for Run to return. ctx is what bounds the stop: when it ends first, what
// is left is stopped hard, and Shutdown returns ctx's error as soon as Run has returned, which it does within seconds.
//
// Shutdown before Run makes Run return nil at once. It may be called more than once and from any goroutine.
func (c *Consumer) Shutdown(ctx context.Context) error {
	c.mu.Lock()
	if c.askDrain == nil {
		if c.state != Stopped {
			c.state = Stopped
			close(c.done)
		}
		c.mu.Unlock()
		return nil
	}
	ask, stopHard := c.askDrain, c.stopHard
	c.mu.Unlock()
	if by, ok := ctx.Deadline(); ok {
		c.stopBy(by)
	}
	ask()
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
	}
	select {
	case <-c.done:
		return nil
	default:
	}
	stopHard(ErrStopped)
	<-c.done
	return ctx.Err()
}

func (c *Consumer) enter(s State) {
	c.mu.Lock()
	c.state = s
	c.mu.Unlock()
}

// note keeps what Health says about the start.
func (c *Consumer) note(err error) {
	c.mu.Lock()
	c.err = err
	c.mu.Unlock()
}
