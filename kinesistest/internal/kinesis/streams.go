package kinesis

import (
	"context"
	"regexp"
	"sort"
	"strings"
	"time"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

const (
	defaultRetention = 24 * time.Hour
	defaultMaxRecord = 1024      // KiB
	largestMaxRecord = 10 * 1024 // KiB
	accountShards    = 20_000    // us-east-1's quota of open shards
	onDemandShards   = 4         // what a new on-demand stream starts with

	provisioned = "PROVISIONED"
	onDemand    = "ON_DEMAND"
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
	MaxRecord int // KiB; 0 means 1024
}

// Create makes a stream with evenly split shards. It is ACTIVE at once.
func (s *Service) Create(spec Spec) *wire.Error {
	if spec.MaxRecord == 0 {
		spec.MaxRecord = defaultMaxRecord
	}
	switch {
	case !streamName.MatchString(spec.Name):
		return violation("streamName", "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+ and have at most 128 characters")
	case spec.Shards < 1:
		return violation("shardCount", "Member must have value greater than or equal to 1")
	case spec.MaxRecord < defaultMaxRecord || spec.MaxRecord > largestMaxRecord:
		return violation("maxRecordSizeInKiB", "Member must have value between 1024 and 10240")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.streams[spec.Name]; ok {
		return failure("ResourceInUseException", "Stream %s under account %s already exists.", spec.Name, Account)
	}
	if err := s.quota(spec.Shards); err != nil {
		return err
	}
	now := time.Now()
	st := &stream{
		name: spec.Name, arn: arnOf(spec.Name),
		id:   s.nextEpoch(now),
		mode: provisioned,
		// A client compares this time with others in milliseconds.
		created:   now.Truncate(time.Millisecond),
		retention: defaultRetention,
		maxRecord: spec.MaxRecord,
		byID:      make(map[string]*shard),
	}
	if spec.OnDemand {
		st.mode = onDemand
	}
	st.last = st.created
	width := share(uint64(spec.Shards))
	for i := range uint64(spec.Shards) {
		keys := hashRange{width.times(i), lastHashKey}
		if i+1 < uint64(spec.Shards) {
			keys.end = width.times(i + 1).minus(hashKey{0, 1})
		}
		st.add(st.created, s.nextEpoch(now), keys, "", "")
	}
	st.route()
	s.streams[spec.Name] = st
	return nil
}

// quota refuses n more open shards beyond the account's. The caller holds s.mu.
func (s *Service) quota(n int) *wire.Error {
	open := 0
	for _, st := range s.streams {
		open += len(st.serving)
	}
	if n > accountShards-open {
		return failure("LimitExceededException", "%d more shards would exceed the limit of %d for account %s in %s; it has %d.",
			n, accountShards, Account, Region, open)
	}
	return nil
}

type nothing struct{}

type modeDetails struct{ StreamMode string }

type createStreamInput struct {
	StreamName         string
	ShardCount         *int32
	MaxRecordSizeInKiB int32
	StreamModeDetails  modeDetails

	RecordDistributionStrategy string
}

func (s *Service) createStream(_ context.Context, in *createStreamInput) (*nothing, *wire.Error) {
	spec := Spec{Name: in.StreamName, Shards: onDemandShards, MaxRecord: int(in.MaxRecordSizeInKiB)}
	switch mode := in.StreamModeDetails.StreamMode; {
	case in.RecordDistributionStrategy == "AUTO":
		return nil, failure("ValidationException", "RecordDistributionStrategy AUTO is not supported here.")
	case mode == onDemand && in.ShardCount != nil:
		return nil, failure("ValidationException", "ShardCount must not be given for a stream in %s mode.", onDemand)
	case mode == onDemand:
		spec.OnDemand = true
	case mode != "" && mode != provisioned:
		return nil, violation("streamModeDetails.streamMode", "Member must satisfy enum value set: [%s, %s]", provisioned, onDemand)
	case in.ShardCount == nil:
		return nil, violation("shardCount", "Member must not be null")
	default:
		spec.Shards = int(*in.ShardCount)
	}
	return nil, s.Create(spec)
}

func (s *Service) deleteStream(_ context.Context, in *target) (*nothing, *wire.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.find(*in)
	if err != nil {
		return nil, err
	}
	delete(s.streams, st.name)
	return nil, nil
}

type summary struct {
	StreamName              string
	StreamARN               string
	StreamStatus            string
	StreamModeDetails       modeDetails
	StreamCreationTimestamp stamp
}

func (st *stream) summary() summary {
	return summary{
		StreamName: st.name, StreamARN: st.arn, StreamStatus: "ACTIVE",
		StreamModeDetails: modeDetails{st.mode}, StreamCreationTimestamp: stamp(st.created),
	}
}

type shardMetrics struct{ ShardLevelMetrics []string }

type describeStreamSummaryOutput struct {
	StreamDescriptionSummary struct {
		summary
		RetentionPeriodHours int
		EnhancedMonitoring   []shardMetrics
		EncryptionType       string
		OpenShardCount       int
		ConsumerCount        int
		MaxRecordSizeInKiB   int
	}
}

func (s *Service) describeStreamSummary(_ context.Context, in *target) (*describeStreamSummaryOutput, *wire.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.find(*in)
	if err != nil {
		return nil, err
	}
	out := new(describeStreamSummaryOutput)
	d := &out.StreamDescriptionSummary
	d.summary = st.summary()
	d.RetentionPeriodHours = int(st.retention / time.Hour)
	d.EnhancedMonitoring = []shardMetrics{{ShardLevelMetrics: []string{}}}
	d.EncryptionType = "NONE"
	d.OpenShardCount = len(st.serving)
	d.MaxRecordSizeInKiB = st.maxRecord
	return out, nil
}

// mostStreams is how many streams a page of ListStreams has at most.
const mostStreams = 100

type listStreamsInput struct {
	ExclusiveStartStreamName string
	NextToken                string
	Limit                    *int32
}

type listStreamsOutput struct {
	StreamNames     []string
	StreamSummaries []summary
	HasMoreStreams  bool
	NextToken       string `json:",omitempty"`
}

func (s *Service) listStreams(_ context.Context, in *listStreamsInput) (*listStreamsOutput, *wire.Error) {
	limit := mostStreams
	if in.Limit != nil {
		if *in.Limit < 1 || *in.Limit > 10_000 {
			return nil, violation("limit", "Member must have value between 1 and 10000")
		}
		limit = min(limit, int(*in.Limit))
	}
	after := in.ExclusiveStartStreamName
	if in.NextToken != "" {
		parts, ok := unseal(streamsToken, in.NextToken)
		if !ok {
			return nil, invalid("NextToken is invalid.")
		}
		after = parts[0]
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := &listStreamsOutput{StreamNames: []string{}, StreamSummaries: []summary{}}
	for name := range s.streams {
		if name > after {
			out.StreamNames = append(out.StreamNames, name)
		}
	}
	sort.Strings(out.StreamNames)
	if len(out.StreamNames) > limit {
		out.StreamNames = out.StreamNames[:limit]
		out.HasMoreStreams = true
		out.NextToken = seal(streamsToken, out.StreamNames[limit-1])
	}
	for _, name := range out.StreamNames {
		out.StreamSummaries = append(out.StreamSummaries, s.streams[name].summary())
	}
	return out, nil
}
