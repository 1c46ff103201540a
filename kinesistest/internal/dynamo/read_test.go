package dynamo

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

type pageReply struct {
	Items            []map[string]map[string]any
	Count            int
	ScannedCount     int
	LastEvaluatedKey json.RawMessage
	ConsumedCapacity *capacity
}

func readPage(t *testing.T, db *DB, op, body string) pageReply {
	t.Helper()
	var page pageReply
	if err := json.Unmarshal([]byte(must(t, db, op, body)), &page); err != nil {
		t.Fatal(err)
	}
	return page
}

// readAll follows LastEvaluatedKey; body ends in } and names the members besides ExclusiveStartKey.
func readAll(t *testing.T, db *DB, op, body string) (items []map[string]map[string]any, pages int) {
	t.Helper()
	request := body
	for {
		page := readPage(t, db, op, request)
		items = append(items, page.Items...)
		pages++
		if page.LastEvaluatedKey == nil {
			return items, pages
		}
		request = strings.TrimSuffix(body, "}") + `,"ExclusiveStartKey":` + string(page.LastEvaluatedKey) + "}"
	}
}

// column is an attribute of each item, as text.
func column(items []map[string]map[string]any, name string) string {
	var out []string
	for _, it := range items {
		for _, v := range it[name] {
			out = append(out, fmt.Sprint(v))
		}
	}
	return strings.Join(out, " ")
}

// newEvents has ids a and b with seq -2…9; n is the parity, grp "g" for even ones of a, tag a byte that falls as seq rises.
func newEvents(t *testing.T) *DB {
	t.Helper()
	db := newDB(t)
	for _, id := range []string{"a", "b"} {
		for seq := -2; seq < 10; seq++ {
			indexed := ""
			if id == "a" && seq%2 == 0 {
				indexed = fmt.Sprintf(`,"grp":{"S":"g"},"tag":{"B":"%s"}`, string(rune('Z'-(seq+2)))+"A==")
			}
			must(t, db, "PutItem", fmt.Sprintf(`{"TableName":"events","Item":{"id":{"S":"%s"},"seq":{"N":"%d"},"n":{"N":"%d"},"rest":{"S":"r"}%s}}`,
				id, seq, seq&1, indexed))
		}
	}
	return db
}

func queryBody(condition, values, rest string) string {
	return fmt.Sprintf(`{"TableName":"events","KeyConditionExpression":%s,"ExpressionAttributeValues":{%s}%s}`, quote(condition), values, prefixComma(rest))
}

func TestQueryByRangeKey(t *testing.T) {
	t.Parallel()
	db := newEvents(t)
	const a, v3, v5 = `":a":{"S":"a"}`, `,":x":{"N":"3"}`, `,":y":{"N":"5.0"}`
	tests := []struct{ condition, values, rest, want string }{
		{"id = :a", a, "", "-2 -1 0 1 2 3 4 5 6 7 8 9"},
		{"id = :a", a, `"ScanIndexForward":false`, "9 8 7 6 5 4 3 2 1 0 -1 -2"},
		{"id = :a AND seq = :x", a + v3, "", "3"}, {":a = id and :x > seq", a + v3, "", "-2 -1 0 1 2"},
		{"id = :a AND seq < :x", a + v3, "", "-2 -1 0 1 2"}, {"seq <= :x AND id = :a", a + v3, "", "-2 -1 0 1 2 3"},
		{"id = :a AND seq > :y", a + v5, "", "6 7 8 9"}, {"(id = :a) AND (seq >= :y)", a + v5, "", "5 6 7 8 9"},
		{"id = :a AND seq BETWEEN :x AND :y", a + v3 + v5, "", "3 4 5"},
		{"id = :a", a + `,":one":{"N":"1"}`, `"FilterExpression":"n = :one"`, "-1 1 3 5 7 9"},
		{"id = :none", `":none":{"S":"none"}`, "", ""},
	}
	for _, test := range tests {
		page := readPage(t, db, "Query", queryBody(test.condition, test.values, test.rest))
		if got := column(page.Items, "seq"); got != test.want {
			t.Errorf("%s %s: got %s, want %s", test.condition, test.rest, got, test.want)
		}
		for _, limit := range []int{1, 2, 5, 100} {
			body := queryBody(test.condition, test.values, strings.TrimPrefix(test.rest+fmt.Sprintf(`,"Limit":%d`, limit), ","))
			if items, _ := readAll(t, db, "Query", body); column(items, "seq") != test.want {
				t.Errorf("%s %s in pages of %d: got %s", test.condition, test.rest, limit, column(items, "seq"))
			}
		}
	}
}

func TestQueryLimitCountsWhatIsReadBeforeTheFilter(t *testing.T) {
	t.Parallel()
	db := newEvents(t)
	page := readPage(t, db, "Query", queryBody("id = :a", `":a":{"S":"a"},":one":{"N":"1"}`,
		`"FilterExpression":"n = :one","Limit":4,"ReturnConsumedCapacity":"TOTAL"`))
	if page.Count != 2 || page.ScannedCount != 4 || column(page.Items, "seq") != "-1 1" || page.ConsumedCapacity.CapacityUnits != 0.5 {
		t.Fatalf("%+v", page)
	}
	wantJSON(t, string(page.LastEvaluatedKey), `{"id":{"S":"a"},"seq":{"N":"1"}}`)
	page = readPage(t, db, "Query", queryBody("id = :a", `":a":{"S":"a"}`, `"Limit":12`))
	if page.LastEvaluatedKey == nil {
		t.Fatal("a page that the limit has ended names its last key, even at the end")
	}
	wantJSON(t, must(t, db, "Query", queryBody("id = :a", `":a":{"S":"a"}`, `"Select":"COUNT"`)), `{"Count":12,"ScannedCount":12}`)
}

func TestQueryOfAnIndex(t *testing.T) {
	t.Parallel()
	db := newEvents(t)
	const g = `":g":{"S":"g"}`
	page := readPage(t, db, "Query", queryBody("grp = :g", g, `"IndexName":"grp-tag"`))
	if got := column(page.Items, "seq"); got != "8 6 4 2 0 -2" {
		t.Fatalf("by tag: %s", got)
	}
	if column(page.Items, "rest") != "" || column(page.Items, "n") != "0 0 0 0 0 0" {
		t.Fatalf("projected: %v", page.Items)
	}
	for _, index := range []string{"grp-tag", "grp-only", "grp-id"} {
		for _, order := range []string{"true", "false"} {
			body := queryBody("grp = :g", g, `"Limit":1,"ScanIndexForward":`+order+`,"IndexName":"`+index+`"`)
			items, pages := readAll(t, db, "Query", body)
			seqs := strings.Fields(column(items, "seq"))
			slices.Sort(seqs)
			if fmt.Sprint(seqs) != "[-2 0 2 4 6 8]" || pages != 7 {
				t.Errorf("%s in pages of one: %v in %d", index, seqs, pages)
			}
		}
	}
	page = readPage(t, db, "Query", queryBody("grp = :g AND begins_with(tag, :t)", g+`,":t":{"B":"XA=="}`, `"IndexName":"grp-tag"`))
	if got := column(page.Items, "seq"); got != "0" {
		t.Fatalf("begins_with: %s", got)
	}
	page = readPage(t, db, "Query", queryBody("grp = :g", g, `"IndexName":"grp-tag","Limit":1,"ReturnConsumedCapacity":"INDEXES"`))
	wantJSON(t, string(page.LastEvaluatedKey), `{"id":{"S":"a"},"seq":{"N":"8"},"grp":{"S":"g"},"tag":{"B":"PA=="}}`)
	if c := page.ConsumedCapacity; c.CapacityUnits != 0.5 || c.Table.CapacityUnits != 0 || c.GlobalSecondaryIndexes["grp-tag"].CapacityUnits != 0.5 {
		t.Fatalf("%+v", c)
	}
}

// An item is in an index exactly while it has the index's key, at the place of its present values.
func TestIndexesFollowWrites(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	owned := func(owner string) string {
		body := fmt.Sprintf(`{"TableName":"leases","IndexName":"by-owner","KeyConditionExpression":"owner_ = :o","ExpressionAttributeValues":{":o":{"S":"%s"}}}`, owner)
		page := readPage(t, db, "Query", body)
		return column(page.Items, "k") + "/" + column(page.Items, "c")
	}
	step := func(op, body, wantA, wantB string) {
		t.Helper()
		must(t, db, op, body)
		if a, b := owned("A"), owned("B"); a != wantA || b != wantB {
			t.Fatalf("after %s %s: A has %s, B %s", op, body, a, b)
		}
	}
	step("UpdateItem", updateRow("SET c = :c", `":c":{"N":"1"}`, ""), "/", "/")
	step("UpdateItem", updateRow("SET owner_ = :o", `":o":{"S":"A"}`, ""), "x/1", "/")
	step("UpdateItem", updateRow("SET c = :c", `":c":{"N":"2"}`, ""), "x/2", "/")
	step("UpdateItem", updateRow("SET owner_ = :o", `":o":{"S":"B"}`, ""), "/", "x/2")
	step("UpdateItem", updateRow("REMOVE owner_", "", ""), "/", "/")
	step("PutItem", `{"TableName":"leases","Item":{"k":{"S":"x"},"owner_":{"S":"A"}}}`, "x/", "/")
	step("PutItem", `{"TableName":"leases","Item":{"k":{"S":"x"},"owner_":{"S":"B"},"c":{"N":"3"}}}`, "/", "x/3")
	step("DeleteItem", `{"TableName":"leases","Key":{"k":{"S":"x"}}}`, "/", "/")
}

func TestMalformedReadsAreRefused(t *testing.T) {
	t.Parallel()
	db := newEvents(t)
	const a, one = `":a":{"S":"a"}`, `,":one":{"N":"1"}`
	tests := []struct{ body, message string }{
		{`{"TableName":"events"}`, "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request."},
		{queryBody("seq = :one", one[1:], ""), "Query condition missed key schema element: id"},
		{queryBody("id > :a", a, ""), "Query key condition not supported"},
		{queryBody("id = :one", one[1:], ""), "Condition parameter type does not match schema type"},
		{queryBody("id = :a AND n = :one", a+one, ""), "Query condition missed key schema element: seq"},
		{queryBody("id = :a AND seq = :one AND n = :one", a+one, ""), "Query key condition not supported"},
		{queryBody("id = :a AND id = :a", a, ""), "KeyConditionExpressions must only contain one condition per key"},
		{queryBody("id = :a OR seq = :one", a+one, ""), "Invalid operator used in KeyConditionExpression: OR"},
		{queryBody("NOT id = :a", a, ""), "Invalid operator used in KeyConditionExpression: NOT"},
		{queryBody("id <> :a", a, ""), "Invalid operator used in KeyConditionExpression: <>"},
		{queryBody("id IN (:a)", a, ""), "Invalid operator used in KeyConditionExpression: IN"},
		{queryBody("id = :a AND attribute_exists(seq)", a, ""), "Invalid operator used in KeyConditionExpression: attribute_exists"},
		{queryBody("id = :a AND size(seq) = :one", a+one, ""), "KeyConditionExpressions cannot contain nested operations"},
		{queryBody("id.x = :a", a, ""), "KeyConditionExpressions cannot have conditions on nested attributes"},
		{queryBody("id = seq AND seq = :one", one[1:], ""), "Multiple attribute names used in one condition"},
		{queryBody(":a = :a", a, ""), "No key attribute specified"},
		{queryBody("id = :a AND :one BETWEEN seq AND :one", a+one, ""), "BETWEEN operator must have the key attribute as its first operand"},
		{queryBody("id = :a", `":a":{"S":""}`, ""), "cannot contain an empty string value. Key: id"},
		{queryBody("id = :a", a+one, `"FilterExpression":"seq = :one"`), "Filter Expression can only contain non-primary key attributes: Primary key attribute: seq"},
		{queryBody("id = :a", a, `"IndexName":"none"`), "The table does not have the specified index: none"},
		{queryBody("grp = :a", a, `"IndexName":"grp-tag","ConsistentRead":true`), "Consistent reads are not supported on global secondary indexes"},
		{queryBody("grp = :a", a, `"IndexName":"grp-tag","Select":"ALL_ATTRIBUTES"`), "Select type ALL_ATTRIBUTES is not supported for global secondary index grp-tag"},
		{queryBody("grp = :a", a, `"IndexName":"grp-tag","ProjectionExpression":"rest"`), "does not project [rest]"},
		{queryBody("id = :a", a, `"Select":"ALL_PROJECTED_ATTRIBUTES"`), "only when Querying using an IndexName"},
		{queryBody("id = :a", a, `"Select":"SPECIFIC_ATTRIBUTES"`), "choosing to get SPECIFIC_ATTRIBUTES"},
		{queryBody("id = :a", a, `"Select":"COUNT","ProjectionExpression":"n"`), "choosing to get only the Count"},
		{queryBody("id = :a", a, `"Limit":0`), "greater than or equal to 1"},
		{queryBody("id = :a", a, `"ExclusiveStartKey":{"id":{"S":"a"}}`), "The provided starting key is invalid"},
		{queryBody("id = :a", a, `"ExclusiveStartKey":{"id":{"S":"a"},"seq":{"S":"1"}}`), "The provided starting key is invalid"},
		{queryBody("id = :a", a, `"ExclusiveStartKey":{"id":{"S":"b"},"seq":{"N":"1"}}`), "outside query boundaries"},
	}
	for _, test := range tests {
		refused(t, db, "Query", test.body, "ValidationException", test.message)
	}
	for body, message := range map[string]string{
		`"Segment":0`:                                        "TotalSegments parameter is required",
		`"TotalSegments":2`:                                  "Segment parameter is required",
		`"Segment":2,"TotalSegments":2`:                      "Segment: 2 is not less than TotalSegments: 2",
		`"Segment":0,"TotalSegments":1000001`:                "between 1 and 1000000",
		`"IndexName":"grp-tag","ConsistentRead":true`:        "Consistent reads are not supported",
		`"ReturnConsumedCapacity":"ALL"`:                     "returnConsumedCapacity",
		`"ExclusiveStartKey":{"id":{"S":"a"},"q":{"N":"1"}}`: "The provided starting key is invalid",
		`"FilterExpression":"n = :nope"`:                     "Invalid FilterExpression: An expression attribute value used in expression is not defined",
	} {
		refused(t, db, "Scan", `{"TableName":"events",`+body+`}`, "ValidationException", message)
	}
	for segment := range 2 {
		body := fmt.Sprintf(`{"TableName":"events","Segment":%d,"TotalSegments":2,"Limit":1}`, segment)
		if page := readPage(t, db, "Scan", body); page.LastEvaluatedKey != nil {
			other := fmt.Sprintf(`{"TableName":"events","Segment":%d,"TotalSegments":2,"ExclusiveStartKey":%s}`, 1-segment, page.LastEvaluatedKey)
			refused(t, db, "Scan", other, "ValidationException", "Please use ExclusiveStartKey with correct Segment")
		}
	}
}

func fillLeases(t *testing.T, db *DB, n int, attribute string) {
	t.Helper()
	for i := range n {
		must(t, db, "PutItem", fmt.Sprintf(`{"TableName":"leases","Item":{"k":{"S":"shardId-%012d"},"n":{"N":"%d"}%s}}`, i, i%2, prefixComma(attribute)))
	}
}

func TestScanReadsEveryItemOnce(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	fillLeases(t, db, 500, `"owner_":{"S":"w"}`)
	for _, rest := range []string{
		``, `,"Limit":1`, `,"Limit":7`, `,"Limit":500`, `,"IndexName":"by-owner","Limit":9`, `,"ConsistentRead":true,"ProjectionExpression":"k"`,
	} {
		items, _ := readAll(t, db, "Scan", `{"TableName":"leases"`+rest+`}`)
		seen := map[string]bool{}
		for key := range strings.FieldsSeq(column(items, "k")) {
			seen[key] = true
		}
		if len(items) != 500 || len(seen) != 500 {
			t.Errorf("scan %s: %d items, %d keys", rest, len(items), len(seen))
		}
	}
}

func TestParallelScanPartitionsTheTable(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	fillLeases(t, db, 500, "")
	for _, total := range []int{1, 2, 3, 8, 1000} {
		seen := map[string]int{}
		smallest := 500
		for segment := range total {
			items, _ := readAll(t, db, "Scan", fmt.Sprintf(`{"TableName":"leases","Segment":%d,"TotalSegments":%d,"Limit":50}`, segment, total))
			smallest = min(smallest, len(items))
			for key := range strings.FieldsSeq(column(items, "k")) {
				seen[key]++
			}
		}
		for key, times := range seen {
			if times != 1 {
				t.Errorf("%d segments: %s is in %d", total, key, times)
			}
		}
		if len(seen) != 500 || total <= 8 && smallest < 500/total/2 {
			t.Errorf("%d segments: %d items, the smallest segment has %d", total, len(seen), smallest)
		}
	}
}

func TestScanPageIsOneMebibyteBeforeTheFilter(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	fillLeases(t, db, 25, `"pad":{"S":"`+strings.Repeat("x", 100<<10)+`"}`)
	body := `{"TableName":"leases","FilterExpression":"n = :one","ExpressionAttributeValues":{":one":{"N":"1"}},"ReturnConsumedCapacity":"TOTAL"}`
	page := readPage(t, db, "Scan", body)
	// An item is a little over 100 KiB: ten are in 1 MiB, eleven are not.
	if page.ScannedCount != 10 || page.Count >= 10 || page.LastEvaluatedKey == nil || page.ConsumedCapacity.CapacityUnits != 125.5 {
		t.Fatalf("count %d of %d, capacity %v", page.Count, page.ScannedCount, page.ConsumedCapacity)
	}
	items, pages := readAll(t, db, "Scan", body)
	if len(items) != 12 || pages != 3 {
		t.Fatalf("%d items in %d pages", len(items), pages)
	}
}

// Paging goes on behind a key although its item was deleted, and sees what was written behind it.
func TestScanContinuesBehindADeletedItem(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	fillLeases(t, db, 20, "")
	all, _ := readAll(t, db, "Scan", `{"TableName":"leases"}`)
	first := readPage(t, db, "Scan", `{"TableName":"leases","Limit":5}`)
	must(t, db, "DeleteItem", `{"TableName":"leases","Key":`+string(first.LastEvaluatedKey)+`}`)
	rest, _ := readAll(t, db, "Scan", `{"TableName":"leases","ExclusiveStartKey":`+string(first.LastEvaluatedKey)+`}`)
	if got, want := column(rest, "k"), column(all[5:], "k"); got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
}

func TestBinaryKeysAreOrderedByTheirBytes(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	for i, tag := range []string{"YQI=", "YQAB", "YQ==", "YQE=", "YQAA", "YQA=", "AA=="} { // 6102 610001 61 6101 610000 6100 00
		must(t, db, "PutItem", fmt.Sprintf(`{"TableName":"events","Item":{"id":{"S":"a"},"seq":{"N":"%d"},"grp":{"S":"g"},"tag":{"B":"%s"}}}`, i, tag))
	}
	page := readPage(t, db, "Query", queryBody("grp = :g", `":g":{"S":"g"}`, `"IndexName":"grp-tag"`))
	if got := column(page.Items, "tag"); got != "AA== YQ== YQA= YQAA YQAB YQE= YQI=" {
		t.Fatal(got)
	}
	page = readPage(t, db, "Query", queryBody("grp = :g AND tag BETWEEN :a AND :b", `":g":{"S":"g"},":a":{"B":"YQA="},":b":{"B":"YQE="}`, `"IndexName":"grp-tag"`))
	if got := column(page.Items, "tag"); got != "YQA= YQAA YQAB YQE=" {
		t.Fatal(got)
	}
}
