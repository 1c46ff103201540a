package kinesistest_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/smithy-go/logging"

	"github.com/kinesiskit/kinesiskit/kinesistest"
)

// AT_TIMESTAMP and whatever else depends on the service's clock must be in one time with the test.
func TestAnswersCarryTheBubblesClock(t *testing.T) {
	bubble(t, 1, func(t *testing.T, _ *kinesistest.Server, c *client) {
		time.Sleep(90 * time.Minute)
		out := ok(c.ListShards(context.Background(), &kinesis.ListShardsInput{StreamName: aws.String("orders")}))(t)
		if date, ok := awsmiddleware.GetServerTime(out.ResultMetadata); !ok || !date.Equal(time.Date(2000, 1, 1, 1, 30, 0, 0, time.UTC)) {
			t.Errorf("Date is %v", date)
		}
		if id, ok := awsmiddleware.GetRequestIDMetadata(out.ResultMetadata); !ok || id == "" {
			t.Error("no request id")
		}
	})
}

func TestARequestWhoseCtxHasEndedIsNotSent(t *testing.T) {
	bubble(t, 1, func(t *testing.T, s *kinesistest.Server, _ *client) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		req := ok(http.NewRequestWithContext(ctx, http.MethodPost, "http://any", strings.NewReader(`{}`)))(t)
		req.Header.Set("X-Amz-Target", "Kinesis_20131202.ListStreams")
		resp, err := s.Config("").HTTPClient.Do(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		if !errors.Is(err, context.Canceled) || s.Calls("*") != 0 {
			t.Errorf("%v, %d calls", err, s.Calls("*"))
		}
	})
}

// A server from outside must not hold a bubble's clock: nothing that it waits for may come from where it was made.
func TestAServerFromOutsideWorksInABubble(t *testing.T) {
	t.Parallel()
	s := kinesistest.New()
	defer func() { _ = s.Close() }()
	s.CreateStream("orders", 1)
	cfg := s.Config("")
	for range 2 {
		synctest.Test(t, func(t *testing.T) {
			s.On("PutRecord", kinesistest.Delay(time.Hour)).Times(1)
			if err := newClient(t, cfg).tryPut(context.Background(), "x"); err != nil {
				t.Error(err)
			}
			s.On("PutRecord", kinesistest.ApplyLate(time.Hour)).Times(1)
			_ = newClient(t, cfg).tryPut(context.Background(), "x") // left over when the bubble ends
		})
	}
}

// A bubble ends only when all its goroutines have, so its end is the check.
func TestNothingIsLeftRunning(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New()
		s.CreateStream("orders", 1)
		c := newClient(t, s.Config(""))
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		s.On("PutRecord", kinesistest.Delay(time.Hour)).Times(1)
		_ = c.tryPut(ctx, "x")
		c.get(c.start(shardID(0)))
		// No Close: without Listen there is nothing that needs one.
	})
}

func TestTheSDKFindsNothingToWarnAbout(t *testing.T) {
	t.Parallel()
	s := kinesistest.New()
	defer s.Close()
	cfg := s.Config("")
	cfg.Logger = logging.LoggerFunc(func(_ logging.Classification, format string, v ...any) { t.Errorf(format, v...) })
	db, k := dynamodb.NewFromConfig(cfg), kinesis.NewFromConfig(cfg)
	if _, err := db.ListTables(t.Context(), &dynamodb.ListTablesInput{}); err != nil {
		t.Fatal(err)
	}
	if _, err := k.ListStreams(t.Context(), &kinesis.ListStreamsInput{}); err != nil {
		t.Fatal(err)
	}
}
