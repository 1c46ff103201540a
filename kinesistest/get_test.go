package kinesistest_test

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesiskit/kinesiskit/kinesistest"
)

func TestIteratorsStartWhereTheirTypeSays(t *testing.T) {
	bubble(t, 1, func(t *testing.T, _ *kinesistest.Server, c *client) {
		first := c.put("k", "a", "b")
		time.Sleep(1500 * time.Millisecond)
		between := time.Now()
		time.Sleep(1500 * time.Millisecond)
		c.put("k", "c")
		exact := time.Now()
		number := func(n *string, by int64) *string {
			return aws.String(new(big.Int).Add(bigInt(*n), big.NewInt(by)).String())
		}
		a := first[0].SequenceNumber
		for _, test := range []struct {
			kind types.ShardIteratorType
			from *string
			at   *time.Time
			want []string
		}{
			{"TRIM_HORIZON", nil, nil, []string{"a", "b", "c"}},
			{"LATEST", nil, nil, []string{"new"}},
			{"AT_SEQUENCE_NUMBER", a, nil, []string{"a", "b", "c"}},
			{"AFTER_SEQUENCE_NUMBER", a, nil, []string{"b", "c"}},
			// Numbers that no record has stand between those that do.
			{"AT_SEQUENCE_NUMBER", number(a, 1), nil, []string{"b", "c"}},
			{"AFTER_SEQUENCE_NUMBER", number(a, 1), nil, []string{"b", "c"}},
			{"AFTER_SEQUENCE_NUMBER", number(a, -1), nil, []string{"a", "b", "c"}},
			{"AT_TIMESTAMP", nil, aws.Time(between.Add(-time.Hour)), []string{"a", "b", "c"}},
			{"AT_TIMESTAMP", nil, &between, []string{"c"}},
			{"AT_TIMESTAMP", nil, &exact, []string{"c"}},
			{"AT_TIMESTAMP", nil, aws.Time(exact.Add(999 * time.Microsecond)), []string{"c"}}, // to the millisecond
		} {
			it := ok(c.iterator(kinesis.GetShardIteratorInput{ShardIteratorType: test.kind, StartingSequenceNumber: test.from, Timestamp: test.at}))(t)
			if test.kind == "LATEST" {
				equal(t, "LATEST, at once", c.texts(it), nil)
				c.put("k", "new")
				equal(t, "LATEST, later", c.texts(it), test.want)
				continue
			}
			got := c.texts(it)
			equal(t, string(test.kind), slices.DeleteFunc(got, func(s string) bool { return s == "new" }), test.want)
		}
	}, kinesistest.WithoutLimits())
}

func TestIteratorsAreRefused(t *testing.T) {
	bubble(t, 2, func(t *testing.T, s *kinesistest.Server, c *client) {
		var other *string
		for i := 0; other == nil; i++ {
			if e := c.put(fmt.Sprint(i), "x")[0]; *e.ShardId == shardID(1) {
				other = e.SequenceNumber
			}
		}
		last := s.Records("orders")[0].Sequence
		beyond := new(big.Int).Add(bigInt(last), big.NewInt(1e15)).String()
		for _, test := range []struct {
			why, code string
			in        kinesis.GetShardIteratorInput
		}{
			{"another shard's number", "InvalidArgumentException", kinesis.GetShardIteratorInput{ShardIteratorType: "AT_SEQUENCE_NUMBER", StartingSequenceNumber: other}},
			{"another shard's number", "InvalidArgumentException", kinesis.GetShardIteratorInput{ShardIteratorType: "AFTER_SEQUENCE_NUMBER", StartingSequenceNumber: other}},
			{"a number that was never given", "InvalidArgumentException", kinesis.GetShardIteratorInput{ShardIteratorType: "AFTER_SEQUENCE_NUMBER", StartingSequenceNumber: &beyond}},
			{"no number at all", "InvalidArgumentException", kinesis.GetShardIteratorInput{ShardIteratorType: "AT_SEQUENCE_NUMBER", StartingSequenceNumber: aws.String("TRIM_HORIZON")}},
			{"a small number", "InvalidArgumentException", kinesis.GetShardIteratorInput{ShardIteratorType: "AT_SEQUENCE_NUMBER", StartingSequenceNumber: aws.String("0")}},
			{"a missing number", "InvalidArgumentException", kinesis.GetShardIteratorInput{ShardIteratorType: "AFTER_SEQUENCE_NUMBER"}},
			{"a number too many", "InvalidArgumentException", kinesis.GetShardIteratorInput{ShardIteratorType: "LATEST", StartingSequenceNumber: &last}},
			{"a missing time", "InvalidArgumentException", kinesis.GetShardIteratorInput{ShardIteratorType: "AT_TIMESTAMP"}},
			{"the future", "InvalidArgumentException", kinesis.GetShardIteratorInput{ShardIteratorType: "AT_TIMESTAMP", Timestamp: aws.Time(time.Now().Add(time.Millisecond))}},
			{"an unknown type", "ValidationException", kinesis.GetShardIteratorInput{ShardIteratorType: "SOMEWHERE"}},
			{"an unknown shard", "ResourceNotFoundException", kinesis.GetShardIteratorInput{ShardIteratorType: "LATEST", ShardId: aws.String(shardID(9))}},
		} {
			_, err := c.iterator(test.in)
			t.Log(test.why)
			want(t, err, test.code)
		}
	})
}

func TestAnIteratorLivesFiveMinutes(t *testing.T) {
	bubble(t, 1, func(t *testing.T, _ *kinesistest.Server, c *client) {
		it := c.start(shardID(0))
		time.Sleep(5 * time.Minute)
		next := c.get(it).NextShardIterator
		time.Sleep(time.Millisecond)
		_, err := c.GetRecords(context.Background(), &kinesis.GetRecordsInput{ShardIterator: it})
		if expired := new(types.ExpiredIteratorException); !errors.As(err, &expired) {
			t.Error(err)
		}
		time.Sleep(5*time.Minute - time.Millisecond)
		c.get(next)
	})
}

func TestAnIteratorCannotBeMadeUp(t *testing.T) {
	bubble(t, 1, func(t *testing.T, _ *kinesistest.Server, c *client) {
		good := *c.start(shardID(0))
		list := ok(c.ListShards(context.Background(), &kinesis.ListShardsInput{StreamName: aws.String("orders")}))(t)
		for _, it := range []string{"x", "AAAA", good[1:], good[:len(good)-4], good + "AAAA", "A" + good[1:], aws.ToString(list.NextToken) + "=="} {
			_, err := c.GetRecords(context.Background(), &kinesis.GetRecordsInput{ShardIterator: &it})
			want(t, err, "InvalidArgumentException")
		}
		for _, limit := range []struct {
			n    int32
			code string
		}{{0, "ValidationException"}, {-1, "ValidationException"}, {10_001, "InvalidArgumentException"}} {
			_, err := c.GetRecords(context.Background(), &kinesis.GetRecordsInput{ShardIterator: &good, Limit: &limit.n})
			want(t, err, limit.code)
		}
	})
}

// A page ends at Limit, at 10,000 records and at 10 MiB, and the next goes on where it ended.
func TestPagesKeepToTheLimitsAndSkipNothing(t *testing.T) {
	bubble(t, 1, func(t *testing.T, _ *kinesistest.Server, c *client) {
		in := batch("orders", 500, 1)
		for range 22 {
			ok(c.PutRecords(context.Background(), in))(t)
		}
		big := batch("orders", 9, 1<<20-5) // the keys have five bytes
		for range 2 {
			ok(c.PutRecords(context.Background(), big))(t)
		}
		ok(c.PutRecords(context.Background(), batch("orders", 1, 2)))(t)
		it, limit := c.start(shardID(0)), aws.Int32(3)
		var counts []int
		var last string
		for range 6 {
			page := ok(c.GetRecords(context.Background(), &kinesis.GetRecordsInput{ShardIterator: it, Limit: limit}))(t)
			for _, r := range page.Records {
				if *r.SequenceNumber <= last {
					t.Fatal("a record came twice")
				}
				last = *r.SequenceNumber
			}
			counts = append(counts, len(page.Records))
			it, limit = page.NextShardIterator, nil
		}
		// 1,000 small records are left after the second page, and not quite 10 MiB fit beside them.
		equal(t, "pages", counts, []int{3, 10_000, 997 + 9, 9 + 1, 0, 0})
	}, kinesistest.WithoutLimits())
}

func TestAPageHasTenMiBToTheByte(t *testing.T) {
	bubble(t, 1, func(t *testing.T, _ *kinesistest.Server, c *client) {
		ok(c.CreateStream(context.Background(), &kinesis.CreateStreamInput{
			StreamName: aws.String("big"), ShardCount: aws.Int32(1), MaxRecordSizeInKiB: aws.Int32(10240),
		}))(t)
		sizes := []int{10<<20 - 5, 5<<20 - 5, 5<<20 - 4} // the keys have five bytes: the last two are a byte too much for one page
		for _, size := range sizes {
			ok(c.PutRecords(context.Background(), batch("big", 1, size)))(t)
		}
		it := ok(c.GetShardIterator(context.Background(), &kinesis.GetShardIteratorInput{
			StreamARN: aws.String("arn:aws:kinesis:us-east-1:000000000000:stream/big"), ShardId: aws.String(shardID(0)), ShardIteratorType: "TRIM_HORIZON",
		}))(t).ShardIterator
		for _, size := range sizes {
			page := c.get(it)
			if len(page.Records) != 1 || len(page.Records[0].Data) != size {
				t.Errorf("%d records, want one of %d bytes", len(page.Records), size)
			}
			it = page.NextShardIterator
		}
	}, kinesistest.WithoutLimits())
}

func TestBehindIsTheAgeOfTheNextRecordAndZeroAtTheTip(t *testing.T) {
	bubble(t, 1, func(t *testing.T, _ *kinesistest.Server, c *client) {
		c.put("k", "a")
		time.Sleep(time.Minute)
		c.put("k", "b")
		time.Sleep(time.Second)
		c.put("k", "c", "d")
		it := c.start(shardID(0))
		var behind []int64
		for range 5 {
			page := ok(c.GetRecords(context.Background(), &kinesis.GetRecordsInput{ShardIterator: it, Limit: aws.Int32(1)}))(t)
			behind = append(behind, *page.MillisBehindLatest)
			it = page.NextShardIterator
		}
		// d arrived at this very instant, and still is something to read.
		equal(t, "behind", behind, []int64{1000, 1, 1, 0, 0})
	})
}

func TestAClosedShardEndsAndNamesItsChildren(t *testing.T) {
	bubble(t, 2, func(t *testing.T, s *kinesistest.Server, c *client) {
		ok(c.PutRecord(context.Background(), &kinesis.PutRecordInput{
			StreamName: aws.String("orders"), PartitionKey: aws.String("k"), ExplicitHashKey: aws.String("0"), Data: []byte("a"),
		}))(t)
		waiting := c.get(c.start(shardID(0))).NextShardIterator
		left, right := s.Split("orders", shardID(0))
		for _, it := range []*string{c.start(shardID(0)), waiting} {
			page := c.get(it)
			if page.NextShardIterator != nil || len(page.ChildShards) != 2 || *page.MillisBehindLatest != 0 {
				t.Fatalf("%+v", page)
			}
			for i, id := range []string{left, right} {
				child := page.ChildShards[i]
				equal(t, "child", append(child.ParentShards, *child.ShardId), []string{shardID(0), id})
			}
			if *page.ChildShards[0].HashKeyRange.StartingHashKey != "0" {
				t.Errorf("%+v", page.ChildShards[0].HashKeyRange)
			}
		}
		if page := c.get(c.start(left)); page.NextShardIterator == nil || page.ChildShards != nil {
			t.Errorf("%+v", page)
		}
		child := s.Merge("orders", shardID(1), right)
		page := c.get(c.start(right))
		if page.NextShardIterator != nil || len(page.ChildShards) != 1 {
			t.Fatalf("%+v", page)
		}
		equal(t, "child", append(page.ChildShards[0].ParentShards, *page.ChildShards[0].ShardId), []string{shardID(1), right, child})
	})
}

func TestRecordsLiveFor24Hours(t *testing.T) {
	bubble(t, 1, func(t *testing.T, s *kinesistest.Server, c *client) {
		old := c.put("k", "a")[0].SequenceNumber
		time.Sleep(12 * time.Hour)
		c.put("k", "b")
		time.Sleep(12 * time.Hour)
		equal(t, "after 24 h", c.texts(c.start(shardID(0))), []string{"a", "b"})
		stale := c.start(shardID(0))
		time.Sleep(time.Millisecond)
		equal(t, "by an older iterator", c.texts(stale), []string{"b"})
		for _, it := range []*string{
			c.start(shardID(0)), stale,
			// A position that has been trimmed is no error: reading starts at what is left.
			ok(c.iterator(kinesis.GetShardIteratorInput{ShardIteratorType: "AT_SEQUENCE_NUMBER", StartingSequenceNumber: old}))(t),
		} {
			equal(t, "a millisecond later", c.texts(it), []string{"b"})
		}
		if n := len(s.Records("orders")); n != 1 {
			t.Errorf("%d records", n)
		}
	})
}

func TestTrimDropsWhatArrivedBefore(t *testing.T) {
	bubble(t, 1, func(t *testing.T, s *kinesistest.Server, c *client) {
		c.put("k", "a")
		time.Sleep(time.Second)
		c.put("k", "b")
		s.Trim("orders", time.Now())
		equal(t, "b is not before now", c.texts(c.start(shardID(0))), []string{"b"})
		s.Trim("orders", time.Now().Add(time.Hour))
		c.put("k", "c")
		equal(t, "after", c.texts(c.start(shardID(0))), []string{"c"})
	})
}
