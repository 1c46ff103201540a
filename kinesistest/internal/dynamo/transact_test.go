package dynamo

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const transactKey = `"TableName":"leases","Key":{"k":{"S":"%s"}}`

// onKey is a member of a transaction about one row of leases.
func onKey(action, key, rest string) string {
	return fmt.Sprintf(`{"%s":{`+transactKey+`%s}}`, action, key, prefixComma(rest))
}

func transaction(items ...string) string {
	return `{"TransactItems":[` + strings.Join(items, ",") + `]}`
}

func TestTransactionsWriteAllOrNothing(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	putRow(t, db, `"n":{"N":"1"}`)
	must(t, db, "PutItem", `{"TableName":"leases","Item":{"k":{"S":"y"},"n":{"N":"2"}}}`)
	put := `{"Put":{"TableName":"events","Item":{"id":{"S":"e"},"seq":{"N":"1"}},"ConditionExpression":"attribute_not_exists(id)"}}`
	update := onKey("Update", "x", `"UpdateExpression":"SET n = n + :one","ExpressionAttributeValues":{":one":{"N":"1"}}`)
	remove := onKey("Delete", "y", `"ConditionExpression":"#n = :n","ExpressionAttributeNames":{"#n":"n"},"ExpressionAttributeValues":{":n":{"N":"2"}}`)
	check := onKey("ConditionCheck", "z", `"ConditionExpression":"attribute_not_exists(k)"`)

	failing := onKey("ConditionCheck", "y", `"ConditionExpression":"attribute_not_exists(k)","ReturnValuesOnConditionCheckFailure":"ALL_OLD"`)
	fault := refused(t, db, "TransactWriteItems", transaction(put, failing, update), "TransactionCanceledException",
		"Transaction cancelled, please refer cancellation reasons for specific reasons [None, ConditionalCheckFailed, None]")
	reasons, err := json.Marshal(fault.Members["CancellationReasons"])
	if err != nil {
		t.Fatal(err)
	}
	wantJSON(t, string(reasons), `[{"Code":"None"},{"Code":"ConditionalCheckFailed","Message":"The conditional request failed",
		"Item":{"k":{"S":"y"},"n":{"N":"2"}}},{"Code":"None"}]`)
	if len(db.Items("events")) != 0 {
		t.Fatal("a cancelled transaction has written")
	}
	wantJSON(t, row(t, db), `{"k":{"S":"x"},"n":{"N":"1"}}`)

	reply := must(t, db, "TransactWriteItems", strings.TrimSuffix(transaction(put, update, remove, check), "}")+`,"ReturnConsumedCapacity":"TOTAL"}`)
	wantJSON(t, reply, `{"ConsumedCapacity":[{"TableName":"events","CapacityUnits":2},{"TableName":"leases","CapacityUnits":6}]}`)
	wantJSON(t, row(t, db), `{"k":{"S":"x"},"n":{"N":"2"}}`)
	if len(db.Items("leases")) != 1 || len(db.Items("events")) != 1 {
		t.Fatalf("left %v and %v", db.Items("leases"), db.Items("events"))
	}
}

func TestReasonsAreOfEveryFailingItemInOrder(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	putRow(t, db, `"n":{"S":"text"}`)
	fault := refused(t, db, "TransactWriteItems", transaction(
		onKey("Delete", "a", ""),
		onKey("Update", "x", `"UpdateExpression":"ADD n :n","ExpressionAttributeValues":{":n":{"N":"1"}}`),
		onKey("Delete", "b", `"ConditionExpression":"attribute_exists(k)","ReturnValuesOnConditionCheckFailure":"ALL_OLD"`),
		`{"Put":{"TableName":"leases","Item":{"k":{"N":"1"}}}}`,
	), "TransactionCanceledException", "[None, ValidationError, ConditionalCheckFailed, ValidationError]")
	reasons := fault.Members["CancellationReasons"].([]reason)
	if reasons[1].Message != errOperandType.Message || reasons[2].Item != nil || !strings.Contains(reasons[3].Message, "Type mismatch for key k") {
		t.Fatalf("%+v", reasons)
	}
}

func TestMalformedTransactionsAreRefused(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	tests := []struct{ op, body, code, message string }{
		{"TransactWriteItems", `{"TransactItems":[]}`, "ValidationException", "length between 1 and 100"},
		{"TransactWriteItems", `{"TransactItems":[` + repeated(101, `{"Delete":{"TableName":"leases","Key":{"k":{"S":"%d"}}}}`) + `]}`, "ValidationException", "between 1 and 100"},
		{"TransactWriteItems", transaction(`{}`), "ValidationException", "TransactItems can only contain one of Check, Put, Update or Delete"},
		{"TransactWriteItems", transaction(onKey("Delete", "x", ""), onKey("Delete", "x", "")), "ValidationException", "multiple operations on one item"},
		{"TransactWriteItems", transaction(onKey("ConditionCheck", "x", "")), "ValidationException", "conditionCheck.conditionExpression"},
		{"TransactWriteItems", transaction(onKey("Update", "x", "")), "ValidationException", "update.updateExpression"},
		{"TransactWriteItems", transaction(onKey("Update", "x", `"UpdateExpression":"SET"`)), "ValidationException", "Syntax error"},
		{"TransactWriteItems", transaction(onKey("Update", "x", `"UpdateExpression":"SET k = k"`)), "TransactionCanceledException", "[ValidationError]"},
		{"TransactWriteItems", transaction(onKey("Delete", "x", `"Expected":{}`)), "ValidationException", `parameter "Expected"`},
		{"TransactWriteItems", transaction(`{"Delete":{"TableName":"other","Key":{"k":{"S":"x"}}}}`), "ResourceNotFoundException", "Requested resource not found"},
		{"TransactWriteItems", strings.Replace(transaction(onKey("Delete", "x", "")), "{", `{"ClientRequestToken":"`+strings.Repeat("x", 37)+`",`, 1), "ValidationException", "clientRequestToken"},
		{"TransactGetItems", `{"TransactItems":[]}`, "ValidationException", "length between 1 and 100"},
		{"TransactGetItems", transaction(`{}`), "ValidationException", "'transactItems.1.member.get'"},
		{"TransactGetItems", transaction(onKey("Get", "x", ""), onKey("Get", "x", "")), "ValidationException", "multiple operations on one item"},
		{"TransactGetItems", transaction(onKey("Get", "x", ""), `{"Get":{"TableName":"leases","Key":{"k":{"N":"1"}}}}`), "TransactionCanceledException", "[None, ValidationError]"},
		{"TransactGetItems", transaction(`{"Get":{"TableName":"other","Key":{"k":{"S":"x"}}}}`), "ResourceNotFoundException", "Requested resource not found"},
	}
	for _, test := range tests {
		refused(t, db, test.op, test.body, test.code, test.message)
	}
	var big []string
	for i := range 11 {
		big = append(big, fmt.Sprintf(`{"Put":{"TableName":"leases","Item":{"k":{"S":"%d"},"a":{"S":"%s"}}}}`, i, strings.Repeat("x", 399<<10)))
	}
	refused(t, db, "TransactWriteItems", transaction(big...), "ValidationException", "4 MB")
	must(t, db, "TransactWriteItems", transaction(big[:10]...))
	must(t, db, "TransactWriteItems", transaction(big[10]))
	var gets []string
	for i := range 11 {
		gets = append(gets, onKey("Get", fmt.Sprint(i), `"ProjectionExpression":"k"`))
	}
	must(t, db, "TransactGetItems", transaction(gets[:10]...))
	refused(t, db, "TransactGetItems", transaction(gets...), "ValidationException", "4 MB")
}

func TestTransactionsReadInOrder(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	putRow(t, db, `"a":{"N":"1"}`)
	must(t, db, "PutItem", `{"TableName":"events","Item":{"id":{"S":"e"},"seq":{"N":"1"}}}`)
	body := transaction(onKey("Get", "none", ""), `{"Get":{"TableName":"events","Key":{"id":{"S":"e"},"seq":{"N":"1"}}}}`,
		onKey("Get", "x", `"ProjectionExpression":"#a","ExpressionAttributeNames":{"#a":"a"}`))
	wantJSON(t, must(t, db, "TransactGetItems", strings.TrimSuffix(body, "}")+`,"ReturnConsumedCapacity":"TOTAL"}`),
		`{"Responses":[{},{"Item":{"id":{"S":"e"},"seq":{"N":"1"}}},{"Item":{"a":{"N":"1"}}}],
		"ConsumedCapacity":[{"TableName":"events","CapacityUnits":2},{"TableName":"leases","CapacityUnits":4}]}`)
}

func TestATokenMakesATransactionHappenOnceInTenMinutes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := newDB(t)
		count := func(by, order string) string {
			values := `":by":{"N":"` + by + `"},":m":{"S":"m"}`
			if order == "other" {
				values = `":m":{"S":"m"},":by":{"N":"` + by + `"}`
			}
			body := transaction(onKey("Update", "x", `"UpdateExpression":"ADD n :by SET m = :m","ExpressionAttributeValues":{`+values+`}`))
			return strings.TrimSuffix(body, "}") + `,"ClientRequestToken":"once","ReturnConsumedCapacity":"TOTAL"}`
		}
		want := func(n string) {
			t.Helper()
			wantJSON(t, row(t, db), `{"k":{"S":"x"},"m":{"S":"m"},"n":{"N":"`+n+`"}}`)
		}
		must(t, db, "TransactWriteItems", count("1", ""))
		time.Sleep(replayWindow - 1)
		wantJSON(t, must(t, db, "TransactWriteItems", count("1", "other")), `{"ConsumedCapacity":[{"TableName":"leases","CapacityUnits":2}]}`)
		want("1")
		refused(t, db, "TransactWriteItems", count("2", ""), "IdempotentParameterMismatchException", "")
		time.Sleep(1)
		must(t, db, "TransactWriteItems", count("1", ""))
		want("2")
	})
}

func TestACancelledTransactionDoesNotUseItsToken(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	body := strings.TrimSuffix(transaction(onKey("Delete", "x", `"ConditionExpression":"attribute_exists(k)"`)), "}") + `,"ClientRequestToken":"t"}`
	refused(t, db, "TransactWriteItems", body, "TransactionCanceledException", "[ConditionalCheckFailed]")
	putRow(t, db, "")
	must(t, db, "TransactWriteItems", body)
	if got := row(t, db); got != "{}" {
		t.Fatalf("left %s", got)
	}
}
