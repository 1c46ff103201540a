package kinesistest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesiskit/kinesiskit/kinesistest"
)

// tryPut puts one record and says what became of it.
func (c *client) tryPut(ctx context.Context, text string) error {
	_, err := c.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: aws.String("orders"), PartitionKey: aws.String("k"), Data: []byte(text)})
	return err
}

func stored(s *kinesistest.Server) []string {
	all := []string{}
	for _, r := range s.Records("orders") {
		all = append(all, string(r.Data))
	}
	return all
}

func dynamo(cfg aws.Config) *dynamodb.Client {
	return dynamodb.NewFromConfig(cfg, func(o *dynamodb.Options) { o.Retryer = aws.NopRetryer{} })
}

// leases makes a table "leases" with the string hash key "leaseKey".
func leases(t *testing.T, d *dynamodb.Client) {
	t.Helper()
	ok(d.CreateTable(context.Background(), &dynamodb.CreateTableInput{
		TableName: aws.String("leases"), BillingMode: dtypes.BillingModePayPerRequest,
		KeySchema:            []dtypes.KeySchemaElement{{AttributeName: aws.String("leaseKey"), KeyType: dtypes.KeyTypeHash}},
		AttributeDefinitions: []dtypes.AttributeDefinition{{AttributeName: aws.String("leaseKey"), AttributeType: dtypes.ScalarAttributeTypeS}},
	}))(t)
}

func key(value string) map[string]dtypes.AttributeValue {
	return map[string]dtypes.AttributeValue{"leaseKey": &dtypes.AttributeValueMemberS{Value: value}}
}

func putItem(d *dynamodb.Client, value string) error {
	_, err := d.PutItem(context.Background(), &dynamodb.PutItemInput{TableName: aws.String("leases"), Item: key(value)})
	return err
}

func TestThrottleIsTheOperationsOwnException(t *testing.T) {
	bubble(t, 1, func(t *testing.T, s *kinesistest.Server, c *client) {
		ctx, name := context.Background(), aws.String("orders")
		d := dynamo(s.Config(""))
		leases(t, d)
		it := c.start(shardID(0))
		s.On("*", kinesistest.Throttle())
		err := c.tryPut(ctx, "x")
		if e := new(types.ProvisionedThroughputExceededException); !errors.As(err, &e) {
			t.Error("PutRecord:", err)
		}
		_, err = c.PutRecords(ctx, batch("orders", 1, 1))
		want(t, err, "ProvisionedThroughputExceededException")
		_, err = c.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: it})
		want(t, err, "ProvisionedThroughputExceededException")
		_, err = c.iterator(kinesis.GetShardIteratorInput{ShardIteratorType: "LATEST"})
		want(t, err, "ProvisionedThroughputExceededException")
		_, err = c.ListShards(ctx, &kinesis.ListShardsInput{StreamName: name})
		if e := new(types.LimitExceededException); !errors.As(err, &e) {
			t.Error("ListShards:", err)
		}
		if e := new(dtypes.ProvisionedThroughputExceededException); !errors.As(putItem(d, "a"), &e) {
			t.Error("PutItem is not throttled")
		}
		_, err = d.Scan(ctx, &dynamodb.ScanInput{TableName: aws.String("leases")})
		want(t, err, "ProvisionedThroughputExceededException")
		_, err = d.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: aws.String("leases")})
		want(t, err, "ThrottlingException")
		if len(s.Records("orders"))+len(s.Items("leases")) != 0 {
			t.Error("something was applied")
		}
	})
}

func TestExceptionsArriveAsTheirTypes(t *testing.T) {
	bubble(t, 1, func(t *testing.T, s *kinesistest.Server, c *client) {
		for _, target := range []interface {
			error
			ErrorCode() string
		}{
			&types.AccessDeniedException{}, &types.ExpiredIteratorException{}, &types.InternalFailureException{}, &types.InvalidArgumentException{},
			&types.KMSAccessDeniedException{}, &types.KMSDisabledException{}, &types.KMSInvalidStateException{}, &types.KMSNotFoundException{},
			&types.KMSOptInRequired{}, &types.KMSThrottlingException{}, &types.LimitExceededException{},
			&types.ProvisionedThroughputExceededException{}, &types.ResourceInUseException{}, &types.ResourceNotFoundException{}, &types.ValidationException{},
		} {
			s.On("GetRecords", kinesistest.Exception(target.ErrorCode(), "as you asked"))
			_, err := c.GetRecords(context.Background(), &kinesis.GetRecordsInput{ShardIterator: aws.String("x")})
			innermost := err
			for errors.Unwrap(innermost) != nil {
				innermost = errors.Unwrap(innermost)
			}
			if got, want := fmt.Sprintf("%T", innermost), fmt.Sprintf("%T", target); got != want || !strings.Contains(err.Error(), "as you asked") {
				t.Errorf("%s, want %s: %v", got, want, err)
			}
			var response *awshttp.ResponseError
			status := 400
			if target.ErrorCode() == "InternalFailureException" {
				status = 500
			}
			if !errors.As(err, &response) || response.HTTPStatusCode() != status {
				t.Errorf("%s: not status %d: %v", target.ErrorCode(), status, err)
			}
		}
	})
}

func TestStatusIsBare(t *testing.T) {
	bubble(t, 1, func(t *testing.T, s *kinesistest.Server, c *client) {
		s.On("PutRecord", kinesistest.Status(503))
		var response *awshttp.ResponseError
		if err := c.tryPut(context.Background(), "a"); !errors.As(err, &response) || response.HTTPStatusCode() != 503 {
			t.Error(err)
		}
		equal(t, "stored", stored(s), nil)
	})
}

func TestDelayAppliesAndThenAnswers(t *testing.T) {
	bubble(t, 1, func(t *testing.T, s *kinesistest.Server, c *client) {
		s.On("PutRecord", kinesistest.Delay(3*time.Second))
		begin := time.Now()
		go func() {
			time.Sleep(time.Second)
			equal(t, "while it waits", stored(s), []string{"a"})
		}()
		if err := c.tryPut(context.Background(), "a"); err != nil || time.Since(begin) != 3*time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
	})
}

// Whether the caller gives up before the end or at the very end of the delay, it always gets its own deadline.
func TestAClientThatGivesUpDuringADelayIsLetGo(t *testing.T) {
	bubble(t, 1, func(t *testing.T, s *kinesistest.Server, c *client) {
		s.On("PutRecord", kinesistest.Delay(3*time.Second))
		for i, patience := range []time.Duration{time.Second, 3 * time.Second} {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			begin := time.Now()
			if err := c.tryPut(ctx, fmt.Sprint(i)); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != patience {
				t.Errorf("%v after %v", err, time.Since(begin))
			}
			cancel()
		}
		equal(t, "stored all the same", stored(s), []string{"0", "1"})
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := c.tryPut(ctx, "never sent"); !errors.Is(err, context.Canceled) || len(stored(s)) != 2 {
			t.Error(err)
		}
	})
}

func TestLostRequestsAndLostRepliesLookAlike(t *testing.T) {
	bubble(t, 1, func(t *testing.T, s *kinesistest.Server, c *client) {
		s.On("PutRecord", kinesistest.LoseRequest()).Times(1)
		s.On("PutRecord", kinesistest.LoseReply()).Times(1)
		first, second := c.tryPut(context.Background(), "reply lost"), c.tryPut(context.Background(), "request lost")
		if !errors.Is(first, syscall.ECONNRESET) || !errors.Is(second, syscall.ECONNRESET) || first.Error() != second.Error() {
			t.Errorf("%v\n%v", first, second)
		}
		equal(t, "stored", stored(s), []string{"reply lost"})
	})
}

// With its default retries the SDK turns a lost reply into a duplicate.
func TestTheSDKRetriesALostReply(t *testing.T) {
	bubble(t, 1, func(t *testing.T, s *kinesistest.Server, _ *client) {
		c := &client{kinesis.NewFromConfig(s.Config("")), t}
		s.On("PutRecord", kinesistest.LoseReply()).Times(1)
		if err := c.tryPut(context.Background(), "twice"); err != nil {
			t.Error(err)
		}
		equal(t, "stored", stored(s), []string{"twice", "twice"})
	})
}

func TestApplyLateIsOvertaken(t *testing.T) {
	bubble(t, 1, func(t *testing.T, s *kinesistest.Server, c *client) {
		s.On("PutRecord", kinesistest.ApplyLate(time.Minute)).Times(1)
		ctx, cancel := context.WithCancel(context.Background())
		if err := c.tryPut(ctx, "late"); !errors.Is(err, syscall.ECONNRESET) {
			t.Error(err)
		}
		cancel() // it is on its way, whatever the client does now
		if err := c.tryPut(context.Background(), "later"); err != nil {
			t.Error(err)
		}
		equal(t, "before", stored(s), []string{"later"})
		time.Sleep(time.Minute)
		synctest.Wait()
		equal(t, "after", stored(s), []string{"later", "late"})
	})
}

func TestCloseDropsWhatIsStillToBeApplied(t *testing.T) {
	bubble(t, 1, func(t *testing.T, s *kinesistest.Server, c *client) {
		s.On("PutRecord", kinesistest.ApplyLate(time.Minute))
		_ = c.tryPut(context.Background(), "late")
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Hour)
		equal(t, "stored", stored(s), nil)
		if err := c.tryPut(context.Background(), "refused"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Error(err)
		}
	})
}

func TestCloseBreaksDelayedRequests(t *testing.T) {
	bubble(t, 1, func(t *testing.T, s *kinesistest.Server, c *client) {
		s.On("PutRecord", kinesistest.Delay(time.Hour))
		begin := time.Now()
		time.AfterFunc(time.Second, func() { _ = s.Close() })
		if err := c.tryPut(context.Background(), "x"); !errors.Is(err, syscall.ECONNRESET) || time.Since(begin) != time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
	})
}

func TestFailRecordsFailsEntriesAndStoresTheRest(t *testing.T) {
	bubble(t, 1, func(t *testing.T, s *kinesistest.Server, c *client) {
		s.On("PutRecords", kinesistest.FailRecords("ProvisionedThroughputExceededException", 0.3))
		out := ok(c.PutRecords(context.Background(), batch("orders", 500, 1)))(t)
		failed := 0
		for i, e := range out.Records {
			if e.ErrorCode == nil {
				if e.SequenceNumber == nil || *e.ShardId != shardID(0) {
					t.Errorf("entry %d: %+v", i, e)
				}
				continue
			}
			if failed++; *e.ErrorCode != "ProvisionedThroughputExceededException" || e.SequenceNumber != nil || !strings.Contains(*e.ErrorMessage, shardID(0)) {
				t.Errorf("entry %d: %+v", i, e)
			}
		}
		if failed < 100 || failed > 200 || int(*out.FailedRecordCount) != failed || len(s.Records("orders")) != 500-failed {
			t.Errorf("%d failed, %d counted, %d stored", failed, *out.FailedRecordCount, len(s.Records("orders")))
		}
		s.On("PutRecords", kinesistest.FailRecords("InternalFailure", 1))
		if out := ok(c.PutRecords(context.Background(), batch("orders", 20, 1)))(t); *out.FailedRecordCount != 20 || *out.Records[0].ErrorCode != "InternalFailure" {
			t.Errorf("%d of 20 failed", *out.FailedRecordCount)
		}
	})
}

func TestFailRecordsOfOneShardSparesTheOthers(t *testing.T) {
	bubble(t, 2, func(t *testing.T, s *kinesistest.Server, c *client) {
		s.On("PutRecords", kinesistest.FailRecords("ProvisionedThroughputExceededException", 1)).Shard(shardID(1))
		s.On("PutRecords", kinesistest.Throttle()).Shard(shardID(1)) // a PutRecords as a whole is about no shard
		out := ok(c.PutRecords(context.Background(), batch("orders", 100, 1)))(t)
		spared := len(s.Records("orders"))
		for _, r := range s.Records("orders") {
			if r.Shard != shardID(0) {
				t.Errorf("%s took a record", r.Shard)
			}
		}
		if spared == 0 || spared == 100 || int(*out.FailedRecordCount) != 100-spared {
			t.Errorf("%d failed, %d stored", *out.FailedRecordCount, spared)
		}
	})
}

func TestTheSeedDecidesWhatFails(t *testing.T) {
	t.Parallel()
	run := func(seed uint64) (fates []bool) {
		s := kinesistest.New(kinesistest.WithSeed(seed))
		s.CreateStream("orders", 1)
		c := newClient(t, s.Config(""))
		s.On("PutRecords", kinesistest.FailRecords("InternalFailure", 0.5))
		s.On("PutRecord", kinesistest.Throttle()).Sometimes(0.5)
		for range 10 {
			for _, e := range c.put("k", "a", "b", "c") {
				fates = append(fates, e.ErrorCode == nil)
			}
			fates = append(fates, c.tryPut(context.Background(), "x") == nil)
		}
		return fates
	}
	if equal(t, "one seed, two runs", run(7), run(7)); slices.Equal(run(7), run(8)) {
		t.Error("two seeds, one run")
	}
}

func TestExpireIterator(t *testing.T) {
	bubble(t, 2, func(t *testing.T, s *kinesistest.Server, c *client) {
		it, other := c.start(shardID(0)), c.start(shardID(1))
		s.On("GetRecords", kinesistest.ExpireIterator()).Shard(shardID(0)).Times(1)
		c.get(other)
		_, err := c.GetRecords(context.Background(), &kinesis.GetRecordsInput{ShardIterator: it})
		if expired := new(types.ExpiredIteratorException); !errors.As(err, &expired) {
			t.Error(err)
		}
		c.get(it)
	})
}

func TestStaleShardsAreThoseOfSomeTimeAgo(t *testing.T) {
	bubble(t, 1, func(t *testing.T, s *kinesistest.Server, c *client) {
		time.Sleep(time.Minute)
		s.Split("orders", shardID(0))
		rule := s.On("ListShards", kinesistest.StaleShards(30*time.Second))
		for _, age := range []time.Duration{0, time.Hour} { // an hour ago there was no stream: as it began
			if age > 0 {
				s.On("ListShards", kinesistest.StaleShards(age)).Times(1)
			}
			stale := c.shards(kinesis.ListShardsInput{ShardFilter: &types.ShardFilter{Type: types.ShardFilterTypeAtLatest}})
			if equal(t, "stale", ids(stale), []int{0}); stale[0].SequenceNumberRange.EndingSequenceNumber != nil {
				t.Error("it is closed already")
			}
		}
		rule.Remove()
		equal(t, "now", ids(c.shards(kinesis.ListShardsInput{})), []int{0, 1, 2})
		s.On("ListShards", kinesistest.StaleShards(30*time.Second))
		time.Sleep(30 * time.Second)
		equal(t, "30 s later", ids(c.shards(kinesis.ListShardsInput{})), []int{0, 1, 2})
	})
}

func TestDoMayAnswerChangeAndRepeat(t *testing.T) {
	bubble(t, 1, func(t *testing.T, s *kinesistest.Server, c *client) {
		ctx := context.Background()
		rule := s.On("PutRecord", kinesistest.Do(func(_ context.Context, r *kinesistest.Request, next func() kinesistest.Reply) kinesistest.Reply {
			if r.Service != "kinesis" || r.Op != "PutRecord" || r.Client != "app" || r.Stream != "orders" {
				t.Errorf("%+v", r)
			}
			r.Body = bytes.Replace(r.Body, []byte(`"k"`), []byte(`"other"`), 1)
			next()
			return next()
		}))
		if err := c.tryPut(ctx, "a"); err != nil {
			t.Error(err)
		}
		equal(t, "stored", stored(s), []string{"a", "a"})
		if k := s.Records("orders")[0].PartitionKey; k != "other" {
			t.Error(k)
		}
		rule.Remove()
		s.On("DescribeStream", kinesistest.Do(func(context.Context, *kinesistest.Request, func() kinesistest.Reply) kinesistest.Reply {
			return kinesistest.Reply{Body: []byte(`{"StreamDescription":{"StreamName":"made up"}}`)}
		}))
		out := ok(c.DescribeStream(ctx, &kinesis.DescribeStreamInput{StreamName: aws.String("none")}))(t)
		if *out.StreamDescription.StreamName != "made up" {
			t.Errorf("%+v", out.StreamDescription)
		}
		s.On("ListStreams", kinesistest.Do(func(_ context.Context, _ *kinesistest.Request, next func() kinesistest.Reply) kinesistest.Reply {
			if reply := next(); reply.Status != http.StatusOK || !bytes.Contains(reply.Body, []byte("orders")) {
				t.Errorf("%d %s", reply.Status, reply.Body)
			}
			return kinesistest.Reply{Status: 500, Body: []byte("<html>not JSON</html>")}
		}))
		if _, err := c.ListStreams(ctx, &kinesis.ListStreamsInput{}); err == nil {
			t.Error("no error")
		}
	})
}
