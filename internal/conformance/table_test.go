package conformance

import (
	"fmt"
	"reflect"
	"slices"
	"sort"
	"strconv"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

type item = map[string]types.AttributeValue

// Types of attributes that Go's own do not tell apart.
type (
	num    string
	strSet []string
	numSet []string
	binSet [][]byte
)

// attr writes an attribute's value: text is S, int and num are N, and so on.
func attr(v any) types.AttributeValue {
	switch v := v.(type) {
	case string:
		return &types.AttributeValueMemberS{Value: v}
	case int:
		return &types.AttributeValueMemberN{Value: strconv.Itoa(v)}
	case num:
		return &types.AttributeValueMemberN{Value: string(v)}
	case []byte:
		return &types.AttributeValueMemberB{Value: v}
	case bool:
		return &types.AttributeValueMemberBOOL{Value: v}
	case nil:
		return &types.AttributeValueMemberNULL{Value: true}
	case strSet:
		return &types.AttributeValueMemberSS{Value: v}
	case numSet:
		return &types.AttributeValueMemberNS{Value: v}
	case binSet:
		return &types.AttributeValueMemberBS{Value: v}
	case []any:
		list := make([]types.AttributeValue, len(v))
		for i, one := range v {
			list[i] = attr(one)
		}
		return &types.AttributeValueMemberL{Value: list}
	case map[string]any:
		return &types.AttributeValueMemberM{Value: attrs(v)}
	default:
		return v.(types.AttributeValue)
	}
}

func attrs(m map[string]any) item {
	if m == nil {
		return nil
	}
	all := make(item, len(m))
	for name, v := range m {
		all[name] = attr(v)
	}
	return all
}

// it makes an item from names and values by turns.
func it(pairs ...any) item {
	all := make(item)
	for i := 0; i < len(pairs); i += 2 {
		all[pairs[i].(string)] = attr(pairs[i+1])
	}
	return all
}

// show writes a value so that equal values read the same: sets have no order.
func show(v types.AttributeValue) string {
	switch v := v.(type) {
	case *types.AttributeValueMemberSS:
		return fmt.Sprintf("SS%q", slices.Sorted(slices.Values(v.Value)))
	case *types.AttributeValueMemberNS:
		return fmt.Sprintf("NS%q", slices.Sorted(slices.Values(v.Value)))
	case *types.AttributeValueMemberBS:
		all := make([]string, len(v.Value))
		for i, b := range v.Value {
			all[i] = string(b)
		}
		sort.Strings(all)
		return fmt.Sprintf("BS%q", all)
	case *types.AttributeValueMemberL:
		all := make([]string, len(v.Value))
		for i, one := range v.Value {
			all[i] = show(one)
		}
		return fmt.Sprintf("L%q", all)
	case *types.AttributeValueMemberM:
		return "M" + showItem(v.Value)
	case *types.AttributeValueMemberB:
		return fmt.Sprintf("B%q", v.Value)
	default:
		return fmt.Sprintf("%s(%v)", reflect.TypeOf(v).Elem().Name()[len("AttributeValueMember"):], reflect.ValueOf(v).Elem().FieldByName("Value"))
	}
}

func showItem(m item) string {
	all := make(map[string]string, len(m))
	for name, v := range m {
		all[name] = show(v)
	}
	return fmt.Sprint(all)
}

func sameItem(t testing.TB, what string, got, want item) {
	t.Helper()
	equal(t, what, showItem(got), showItem(want))
}

// table is a table of a behaviour's own.
type table struct {
	*env
	t    testing.TB
	name *string
}

// table makes a table with the hash key "id", a text.
func (e *env) table(t testing.TB) *table {
	t.Helper()
	return e.tableWith(t, &dynamodb.CreateTableInput{AttributeDefinitions: defs("id", "S"), KeySchema: keys("id")})
}

// sorted makes a table with the hash key "id", a text, and a sort key "pos" of a type.
func (e *env) sorted(t testing.TB, kind string) *table {
	t.Helper()
	return e.tableWith(t, &dynamodb.CreateTableInput{AttributeDefinitions: defs("id", "S", "pos", kind), KeySchema: keys("id", "pos")})
}

func (e *env) tableWith(t testing.TB, in *dynamodb.CreateTableInput) *table {
	t.Helper()
	tb := &table{env: e, t: t, name: fresh()}
	in.TableName = tb.name
	in.BillingMode = types.BillingModePayPerRequest
	ok(e.dynamo.CreateTable(t.Context(), in))(t)
	return tb.settle()
}

func (tb *table) settle() *table {
	tb.t.Helper()
	await(tb.t, "the table is ACTIVE", func() bool { return tb.describe().TableStatus == types.TableStatusActive })
	return tb
}

func (tb *table) describe() *types.TableDescription {
	tb.t.Helper()
	return ok(tb.dynamo.DescribeTable(tb.t.Context(), &dynamodb.DescribeTableInput{TableName: tb.name}))(tb.t).Table
}

// defs defines attributes, from names and types by turns.
func defs(pairs ...string) []types.AttributeDefinition {
	var all []types.AttributeDefinition
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, types.AttributeDefinition{AttributeName: &pairs[i], AttributeType: types.ScalarAttributeType(pairs[i+1])})
	}
	return all
}

// keys is a schema of a hash key and perhaps a sort key.
func keys(names ...string) []types.KeySchemaElement {
	kinds := []types.KeyType{types.KeyTypeHash, types.KeyTypeRange}
	var all []types.KeySchemaElement
	for i := range names {
		all = append(all, types.KeySchemaElement{AttributeName: &names[i], KeyType: kinds[i]})
	}
	return all
}

func (tb *table) put(items ...item) {
	tb.t.Helper()
	for _, one := range items {
		ok(tb.dynamo.PutItem(tb.t.Context(), &dynamodb.PutItemInput{TableName: tb.name, Item: one}))(tb.t)
	}
}

func (tb *table) tryPut(one item) error {
	_, err := tb.dynamo.PutItem(tb.t.Context(), &dynamodb.PutItemInput{TableName: tb.name, Item: one})
	return err
}

func (tb *table) get(key item) item {
	tb.t.Helper()
	return ok(tb.dynamo.GetItem(tb.t.Context(), &dynamodb.GetItemInput{TableName: tb.name, Key: key, ConsistentRead: aws.Bool(true)}))(tb.t).Item
}

// expr is an expression with what it refers to. Names are written as in "#n".
type expr struct {
	text   string
	names  map[string]string
	values map[string]any
}

func (tb *table) tryUpdate(key item, e expr) (*dynamodb.UpdateItemOutput, error) {
	return tb.dynamo.UpdateItem(tb.t.Context(), &dynamodb.UpdateItemInput{
		TableName: tb.name, Key: key, UpdateExpression: &e.text, ExpressionAttributeNames: e.names, ExpressionAttributeValues: attrs(e.values),
		ReturnValues: types.ReturnValueAllNew,
	})
}

// update updates the item "a" and returns it.
func (tb *table) update(e expr) item {
	tb.t.Helper()
	return ok(tb.tryUpdate(it("id", "a"), e))(tb.t).Attributes
}

// query returns all that a key condition finds, in its order.
func (tb *table) query(e expr, narrow ...func(*dynamodb.QueryInput)) []item {
	tb.t.Helper()
	in := &dynamodb.QueryInput{
		TableName: tb.name, KeyConditionExpression: &e.text, ExpressionAttributeNames: e.names, ExpressionAttributeValues: attrs(e.values),
	}
	for _, n := range narrow {
		n(in)
	}
	var all []item
	for {
		out := ok(tb.dynamo.Query(tb.t.Context(), in))(tb.t)
		all = append(all, out.Items...)
		if in.ExclusiveStartKey = out.LastEvaluatedKey; len(in.ExclusiveStartKey) == 0 {
			return all
		}
	}
}

// column shows one attribute of each item.
func column(items []item, name string) []string {
	all := make([]string, len(items))
	for i, one := range items {
		switch v := one[name].(type) {
		case *types.AttributeValueMemberS:
			all[i] = v.Value
		case *types.AttributeValueMemberN:
			all[i] = v.Value
		default:
			all[i] = show(v)
		}
	}
	return all
}
