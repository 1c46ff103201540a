package kinesistest_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesiskit/kinesiskit/kinesistest"
)

func tags(list []types.Tag) string {
	var all []string
	for _, t := range list {
		all = append(all, *t.Key+"="+*t.Value)
	}
	return strings.Join(all, " ")
}

func TestAStreamHasOneSetOfTagsWhicheverWay(t *testing.T) {
	bubble(t, 1, func(t *testing.T, _ *kinesistest.Server, c *client) {
		ctx, name := context.Background(), aws.String("tagged")
		ok(c.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: name, ShardCount: aws.Int32(1), Tags: map[string]string{"a": "1", "c": ""}}))(t)
		ok(c.AddTagsToStream(ctx, &kinesis.AddTagsToStreamInput{StreamName: name, Tags: map[string]string{"b": "2", "a": "3"}}))(t)
		ok(c.TagResource(ctx, &kinesis.TagResourceInput{ResourceARN: arn("tagged"), Tags: map[string]string{"d": "4"}}))(t)
		list := func() string {
			t.Helper()
			one := tags(ok(c.ListTagsForStream(ctx, &kinesis.ListTagsForStreamInput{StreamName: name}))(t).Tags)
			if other := tags(ok(c.ListTagsForResource(ctx, &kinesis.ListTagsForResourceInput{ResourceARN: arn("tagged")}))(t).Tags); other != one {
				t.Errorf("%q and %q", one, other)
			}
			return one
		}
		equal(t, "all", []string{list()}, []string{"a=3 b=2 c= d=4"})
		page := ok(c.ListTagsForStream(ctx, &kinesis.ListTagsForStreamInput{StreamARN: arn("tagged"), ExclusiveStartTagKey: aws.String("a"), Limit: aws.Int32(2)}))(t)
		equal(t, "a page", []string{tags(page.Tags), fmt.Sprint(*page.HasMoreTags)}, []string{"b=2 c=", "true"})
		ok(c.RemoveTagsFromStream(ctx, &kinesis.RemoveTagsFromStreamInput{StreamName: name, TagKeys: []string{"a", "none"}}))(t)
		ok(c.UntagResource(ctx, &kinesis.UntagResourceInput{ResourceARN: arn("tagged"), TagKeys: []string{"d"}}))(t)
		equal(t, "left", []string{list()}, []string{"b=2 c="})
	}, kinesistest.WithoutLimits())
}

func TestAConsumerHasTagsOfItsOwn(t *testing.T) {
	bubble(t, 1, func(t *testing.T, _ *kinesistest.Server, c *client) {
		ctx := context.Background()
		consumer := ok(c.RegisterStreamConsumer(ctx, &kinesis.RegisterStreamConsumerInput{
			StreamARN: arn("orders"), ConsumerName: aws.String("app"), Tags: map[string]string{"a": "1"},
		}))(t).Consumer.ConsumerARN
		ok(c.TagResource(ctx, &kinesis.TagResourceInput{ResourceARN: consumer, Tags: map[string]string{"b": "2"}}))(t)
		list := func(arn *string) string {
			return tags(ok(c.ListTagsForResource(ctx, &kinesis.ListTagsForResourceInput{ResourceARN: arn}))(t).Tags)
		}
		equal(t, "tags", []string{list(consumer), list(arn("orders"))}, []string{"a=1 b=2", ""})
		_, err := c.ListTagsForResource(ctx, &kinesis.ListTagsForResourceInput{ResourceARN: aws.String(*consumer + "1")})
		want(t, err, "ResourceNotFoundException")
	})
}

func TestTagsAreRefused(t *testing.T) {
	bubble(t, 1, func(t *testing.T, _ *kinesistest.Server, c *client) {
		many := map[string]string{}
		for i := range 50 {
			many[fmt.Sprint("key-", i)] = "x"
		}
		add := func(tags map[string]string) error {
			_, err := c.AddTagsToStream(context.Background(), &kinesis.AddTagsToStreamInput{StreamName: aws.String("orders"), Tags: tags})
			return err
		}
		if err := add(many); err != nil {
			t.Fatal(err)
		}
		if err := add(map[string]string{"key-0": "y"}); err != nil {
			t.Error("a new value of a tag that is there:", err)
		}
		for _, test := range []struct {
			code string
			tags map[string]string
		}{
			{"InvalidArgumentException", map[string]string{"one too many": "x"}},
			{"InvalidArgumentException", map[string]string{"aws:mine": "x"}},
			{"InvalidArgumentException", map[string]string{"key-0": "semi;colon"}},
			{"ValidationException", map[string]string{}},
			{"ValidationException", map[string]string{"": "x"}},
			{"ValidationException", map[string]string{strings.Repeat("k", 129): "x"}},
			{"ValidationException", map[string]string{"key-0": strings.Repeat("v", 257)}},
		} {
			want(t, add(test.tags), test.code)
		}
		_, err := c.RemoveTagsFromStream(context.Background(), &kinesis.RemoveTagsFromStreamInput{StreamName: aws.String("orders"), TagKeys: []string{}})
		want(t, err, "ValidationException")
	}, kinesistest.WithoutLimits())
}

func TestResourcesHaveAPolicy(t *testing.T) {
	bubble(t, 1, func(t *testing.T, _ *kinesistest.Server, c *client) {
		ctx := context.Background()
		consumer := ok(c.RegisterStreamConsumer(ctx, &kinesis.RegisterStreamConsumerInput{StreamARN: arn("orders"), ConsumerName: aws.String("app")}))(t).Consumer.ConsumerARN
		for _, resource := range []*string{arn("orders"), consumer} {
			get := func() (string, error) {
				out, err := c.GetResourcePolicy(ctx, &kinesis.GetResourcePolicyInput{ResourceARN: resource})
				if err != nil {
					return "", err
				}
				return *out.Policy, nil
			}
			_, err := get()
			want(t, err, "ResourceNotFoundException")
			const policy = `{"Version":"2012-10-17","Statement":[]}`
			ok(c.PutResourcePolicy(ctx, &kinesis.PutResourcePolicyInput{ResourceARN: resource, Policy: aws.String(policy)}))(t)
			if got, err := get(); got != policy || err != nil {
				t.Errorf("%q, %v", got, err)
			}
			ok(c.DeleteResourcePolicy(ctx, &kinesis.DeleteResourcePolicyInput{ResourceARN: resource}))(t)
			_, err = get()
			want(t, err, "ResourceNotFoundException")
		}
		_, err := c.PutResourcePolicy(ctx, &kinesis.PutResourcePolicyInput{ResourceARN: arn("orders"), Policy: aws.String("{")})
		want(t, err, "InvalidArgumentException")
		_, err = c.PutResourcePolicy(ctx, &kinesis.PutResourcePolicyInput{ResourceARN: arn("none"), Policy: aws.String("{}")})
		want(t, err, "ResourceNotFoundException")
	}, kinesistest.WithoutLimits())
}
