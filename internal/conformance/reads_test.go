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

const (
	trimHorizon = types.ShardIteratorTypeTrimHorizon
	latest      = types.ShardIteratorTypeLatest
	atSequence  = types.ShardIteratorTypeAtSequenceNumber
	after       = types.ShardIteratorTypeAfterSequenceNumber
	atTime      = types.ShardIteratorTypeAtTimestamp
)

var iteratorBehaviours = []behaviour{
	{
		name: "TRIM_HORIZON begins with the oldest record",
		says: "GetShardIterator: TRIM_HORIZON, start reading at the last untrimmed record in the shard, which is the oldest data record",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			s.puts("a", "b", "c")
			sameList(t, "records", texts(s.read(s.start(shard0), 3)), []string{"a", "b", "c"})
		},
	},
	{
		name: "AT_SEQUENCE_NUMBER begins with the record",
		says: "GetShardIterator: AT_SEQUENCE_NUMBER, start reading from the position denoted by a specific sequence number",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			n := s.puts("a", "b", "c")
			sameList(t, "records", texts(s.read(ok(s.tryIterator(shard0, atSequence, &n[1], nil))(t), 2)), []string{"b", "c"})
		},
	},
	{
		name: "AFTER_SEQUENCE_NUMBER begins behind the record",
		says: "GetShardIterator: AFTER_SEQUENCE_NUMBER, start reading right after the position denoted by a specific sequence number",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			n := s.puts("a", "b", "c")
			sameList(t, "records", texts(s.read(ok(s.tryIterator(shard0, after, &n[1], nil))(t), 1)), []string{"c"})
			it := ok(s.tryIterator(shard0, after, &n[2], nil))(t)
			s.puts("d")
			sameList(t, "records", texts(s.read(it, 1)), []string{"d"})
		},
	},
	{
		name: "a shard's starting sequence number is a position",
		says: "GetShardIterator: AT_SEQUENCE_NUMBER; Shard: SequenceNumberRange, StartingSequenceNumber is the starting sequence number for the range",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			s.puts("a", "b")
			at := s.shard(shard0).SequenceNumberRange.StartingSequenceNumber
			sameList(t, "records", texts(s.read(ok(s.tryIterator(shard0, atSequence, at, nil))(t), 2)), []string{"a", "b"})
		},
	},
	{
		name: "LATEST begins behind what there is",
		says: "GetShardIterator: LATEST, start reading just after the most recent record in the shard",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			s.puts("a", "b")
			it := ok(s.tryIterator(shard0, latest, nil, nil))(t)
			s.puts("c", "d")
			sameList(t, "records", texts(s.read(it, 2)), []string{"c", "d"})
		},
	},
	{
		name: "AT_TIMESTAMP begins with the first record from then on",
		says: "GetShardIterator: AT_TIMESTAMP, if a record with this exact time stamp does not exist, the iterator is for the next (later) record",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			s.puts("a")
			pass(30 * time.Millisecond)
			s.puts("b", "c")
			records := s.read(s.start(shard0), 3)
			first, second := *records[0].ApproximateArrivalTimestamp, *records[1].ApproximateArrivalTimestamp
			between := first.Add(second.Sub(first) / 2)
			for want, at := range map[string]time.Time{"abc": first, "bc": second} {
				got := texts(s.read(ok(s.tryIterator(shard0, atTime, nil, &at))(t), len(want)))
				equal(t, "records", strings.Join(got, ""), want)
			}
			sameList(t, "records", texts(s.read(ok(s.tryIterator(shard0, atTime, nil, &between))(t), 2)), []string{"b", "c"})
		},
	},
	{
		name: "AT_TIMESTAMP before everything begins with the oldest record",
		says: "GetShardIterator: if the time stamp is older than the current trim horizon, the iterator is for the oldest untrimmed data record",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			s.puts("a", "b")
			long := time.Now().Add(-72 * time.Hour)
			sameList(t, "records", texts(s.read(ok(s.tryIterator(shard0, atTime, nil, &long))(t), 2)), []string{"a", "b"})
		},
	},
	{
		name: "an iterator has what its type needs",
		says: "GetShardIterator: StartingSequenceNumber is used with AT_ and AFTER_SEQUENCE_NUMBER, Timestamp is used with AT_TIMESTAMP; InvalidArgumentException",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			for _, kind := range []types.ShardIteratorType{atSequence, after, atTime} {
				_, err := s.tryIterator(shard0, kind, nil, nil)
				refused(t, err, invalidArgument)
			}
		},
	},
	{
		name: "iterators are of five types",
		says: "GetShardIterator: ShardIteratorType, valid values AT_SEQUENCE_NUMBER | AFTER_SEQUENCE_NUMBER | TRIM_HORIZON | LATEST | AT_TIMESTAMP",
		run: func(t testing.TB, e *env) {
			_, err := e.stream(t, 1).tryIterator(shard0, "OLDEST", nil, nil)
			refused(t, err, validation)
		},
		skips: skips{kinesisLocal: "answers SerializationException"},
	},
	{
		name: "a missing shard has no iterator",
		says: "GetShardIterator: ResourceNotFoundException, the requested resource could not be found",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			_, err := s.tryIterator("shardId-000000000007", trimHorizon, nil, nil)
			typed[*types.ResourceNotFoundException](t, err)
			s.name = fresh()
			_, err = s.tryIterator(shard0, trimHorizon, nil, nil)
			typed[*types.ResourceNotFoundException](t, err)
		},
	},
	{
		name: "a sequence number that is none is refused",
		says: "GetShardIterator: StartingSequenceNumber, pattern 0|([1-9]\\d{0,128})",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			for _, at := range []string{"one", "-1", "1.5"} {
				_, err := s.tryIterator(shard0, atSequence, &at, nil)
				refused(t, err, invalidArgument, validation)
			}
		},
	},
	{
		name: "a sequence number of another shard is refused",
		says: "GetShardIterator: InvalidArgumentException; PutRecord: sequence numbers are specific to a shard within a stream",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 2)
			shards := s.open()
			other := s.put("k", *shards[1].HashKeyRange.StartingHashKey, "a").SequenceNumber
			_, err := s.tryIterator(*shards[0].ShardId, after, other, nil)
			typed[*types.InvalidArgumentException](t, err)
		},
		skips: skips{kinesisLocal: "takes it"},
	},
	{
		name: "an iterator that nobody gave is refused",
		says: "GetRecords: InvalidArgumentException, a specified parameter exceeds its restrictions, is not supported, or can't be used",
		run: func(t testing.TB, e *env) {
			for _, it := range []string{"garbage", "AAAAAAAAAAHy", strings.Repeat("A", 224)} {
				_, err := e.kinesis.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: &it})
				typed[*types.InvalidArgumentException](t, err)
			}
		},
		skips: skips{kinesisLocal: "answers HTTP 500"},
	},
	{
		name: "an iterator expires",
		says: "GetShardIterator: a shard iterator expires 5 minutes after it is returned to the requester; GetRecords: ExpiredIteratorException",
		slow: true,
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			s.puts("a")
			it := s.start(shard0)
			pass(299 * time.Second)
			next := s.get(it).NextShardIterator
			pass(2 * time.Second)
			_, err := e.kinesis.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: it})
			typed[*types.ExpiredIteratorException](t, err)
			s.get(next) // given two seconds ago
		},
	},
	{
		name: "records leave with the retention period",
		says: "IncreaseStreamRetentionPeriod: the length of time that data records are accessible; TRIM_HORIZON is the oldest that is left",
		slow: true,
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			s.puts("old")
			pass(23 * time.Hour)
			s.puts("young")
			sameList(t, "records", texts(s.read(s.start(shard0), 2)), []string{"old", "young"})
			pass(2 * time.Hour)
			sameList(t, "records", texts(s.read(s.start(shard0), 1)), []string{"young"})
		},
	},
}

var readBehaviours = []behaviour{
	{
		name: "Limit bounds a page, and the next page goes on behind it",
		says: "GetRecords: Limit, the maximum number of records to return; NextShardIterator is the next position to read from",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			s.puts("a", "b", "c", "d", "e")
			it := s.start(shard0)
			var got []string
			await(t, "all records", func() bool {
				out := ok(e.kinesis.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: it, Limit: aws.Int32(2)}))(t)
				if len(out.Records) > 2 {
					t.Fatalf("a page of %d", len(out.Records))
				}
				got, it = append(got, texts(out.Records)...), out.NextShardIterator
				return len(got) >= 5
			})
			sameList(t, "records", got, []string{"a", "b", "c", "d", "e"})
		},
	},
	{
		name: "a page has 1 to 10,000 records",
		says: "GetRecords: Limit, minimum value 1, maximum 10000; more throws InvalidArgumentException",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			it := s.start(shard0)
			for _, n := range []int32{0, 10001} {
				_, err := e.kinesis.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: it, Limit: &n})
				refused(t, err, validation, invalidArgument)
			}
		},
	},
	{
		name: "an iterator can be used again",
		says: "GetShardIterator: a shard iterator specifies the position from which to start reading; it is valid for 5 minutes",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			s.puts("a", "b")
			it := s.start(shard0)
			sameList(t, "records", texts(s.read(it, 2)), []string{"a", "b"})
			sameList(t, "records", texts(s.read(it, 2)), []string{"a", "b"})
		},
	},
	{
		name: "an open shard always has a next iterator",
		says: "GetRecords: NextShardIterator, if set to null, the shard has been closed and the iterator does not return any more data",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			it := s.start(shard0)
			for range 3 {
				out := s.get(it)
				equal(t, "records", len(out.Records), 0)
				if it = out.NextShardIterator; it == nil {
					t.Fatal("an open shard has ended")
				}
			}
			s.puts("a")
			sameList(t, "records", texts(s.read(it, 1)), []string{"a"})
		},
	},
	{
		name: "at the tip the reader is 0 ms behind",
		says: "GetRecords: MillisBehindLatest, a value of zero indicates that record processing is caught up",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			s.puts("a")
			it := s.start(shard0)
			await(t, "the tip", func() bool {
				out := s.get(it)
				it = out.NextShardIterator
				return len(out.Records) == 0 && aws.ToInt64(out.MillisBehindLatest) == 0
			})
		},
	},
	{
		name: "a reader that has records before it is behind the tip",
		says: "GetRecords: MillisBehindLatest, the number of milliseconds the response is from the tip of the stream",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			s.puts("a")
			pass(150 * time.Millisecond)
			s.puts("b")
			pass(150 * time.Millisecond)
			out := ok(e.kinesis.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: s.start(shard0), Limit: aws.Int32(1)}))(t)
			sameList(t, "records", texts(out.Records), []string{"a"})
			if behind := aws.ToInt64(out.MillisBehindLatest); behind < 100 {
				t.Fatalf("%d ms behind", behind)
			}
		},
		skips: skips{kinesalite: "is 0 ms behind always"},
	},
	{
		name: "an arrival time is now, and never goes back",
		says: "Record: ApproximateArrivalTimestamp, set when a stream successfully receives and stores a record, with millisecond precision",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			s.puts("a", "b", "c")
			records := s.read(s.start(shard0), 3)
			for i, r := range records {
				if age := time.Since(*r.ApproximateArrivalTimestamp); age < -time.Second || age > time.Minute {
					t.Errorf("%s arrived %v ago", r.Data, age)
				}
				if i > 0 && r.ApproximateArrivalTimestamp.Before(*records[i-1].ApproximateArrivalTimestamp) {
					t.Errorf("%s arrived before its predecessor", r.Data)
				}
			}
		},
	},
	{
		name: "a page has at most 10 MiB",
		says: "GetRecords: the maximum size of data that it can return is 10 MiB",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			var want []string
			for i := range 12 {
				want = append(want, fmt.Sprintf("%02d", i))
				s.puts(want[i] + strings.Repeat("x", biggest-2))
			}
			it := s.start(shard0)
			var got []string
			await(t, "all records", func() bool {
				out := s.get(it)
				if len(out.Records) > 10 {
					t.Fatalf("a page of %d MiB", len(out.Records))
				}
				for _, r := range out.Records {
					got = append(got, string(r.Data[:2]))
				}
				it = out.NextShardIterator
				return len(got) >= 12
			})
			if !slices.Equal(got, want) {
				t.Fatalf("records: got %v, want %v", got, want)
			}
		},
		skips: skips{kinesalite: "sends all at once"},
	},
}
