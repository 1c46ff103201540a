package kinesistest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"

	"github.com/kinesiskit/kinesiskit/kinesistest"
)

// ordersARN is the stream "orders" of a client from Config.
var ordersARN = aws.String("arn:aws:kinesis:us-east-1:000000000000:stream/orders")

// tryRegister makes a consumer of the stream "orders".
func (c *client) tryRegister(name string) (*types.Consumer, error) {
	out, err := c.RegisterStreamConsumer(context.Background(), &kinesis.RegisterStreamConsumerInput{StreamARN: ordersARN, ConsumerName: &name})
	if err != nil {
		return nil, err
	}
	return out.Consumer, nil
}

// register makes a consumer of the stream "orders" and returns its ARN.
func (c *client) register(name string) *string {
	c.t.Helper()
	return ok(c.tryRegister(name))(c.t).ConsumerARN
}

// consumer describes a consumer of the stream "orders".
func (c *client) consumer(name string) (*types.ConsumerDescription, error) {
	out, err := c.DescribeStreamConsumer(context.Background(), &kinesis.DescribeStreamConsumerInput{StreamARN: ordersARN, ConsumerName: &name})
	if err != nil {
		return nil, err
	}
	return out.ConsumerDescription, nil
}

func (c *client) deregister(arn *string) {
	c.t.Helper()
	ok(c.DeregisterStreamConsumer(context.Background(), &kinesis.DeregisterStreamConsumerInput{ConsumerARN: arn}))(c.t)
}

func (c *client) consumerCount() int32 {
	c.t.Helper()
	return *ok(c.DescribeStreamSummary(context.Background(), &kinesis.DescribeStreamSummaryInput{StreamARN: ordersARN}))(c.t).
		StreamDescriptionSummary.ConsumerCount
}

// wantAs is want for one case of many.
func wantAs(t *testing.T, name string, err error, code string) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != code {
		t.Errorf("%s: %v, want %s", name, err, code)
	}
}

// slow is bubble with a server on which everything takes ten seconds.
func slow(t *testing.T, fn func(t *testing.T, s *kinesistest.Server, c *client)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithTransitions(10 * time.Second))
		defer func() { _ = s.Close() }()
		s.CreateStream("orders", 1)
		fn(t, s, newClient(t, s.Config("app")))
	})
}

func TestAConsumerIsRegisteredAndDescribed(t *testing.T) {
	bubble(t, 1, func(t *testing.T, _ *kinesistest.Server, c *client) {
		time.Sleep(1500 * time.Millisecond)
		made := ok(c.tryRegister("app"))(t)
		second := time.Date(2000, 1, 1, 0, 0, 1, 0, time.UTC)
		if want := fmt.Sprintf("%s/consumer/app:%d", *ordersARN, second.Unix()); *made.ConsumerARN != want || *made.ConsumerName != "app" ||
			made.ConsumerStatus != types.ConsumerStatusActive || !made.ConsumerCreationTimestamp.Equal(second) {
			t.Errorf("registered %+v", made)
		}
		for i, in := range []kinesis.DescribeStreamConsumerInput{
			{ConsumerARN: made.ConsumerARN},
			{StreamARN: ordersARN, ConsumerName: aws.String("app")},
			{ConsumerARN: made.ConsumerARN, StreamARN: ordersARN, ConsumerName: aws.String("app")},
		} {
			d := ok(c.DescribeStreamConsumer(context.Background(), &in))(t).ConsumerDescription
			if *d.ConsumerARN != *made.ConsumerARN || *d.StreamARN != *ordersARN || *d.ConsumerName != "app" || d.ConsumerStatus != "ACTIVE" ||
				!d.ConsumerCreationTimestamp.Equal(second) {
				t.Errorf("%d: described %+v", i, d)
			}
		}
		if n := c.consumerCount(); n != 1 {
			t.Errorf("%d consumers counted", n)
		}
		_, err := c.tryRegister("app")
		if e := new(types.ResourceInUseException); !errors.As(err, &e) {
			t.Error("a second of that name:", err)
		}
		c.deregister(made.ConsumerARN)
		_, err = c.consumer("app")
		want(t, err, "ResourceNotFoundException")
		if again := c.register("app"); *again == *made.ConsumerARN {
			t.Error("a consumer that is registered anew has the old one's ARN")
		}
		_, err = c.DescribeStreamConsumer(context.Background(), &kinesis.DescribeStreamConsumerInput{ConsumerARN: made.ConsumerARN})
		want(t, err, "ResourceNotFoundException")
	})
}

func TestRequestsThatNameNoConsumerAreRefused(t *testing.T) {
	bubble(t, 1, func(t *testing.T, _ *kinesistest.Server, c *client) {
		arn := c.register("app")
		for _, r := range []struct {
			name string
			in   kinesis.DescribeStreamConsumerInput
			code string
		}{
			{"nothing", kinesis.DescribeStreamConsumerInput{}, "InvalidArgumentException"},
			{"a name alone", kinesis.DescribeStreamConsumerInput{ConsumerName: aws.String("app")}, "InvalidArgumentException"},
			{"a stream alone", kinesis.DescribeStreamConsumerInput{StreamARN: ordersARN}, "InvalidArgumentException"},
			{"no ARN", kinesis.DescribeStreamConsumerInput{ConsumerARN: aws.String("app")}, "InvalidArgumentException"},
			{"a stream's ARN", kinesis.DescribeStreamConsumerInput{ConsumerARN: ordersARN}, "InvalidArgumentException"},
			{"no second", kinesis.DescribeStreamConsumerInput{ConsumerARN: aws.String(*ordersARN + "/consumer/app")}, "InvalidArgumentException"},
			{"another name", kinesis.DescribeStreamConsumerInput{ConsumerARN: arn, ConsumerName: aws.String("b")}, "InvalidArgumentException"},
			{"another stream", kinesis.DescribeStreamConsumerInput{ConsumerARN: arn, StreamARN: aws.String(*ordersARN + "2")}, "InvalidArgumentException"},
			{"another second", kinesis.DescribeStreamConsumerInput{ConsumerARN: aws.String(*ordersARN + "/consumer/app:1")}, "ResourceNotFoundException"},
			{"unknown name", kinesis.DescribeStreamConsumerInput{StreamARN: ordersARN, ConsumerName: aws.String("b")}, "ResourceNotFoundException"},
			{"unknown stream", kinesis.DescribeStreamConsumerInput{
				StreamARN: aws.String(*ordersARN + "2"), ConsumerName: aws.String("app"),
			}, "ResourceNotFoundException"},
		} {
			time.Sleep(time.Second)
			_, err := c.DescribeStreamConsumer(context.Background(), &r.in)
			wantAs(t, r.name, err, r.code)
			_, err = c.DeregisterStreamConsumer(context.Background(), &kinesis.DeregisterStreamConsumerInput{
				ConsumerARN: r.in.ConsumerARN, StreamARN: r.in.StreamARN, ConsumerName: r.in.ConsumerName,
			})
			wantAs(t, r.name, err, r.code)
		}
		if _, err := c.consumer("app"); err != nil {
			t.Error("deregistered by a request that was refused:", err)
		}
		_, err := c.tryRegister("no name")
		want(t, err, "ValidationException")
		_, err = c.RegisterStreamConsumer(context.Background(), &kinesis.RegisterStreamConsumerInput{
			StreamARN: aws.String(*ordersARN + "2"), ConsumerName: aws.String("app"),
		})
		want(t, err, "ResourceNotFoundException")
	})
}

func TestAStreamHasTwentyConsumersAndNoMore(t *testing.T) {
	bubble(t, 1, func(t *testing.T, _ *kinesistest.Server, c *client) {
		var arn *string
		for i := range 20 {
			time.Sleep(time.Second)
			arn = c.register(fmt.Sprintf("app-%02d", i))
		}
		_, err := c.tryRegister("one-more")
		want(t, err, "LimitExceededException")
		c.deregister(arn)
		c.register("one-more")
	})
}

// With a commitment to a minimum of throughput an on-demand stream may have fifty.
func TestACommitmentAllowsMoreConsumers(t *testing.T) {
	bubble(t, 1, func(t *testing.T, _ *kinesistest.Server, c *client) {
		ok(c.UpdateStreamMode(context.Background(), &kinesis.UpdateStreamModeInput{
			StreamARN: ordersARN, StreamModeDetails: &types.StreamModeDetails{StreamMode: types.StreamModeOnDemand},
		}))(t)
		ok(c.UpdateAccountSettings(context.Background(), &kinesis.UpdateAccountSettingsInput{
			MinimumThroughputBillingCommitment: &types.MinimumThroughputBillingCommitmentInput{
				Status: types.MinimumThroughputBillingCommitmentInputStatusEnabled,
			},
		}))(t)
		for i := range 50 {
			time.Sleep(time.Second)
			c.register(fmt.Sprint("app-", i))
		}
		_, err := c.tryRegister("one-more")
		want(t, err, "LimitExceededException")
	})
}

func TestAConsumerIsRegisteredWithItsTags(t *testing.T) {
	bubble(t, 1, func(t *testing.T, _ *kinesistest.Server, c *client) {
		made := ok(c.RegisterStreamConsumer(context.Background(), &kinesis.RegisterStreamConsumerInput{
			StreamARN: ordersARN, ConsumerName: aws.String("app"), Tags: map[string]string{"team": "orders"},
		}))(t).Consumer
		tags := ok(c.ListTagsForResource(context.Background(), &kinesis.ListTagsForResourceInput{ResourceARN: made.ConsumerARN}))(t).Tags
		if len(tags) != 1 || *tags[0].Key != "team" || *tags[0].Value != "orders" {
			t.Errorf("%+v", tags)
		}
		_, err := c.RegisterStreamConsumer(context.Background(), &kinesis.RegisterStreamConsumerInput{
			StreamARN: ordersARN, ConsumerName: aws.String("b"), Tags: map[string]string{"": "x"},
		})
		want(t, err, "ValidationException")
	})
}

func TestConsumersAreCreatedAndDeletedInTime(t *testing.T) {
	slow(t, func(t *testing.T, _ *kinesistest.Server, c *client) {
		made := ok(c.tryRegister("app"))(t)
		if made.ConsumerStatus != types.ConsumerStatusCreating {
			t.Errorf("at once: %s", made.ConsumerStatus)
		}
		_, err := c.subscribe(made.ConsumerARN, 0, latest)
		if e := new(types.ResourceInUseException); !errors.As(err, &e) {
			t.Error("subscribed to while CREATING:", err)
		}
		time.Sleep(10*time.Second - 1)
		if d := ok(c.consumer("app"))(t); d.ConsumerStatus != types.ConsumerStatusCreating {
			t.Errorf("just before: %s", d.ConsumerStatus)
		}
		time.Sleep(1)
		if d := ok(c.consumer("app"))(t); d.ConsumerStatus != types.ConsumerStatusActive {
			t.Errorf("after: %s", d.ConsumerStatus)
		}
		c.deregister(made.ConsumerARN)
		c.deregister(made.ConsumerARN)
		if d := ok(c.consumer("app"))(t); d.ConsumerStatus != types.ConsumerStatusDeleting || c.consumerCount() != 1 {
			t.Errorf("deregistered: %s", d.ConsumerStatus)
		}
		_, err = c.subscribe(made.ConsumerARN, 0, latest)
		want(t, err, "ResourceInUseException")
		_, err = c.tryRegister("app")
		want(t, err, "ResourceInUseException")
		time.Sleep(10 * time.Second)
		_, err = c.consumer("app")
		want(t, err, "ResourceNotFoundException")
		if n := c.consumerCount(); n != 0 {
			t.Errorf("%d consumers left", n)
		}
	})
}

func TestOnlyFiveConsumersAreCreatedAtOneTime(t *testing.T) {
	slow(t, func(t *testing.T, _ *kinesistest.Server, c *client) {
		for i := range 5 {
			c.register(fmt.Sprint("app-", i))
		}
		time.Sleep(9 * time.Second) // beyond the rate of calls
		_, err := c.tryRegister("app-5")
		want(t, err, "LimitExceededException")
		time.Sleep(time.Second)
		c.register("app-5")
	})
}

func TestListStreamConsumersComesInPages(t *testing.T) {
	bubble(t, 1, func(t *testing.T, s *kinesistest.Server, c *client) {
		ctx := context.Background()
		for i := range 7 {
			time.Sleep(time.Second)
			c.register(fmt.Sprint("app-", 6-i))
		}
		in := &kinesis.ListStreamConsumersInput{StreamARN: ordersARN, MaxResults: aws.Int32(3)}
		var names []string
		var pages int
		for p := kinesis.NewListStreamConsumersPaginator(c, in); p.HasMorePages(); pages++ {
			for _, consumer := range ok(p.NextPage(ctx))(t).Consumers {
				names = append(names, *consumer.ConsumerName)
			}
		}
		equal(t, "names", names, []string{"app-0", "app-1", "app-2", "app-3", "app-4", "app-5", "app-6"})
		if pages != 3 {
			t.Errorf("%d pages", pages)
		}
		time.Sleep(time.Second)
		token := ok(c.ListStreamConsumers(ctx, in))(t).NextToken
		in.NextToken = token
		in.StreamCreationTimestamp = aws.Time(time.Now())
		_, err := c.ListStreamConsumers(ctx, in)
		want(t, err, "InvalidArgumentException")
		in.NextToken = nil
		_, err = c.ListStreamConsumers(ctx, in)
		want(t, err, "ResourceNotFoundException")
		in.StreamCreationTimestamp, in.NextToken = nil, aws.String("x")
		_, err = c.ListStreamConsumers(ctx, in)
		want(t, err, "InvalidArgumentException")
		time.Sleep(300*time.Second + time.Millisecond)
		in.NextToken = token
		_, err = c.ListStreamConsumers(ctx, in)
		if e := new(types.ExpiredNextTokenException); !errors.As(err, &e) {
			t.Error(err)
		}
		_, err = c.ListStreamConsumers(ctx, &kinesis.ListStreamConsumersInput{StreamARN: ordersARN, MaxResults: aws.Int32(0)})
		want(t, err, "ValidationException")
		token = ok(c.ListStreamConsumers(ctx, &kinesis.ListStreamConsumersInput{StreamARN: ordersARN, MaxResults: aws.Int32(1)}))(t).NextToken
		ok(c.DeleteStream(ctx, &kinesis.DeleteStreamInput{StreamARN: ordersARN, EnforceConsumerDeletion: aws.Bool(true)}))(t)
		s.CreateStream("orders", 1)
		_, err = c.ListStreamConsumers(ctx, &kinesis.ListStreamConsumersInput{StreamARN: ordersARN, NextToken: token})
		want(t, err, "ResourceNotFoundException")
	})
}

func TestAStreamWithConsumersIsDeletedOnlyOnPurpose(t *testing.T) {
	bubble(t, 1, func(t *testing.T, _ *kinesistest.Server, c *client) {
		ctx := context.Background()
		c.register("app")
		for _, enforce := range []*bool{nil, aws.Bool(false)} {
			_, err := c.DeleteStream(ctx, &kinesis.DeleteStreamInput{StreamARN: ordersARN, EnforceConsumerDeletion: enforce})
			want(t, err, "ResourceInUseException")
		}
		ok(c.DeleteStream(ctx, &kinesis.DeleteStreamInput{StreamARN: ordersARN, EnforceConsumerDeletion: aws.Bool(true)}))(t)
		_, err := c.consumer("app")
		want(t, err, "ResourceNotFoundException")
	})
}
