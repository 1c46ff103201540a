package kinesistest_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"

	"github.com/kinesiskit/kinesiskit/kinesistest"
)

// People find their mistake by these messages, and programs match them.
func TestViolationsAreNamedAsTheServiceNamesThem(t *testing.T) {
	bubble(t, 1, func(t *testing.T, _ *kinesistest.Server, c *client) {
		ctx, name, key := context.Background(), aws.String("orders"), aws.String("k")
		entry := func(key, hash *string) types.PutRecordsRequestEntry {
			return types.PutRecordsRequestEntry{PartitionKey: key, ExplicitHashKey: hash, Data: []byte("x")}
		}
		put := func(entries ...types.PutRecordsRequestEntry) error {
			_, err := c.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: name, Records: entries})
			return err
		}
		large := entry(key, nil)
		large.Data = make([]byte, 10<<20+1)
		const found = "1 validation error detected: "
		for message, err := range map[string]error{
			found + "Value '' at 'records.3.member.partitionKey' failed to satisfy constraint: Member must have length greater than or equal to 1": put(
				entry(key, nil), entry(key, nil), entry(aws.String(""), nil)),
			"2 validation errors detected: Value '' at 'records.1.member.partitionKey' failed to satisfy constraint: Member must have length greater than or equal to 1; " +
				"Value '-1' at 'records.2.member.explicitHashKey' failed to satisfy constraint: Member must satisfy regular expression pattern: 0|([1-9]\\d{0,38})": put(
				entry(aws.String(""), nil), entry(key, aws.String("-1"))),
			found + "Value null at 'records.2.member.partitionKey' failed to satisfy constraint: Member must not be null": put(entry(key, nil), entry(nil, nil)),
			found + "Value 'java.nio.HeapByteBuffer[pos=0 lim=10485761 cap=10485761]' at 'records.1.member.data' failed to satisfy constraint: " +
				"Member must have length less than or equal to 10485760": put(large),
			found + "Value '[]' at 'records' failed to satisfy constraint: Member must have length greater than or equal to 1": func() error {
				_, err := c.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: name, Records: []types.PutRecordsRequestEntry{}})
				return err
			}(),
			found + "Value 'x' at 'sequenceNumberForOrdering' failed to satisfy constraint: Member must satisfy regular expression pattern: 0|([1-9]\\d{0,128})": func() error {
				_, err := c.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: name, PartitionKey: key, Data: []byte("x"), SequenceNumberForOrdering: aws.String("x")})
				return err
			}(),
			found + "Value null at 'partitionKey' failed to satisfy constraint: Member must not be null": func() error {
				_, err := c.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: name, Data: []byte("x")})
				return err
			}(),
			found + "Value '10001' at 'maxResults' failed to satisfy constraint: Member must have value less than or equal to 10000": func() error {
				_, err := c.ListShards(ctx, &kinesis.ListShardsInput{StreamName: name, MaxResults: aws.Int32(10_001)})
				return err
			}(),
			found + "Value 'SOME' at 'shardIteratorType' failed to satisfy constraint: Member must satisfy enum value set: " +
				"[AFTER_SEQUENCE_NUMBER, LATEST, AT_TIMESTAMP, AT_SEQUENCE_NUMBER, TRIM_HORIZON]": func() error {
				_, err := c.iterator(kinesis.GetShardIteratorInput{ShardIteratorType: "SOME"})
				return err
			}(),
			found + "Value 'a/b' at 'streamName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+": func() error {
				_, err := c.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: aws.String("a/b"), ShardCount: aws.Int32(1)})
				return err
			}(),
		} {
			var api smithy.APIError
			if !errors.As(err, &api) || api.ErrorCode() != "ValidationException" || api.ErrorMessage() != message {
				t.Errorf("%v\nwant: %s", err, message)
			}
		}
	})
}

func TestADryRunChecksAndDoesNothing(t *testing.T) {
	bubble(t, 1, func(t *testing.T, s *kinesistest.Server, c *client) {
		ctx, name, dry := context.Background(), aws.String("orders"), aws.Bool(true)
		c.put("k", "a")
		it := c.start(shardID(0))
		for range 10 { // no rate is used up
			_, err := c.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: name, PartitionKey: aws.String("k"), Data: []byte("x"), DryRun: dry})
			wouldDo(t, err)
			in := batch("orders", 500, 1000)
			in.DryRun = dry
			_, err = c.PutRecords(ctx, in)
			wouldDo(t, err)
			_, err = c.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: it, DryRun: dry})
			wouldDo(t, err)
			_, err = c.iterator(kinesis.GetShardIteratorInput{ShardIteratorType: "LATEST", DryRun: dry})
			wouldDo(t, err)
		}
		equal(t, "stored", stored(s), []string{"a"})
		_, err := c.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: aws.String("none"), PartitionKey: aws.String("k"), Data: []byte("x"), DryRun: dry})
		want(t, err, "ResourceNotFoundException")
		_, err = c.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: name, PartitionKey: aws.String(""), Data: []byte("x"), DryRun: dry})
		want(t, err, "ValidationException")
		_, err = c.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: aws.String("x"), DryRun: dry})
		want(t, err, "InvalidArgumentException")
		ok(c.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: name, PartitionKey: aws.String("k"), Data: []byte("b"), DryRun: aws.Bool(false)}))(t)
		equal(t, "stored in the end", stored(s), []string{"a", "b"})
	})
}

func wouldDo(t *testing.T, err error) {
	t.Helper()
	if would := new(types.DryRunOperationException); !errors.As(err, &would) {
		t.Errorf("error: %v", err)
	}
}

func TestOtherProtocolsAreRefusedInWords(t *testing.T) {
	t.Parallel()
	_, url := listening(t)
	for kind, want := range map[string]int{
		"application/x-amz-json-1.1": 200, "application/x-amz-json-1.0": 200, "application/json; charset=utf-8": 200, "": 200,
		"application/x-amz-cbor-1.1": 404, "text/plain": 404, "application/x-www-form-urlencoded": 404, ";": 404,
	} {
		req := ok(http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("{}")))(t)
		req.Header.Set("X-Amz-Target", "Kinesis_20131202.ListStreams")
		if kind != "" {
			req.Header.Set("Content-Type", kind)
		}
		resp := ok(http.DefaultClient.Do(req))(t)
		if resp.StatusCode != want {
			t.Errorf("%q: %d", kind, resp.StatusCode)
		}
		if want == 404 && resp.Header.Get("Content-Type") != "application/x-amz-json-1.1" {
			t.Errorf("%q: %v", kind, resp.Header)
		}
		_ = resp.Body.Close()
	}
}

func TestABodyBeyondAllLimitsIsRefusedInMemoryToo(t *testing.T) {
	bubble(t, 1, func(t *testing.T, s *kinesistest.Server, _ *client) {
		req := ok(http.NewRequestWithContext(t.Context(), http.MethodPost, "http://any", strings.NewReader(strings.Repeat(" ", 17<<20))))(t)
		req.Header.Set("X-Amz-Target", "Kinesis_20131202.PutRecords")
		resp := ok(s.Config("").HTTPClient.Do(req))(t)
		if resp.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("%d", resp.StatusCode)
		}
		_ = resp.Body.Close()
	})
}
