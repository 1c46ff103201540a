package conformance

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

var streamSettingBehaviours = []behaviour{
	{
		name: "retention goes up and down",
		says: "IncreaseStreamRetentionPeriod, DecreaseStreamRetentionPeriod: the new retention period in hours",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			ok(e.kinesis.IncreaseStreamRetentionPeriod(t.Context(), &kinesis.IncreaseStreamRetentionPeriodInput{StreamName: s.name, RetentionPeriodHours: aws.Int32(72)}))(t)
			equal(t, "hours", *s.settle().summary().RetentionPeriodHours, 72)
			ok(e.kinesis.DecreaseStreamRetentionPeriod(t.Context(), &kinesis.DecreaseStreamRetentionPeriodInput{StreamName: s.name, RetentionPeriodHours: aws.Int32(48)}))(t)
			equal(t, "hours", *s.settle().summary().RetentionPeriodHours, 48)
		},
	},
	{
		name: "retention is 24 to 8760 hours, and is increased upwards",
		says: "IncreaseStreamRetentionPeriod: must be more than the current retention period, maximum 8760; DecreaseStreamRetentionPeriod: minimum 24",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			for _, n := range []int32{8761, 23} {
				_, err := e.kinesis.IncreaseStreamRetentionPeriod(t.Context(), &kinesis.IncreaseStreamRetentionPeriodInput{StreamName: s.name, RetentionPeriodHours: &n})
				refused(t, err, invalidArgument, validation)
			}
			for _, n := range []int32{23, 48} {
				_, err := e.kinesis.DecreaseStreamRetentionPeriod(t.Context(), &kinesis.DecreaseStreamRetentionPeriodInput{StreamName: s.name, RetentionPeriodHours: &n})
				refused(t, err, invalidArgument, validation)
			}
			equal(t, "hours", *s.summary().RetentionPeriodHours, 24)
		},
	},
	{
		name: "tags are added, replaced, listed and removed",
		says: "AddTagsToStream: adds or updates tags, overwriting existing ones; ListTagsForStream, RemoveTagsFromStream",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			for _, tags := range []map[string]string{{"a": "1", "b": "2", "c": "3"}, {"b": "two"}} {
				ok(e.kinesis.AddTagsToStream(t.Context(), &kinesis.AddTagsToStreamInput{StreamName: s.name, Tags: tags}))(t)
			}
			ok(e.kinesis.RemoveTagsFromStream(t.Context(), &kinesis.RemoveTagsFromStreamInput{StreamName: s.name, TagKeys: []string{"c", "unknown"}}))(t)
			out := ok(e.kinesis.ListTagsForStream(t.Context(), &kinesis.ListTagsForStreamInput{StreamName: s.name}))(t)
			sameList(t, "tags", listed(out.Tags), []string{"a=1", "b=two"})
			equal(t, "more", *out.HasMoreTags, false)
		},
	},
	{
		name: "tags are listed page by page",
		says: "ListTagsForStream: Limit, HasMoreTags, and ExclusiveStartTagKey, which is the last key of the page before",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			ok(e.kinesis.AddTagsToStream(t.Context(), &kinesis.AddTagsToStreamInput{StreamName: s.name, Tags: map[string]string{"a": "1", "b": "2", "c": "3"}}))(t)
			first := ok(e.kinesis.ListTagsForStream(t.Context(), &kinesis.ListTagsForStreamInput{StreamName: s.name, Limit: aws.Int32(2)}))(t)
			equal(t, "more", *first.HasMoreTags, true)
			rest := ok(e.kinesis.ListTagsForStream(t.Context(), &kinesis.ListTagsForStreamInput{StreamName: s.name, ExclusiveStartTagKey: first.Tags[1].Key}))(t)
			sameList(t, "tags", append(listed(first.Tags), listed(rest.Tags)...), []string{"a=1", "b=2", "c=3"})
		},
	},
	{
		name: "tags are given with the stream",
		says: "CreateStream: Tags, a set of up to 50 key-value pairs to use to create the tags",
		run: func(t testing.TB, e *env) {
			s := &stream{env: e, t: t, name: fresh()}
			ok(e.kinesis.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: s.name, ShardCount: aws.Int32(1), Tags: map[string]string{"a": "1"}}))(t)
			s.settle()
			out := ok(e.kinesis.ListTagsForStream(t.Context(), &kinesis.ListTagsForStreamInput{StreamName: s.name}))(t)
			sameList(t, "tags", listed(out.Tags), []string{"a=1"})
		},
		skips: skips{kinesalite: "drops them"},
	},
	{
		name: "resources are tagged by ARN",
		says: "TagResource, UntagResource, ListTagsForResource: ResourceARN of the resource to which to add tags",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			arn := s.summary().StreamARN
			ok(e.kinesis.TagResource(t.Context(), &kinesis.TagResourceInput{ResourceARN: arn, Tags: map[string]string{"a": "1", "b": "2"}}))(t)
			ok(e.kinesis.UntagResource(t.Context(), &kinesis.UntagResourceInput{ResourceARN: arn, TagKeys: []string{"a"}}))(t)
			out := ok(e.kinesis.ListTagsForResource(t.Context(), &kinesis.ListTagsForResourceInput{ResourceARN: arn}))(t)
			sameList(t, "tags", listed(out.Tags), []string{"b=2"})
		},
		skips: skips{kinesalite: unknownHere},
	},
	{
		name: "encryption is a setting that records tell",
		says: "StartStreamEncryption: enables server-side encryption with an AWS KMS key; PutRecord, Record: EncryptionType KMS",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			s.puts("plain")
			key := "alias/aws/kinesis"
			ok(e.kinesis.StartStreamEncryption(t.Context(), &kinesis.StartStreamEncryptionInput{StreamName: s.name, EncryptionType: types.EncryptionTypeKms, KeyId: &key}))(t)
			d := s.settle().summary()
			equal(t, "encryption", d.EncryptionType, types.EncryptionTypeKms)
			equal(t, "key", aws.ToString(d.KeyId), key)
			equal(t, "the put's encryption", s.put("k", "", "secret").EncryptionType, types.EncryptionTypeKms)
			equal(t, "the record's encryption", s.read(s.start(shard0), 2)[1].EncryptionType, types.EncryptionTypeKms)
			ok(e.kinesis.StopStreamEncryption(t.Context(), &kinesis.StopStreamEncryptionInput{StreamName: s.name, EncryptionType: types.EncryptionTypeKms, KeyId: &key}))(t)
			equal(t, "encryption", s.settle().summary().EncryptionType, types.EncryptionTypeNone)
		},
		skips: skips{kinesalite: unknownHere},
	},
	{
		name: "shard-level metrics are switched",
		says: "EnableEnhancedMonitoring, DisableEnhancedMonitoring: CurrentShardLevelMetrics before, DesiredShardLevelMetrics after the operation",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			metrics := []types.MetricsName{types.MetricsNameIncomingBytes, types.MetricsNameOutgoingBytes}
			on := ok(e.kinesis.EnableEnhancedMonitoring(t.Context(), &kinesis.EnableEnhancedMonitoringInput{StreamName: s.name, ShardLevelMetrics: metrics}))(t)
			equal(t, "before", len(on.CurrentShardLevelMetrics), 0)
			equal(t, "desired", len(on.DesiredShardLevelMetrics), 2)
			s.settle()
			off := ok(e.kinesis.DisableEnhancedMonitoring(t.Context(), &kinesis.DisableEnhancedMonitoringInput{StreamName: s.name, ShardLevelMetrics: metrics[:1]}))(t)
			equal(t, "before", len(off.CurrentShardLevelMetrics), 2)
			sameList(t, "left", s.settle().summary().EnhancedMonitoring[0].ShardLevelMetrics, metrics[1:])
		},
		skips: skips{kinesalite: unknownHere},
	},
	{
		name: "the mode is changed",
		says: "UpdateStreamMode: updates the capacity mode of the data stream",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			ok(e.kinesis.UpdateStreamMode(t.Context(), &kinesis.UpdateStreamModeInput{
				StreamARN: s.summary().StreamARN, StreamModeDetails: &types.StreamModeDetails{StreamMode: types.StreamModeOnDemand},
			}))(t)
			equal(t, "mode", s.settle().summary().StreamModeDetails.StreamMode, types.StreamModeOnDemand)
		},
		skips: skips{kinesalite: unknownHere},
	},
	{
		name: "a stream can be made to take larger records",
		says: "UpdateMaxRecordSize: updates the MaxRecordSize in KiB, 1024 to 10240",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			big := strings.Repeat("x", mib+mib/2)
			_, err := s.tryPut("k", "", big)
			refused(t, err, validation, invalidArgument)
			ok(e.kinesis.UpdateMaxRecordSize(t.Context(), &kinesis.UpdateMaxRecordSizeInput{StreamARN: s.summary().StreamARN, MaxRecordSizeInKiB: aws.Int32(2048)}))(t)
			s.settle().puts(big)
			equal(t, "size", len(s.read(s.start(shard0), 1)[0].Data), len(big))
		},
		skips: skips{kinesalite: unknownHere},
	},
	{
		name: "an account has a quota of shards",
		says: "DescribeLimits: ShardLimit, the maximum number of shards, and OpenShardCount, the number of open shards",
		run: func(t testing.TB, e *env) {
			e.stream(t, 2)
			out := ok(e.kinesis.DescribeLimits(t.Context(), &kinesis.DescribeLimitsInput{}))(t)
			if open := *out.OpenShardCount; open < 2 || *out.ShardLimit < open {
				t.Fatalf("%d open shards of %d", open, *out.ShardLimit)
			}
		},
		skips: skips{kinesalite: unknownHere},
	},
	{
		name: "a policy is put, read and deleted",
		says: "PutResourcePolicy attaches a resource-based policy; GetResourcePolicy returns it; DeleteResourcePolicy deletes it: for a data stream or a consumer",
		run: func(t testing.TB, e *env) {
			s := e.stream(t, 1)
			arn := s.summary().StreamARN
			policy := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"kinesis:PutRecord","Resource":%q}]}`, *arn)
			ok(e.kinesis.PutResourcePolicy(t.Context(), &kinesis.PutResourcePolicyInput{ResourceARN: arn, Policy: &policy}))(t)
			equal(t, "policy", *ok(e.kinesis.GetResourcePolicy(t.Context(), &kinesis.GetResourcePolicyInput{ResourceARN: arn}))(t).Policy, policy)
			ok(e.kinesis.DeleteResourcePolicy(t.Context(), &kinesis.DeleteResourcePolicyInput{ResourceARN: arn}))(t)
		},
		skips: skips{kinesalite: unknownHere},
	},
}

func listed(tags []types.Tag) []string {
	all := make([]string, len(tags))
	for i, tag := range tags {
		all[i] = *tag.Key + "=" + aws.ToString(tag.Value)
	}
	slices.Sort(all)
	return all
}
