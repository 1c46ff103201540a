package conformance

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

func onIndex(name string) func(*dynamodb.QueryInput) {
	return func(in *dynamodb.QueryInput) { in.IndexName = &name }
}

// ten makes a table with the items 0 to 9 of "a", and some of another.
func ten(t testing.TB, e *env) *table {
	t.Helper()
	tb := e.sorted(t, "N")
	for i := range 10 {
		tb.put(it("id", "a", "pos", i, "even", i%2 == 0))
	}
	tb.put(it("id", "b", "pos", 1), it("id", "b", "pos", 2))
	return tb
}

var queryBehaviours = []behaviour{
	{
		name: "a query finds a partition's items by conditions on the sort key",
		says: "Query: the partition key by equality, the sort key by = < <= > >= BETWEEN and begins_with",
		run: func(t testing.TB, e *env) {
			tb := ten(t, e)
			for text, want := range map[string]string{
				"id = :a": "0123456789", "id = :a AND pos = :v": "3", "id = :a AND pos < :v": "012", "id = :a AND pos <= :v": "0123", "id = :a AND pos > :v": "456789",
				"id = :a AND pos >= :v": "3456789", "pos BETWEEN :v AND :w AND id = :a": "3456",
			} {
				values := map[string]any{":a": "a"}
				for name, n := range map[string]int{":v": 3, ":w": 6} {
					if strings.Contains(text, name) {
						values[name] = n
					}
				}
				equal(t, text, strings.Join(column(tb.query(expr{text, nil, values}), "pos"), ""), want)
			}
			words := e.sorted(t, "S")
			words.put(it("id", "a", "pos", "apple"), it("id", "a", "pos", "apricot"), it("id", "a", "pos", "pear"))
			found := words.query(expr{"id = :a AND begins_with(pos, :v)", nil, map[string]any{":a": "a", ":v": "ap"}})
			sameList(t, "begins_with", column(found, "pos"), []string{"apple", "apricot"})
		},
	},
	{
		name: "a query goes backwards",
		says: "Query: ScanIndexForward false, descending order",
		run: func(t testing.TB, e *env) {
			found := ten(t, e).query(expr{"id = :a", nil, map[string]any{":a": "a"}}, func(in *dynamodb.QueryInput) {
				in.ScanIndexForward, in.Limit = aws.Bool(false), aws.Int32(3)
			})
			equal(t, "items", strings.Join(column(found, "pos"), ""), "9876543210")
		},
	},
	{
		name: "a query's Limit counts items before the filter",
		says: "Query: Limit, the maximum number of items to evaluate, not necessarily the number of matching items; ScannedCount, Count, LastEvaluatedKey",
		run: func(t testing.TB, e *env) {
			tb := ten(t, e)
			out := ok(e.dynamo.Query(t.Context(), &dynamodb.QueryInput{
				TableName: tb.name, KeyConditionExpression: aws.String("id = :a"), FilterExpression: aws.String("even = :yes"), Limit: aws.Int32(5),
				ExpressionAttributeValues: it(":a", "a", ":yes", true),
			}))(t)
			equal(t, "items", strings.Join(column(out.Items, "pos"), ""), "024")
			equal(t, "count", out.Count, 3)
			equal(t, "scanned", out.ScannedCount, 5)
			sameItem(t, "last key", out.LastEvaluatedKey, it("id", "a", "pos", 4))
		},
	},
	{
		name: "a query that counts returns no items",
		says: "Query: Select COUNT, returns the number of matching items, rather than the matching items themselves",
		run: func(t testing.TB, e *env) {
			out := ok(e.dynamo.Query(t.Context(), &dynamodb.QueryInput{
				TableName: ten(t, e).name, KeyConditionExpression: aws.String("id = :a"), Select: types.SelectCount, ExpressionAttributeValues: it(":a", "a"),
			}))(t)
			equal(t, "count", out.Count, 10)
			equal(t, "items", len(out.Items), 0)
		},
	},
	{
		name: "a query names its partition, and its keys in the condition alone",
		says: "Query: KeyConditionExpression must perform an equality test on a single partition key value; a filter can't contain key attributes; ValidationException",
		run: func(t testing.TB, e *env) {
			tb := ten(t, e)
			for _, in := range []*dynamodb.QueryInput{
				{KeyConditionExpression: aws.String("pos = :v"), ExpressionAttributeValues: it(":v", 1)},
				{KeyConditionExpression: aws.String("id > :v"), ExpressionAttributeValues: it(":v", "a")},
				{KeyConditionExpression: aws.String("id = :v AND even = :v"), ExpressionAttributeValues: it(":v", "a")},
				{KeyConditionExpression: aws.String("id = :v OR id = :v"), ExpressionAttributeValues: it(":v", "a")},
				{KeyConditionExpression: aws.String("id = :v AND pos <> :w"), ExpressionAttributeValues: it(":v", "a", ":w", 1)},
				{KeyConditionExpression: aws.String("id = :v"), ExpressionAttributeValues: it(":v", 1)},
				{KeyConditionExpression: aws.String("id = :v"), FilterExpression: aws.String("pos > :w"), ExpressionAttributeValues: it(":v", "a", ":w", 1)},
			} {
				in.TableName = tb.name
				_, err := e.dynamo.Query(t.Context(), in)
				if err == nil {
					t.Fatalf("%s is answered", *in.KeyConditionExpression)
				}
				refused(t, err, validation)
			}
		},
	},
	{
		name: "a page has at most 1 MB",
		says: "Query, Scan: a single operation reads up to 1 MB of data; LastEvaluatedKey if there is more",
		run: func(t testing.TB, e *env) {
			tb := e.sorted(t, "N")
			for i := range 4 {
				tb.put(it("id", "a", "pos", i, "x", strings.Repeat("x", 350_000)))
			}
			out := ok(e.dynamo.Query(t.Context(), &dynamodb.QueryInput{
				TableName: tb.name, KeyConditionExpression: aws.String("id = :a"), ExpressionAttributeValues: it(":a", "a"),
			}))(t)
			if len(out.Items) == 4 || len(out.LastEvaluatedKey) == 0 {
				t.Fatalf("%d items of 350 kB in a page", len(out.Items))
			}
			equal(t, "items", len(tb.query(expr{"id = :a", nil, map[string]any{":a": "a"}})), 4)
		},
	},
}

// scan returns all that a scan finds, page by page.
func (tb *table) scan(in *dynamodb.ScanInput) []item {
	tb.t.Helper()
	in.TableName = tb.name
	var all []item
	for {
		out := ok(tb.dynamo.Scan(tb.t.Context(), in))(tb.t)
		all = append(all, out.Items...)
		if in.ExclusiveStartKey = out.LastEvaluatedKey; len(in.ExclusiveStartKey) == 0 {
			return all
		}
	}
}

// hundred makes a table with as many items.
func hundred(t testing.TB, e *env) (*table, []string) {
	t.Helper()
	tb := e.table(t)
	var want []string
	for i := 0; i < 100; i += 25 {
		var writes []types.WriteRequest
		for j := i; j < i+25; j++ {
			want = append(want, fmt.Sprintf("%02d", j))
			writes = append(writes, types.WriteRequest{PutRequest: &types.PutRequest{Item: it("id", want[j], "n", j)}})
		}
		ok(e.dynamo.BatchWriteItem(t.Context(), &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{*tb.name: writes}}))(t)
	}
	return tb, want
}

func sortedColumn(items []item) []string {
	all := column(items, "id")
	slices.Sort(all)
	return all
}

var scanBehaviours = []behaviour{
	{
		name: "a scan finds every item once, page by page",
		says: "Scan: Limit, and LastEvaluatedKey as the next ExclusiveStartKey, until it is empty",
		run: func(t testing.TB, e *env) {
			tb, want := hundred(t, e)
			sameList(t, "items", sortedColumn(tb.scan(&dynamodb.ScanInput{Limit: aws.Int32(7), ConsistentRead: aws.Bool(true)})), want)
		},
	},
	{
		name: "segments of a scan are disjoint and complete",
		says: "Scan: TotalSegments, Segment: a parallel scan divides the table, each segment with its own pages",
		run: func(t testing.TB, e *env) {
			tb, want := hundred(t, e)
			var all []item
			for i := range int32(4) {
				part := tb.scan(&dynamodb.ScanInput{Segment: &i, TotalSegments: aws.Int32(4), Limit: aws.Int32(9)})
				if len(part) == 100 {
					t.Fatal("one segment has everything")
				}
				all = append(all, part...)
			}
			sameList(t, "items", sortedColumn(all), want)
		},
	},
	{
		name: "a segment is below their number",
		says: "Scan: Segment, a zero-based number below TotalSegments; if you provide TotalSegments, you must also provide Segment; ValidationException",
		run: func(t testing.TB, e *env) {
			tb := e.table(t)
			for _, in := range []*dynamodb.ScanInput{{Segment: aws.Int32(1)}, {TotalSegments: aws.Int32(2)}, {Segment: aws.Int32(2), TotalSegments: aws.Int32(2)}} {
				in.TableName = tb.name
				_, err := e.dynamo.Scan(t.Context(), in)
				refused(t, err, validation)
			}
		},
	},
	{
		name: "the first segment is one of a number too",
		says: "Scan: if you provide Segment, you must also provide TotalSegments; ValidationException",
		run: func(t testing.TB, e *env) {
			_, err := e.dynamo.Scan(t.Context(), &dynamodb.ScanInput{TableName: e.table(t).name, Segment: aws.Int32(0)})
			refused(t, err, validation)
		},
		skips: skips{dynalite: "ignores segment 0 without TotalSegments"},
	},
	{
		name: "a scan filters, projects and counts",
		says: "Scan: FilterExpression applies after the items are read; ScannedCount is the number before; ProjectionExpression",
		run: func(t testing.TB, e *env) {
			tb, _ := hundred(t, e)
			out := ok(e.dynamo.Scan(t.Context(), &dynamodb.ScanInput{
				TableName: tb.name, FilterExpression: aws.String("n < :v"), ProjectionExpression: aws.String("n"), ExpressionAttributeValues: it(":v", 3),
			}))(t)
			equal(t, "count", out.Count, 3)
			equal(t, "scanned", out.ScannedCount, 100)
			for _, one := range out.Items {
				equal(t, "attributes", len(one), 1)
			}
		},
	},
	{
		name: "an empty table has an empty page",
		says: "Scan: if LastEvaluatedKey is empty, then the last page of results has been processed",
		run: func(t testing.TB, e *env) {
			out := ok(e.dynamo.Scan(t.Context(), &dynamodb.ScanInput{TableName: e.table(t).name}))(t)
			equal(t, "items", len(out.Items)+len(out.LastEvaluatedKey)+int(out.Count), 0)
		},
	},
}

func indexed(t testing.TB, e *env, projection *types.Projection) *table {
	t.Helper()
	tb := e.tableWith(t, &dynamodb.CreateTableInput{
		AttributeDefinitions: defs("id", "S", "owner", "S", "pos", "N"), KeySchema: keys("id"),
		GlobalSecondaryIndexes: []types.GlobalSecondaryIndex{{IndexName: aws.String("byOwner"), KeySchema: keys("owner", "pos"), Projection: projection}},
	})
	tb.put(it("id", "a", "owner", "x", "pos", 2, "p", 1, "q", 1), it("id", "b", "owner", "x", "pos", 1, "p", 2, "q", 2), it("id", "c", "owner", "y", "pos", 3),
		it("id", "d", "owner", "x"), it("id", "e"))
	return tb
}

// ofX are the items of the owner x in an index, which follows the table eventually.
func ofX(tb *table, n int) []item {
	tb.t.Helper()
	var found []item
	await(tb.t, "the index has the items", func() bool {
		found = tb.query(expr{"#o = :x", map[string]string{"#o": "owner"}, map[string]any{":x": "x"}}, onIndex("byOwner"))
		return len(found) >= n
	})
	return found
}

var indexBehaviours = []behaviour{
	{
		name: "an index finds the items that have its keys, in its order",
		says: "Global secondary indexes: a sparse index has only the items that have its key attributes; items are sorted by its sort key",
		run: func(t testing.TB, e *env) {
			tb := indexed(t, e, &types.Projection{ProjectionType: types.ProjectionTypeAll})
			sameList(t, "items", column(ofX(tb, 2), "id"), []string{"b", "a"})
			tb.update(expr{"REMOVE #o", map[string]string{"#o": "owner"}, nil})
			await(t, "the index follows", func() bool { return len(ofX(tb, 1)) == 1 })
			equal(t, "indexes", len(tb.describe().GlobalSecondaryIndexes), 1)
		},
	},
	{
		name: "an index of keys holds keys",
		says: "Projection: KEYS_ONLY, only the index and primary keys are projected into the index",
		run: func(t testing.TB, e *env) {
			sameItem(t, "item", ofX(indexed(t, e, &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly}), 2)[1], it("id", "a", "owner", "x", "pos", 2))
		},
	},
	{
		name: "an index holds what it includes",
		says: "Projection: INCLUDE, in addition to the keys, the attributes in NonKeyAttributes",
		run: func(t testing.TB, e *env) {
			tb := indexed(t, e, &types.Projection{ProjectionType: types.ProjectionTypeInclude, NonKeyAttributes: []string{"p"}})
			sameItem(t, "item", ofX(tb, 2)[1], it("id", "a", "owner", "x", "pos", 2, "p", 1))
		},
	},
	{
		name: "an index of the whole table is not read consistently",
		says: "Query, Scan: strongly consistent reads are not supported on global secondary indexes; ValidationException",
		run: func(t testing.TB, e *env) {
			tb := indexed(t, e, &types.Projection{ProjectionType: types.ProjectionTypeAll})
			_, err := e.dynamo.Query(t.Context(), &dynamodb.QueryInput{
				TableName: tb.name, IndexName: aws.String("byOwner"), KeyConditionExpression: aws.String("#o = :x"), ConsistentRead: aws.Bool(true),
				ExpressionAttributeNames: map[string]string{"#o": "owner"}, ExpressionAttributeValues: it(":x", "x"),
			})
			refused(t, err, validation)
			_, err = e.dynamo.Query(t.Context(), &dynamodb.QueryInput{
				TableName: tb.name, IndexName: aws.String("unknown"), KeyConditionExpression: aws.String("id = :x"), ExpressionAttributeValues: it(":x", "x"),
			})
			refused(t, err, validation)
		},
	},
	{
		name: "an index is scanned and paged with both keys",
		says: "Scan: IndexName; ExclusiveStartKey of an index has the index's key and the table's",
		run: func(t testing.TB, e *env) {
			tb := indexed(t, e, &types.Projection{ProjectionType: types.ProjectionTypeAll})
			ofX(tb, 2)
			found := tb.scan(&dynamodb.ScanInput{IndexName: aws.String("byOwner"), Limit: aws.Int32(1)})
			sameList(t, "items", sortedColumn(found), []string{"a", "b", "c"})
			out := ok(e.dynamo.Scan(t.Context(), &dynamodb.ScanInput{TableName: tb.name, IndexName: aws.String("byOwner"), Limit: aws.Int32(1)}))(t)
			equal(t, "attributes of the last key", len(out.LastEvaluatedKey), 3)
		},
	},
	{
		name: "an index key has its type",
		says: "PutItem: for any index key attribute the type must match the definition; ValidationException",
		run: func(t testing.TB, e *env) {
			tb := indexed(t, e, &types.Projection{ProjectionType: types.ProjectionTypeAll})
			refused(t, tb.tryPut(it("id", "z", "owner", 1, "pos", 1)), validation)
			_, err := tb.tryUpdate(it("id", "a"), expr{"SET pos = :v", nil, v("late")})
			refused(t, err, validation)
		},
	},
}
