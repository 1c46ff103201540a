package kinesistest_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesiskit/kinesiskit/kinesistest"
)

// stored is how many of n records of a size, put in one request, are taken. The keys count, with one byte each.
func (c *client) take(n, size int) int {
	c.t.Helper()
	in := &kinesis.PutRecordsInput{StreamName: aws.String("orders")}
	for range n {
		in.Records = append(in.Records, types.PutRecordsRequestEntry{PartitionKey: aws.String("k"), Data: make([]byte, size-1)})
	}
	out := ok(c.PutRecords(context.Background(), in))(c.t)
	for _, e := range out.Records {
		const message = "Rate exceeded for shard shardId-000000000000 in stream orders under account 000000000000."
		if e.ErrorCode != nil && (*e.ErrorCode != "ProvisionedThroughputExceededException" || *e.ErrorMessage != message || e.SequenceNumber != nil) {
			c.t.Errorf("%s: %s", *e.ErrorCode, *e.ErrorMessage)
		}
	}
	return n - int(*out.FailedRecordCount)
}

func TestAShardTakes1000RecordsASecond(t *testing.T) {
	bubble(t, 1, func(t *testing.T, s *kinesistest.Server, c *client) {
		equal(t, "at once", []int{c.take(500, 10), c.take(500, 10), c.take(500, 10)}, []int{500, 500, 0})
		time.Sleep(time.Millisecond)
		equal(t, "a millisecond later", []int{c.take(5, 10)}, []int{1})
		time.Sleep(100 * time.Millisecond)
		equal(t, "after 100 ms", []int{c.take(500, 10)}, []int{100})
		time.Sleep(time.Hour)
		equal(t, "after a long time", []int{c.take(500, 10), c.take(500, 10), c.take(500, 10)}, []int{500, 500, 0})
		err := c.tryPut(context.Background(), "x")
		exceeded := new(types.ProvisionedThroughputExceededException)
		if !errors.As(err, &exceeded) || !strings.Contains(err.Error(), "Rate exceeded for shard shardId-000000000000 in stream orders under account 000000000000.") {
			t.Error(err)
		}
		if n := len(s.Records("orders")); n != 1000+1+100+1000 {
			t.Errorf("%d records are stored", n)
		}
	})
}

func TestAShardTakesOneMiBASecond(t *testing.T) {
	bubble(t, 1, func(t *testing.T, _ *kinesistest.Server, c *client) {
		const kib = 1 << 10
		equal(t, "at once", []int{c.take(10, 128*kib)}, []int{8})
		time.Sleep(time.Second / 8)
		equal(t, "after an eighth of a second", []int{c.take(2, 128*kib)}, []int{1})
		taken := 0
		for range 100 { // ten seconds of a writer that does not slow down
			time.Sleep(100 * time.Millisecond)
			taken += c.take(3, 100*kib)
		}
		if taken < 100 || taken > 103 {
			t.Errorf("%d times 100 KiB in 10 s", taken)
		}
	})
}

func TestALargeRecordIsPaidForAfterwards(t *testing.T) {
	bubble(t, 1, func(t *testing.T, _ *kinesistest.Server, c *client) {
		const mib = 1 << 20
		ok(c.UpdateMaxRecordSize(context.Background(), &kinesis.UpdateMaxRecordSizeInput{StreamARN: arn("orders"), MaxRecordSizeInKiB: aws.Int32(10240)}))(t)
		equal(t, "the first", []int{c.take(1, 10*mib), c.take(1, 10)}, []int{1, 0})
		time.Sleep(9 * time.Second)
		equal(t, "9 s later", []int{c.take(1, 5*mib), c.take(1, 10)}, []int{0, 0})
		time.Sleep(time.Millisecond)
		equal(t, "a little later", []int{c.take(1, 10)}, []int{1})
		time.Sleep(time.Second)
		equal(t, "when all is paid for", []int{c.take(1, 5*mib)}, []int{1})
		time.Sleep(2500 * time.Millisecond)
		equal(t, "half paid", []int{c.take(1, 2*mib)}, []int{0})
		time.Sleep(2500 * time.Millisecond)
		equal(t, "paid", []int{c.take(1, 2*mib)}, []int{1})
	})
}

// codes says what came of calls of an operation, one after the other: "" for an answer.
func codes(n int, call func() error) []string {
	all := make([]string, n)
	for i := range all {
		var api interface{ ErrorCode() string }
		if err := call(); errors.As(err, &api) {
			all[i] = api.ErrorCode()
		} else if err != nil {
			all[i] = err.Error()
		}
	}
	return all
}

const throughput = "ProvisionedThroughputExceededException"

func TestAShardAnswersFiveReadsASecond(t *testing.T) {
	bubble(t, 2, func(t *testing.T, _ *kinesistest.Server, c *client) {
		it, other := c.start(shardID(0)), c.start(shardID(1))
		read := func(it *string) func() error {
			return func() error {
				_, err := c.GetRecords(context.Background(), &kinesis.GetRecordsInput{ShardIterator: it})
				return err
			}
		}
		equal(t, "at once", codes(6, read(it)), []string{"", "", "", "", "", throughput})
		equal(t, "another shard", codes(1, read(other)), []string{""})
		time.Sleep(200 * time.Millisecond)
		equal(t, "after 200 ms", codes(2, read(it)), []string{"", throughput})
	})
}

func TestAPageOf10MiBIsFollowedByNothingFor5s(t *testing.T) {
	bubble(t, 1, func(t *testing.T, _ *kinesistest.Server, c *client) {
		const mib = 1 << 20
		for range 16 {
			c.take(1, mib)
			time.Sleep(time.Second)
		}
		it := c.start(shardID(0))
		limit := int32(10)
		read := func() error {
			page, err := c.GetRecords(context.Background(), &kinesis.GetRecordsInput{ShardIterator: it, Limit: &limit})
			if err == nil {
				it = page.NextShardIterator
			}
			return err
		}
		equal(t, "10 MiB", codes(2, read), []string{"", throughput})
		time.Sleep(5*time.Second - 1)
		equal(t, "just before", codes(1, read), []string{throughput})
		time.Sleep(1)
		limit = 1
		equal(t, "1 MiB each", codes(2, read), []string{"", throughput})
		time.Sleep(time.Second / 2)
		limit = 1
		equal(t, "half a second later", codes(2, read), []string{"", throughput})
		time.Sleep(2 * time.Second)
		equal(t, "rested", codes(3, read), []string{"", "", throughput})
	})
}

func TestAShardGivesFiveIteratorsASecond(t *testing.T) {
	bubble(t, 2, func(t *testing.T, _ *kinesistest.Server, c *client) {
		take := func(n int) func() error {
			return func() error {
				_, err := c.iterator(kinesis.GetShardIteratorInput{ShardIteratorType: "LATEST", ShardId: aws.String(shardID(n))})
				return err
			}
		}
		equal(t, "at once", codes(6, take(0)), []string{"", "", "", "", "", throughput})
		equal(t, "another shard", codes(1, take(1)), []string{""})
		time.Sleep(time.Second)
		equal(t, "a second later", codes(6, take(0)), []string{"", "", "", "", "", throughput})
	})
}

func TestWithoutLimitsThereAreNone(t *testing.T) {
	bubble(t, 1, func(t *testing.T, _ *kinesistest.Server, c *client) {
		for range 3 {
			if n := c.take(500, 10<<10); n != 500 {
				t.Errorf("%d of 500 records", n)
			}
		}
		it := c.start(shardID(0))
		for range 20 {
			it = c.get(it).NextShardIterator
			c.start(shardID(0))
			c.shards(kinesis.ListShardsInput{})
			ok(c.DescribeLimits(context.Background(), &kinesis.DescribeLimitsInput{}))(t)
			ok(c.ListStreams(context.Background(), &kinesis.ListStreamsInput{}))(t)
		}
	}, kinesistest.WithoutLimits())
}
