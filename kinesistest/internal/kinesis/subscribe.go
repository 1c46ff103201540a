package kinesis

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

// What AWS says of subscriptions, in numbers. Its page on SubscribeToShard allows one call a second for a consumer and a shard; five may
// come at once, because the answer to a call that follows a successful one immediately is documented to be ResourceInUseException.
const (
	subscriptionLife = 5 * time.Minute
	takeOverAfter    = 5 * time.Second
	subscribeRate    = 1 // a second
	subscribeBurst   = 5 * time.Second
	feedRate         = 2 << 20 // bytes a second, data and partition keys
)

// What AWS does not say: how long a subscription with nothing to tell is silent, and how much one event carries. A record that is
// larger has an event of its own.
const (
	longestSilence = 5 * time.Second
	mostEventSize  = 1 << 20
)

// feed is one consumer's reading of one shard, from subscription to subscription.
type feed struct {
	calls   bucket
	bytes   bucket
	last    time.Time     // of the last successful call
	current *Subscription // the newest that has not ended
}

// Subscription is the answer to one SubscribeToShard. It has no goroutine: events are made when Next asks for them, so that a client that
// does not read costs nothing.
type Subscription struct {
	service *Service
	feed    *feed
	stream  *stream
	shard   *shard
	ends    time.Time

	// The service's mutex guards what is below.
	opened bool          // the initial response has been sent
	next   uint64        // index of the record to send next
	step   uint64        // how far, between two records, an idle subscription has come
	due    time.Time     // when silence has lasted long enough
	failed *wire.Error   // what the stream is to end with
	ended  bool          // nothing more is to be sent
	wake   chan struct{} // while Next waits: closed when there may be something to send
}

type startingPosition struct {
	Type           string
	SequenceNumber string
	Timestamp      *float64
}

type subscribeToShardInput struct {
	ConsumerARN      string
	ShardId          string
	StartingPosition *startingPosition
	DryRun           bool
}

// Subscribe performs a SubscribeToShard. Like Call, it never blocks. A subscription before, of the same consumer to the same shard, ends.
func (s *Service) Subscribe(body []byte) (*Subscription, *wire.Error) {
	in := new(subscribeToShardInput)
	if err := decode(body, in); err != nil {
		return nil, err
	}
	switch {
	case in.ConsumerARN == "":
		return nil, violation("consumerARN", nil, "must not be null")
	case in.ShardId == "":
		return nil, violation("shardId", nil, "must not be null")
	case in.StartingPosition == nil:
		return nil, violation("startingPosition", nil, "must not be null")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	c, err := s.consumer(consumerTarget{ConsumerARN: in.ConsumerARN}, now)
	if err != nil {
		return nil, err
	}
	st, err := s.readable(target{StreamARN: c.stream.arn})
	if err != nil {
		return nil, err
	}
	sh, err := s.shardOf(st, in.ShardId, now)
	if err != nil {
		return nil, err
	}
	f := c.feed(sh.id)
	if s.cfg.Limits && !f.calls.take(now, price(1, subscribeRate), subscribeBurst) {
		return nil, exceeded("Rate exceeded for consumer %s and shard %s.", c.arn, sh.id)
	}
	sh.trim(st.horizon(now))
	next, step, err := sh.startAt(in.StartingPosition, now)
	if err != nil {
		return nil, err
	}
	if status := c.status(now); status != "ACTIVE" {
		return nil, inUse("Consumer %s is %s, not ACTIVE.", c.arn, status)
	}
	if !f.last.IsZero() && now.Sub(f.last) < takeOverAfter {
		return nil, inUse("Another active subscription exists for consumer %s and shard %s; it is %v old.",
			c.arn, sh.id, now.Sub(f.last))
	}
	if in.DryRun {
		return nil, errDry
	}
	if f.current != nil {
		f.current.fail(inUse("A newer subscription of consumer %s to shard %s has taken over.", c.arn, sh.id))
	}
	f.last = now
	f.current = &Subscription{
		service: s, feed: f, stream: st, shard: sh,
		ends: now.Add(subscriptionLife), next: next, step: step, due: now,
	}
	return f.current, nil
}

func (c *consumer) feed(shard string) *feed {
	f, ok := c.feeds[shard]
	if !ok {
		f = new(feed)
		c.feeds[shard] = f
	}
	return f
}

// end ends all subscriptions of a consumer. The caller holds the service's mutex.
func (c *consumer) end(with *wire.Error) {
	for _, shard := range slices.Sorted(maps.Keys(c.feeds)) {
		if sub := c.feeds[shard].current; sub != nil {
			sub.fail(with)
		}
	}
}

// startAt is the record at which a subscription starts, and how many steps behind the record before.
func (sh *shard) startAt(p *startingPosition, now time.Time) (next, step uint64, err *wire.Error) {
	next, err = sh.position(&getShardIteratorInput{
		ShardIteratorType: p.Type, StartingSequenceNumber: p.SequenceNumber, Timestamp: p.Timestamp,
	}, now)
	if err == nil && p.SequenceNumber != "" {
		step = sh.sequence.stepOf(p.SequenceNumber)
	}
	return next, step, err
}

// fail ends the subscription with an exception. The caller holds the service's mutex.
func (sub *Subscription) fail(with *wire.Error) {
	sub.failed = with
	sub.feed.current = nil
	sub.rouse()
}

func (sub *Subscription) rouse() {
	if sub.wake != nil {
		close(sub.wake)
		sub.wake = nil
	}
}

// Close ends the subscription without a word, because its client has gone.
func (sub *Subscription) Close() {
	sub.service.mu.Lock()
	defer sub.service.mu.Unlock()
	sub.end()
}

func (sub *Subscription) end() {
	sub.ended = true
	if sub.feed.current == sub {
		sub.feed.current = nil
	}
}

// wakeAll tells the shard's subscriptions that there may be something to send. The caller holds the service's mutex.
func (sh *shard) wakeAll() {
	for _, sub := range sh.waiting {
		sub.rouse()
	}
	sh.waiting = nil
}

func (st *stream) wakeAll() {
	for _, sh := range st.shards {
		sh.wakeAll()
	}
}

// drop deletes a stream, and ends the subscriptions of its consumers. The caller holds s.mu.
func (s *Service) drop(st *stream) {
	for _, c := range st.consumers {
		c.end(notFound("Stream %s under account %s was deleted.", st.name, s.cfg.Account))
	}
	if s.streams[st.name] == st {
		delete(s.streams, st.name)
	}
}

// waitFor registers the subscription for being woken, and returns what tells it. The caller holds the service's mutex.
//
// The channel is made for one wait and known to nobody after it. One that was kept would belong to the bubble in which it was made,
// and a write from outside would have to close it.
func (sub *Subscription) waitFor() <-chan struct{} {
	sub.wake = make(chan struct{})
	sub.shard.waiting = append(sub.shard.waiting, sub)
	return sub.wake
}

func (sub *Subscription) waited() {
	sub.service.mu.Lock()
	defer sub.service.mu.Unlock()
	sub.wake = nil
	sub.shard.waiting = slices.DeleteFunc(sub.shard.waiting, func(o *Subscription) bool { return o == sub })
}

// pause waits until the subscription is woken, until a time, until ctx ends or until closing is closed.
func (sub *Subscription) pause(ctx context.Context, closing, wake <-chan struct{}, until time.Time) {
	defer sub.waited()
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-closing:
	case <-wake:
	case <-timer.C:
	}
}
