package kinesis

import (
	"context"
	"regexp"
	"strings"
	"time"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

const (
	defaultRetention = 24 * time.Hour
	longestRetention = 8760 * time.Hour
	defaultMaxRecord = 1024      // KiB
	largestMaxRecord = 10 * 1024 // KiB
	accountShards    = 20_000    // us-east-1's quota of open shards
	onDemandShards   = 4         // what a new on-demand stream starts with
	onDemandStreams  = 50        // of an account
	beingCreated     = 5         // streams of an account that may be CREATING at a time
	mostWarm         = 10 * 1024 // MiB a second

	provisioned = "PROVISIONED"
	onDemand    = "ON_DEMAND"

	spreadAuto   = "AUTO"
	spreadByKeys = "USER_PARTITION_KEY"
)

var streamName = regexp.MustCompile(`^[a-zA-Z0-9_.-]{1,128}$`)

// nameOf reads the stream's name out of an ARN.
func nameOf(arn string) (name string, ok bool) {
	head, name, ok := strings.Cut(arn, ":stream/")
	return name, ok && strings.HasPrefix(head, "arn:") && strings.Contains(head, ":kinesis:") && streamName.MatchString(name)
}

// Spec describes a stream to be created.
type Spec struct {
	Name      string
	Shards    int
	OnDemand  bool
	MaxRecord int  // KiB; 0 means 1024
	Warm      int  // MiB a second
	Spread    bool // records go to any shard, whatever their keys
	Tags      map[string]string
}

func (spec *Spec) check() *wire.Error {
	var v violations
	switch {
	case !streamName.MatchString(spec.Name):
		v.length("streamName", spec.Name, 1, 128)
		if spec.Name != "" && len(v) == 0 {
			v.add("streamName", spec.Name, "must satisfy regular expression pattern: [a-zA-Z0-9_.-]+")
		}
	case spec.Shards < 1:
		v.add("shardCount", spec.Shards, "must have value greater than or equal to 1")
	}
	record, warm := int32(spec.MaxRecord), int32(spec.Warm)
	v.within("maxRecordSizeInKiB", &record, defaultMaxRecord, largestMaxRecord)
	v.within("warmThroughputMiBps", &warm, 0, mostWarm)
	v.tags(spec.Tags, 0)
	return v.err()
}

// Create makes a stream with evenly split shards. It is ACTIVE at once, and the rules for how often and how many do not apply.
func (s *Service) Create(spec Spec) *wire.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.create(spec, time.Now())
	return err
}

func (s *Service) create(spec Spec, now time.Time) (*stream, *wire.Error) {
	if spec.MaxRecord == 0 {
		spec.MaxRecord = defaultMaxRecord
	}
	if err := spec.check(); err != nil {
		return nil, err
	}
	if _, err := s.find(target{StreamName: spec.Name}); err == nil {
		return nil, inUse("Stream %s under account %s already exists.", spec.Name, s.cfg.Account)
	}
	if err := s.quota(spec.Shards); err != nil {
		return nil, err
	}
	st := &stream{
		name: spec.Name, arn: s.arnOf(spec.Name),
		id: s.nextEpoch(now),
		// A client compares this time with others in milliseconds.
		created: now.Truncate(time.Millisecond),
		configuration: configuration{
			Mode: provisioned, Retention: defaultRetention, MaxRecord: spec.MaxRecord, Warm: spec.Warm, Spread: spec.Spread,
		},
		byID:  make(map[string]*shard),
		calls: make(map[string]*bucket),
		done:  make(map[string][]time.Time),
	}
	st.tag(spec.Tags)
	if spec.OnDemand {
		st.Mode = onDemand
	}
	st.last = st.created
	starts := evenly(spec.Shards)
	for i, start := range starts {
		keys := hashRange{start, lastHashKey}
		if i+1 < len(starts) {
			keys.end = starts[i+1].minus(hashKey{0, 1})
		}
		st.add(st.created, s.nextEpoch(now), keys, "", "")
	}
	st.route()
	s.streams[spec.Name] = st
	return st, nil
}

// evenly is where n shards of equal size start.
func evenly(n int) []hashKey {
	width := share(uint64(n))
	starts := make([]hashKey, n)
	for i := range starts {
		starts[i] = width.times(uint64(i))
	}
	return starts
}

// quota refuses n more open shards beyond the account's. The caller holds s.mu.
func (s *Service) quota(n int) *wire.Error {
	if open := s.openShards(); n > accountShards-open {
		return exceeded("%d more shards would exceed the limit of %d for account %s in %s; it has %d.",
			n, accountShards, s.cfg.Account, s.cfg.Region, open)
	}
	return nil
}

func (s *Service) openShards() int {
	open := 0
	for _, st := range s.streams {
		open += len(st.serving)
	}
	return open
}

// count counts the streams of which something is true. The caller holds s.mu.
func (s *Service) count(is func(*stream) bool) int {
	n := 0
	for _, st := range s.streams {
		if is(st) {
			n++
		}
	}
	return n
}

type nothing struct{}

type modeDetails struct{ StreamMode string }

type createStreamInput struct {
	StreamName          string
	ShardCount          *int32
	MaxRecordSizeInKiB  int32
	WarmThroughputMiBps int32
	StreamModeDetails   *modeDetails
	Tags                map[string]string

	RecordDistributionStrategy string
}

func (in *createStreamInput) spec() (Spec, *wire.Error) {
	spec := Spec{
		Name: in.StreamName, Shards: onDemandShards, MaxRecord: int(in.MaxRecordSizeInKiB), Warm: int(in.WarmThroughputMiBps),
		Spread: in.RecordDistributionStrategy == spreadAuto, Tags: in.Tags,
	}
	mode := provisioned
	var v violations
	if in.StreamModeDetails != nil {
		mode = in.StreamModeDetails.StreamMode
		v.oneOf("streamModeDetails.streamMode", mode, provisioned, onDemand)
	}
	if strategy := in.RecordDistributionStrategy; strategy != "" {
		v.oneOf("recordDistributionStrategy", strategy, spreadAuto, spreadByKeys)
	}
	if err := v.err(); err != nil {
		return spec, err
	}
	switch spec.OnDemand = mode == onDemand; {
	case spec.OnDemand && in.ShardCount != nil:
		return spec, failure("ValidationException", "ShardCount must not be given for a stream in %s mode.", onDemand)
	case spec.OnDemand:
		spec.Shards = max(onDemandShards, spec.Warm)
	case spec.Spread:
		return spec, invalid("RecordDistributionStrategy %s is for streams in %s mode alone.", spreadAuto, onDemand)
	case spec.Warm > 0:
		return spec, invalid("WarmThroughputMiBps is for streams in %s mode alone.", onDemand)
	case in.ShardCount == nil:
		return spec, violation("shardCount", nil, "must not be null")
	default:
		spec.Shards = int(*in.ShardCount)
	}
	return spec, nil
}

func (s *Service) createStream(_ context.Context, in *createStreamInput) (*nothing, *wire.Error) {
	spec, err := in.spec()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.settle(now)
	creating := s.count(func(st *stream) bool { return st.status(now) == statusCreating })
	flexible := s.count(func(st *stream) bool { return st.Mode == onDemand })
	switch {
	case spec.Warm > 0 && !s.commitment.on(now):
		return nil, errNotCommitted
	case !s.cfg.Limits:
	case creating >= beingCreated:
		return nil, exceeded("%d streams of account %s are being created; more than %d may not be at a time.", creating, s.cfg.Account, beingCreated)
	case spec.OnDemand && flexible >= onDemandStreams:
		return nil, exceeded("Account %s has %d streams in %s mode in %s, which is its limit.", s.cfg.Account, flexible, onDemand, s.cfg.Region)
	}
	st, err := s.create(spec, now)
	if err == nil {
		st.begin(statusCreating, now, s.cfg.Transitions)
	}
	return nil, err
}

type deleteStreamInput struct {
	target
	EnforceConsumerDeletion bool
}

func (s *Service) deleteStream(_ context.Context, in *deleteStreamInput) (*nothing, *wire.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.active(in.target)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	if st.sweep(now); len(st.consumers) > 0 && !in.EnforceConsumerDeletion {
		return nil, inUse("Stream %s under account %s has %d registered consumers, and EnforceConsumerDeletion is not set.",
			st.name, s.cfg.Account, len(st.consumers))
	}
	st.begin(statusDeleting, now, s.cfg.Transitions)
	st.wakeAll() // there is now a time at which their subscriptions end
	s.settle(now)
	return nil, nil
}

// settle forgets the streams whose deletion is over. The caller holds s.mu.
func (s *Service) settle(now time.Time) {
	for _, st := range s.streams {
		if st.gone(now) {
			s.drop(st)
		}
	}
}
