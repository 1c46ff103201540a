package conformance

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// subject is the item that conditions are tried on.
func subject() item {
	return it("id", "a", "s", "hello", "n", 5, "b", []byte("bytes"), "flag", true, "null", nil, "l", []any{"x", 1}, "m", map[string]any{"k": 1},
		"ss", strSet{"x", "y"}, "ns", numSet{"1", "2"})
}

// check is a condition and whether it holds for the subject.
type check struct {
	text   string
	values map[string]any
	holds  bool
}

// conditions tries conditions on all three operations that take one.
func conditions(checks ...check) func(t testing.TB, e *env) {
	return func(t testing.TB, e *env) {
		tb := e.table(t)
		for i, c := range checks {
			// One after the other, as a delete that succeeds ends the item.
			kinds := []func() error{
				func() error {
					_, err := e.dynamo.PutItem(t.Context(), &dynamodb.PutItemInput{
						TableName: tb.name, Item: subject(), ConditionExpression: &c.text, ExpressionAttributeValues: attrs(c.values),
					})
					return err
				},
				func() error {
					values := attrs(c.values)
					if values == nil {
						values = item{}
					}
					values[":touched"] = attr(i)
					_, err := e.dynamo.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
						TableName: tb.name, Key: it("id", "a"), UpdateExpression: aws.String("SET touched = :touched"), ConditionExpression: &c.text,
						ExpressionAttributeValues: values,
					})
					return err
				},
				func() error {
					_, err := e.dynamo.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{
						TableName: tb.name, Key: it("id", "a"), ConditionExpression: &c.text, ExpressionAttributeValues: attrs(c.values),
					})
					return err
				},
			}
			for _, try := range kinds {
				tb.put(subject())
				err := try()
				if c.holds && err != nil {
					t.Fatalf("%s does not hold: %v", c.text, err)
				}
				if !c.holds {
					if err == nil {
						t.Fatalf("%s holds", c.text)
					}
					typed[*types.ConditionalCheckFailedException](t, err)
					sameItem(t, "the item after "+c.text, tb.get(it("id", "a")), subject())
				}
			}
		}
	}
}

func v(value any) map[string]any { return map[string]any{":v": value} }

const reference = "Condition and filter expressions, operators, and functions"

var conditionBehaviours = []behaviour{
	{
		name: "condition: comparisons of numbers", says: reference + ": a = b, a <> b, a < b, a <= b, a > b, a >= b",
		run: conditions(
			check{"n = :v", v(num("5.0")), true}, check{"n = :v", v(6), false}, check{"n <> :v", v(6), true}, check{"n <> :v", v(5), false},
			check{"n < :v", v(10), true}, check{"n < :v", v(5), false}, check{"n <= :v", v(5), true}, check{"n > :v", v(-10), true},
			check{"n > :v", v(5), false}, check{"n >= :v", v(5), true}, check{"n >= :v", v(6), false}, check{":v < n", v(4), true},
		),
	},
	{
		name: "condition: comparisons of texts and binaries", says: reference + ": comparators; String: the bytes of the UTF-8 encoding are compared",
		run: conditions(
			check{"s = :v", v("hello"), true}, check{"s < :v", v("hellp"), true}, check{"s > :v", v("hell"), true}, check{"s < :v", v("Hello"), false},
			check{"b = :v", v([]byte("bytes")), true}, check{"b < :v", v([]byte{0xff}), true}, check{"b > :v", v([]byte("c")), false},
		),
	},
	{
		name: "condition: values of other types are not equal and not ordered", says: reference + ": a and b must be of the same type; a <> b is true if they are not",
		run: conditions(
			check{"n = :v", v("5"), false}, check{"n <> :v", v("5"), true}, check{"n < :v", v("9"), false}, check{"n > :v", v("1"), false},
			check{"flag = :v", v("true"), false}, check{"b = :v", v("bytes"), false},
		),
	},
	{
		name: "condition: sets, booleans and elements are compared", says: reference + ": a = b, true if a is equal to b; sets have no order; paths into documents",
		run: conditions(
			check{"ss = :v", v(strSet{"y", "x"}), true}, check{"ss = :v", v(strSet{"x"}), false}, check{"flag = :v", v(true), true},
			check{"flag = :v", v(false), false}, check{"m.k = :v", v(1), true}, check{"l[0] = :v", v("x"), true}, check{"l[1] = :v", v("x"), false},
		),
	},
	{
		name: "condition: lists and maps are compared as a whole", says: reference + ": a = b, true if a is equal to b, for attributes of any type",
		run: conditions(
			check{"l = :v", v([]any{"x", 1}), true}, check{"l = :v", v([]any{1, "x"}), false}, check{"m = :v", v(map[string]any{"k": 1}), true},
			check{"m = :v", v(map[string]any{"k": 2}), false}, check{"m <> :v", v(map[string]any{"k": 1, "j": 1}), true},
		),
		skips: skips{dynalite: "finds no two of them equal"},
	},
	{
		name: "condition: BETWEEN", says: reference + ": a BETWEEN b AND c, true if a is greater than or equal to b, and less than or equal to c",
		run: conditions(
			check{"n BETWEEN :v AND :w", map[string]any{":v": 5, ":w": 9}, true}, check{"n BETWEEN :v AND :w", map[string]any{":v": 1, ":w": 5}, true},
			check{"n BETWEEN :v AND :w", map[string]any{":v": 6, ":w": 9}, false}, check{"s BETWEEN :v AND :w", map[string]any{":v": "a", ":w": "z"}, true},
			check{"nowhere BETWEEN :v AND :w", map[string]any{":v": 1, ":w": 9}, false},
		),
	},
	{
		name: "condition: IN", says: reference + ": a IN (b, c, d), true if a is equal to any value in the list, which can contain up to 100 values",
		run: conditions(
			check{"n IN (:v, :w)", map[string]any{":v": 1, ":w": 5}, true}, check{"n IN (:v)", v("5"), false}, check{"nowhere IN (:v)", v(5), false},
			check{"NOT n IN (:v)", v(6), true},
		),
	},
	{
		name: "condition: attribute_exists and attribute_not_exists", says: reference + ": attribute_exists (path), attribute_not_exists (path), also of a document's elements",
		run: conditions(
			check{"attribute_exists(s)", nil, true}, check{"attribute_exists(nowhere)", nil, false},
			check{"attribute_not_exists(nowhere)", nil, true}, check{"attribute_not_exists(s)", nil, false}, check{"attribute_exists(m.k)", nil, true},
			check{"attribute_not_exists(m.x)", nil, true}, check{"attribute_exists(l[1])", nil, true}, check{"attribute_exists(l[2])", nil, false},
		),
	},
	{
		name: "condition: attribute_type", says: reference + ": attribute_type (path, type), S SS N NS B BS BOOL NULL L M",
		run: conditions(
			check{"attribute_type(s, :v)", v("S"), true}, check{"attribute_type(n, :v)", v("N"), true}, check{"attribute_type(ss, :v)", v("SS"), true},
			check{"attribute_type(l, :v)", v("L"), true}, check{"attribute_type(m, :v)", v("M"), true}, check{"attribute_type(flag, :v)", v("BOOL"), true},
			check{"attribute_type(s, :v)", v("N"), false}, check{"attribute_type(nowhere, :v)", v("S"), false},
		),
	},
	{
		name: "condition: begins_with", says: reference + ": begins_with (path, substr), true if the attribute begins with a particular substring",
		run: conditions(
			check{"begins_with(s, :v)", v("hell"), true}, check{"begins_with(s, :v)", v("ello"), false}, check{"begins_with(b, :v)", v([]byte("by")), true},
			check{"begins_with(nowhere, :v)", v("x"), false}, check{"begins_with(n, :v)", v("5"), false},
		),
	},
	{
		name: "condition: contains", says: reference + ": contains (path, operand): a substring of a String, an element of a Set or of a List",
		run: conditions(
			check{"contains(s, :v)", v("ell"), true}, check{"contains(s, :v)", v("elk"), false}, check{"contains(ss, :v)", v("x"), true},
			check{"contains(ss, :v)", v("z"), false}, check{"contains(ns, :v)", v(num("2.0")), true}, check{"contains(l, :v)", v(1), true},
			check{"contains(l, :v)", v("1"), false}, check{"contains(nowhere, :v)", v("x"), false},
		),
	},
	{
		name: "condition: size", says: reference + ": size (path): the length of a String, the bytes of a Binary, the number of elements of a Set, List or Map",
		run: conditions(
			check{"size(s) = :v", v(5), true}, check{"size(b) = :v", v(5), true}, check{"size(ss) = :v", v(2), true}, check{"size(l) = :v", v(2), true},
			check{"size(m) = :v", v(1), true}, check{"size(s) > :v", v(5), false}, check{"size(nowhere) = :v", v(0), false},
		),
	},
	{
		name: "condition: AND, OR, NOT and parentheses", says: reference + ": NOT before AND before OR; parentheses change the precedence",
		run: conditions(
			check{"n = :v OR s = :v AND flag = :v", v(5), true}, check{"(n = :v OR s = :v) AND flag = :v", v(5), false}, check{"NOT n = :v", v(5), false},
			check{"NOT (n = :v AND s = :v)", v(5), true}, check{"NOT s = :v AND n = :v", v(5), true}, check{"not n = :v or n = :v", v(5), true},
		),
	},
	{
		name: "nothing fulfils a condition about itself",
		says: "PutItem: attribute_not_exists of the partition key, to prevent a new item from replacing an existing item",
		run: func(t testing.TB, e *env) {
			tb := e.table(t)
			put := func() error {
				_, err := e.dynamo.PutItem(t.Context(), &dynamodb.PutItemInput{
					TableName: tb.name, Item: it("id", "a"), ConditionExpression: aws.String("attribute_not_exists(id)"),
				})
				return err
			}
			if err := put(); err != nil {
				t.Fatal(err)
			}
			typed[*types.ConditionalCheckFailedException](t, put())
			_, err := e.dynamo.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{
				TableName: tb.name, Key: it("id", "b"), ConditionExpression: aws.String("attribute_exists(id)"),
			})
			typed[*types.ConditionalCheckFailedException](t, err)
		},
	},
	{
		name: "a condition that fails shows the item",
		says: "UpdateItem: ReturnValuesOnConditionCheckFailure ALL_OLD, the item attributes for an operation that failed a condition check",
		run: func(t testing.TB, e *env) {
			tb := e.table(t)
			tb.put(it("id", "a", "x", 1))
			_, err := e.dynamo.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
				TableName: tb.name, Key: it("id", "a"), UpdateExpression: aws.String("SET x = :v"), ConditionExpression: aws.String("x = :v"),
				ExpressionAttributeValues: it(":v", 2), ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
			})
			sameItem(t, "of the update", typed[*types.ConditionalCheckFailedException](t, err).Item, it("id", "a", "x", 1))
			_, err = e.dynamo.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{
				TableName: tb.name, Key: it("id", "a"), ConditionExpression: aws.String("x = :v"), ExpressionAttributeValues: it(":v", 2),
			})
			sameItem(t, "unasked", typed[*types.ConditionalCheckFailedException](t, err).Item, nil)
		},
		skips: skips{dynalite: "ignores it"},
	},
	{
		name: "an expression defines what it uses and uses what it defines",
		says: "PutItem: ExpressionAttributeNames, ExpressionAttributeValues: substitution tokens; reserved words need one; ValidationException otherwise",
		run: func(t testing.TB, e *env) {
			tb := e.table(t)
			for _, in := range []*dynamodb.PutItemInput{
				{ConditionExpression: aws.String("x = :v")},
				{ConditionExpression: aws.String("#x = :v"), ExpressionAttributeValues: it(":v", 1)},
				{ConditionExpression: aws.String("x = :v"), ExpressionAttributeValues: it(":v", 1, ":w", 2)},
				{ConditionExpression: aws.String("x = :v"), ExpressionAttributeValues: it(":v", 1), ExpressionAttributeNames: map[string]string{"#x": "x"}},
				{ConditionExpression: aws.String("status = :v"), ExpressionAttributeValues: it(":v", 1)},
				{ConditionExpression: aws.String("x = :v and"), ExpressionAttributeValues: it(":v", 1)},
				{ConditionExpression: aws.String("size(x)")},
				{ConditionExpression: aws.String("")},
			} {
				in.TableName, in.Item = tb.name, it("id", "a")
				_, err := e.dynamo.PutItem(t.Context(), in)
				refused(t, err, validation)
			}
		},
	},
}
