package kinesistest_test

import (
	"context"
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesiskit/kinesiskit/kinesistest"
)

func (c *client) scale(n int32) error {
	_, err := c.UpdateShardCount(context.Background(), &kinesis.UpdateShardCountInput{
		StreamName: aws.String("orders"), TargetShardCount: &n, ScalingType: types.ScalingTypeUniformScaling,
	})
	return err
}

// The shards are of equal size but for rounding, cover the ring, and no record is lost on the way.
func TestUpdateShardCountScalesUniformly(t *testing.T) {
	bubble(t, 3, func(t *testing.T, s *kinesistest.Server, c *client) {
		s.Split("orders", shardID(1)) // not uniform to begin with
		ring := new(big.Int).Lsh(big.NewInt(1), 128)
		for round, n := range []int32{6, 12, 7, 7, 4, 2, 1, 2, 3, 5} {
			for i := range 20 {
				c.put(fmt.Sprint(i), "x")
			}
			if err := c.scale(n); err != nil {
				t.Fatal(n, err)
			}
			shards := c.shards(kinesis.ListShardsInput{ShardFilter: &types.ShardFilter{Type: types.ShardFilterTypeAtLatest}})
			if len(shards) != int(n) || *c.describe("orders").OpenShardCount != n {
				t.Fatalf("%d shards, want %d", len(shards), n)
			}
			sum, even := new(big.Int), new(big.Int).Div(ring, big.NewInt(int64(n)))
			for _, sh := range shards {
				size := new(big.Int).Sub(bigInt(*sh.HashKeyRange.EndingHashKey), bigInt(*sh.HashKeyRange.StartingHashKey))
				size.Add(size, big.NewInt(1))
				sum.Add(sum, size)
				if off := size.Sub(size, even); off.BitLen() > 64 {
					t.Errorf("a shard of %d is off by %s", n, off)
				}
			}
			if sum.Cmp(ring) != 0 {
				t.Errorf("%d shards cover %s", n, sum)
			}
			if got := len(s.Records("orders")); got != 20*(round+1) {
				t.Errorf("%d records", got)
			}
		}
	}, kinesistest.WithoutLimits())
}

func TestUpdateShardCountToTheSameNumberChangesNothing(t *testing.T) {
	bubble(t, 4, func(t *testing.T, _ *kinesistest.Server, c *client) {
		for _, n := range []int32{4, 8, 8} {
			if err := c.scale(n); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(c.shards(kinesis.ListShardsInput{})); n != 4+8 {
			t.Errorf("%d shards", n)
		}
	})
}

func TestUpdateShardCountRefuses(t *testing.T) {
	bubble(t, 4, func(t *testing.T, s *kinesistest.Server, c *client) {
		want(t, c.scale(9), "InvalidArgumentException")
		want(t, c.scale(1), "InvalidArgumentException")
		want(t, c.scale(0), "ValidationException")
		_, err := c.UpdateShardCount(context.Background(), &kinesis.UpdateShardCountInput{StreamName: aws.String("orders"), TargetShardCount: aws.Int32(5), ScalingType: "OTHER"})
		want(t, err, "ValidationException")
		s.CreateStream("wide", 9000)
		_, err = c.UpdateShardCount(context.Background(), &kinesis.UpdateShardCountInput{StreamName: aws.String("wide"), TargetShardCount: aws.Int32(10_001), ScalingType: "UNIFORM_SCALING"})
		want(t, err, "LimitExceededException")
		s.CreateStream("wider", 10_990)
		time.Sleep(time.Second)
		equal(t, "up to the quota", codes(1, func() error { return c.scale(8) }), []string{""}) // 20,000 - 9,000 - 10,990 - 4 leaves room for 6
		want(t, c.scale(16), "LimitExceededException")
	})
}
