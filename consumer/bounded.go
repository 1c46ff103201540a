package consumer

import (
	"context"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/kinesiskit/kinesiskit/consumer/internal/fetch"
	"github.com/kinesiskit/kinesiskit/internal/awsx"
	"github.com/kinesiskit/kinesiskit/internal/retry"
)

const (
	// endGrace is how long after Config.End an open shard without later records counts as read: a record gets its arrival time before it can be read.
	endGrace = 10 * time.Second

	// endInterval is between two looks at whether other workers are done, too.
	endInterval = 5 * time.Second
)

// cut takes off what arrived at Config.End or later, and reports whether the shard is read up to there: such a record was found, or the tip was reached
// after that time.
func (s *session) cut(p *fetch.Page) (reached bool) {
	end := s.c.cfg.End
	if end.IsZero() {
		return false
	}
	if i := slices.IndexFunc(p.Records, func(r fetch.Record) bool { return !r.Arrival.Before(end) }); i >= 0 {
		clear(p.Records[i:]) // the slice itself stays
		p.Records = p.Records[:i]
		return true
	}
	return !p.Closed && p.Behind == 0 && !p.At.Before(end.Add(endGrace))
}

// endReached finishes a shard at Config.End. The processor confirms it as it confirms the end of a shard: nobody comes back to what it holds.
func (s *session) endReached(ctx, stay context.Context) error {
	if err := s.allDone(); err != nil {
		return err
	}
	if err := s.flushEnded(ctx, stay, EndReached); err != nil {
		return err
	}
	if err := s.confirmed(); err != nil {
		return err
	}
	s.tenure.ReadTo(s.c.cfg.End)
	s.log.Info("shard read to the configured end", zap.Time("end", s.c.cfg.End))
	return nil
}

// untilEnd waits until all shards of the fleet are read to Config.End, and begins a stop.
func (c *Consumer) untilEnd(ctx context.Context) {
	if c.cfg.End.IsZero() {
		return
	}
	rng := c.rng("end")
	for wait := time.Duration(0); retry.Sleep(ctx, wait) == nil; {
		done, err := c.coordinator.AllRead(ctx)
		switch {
		case done:
			c.log.Info("everything is read to the configured end", zap.Time("end", c.cfg.End))
			c.askDrain()
			return
		case err != nil && awsx.Classify(err) != awsx.Canceled:
			c.log.Debug("not known whether everything is read", zap.Error(err))
		}
		wait = endInterval + time.Duration(rng.Int64N(int64(endInterval)/5))
	}
}
