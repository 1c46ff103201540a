package dynamo

import (
	"fmt"
	"testing"
)

// The write a lease is renewed with, in a table of 5,000.
func BenchmarkConditionalUpdate(b *testing.B) {
	db := newDB(b)
	for i := range 5000 {
		must(b, db, "PutItem", fmt.Sprintf(`{"TableName":"leases","Item":{"k":{"S":"shardId-%012d"},"owner_":{"S":"w%d"},"leaseCounter":{"N":"0"},
			"checkpoint":{"S":"49590338271490256608559692538361571095921575989136588898"},"checkpointSubSequenceNumber":{"N":"0"},
			"ownerSwitchesSinceCheckpoint":{"N":"0"},"parentShardId":{"SS":["shardId-000000000001"]}}}`, i, i%20))
	}
	body := []byte(`{"TableName":"leases","Key":{"k":{"S":"shardId-000000000042"}},"UpdateExpression":"SET leaseCounter = leaseCounter + :one",
		"ConditionExpression":"leaseCounter < :max AND owner_ = :me AND attribute_exists(k)","ReturnValues":"ALL_NEW",
		"ExpressionAttributeValues":{":one":{"N":"1"},":max":{"N":"1000000000000"},":me":{"S":"w2"}}}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, fault := db.Call(b.Context(), "UpdateItem", body); fault != nil {
			b.Fatal(fault)
		}
	}
}
