package kinesistest_test

import (
	"context"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesiskit/kinesiskit/kinesistest"
)

// fates says for n puts which failed.
func fates(c *client, n int) []bool {
	failed := []bool{}
	for range n {
		failed = append(failed, c.tryPut(context.Background(), "x") != nil)
	}
	return failed
}

func TestARuleCountsItsRequests(t *testing.T) {
	bubble(t, 1, func(t *testing.T, s *kinesistest.Server, c *client) {
		rule := s.On("PutRecord", kinesistest.Throttle()).After(2).Times(3)
		equal(t, "After(2).Times(3)", fates(c, 7), []bool{false, false, true, true, true, false, false})
		if rule.Hits() != 3 {
			t.Errorf("%d hits", rule.Hits())
		}
		for_ := s.On("PutRecord", kinesistest.Throttle()).For(10 * time.Second)
		equal(t, "For, at once", fates(c, 1), []bool{true})
		time.Sleep(10*time.Second - 1)
		equal(t, "For, just before", fates(c, 1), []bool{true})
		time.Sleep(1)
		equal(t, "For, at its end", fates(c, 1), []bool{false})
		forever := s.On("PutRecord", kinesistest.Throttle())
		equal(t, "without limits", fates(c, 3), []bool{true, true, true})
		forever.Remove()
		forever.Remove()
		equal(t, "removed", fates(c, 1), []bool{false})
		if for_.Hits() != 2 || forever.Hits() != 3 {
			t.Errorf("%d and %d hits", for_.Hits(), forever.Hits())
		}
		var last *kinesistest.Rule
		last = s.On("PutRecord", kinesistest.Throttle()).When(func(*kinesistest.Request) bool { last.Remove(); return true })
		equal(t, "removed while it is asked", fates(c, 1), []bool{false})
		s.On("PutRecord", kinesistest.Throttle()).Times(0)
		equal(t, "Times(0)", fates(c, 1), []bool{false})
	})
}

func TestTheNewestRuleWinsAndLeavesTheRestToOlderOnes(t *testing.T) {
	bubble(t, 1, func(t *testing.T, s *kinesistest.Server, c *client) {
		all := s.On("*", kinesistest.Exception("ResourceInUseException", "all"))
		s.On("PutRecord", kinesistest.Exception("KMSDisabledException", "some")).After(1).Times(1)
		for _, code := range []string{"ResourceInUseException", "KMSDisabledException", "ResourceInUseException"} {
			want(t, c.tryPut(context.Background(), "x"), code)
		}
		if all.Hits() != 2 {
			t.Errorf("%d hits", all.Hits())
		}
		s.On("PutRecord", kinesistest.Fault{}) // exempts
		equal(t, "exempt", fates(c, 2), []bool{false, false})
	})
}

func TestSometimesIsAShare(t *testing.T) {
	bubble(t, 1, func(t *testing.T, s *kinesistest.Server, c *client) {
		rule := s.On("PutRecord", kinesistest.Throttle()).Sometimes(0.25)
		failed := 0
		for _, f := range fates(c, 1000) {
			if f {
				failed++
			}
		}
		if failed < 200 || failed > 300 || rule.Hits() != failed {
			t.Errorf("%d of 1000, %d hits", failed, rule.Hits())
		}
		rule.Sometimes(0)
		equal(t, "never", fates(c, 3), []bool{false, false, false})
		rule.Sometimes(1)
		equal(t, "always", fates(c, 3), []bool{true, true, true})
	})
}

func TestRulesNarrowByWhatARequestIsAbout(t *testing.T) {
	bubble(t, 2, func(t *testing.T, s *kinesistest.Server, c *client) {
		ctx := context.Background()
		s.CreateStream("other", 1)
		d := dynamo(s.Config("app"))
		leases(t, d)
		it := []*string{c.start(shardID(0)), c.start(shardID(1))}
		arn := "arn:aws:kinesis:us-east-1:000000000000:stream/orders"
		page := ok(c.ListShards(ctx, &kinesis.ListShardsInput{StreamName: aws.String("orders"), MaxResults: aws.Int32(1)}))(t)
		putBy := func(who string) func() error {
			return func() error { return newClient(t, s.Config(who)).tryPut(ctx, "x") }
		}
		putTo := func(stream string) func() error {
			return func() error { _, err := c.PutRecords(ctx, batch(stream, 1, 1)); return err }
		}
		list := func(in kinesis.ListShardsInput) func() error {
			return func() error { _, err := c.ListShards(ctx, &in); return err }
		}
		get := func(n int) func() error {
			return func() error { _, err := c.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: it[n]}); return err }
		}
		update := func(value string) func() error {
			return func() error {
				_, err := d.UpdateItem(ctx, &dynamodb.UpdateItemInput{TableName: aws.String("leases"), Key: key(value)})
				return err
			}
		}
		none := func() error { return nil }
		for _, test := range []struct {
			narrowed   string
			narrow     func(*kinesistest.Rule) *kinesistest.Rule
			hit, spare func() error
		}{
			{"From", func(r *kinesistest.Rule) *kinesistest.Rule { return r.From("w1") }, putBy("w1"), putBy("w2")},
			{"From nobody", func(r *kinesistest.Rule) *kinesistest.Rule { return r.From("") }, putBy(""), putBy("w1")},
			{"Stream", func(r *kinesistest.Rule) *kinesistest.Rule { return r.Stream("orders") }, putTo("orders"), putTo("other")},
			{"Stream, by ARN", func(r *kinesistest.Rule) *kinesistest.Rule { return r.Stream("orders") }, list(kinesis.ListShardsInput{StreamARN: &arn}), none},
			{"Stream, by token", func(r *kinesistest.Rule) *kinesistest.Rule { return r.Stream("orders") }, list(kinesis.ListShardsInput{NextToken: page.NextToken}), none},
			{"Stream, by iterator", func(r *kinesistest.Rule) *kinesistest.Rule { return r.Stream("orders") }, get(0), none},
			{"Shard", func(r *kinesistest.Rule) *kinesistest.Rule { return r.Shard(shardID(1)) }, get(1), get(0)},
			{"Table", func(r *kinesistest.Rule) *kinesistest.Rule { return r.Table("leases") }, update("a"), putTo("orders")},
			{"Key", func(r *kinesistest.Rule) *kinesistest.Rule { return r.Key("a") }, update("a"), update("b")},
			{"Key, of an item", func(r *kinesistest.Rule) *kinesistest.Rule { return r.Key("a") },
				func() error { return putItem(d, "a") }, func() error { return putItem(d, "b") }},
			{"When", func(r *kinesistest.Rule) *kinesistest.Rule {
				return r.When(func(q *kinesistest.Request) bool {
					return q.Op == "PutRecords" && len(q.Body) > 0 && q.Service == "kinesis"
				})
			}, putTo("orders"), putBy("app")},
		} {
			rule := test.narrow(s.On("*", kinesistest.Throttle()))
			if test.hit() == nil || rule.Hits() != 1 {
				t.Errorf("%s: not hit", test.narrowed)
			}
			if err := test.spare(); err != nil || rule.Hits() != 1 {
				t.Errorf("%s: not spared: %v", test.narrowed, err)
			}
			rule.Remove()
		}
	})
}

func TestARuleIsForItsOperationAlone(t *testing.T) {
	bubble(t, 1, func(t *testing.T, s *kinesistest.Server, c *client) {
		s.On("PutRecords", kinesistest.Throttle())
		equal(t, "PutRecord", fates(c, 1), []bool{false})
	})
}

func TestCallsCountsWhatReachedTheServer(t *testing.T) {
	bubble(t, 1, func(t *testing.T, s *kinesistest.Server, c *client) {
		s.On("PutRecord", kinesistest.LoseRequest()).Times(1)
		fates(c, 3)
		c.shards(kinesis.ListShardsInput{})
		if s.Calls("PutRecord") != 3 || s.Calls("ListShards") != 1 || s.Calls("GetRecords") != 0 || s.Calls("*") != 4 {
			t.Error(s.Calls("PutRecord"), s.Calls("ListShards"), s.Calls("GetRecords"), s.Calls("*"))
		}
	})
}
