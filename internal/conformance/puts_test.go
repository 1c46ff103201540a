package conformance

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

const mib = 1 << 20

// biggest is how much of a record of 1 MiB a partition key of one character leaves, with room for what AWS may count besides.
const biggest = mib - 256

const accepts = "accepts everything"

var putBehaviours = []behaviour{
	{
		name: "a partition key's MD5 decides about the shard",
		says: "PutRecord: an MD5 hash function maps partition keys to 128-bit integers, and the shard is the one whose range holds the hash",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 5)
			shards := s.open()
			for i := range 25 {
				key := fmt.Sprint("key ", i, strings.Repeat("é", i))
				equal(t, key, *s.put(key, "", "a").ShardId, holder(t, shards, key))
			}
		},
	},
	{
		name: "an explicit hash key overrides the partition key, to the edges of each shard",
		says: "PutRecord: ExplicitHashKey, the hash value used to explicitly determine the shard by overriding the partition key hash",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 3)
			for _, sh := range s.open() {
				for _, edge := range []*string{sh.HashKeyRange.StartingHashKey, sh.HashKeyRange.EndingHashKey} {
					equal(t, *edge, *s.put("k", *edge, "a").ShardId, *sh.ShardId)
				}
			}
		},
	},
	{
		name: "entries of a batch are routed one by one",
		says: "PutRecords: the response array corresponds, in natural order, to the records of the request; each result has ShardId and SequenceNumber",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 3)
			shards := s.open()
			var entries []types.PutRecordsRequestEntry
			var want []string
			for i := range 12 {
				key := fmt.Sprint(i)
				entries = append(entries, entry(key, key))
				want = append(want, holder(t, shards, key))
			}
			last := entry("k", "last")
			last.ExplicitHashKey = aws.String(new(big.Int).Sub(hashKeys, big.NewInt(1)).String())
			entries, want = append(entries, last), append(want, *shards[2].ShardId)
			out := ok(s.tryBatch(entries...))(t)
			equal(t, "failed", aws.ToInt32(out.FailedRecordCount), 0)
			var got []string
			for _, r := range out.Records {
				got = append(got, aws.ToString(r.ShardId))
				number(t, r.SequenceNumber)
				if r.ErrorCode != nil || r.ErrorMessage != nil {
					t.Errorf("an entry that is stored has the error %s", *r.ErrorCode)
				}
			}
			sameList(t, "shards", got, want)
		},
	},
	{
		name: "an explicit hash key is below 2^128",
		says: "PutRecord: InvalidArgumentException; Streams Developer Guide, Split a shard: hash keys are 0 to 340282366920938463463374607431768211455",
		run: func(t testing.TB, e *env) {
			_, err := e.stream(t, 1).tryPut("k", hashKeys.String(), "a")
			refused(t, err, validation, invalidArgument)
		},
	},
	{
		name: "an explicit hash key is a decimal number",
		says: "PutRecord: ExplicitHashKey, pattern 0|([1-9]\\d{0,38})",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			for _, hash := range []string{"-1", "01", "0x1", "1e3"} {
				_, err := s.tryPut("k", hash, "a")
				refused(t, err, validation, invalidArgument)
			}
		},
		skips: skips{kinesalite: "takes what begins or ends like one", kinesisLocal: "answers HTTP 500"},
	},
	{
		name: "sequence numbers of a shard grow",
		says: "PutRecord: sequence numbers increase over time and are specific to a shard within a stream",
		run: func(t testing.TB, e *env) {
			numbers := e.stream(t, 1).puts("a", "b", "c", "d", "e", "f")
			for i := 1; i < len(numbers); i++ {
				if number(t, &numbers[i]).Cmp(number(t, &numbers[i-1])) <= 0 {
					t.Fatalf("%s is followed by %s", numbers[i-1], numbers[i])
				}
			}
		},
	},
	{
		name: "SequenceNumberForOrdering is what the next record is behind",
		says: "PutRecord: SequenceNumberForOrdering guarantees strictly increasing sequence numbers, for puts from the same client and to the same partition key",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			first := s.put("k", "", "a").SequenceNumber
			second := ok(e.kinesis.PutRecord(t.Context(), &kinesis.PutRecordInput{
				StreamName: s.name, PartitionKey: aws.String("k"), Data: []byte("b"), SequenceNumberForOrdering: first,
			}))(t).SequenceNumber
			if number(t, second).Cmp(number(t, first)) <= 0 {
				t.Fatalf("%s is not behind %s", *second, *first)
			}
		},
	},
	{
		name: "records come back as they were",
		says: "Record: Data is an immutable sequence of bytes, not inspected or interpreted; PartitionKey and SequenceNumber are the record's",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			all := make([]byte, 256)
			for i := range all {
				all[i] = byte(i)
			}
			out := s.put("key \"é\" 日本", "", string(all))
			r := s.read(s.start(shard0), 1)[0]
			equal(t, "data", string(r.Data), string(all))
			equal(t, "key", *r.PartitionKey, "key \"é\" 日本")
			equal(t, "number", *r.SequenceNumber, *out.SequenceNumber)
		},
	},
	{
		name: "a record may be empty",
		says: "PutRecord: Data, minimum length of 0",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			s.puts("", "a")
			sameList(t, "records", texts(s.read(s.start(shard0), 2)), []string{"", "a"})
		},
	},
	{
		name: "a missing stream takes no records",
		says: "PutRecord, PutRecords: ResourceNotFoundException, the requested resource could not be found",
		run: func(t testing.TB, e *env) {
			s := &stream{env: e, t: t, name: fresh()}
			_, err := s.tryPut("k", "", "a")
			typed[*types.ResourceNotFoundException](t, err)
			_, err = s.tryBatch(entry("k", "a"))
			typed[*types.ResourceNotFoundException](t, err)
		},
	},
	{
		name: "concurrent writers lose nothing, and each shard keeps one order",
		says: "PutRecord: each record has a sequence number that is unique within its shard; GetRecords returns records in the order of sequence numbers",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			errs := make(chan error)
			for w := range 4 {
				go func() {
					for i := range 5 {
						if _, err := s.tryBatch(entry("k", fmt.Sprint(w, i, "a")), entry("k", fmt.Sprint(w, i, "b"))); err != nil {
							errs <- err
							return
						}
					}
					errs <- nil
				}()
			}
			for range 4 {
				if err := <-errs; err != nil {
					t.Error(err)
				}
			}
			records := s.read(s.start(shard0), 40)
			seen := texts(records)
			slices.Sort(seen)
			equal(t, "distinct records", len(slices.Compact(seen)), 40)
			for i := 1; i < len(records); i++ {
				if number(t, records[i-1].SequenceNumber).Cmp(number(t, records[i].SequenceNumber)) >= 0 {
					t.Fatalf("record %d is not behind its predecessor", i)
				}
			}
		},
	},
}

var limitBehaviours = []behaviour{
	{
		name: "500 records are a batch, 501 are not",
		says: "PutRecords: each request can support up to 500 records",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			entries := slices.Repeat([]types.PutRecordsRequestEntry{entry("k", "a")}, 501)
			equal(t, "stored", len(ok(s.tryBatch(entries[:500]...))(t).Records), 500)
			_, err := s.tryBatch(entries...)
			refused(t, err, validation)
		},
		skips: skips{kinesisLocal: accepts},
	},
	{
		name: "a batch is not empty",
		says: "PutRecords: Records, minimum number of 1 item",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			_, err := s.tryBatch([]types.PutRecordsRequestEntry{}...)
			refused(t, err, validation)
		},
		skips: skips{kinesisLocal: accepts},
	},
	{
		name: "a record has at most 1 MiB",
		says: "Quotas and limits: the default maximum size of the data payload of a record before base64-encoding is 1 MiB",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			s.put("k", "", strings.Repeat("x", biggest))
			_, err := s.tryPut("k", "", strings.Repeat("x", mib+1))
			refused(t, err, validation, invalidArgument)
			_, err = s.tryBatch(entry("k", strings.Repeat("x", mib+1)))
			refused(t, err, validation, invalidArgument)
		},
		skips: skips{kinesisLocal: accepts},
	},
	{
		name: "a batch has more than 5 MiB",
		says: "PutRecords: each request up to 10 MiB, including partition keys",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 10)
			var entries []types.PutRecordsRequestEntry
			for _, sh := range s.open()[:7] {
				en := entry("k", strings.Repeat("x", biggest))
				en.ExplicitHashKey = sh.HashKeyRange.StartingHashKey
				entries = append(entries, en)
			}
			equal(t, "failed", aws.ToInt32(ok(s.tryBatch(entries...))(t).FailedRecordCount), 0)
		},
		skips: skips{kinesalite: "refuses more than 5 MiB, as AWS did until 2025"},
	},
	{
		name: "a batch has at most 10 MiB",
		says: "PutRecords: each request up to 10 MiB, including partition keys",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			_, err := s.tryBatch(slices.Repeat([]types.PutRecordsRequestEntry{entry("k", strings.Repeat("x", biggest))}, 11)...)
			refused(t, err, validation, invalidArgument)
		},
		skips: skips{kinesalite: "answers HTTP 413 without an exception", kinesisLocal: accepts},
	},
	{
		name: "a partition key has 1 to 256 characters of Unicode",
		says: "PutRecord: partition keys are Unicode strings, with a maximum length limit of 256 characters for each key; minimum 1",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			s.put(strings.Repeat("k", 256), "", "a")
			s.put(strings.Repeat("日", 256), "", "a")
			for _, key := range []string{"", strings.Repeat("k", 257)} {
				_, err := s.tryPut(key, "", "a")
				refused(t, err, validation, invalidArgument)
				_, err = s.tryBatch(entry("k", "good"), entry(key, "a"))
				refused(t, err, validation, invalidArgument)
			}
			s.puts("mark")
			sameList(t, "records", texts(s.read(s.start(shard0), 3)), []string{"a", "a", "mark"})
		},
	},
	{
		name:    "a shard takes 1,000 records a second, and refuses the rest record by record",
		says:    "PutRecords: 1,000 records per second for each shard; unsuccessful records have ErrorCode ProvisionedThroughputExceededException inside a 200",
		limited: true,
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			batch := slices.Repeat([]types.PutRecordsRequestEntry{entry("k", "a")}, 500)
			failed := 0
			for range 6 {
				for _, r := range ok(s.tryBatch(batch...))(t).Records {
					if r.ErrorCode != nil {
						equal(t, "code", *r.ErrorCode, "ProvisionedThroughputExceededException")
						failed++
					}
				}
			}
			if failed == 0 {
				t.Fatal("3,000 records at once, and none is refused")
			}
		},
		skips: skips{kinesalite: "has no rates", kinesisLocal: "has no rates"},
	},
	{
		name:    "a shard takes 1 MiB a second",
		says:    "PutRecord: ProvisionedThroughputExceededException; each shard can support writes up to 1 MiB per second",
		limited: true,
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			for range 4 {
				_, err := e.kinesis.PutRecord(t.Context(), &kinesis.PutRecordInput{
					StreamName: s.name, PartitionKey: aws.String("k"), Data: make([]byte, mib/2),
				}, once)
				if err != nil {
					typed[*types.ProvisionedThroughputExceededException](t, err)
					return
				}
			}
			t.Fatal("2 MiB at once, and nothing is refused")
		},
		skips: skips{kinesalite: "has no rates", kinesisLocal: "has no rates"},
	},
	{
		name:    "a shard is read five times a second",
		says:    "GetRecords: each shard can support up to five read transactions per second; ProvisionedThroughputExceededException",
		limited: true,
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			it := s.start(shard0)
			for range 12 {
				_, err := e.kinesis.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: it}, once)
				if err != nil {
					typed[*types.ProvisionedThroughputExceededException](t, err)
					return
				}
			}
			t.Fatal("12 reads at once, and none is refused")
		},
		skips: skips{kinesalite: "has no rates", kinesisLocal: "has no rates"},
	},
	{
		name:    "an operation has a rate",
		says:    "DescribeStreamSummary: limit of 20 transactions per second per account; LimitExceededException",
		limited: true,
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			for range 60 {
				_, err := e.kinesis.DescribeStreamSummary(t.Context(), &kinesis.DescribeStreamSummaryInput{StreamName: s.name}, once)
				if err != nil {
					typed[*types.LimitExceededException](t, err)
					return
				}
			}
			t.Fatal("60 calls at once, and none is refused")
		},
		skips: skips{kinesalite: "has no rates", kinesisLocal: "has no rates"},
	},
}
