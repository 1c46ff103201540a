package kinesis

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"testing"
)

// names are all operations, in an order.
func names() []string {
	all := append(slices.Collect(maps.Keys(operations)), slices.Collect(maps.Keys(settings))...)
	slices.Sort(all)
	return all
}

// Whatever a request has in it, an operation answers with JSON or with an exception that is the client's fault, and what it leaves behind
// can be saved and loaded.
func FuzzRequestsAreAnswered(f *testing.F) {
	for i := range names() {
		for _, body := range []string{
			`{}`, `null`, `[]`, `{"StreamName":"orders"}`, `{"StreamARN":"arn:aws:kinesis:us-east-1:000000000000:stream/orders"}`,
			`{"StreamName":"new","ShardCount":3,"Tags":{"a":"b"}}`, `{"StreamName":"new","StreamModeDetails":{"StreamMode":"ON_DEMAND"}}`,
			`{"StreamName":"orders","TargetShardCount":3,"ScalingType":"UNIFORM_SCALING"}`, `{"StreamName":"orders","RetentionPeriodHours":8760}`,
			`{"StreamName":"orders","EncryptionType":"KMS","KeyId":"alias/a"}`, `{"StreamName":"orders","ShardLevelMetrics":["ALL"]}`,
			`{"StreamARN":"arn:aws:kinesis:us-east-1:000000000000:stream/orders","MaxRecordSizeInKiB":10240}`,
			`{"StreamName":"orders","Tags":{"a":null,"":"x"},"TagKeys":[null]}`, `{"MinimumThroughputBillingCommitment":{"Status":"ENABLED"}}`,
			`{"ResourceARN":"arn:aws:kinesis:us-east-1:000000000000:stream/orders","Policy":"{}","Tags":{"a":"b"},"TagKeys":["a"]}`,
			`{"ResourceARN":"arn:aws:kinesis:us-east-1:000000000000:stream/orders/consumer/a:1","Policy":"{}"}`,
			`{"StreamName":"orders","ShardToSplit":"shardId-000000000000","NewStartingHashKey":"99"}`,
			`{"StreamName":"orders","ShardToMerge":"shardId-000000000000","AdjacentShardToMerge":"shardId-000000000001"}`,
			`{"StreamName":"orders","ShardId":"shardId-000000000000","ShardIteratorType":"AT_TIMESTAMP","Timestamp":1e300}`,
			`{"StreamName":"orders","Records":[{"Data":"eA==","PartitionKey":"k"},null,{"ExplicitHashKey":"x"}],"DryRun":true}`,
			`{"StreamName":"orders","Data":"eA==","PartitionKey":"k","SequenceNumberForOrdering":"0"}`,
		} {
			f.Add(i, []byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, op int, body []byte) {
		// Creating 20,000 shards is allowed, and slow.
		if op < 0 || bytes.Contains(body, []byte("000")) && bytes.Contains(body, []byte("ShardCount")) {
			t.Skip()
		}
		s := New(Config{Account: Account, Region: Region})
		if err := s.Create(Spec{Name: "orders", Shards: 2}); err != nil {
			t.Fatal(err)
		}
		name := names()[op%len(names())]
		answer, err := s.Call(t.Context(), name, body)
		if err != nil && (err.Status != 0 || err.Code == "" || err.Message == "") {
			t.Errorf("%s %s: %+v", name, body, err)
		}
		if err == nil && len(answer) > 0 && !json.Valid(answer) {
			t.Errorf("%s %s: %s", name, body, answer)
		}
		Names(body)
		var saved, again bytes.Buffer
		if err := s.Save(&saved); err != nil {
			t.Fatal(err)
		}
		document := saved.String()
		loaded := New(Config{Account: Account, Region: Region})
		if err := loaded.Load(&saved); err != nil {
			t.Fatalf("%s %s: %v", name, body, err)
		}
		if err := loaded.Save(&again); err != nil || again.String() != document {
			t.Errorf("%s %s: %v: %s\nbecame %s", name, body, err, document, again.String())
		}
	})
}

// What Load accepts, operations can work with.
func FuzzLoadedStateWorks(f *testing.F) {
	s := New(Config{Account: Account, Region: Region})
	if err := s.Create(Spec{Name: "orders", Shards: 2, Tags: map[string]string{"a": "b"}}); err != nil {
		f.Fatal(err)
	}
	for op, body := range map[string]string{
		"PutRecord":              `{"StreamName":"orders","Data":"eA==","PartitionKey":"k"}`,
		"SplitShard":             `{"StreamName":"orders","ShardToSplit":"shardId-000000000000","NewStartingHashKey":"99"}`,
		"RegisterStreamConsumer": `{"StreamARN":"arn:aws:kinesis:us-east-1:000000000000:stream/orders","ConsumerName":"app"}`,
	} {
		if _, err := s.Call(f.Context(), op, []byte(body)); err != nil {
			f.Fatal(op, err)
		}
	}
	var saved bytes.Buffer
	if err := s.Save(&saved); err != nil {
		f.Fatal(err)
	}
	f.Add(saved.Bytes())
	f.Fuzz(func(t *testing.T, document []byte) {
		s := New(Config{Account: Account, Region: Region})
		if s.Load(bytes.NewReader(document)) != nil {
			return
		}
		for _, name := range names() {
			for _, body := range []string{
				`{"StreamName":"orders","Data":"eA==","PartitionKey":"k"}`, `{"StreamName":"orders","Records":[{"Data":"eA==","PartitionKey":"k"}]}`,
				`{"StreamARN":"arn:aws:kinesis:us-east-1:000000000000:stream/orders","ConsumerName":"app"}`,
				`{"StreamName":"orders","TargetShardCount":2,"ScalingType":"UNIFORM_SCALING"}`,
				`{"StreamName":"orders","ShardId":"shardId-000000000000","ShardIteratorType":"TRIM_HORIZON"}`,
			} {
				if answer, err := s.Call(t.Context(), name, []byte(body)); err == nil && len(answer) > 0 && !json.Valid(answer) {
					t.Errorf("%s %s: %s", name, body, answer)
				}
			}
		}
		if _, err := s.Records("orders"); err != nil && err.Status != 0 {
			t.Error(err)
		}
	})
}
