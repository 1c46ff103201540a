package conformance

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

var streamBehaviours = []behaviour{
	{
		name: "a new stream has as many shards as asked for, which share the hash keys",
		says: "CreateStream: the stream has ShardCount shards, each with a contiguous, non-overlapping range of hash keys",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 5)
			shards := s.open()
			equal(t, "shards", len(shards), 5)
			covers(t, shards)
			for _, sh := range shards {
				if sh.ParentShardId != nil || sh.AdjacentParentShardId != nil || number(t, sh.SequenceNumberRange.StartingSequenceNumber).Sign() < 0 {
					t.Errorf("%s is a new stream's and has parents, or starts nowhere", *sh.ShardId)
				}
			}
		},
	},
	{
		name: "a stream begins in CREATING and is ACTIVE later",
		says: "CreateStream: Kinesis sets the stream status to CREATING, and to ACTIVE after it is created; read and write only on an ACTIVE stream",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			equal(t, "status", s.summary().StreamStatus, types.StreamStatusActive)
			s.puts("a")
		},
	},
	{
		name: "a name is taken once",
		says: "CreateStream: ResourceInUseException, the resource is not available for this operation",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			_, err := e.kinesis.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: s.name, ShardCount: aws.Int32(1)})
			typed[*types.ResourceInUseException](t, err)
		},
	},
	{
		name: "a stream's name has letters, digits, and _ . -",
		says: "CreateStream: StreamName, pattern [a-zA-Z0-9_.-]+, length 1 to 128",
		run: func(t testing.TB, e *env) {
			for _, name := range []string{"no spaces", "no/slash", "né", strings.Repeat("n", 129)} {
				_, err := e.kinesis.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: &name, ShardCount: aws.Int32(1)})
				refused(t, err, validation, invalidArgument)
			}
		},
	},
	{
		name: "a provisioned stream has at least one shard",
		says: "CreateStream: ShardCount, minimum value of 1",
		run: func(t testing.TB, e *env) {
			_, err := e.kinesis.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: fresh(), ShardCount: aws.Int32(0)}, once)
			refused(t, err, validation, invalidArgument)
		},
		skips: skips{kinesisLocal: "answers LimitExceededException, which is for more than the account's shards"},
	},
	{
		name: "what does not exist is not described",
		says: "DescribeStreamSummary: ResourceNotFoundException, the requested resource could not be found",
		run: func(t testing.TB, e *env) {
			_, err := e.kinesis.DescribeStreamSummary(t.Context(), &kinesis.DescribeStreamSummaryInput{StreamName: fresh()})
			typed[*types.ResourceNotFoundException](t, err)
			_, err = e.kinesis.DescribeStream(t.Context(), &kinesis.DescribeStreamInput{StreamName: fresh()})
			typed[*types.ResourceNotFoundException](t, err)
		},
	},
	{
		name: "a summary has the stream's defaults",
		says: "StreamDescriptionSummary: name, ARN, status, retention in hours (24 by default), creation time, encryption type, number of open shards",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 3)
			d := s.summary()
			equal(t, "name", *d.StreamName, *s.name)
			equal(t, "open shards", *d.OpenShardCount, 3)
			equal(t, "retention", *d.RetentionPeriodHours, 24)
			equal(t, "encryption", d.EncryptionType, types.EncryptionTypeNone)
			if age := time.Since(*d.StreamCreationTimestamp); age < -time.Minute || age > time.Minute {
				t.Errorf("created %v ago", age)
			}
			if arn := *d.StreamARN; !strings.HasPrefix(arn, "arn:aws:kinesis:us-east-1:") || !strings.HasSuffix(arn, ":stream/"+*s.name) {
				t.Errorf("ARN %s", arn)
			}
		},
	},
	{
		name: "a summary tells the mode",
		says: "StreamDescriptionSummary: StreamModeDetails, PROVISIONED or ON_DEMAND",
		run: func(t testing.TB, e *env) {
			equal(t, "mode", e.stream(t, 1).summary().StreamModeDetails.StreamMode, types.StreamModeProvisioned)
		},
		skips: skips{kinesalite: "tells no mode"},
	},
	{
		name: "an on-demand stream needs no number of shards and has four",
		says: "CreateStream: with on-demand capacity you do not specify shards; Streams Developer Guide, Choose the right mode: a new on-demand stream has 4 MB/s of write capacity",
		run: func(t testing.TB, e *env) {
			s := &stream{env: e, t: t, name: fresh()}
			ok(e.kinesis.CreateStream(t.Context(), &kinesis.CreateStreamInput{
				StreamName: s.name, StreamModeDetails: &types.StreamModeDetails{StreamMode: types.StreamModeOnDemand},
			}))(t)
			s.settle()
			equal(t, "mode", s.summary().StreamModeDetails.StreamMode, types.StreamModeOnDemand)
			equal(t, "shards", len(s.open()), 4)
			covers(t, s.open())
		},
		skips: skips{kinesalite: "demands ShardCount"},
	},
	{
		name: "DescribeStream describes the shards",
		says: "DescribeStream: the shard objects with their hash key and sequence number ranges, and HasMoreShards",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 3)
			d := ok(e.kinesis.DescribeStream(t.Context(), &kinesis.DescribeStreamInput{StreamName: s.name}))(t).StreamDescription
			sameList(t, "shards", ids(d.Shards), ids(s.shards()))
			equal(t, "more", *d.HasMoreShards, false)
			covers(t, d.Shards)
		},
	},
	{
		name: "DescribeStream pages by Limit and ExclusiveStartShardId",
		says: "DescribeStream: Limit is the maximum number of shards in one call; HasMoreShards says that there are more, which ExclusiveStartShardId goes on to",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 5)
			var all []string
			in := &kinesis.DescribeStreamInput{StreamName: s.name, Limit: aws.Int32(2)}
			for more := true; more; {
				d := ok(e.kinesis.DescribeStream(t.Context(), in))(t).StreamDescription
				if len(d.Shards) == 0 || len(d.Shards) > 2 {
					t.Fatalf("a page of %d", len(d.Shards))
				}
				all, more = append(all, ids(d.Shards)...), *d.HasMoreShards
				in.ExclusiveStartShardId = &all[len(all)-1]
			}
			sameList(t, "shards", all, ids(s.shards()))
		},
		skips: skips{kinesalite: "ignores Limit"},
	},
	{
		name: "a stream is named by its ARN as well",
		says: "PutRecord, GetShardIterator, ListShards: when invoking this API, you must use either the StreamARN or the StreamName parameter, or both",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			arn := s.summary().StreamARN
			ok(e.kinesis.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamARN: arn, PartitionKey: aws.String("k"), Data: []byte("a")}))(t)
			sh := ok(e.kinesis.ListShards(t.Context(), &kinesis.ListShardsInput{StreamARN: arn}))(t).Shards[0].ShardId
			it := ok(e.kinesis.GetShardIterator(t.Context(), &kinesis.GetShardIteratorInput{
				StreamARN: arn, ShardId: sh, ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
			}))(t).ShardIterator
			r := ok(e.kinesis.GetRecords(t.Context(), &kinesis.GetRecordsInput{StreamARN: arn, ShardIterator: it}))(t)
			sameList(t, "records", texts(r.Records), []string{"a"})
		},
		skips: skips{kinesalite: "knows no StreamARN"},
	},
	{
		name: "a deleted stream is gone",
		says: "DeleteStream: deletes a stream and all its shards and data; until then it is DELETING",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			ok(e.kinesis.DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamName: s.name}))(t)
			await(t, "the stream is gone", func() bool {
				_, err := e.kinesis.DescribeStreamSummary(t.Context(), &kinesis.DescribeStreamSummaryInput{StreamName: s.name})
				if err != nil {
					typed[*types.ResourceNotFoundException](t, err)
				}
				return err != nil
			})
			_, err := s.tryPut("k", "", "a")
			refused(t, err, notFound)
		},
	},
	{
		name: "a stream of an old name is a new stream",
		says: "DeleteStream: deletes a Kinesis data stream and all its shards and data",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			s.puts("old")
			ok(e.kinesis.DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamName: s.name}))(t)
			await(t, "the name is free", func() bool {
				_, err := e.kinesis.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: s.name, ShardCount: aws.Int32(1)})
				return err == nil
			})
			s.settle().puts("new")
			sameList(t, "records", texts(s.read(s.start(shard0), 1)), []string{"new"})
		},
	},
	{
		name: "what does not exist is not deleted",
		says: "DeleteStream: ResourceNotFoundException, the requested resource could not be found",
		run: func(t testing.TB, e *env) {
			_, err := e.kinesis.DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamName: fresh()})
			typed[*types.ResourceNotFoundException](t, err)
		},
	},
	{
		name: "streams are listed by name, from one on, some at a time",
		says: "ListStreams: Limit names at most, HasMoreStreams if there are more, ExclusiveStartStreamName to start the list with",
		run: func(t testing.TB, e *env) {
			prefix := *fresh()
			var want []string
			for i := range 3 {
				want = append(want, fmt.Sprintf("%s-%d", prefix, i))
				ok(e.kinesis.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: &want[i], ShardCount: aws.Int32(1)}))(t)
			}
			first := ok(e.kinesis.ListStreams(t.Context(), &kinesis.ListStreamsInput{ExclusiveStartStreamName: &want[0], Limit: aws.Int32(1)}))(t)
			sameList(t, "names", first.StreamNames, want[1:2])
			equal(t, "more", *first.HasMoreStreams, true)
			rest := ok(e.kinesis.ListStreams(t.Context(), &kinesis.ListStreamsInput{ExclusiveStartStreamName: &want[1], Limit: aws.Int32(100)}))(t)
			equal(t, "the next name", rest.StreamNames[0], want[2])
		},
	},
	{
		name: "listed streams have summaries, and a token leads on",
		says: "ListStreams: StreamSummaries with name, ARN, status, mode and creation time; NextToken",
		run: func(t testing.TB, e *env) {
			want := []string{*e.stream(t, 1).name, *e.stream(t, 1).name}
			var got []string
			in := &kinesis.ListStreamsInput{Limit: aws.Int32(1)}
			for {
				out := ok(e.kinesis.ListStreams(t.Context(), in))(t)
				for _, sum := range out.StreamSummaries {
					got = append(got, *sum.StreamName)
				}
				if in.NextToken = out.NextToken; in.NextToken == nil {
					break
				}
			}
			for _, name := range want {
				if !slices.Contains(got, name) {
					t.Fatalf("%s is not among the summaries %v", name, got)
				}
			}
		},
		skips: skips{kinesalite: "has neither", kinesisLocal: "has neither"},
	},
}
