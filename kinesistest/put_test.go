package kinesistest_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesiskit/kinesiskit/kinesistest"
)

func TestRecordsGoWhereTheirHashKeyLies(t *testing.T) {
	bubble(t, 7, func(t *testing.T, s *kinesistest.Server, c *client) {
		s.Split("orders", shardID(3))
		open := slices.DeleteFunc(c.shards(kinesis.ListShardsInput{}), func(sh types.Shard) bool { return *sh.ShardId == shardID(3) })
		owner := func(k *big.Int) string {
			for _, sh := range open {
				if k.Cmp(bigInt(*sh.HashKeyRange.StartingHashKey)) >= 0 && k.Cmp(bigInt(*sh.HashKeyRange.EndingHashKey)) <= 0 {
					return *sh.ShardId
				}
			}
			return "nowhere"
		}
		for i := range 200 {
			key := fmt.Sprint("schlüssel-", i)
			sum := md5.Sum([]byte(key))
			if got := *c.put(key, "x")[0].ShardId; got != owner(new(big.Int).SetBytes(sum[:])) {
				t.Errorf("%s went to %s", key, got)
			}
		}
		for _, sh := range open { // both ends of every range belong to it
			for _, k := range []*string{sh.HashKeyRange.StartingHashKey, sh.HashKeyRange.EndingHashKey} {
				out := ok(c.PutRecord(context.Background(), &kinesis.PutRecordInput{
					StreamName: aws.String("orders"), PartitionKey: aws.String("any"), ExplicitHashKey: k, Data: []byte("x"),
				}))(t)
				if *out.ShardId != *sh.ShardId {
					t.Errorf("hash key %s went to %s, not %s", *k, *out.ShardId, *sh.ShardId)
				}
			}
		}
	})
}

func TestWhatIsPutIsReadBackUnchanged(t *testing.T) {
	bubble(t, 1, func(t *testing.T, s *kinesistest.Server, c *client) {
		all := make([]byte, 256)
		for i := range all {
			all[i] = byte(i)
		}
		data := [][]byte{all, {}, []byte("x"), bytes.Repeat([]byte("ab"), 1000)}
		keys := []string{"plain", "quote\" and \\ and \u2028 <&>", "日本語", strings.Repeat("ü", 256)}
		for i := range data {
			ok(c.PutRecord(context.Background(), &kinesis.PutRecordInput{StreamName: aws.String("orders"), PartitionKey: &keys[i], Data: data[i]}))(t)
		}
		page, stored := c.get(c.start(shardID(0))), s.Records("orders")
		for i := range data {
			r := page.Records[i]
			if !bytes.Equal(r.Data, data[i]) || *r.PartitionKey != keys[i] {
				t.Errorf("record %d is %q %q", i, *r.PartitionKey, r.Data)
			}
			if st := stored[i]; st.Sequence != *r.SequenceNumber || st.PartitionKey != keys[i] || !bytes.Equal(st.Data, data[i]) ||
				st.Shard != shardID(0) || !st.ArrivalTime.Equal(*r.ApproximateArrivalTimestamp) {
				t.Errorf("stored %d is %+v", i, st)
			}
		}
	})
}

func TestPutsAreRefusedBeyondTheLimits(t *testing.T) {
	bubble(t, 1, func(t *testing.T, s *kinesistest.Server, c *client) {
		ok(c.CreateStream(context.Background(), &kinesis.CreateStreamInput{
			StreamName: aws.String("big"), ShardCount: aws.Int32(1), MaxRecordSizeInKiB: aws.Int32(10240),
		}))(t)
		entry := func(key string, size int) types.PutRecordsRequestEntry {
			return types.PutRecordsRequestEntry{PartitionKey: &key, Data: make([]byte, size)}
		}
		hash := func(k string) types.PutRecordsRequestEntry {
			e := entry("k", 1)
			e.ExplicitHashKey = &k
			return e
		}
		for _, test := range []struct {
			stream, code string // no code: accepted
			entries      []types.PutRecordsRequestEntry
		}{
			{"orders", "", slices.Repeat([]types.PutRecordsRequestEntry{entry("k", 1)}, 500)},
			{"orders", "ValidationException", slices.Repeat([]types.PutRecordsRequestEntry{entry("k", 1)}, 501)},
			{"orders", "ValidationException", []types.PutRecordsRequestEntry{}},
			{"orders", "", []types.PutRecordsRequestEntry{entry(strings.Repeat("ü", 256), 1)}},
			{"orders", "ValidationException", []types.PutRecordsRequestEntry{entry("k", 1), entry(strings.Repeat("ü", 257), 1)}},
			{"orders", "ValidationException", []types.PutRecordsRequestEntry{entry("", 1)}},
			{"orders", "", []types.PutRecordsRequestEntry{entry("four", 1<<20-4)}},
			{"orders", "InvalidArgumentException", []types.PutRecordsRequestEntry{entry("k", 1), entry("four", 1<<20-3)}},
			{"big", "", []types.PutRecordsRequestEntry{entry("four", 10<<20-4)}},
			{"big", "InvalidArgumentException", []types.PutRecordsRequestEntry{entry("four", 10<<20-3)}},
			{"big", "ValidationException", []types.PutRecordsRequestEntry{entry("k", 10<<20+1)}},
			{"big", "", slices.Repeat([]types.PutRecordsRequestEntry{entry("four", 1<<20-4)}, 10)},
			{"big", "InvalidArgumentException", append(slices.Repeat([]types.PutRecordsRequestEntry{entry("four", 1<<20-4)}, 10), entry("k", 0))},
			{"orders", "", []types.PutRecordsRequestEntry{hash("0"), hash("340282366920938463463374607431768211455")}},
			{"orders", "InvalidArgumentException", []types.PutRecordsRequestEntry{hash("340282366920938463463374607431768211456")}},
			{"orders", "InvalidArgumentException", []types.PutRecordsRequestEntry{hash(strings.Repeat("9", 39))}},
			{"orders", "ValidationException", []types.PutRecordsRequestEntry{hash(strings.Repeat("9", 40))}},
			{"orders", "ValidationException", []types.PutRecordsRequestEntry{hash("01")}},
			{"orders", "ValidationException", []types.PutRecordsRequestEntry{hash("-1")}},
			{"none", "ResourceNotFoundException", []types.PutRecordsRequestEntry{entry("k", 1)}},
		} {
			count := func() int { return len(s.Records("orders")) + len(s.Records("big")) }
			before := count()
			out, err := c.PutRecords(context.Background(), &kinesis.PutRecordsInput{StreamName: &test.stream, Records: test.entries})
			if test.code == "" {
				if err != nil || *out.FailedRecordCount != 0 || count() != before+len(test.entries) {
					t.Errorf("%d entries: %v", len(test.entries), err)
				}
				continue
			}
			if want(t, err, test.code); count() != before {
				t.Errorf("%s, yet %d records were stored", test.code, count()-before)
			}
		}
		_, err := c.PutRecord(context.Background(), &kinesis.PutRecordInput{
			StreamName: aws.String("orders"), PartitionKey: aws.String("four"), Data: make([]byte, 1<<20-3),
		})
		want(t, err, "InvalidArgumentException")
	}, kinesistest.WithoutLimits())
}

func TestSequenceNumbersGrowAsNumbersAndAsStrings(t *testing.T) {
	bubble(t, 2, func(t *testing.T, s *kinesistest.Server, c *client) {
		seen := map[string]bool{}
		last := map[string]string{}
		check := func(entries []types.PutRecordsResultEntry) {
			for _, e := range entries {
				n := *e.SequenceNumber
				if len(n) != 56 || !strings.HasPrefix(n, "4959") || bigInt(n) == nil {
					t.Errorf("%s does not look like one", n)
				}
				if n <= last[*e.ShardId] || seen[n] {
					t.Errorf("%s after %s", n, last[*e.ShardId])
				}
				seen[n], last[*e.ShardId] = true, n
			}
		}
		for i := range 50 {
			check(c.put(fmt.Sprint(i), "a", "b", "c"))
		}
		left, right := s.Split("orders", shardID(0))
		child := s.Merge("orders", right, shardID(1))
		for i := range 50 {
			check(c.put(fmt.Sprint(i), "d", "e"))
		}
		for _, sh := range c.shards(kinesis.ListShardsInput{}) {
			start, end := *sh.SequenceNumberRange.StartingSequenceNumber, aws.ToString(sh.SequenceNumberRange.EndingSequenceNumber)
			for _, parent := range []*string{sh.ParentShardId, sh.AdjacentParentShardId} {
				if parent != nil && start <= last[*parent] {
					t.Errorf("%s starts at %s, below its parent's %s", *sh.ShardId, start, last[*parent])
				}
			}
			closed := *sh.ShardId != left && *sh.ShardId != child
			if closed != (end != "") || closed && (len(end) != 56 || end < last[*sh.ShardId]) {
				t.Errorf("%s ends at %q, its last record is %s", *sh.ShardId, end, last[*sh.ShardId])
			}
		}
	})
}

// Writers, two reshardings and readers at once: what was acknowledged is there once, and a key's records are in the order of their writer.
func TestConcurrentWritersLoseNothingAndKeepOrder(t *testing.T) {
	t.Parallel()
	s := kinesistest.New(kinesistest.WithoutLimits())
	defer func() { _ = s.Close() }()
	s.CreateStream("orders", 2)
	const writers, rounds = 8, 60
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			c := newClient(t, s.Config(""))
			key := fmt.Sprint("writer-", w)
			for i := range rounds {
				if _, err := c.PutRecords(context.Background(), &kinesis.PutRecordsInput{
					StreamName: aws.String("orders"), Records: []types.PutRecordsRequestEntry{
						{PartitionKey: &key, Data: []byte(fmt.Sprintf("%s %05d", key, 2*i))},
						{PartitionKey: &key, Data: []byte(fmt.Sprintf("%s %05d", key, 2*i+1))},
					},
				}); err != nil {
					t.Error(err)
				}
				if i == rounds/2 && w < 2 {
					s.Split("orders", shardID(w))
				}
			}
		})
	}
	wg.Go(func() {
		c := newClient(t, s.Config(""))
		for range rounds {
			c.get(c.start(shardID(0)))
		}
	})
	wg.Wait()
	next := map[string]int{}
	for _, r := range s.Records("orders") { // parents come before children
		var w, n int
		if _, err := fmt.Sscanf(string(r.Data), "writer-%d %d", &w, &n); err != nil || next[r.PartitionKey] != n {
			t.Fatalf("%q where %d was due: %v", r.Data, next[r.PartitionKey], err)
		}
		next[r.PartitionKey]++
	}
	if len(next) != writers {
		t.Errorf("%d writers", len(next))
	}
	for key, n := range next {
		if n != 2*rounds {
			t.Errorf("%s has %d records", key, n)
		}
	}
}
