package conformance

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

var itemBehaviours = []behaviour{
	{
		name: "a put replaces the whole item",
		says: "PutItem: creates a new item, or replaces an old item with a new item",
		run: func(t testing.TB, e *env) {
			tb := e.table(t)
			tb.put(it("id", "a", "x", 1, "y", 2), it("id", "a", "y", 3))
			sameItem(t, "item", tb.get(it("id", "a")), it("id", "a", "y", 3))
		},
	},
	{
		name: "what is not there is no item",
		says: "GetItem: if there is no matching item, GetItem does not return any data and there will be no Item element in the response",
		run: func(t testing.TB, e *env) {
			tb := e.table(t)
			out := ok(e.dynamo.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: tb.name, Key: it("id", "a")}))(t)
			if out.Item != nil {
				t.Fatalf("an item %v", showItem(out.Item))
			}
		},
	},
	{
		name: "a put returns the old item if asked",
		says: "PutItem: ReturnValues, NONE or ALL_OLD: if PutItem overwrote an attribute name-value pair, the content of the old item is returned",
		run: func(t testing.TB, e *env) {
			tb := e.table(t)
			put := func(x int, kind types.ReturnValue) (*dynamodb.PutItemOutput, error) {
				return e.dynamo.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: tb.name, Item: it("id", "a", "x", x), ReturnValues: kind})
			}
			sameItem(t, "of nothing", ok(put(1, types.ReturnValueAllOld))(t).Attributes, nil)
			sameItem(t, "ALL_OLD", ok(put(2, types.ReturnValueAllOld))(t).Attributes, it("id", "a", "x", 1))
			sameItem(t, "NONE", ok(put(3, types.ReturnValueNone))(t).Attributes, nil)
			_, err := put(4, types.ReturnValueAllNew)
			refused(t, err, validation)
		},
	},
	{
		name: "a delete returns the old item if asked, and may be repeated",
		says: "DeleteItem: an idempotent operation; ReturnValues ALL_OLD, the content of the old item is returned",
		run: func(t testing.TB, e *env) {
			tb := e.table(t)
			tb.put(it("id", "a", "x", 1))
			del := func() item {
				return ok(e.dynamo.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{
					TableName: tb.name, Key: it("id", "a"), ReturnValues: types.ReturnValueAllOld,
				}))(t).Attributes
			}
			sameItem(t, "first", del(), it("id", "a", "x", 1))
			sameItem(t, "second", del(), nil)
			sameItem(t, "item", tb.get(it("id", "a")), nil)
		},
	},
	{
		name: "a key is whole, and of the schema's types",
		says: "GetItem: for a composite primary key, you must provide values for both the partition key and the sort key; ValidationException",
		run: func(t testing.TB, e *env) {
			tb := e.sorted(t, "N")
			for _, key := range []item{it("id", "a"), it("id", "a", "pos", "one"), it("id", 1, "pos", 1), it("id", "a", "pos", 1, "x", 1), {}} {
				_, err := e.dynamo.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: tb.name, Key: key})
				refused(t, err, validation)
			}
			refused(t, tb.tryPut(it("id", "a")), validation)
			refused(t, tb.tryPut(it("id", "a", "pos", "one")), validation)
		},
	},
	{
		name: "a key is not empty",
		says: "PutItem: empty string and binary values are allowed if the attribute is not used as a key attribute",
		run: func(t testing.TB, e *env) {
			tb := e.table(t)
			refused(t, tb.tryPut(it("id", "")), validation)
			tb.put(it("id", "a", "s", "", "b", []byte{}))
			sameItem(t, "item", tb.get(it("id", "a")), it("id", "a", "s", "", "b", []byte{}))
		},
	},
	{
		name: "a projection returns the paths it names",
		says: "GetItem: ProjectionExpression, a string that identifies one or more attributes, also elements of documents",
		run: func(t testing.TB, e *env) {
			tb := e.table(t)
			tb.put(it("id", "a", "x", 1, "list", []any{"p", "q", "r"}, "map", map[string]any{"in": map[string]any{"k": 1}, "out": 2}))
			out := ok(e.dynamo.GetItem(t.Context(), &dynamodb.GetItemInput{
				TableName: tb.name, Key: it("id", "a"), ProjectionExpression: aws.String("id, #l[2], #l[0], #m.#in.k, nowhere"),
				ExpressionAttributeNames: map[string]string{"#l": "list", "#m": "map", "#in": "in"},
			}))(t)
			sameItem(t, "item", out.Item, it("id", "a", "list", []any{"p", "r"}, "map", map[string]any{"in": map[string]any{"k": 1}}))
		},
	},
	{
		name: "an item has at most 400 KB",
		says: "PutItem: Item size has exceeded the maximum allowed size of 400 KB (Service, account, and table quotas); ValidationException",
		run: func(t testing.TB, e *env) {
			tb := e.table(t)
			tb.put(it("id", "a", "x", strings.Repeat("x", 409600-4)))
			refused(t, tb.tryPut(it("id", "a", "x", strings.Repeat("x", 409600-3))), validation)
		},
	},
	{
		name: "of increments under contention none is lost",
		says: "UpdateItem: conditional writes; Working with items: of several writers that expect the same value one succeeds, the others get ConditionalCheckFailedException",
		run: func(t testing.TB, e *env) {
			tb := e.table(t)
			tb.put(it("id", "a", "n", 0))
			errs := make(chan error)
			for range 4 {
				go func() { errs <- increment(tb, 10) }()
			}
			for range 4 {
				if err := <-errs; err != nil {
					t.Error(err)
				}
			}
			sameItem(t, "item", tb.get(it("id", "a")), it("id", "a", "n", 40))
		},
	},
	{
		name: "ADD counts under contention",
		says: "UpdateItem: ADD, mathematically adds the value to the attribute; atomic counters",
		run: func(t testing.TB, e *env) {
			tb := e.table(t)
			errs := make(chan error)
			for range 4 {
				go func() {
					for range 10 {
						if _, err := tb.tryUpdate(it("id", "a"), expr{"ADD n :one", nil, map[string]any{":one": 1}}); err != nil {
							errs <- err
							return
						}
					}
					errs <- nil
				}()
			}
			for range 4 {
				if err := <-errs; err != nil {
					t.Error(err)
				}
			}
			sameItem(t, "item", tb.get(it("id", "a")), it("id", "a", "n", 40))
		},
	},
}

// increment adds one to n, times over, by compare and swap.
func increment(tb *table, times int) error {
	for done := 0; done < times; {
		out, err := tb.dynamo.GetItem(tb.t.Context(), &dynamodb.GetItemInput{TableName: tb.name, Key: it("id", "a"), ConsistentRead: aws.Bool(true)})
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(out.Item["n"].(*types.AttributeValueMemberN).Value)
		if err != nil {
			return err
		}
		_, err = tb.dynamo.UpdateItem(tb.t.Context(), &dynamodb.UpdateItemInput{
			TableName: tb.name, Key: it("id", "a"), UpdateExpression: aws.String("SET n = :new"), ConditionExpression: aws.String("n = :old"),
			ExpressionAttributeValues: it(":new", n+1, ":old", n),
		})
		var lost *types.ConditionalCheckFailedException
		switch {
		case err == nil:
			done++
		case !errors.As(err, &lost):
			return err
		}
	}
	return nil
}

var valueBehaviours = []behaviour{
	{
		name: "values of every type come back as they were",
		says: "AttributeValue: B, BOOL, BS, L, M, N, NS, NULL, S, SS",
		run: func(t testing.TB, e *env) {
			tb := e.table(t)
			all := it("id", "a", "s", "hé日", "n", 5, "b", []byte{0, 1, 255}, "yes", true, "no", false, "null", nil, "ss", strSet{"x", "y"},
				"ns", numSet{"1", "2.5"}, "bs", binSet{{1}, {2, 3}}, "l", []any{1, "x", []any{true}}, "m", map[string]any{"k": map[string]any{"deep": 1}},
				"empty", map[string]any{}, "none", []any{})
			tb.put(all)
			sameItem(t, "item", tb.get(it("id", "a")), all)
		},
	},
	{
		name: "sets are neither empty nor repetitive",
		says: "Naming rules and data types, Sets: each value must be unique, and empty sets are not supported",
		run: func(t testing.TB, e *env) {
			tb := e.table(t)
			for _, bad := range []any{strSet{}, numSet{}, strSet{"x", "x"}, numSet{"1", "1.0"}, binSet{{1}, {1}}} {
				refused(t, tb.tryPut(it("id", "a", "x", bad)), validation)
			}
		},
	},
	{
		name: "numbers keep 38 digits",
		says: "Naming rules and data types, Number: up to 38 digits of precision; leading and trailing zeroes are trimmed; more throws an exception",
		run: func(t testing.TB, e *env) {
			tb := e.table(t)
			long := "12345678901234567890123456789012345678"
			for in, want := range map[num]num{
				num(long): num(long), num("-0." + long): num("-0." + long), "1.0": "1", "007": "7", "1e2": "100", "1.50E1": "15", "-0": "0", "1e-3": "0.001",
			} {
				tb.put(it("id", "a", "n", in))
				sameItem(t, string(in), tb.get(it("id", "a")), it("id", "a", "n", want))
			}
			for _, bad := range []num{num(long + "9"), "one", "", "1e126", "-1e126", "1e-131", "NaN"} {
				refused(t, tb.tryPut(it("id", "a", "n", bad)), validation)
			}
		},
	},
	{
		name: "arithmetic is decimal",
		says: "Naming rules and data types, Number: numbers can be positive, negative, or zero, with up to 38 digits of precision",
		run: func(t testing.TB, e *env) {
			tb := e.table(t)
			tb.put(it("id", "a", "n", num("0.1"), "big", num("99999999999999999999999999999999999998")))
			got := tb.update(expr{"SET n = n + :d, big = big + :one", nil, map[string]any{":d": num("0.2"), ":one": 1}})
			sameItem(t, "item", got, it("id", "a", "n", num("0.3"), "big", num("99999999999999999999999999999999999999")))
		},
	},
	{
		name: "numbers sort by value, texts by UTF-8, binaries by unsigned bytes",
		says: "Query: results are always sorted by the sort key value: numeric order, order of UTF-8 bytes; binary bytes are treated as unsigned",
		run: func(t testing.TB, e *env) {
			all := expr{"id = :a", nil, map[string]any{":a": "a"}}
			numbers := e.sorted(t, "N")
			for _, n := range []num{"10", "-1", "9", "0.5", "-10", "1e3", "0"} {
				numbers.put(it("id", "a", "pos", n))
			}
			sameList(t, "numbers", column(numbers.query(all), "pos"), []string{"-10", "-1", "0", "0.5", "9", "10", "1000"})
			words := e.sorted(t, "S")
			for _, w := range []string{"b", "B", "é", "a", "aa", "日"} {
				words.put(it("id", "a", "pos", w))
			}
			sameList(t, "texts", column(words.query(all), "pos"), []string{"B", "a", "aa", "b", "é", "日"})
			bytes := e.sorted(t, "B")
			for _, b := range [][]byte{{0x80}, {0x7f}, {1, 0}, {1}} {
				bytes.put(it("id", "a", "pos", b))
			}
			sameList(t, "binaries", column(bytes.query(all), "pos"), []string{fmt.Sprintf("B%q", "\x01"), fmt.Sprintf("B%q", "\x01\x00"), fmt.Sprintf("B%q", "\x7f"), fmt.Sprintf("B%q", "\x80")})
		},
	},
}
