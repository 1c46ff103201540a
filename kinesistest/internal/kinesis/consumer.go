package kinesis

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

// AWS's quotas of consumers.
const (
	mostConsumers          = 20  // of a stream
	mostConsumersCommitted = 50  // of an on-demand stream whose account has committed itself to a minimum of throughput
	mostCreating           = 5   // of an account, at one time
	mostListed             = 100 // in a page of ListStreamConsumers; MaxResults may go to 10,000 without getting more
)

// consumer is an application that is registered for enhanced fan-out with one stream.
type consumer struct {
	labels
	name, arn string
	created   time.Time // whole seconds, for the ARN names them
	active    time.Time // when CREATING ends
	gone      time.Time // when DELETING ends; zero while it is registered

	stream *stream
	feeds  map[string]*feed // by shard
}

func (c *consumer) status(now time.Time) string {
	switch {
	case !c.gone.IsZero():
		return "DELETING"
	case now.Before(c.active):
		return "CREATING"
	}
	return "ACTIVE"
}

// sweep forgets the consumers whose deletion is over.
func (st *stream) sweep(now time.Time) {
	st.consumers = slices.DeleteFunc(st.consumers, func(c *consumer) bool { return !c.gone.IsZero() && !now.Before(c.gone) })
}

// byName is where a consumer stands, or would stand, among the stream's.
func (st *stream) byName(name string) (i int, ok bool) {
	return slices.BinarySearchFunc(st.consumers, name, func(c *consumer, name string) int { return strings.Compare(c.name, name) })
}

// consumerTarget is how a request names a consumer: by its ARN, by the stream's ARN and its name, or by all three if they agree.
type consumerTarget struct{ ConsumerARN, StreamARN, ConsumerName string }

// cutConsumerARN takes …:stream/<stream>/consumer/<name>:<creation second> apart.
func cutConsumerARN(arn string) (streamARN, name string, ok bool) {
	streamARN, rest, ok := strings.Cut(arn, "/consumer/")
	name, second, hasSecond := strings.Cut(rest, ":")
	_, isStream := nameOf(streamARN)
	_, err := strconv.ParseUint(second, 10, 63)
	return streamARN, name, ok && hasSecond && isStream && err == nil && streamName.MatchString(name)
}

// consumer finds what a request names. The caller holds s.mu.
func (s *Service) consumer(t consumerTarget, now time.Time) (*consumer, *wire.Error) {
	if t.ConsumerARN != "" {
		streamARN, name, ok := cutConsumerARN(t.ConsumerARN)
		if !ok {
			return nil, invalid("ConsumerARN %q is not the ARN of a consumer.", t.ConsumerARN)
		}
		if t.StreamARN != "" && t.StreamARN != streamARN || t.ConsumerName != "" && t.ConsumerName != name {
			return nil, invalid("ConsumerARN %s does not go with StreamARN %q and ConsumerName %q.", t.ConsumerARN, t.StreamARN, t.ConsumerName)
		}
		t.StreamARN, t.ConsumerName = streamARN, name
	}
	if t.StreamARN == "" || t.ConsumerName == "" {
		return nil, invalid("Either ConsumerARN, or both StreamARN and ConsumerName must be given.")
	}
	st, err := s.find(target{StreamARN: t.StreamARN})
	if err != nil {
		return nil, err
	}
	st.sweep(now)
	i, ok := st.byName(t.ConsumerName)
	if !ok || t.ConsumerARN != "" && t.ConsumerARN != st.consumers[i].arn {
		return nil, notFound("Consumer %s of stream %s under account %s not found.", t.ConsumerName, st.name, s.cfg.Account)
	}
	return st.consumers[i], nil
}

// consumerByARN finds a consumer. The caller holds s.mu.
func (s *Service) consumerByARN(arn string) (*consumer, *wire.Error) {
	return s.consumer(consumerTarget{ConsumerARN: arn}, time.Now())
}

// consumerView is a consumer as the API shows it.
type consumerView struct {
	ConsumerName              string
	ConsumerARN               string
	ConsumerStatus            string
	ConsumerCreationTimestamp stamp
	StreamARN                 string `json:",omitempty"` // of DescribeStreamConsumer alone
}

func (c *consumer) view(now time.Time) consumerView {
	return consumerView{
		ConsumerName: c.name, ConsumerARN: c.arn, ConsumerStatus: c.status(now), ConsumerCreationTimestamp: stamp(c.created),
	}
}

type registerStreamConsumerInput struct {
	StreamARN    string
	ConsumerName string
	Tags         map[string]string
}

type registerStreamConsumerOutput struct{ Consumer consumerView }

func (s *Service) registerStreamConsumer(_ context.Context, in *registerStreamConsumerInput) (*registerStreamConsumerOutput, *wire.Error) {
	if !streamName.MatchString(in.ConsumerName) {
		return nil, violation("consumerName", in.ConsumerName,
			"must satisfy regular expression pattern: [a-zA-Z0-9_.-]+ and have at most 128 characters")
	}
	if in.StreamARN == "" {
		return nil, violation("streamARN", nil, "must not be null")
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.active(target{StreamARN: in.StreamARN})
	if err != nil {
		return nil, err
	}
	now := time.Now()
	st.sweep(now)
	i, ok := st.byName(in.ConsumerName)
	if ok {
		return nil, inUse("Consumer %s of stream %s under account %s already exists.", in.ConsumerName, st.name, s.cfg.Account)
	}
	most := mostConsumers
	if st.Mode == onDemand && s.commitment.on(now) {
		most = mostConsumersCommitted
	}
	if len(st.consumers) >= most {
		return nil, exceeded("Stream %s under account %s has %d consumers; more are not allowed.",
			st.name, s.cfg.Account, len(st.consumers))
	}
	if n := s.creating(now); n >= mostCreating {
		return nil, exceeded("%d consumers under account %s are CREATING; more at one time are not allowed.", n, s.cfg.Account)
	}
	c := &consumer{
		name: in.ConsumerName, created: s.consumerSecond(st, in.ConsumerName, now), active: now.Add(s.cfg.Transitions),
		stream: st, feeds: make(map[string]*feed),
	}
	c.arn = st.arn + "/consumer/" + c.name + ":" + strconv.FormatInt(c.created.Unix(), 10)
	c.tag(in.Tags)
	st.consumers = slices.Insert(st.consumers, i, c)
	return &registerStreamConsumerOutput{c.view(now)}, nil
}

// creating counts the account's consumers that are not ready yet. The caller holds s.mu.
func (s *Service) creating(now time.Time) (n int) {
	for _, st := range s.streams {
		for _, c := range st.consumers {
			if c.status(now) == "CREATING" {
				n++
			}
		}
	}
	return n
}

// consumerSecond is when a consumer is created, to the second, and never the same for two of one name: a consumer that is registered
// again has another ARN than before, though a test's clock may not have moved. The caller holds s.mu.
func (s *Service) consumerSecond(st *stream, name string, now time.Time) time.Time {
	key, at := st.name+"/"+name, now.Unix()
	if last, ok := s.registered[key]; ok {
		at = max(at, last+1)
	}
	s.registered[key] = at
	return time.Unix(at, 0)
}

type describeStreamConsumerOutput struct{ ConsumerDescription consumerView }

func (s *Service) describeStreamConsumer(_ context.Context, in *consumerTarget) (*describeStreamConsumerOutput, *wire.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	c, err := s.consumer(*in, now)
	if err != nil {
		return nil, err
	}
	view := c.view(now)
	view.StreamARN = c.stream.arn
	return &describeStreamConsumerOutput{view}, nil
}

// deregisterStreamConsumer ends the consumer's subscriptions at once, for one that is DELETING cannot read. To deregister it once more
// meanwhile changes nothing.
func (s *Service) deregisterStreamConsumer(_ context.Context, in *consumerTarget) (*nothing, *wire.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	c, err := s.consumer(*in, now)
	if err != nil {
		return nil, err
	}
	if c.gone.IsZero() {
		c.gone = now.Add(s.cfg.Transitions)
		c.end(notFound("Consumer %s was deregistered.", c.arn))
		c.stream.sweep(now)
	}
	return nil, nil
}

type listStreamConsumersInput struct {
	StreamARN               string
	NextToken               string
	MaxResults              *int32
	StreamCreationTimestamp *float64
}

type listStreamConsumersOutput struct {
	Consumers []consumerView
	NextToken string `json:",omitempty"`
}

// consumersPage is where a page of ListStreamConsumers begins. id is the stream's, or 0 for whichever has the name.
type consumersPage struct {
	id    uint64
	after string
}

func (in *listStreamConsumersInput) page(now time.Time) (p consumersPage, err *wire.Error) {
	if in.NextToken == "" {
		return p, nil
	}
	if in.StreamCreationTimestamp != nil {
		return p, invalid("NextToken cannot be given together with StreamCreationTimestamp.")
	}
	parts, ok := unseal(consumersToken, in.NextToken)
	if name, _ := nameOf(in.StreamARN); !ok || parts[0] != name {
		return p, invalid("NextToken is invalid.")
	}
	if now.UnixMilli()-int64(number(parts[3])) > tokenLife.Milliseconds() {
		return p, failure("ExpiredNextTokenException", "The NextToken is more than %v old.", tokenLife)
	}
	return consumersPage{id: number(parts[1]), after: parts[2]}, nil
}

func (s *Service) listStreamConsumers(_ context.Context, in *listStreamConsumersInput) (*listStreamConsumersOutput, *wire.Error) {
	most := mostListed
	if in.MaxResults != nil {
		if *in.MaxResults < 1 || *in.MaxResults > 10_000 {
			return nil, violation("maxResults", *in.MaxResults, "must have value between 1 and 10000")
		}
		most = min(most, int(*in.MaxResults))
	}
	if in.StreamARN == "" {
		return nil, violation("streamARN", nil, "must not be null")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	from, err := in.page(now)
	if err != nil {
		return nil, err
	}
	st, err := s.find(target{StreamARN: in.StreamARN})
	if err != nil {
		return nil, err
	}
	created := in.StreamCreationTimestamp
	if from.id != 0 && from.id != st.id || created != nil && int64(*created*1000+0.5) != st.created.UnixMilli() {
		return nil, notFound("The stream %s under account %s is a later one of that name.", st.name, s.cfg.Account)
	}
	st.sweep(now)
	out := &listStreamConsumersOutput{Consumers: []consumerView{}}
	for _, c := range st.consumers {
		if c.name <= from.after {
			continue
		}
		if len(out.Consumers) == most {
			out.NextToken = seal(consumersToken, st.name, strconv.FormatUint(st.id, 36), out.Consumers[most-1].ConsumerName,
				strconv.FormatInt(now.UnixMilli(), 36))
			break
		}
		out.Consumers = append(out.Consumers, c.view(now))
	}
	return out, nil
}
