package conformance

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

const updateExpressions = "Update expressions"

// updates applies one expression to an item and compares the outcome.
func updates(before item, e expr, after item) func(t testing.TB, e *env) {
	return func(t testing.TB, on *env) {
		tb := on.table(t)
		tb.put(before)
		sameItem(t, "returned", tb.update(e), after)
		sameItem(t, "stored", tb.get(it("id", "a")), after)
	}
}

var updateBehaviours = []behaviour{
	{
		name: "an update makes the item if there is none",
		says: "UpdateItem: edits an existing item's attributes, or adds a new item to the table if it does not already exist",
		run: func(t testing.TB, e *env) {
			tb := e.table(t)
			sameItem(t, "item", tb.update(expr{"SET x = :v", nil, v(1)}), it("id", "a", "x", 1))
			ok(e.dynamo.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{TableName: tb.name, Key: it("id", "b")}))(t)
			sameItem(t, "item without attributes", tb.get(it("id", "b")), it("id", "b"))
		},
	},
	{
		name: "an update that fails its condition makes no item",
		says: "UpdateItem: ConditionExpression, a condition that must be satisfied in order for a conditional update to succeed",
		run: func(t testing.TB, e *env) {
			tb := e.table(t)
			_, err := e.dynamo.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
				TableName: tb.name, Key: it("id", "a"), UpdateExpression: aws.String("SET x = :v"), ConditionExpression: aws.String("attribute_exists(id)"),
				ExpressionAttributeValues: it(":v", 1),
			})
			typed[*types.ConditionalCheckFailedException](t, err)
			sameItem(t, "item", tb.get(it("id", "a")), nil)
		},
	},
	{
		name: "an update returns what it is asked for",
		says: "UpdateItem: ReturnValues NONE, ALL_OLD, UPDATED_OLD (only the updated attributes, as they were), ALL_NEW, UPDATED_NEW",
		run: func(t testing.TB, e *env) {
			tb := e.table(t)
			for kind, want := range map[types.ReturnValue]item{
				"": nil, types.ReturnValueNone: nil, types.ReturnValueAllOld: it("id", "a", "x", 1, "y", 1), types.ReturnValueUpdatedOld: it("x", 1),
				types.ReturnValueAllNew: it("id", "a", "x", 2, "y", 1, "z", 2), types.ReturnValueUpdatedNew: it("x", 2, "z", 2),
			} {
				tb.put(it("id", "a", "x", 1, "y", 1))
				out := ok(e.dynamo.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
					TableName: tb.name, Key: it("id", "a"), UpdateExpression: aws.String("SET x = :v, z = :v"), ExpressionAttributeValues: it(":v", 2),
					ReturnValues: kind,
				}))(t)
				sameItem(t, string(kind), out.Attributes, want)
			}
		},
	},
	{
		name: "SET adds and subtracts", says: updateExpressions + ": SET supports + and - on numbers",
		run: updates(it("id", "a", "x", 5, "y", 2), expr{"SET x = x + y, y = :v - x, z = x", nil, v(1)}, it("id", "a", "x", 7, "y", -4, "z", 5)),
	},
	{
		name: "an expression reads the item as it was", says: updateExpressions + ": all actions are processed against the item before any of them is applied",
		run: updates(it("id", "a", "x", 1, "y", 2), expr{"SET x = y, y = x REMOVE z", nil, nil}, it("id", "a", "x", 2, "y", 1)),
	},
	{
		name: "if_not_exists gives a default", says: updateExpressions + ": if_not_exists (path, value), value if there is no attribute at the path, else the attribute",
		run: updates(it("id", "a", "x", 1), expr{"SET x = if_not_exists(x, :v), y = if_not_exists(y, :v) + :v", nil, v(5)}, it("id", "a", "x", 1, "y", 10)),
	},
	{
		name: "list_append appends at either end", says: updateExpressions + ": list_append (list1, list2), list2 appended to list1",
		run: updates(it("id", "a", "l", []any{1}), expr{"SET l = list_append(l, :v), k = list_append(:v, l)", nil, v([]any{2, 3})},
			it("id", "a", "l", []any{1, 2, 3}, "k", []any{2, 3, 1})),
	},
	{
		name: "SET reaches into documents", says: updateExpressions + ": SET, nested attributes and list elements; beyond the end of a list the element is appended",
		run: updates(it("id", "a", "m", map[string]any{"k": 1}, "l", []any{"x", "y"}), expr{"SET m.k = :v, m.#new = :v, l[1] = :v, l[9] = :v", map[string]string{"#new": "new.one"}, v(7)},
			it("id", "a", "m", map[string]any{"k": 7, "new.one": 7}, "l", []any{"x", 7, 7})),
	},
	{
		name: "a path has a parent", says: updateExpressions + ": SET; ValidationException, the document path provided in the update expression is invalid for update",
		run: func(t testing.TB, e *env) {
			tb := e.table(t)
			tb.put(it("id", "a", "x", 1))
			for _, text := range []string{"SET m.k = :v", "SET x.k = :v", "SET x[0] = :v"} {
				_, err := tb.tryUpdate(it("id", "a"), expr{text, nil, v(1)})
				refused(t, err, validation)
			}
			sameItem(t, "item", tb.get(it("id", "a")), it("id", "a", "x", 1))
		},
	},
	{
		name: "REMOVE removes attributes and elements", says: updateExpressions + ": REMOVE; when a list element is removed, the remaining elements are shifted",
		run: updates(it("id", "a", "x", 1, "l", []any{"p", "q", "r", "s"}, "m", map[string]any{"k": 1, "j": 2}), expr{"REMOVE x, l[1], m.k, nowhere", nil, nil},
			it("id", "a", "l", []any{"p", "r", "s"}, "m", map[string]any{"j": 2})),
	},
	{
		name: "REMOVE counts the elements of a list as they were", says: updateExpressions + ": REMOVE, several elements of a list in one expression, numbered before any is removed",
		run:   updates(it("id", "a", "l", []any{"p", "q", "r", "s", "t"}), expr{"REMOVE l[1], l[2]", nil, nil}, it("id", "a", "l", []any{"p", "s", "t"})),
		skips: skips{dynalite: "removes the first, and counts again"},
	},
	{
		name: "ADD adds to numbers and sets, and makes them", says: updateExpressions + ": ADD path value, to a number or a set; if it does not exist, it is created, numbers from 0",
		run: updates(it("id", "a", "n", 5, "ss", strSet{"x"}), expr{"ADD n :n, ss :s, m :n, ts :s", nil, map[string]any{":n": -7, ":s": strSet{"x", "y"}}},
			it("id", "a", "n", -2, "ss", strSet{"x", "y"}, "m", -7, "ts", strSet{"x", "y"})),
	},
	{
		name: "DELETE removes from sets, and an empty set goes", says: updateExpressions + ": DELETE, one or more elements from a set; empty sets are not supported",
		run: updates(it("id", "a", "ss", strSet{"x", "y"}, "ns", numSet{"1"}), expr{"DELETE ss :s, ns :n, nowhere :s", nil, map[string]any{":s": strSet{"x", "z"}, ":n": numSet{"1.0"}}},
			it("id", "a", "ss", strSet{"y"})),
	},
	{
		name: "one expression has all four clauses", says: updateExpressions + ": one or more clauses, each begins with SET, REMOVE, ADD, or DELETE, in any order, once each",
		run: updates(it("id", "a", "gone", 1, "n", 1, "ss", strSet{"x", "y"}), expr{"DELETE ss :s ADD n :n REMOVE gone SET fresh = :n", nil, map[string]any{":s": strSet{"x"}, ":n": 1}},
			it("id", "a", "n", 2, "ss", strSet{"y"}, "fresh", 1)),
	},
	{
		name: "operands have the right types", says: updateExpressions + ": + and - are for numbers, ADD for numbers and sets, DELETE for sets; ValidationException",
		run: func(t testing.TB, e *env) {
			tb := e.table(t)
			tb.put(it("id", "a", "s", "x", "n", 1, "ss", strSet{"x"}))
			for _, x := range []expr{
				{"SET s = s + :v", nil, v(1)}, {"SET n = nowhere + :v", nil, v(1)}, {"ADD s :v", nil, v(1)}, {"ADD n :v", nil, v("x")}, {"ADD ss :v", nil, v(numSet{"1"})},
				{"DELETE n :v", nil, v(strSet{"x"})}, {"SET n = list_append(n, :v)", nil, v([]any{1})},
			} {
				_, err := tb.tryUpdate(it("id", "a"), x)
				if err == nil {
					t.Fatalf("%s is done", x.text)
				}
				refused(t, err, validation)
			}
			sameItem(t, "item", tb.get(it("id", "a")), it("id", "a", "s", "x", "n", 1, "ss", strSet{"x"}))
		},
	},
	{
		name: "an update is refused that touches the key, or a path twice",
		says: "UpdateItem: you cannot update primary key attributes; Update expressions: two document paths overlap with each other; each clause only once",
		run: func(t testing.TB, e *env) {
			tb := e.table(t)
			for _, x := range []expr{
				{"SET id = :v", nil, v("b")}, {"REMOVE id", nil, nil}, {"SET x = :v, x = :v", nil, v(1)}, {"SET m = :v, m.k = :v", nil, v(1)},
				{"SET x = :v REMOVE x", nil, v(1)}, {"SET x = :v SET y = :v", nil, v(1)}, {"SET x", nil, nil}, {"x = :v", nil, v(1)}, {"SET x = y + z + w", nil, nil},
			} {
				_, err := tb.tryUpdate(it("id", "a"), x)
				if err == nil {
					t.Fatalf("%s is done", x.text)
				}
				refused(t, err, validation)
			}
		},
	},
}
