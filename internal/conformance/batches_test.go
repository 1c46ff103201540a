package conformance

import (
	"fmt"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

func (tb *table) writeBatch(writes ...types.WriteRequest) error {
	tb.t.Helper()
	out, err := tb.dynamo.BatchWriteItem(tb.t.Context(), &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{*tb.name: writes}})
	if err == nil {
		equal(tb.t, "unprocessed", len(out.UnprocessedItems), 0)
	}
	return err
}

func putRequest(one item) types.WriteRequest {
	return types.WriteRequest{PutRequest: &types.PutRequest{Item: one}}
}

func deleteRequest(key item) types.WriteRequest {
	return types.WriteRequest{DeleteRequest: &types.DeleteRequest{Key: key}}
}

var batchBehaviours = []behaviour{
	{
		name: "a batch puts and deletes",
		says: "BatchWriteItem: puts or deletes multiple items in one or more tables",
		run: func(t testing.TB, e *env) {
			tb, other := e.table(t), e.table(t)
			tb.put(it("id", "old"))
			ok(e.dynamo.BatchWriteItem(t.Context(), &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{
				*tb.name: {putRequest(it("id", "a")), deleteRequest(it("id", "old")), deleteRequest(it("id", "missing"))}, *other.name: {putRequest(it("id", "b"))},
			}}))(t)
			sameList(t, "items", sortedColumn(tb.scan(&dynamodb.ScanInput{})), []string{"a"})
			sameList(t, "items of the other", sortedColumn(other.scan(&dynamodb.ScanInput{})), []string{"b"})
		},
	},
	{
		name: "a batch has at most 25 writes, each of another item",
		says: "BatchWriteItem: rejected if there are more than 25 requests, or multiple operations on the same item, or a table does not exist",
		run: func(t testing.TB, e *env) {
			tb := e.table(t)
			var many []types.WriteRequest
			for i := range 26 {
				many = append(many, putRequest(it("id", fmt.Sprint(i))))
			}
			refused(t, tb.writeBatch(many...), validation)
			refused(t, tb.writeBatch(putRequest(it("id", "a")), deleteRequest(it("id", "a"))), validation)
			refused(t, tb.writeBatch(putRequest(it("id", "a")), putRequest(it("id", 1))), validation)
			typed[*types.ResourceNotFoundException](t, (&table{env: e, t: t, name: fresh()}).writeBatch(putRequest(it("id", "a"))))
			equal(t, "items", len(tb.scan(&dynamodb.ScanInput{})), 0)
		},
	},
	{
		name: "a batch gets what there is",
		says: "BatchGetItem: if a requested item does not exist, it is not returned in the result; ProjectionExpression, ConsistentRead for each table",
		run: func(t testing.TB, e *env) {
			tb := e.table(t)
			tb.put(it("id", "a", "x", 1, "y", 1), it("id", "b", "x", 2))
			out := ok(e.dynamo.BatchGetItem(t.Context(), &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{*tb.name: {
				Keys: []item{it("id", "a"), it("id", "b"), it("id", "missing")}, ConsistentRead: aws.Bool(true), ProjectionExpression: aws.String("x"),
			}}}))(t)
			found := column(out.Responses[*tb.name], "x")
			slices.Sort(found)
			sameList(t, "items", found, []string{"1", "2"})
			sameItem(t, "projected", out.Responses[*tb.name][0], it("x", out.Responses[*tb.name][0]["x"]))
		},
	},
	{
		name: "a batch gets at most 100 items, each once",
		says: "BatchGetItem: up to 100 items; if you request more than 100 items, or the same item twice, ValidationException",
		run: func(t testing.TB, e *env) {
			tb := e.table(t)
			var many []item
			for i := range 101 {
				many = append(many, it("id", fmt.Sprint(i)))
			}
			for _, list := range [][]item{many, {it("id", "a"), it("id", "a")}} {
				_, err := e.dynamo.BatchGetItem(t.Context(), &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{*tb.name: {Keys: list}}})
				refused(t, err, validation)
			}
		},
	},
}

func (tb *table) transact(writes ...types.TransactWriteItem) error {
	_, err := tb.dynamo.TransactWriteItems(tb.t.Context(), &dynamodb.TransactWriteItemsInput{TransactItems: writes})
	return err
}

func (tb *table) putIn(one item, condition *string) types.TransactWriteItem {
	return types.TransactWriteItem{Put: &types.Put{
		TableName: tb.name, Item: one, ConditionExpression: condition, ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}}
}

var noTransactions = skips{dynalite: unknownHere}

var transactionBehaviours = []behaviour{
	{
		name: "a transaction writes all", skips: noTransactions,
		says: "TransactWriteItems: a synchronous write operation that groups up to 100 actions: Put, Update, Delete, ConditionCheck; all succeed or none",
		run: func(t testing.TB, e *env) {
			tb := e.table(t)
			tb.put(it("id", "gone"), it("id", "n", "n", 1), it("id", "guard", "ok", true))
			err := tb.transact(
				tb.putIn(it("id", "a"), nil),
				types.TransactWriteItem{Delete: &types.Delete{TableName: tb.name, Key: it("id", "gone")}},
				types.TransactWriteItem{Update: &types.Update{
					TableName: tb.name, Key: it("id", "n"), UpdateExpression: aws.String("ADD n :v"), ExpressionAttributeValues: it(":v", 1),
				}},
				types.TransactWriteItem{ConditionCheck: &types.ConditionCheck{
					TableName: tb.name, Key: it("id", "guard"), ConditionExpression: aws.String("ok = :v"), ExpressionAttributeValues: it(":v", true),
				}},
			)
			if err != nil {
				t.Fatal(err)
			}
			sameList(t, "items", sortedColumn(tb.scan(&dynamodb.ScanInput{})), []string{"a", "guard", "n"})
			sameItem(t, "counter", tb.get(it("id", "n")), it("id", "n", "n", 2))
		},
	},
	{
		name: "a transaction that is cancelled writes nothing and gives a reason for each action", skips: noTransactions,
		says: "TransactWriteItems: TransactionCanceledException, CancellationReasons in the order of the items, None, ConditionalCheckFailed, with the Item if asked",
		run: func(t testing.TB, e *env) {
			tb := e.table(t)
			tb.put(it("id", "b", "x", 1))
			err := tb.transact(tb.putIn(it("id", "a"), nil), tb.putIn(it("id", "b"), aws.String("attribute_not_exists(id)")), tb.putIn(it("id", "c"), nil))
			reasons := typed[*types.TransactionCanceledException](t, err).CancellationReasons
			var codes []string
			for _, r := range reasons {
				codes = append(codes, aws.ToString(r.Code))
			}
			sameList(t, "reasons", codes, []string{"None", "ConditionalCheckFailed", "None"})
			sameItem(t, "the item that is in the way", reasons[1].Item, it("id", "b", "x", 1))
			sameList(t, "items", sortedColumn(tb.scan(&dynamodb.ScanInput{})), []string{"b"})
		},
	},
	{
		name: "a transaction has an item once", skips: noTransactions,
		says: "TransactWriteItems: no two actions can target the same item; ValidationException",
		run: func(t testing.TB, e *env) {
			tb := e.table(t)
			refused(t, tb.transact(tb.putIn(it("id", "a"), nil), types.TransactWriteItem{Delete: &types.Delete{TableName: tb.name, Key: it("id", "a")}}), validation)
		},
	},
	{
		name: "a transaction with a token is done once", skips: noTransactions,
		says: "TransactWriteItems: ClientRequestToken makes the call idempotent; with other parameters IdempotentParameterMismatchException",
		run: func(t testing.TB, e *env) {
			tb := e.table(t)
			add := func(n int) error {
				_, err := e.dynamo.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{ClientRequestToken: tb.name, TransactItems: []types.TransactWriteItem{{Update: &types.Update{
					TableName: tb.name, Key: it("id", "a"), UpdateExpression: aws.String("ADD n :v"), ExpressionAttributeValues: it(":v", n),
				}}}})
				return err
			}
			for range 2 {
				if err := add(1); err != nil {
					t.Fatal(err)
				}
			}
			sameItem(t, "counter", tb.get(it("id", "a")), it("id", "a", "n", 1))
			typed[*types.IdempotentParameterMismatchException](t, add(2))
		},
	},
	{
		name: "a transaction reads all", skips: noTransactions,
		says: "TransactGetItems: Responses in the order of the TransactItems; if an item does not exist, the corresponding element has no Item",
		run: func(t testing.TB, e *env) {
			tb := e.table(t)
			tb.put(it("id", "a", "x", 1), it("id", "b", "x", 2))
			get := func(id string) types.TransactGetItem {
				return types.TransactGetItem{Get: &types.Get{TableName: tb.name, Key: it("id", id)}}
			}
			out := ok(e.dynamo.TransactGetItems(t.Context(), &dynamodb.TransactGetItemsInput{TransactItems: []types.TransactGetItem{get("b"), get("missing"), get("a")}}))(t)
			equal(t, "responses", len(out.Responses), 3)
			sameItem(t, "first", out.Responses[0].Item, it("id", "b", "x", 2))
			sameItem(t, "second", out.Responses[1].Item, nil)
			sameItem(t, "third", out.Responses[2].Item, it("id", "a", "x", 1))
		},
	},
}
