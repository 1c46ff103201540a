package kinesistest_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesiskit/kinesiskit/kinesistest"
)

func (c *client) describe(stream string) *types.StreamDescriptionSummary {
	c.t.Helper()
	return ok(c.DescribeStreamSummary(context.Background(), &kinesis.DescribeStreamSummaryInput{StreamName: &stream}))(c.t).StreamDescriptionSummary
}

// onDemand makes a stream in on-demand mode.
func (c *client) onDemand(name string) {
	c.t.Helper()
	ok(c.CreateStream(context.Background(), &kinesis.CreateStreamInput{
		StreamName: &name, StreamModeDetails: &types.StreamModeDetails{StreamMode: types.StreamModeOnDemand},
	}))(c.t)
}

func TestRetentionGrowsAndShrinksWhatCanBeRead(t *testing.T) {
	bubble(t, 1, func(t *testing.T, _ *kinesistest.Server, c *client) {
		ctx, name := context.Background(), aws.String("orders")
		increase := func(hours int32) error {
			_, err := c.IncreaseStreamRetentionPeriod(ctx, &kinesis.IncreaseStreamRetentionPeriodInput{StreamName: name, RetentionPeriodHours: &hours})
			return err
		}
		decrease := func(hours int32) error {
			_, err := c.DecreaseStreamRetentionPeriod(ctx, &kinesis.DecreaseStreamRetentionPeriodInput{StreamName: name, RetentionPeriodHours: &hours})
			return err
		}
		c.put("k", "expired")
		time.Sleep(20 * time.Hour)
		c.put("k", "a")
		time.Sleep(5 * time.Hour)
		if err := increase(48); err != nil {
			t.Fatal(err)
		}
		equal(t, "what had expired stays so", c.texts(c.start(shardID(0))), []string{"a"})
		time.Sleep(40 * time.Hour)
		c.put("k", "b")
		equal(t, "after 45 hours", c.texts(c.start(shardID(0))), []string{"a", "b"})
		want(t, increase(24), "InvalidArgumentException")
		want(t, decrease(72), "InvalidArgumentException")
		want(t, increase(8761), "ValidationException")
		want(t, decrease(23), "ValidationException")
		if err := decrease(24); err != nil || *c.describe("orders").RetentionPeriodHours != 24 {
			t.Error(err)
		}
		equal(t, "shortened", c.texts(c.start(shardID(0))), []string{"b"})
	}, kinesistest.WithoutLimits())
}

func TestEncryptionIsToldOfEachRecord(t *testing.T) {
	bubble(t, 1, func(t *testing.T, _ *kinesistest.Server, c *client) {
		ctx, name, key := context.Background(), aws.String("orders"), aws.String("alias/aws/kinesis")
		put := func() types.EncryptionType {
			one := ok(c.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: name, PartitionKey: aws.String("k"), Data: []byte("x")}))(t).EncryptionType
			if many := ok(c.PutRecords(ctx, batch("orders", 1, 1)))(t).EncryptionType; many != one {
				t.Errorf("PutRecord says %s, PutRecords %s", one, many)
			}
			return one
		}
		said := []types.EncryptionType{put()}
		ok(c.StartStreamEncryption(ctx, &kinesis.StartStreamEncryptionInput{StreamName: name, EncryptionType: "KMS", KeyId: key}))(t)
		if d := c.describe("orders"); d.EncryptionType != "KMS" || *d.KeyId != *key {
			t.Errorf("%+v", d)
		}
		said = append(said, put())
		ok(c.StopStreamEncryption(ctx, &kinesis.StopStreamEncryptionInput{StreamName: name, EncryptionType: "KMS", KeyId: key}))(t)
		if d := c.describe("orders"); d.EncryptionType != "NONE" || d.KeyId != nil {
			t.Errorf("%+v", d)
		}
		said = append(said, put())
		equal(t, "puts", said, []types.EncryptionType{"NONE", "KMS", "NONE"})
		var read []types.EncryptionType
		for _, r := range c.get(c.start(shardID(0))).Records {
			read = append(read, r.EncryptionType)
		}
		equal(t, "records", read, []types.EncryptionType{"NONE", "NONE", "KMS", "KMS", "NONE", "NONE"})
		_, err := c.StartStreamEncryption(ctx, &kinesis.StartStreamEncryptionInput{StreamName: name, EncryptionType: "NONE", KeyId: key})
		want(t, err, "InvalidArgumentException")
		_, err = c.StartStreamEncryption(ctx, &kinesis.StartStreamEncryptionInput{StreamName: name, EncryptionType: "AES", KeyId: aws.String("")})
		want(t, err, "ValidationException")
	}, kinesistest.WithoutLimits())
}

func TestShardLevelMetricsAreSwitchedOneByOne(t *testing.T) {
	bubble(t, 1, func(t *testing.T, _ *kinesistest.Server, c *client) {
		ctx, name := context.Background(), aws.String("orders")
		in, out, all := types.MetricsNameIncomingBytes, types.MetricsNameOutgoingBytes, types.MetricsNameAll
		on := ok(c.EnableEnhancedMonitoring(ctx, &kinesis.EnableEnhancedMonitoringInput{StreamName: name, ShardLevelMetrics: []types.MetricsName{out}}))(t)
		equal(t, "before", on.CurrentShardLevelMetrics, nil)
		on = ok(c.EnableEnhancedMonitoring(ctx, &kinesis.EnableEnhancedMonitoringInput{StreamName: name, ShardLevelMetrics: []types.MetricsName{in}}))(t)
		equal(t, "after", on.DesiredShardLevelMetrics, []types.MetricsName{in, out})
		on = ok(c.EnableEnhancedMonitoring(ctx, &kinesis.EnableEnhancedMonitoringInput{StreamName: name, ShardLevelMetrics: []types.MetricsName{all}}))(t)
		equal(t, "all", on.DesiredShardLevelMetrics, slices.DeleteFunc(all.Values(), func(m types.MetricsName) bool { return m == all }))
		off := ok(c.DisableEnhancedMonitoring(ctx, &kinesis.DisableEnhancedMonitoringInput{StreamARN: arn("orders"), ShardLevelMetrics: all.Values()[1:7]}))(t)
		equal(t, "off", off.DesiredShardLevelMetrics, []types.MetricsName{in})
		equal(t, "described", c.describe("orders").EnhancedMonitoring[0].ShardLevelMetrics, []types.MetricsName{in})
		_, err := c.EnableEnhancedMonitoring(ctx, &kinesis.EnableEnhancedMonitoringInput{StreamName: name, ShardLevelMetrics: []types.MetricsName{"Other"}})
		want(t, err, "ValidationException")
		_, err = c.DisableEnhancedMonitoring(ctx, &kinesis.DisableEnhancedMonitoringInput{StreamName: name, ShardLevelMetrics: []types.MetricsName{}})
		want(t, err, "ValidationException")
	}, kinesistest.WithoutLimits())
}

func TestTheLargestRecordIsASetting(t *testing.T) {
	bubble(t, 1, func(t *testing.T, _ *kinesistest.Server, c *client) {
		ctx := context.Background()
		set := func(kib int32) error {
			_, err := c.UpdateMaxRecordSize(ctx, &kinesis.UpdateMaxRecordSizeInput{StreamARN: arn("orders"), MaxRecordSizeInKiB: &kib})
			return err
		}
		_, err := c.PutRecords(ctx, batch("orders", 1, 1<<20))
		want(t, err, "InvalidArgumentException")
		if err := set(2048); err != nil {
			t.Fatal(err)
		}
		ok(c.PutRecords(ctx, batch("orders", 1, 1<<20)))(t)
		want(t, set(1023), "ValidationException")
		want(t, set(10241), "ValidationException")
		_, err = c.UpdateMaxRecordSize(ctx, &kinesis.UpdateMaxRecordSizeInput{MaxRecordSizeInKiB: aws.Int32(2048)})
		want(t, err, "ValidationException")
		if n := *c.describe("orders").MaxRecordSizeInKiB; n != 2048 {
			t.Errorf("%d KiB", n)
		}
	})
}

func TestProvisionedOperationsRefuseOnDemandStreams(t *testing.T) {
	bubble(t, 2, func(t *testing.T, _ *kinesistest.Server, c *client) {
		ctx, name := context.Background(), aws.String("orders")
		mode := func(m types.StreamMode) {
			t.Helper()
			ok(c.UpdateStreamMode(ctx, &kinesis.UpdateStreamModeInput{StreamARN: arn("orders"), StreamModeDetails: &types.StreamModeDetails{StreamMode: m}}))(t)
		}
		reshard := func() []string {
			calls := []func() error{
				func() error {
					_, err := c.SplitShard(ctx, &kinesis.SplitShardInput{StreamName: name, ShardToSplit: aws.String(shardID(0)), NewStartingHashKey: aws.String("99")})
					return err
				},
				func() error {
					_, err := c.MergeShards(ctx, &kinesis.MergeShardsInput{StreamName: name, ShardToMerge: aws.String(shardID(1)), AdjacentShardToMerge: aws.String(shardID(3))})
					return err
				},
				func() error {
					_, err := c.UpdateShardCount(ctx, &kinesis.UpdateShardCountInput{StreamName: name, TargetShardCount: aws.Int32(2), ScalingType: "UNIFORM_SCALING"})
					return err
				},
			}
			var all []string
			for _, call := range calls {
				all = append(all, codes(1, call)...)
			}
			return all
		}
		mode(types.StreamModeOnDemand)
		equal(t, "on demand", reshard(), []string{"ValidationException", "ValidationException", "ValidationException"})
		if d := c.describe("orders"); d.StreamModeDetails.StreamMode != types.StreamModeOnDemand || d.RecordDistributionStrategy != "USER_PARTITION_KEY" {
			t.Errorf("%+v", d)
		}
		mode(types.StreamModeProvisioned)
		equal(t, "provisioned", reshard(), []string{"", "", ""})
	}, kinesistest.WithoutLimits())
}

func TestWarmThroughputNeedsTheCommitment(t *testing.T) {
	bubble(t, 1, func(t *testing.T, _ *kinesistest.Server, c *client) {
		ctx := context.Background()
		commit := func(status types.MinimumThroughputBillingCommitmentInputStatus) string {
			t.Helper()
			out := ok(c.UpdateAccountSettings(ctx, &kinesis.UpdateAccountSettingsInput{
				MinimumThroughputBillingCommitment: &types.MinimumThroughputBillingCommitmentInput{Status: status},
			}))(t)
			return string(out.MinimumThroughputBillingCommitment.Status)
		}
		status := func() string {
			t.Helper()
			return string(ok(c.DescribeAccountSettings(ctx, &kinesis.DescribeAccountSettingsInput{}))(t).MinimumThroughputBillingCommitment.Status)
		}
		warm := func(stream string, mib int32) error {
			_, err := c.UpdateStreamWarmThroughput(ctx, &kinesis.UpdateStreamWarmThroughputInput{StreamName: &stream, WarmThroughputMiBps: &mib})
			return err
		}
		c.onDemand("flex")
		want(t, warm("flex", 10), "InvalidArgumentException")
		equal(t, "commitment", []string{status(), commit("ENABLED"), status()}, []string{"DISABLED", "ENABLED", "ENABLED"})
		want(t, warm("orders", 10), "ValidationException")
		want(t, warm("flex", 10_241), "ValidationException")
		if err := warm("flex", 10); err != nil {
			t.Error(err)
		}
		if d := c.describe("flex"); *d.OpenShardCount != 10 || *d.WarmThroughput.CurrentMiBps != 10 || *d.WarmThroughput.TargetMiBps != 10 {
			t.Errorf("%+v", d)
		}
		ok(c.CreateStream(ctx, &kinesis.CreateStreamInput{
			StreamName: aws.String("warm"), WarmThroughputMiBps: aws.Int32(7), StreamModeDetails: &types.StreamModeDetails{StreamMode: "ON_DEMAND"},
		}))(t)
		if n := *c.describe("warm").OpenShardCount; n != 7 {
			t.Errorf("%d shards", n)
		}
		time.Sleep(time.Hour)
		equal(t, "ended too early", []string{commit("DISABLED"), commit("ENABLED"), commit("DISABLED")},
			[]string{"ENABLED_UNTIL_EARLIEST_ALLOWED_END", "ENABLED", "ENABLED_UNTIL_EARLIEST_ALLOWED_END"})
		time.Sleep(23 * time.Hour)
		equal(t, "after a day", []string{status()}, []string{"DISABLED"})
		if d := c.describe("flex"); d.WarmThroughput != nil {
			t.Errorf("%+v", d.WarmThroughput)
		}
	}, kinesistest.WithoutLimits())
}

func TestWithAutoPartitionKeysDoNotCount(t *testing.T) {
	bubble(t, 1, func(t *testing.T, s *kinesistest.Server, c *client) {
		ctx := context.Background()
		strategy := func(stream string, to types.RecordDistributionStrategy) error {
			_, err := c.UpdateStreamRecordDistributionStrategy(ctx, &kinesis.UpdateStreamRecordDistributionStrategyInput{
				StreamARN: arn(stream), RecordDistributionStrategy: to,
			})
			return err
		}
		put := func(key, explicit, after *string) (string, error) {
			out, err := c.PutRecord(ctx, &kinesis.PutRecordInput{
				StreamName: aws.String("flex"), PartitionKey: key, ExplicitHashKey: explicit, SequenceNumberForOrdering: after, Data: []byte("x"),
			})
			if err != nil {
				return "", err
			}
			return *out.ShardId, nil
		}
		c.onDemand("flex")
		want(t, strategy("orders", "AUTO"), "InvalidArgumentException")
		want(t, strategy("flex", "OTHER"), "ValidationException")
		_, err := put(nil, nil, nil)
		want(t, err, "ValidationException")
		if err := strategy("flex", "AUTO"); err != nil {
			t.Fatal(err)
		}
		shards := map[string]int{}
		for i := range 40 {
			shard, err := put([]*string{aws.String("same"), nil}[i%2], []*string{nil, aws.String("0")}[i%2], nil)
			if err != nil {
				t.Fatal(err)
			}
			shards[shard]++
		}
		if fmt.Sprint(shards) != fmt.Sprint(map[string]int{shardID(0): 10, shardID(1): 10, shardID(2): 10, shardID(3): 10}) {
			t.Error(shards)
		}
		_, err = put(aws.String("k"), nil, aws.String(s.Records("flex")[0].Sequence))
		want(t, err, "InvalidArgumentException")
		if got := c.describe("flex").RecordDistributionStrategy; got != "AUTO" {
			t.Error(got)
		}
		if got := c.describe("orders").RecordDistributionStrategy; got != "" {
			t.Error(got)
		}
		for _, mode := range []types.StreamMode{"PROVISIONED", "ON_DEMAND"} { // which forgets the strategy
			ok(c.UpdateStreamMode(ctx, &kinesis.UpdateStreamModeInput{StreamARN: arn("flex"), StreamModeDetails: &types.StreamModeDetails{StreamMode: mode}}))(t)
			_, err = put(nil, nil, nil)
			want(t, err, "ValidationException")
		}
		if got := c.describe("flex").RecordDistributionStrategy; got != "USER_PARTITION_KEY" {
			t.Error(got)
		}
		ok(c.CreateStream(ctx, &kinesis.CreateStreamInput{
			StreamName: aws.String("auto"), RecordDistributionStrategy: "AUTO", StreamModeDetails: &types.StreamModeDetails{StreamMode: "ON_DEMAND"},
		}))(t)
		ok(c.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: aws.String("auto"), Records: []types.PutRecordsRequestEntry{{Data: []byte("x")}}}))(t)
	}, kinesistest.WithoutLimits())
}
