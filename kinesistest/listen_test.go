package kinesistest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesiskit/kinesiskit/internal/awsx"
	"github.com/kinesiskit/kinesiskit/kinesistest"
)

// listening makes a server that listens, with a stream "orders" of one shard.
func listening(t *testing.T) (s *kinesistest.Server, url string) {
	t.Helper()
	s = kinesistest.New(kinesistest.WithoutLimits())
	t.Cleanup(func() { _ = s.Close() })
	s.CreateStream("orders", 1)
	return s, ok(s.Listen("127.0.0.1:0"))(t)
}

// overTCP is the server's Config, but through a socket.
func overTCP(s *kinesistest.Server, url, name string, hc aws.HTTPClient) aws.Config {
	cfg := s.Config(name)
	cfg.BaseEndpoint, cfg.HTTPClient = &url, hc
	return cfg
}

// h2c is an HTTP client that speaks HTTP/2 without TLS.
func h2c(t *testing.T) aws.HTTPClient {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func TestBothServicesAreServedOverBothProtocols(t *testing.T) {
	t.Parallel()
	s, url := listening(t)
	for i, hc := range []aws.HTTPClient{awsx.HTTPClient(), h2c(t)} {
		cfg := overTCP(s, url, "w1", hc)
		c, d := newClient(t, cfg), dynamo(cfg)
		if i == 0 {
			leases(t, d)
		}
		if err := putItem(d, fmt.Sprint(i)); err != nil {
			t.Error(err)
		}
		c.put("k", "a")
		if _, err := c.PutRecords(context.Background(), &kinesis.PutRecordsInput{StreamName: aws.String("none"), Records: batch("", 1, 1).Records}); true {
			gone := new(types.ResourceNotFoundException)
			if !errors.As(err, &gone) {
				t.Error(err)
			}
		}
		if n := len(c.get(c.start(shardID(0))).Records); n != i+1 {
			t.Errorf("%d records", n)
		}
	}
	if n := len(s.Items("leases")); n != 2 {
		t.Errorf("%d items", n)
	}
}

func TestLargePagesArriveWholeOverTCP(t *testing.T) {
	t.Parallel()
	s, url := listening(t)
	ok(newClient(t, s.Config("")).PutRecords(context.Background(), batch("orders", 500, 2048)))(t)
	var wg sync.WaitGroup
	for _, hc := range []aws.HTTPClient{awsx.HTTPClient(), h2c(t)} {
		wg.Go(func() {
			c := newClient(t, overTCP(s, url, "", hc))
			it := c.start(shardID(0))
			for range 25 {
				if n := len(c.get(it).Records); n != 500 {
					t.Errorf("%d records", n)
				}
			}
		})
	}
	wg.Wait()
}

func TestOverTCPTheAccessKeyNamesTheCaller(t *testing.T) {
	t.Parallel()
	s, url := listening(t)
	names := make(chan string, 3)
	s.On("PutRecord", kinesistest.Do(func(_ context.Context, r *kinesistest.Request, next func() kinesistest.Reply) kinesistest.Reply {
		names <- r.Client
		return next()
	}))
	for _, name := range []string{"w1", "", "host/one, two"} {
		c := newClient(t, overTCP(s, url, name, awsx.HTTPClient()))
		if err := c.tryPut(context.Background(), "x"); err != nil {
			t.Error(err)
		}
		want, _, _ := strings.Cut(name, ",") // a comma ends the credential
		if got := <-names; name != "host/one, two" && got != want {
			t.Errorf("%q is called %q", name, got)
		}
	}
}

func TestLostRepliesBreakTheConnection(t *testing.T) {
	t.Parallel()
	s, url := listening(t)
	for i, hc := range []aws.HTTPClient{awsx.HTTPClient(), h2c(t)} {
		c := newClient(t, overTCP(s, url, "", hc))
		s.On("PutRecord", kinesistest.LoseReply()).Times(1)
		s.On("PutRecord", kinesistest.LoseRequest()).Times(1)
		for range 2 {
			err := c.tryPut(context.Background(), "x")
			var answered interface{ HTTPStatusCode() int }
			if err == nil || errors.As(err, &answered) && answered.HTTPStatusCode() != 0 {
				t.Error(err)
			}
		}
		if got := len(stored(s)); got != i+1 {
			t.Errorf("%d records", got)
		}
	}
}

// Close does not wait for a Delay, and ends the ctx of what is being served.
func TestCloseEndsWhatIsServedOverTCP(t *testing.T) {
	t.Parallel()
	s, url := listening(t)
	inside, ended, held := make(chan struct{}), make(chan struct{}), make(chan struct{})
	s.On("PutRecord", kinesistest.Delay(time.Hour)).When(func(*kinesistest.Request) bool { close(held); return true })
	s.On("ListShards", kinesistest.Do(func(ctx context.Context, _ *kinesistest.Request, _ func() kinesistest.Reply) kinesistest.Reply {
		close(inside)
		<-ctx.Done()
		close(ended)
		return kinesistest.Reply{}
	}))
	c := newClient(t, overTCP(s, url, "", awsx.HTTPClient()))
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := c.tryPut(context.Background(), "x"); err == nil {
			t.Error("answered")
		}
	})
	wg.Go(func() {
		_, _ = c.ListShards(context.Background(), &kinesis.ListShardsInput{StreamName: aws.String("orders")})
	})
	<-inside
	<-held
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	select {
	case <-ended:
	default:
		t.Error("Close did not wait for a request")
	}
	wg.Wait()
	if _, err := s.Listen("127.0.0.1:0"); err == nil {
		t.Error("a closed server listens")
	}
	if _, err := http.Get(url); err == nil {
		t.Error("the port is still open")
	}
}

func TestListenReportsAnAddressThatIsTaken(t *testing.T) {
	t.Parallel()
	s, url := listening(t)
	if _, err := s.Listen(strings.TrimPrefix(url, "http://")); err == nil {
		t.Error("no error")
	}
}

// post sends a body as it is, and returns the answer.
func post(t *testing.T, url, target string, body io.Reader) (status int, answer string) {
	t.Helper()
	req := ok(http.NewRequestWithContext(t.Context(), http.MethodPost, url, body))(t)
	if target != "" {
		req.Header.Set("X-Amz-Target", target)
	}
	resp := ok(http.DefaultClient.Do(req))(t)
	defer func() { _ = resp.Body.Close() }()
	return resp.StatusCode, string(ok(io.ReadAll(resp.Body))(t))
}

func TestMalformedRequestsAreAnsweredWithAnException(t *testing.T) {
	t.Parallel()
	s, url := listening(t)
	leases(t, dynamo(s.Config("")))
	s.On("*", kinesistest.Throttle()).Stream("none") // rules look into bodies too
	bodies := []string{
		``, ` `, `null`, `[]`, `""`, `"x"`, `0`, `-`, `{`, `}`, `{}`, `{"`, `{"StreamName"`, `{"StreamName":`, `{"StreamName":}`, `{"StreamName":"orders"`,
		`{"StreamName":1}`, `{"StreamName":{}}`, `{"StreamName":["orders"]}`, `{"StreamName":null}`, `{"StreamName":"orders"}x`, "\xff\xfe", "{\"StreamName\":\"\xff\"}",
		`{"StreamARN":"arn:::"}`, `{"StreamARN":":stream/"}`, `{"ShardIterator":""}`, `{"ShardIterator":"////"}`, `{"ShardIterator":5}`,
		`{"StreamName":"orders","Records":null}`, `{"StreamName":"orders","Records":{}}`, `{"StreamName":"orders","Records":[null]}`, `{"StreamName":"orders","Records":[[]]}`,
		`{"StreamName":"orders","Records":[{}]}`, `{"StreamName":"orders","Records":[{"Data":"eA==","PartitionKey":7}]}`,
		`{"StreamName":"orders","Records":[{"Data":"*","PartitionKey":"k"}]}`, `{"StreamName":"orders","Records":[{"Data":"e","PartitionKey":"k"}]}`,
		`{"StreamName":"orders","Records":[{"Data":null,"PartitionKey":"k"}]}`, `{"StreamName":"orders","Records":[{"Data":"eA==","PartitionKey":"k"}`,
		`{"StreamName":"orders","Data":"eA==","PartitionKey":"k","ExplicitHashKey":"1e9"}`,
		`{"StreamName":"orders","ShardId":"","ShardIteratorType":"AT_TIMESTAMP","Timestamp":1e400}`,
		`{"StreamName":"orders","ShardId":"shardId-000000000000","ShardIteratorType":"AT_TIMESTAMP","Timestamp":"now"}`,
		`{"StreamName":"orders","ShardId":"shardId-000000000000","ShardIteratorType":"AT_TIMESTAMP","Timestamp":1e300}`,
		`{"StreamName":"orders","MaxResults":2147483648}`, `{"StreamName":"orders","MaxResults":1.5}`, `{"StreamName":"orders","ShardFilter":[]}`,
		`{"StreamName":"n","ShardCount":-1}`, `{"StreamName":"n","ShardCount":2147483647}`, `{"Limit":-1}`, `{"NextToken":"x"}`, `{"NextToken":"x","StreamName":"orders"}`,
		strings.Repeat(`{"a":`, 20_000), strings.Repeat(`[`, 100_000), `{"Records":` + strings.Repeat(`[`, 100_000),
		`{"TableName":"leases"}`, `{"TableName":"leases","Key":{}}`, `{"TableName":"leases","Key":{"leaseKey":{}}}`, `{"TableName":"leases","Key":{"leaseKey":{"N":"x"}}}`,
		`{"TableName":"leases","Item":{"leaseKey":{"S":1}}}`, `{"TableName":"leases","Item":[]}`, `{"TableName":5}`,
		`{"TableName":"leases","Key":{"leaseKey":{"S":"a"}},"UpdateExpression":"SET"}`, `{"TableName":"leases","Key":{"leaseKey":{"S":"a"}},"ConditionExpression":"((((("}`,
	}
	targets := []string{"", "x", "Kinesis_20131202.", "Kinesis_20131202.Nothing", "DynamoDB_20120810.Nothing", "Firehose_20150804.PutRecord"}
	for _, op := range []string{
		"CreateStream", "DescribeStreamSummary", "ListStreams", "ListShards", "SplitShard", "MergeShards",
		"GetShardIterator", "GetRecords", "PutRecord", "PutRecords", "DeleteStream", "DescribeStream", "UpdateShardCount", "UpdateStreamMode",
		"IncreaseStreamRetentionPeriod", "AddTagsToStream", "RemoveTagsFromStream", "ListTagsForStream", "TagResource", "UntagResource",
		"ListTagsForResource", "StartStreamEncryption", "EnableEnhancedMonitoring", "DescribeLimits", "DescribeAccountSettings",
		"UpdateAccountSettings", "PutResourcePolicy", "GetResourcePolicy", "UpdateMaxRecordSize", "UpdateStreamWarmThroughput",
		"UpdateStreamRecordDistributionStrategy", "RegisterStreamConsumer", "DeregisterStreamConsumer", "ListStreamConsumers",
		"DescribeStreamConsumer", "SubscribeToShard",
	} {
		targets = append(targets, "Kinesis_20131202."+op)
	}
	for _, op := range []string{"CreateTable", "DescribeTable", "GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "Scan"} {
		targets = append(targets, "DynamoDB_20120810."+op)
	}
	for _, op := range []string{"CreateDeliveryStream", "DescribeDeliveryStream", "ListDeliveryStreams", "PutRecord", "PutRecordBatch", "UpdateDestination"} {
		targets = append(targets, "Firehose_20150804."+op)
	}
	for _, target := range targets {
		for _, body := range bodies {
			status, answer := post(t, url, target, strings.NewReader(body))
			exception := status == http.StatusBadRequest && strings.Contains(answer, `"__type":"`) && strings.Contains(answer, `"message":"`)
			if status != http.StatusOK && !exception {
				t.Errorf("%s %.80q: %d %.200s", target, body, status, answer)
			}
			if status == http.StatusOK && strings.Contains(target, "PutRecord") {
				t.Errorf("%s %.80q was accepted", target, body)
			}
		}
	}
}

func TestABodyBeyondAllLimitsIsRefused(t *testing.T) {
	t.Parallel()
	_, url := listening(t)
	if status, answer := post(t, url, "Kinesis_20131202.PutRecords", io.LimitReader(endless{}, 17<<20)); status != http.StatusRequestEntityTooLarge {
		t.Errorf("%d %s", status, answer)
	}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = ' '
	}
	return len(b), nil
}
