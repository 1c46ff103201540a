package dynamo

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

func TestAllTypesAreStoredAndReturned(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	const attributes = `"s":{"S":"é\n\"<>\u2028"},"e":{"S":""},"n":{"N":"-12.5"},"b":{"B":"AP8="},"eb":{"B":""},"t":{"BOOL":true},"f":{"BOOL":false},
		"z":{"NULL":true},"m":{"M":{"l":{"L":[{"S":"x"},{"M":{}},{"L":[]}]}}},"ss":{"SS":["","a"]},"ns":{"NS":["-1","2"]},"bs":{"BS":["","AA=="]}`
	putRow(t, db, attributes)
	wantJSON(t, row(t, db), `{"k":{"S":"x"},`+attributes+`}`)
}

func TestInvalidValuesAreRefused(t *testing.T) {
	t.Parallel()
	tests := []struct{ value, message string }{
		{`{}`, "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"},
		{`{"S":"a","N":"1"}`, "Supplied AttributeValue has more than one datatypes set"},
		{`{"SS":[]}`, "An string set  may not be empty"}, {`{"NS":[]}`, "An number set  may not be empty"},
		{`{"BS":[]}`, "Binary sets should not be empty"},
		{`{"SS":["a","b","a"]}`, "Input collection [a, b, a] contains duplicates."},
		{`{"NS":["1","1.0"]}`, "Input collection contains duplicates"}, {`{"BS":["YQ==","YQ=="]}`, "contains duplicates."},
		{`{"NULL":false}`, "Null attribute value types must have the value of true"},
		{`{"N":"1e126"}`, "Number overflow"}, {`{"NS":["x"]}`, "cannot be converted to a numeric value: x"},
		{`{"L":[{"M":{"a":{}}}]}`, "Supplied AttributeValue is empty"}, {`{"M":{"":{"S":""}}}`, "Empty attribute name"},
		{`{"X":"y"}`, `"X"`}, {`{"S":"` + strings.Repeat("x", maxItemSize-3) + `"}`, "Item size has exceeded the maximum allowed size"},
		{strings.Repeat(`{"M":{"a":`, 33) + `{"S":""}` + strings.Repeat(`}}`, 33), "Nesting Levels have exceeded supported limits"},
	}
	for _, test := range tests {
		db := newDB(t)
		refused(t, db, "PutItem", `{"TableName":"leases","Item":{"k":{"S":"x"},"aa":`+test.value+`}}`, "ValidationException", test.message)
		if got := row(t, db); got != "{}" {
			t.Errorf("refused but stored: %s", got)
		}
	}
	db := newDB(t)
	putRow(t, db, `"aa":{"S":"`+strings.Repeat("x", maxItemSize-4)+`"}`)
	putRow(t, db, `"aa":`+strings.Repeat(`{"M":{"a":`, 32)+`{"S":""}`+strings.Repeat(`}}`, 32))
}

func TestKeysMustMatchTheSchema(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	const schema = "The provided key element does not match the schema"
	tests := []struct{ op, body, message string }{
		{"GetItem", `{"TableName":"leases"}`, schema},
		{"GetItem", `{"TableName":"leases","Key":{"k":{"N":"1"}}}`, schema},
		{"GetItem", `{"TableName":"leases","Key":{"q":{"S":"1"}}}`, schema},
		{"DeleteItem", `{"TableName":"leases","Key":{"k":{"S":"1"},"q":{"S":"1"}}}`, schema},
		{"UpdateItem", `{"TableName":"events","Key":{"id":{"S":"1"}}}`, schema},
		{"GetItem", `{"TableName":"leases","Key":{"k":{"S":""}}}`, "cannot contain an empty string value. Key: k"},
		{"GetItem", `{"TableName":"leases","Key":{"k":{"S":"` + strings.Repeat("x", 2049) + `"}}}`, "Size of hashkey has exceeded"},
		{"PutItem", `{"TableName":"leases","Item":{"q":{"S":"1"}}}`, "Missing the key k in the item"},
		{"PutItem", `{"TableName":"leases","Item":{"k":{"N":"1"}}}`, "Type mismatch for key k expected: S actual: N"},
		{"PutItem", `{"TableName":"leases","Item":{"k":{"S":""}}}`, "cannot contain an empty string value. Key: k"},
		{"PutItem", `{"TableName":"leases","Item":{"k":{"S":"1"},"owner_":{"N":"1"}}}`, "Type mismatch for Index Key owner_ Expected: S Actual: N IndexName: by-owner"},
		{"PutItem", `{"TableName":"leases","Item":{"k":{"S":"1"},"owner_":{"S":""}}}`, "IndexName: by-owner, IndexKey: owner_"},
		{"PutItem", `{"Item":{"k":{"S":"1"}}}`, "The parameter 'TableName' is required but was not present in the request"},
	}
	for _, test := range tests {
		refused(t, db, test.op, test.body, "ValidationException", test.message)
	}
	must(t, db, "PutItem", `{"TableName":"events","Item":{"id":{"S":"1"},"seq":{"N":"1e3"},"n":{"S":"one"}}}`)
	wantJSON(t, must(t, db, "GetItem", `{"TableName":"events","Key":{"id":{"S":"1"},"seq":{"N":"1000.0"}},"ProjectionExpression":"seq, n"}`),
		`{"Item":{"seq":{"N":"1000"},"n":{"S":"one"}}}`)
}

func TestProjections(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	putRow(t, db, `"a":{"N":"1"},"d":{"M":{"x":{"N":"1"},"y":{"M":{"z":{"S":"q"}}}}},"l":{"L":[{"N":"0"},{"M":{"p":{"N":"1"},"r":{"N":"2"}}},{"N":"2"}]}`)
	tests := []struct{ expression, want string }{
		{"a", `{"Item":{"a":{"N":"1"}}}`}, {"d.x, #k", `{"Item":{"d":{"M":{"x":{"N":"1"}}},"k":{"S":"x"}}}`},
		{"d.y.z, a.q", `{"Item":{"d":{"M":{"y":{"M":{"z":{"S":"q"}}}}}}}`},
		{"l[2], l[1].p, l[7]", `{"Item":{"l":{"L":[{"M":{"p":{"N":"1"}}},{"N":"2"}]}}}`}, {"nothing", `{"Item":{}}`},
	}
	for _, test := range tests {
		names := ""
		if strings.Contains(test.expression, "#k") {
			names = `,"ExpressionAttributeNames":{"#k":"k"}`
		}
		wantJSON(t, must(t, db, "GetItem", fmt.Sprintf(`{"TableName":"leases","Key":{"k":{"S":"x"}},"ProjectionExpression":"%s"%s}`,
			test.expression, names)), test.want)
	}
	wantJSON(t, must(t, db, "GetItem", `{"TableName":"leases","Key":{"k":{"S":"none"}},"ProjectionExpression":"a"}`), `{}`)
	refused(t, db, "GetItem", `{"TableName":"leases","Key":{"k":{"S":"x"}},"ProjectionExpression":"d.x, d"}`, "ValidationException",
		"Invalid ProjectionExpression: Two document paths overlap with each other")
}

func TestConsumedCapacityFollowsItemSize(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	get := `{"TableName":"leases","Key":{"k":{"S":"x"}},"ConsistentRead":%v,"ReturnConsumedCapacity":"%s"}`
	units := func(op, body string) string {
		t.Helper()
		reply := must(t, db, op, body)
		_, c, _ := strings.Cut(reply, `"ConsumedCapacity":`)
		return strings.TrimSuffix(c, "}")
	}
	total := func(n string) string { return `{"TableName":"leases","CapacityUnits":` + n + `}` }
	wantJSON(t, units("GetItem", fmt.Sprintf(get, false, "TOTAL")), total("0.5"))
	wantJSON(t, units("GetItem", fmt.Sprintf(get, true, "TOTAL")), total("1"))
	if got := units("GetItem", fmt.Sprintf(get, true, "NONE")); got != "" {
		t.Fatal(got)
	}
	// k (1) + x (1) + a (1) and 9997 bytes are 10000: 3 reads of 4 KiB, 10 writes of 1 KiB.
	body := `{"TableName":"leases","Item":{"k":{"S":"x"},"a":{"S":"` + strings.Repeat("x", 9997) + `"}},"ReturnConsumedCapacity":"TOTAL"}`
	wantJSON(t, units("PutItem", body), total("10"))
	wantJSON(t, units("GetItem", fmt.Sprintf(get, true, "TOTAL")), total("3"))
	wantJSON(t, units("GetItem", fmt.Sprintf(get, false, "INDEXES")), `{"TableName":"leases","CapacityUnits":1.5,"Table":{"CapacityUnits":1.5}}`)
	wantJSON(t, units("UpdateItem", updateRow("REMOVE a", "", `"ReturnConsumedCapacity":"TOTAL"`)), total("10"))
	wantJSON(t, units("UpdateItem", updateRow("SET b = :b", `":b":{"N":"1"}`, `"ReturnConsumedCapacity":"TOTAL"`)), total("1"))
	wantJSON(t, units("DeleteItem", `{"TableName":"leases","Key":{"k":{"S":"x"}},"ReturnConsumedCapacity":"TOTAL"}`), total("1"))

	sizes := map[string]int{
		`{"S":"é"}`: 2, `{"N":"0"}`: 1, `{"N":"-123"}`: 4, `{"BOOL":true}`: 1, `{"NULL":true}`: 1, `{"B":"AAAA"}`: 3, `{"SS":["ab","c"]}`: 3,
		`{"L":[{"S":"ab"}]}`: 6, `{"M":{"xy":{"S":"ab"}}}`: 8, `{"M":{}}`: 3, `{"L":[]}`: 3,
	}
	for body, want := range sizes {
		raw, fault := decode[wireValue]([]byte(body))
		if fault != nil {
			t.Fatal(fault)
		}
		v, _ := raw.value(0)
		if got := v.size(); got != want {
			t.Errorf("size of %s is %d, want %d", body, got, want)
		}
	}
}

func TestItemsAreSortedDeepCopies(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	for _, key := range []string{"-1", "10", "9", "1e2", "0"} {
		for _, id := range []string{"b", "a", "aa"} {
			must(t, db, "PutItem", fmt.Sprintf(`{"TableName":"events","Item":{"id":{"S":"%s"},"seq":{"N":"%s"},"b":{"B":"AQ=="},"l":{"L":[{"S":"x"}]}}}`, id, key))
		}
	}
	items := db.Items("events")
	var order []string
	for _, it := range items {
		order = append(order, it["id"].(*types.AttributeValueMemberS).Value+it["seq"].(*types.AttributeValueMemberN).Value)
	}
	want := "[a-1 a0 a9 a10 a100 aa-1 aa0 aa9 aa10 aa100 b-1 b0 b9 b10 b100]"
	if got := fmt.Sprint(order); got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
	items[0]["b"].(*types.AttributeValueMemberB).Value[0] = 9
	items[0]["l"].(*types.AttributeValueMemberL).Value[0] = nil
	delete(items[0], "id")
	if again := db.Items("events"); reflect.DeepEqual(again[0], items[0]) || again[0]["b"].(*types.AttributeValueMemberB).Value[0] != 1 {
		t.Fatal("a change of the copy has reached the table")
	}
	defer func() {
		if recover() == nil {
			t.Fatal("an unknown table must panic")
		}
	}()
	db.Items("other")
}
