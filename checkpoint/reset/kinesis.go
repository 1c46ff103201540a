package reset

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesiskit/kinesiskit/internal/awsx"
	"github.com/kinesiskit/kinesiskit/internal/retry"
	"github.com/kinesiskit/kinesiskit/shard"
)

// KinesisAPI is what Make calls; *kinesis.Client implements it. It may gain methods in a minor version: embed *kinesis.Client when wrapping. The
// client's own retries are off for these calls: throttles and outages are waited out for a few seconds, then they end Make.
//
// DescribeStreamSummary tells the retention, without which nobody could say that a time cannot be reached any more.
type KinesisAPI interface {
	DescribeStreamSummary(ctx context.Context, in *kinesis.DescribeStreamSummaryInput, opts ...func(*kinesis.Options)) (*kinesis.DescribeStreamSummaryOutput, error)
	ListShards(ctx context.Context, in *kinesis.ListShardsInput, opts ...func(*kinesis.Options)) (*kinesis.ListShardsOutput, error)
	GetShardIterator(ctx context.Context, in *kinesis.GetShardIteratorInput, opts ...func(*kinesis.Options)) (*kinesis.GetShardIteratorOutput, error)
	GetRecords(ctx context.Context, in *kinesis.GetRecordsInput, opts ...func(*kinesis.Options)) (*kinesis.GetRecordsOutput, error)
}

const (
	// requestTimeout bounds one request. A page of 10 MiB over a slow line takes seconds.
	requestTimeout = 30 * time.Second

	// pace is the time between two reads of one shard: two of the five calls a second (AWS limit) that its live readers share.
	pace = 500 * time.Millisecond

	// How often a request is sent that fails. A shard whose readers use up its limits refuses for seconds; an endpoint that is not there is soon known.
	triesThrottled = 10
	triesBroken    = 4

	retryBase = 200 * time.Millisecond
	retryMax  = 5 * time.Second
)

// stream is the stream as it is asked for.
type stream struct {
	api       KinesisAPI
	name      string
	arn       *string // nil if it is asked for by name
	requested string
}

func newStream(api KinesisAPI, nameOrARN string) *stream {
	s := &stream{api: api, name: nameOrARN, requested: nameOrARN}
	if strings.HasPrefix(nameOrARN, "arn:") {
		s.arn = &s.requested
		_, s.name, _ = strings.Cut(nameOrARN, "/")
	}
	return s
}

// reference is what a request names the stream by: the name or the ARN.
func (s *stream) reference() (name, arn *string) {
	if s.arn != nil {
		return nil, s.arn
	}
	return &s.name, nil
}

// patiently repeats a request that is throttled or gets no answer, for a while.
func patiently(ctx context.Context, what string, request func(ctx context.Context) error) error {
	backoff := retry.NewBackoff(rand.New(rand.NewPCG(1, 1)), retryBase, retryMax)
	left := map[awsx.Class]int{awsx.Throttle: triesThrottled, awsx.Transient: triesBroken}
	for {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("reset: %s: %w", what, err)
		}
		err := once(ctx, request)
		if err == nil {
			return nil
		}
		class := awsx.Classify(err)
		if left[class]--; left[class] <= 0 || retry.Sleep(ctx, backoff.Next()) != nil {
			return fmt.Errorf("reset: %s: %w", what, err)
		}
	}
}

func once(ctx context.Context, request func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	return request(ctx)
}

// view is what the service says about the stream as a whole.
type view struct {
	graph   *shard.Graph
	ordered [][]shard.Shard // every shard of the graph, in generations
	now     time.Time       // the service's clock
	created time.Time       // of the stream
	kept    time.Time       // what arrived before has aged out
}

// horizon is the arrival time of the oldest record that can still be there.
func (v *view) horizon() time.Time {
	if v.created.After(v.kept) {
		return v.created
	}
	return v.kept
}

func (s *stream) look(ctx context.Context) (*view, error) {
	var v *view
	for try := 1; ; try++ {
		shards, now, err := s.list(ctx)
		if err != nil {
			return nil, err
		}
		v = &view{graph: shard.NewGraph(shards), now: now}
		v.ordered = generations(v.graph, shards)
		if complete(v.graph) {
			break
		}
		// A listing that falls into a reshard may lack the children, for a moment.
		if try == triesBroken {
			return nil, fmt.Errorf("stream %s: %w", s.name, ErrIncomplete)
		}
		if err := retry.Sleep(ctx, time.Second); err != nil {
			return nil, err
		}
	}
	return v, s.describe(ctx, v)
}

func complete(g *shard.Graph) bool {
	var covered []shard.HashRange
	for _, s := range g.Open() {
		covered = append(covered, s.Range)
	}
	return len(shard.Holes(covered)) == 0
}

// list reads all pages of a listing, and the service's clock.
func (s *stream) list(ctx context.Context) (shards []shard.Shard, now time.Time, err error) {
	in := &kinesis.ListShardsInput{}
	in.StreamName, in.StreamARN = s.reference()
	for {
		var out *kinesis.ListShardsOutput
		err := patiently(ctx, "list shards", func(ctx context.Context) (err error) {
			out, err = s.api.ListShards(ctx, in, awsx.KinesisOnce)
			return err
		})
		if err != nil {
			return nil, time.Time{}, err
		}
		if now.IsZero() {
			now, _ = awsx.ServerTime(out.ResultMetadata)
		}
		for _, l := range out.Shards {
			shards = append(shards, listed(l))
		}
		if out.NextToken == nil {
			break
		}
		in = &kinesis.ListShardsInput{NextToken: out.NextToken} // which names the stream: naming it twice is refused
	}
	if now.IsZero() { // some server that stands in for Kinesis shows no clock, and then runs on this host or has its own way
		now = time.Now()
	}
	return shards, now, nil
}

// listed is a shard as ListShards names it; a hash range that cannot be read is unknown.
func listed(l types.Shard) shard.Shard {
	out := shard.Shard{ID: aws.ToString(l.ShardId)}
	for _, parent := range []*string{l.ParentShardId, l.AdjacentParentShardId} {
		if aws.ToString(parent) != "" {
			out.Parents = append(out.Parents, *parent)
		}
	}
	if r := l.SequenceNumberRange; r != nil {
		out.First, out.Last = aws.ToString(r.StartingSequenceNumber), aws.ToString(r.EndingSequenceNumber)
	}
	if r := l.HashKeyRange; r != nil {
		if known, err := shard.ParseHashRange(aws.ToString(r.StartingHashKey), aws.ToString(r.EndingHashKey)); err == nil {
			out.Range = known
		}
	}
	return out
}

// describe asks how far back the stream goes.
func (s *stream) describe(ctx context.Context, v *view) error {
	in := &kinesis.DescribeStreamSummaryInput{}
	in.StreamName, in.StreamARN = s.reference()
	var out *kinesis.DescribeStreamSummaryOutput
	err := patiently(ctx, "describe stream", func(ctx context.Context) (err error) {
		out, err = s.api.DescribeStreamSummary(ctx, in, awsx.KinesisOnce)
		return err
	})
	if err != nil {
		return err
	}
	if d := out.StreamDescriptionSummary; d != nil {
		v.created = aws.ToTime(d.StreamCreationTimestamp)
		if d.RetentionPeriodHours != nil {
			v.kept = v.now.Add(-time.Duration(*d.RetentionPeriodHours) * time.Hour)
		}
	}
	return nil
}

// walk reads a shard from where in says, until visit returns false, the tip is reached, or the shard ends, which it reports. A closed shard is read to
// its end, even if pages on the way say that nothing is behind them.
func (s *stream) walk(ctx context.Context, info shard.Shard, in kinesis.GetShardIteratorInput, limit int32, visit func(*types.Record) bool) (ended bool, err error) {
	in.ShardId = &info.ID
	in.StreamName, in.StreamARN = s.reference()
	var iterator *string
	err = patiently(ctx, "shard "+info.ID+": get iterator", func(ctx context.Context) error {
		out, err := s.api.GetShardIterator(ctx, &in, awsx.KinesisOnce)
		if err == nil {
			iterator = out.ShardIterator
		}
		return err
	})
	if err != nil {
		return false, err
	}
	for next := time.Now(); ; {
		if err := retry.Sleep(ctx, time.Until(next)); err != nil {
			return false, fmt.Errorf("reset: shard %s: %w", info.ID, err)
		}
		next = time.Now().Add(pace)
		var out *kinesis.GetRecordsOutput
		err := patiently(ctx, "shard "+info.ID+": get records", func(ctx context.Context) (err error) {
			out, err = s.api.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: iterator, StreamARN: s.arn, Limit: &limit}, awsx.KinesisOnce)
			return err
		})
		if err != nil {
			return false, err
		}
		for i := range out.Records {
			if !visit(&out.Records[i]) {
				return false, nil
			}
		}
		if iterator = out.NextShardIterator; aws.ToString(iterator) == "" {
			return true, nil
		}
		if info.Open() && out.MillisBehindLatest != nil && *out.MillisBehindLatest == 0 {
			return false, nil
		}
	}
}
