package firehose

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/firehose"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"
)

// transport brings an SDK client's requests to a Service.
type transport struct{ service *Service }

func (tr transport) Do(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	op, _ := strings.CutPrefix(r.Header.Get("X-Amz-Target"), "Firehose_20150804.")
	status := http.StatusOK
	out, fault := tr.service.Call(r.Context(), op, body)
	if fault != nil {
		status, out = fault.Encode("firehose")
	}
	return &http.Response{
		StatusCode: status, Body: io.NopCloser(bytes.NewReader(out)), Request: r,
		Header: http.Header{"Content-Type": {"application/x-amz-json-1.1"}},
	}, nil
}

func client(s *Service) *sdk.Client {
	return sdk.New(sdk.Options{
		Region: "us-east-1", HTTPClient: transport{s}, Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
		BaseEndpoint: aws.String("http://firehose.test"),
	})
}

func TestTheSDKSpeaksToIt(t *testing.T) {
	bubble(t, func(t *testing.T, s *Service) {
		c, ctx, name := client(s), t.Context(), aws.String("hose")
		s.SetTransitions(time.Second)
		s3 := &types.ExtendedS3DestinationConfiguration{RoleARN: aws.String(role), BucketARN: aws.String(bucket1)}
		created, err := c.CreateDeliveryStream(ctx, &sdk.CreateDeliveryStreamInput{
			DeliveryStreamName: name, ExtendedS3DestinationConfiguration: s3,
			Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("1")}},
		})
		if err != nil || *created.DeliveryStreamARN != "arn:aws:firehose:us-east-1:000000000000:deliverystream/hose" {
			t.Fatal(created, err)
		}
		time.Sleep(time.Second)
		put, err := c.PutRecordBatch(ctx, &sdk.PutRecordBatchInput{DeliveryStreamName: name, Records: []types.Record{{Data: []byte("x\n")}, {Data: []byte{}}}})
		if err != nil || *put.FailedPutCount != 0 || len(put.RequestResponses) != 2 || aws.ToString(put.RequestResponses[1].RecordId) == "" {
			t.Fatal(put, err)
		}
		described, err := c.DescribeDeliveryStream(ctx, &sdk.DescribeDeliveryStreamInput{DeliveryStreamName: name})
		if err != nil {
			t.Fatal(err)
		}
		d := described.DeliveryStreamDescription
		to := d.Destinations[0]
		if d.DeliveryStreamStatus != types.DeliveryStreamStatusActive || d.CreateTimestamp == nil ||
			*to.ExtendedS3DestinationDescription.BufferingHints.SizeInMBs != 5 || *to.S3DestinationDescription.BucketARN != bucket1 {
			t.Errorf("%+v", d)
		}
		change := &sdk.UpdateDestinationInput{
			DeliveryStreamName: name, DestinationId: to.DestinationId, CurrentDeliveryStreamVersionId: d.VersionId,
			ExtendedS3DestinationUpdate: &types.ExtendedS3DestinationUpdate{Prefix: aws.String("p/")},
		}
		if _, err := c.UpdateDestination(ctx, change); err != nil {
			t.Fatal(err)
		}
		var conflict *types.ConcurrentModificationException
		if _, err := c.UpdateDestination(ctx, change); !errors.As(err, &conflict) {
			t.Errorf("a second update of a version: %v", err)
		}
		var missing *types.ResourceNotFoundException
		if _, err := c.PutRecord(ctx, &sdk.PutRecordInput{DeliveryStreamName: aws.String("none"), Record: &types.Record{Data: []byte("x")}}); !errors.As(err, &missing) {
			t.Errorf("a put to nowhere: %v", err)
		}
		tags, err := c.ListTagsForDeliveryStream(ctx, &sdk.ListTagsForDeliveryStreamInput{DeliveryStreamName: name})
		if err != nil || len(tags.Tags) != 1 || *tags.Tags[0].Value != "1" {
			t.Error(tags, err)
		}
		if _, err := c.DeleteDeliveryStream(ctx, &sdk.DeleteDeliveryStreamInput{DeliveryStreamName: name}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		listed, err := c.ListDeliveryStreams(ctx, &sdk.ListDeliveryStreamsInput{})
		if err != nil || len(listed.DeliveryStreamNames) != 0 {
			t.Error(listed, err)
		}
	})
}

// The SDK takes a throttled PutRecord for what it is and sends it again; entries of a batch are the caller's to send again.
func TestTheSDKRetriesAThrottledRecord(t *testing.T) {
	bubble(t, func(t *testing.T, s *Service) {
		c, ctx, name := client(s), t.Context(), aws.String("hose")
		ok(t, s, "CreateDeliveryStream", hose)
		for range 10 {
			ok(t, s, "PutRecordBatch", batch("hose", many(500, 1)...))
		}
		put, err := c.PutRecordBatch(ctx, &sdk.PutRecordBatchInput{DeliveryStreamName: name, Records: []types.Record{{Data: []byte("x")}}})
		if err != nil || *put.FailedPutCount != 1 || *put.RequestResponses[0].ErrorCode != "ServiceUnavailableException" {
			t.Errorf("%+v %v", put, err)
		}
		if _, err := c.PutRecord(ctx, &sdk.PutRecordInput{DeliveryStreamName: name, Record: &types.Record{Data: []byte("x")}}); err != nil {
			t.Error(err)
		}
		if n := len(s.Delivered("hose")); n != 5_001 {
			t.Errorf("%d records", n)
		}
	})
}
