package conformance

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

type expected = map[string]types.ExpectedAttributeValue

// expectations tries legacy conditions on puts and deletes of the subject: the holding ones must pass, the others must not.
func expectations(holding, failing []*dynamodb.PutItemInput) func(t testing.TB, e *env) {
	return func(t testing.TB, e *env) {
		tb := e.table(t)
		for i, in := range append(holding, failing...) {
			tb.put(subject())
			_, perr := e.dynamo.PutItem(t.Context(), &dynamodb.PutItemInput{
				TableName: tb.name, Item: subject(), Expected: in.Expected, ConditionalOperator: in.ConditionalOperator,
			})
			_, derr := e.dynamo.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{
				TableName: tb.name, Key: it("id", "a"), Expected: in.Expected, ConditionalOperator: in.ConditionalOperator,
			})
			for _, err := range []error{perr, derr} {
				if i < len(holding) {
					if err != nil {
						t.Fatalf("holding %d: %v", i, err)
					}
					continue
				}
				if err == nil {
					t.Fatalf("failing %d holds", i-len(holding))
				}
				typed[*types.ConditionalCheckFailedException](t, err)
			}
		}
	}
}

func expect(pairs expected, operator ...types.ConditionalOperator) *dynamodb.PutItemInput {
	in := &dynamodb.PutItemInput{Expected: pairs}
	if len(operator) > 0 {
		in.ConditionalOperator = operator[0]
	}
	return in
}

func value(v any) types.ExpectedAttributeValue { return types.ExpectedAttributeValue{Value: attr(v)} }

func exists(yes bool) types.ExpectedAttributeValue {
	return types.ExpectedAttributeValue{Exists: &yes}
}

func compare(operator types.ComparisonOperator, values ...any) types.ExpectedAttributeValue {
	list := make([]types.AttributeValue, len(values))
	for i, one := range values {
		list[i] = attr(one)
	}
	if len(list) == 0 {
		list = nil
	}
	return types.ExpectedAttributeValue{ComparisonOperator: operator, AttributeValueList: list}
}

var legacyBehaviours = []behaviour{
	{
		name: "Expected: a value, or that there is none",
		says: "Legacy DynamoDB conditional parameters, Expected: Value, the attribute has it; Exists false, the attribute does not exist; ConditionalCheckFailedException",
		run: expectations(
			[]*dynamodb.PutItemInput{expect(expected{"n": value(5)}), expect(expected{"nowhere": exists(false)}), expect(expected{"n": value(5), "s": value("hello")})},
			[]*dynamodb.PutItemInput{expect(expected{"n": value(6)}), expect(expected{"n": exists(false)}), expect(expected{"n": value("5")}),
				expect(expected{"nowhere": value(1)}), expect(expected{"n": value(5), "s": value("x")})},
		),
	},
	{
		name: "Expected: comparison operators",
		says: "Condition: ComparisonOperator EQ NE IN LE LT GE GT BETWEEN NOT_NULL NULL CONTAINS NOT_CONTAINS BEGINS_WITH, with its AttributeValueList",
		run: expectations(
			[]*dynamodb.PutItemInput{
				expect(expected{"n": compare("EQ", 5)}), expect(expected{"n": compare("NE", 6)}), expect(expected{"n": compare("LT", 10)}),
				expect(expected{"n": compare("LE", 5)}), expect(expected{"n": compare("GT", -1)}), expect(expected{"n": compare("GE", 5)}),
				expect(expected{"n": compare("IN", 1, 5)}), expect(expected{"n": compare("BETWEEN", 1, 5)}), expect(expected{"n": compare("NOT_NULL")}),
				expect(expected{"nowhere": compare("NULL")}), expect(expected{"s": compare("CONTAINS", "ell")}), expect(expected{"ss": compare("CONTAINS", "x")}),
				expect(expected{"s": compare("NOT_CONTAINS", "z")}), expect(expected{"s": compare("BEGINS_WITH", "he")}),
			},
			[]*dynamodb.PutItemInput{
				expect(expected{"n": compare("EQ", 6)}), expect(expected{"n": compare("NE", 5)}), expect(expected{"n": compare("LT", 5)}),
				expect(expected{"n": compare("GT", 5)}), expect(expected{"n": compare("IN", 1, 2)}), expect(expected{"n": compare("BETWEEN", 6, 9)}),
				expect(expected{"nowhere": compare("NOT_NULL")}), expect(expected{"n": compare("NULL")}), expect(expected{"s": compare("CONTAINS", "z")}),
				expect(expected{"s": compare("NOT_CONTAINS", "ell")}), expect(expected{"s": compare("BEGINS_WITH", "x")}),
			},
		),
	},
	{
		name: "Expected: all conditions hold",
		says: "ConditionalOperator: AND, if all of the conditions evaluate to true; the default",
		run: expectations(
			[]*dynamodb.PutItemInput{expect(expected{"n": value(5), "flag": value(true)}, types.ConditionalOperatorAnd), expect(expected{"n": value(5), "flag": value(true)})},
			[]*dynamodb.PutItemInput{expect(expected{"n": value(5), "s": value("x")}, types.ConditionalOperatorAnd), expect(expected{"n": value(5), "s": value("x")})},
		),
	},
	{
		name: "Expected: one condition holds under OR",
		says: "ConditionalOperator: OR, if at least one of the conditions evaluates to true, then the entire map evaluates to true",
		// Six conditions in the random order of a map, so that a server that looks at the first alone does not pass.
		run: expectations(
			[]*dynamodb.PutItemInput{
				expect(expected{"n": value(5), "s": value("x"), "b": value("x"), "flag": value("x"), "m": value("x"), "ss": value("x")}, types.ConditionalOperatorOr),
				expect(expected{"n": value(6), "s": value("hello"), "b": value("x"), "flag": value("x"), "m": value("x"), "ss": value("x")}, types.ConditionalOperatorOr),
				expect(expected{"n": value(6), "s": value("x"), "b": value("x"), "flag": value(true), "m": value("x"), "ss": value("x")}, types.ConditionalOperatorOr),
			},
			[]*dynamodb.PutItemInput{expect(expected{"n": value(6), "s": value("x")}, types.ConditionalOperatorOr)},
		),
		skips: skips{dynalite: "looks at the first condition alone"},
	},
	{
		name: "AttributeUpdates put, add and delete",
		says: "Legacy DynamoDB conditional parameters, AttributeUpdates: PUT adds or replaces; DELETE removes the attribute or elements of a set; ADD to a number or a set",
		run: func(t testing.TB, e *env) {
			tb := e.table(t)
			tb.put(it("id", "a", "n", 5, "gone", 1, "ss", strSet{"x", "y"}, "more", strSet{"p"}))
			out := ok(e.dynamo.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
				TableName: tb.name, Key: it("id", "a"), ReturnValues: types.ReturnValueAllNew,
				AttributeUpdates: map[string]types.AttributeValueUpdate{
					"s": {Value: attr("new")}, "n": {Action: types.AttributeActionAdd, Value: attr(2)}, "gone": {Action: types.AttributeActionDelete},
					"ss": {Action: types.AttributeActionDelete, Value: attr(strSet{"x", "z"})}, "more": {Action: types.AttributeActionAdd, Value: attr(strSet{"q"})},
					"count": {Action: types.AttributeActionAdd, Value: attr(1)},
				},
			}))(t)
			sameItem(t, "item", out.Attributes, it("id", "a", "n", 7, "s", "new", "ss", strSet{"y"}, "more", strSet{"p", "q"}, "count", 1))
		},
	},
	{
		name: "AttributeUpdates under Expected are a compare and swap",
		says: "UpdateItem: Expected and AttributeUpdates, the legacy parameters for ConditionExpression and UpdateExpression",
		run: func(t testing.TB, e *env) {
			tb := e.table(t)
			tb.put(it("id", "a", "n", 1))
			swap := func(from, to int) error {
				_, err := e.dynamo.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
					TableName: tb.name, Key: it("id", "a"), Expected: expected{"n": value(from)},
					AttributeUpdates: map[string]types.AttributeValueUpdate{"n": {Action: types.AttributeActionPut, Value: attr(to)}},
				})
				return err
			}
			if err := swap(1, 2); err != nil {
				t.Fatal(err)
			}
			typed[*types.ConditionalCheckFailedException](t, swap(1, 3))
			sameItem(t, "item", tb.get(it("id", "a")), it("id", "a", "n", 2))
		},
	},
	{
		name: "legacy parameters and expressions do not mix",
		says: "Legacy DynamoDB conditional parameters: do not combine legacy parameters and expression parameters in a single call; ValidationException",
		run: func(t testing.TB, e *env) {
			tb := e.table(t)
			_, err := e.dynamo.PutItem(t.Context(), &dynamodb.PutItemInput{
				TableName: tb.name, Item: it("id", "a"), Expected: expected{"n": exists(false)}, ConditionExpression: aws.String("attribute_not_exists(n)"),
			})
			refused(t, err, validation)
			_, err = e.dynamo.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
				TableName: tb.name, Key: it("id", "a"), UpdateExpression: aws.String("REMOVE n"),
				AttributeUpdates: map[string]types.AttributeValueUpdate{"s": {Value: attr("x")}},
			})
			refused(t, err, validation)
		},
	},
}
