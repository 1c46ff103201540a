package lease

import (
	"context"
	"slices"
	"time"

	"go.uber.org/zap"
)

// releaseTime is what a hard stop still grants: user code whose context has ended, to return, and the writes that release its leases.
const releaseTime = 2 * time.Second

// Shutdown takes nothing more, closes every tenure's Leaving, and waits until each serve has returned and its lease is given to another worker that was alive
// at the last look, the one with the least, or released if there is none. When ctx ends first the
// rest is stopped hard: their contexts end with ctx's cause, those whose serve returns within two seconds are released, and the others expire, named in a
// *DrainError. A lease is never released while user code runs under it: its next owner would start beside it.
//
// Shutdown may be called before Run, more than once, and from several goroutines; it returns after Run has.
func (c *Coordinator) Shutdown(ctx context.Context) error {
	c.mu.Lock()
	ran := c.started
	c.started = true // a Run that comes later finds it over
	c.mu.Unlock()
	err := c.shut(ctx)
	if ran {
		<-c.stopped
	}
	return err
}

// shut is Shutdown but for the wait for Run.
func (c *Coordinator) shut(ctx context.Context) error {
	c.mu.Lock()
	c.stopping = true
	if !c.succession.stops {
		c.succession.stops, c.succession.since = true, c.clock.now().mono
	}
	if c.stopWatch != nil {
		c.stopWatch()
	}
	announced := c.succession.alone(c.owner) // then there is nobody to hear it
	c.mu.Unlock()
	ks := c.holding()
	for _, k := range ks {
		announced = k.stop(!announced) || announced
	}
	if c.await(ctx, ks) {
		return nil
	}
	for _, k := range ks {
		k.halt(context.Cause(ctx))
	}
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTime)
	defer cancel()
	c.await(late, ks)
	return c.abandon(ks)
}

// await waits until every keeper is gone, or ctx ends.
func (c *Coordinator) await(ctx context.Context, ks []*keeper) bool {
	for _, k := range ks {
		select {
		case <-k.gone:
		case <-ctx.Done():
			return !slices.ContainsFunc(ks, func(k *keeper) bool { return !k.isGone() })
		}
	}
	return true
}

// abandon leaves behind the keepers whose user code has not returned.
func (c *Coordinator) abandon(ks []*keeper) error {
	var keys []string
	for _, k := range ks {
		if !k.isGone() {
			keys = append(keys, k.key)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	c.mu.Lock()
	c.left = keys // before they are gone, which is what Run waits for
	c.mu.Unlock()
	for _, k := range ks {
		if slices.Contains(keys, k.key) {
			k.drop()
		}
	}
	c.log.Warn("leases left to expire: code under them did not return", zap.Strings("leases", keys))
	return &DrainError{Keys: keys}
}

// drained waits for the end of a stop that has begun, and reports it to Run.
func (c *Coordinator) drained() error {
	for _, k := range c.holding() {
		<-k.gone
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.left) > 0 {
		return &DrainError{Keys: c.left}
	}
	return nil
}
