package dynamo

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestBatchesWriteAndReadSeveralTables(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	putRow(t, db, `"a":{"N":"1"}`)
	wantJSON(t, must(t, db, "BatchWriteItem", `{"RequestItems":{
		"leases":[{"PutRequest":{"Item":{"k":{"S":"y"},"a":{"N":"2"},"b":{"N":"3"}}}},{"DeleteRequest":{"Key":{"k":{"S":"x"}}}}],
		"events":[{"PutRequest":{"Item":{"id":{"S":"e"},"seq":{"N":"1"},"grp":{"S":"g"}}}}]},"ReturnConsumedCapacity":"TOTAL"}`),
		`{"UnprocessedItems":{},"ConsumedCapacity":[{"TableName":"events","CapacityUnits":1},{"TableName":"leases","CapacityUnits":2}]}`)
	wantJSON(t, must(t, db, "BatchGetItem", `{"RequestItems":{
		"leases":{"Keys":[{"k":{"S":"x"}},{"k":{"S":"y"}}],"ProjectionExpression":"#a","ExpressionAttributeNames":{"#a":"a"}},
		"events":{"Keys":[{"id":{"S":"e"},"seq":{"N":"1"}}],"ConsistentRead":true,"AttributesToGet":["seq"]}},"ReturnConsumedCapacity":"TOTAL"}`),
		`{"Responses":{"leases":[{"a":{"N":"2"}}],"events":[{"seq":{"N":"1"}}]},"UnprocessedKeys":{},
		"ConsumedCapacity":[{"TableName":"events","CapacityUnits":1},{"TableName":"leases","CapacityUnits":1}]}`)
	if reply := must(t, db, "Query", queryBody("grp = :a", `":a":{"S":"g"}`, `"IndexName":"grp-only"`)); !strings.Contains(reply, `"Count":1`) {
		t.Fatalf("the index has not got the item: %s", reply)
	}
}

func repeated(n int, format string) string {
	parts := make([]string, n)
	for i := range parts {
		parts[i] = fmt.Sprintf(format, i)
	}
	return strings.Join(parts, ",")
}

func TestBatchLimitsAndDuplicates(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	const puts, gets = `{"RequestItems":{"leases":[%s]}}`, `{"RequestItems":{"leases":{"Keys":[%s]}}}`
	const put, key = `{"PutRequest":{"Item":{"k":{"S":"%d"}}}}`, `{"k":{"S":"%d"}}`
	must(t, db, "BatchWriteItem", fmt.Sprintf(puts, repeated(25, put)))
	must(t, db, "BatchGetItem", fmt.Sprintf(gets, repeated(100, key)))
	const same = `{"DeleteRequest":{"Key":{"k":{"S":"0"}}}},` + `{"PutRequest":{"Item":{"k":{"S":"0"}}}}`
	tests := []struct{ op, body, code, message string }{
		{"BatchWriteItem", fmt.Sprintf(puts, repeated(26, put)), "ValidationException", "Too many items requested for the BatchWriteItem call"},
		{"BatchWriteItem", fmt.Sprintf(puts, same), "ValidationException", "Provided list of item keys contains duplicates"},
		{"BatchWriteItem", fmt.Sprintf(puts, `{}`), "ValidationException", "more than one datatypes set"},
		{"BatchWriteItem", fmt.Sprintf(puts, ``), "ValidationException", "requestItems.leases.member"},
		{"BatchWriteItem", `{"RequestItems":{}}`, "ValidationException", "Value '{}' at 'requestItems'"},
		{"BatchWriteItem", `{"RequestItems":{"other":[{"DeleteRequest":{"Key":{"k":{"S":"0"}}}}]}}`, "ResourceNotFoundException", "Requested resource not found"},
		{"BatchGetItem", fmt.Sprintf(gets, repeated(101, key)), "ValidationException", "Too many items requested for the BatchGetItem call"},
		{"BatchGetItem", fmt.Sprintf(gets, `{"k":{"S":"0"}},{"k":{"S":"0"}}`), "ValidationException", "Provided list of item keys contains duplicates"},
		{"BatchGetItem", fmt.Sprintf(gets, ``), "ValidationException", "requestItems.leases.member"},
		{"BatchGetItem", fmt.Sprintf(gets, `{"k":{"N":"0"}}`), "ValidationException", "does not match the schema"},
		{"BatchGetItem", `{"RequestItems":{"other":{"Keys":[{"k":{"S":"0"}}]}}}`, "ResourceNotFoundException", "Requested resource not found"},
	}
	for _, test := range tests {
		refused(t, db, test.op, test.body, test.code, test.message)
	}
}

func TestAnInvalidWriteOfABatchStopsAll(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	refused(t, db, "BatchWriteItem", `{"RequestItems":{"leases":[{"PutRequest":{"Item":{"k":{"S":"x"}}}},{"PutRequest":{"Item":{"q":{"S":"x"}}}}]}}`,
		"ValidationException", "Missing the key k in the item")
	if got := row(t, db); got != "{}" {
		t.Fatalf("stored %s", got)
	}
}

func TestABatchOfMoreThan16MiBLeavesKeys(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	const n, size = 50, 390 << 10
	for i := range n {
		must(t, db, "PutItem", fmt.Sprintf(`{"TableName":"leases","Item":{"k":{"S":"%d"},"a":{"S":"%s"}}}`, i, strings.Repeat("x", size)))
	}
	body := fmt.Sprintf(`{"RequestItems":{"leases":{"ConsistentRead":true,"AttributesToGet":["k"],"Keys":[%s]}}}`, repeated(n, `{"k":{"S":"%d"}}`))
	seen := make(map[string]bool)
	calls := 0
	for body != "" {
		var reply struct {
			Responses       map[string][]struct{ K struct{ S string } }
			UnprocessedKeys json.RawMessage
		}
		if err := json.Unmarshal([]byte(must(t, db, "BatchGetItem", body)), &reply); err != nil {
			t.Fatal(err)
		}
		for _, it := range reply.Responses["leases"] {
			seen[it.K.S] = true
		}
		body = ""
		if string(reply.UnprocessedKeys) != "{}" {
			body = `{"RequestItems":` + string(reply.UnprocessedKeys) + `}`
		}
		calls++
	}
	if len(seen) != n || calls != 2 {
		t.Fatalf("%d items in %d calls", len(seen), calls)
	}
}
