package kinesistest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/firehose"
	ftypes "github.com/aws/aws-sdk-go-v2/service/firehose/types"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesiskit/kinesiskit/kinesistest"
)

func save(t *testing.T, s *kinesistest.Server) string {
	t.Helper()
	var b bytes.Buffer
	if err := s.Save(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// A client that read from the old server goes on with the new one, with its iterators and its sequence numbers.
func TestALoadedServerGoesOnWhereTheSavedOneStopped(t *testing.T) {
	bubble(t, 2, func(t *testing.T, s *kinesistest.Server, c *client) {
		ctx, name := context.Background(), aws.String("orders")
		for i := range 20 {
			c.put(fmt.Sprint(i), fmt.Sprint(i))
		}
		time.Sleep(time.Hour)
		s.Split("orders", shardID(0))
		ok(c.AddTagsToStream(ctx, &kinesis.AddTagsToStreamInput{StreamName: name, Tags: map[string]string{"a": "b"}}))(t)
		ok(c.StartStreamEncryption(ctx, &kinesis.StartStreamEncryptionInput{StreamName: name, EncryptionType: "KMS", KeyId: aws.String("alias/k")}))(t)
		ok(c.IncreaseStreamRetentionPeriod(ctx, &kinesis.IncreaseStreamRetentionPeriodInput{StreamName: name, RetentionPeriodHours: aws.Int32(48)}))(t)
		ok(c.RegisterStreamConsumer(ctx, &kinesis.RegisterStreamConsumerInput{StreamARN: arn("orders"), ConsumerName: aws.String("app")}))(t)
		ok(c.UpdateAccountSettings(ctx, commit))(t)
		c.put("k", "encrypted")
		leases(t, dynamo(s.Config("")))
		_ = putItem(dynamo(s.Config("")), "a")
		f := delivery(t, s.Config(""))
		ok(f.PutRecord(ctx, &firehose.PutRecordInput{DeliveryStreamName: aws.String("archive"), Record: &ftypes.Record{Data: []byte("x")}}))(t)
		it := c.start(shardID(1))
		before := look(t, s, c)
		document := save(t, s)

		loaded := kinesistest.New(kinesistest.WithoutLimits())
		if err := loaded.Load(strings.NewReader(document)); err != nil {
			t.Fatal(err)
		}
		other := newClient(t, loaded.Config("app"))
		if after := look(t, loaded, other); !reflect.DeepEqual(before, after) {
			t.Errorf("loaded:\n%v\nsaved:\n%v", after, before)
		}
		if again := save(t, loaded); again != document {
			t.Errorf("saved again:\n%s\nwas\n%s", again, document)
		}
		equal(t, "by an iterator of the saved one", other.texts(it), c.texts(it))
		read := 0
		for _, sh := range other.shards(kinesis.ListShardsInput{}) {
			for _, r := range other.get(other.start(*sh.ShardId)).Records {
				if (r.EncryptionType == types.EncryptionTypeKms) != (string(r.Data) == "encrypted") {
					t.Errorf("%s: %s", r.Data, r.EncryptionType)
				}
				read++
			}
		}
		if read != 21 {
			t.Errorf("%d records", read)
		}
		last := s.Records("orders")
		next := other.put("k", "new")[0]
		for _, r := range last {
			if r.Shard == *next.ShardId && *next.SequenceNumber <= r.Sequence {
				t.Errorf("%s after %s", *next.SequenceNumber, r.Sequence)
			}
		}
		loaded.Split("orders", shardID(1))
		if n := len(other.shards(kinesis.ListShardsInput{})); n != 6 {
			t.Errorf("%d shards", n)
		}
		time.Sleep(48*time.Hour + time.Millisecond)
		if n := len(loaded.Records("orders")); n != 0 {
			t.Errorf("%d records after the retention", n)
		}
	}, kinesistest.WithoutLimits())
}

var commit = &kinesis.UpdateAccountSettingsInput{
	MinimumThroughputBillingCommitment: &types.MinimumThroughputBillingCommitmentInput{Status: "ENABLED"},
}

// look is all that can be seen of a server, except what differs from call to call.
func look(t *testing.T, s *kinesistest.Server, c *client) []any {
	t.Helper()
	ctx := context.Background()
	return []any{
		s.Records("orders"), s.Items("leases"), s.Delivered("archive"), *c.describe("orders"), c.shards(kinesis.ListShardsInput{}),
		tags(ok(c.ListTagsForStream(ctx, &kinesis.ListTagsForStreamInput{StreamName: aws.String("orders")}))(t).Tags),
		ok(c.ListStreamConsumers(ctx, &kinesis.ListStreamConsumersInput{StreamARN: arn("orders")}))(t).Consumers,
		ok(c.DescribeAccountSettings(ctx, &kinesis.DescribeAccountSettingsInput{}))(t).MinimumThroughputBillingCommitment,
	}
}

func TestWhatSaveDidNotWriteIsNotLoaded(t *testing.T) {
	bubble(t, 2, func(t *testing.T, s *kinesistest.Server, c *client) {
		c.put("k", "x")
		document := save(t, s)
		for _, broken := range []string{
			"", "{}", "null", "[]", document[:len(document)/2], strings.Replace(document, "kinesistest/1", "kinesistest/2", 1),
			strings.Replace(document, `"Version":1`, `"Version":2`, 1), strings.Replace(document, `"us-east-1"`, `"/"`, 1),
			strings.Replace(document, `"From":"0"`, `"From":"1"`, 1), strings.Replace(document, `"To":"3`, `"To":"2`, 1),
			strings.Replace(document, `"ID":"shardId-000000000000"`, `"ID":"\"}"`, 1), strings.Replace(document, `"Prefix":"4`, `"Prefix":"\"`, 1),
			strings.Replace(document, `"Name":"orders"`, `"Name":"or/ders"`, 1), strings.Replace(document, `"Closed":"0`, `"Closed":"1`, 2),
			strings.Replace(document, `"Base":1`, `"Base":`, 1),
		} {
			if broken == document {
				t.Fatal("nothing is broken")
			}
			if err := s.Load(strings.NewReader(broken)); err == nil {
				t.Errorf("loaded: %.300s", broken)
			}
		}
		equal(t, "after all that", stored(s), []string{"x"})
	})
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errDisk }

var errDisk = errors.New("disk full")

func TestSaveTellsTheWritersError(t *testing.T) {
	bubble(t, 1, func(t *testing.T, s *kinesistest.Server, _ *client) {
		if err := s.Save(broken{}); !errors.Is(err, errDisk) {
			t.Error(err)
		}
	})
}

func TestTransitionsEndWithSave(t *testing.T) {
	bubble(t, 1, func(t *testing.T, s *kinesistest.Server, c *client) {
		ctx := context.Background()
		ok(c.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: aws.String("coming"), ShardCount: aws.Int32(1)}))(t)
		ok(c.DeleteStream(ctx, &kinesis.DeleteStreamInput{StreamName: aws.String("orders")}))(t)
		if err := s.Load(strings.NewReader(save(t, s))); err != nil {
			t.Fatal(err)
		}
		equal(t, "streams", ok(c.ListStreams(ctx, &kinesis.ListStreamsInput{}))(t).StreamNames, []string{"coming"})
		if status := c.describe("coming").StreamStatus; status != "ACTIVE" {
			t.Error(status)
		}
	}, kinesistest.WithTransitions(time.Hour))
}
