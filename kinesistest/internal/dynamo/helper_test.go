package dynamo

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

const createLeases = `{"TableName":"leases","BillingMode":"PAY_PER_REQUEST",
	"AttributeDefinitions":[{"AttributeName":"k","AttributeType":"S"},{"AttributeName":"owner_","AttributeType":"S"}],
	"KeySchema":[{"AttributeName":"k","KeyType":"HASH"}],
	"GlobalSecondaryIndexes":[{"IndexName":"by-owner","KeySchema":[{"AttributeName":"owner_","KeyType":"HASH"}],
		"Projection":{"ProjectionType":"ALL"}}]}`

const createEvents = `{"TableName":"events","BillingMode":"PAY_PER_REQUEST",
	"AttributeDefinitions":[{"AttributeName":"id","AttributeType":"S"},{"AttributeName":"seq","AttributeType":"N"},
		{"AttributeName":"grp","AttributeType":"S"},{"AttributeName":"tag","AttributeType":"B"}],
	"KeySchema":[{"AttributeName":"id","KeyType":"HASH"},{"AttributeName":"seq","KeyType":"RANGE"}],
	"GlobalSecondaryIndexes":[
		{"IndexName":"grp-tag","KeySchema":[{"AttributeName":"grp","KeyType":"HASH"},{"AttributeName":"tag","KeyType":"RANGE"}],
			"Projection":{"ProjectionType":"INCLUDE","NonKeyAttributes":["n"]}},
		{"IndexName":"grp-id","KeySchema":[{"AttributeName":"grp","KeyType":"HASH"},{"AttributeName":"id","KeyType":"RANGE"}],
			"Projection":{"ProjectionType":"KEYS_ONLY"}},
		{"IndexName":"grp-only","KeySchema":[{"AttributeName":"grp","KeyType":"HASH"}],"Projection":{"ProjectionType":"KEYS_ONLY"}}]}`

// newDB has the tables leases (hash key k, index by-owner) and events (hash key id, range key seq, three indexes).
func newDB(t testing.TB) *DB {
	t.Helper()
	db := New()
	must(t, db, "CreateTable", createLeases)
	must(t, db, "CreateTable", createEvents)
	return db
}

func must(t testing.TB, db *DB, op, body string) string {
	t.Helper()
	reply, fault := db.Call(t.Context(), op, []byte(body))
	if fault != nil {
		t.Fatalf("%s %s: %v", op, body, fault)
	}
	return string(reply)
}

// refused asserts the exception's code and a part of its message.
func refused(t testing.TB, db *DB, op, body, code, message string) *wire.Error {
	t.Helper()
	reply, fault := db.Call(t.Context(), op, []byte(body))
	if fault == nil {
		t.Fatalf("%s %s: answered %s, want %s", op, body, reply, code)
	}
	if fault.Code != code || !strings.Contains(fault.Message, message) {
		t.Fatalf("%s %s:\n got %s\nwant %s: …%s…", op, body, fault, code, message)
	}
	return fault
}

// wantJSON compares documents, not their notation.
func wantJSON(t testing.TB, got, want string) {
	t.Helper()
	canonical := func(s string) []byte {
		var v any
		if err := json.Unmarshal([]byte(s), &v); err != nil {
			t.Fatalf("not JSON: %v: %s", err, s)
		}
		out, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if g, w := canonical(got), canonical(want); !bytes.Equal(g, w) {
		t.Fatalf("\n got %s\nwant %s", g, w)
	}
}

// row is the item {k: "x", …} of table leases, or {} when there is none.
func row(t testing.TB, db *DB) string {
	t.Helper()
	reply := must(t, db, "GetItem", `{"TableName":"leases","Key":{"k":{"S":"x"}},"ConsistentRead":true}`)
	var out struct{ Item json.RawMessage }
	if err := json.Unmarshal([]byte(reply), &out); err != nil {
		t.Fatal(err)
	}
	if out.Item == nil {
		return "{}"
	}
	return string(out.Item)
}

func putRow(t testing.TB, db *DB, attributes string) {
	t.Helper()
	must(t, db, "PutItem", fmt.Sprintf(`{"TableName":"leases","Item":{"k":{"S":"x"}%s}}`, prefixComma(attributes)))
}

func prefixComma(s string) string {
	if s == "" {
		return ""
	}
	return "," + s
}

// updateRow builds an UpdateItem of the row; rest are further members.
func updateRow(expression, values, rest string) string {
	body := `{"TableName":"leases","Key":{"k":{"S":"x"}}`
	if expression != "" {
		body += `,"UpdateExpression":` + quote(expression)
	}
	if values != "" {
		body += `,"ExpressionAttributeValues":{` + values + `}`
	}
	return body + prefixComma(rest) + "}"
}

func quote(s string) string {
	out, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(out)
}

// testARN is what the ARNs of a database begin with that was not told its place.
const testARN = "arn:aws:dynamodb:us-east-1:000000000000:table/"
