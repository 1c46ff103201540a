package consumer

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/kinesiskit/kinesiskit/consumer/internal/fetch"
	"github.com/kinesiskit/kinesiskit/shard"
)

// closeTimeout is what Close is given. The shard may be another worker's by then, so there is nothing left that it could be bounded by.
const closeTimeout = 5 * time.Second

// children returns the shards that continue this one, nil if nothing proves yet that it has ended: an answer without an iterator is not proof, and a
// parent that is finished by mistake would leave records unread for ever. The listing is asked in any case: whether the row is about this shard, and what
// tells its children from others of their names.
func (s *session) children(stay context.Context, page *fetch.Page) []shard.Shard {
	graph, _, err := s.c.listing.refresh(stay)
	if err != nil {
		s.trouble("end of shard cannot be confirmed", err)
		return nil
	}
	listed, ok := graph.Shard(s.shard.ID())
	if ok {
		if err := s.tenure.Lease().Identify(listed); err != nil {
			s.c.fail(s.c.foreign(err))
			return nil
		}
	}
	if continues(s.shard.ID(), page.Children) {
		return named(page.Children, graph)
	}
	children := graph.Children(s.shard.ID())
	if !ok || listed.Open() || !continues(s.shard.ID(), children) {
		return nil
	}
	return children
}

// named completes children that an answer named by what the listing knows of them, if it knows them yet.
func named(children []shard.Shard, graph *shard.Graph) []shard.Shard {
	for i, c := range children {
		if listed, ok := graph.Shard(c.ID); ok {
			children[i] = listed
		}
	}
	return children
}

// finish ends a shard of which everything was delivered. The children's rows come first: whoever sees a finished parent can rely on them. at is the
// service's clock.
func (s *session) finish(ctx, stay context.Context, children []shard.Shard, at time.Time) error {
	if err := s.allDone(); err != nil {
		return err
	}
	if at.IsZero() {
		_, at = s.c.listing.known()
	}
	if err := s.tenure.Spawn(stay, children, serviceTime(at), s.gateListing); err != nil {
		return s.because(ctx, err)
	}
	if !s.aged {
		if err := s.flushEnded(ctx, stay, ShardEnded); err != nil {
			return err
		}
	}
	// From here on a stop waits: Flush has said that all is done, and one write says so to everybody.
	if err := s.tenure.End(ctx); err != nil {
		return err
	}
	ids := make([]string, len(children))
	for i, c := range children {
		ids[i] = c.ID
	}
	s.log.Info("shard finished", zap.Strings("children", ids))
	return nil
}

// close is the processor's last call.
func (s *session) close(ctx context.Context, cause error) {
	if s.processor == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	slot, _ := s.view.begin(inClose, nil)
	defer s.view.end(slot)
	if err := s.callClose(ctx, cause); err != nil {
		s.log.Warn("close failed", zap.Error(err))
	}
}
