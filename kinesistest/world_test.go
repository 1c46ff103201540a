package kinesistest_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/firehose"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesiskit/kinesiskit/internal/awsx"
	"github.com/kinesiskit/kinesiskit/kinesistest"
)

func TestAccountsAndRegionsAreKeptApart(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s, url := listening(t)
	at := func(key, region string) aws.Config {
		cfg := overTCP(s, url, key, awsx.HTTPClient())
		cfg.Region = region
		return cfg
	}
	places := []struct{ key, region, account string }{
		{"", "us-east-1", "000000000000"},
		{"worker-1", "eu-west-1", "000000000000"},
		{"111122223333", "us-east-1", "111122223333"},
		{"111122223333", "eu-west-1", "111122223333"},
	}
	for i, p := range places {
		c, d := newClient(t, at(p.key, p.region)), dynamo(at(p.key, p.region))
		if i > 0 { // home has one
			if names := ok(c.ListStreams(ctx, &kinesis.ListStreamsInput{}))(t).StreamNames; len(names) != 0 {
				t.Errorf("%v sees %v", p, names)
			}
			ok(c.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: aws.String("orders"), ShardCount: aws.Int32(1)}))(t)
		}
		leases(t, d)
		if err := putItem(d, fmt.Sprint(i)); err != nil {
			t.Error(err)
		}
		c.put("k", fmt.Sprint(i))
		equal(t, "records", c.texts(c.start(shardID(0))), []string{fmt.Sprint(i)})
		if got, want := *c.describe("orders").StreamARN, fmt.Sprintf("arn:aws:kinesis:%s:%s:stream/orders", p.region, p.account); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		table := ok(d.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: aws.String("leases")}))(t).Table
		if want := fmt.Sprintf("arn:aws:dynamodb:%s:%s:table/leases", p.region, p.account); *table.TableArn != want {
			t.Errorf("%s, want %s", *table.TableArn, want)
		}
		archive := ok(delivery(t, at(p.key, p.region)).DescribeDeliveryStream(ctx, &firehose.DescribeDeliveryStreamInput{DeliveryStreamName: aws.String("archive")}))(t)
		if want := fmt.Sprintf("arn:aws:firehose:%s:%s:deliverystream/archive", p.region, p.account); *archive.DeliveryStreamDescription.DeliveryStreamARN != want {
			t.Errorf("%s, want %s", *archive.DeliveryStreamDescription.DeliveryStreamARN, want)
		}
		if n := ok(d.Scan(ctx, &dynamodb.ScanInput{TableName: aws.String("leases")}))(t).Count; n != 1 {
			t.Errorf("%v: %d items", p, n)
		}
	}
	equal(t, "at home", stored(s), []string{"0"})
	if n := len(s.Items("leases")); n != 1 {
		t.Errorf("%d items at home", n)
	}
}

func TestOverTLSOnlyWhoTrustsTheCertificateIsServed(t *testing.T) {
	t.Parallel()
	s := kinesistest.New()
	t.Cleanup(func() { _ = s.Close() })
	s.CreateStream("orders", 1)
	url, pem, err := s.ListenTLS("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		t.Fatalf("no certificate: %s", pem)
	}
	for _, h2 := range []bool{true, false} {
		versions := make(chan int, 1)
		protocols := new(http.Protocols)
		protocols.SetHTTP1(!h2)
		protocols.SetHTTP2(h2)
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "localhost"}, Protocols: protocols}
		c := newClient(t, overTCP(s, url, "w1", &http.Client{Transport: spy{transport, versions}}))
		c.put("k", "x")
		if got := <-versions; (got == 2) != h2 {
			t.Errorf("HTTP/%d", got)
		}
		transport.CloseIdleConnections()
	}
	stranger := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: x509.NewCertPool()}}
	defer stranger.CloseIdleConnections()
	if err := newClient(t, overTCP(s, url, "w1", &http.Client{Transport: stranger})).tryPut(context.Background(), "x"); err == nil {
		t.Error("served without trust")
	}
	other, otherPEM, err := s.ListenTLS("localhost:0")
	if err != nil || other == url || string(otherPEM) == string(pem) {
		t.Errorf("a second port: %s, %v", other, err)
	}
	roots.AppendCertsFromPEM(otherPEM)
	byAddress := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	defer byAddress.CloseIdleConnections()
	if err := newClient(t, overTCP(s, other, "w1", &http.Client{Transport: byAddress})).tryPut(context.Background(), "x"); err != nil {
		t.Error("by its address:", err)
	}
	if _, _, err := s.ListenTLS("nowhere"); err == nil {
		t.Error("listens nowhere")
	}
}

// spy tells the HTTP version of answers.
type spy struct {
	http.RoundTripper
	versions chan<- int
}

func (s spy) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := s.RoundTripper.RoundTrip(r)
	if err == nil {
		s.versions <- resp.ProtoMajor
	}
	return resp, err
}

func TestOperationsAreWhatAPolicyMustAllow(t *testing.T) {
	bubble(t, 1, func(t *testing.T, s *kinesistest.Server, c *client) {
		c.put("k", "x")
		c.put("k", "x")
		c.texts(c.start(shardID(0)))
		_ = putItem(dynamo(s.Config("app")), "a")
		_, _ = newClient(t, s.Config("other")).ListStreams(context.Background(), &kinesis.ListStreamsInput{})
		equal(t, "app", s.Operations("app"), []string{"dynamodb:PutItem", "kinesis:GetRecords", "kinesis:GetShardIterator", "kinesis:PutRecords"})
		equal(t, "other", s.Operations("other"), []string{"kinesis:ListStreams"})
		equal(t, "nobody", s.Operations("nobody"), nil)
	})
}

// report is a test that is only told.
type report struct {
	testing.TB
	failed   bool
	cleanups []func()
}

func (r *report) Helper()               {}
func (r *report) Cleanup(fn func())     { r.cleanups = append(r.cleanups, fn) }
func (r *report) Errorf(string, ...any) { r.failed = true }

func TestMustHitFailsATestWhoseRuleNeverFired(t *testing.T) {
	bubble(t, 1, func(t *testing.T, s *kinesistest.Server, c *client) {
		for _, hit := range []bool{true, false} {
			r := new(report)
			s.On("PutRecord", kinesistest.Throttle()).Times(1).MustHit(r)
			if hit {
				want(t, c.tryPut(context.Background(), "x"), throughput)
			}
			if r.failed {
				t.Error("before the end")
			}
			for _, fn := range r.cleanups {
				fn()
			}
			if r.failed == hit {
				t.Errorf("hit %v, failed %v", hit, r.failed)
			}
		}
	})
}

// delivery makes a Firehose client and a delivery stream "archive".
func delivery(t *testing.T, cfg aws.Config) *firehose.Client {
	t.Helper()
	f := firehose.NewFromConfig(cfg, func(o *firehose.Options) { o.Retryer = aws.NopRetryer{} })
	ok(f.CreateDeliveryStream(context.Background(), &firehose.CreateDeliveryStreamInput{
		DeliveryStreamName: aws.String("archive"),
		ExtendedS3DestinationConfiguration: &types.ExtendedS3DestinationConfiguration{
			BucketARN: aws.String("arn:aws:s3:::bucket"), RoleARN: aws.String("arn:aws:iam::000000000000:role/firehose"),
		},
	}))(t)
	return f
}

func TestWhatFirehoseTakesIsDelivered(t *testing.T) {
	bubble(t, 1, func(t *testing.T, s *kinesistest.Server, _ *client) {
		ctx, name := context.Background(), aws.String("archive")
		f := delivery(t, s.Config("app"))
		in := &firehose.PutRecordBatchInput{DeliveryStreamName: name}
		for i := range 200 {
			in.Records = append(in.Records, types.Record{Data: []byte{byte(i)}})
		}
		s.On("PutRecordBatch", kinesistest.FailRecords("ServiceUnavailableException", 0.5)).Stream("archive").Times(1).MustHit(t)
		out := ok(f.PutRecordBatch(ctx, in))(t)
		delivered := s.Delivered("archive")
		if n := int(*out.FailedPutCount); n < 60 || n > 140 || len(delivered) != 200-n {
			t.Errorf("%d failed, %d delivered", n, len(delivered))
		}
		s.On("PutRecord", kinesistest.Throttle()).Times(1)
		_, err := f.PutRecord(ctx, &firehose.PutRecordInput{DeliveryStreamName: name, Record: &types.Record{Data: []byte("x")}})
		want(t, err, "ServiceUnavailableException")
		ok(f.PutRecord(ctx, &firehose.PutRecordInput{DeliveryStreamName: name, Record: &types.Record{Data: []byte("last")}}))(t)
		if all := s.Delivered("archive"); string(all[len(all)-1]) != "last" {
			t.Errorf("%q", all)
		}
	})
}
