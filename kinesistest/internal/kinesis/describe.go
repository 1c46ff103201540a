package kinesis

import (
	"context"
	"sort"
	"time"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

type summary struct {
	StreamName              string
	StreamARN               string
	StreamStatus            string
	StreamModeDetails       modeDetails
	StreamCreationTimestamp stamp
}

func (st *stream) summary(now time.Time) summary {
	return summary{
		StreamName: st.name, StreamARN: st.arn, StreamStatus: st.status(now),
		StreamModeDetails: modeDetails{st.Mode}, StreamCreationTimestamp: stamp(st.created),
	}
}

type shardMetrics struct{ ShardLevelMetrics []string }

// description is what both descriptions of a stream tell.
type description struct {
	summary
	RetentionPeriodHours int
	EnhancedMonitoring   []shardMetrics
	EncryptionType       string
	KeyId                string `json:",omitempty"`
}

func (st *stream) describe(now time.Time) description {
	return description{
		summary:              st.summary(now),
		RetentionPeriodHours: int(st.Retention / time.Hour),
		EnhancedMonitoring:   []shardMetrics{{ShardLevelMetrics: append([]string{}, st.Metrics...)}},
		EncryptionType:       encryption(st.KMSKey != ""),
		KeyId:                st.KMSKey,
	}
}

// encryption is an EncryptionType.
func encryption(kms bool) string {
	if kms {
		return "KMS"
	}
	return "NONE"
}

type throughput struct{ CurrentMiBps, TargetMiBps int }

type describeStreamSummaryOutput struct {
	StreamDescriptionSummary struct {
		description
		OpenShardCount     int
		ConsumerCount      int
		MaxRecordSizeInKiB int
		WarmThroughput     *throughput `json:",omitempty"`

		RecordDistributionStrategy string `json:",omitempty"`
	}
}

func (s *Service) describeStreamSummary(ctx context.Context, in *target) (*describeStreamSummaryOutput, *wire.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.find(*in)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	out := new(describeStreamSummaryOutput)
	d := &out.StreamDescriptionSummary
	d.description = st.describe(now)
	d.OpenShardCount = len(st.list(listing{filter: "AT_LATEST"}, len(st.shards), now, s.lag(ctx)))
	st.sweep(now)
	d.ConsumerCount = len(st.consumers)
	d.MaxRecordSizeInKiB = st.MaxRecord
	if st.Mode == onDemand {
		d.RecordDistributionStrategy = spreadByKeys
		if st.Spread {
			d.RecordDistributionStrategy = spreadAuto
		}
		if s.commitment.on(now) {
			d.WarmThroughput = &throughput{st.Warm, st.Warm}
		}
	}
	return out, nil
}

// mostDescribed is how many shards a page of DescribeStream has at most; Limit may go to 10,000 without getting more.
const mostDescribed = 100

type describeStreamInput struct {
	target
	ExclusiveStartShardId string
	Limit                 *int32
}

type describeStreamOutput struct {
	StreamDescription struct {
		description
		Shards        []shardView
		HasMoreShards bool
	}
}

func (s *Service) describeStream(ctx context.Context, in *describeStreamInput) (*describeStreamOutput, *wire.Error) {
	most, err := pageOf(in.Limit, mostDescribed, "limit")
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.find(in.target)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	out := new(describeStreamOutput)
	d := &out.StreamDescription
	d.description = st.describe(now)
	d.Shards = []shardView{}
	if d.StreamStatus == statusCreating {
		return out, nil // the shards come with ACTIVE
	}
	st.expire(now)
	d.Shards = st.list(listing{filter: "FROM_TRIM_HORIZON", after: in.ExclusiveStartShardId}, most+1, now, s.lag(ctx))
	if len(d.Shards) > most {
		d.Shards, d.HasMoreShards = d.Shards[:most], true
	}
	return out, nil
}

// pageOf is how many elements a page has at most: what a request asks for, up to the service's most.
func pageOf(limit *int32, most int, member string) (int, *wire.Error) {
	if limit == nil {
		return most, nil
	}
	var v violations
	v.within(member, limit, 1, 10_000)
	return min(most, int(*limit)), v.err()
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
	limit, err := pageOf(in.Limit, mostStreams, "limit")
	if err != nil {
		return nil, err
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
	now := time.Now()
	s.settle(now)
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
		out.StreamSummaries = append(out.StreamSummaries, s.streams[name].summary(now))
	}
	return out, nil
}
