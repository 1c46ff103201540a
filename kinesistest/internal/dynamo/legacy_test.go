package dynamo

import (
	"fmt"
	"strings"
	"testing"
)

const legacyRow = `"s":{"S":"hello"},"n":{"N":"5"},"b":{"B":"aGk="},"ss":{"SS":["x","y"]},"l":{"L":[{"S":"x"}]},"a.b":{"S":"dot"}`

func expectRow(expected, rest string) string {
	return updateRow("", "", `"Expected":{`+expected+`}`+prefixComma(rest))
}

func TestExpectedHoldsAsInTheService(t *testing.T) {
	t.Parallel()
	compared := func(attribute, operator, values string) string {
		return fmt.Sprintf(`"%s":{"ComparisonOperator":"%s","AttributeValueList":[%s]}`, attribute, operator, values)
	}
	tests := []struct {
		expected string
		want     bool
	}{
		{`"s":{"Value":{"S":"hello"}}`, true}, {`"s":{"Value":{"S":"x"}}`, false}, {`"gone":{"Value":{"S":"x"}}`, false},
		{`"s":{"Exists":true,"Value":{"S":"hello"}}`, true}, {`"n":{"Value":{"N":"5.0"}}`, true}, {`"n":{"Value":{"S":"5"}}`, false},
		{`"gone":{"Exists":false}`, true}, {`"s":{"Exists":false}`, false}, {`"a.b":{"Value":{"S":"dot"}}`, true},
		{`"n":{"ComparisonOperator":"LT","Value":{"N":"6"}}`, true},
		{compared("s", "EQ", `{"S":"hello"}`), true}, {compared("ss", "EQ", `{"SS":["y","x"]}`), true},
		{compared("s", "NE", `{"S":"x"}`), true}, {compared("s", "NE", `{"S":"hello"}`), false}, {compared("gone", "NE", `{"S":"x"}`), true},
		{`"gone":{"ComparisonOperator":"NULL"}`, true}, {`"s":{"ComparisonOperator":"NULL"}`, false},
		{`"s":{"ComparisonOperator":"NOT_NULL","AttributeValueList":[]}`, true}, {`"gone":{"ComparisonOperator":"NOT_NULL"}`, false},
		{compared("n", "LT", `{"N":"5"}`), false}, {compared("n", "LE", `{"N":"5"}`), true}, {compared("n", "GT", `{"N":"5"}`), false},
		{compared("n", "GE", `{"N":"5"}`), true}, {compared("n", "GE", `{"S":"5"}`), false}, {compared("gone", "GE", `{"N":"5"}`), false},
		{compared("n", "BETWEEN", `{"N":"5"},{"N":"6"}`), true}, {compared("n", "BETWEEN", `{"N":"6"},{"N":"7"}`), false},
		{compared("s", "IN", `{"S":"a"},{"S":"hello"}`), true}, {compared("s", "IN", `{"S":"a"}`), false},
		{compared("s", "CONTAINS", `{"S":"ell"}`), true}, {compared("ss", "CONTAINS", `{"S":"x"}`), true},
		{compared("l", "CONTAINS", `{"S":"x"}`), true}, {compared("ss", "CONTAINS", `{"S":"z"}`), false},
		{compared("s", "NOT_CONTAINS", `{"S":"z"}`), true}, {compared("s", "NOT_CONTAINS", `{"S":"ell"}`), false},
		{compared("gone", "NOT_CONTAINS", `{"S":"z"}`), false},
		{compared("s", "BEGINS_WITH", `{"S":"he"}`), true}, {compared("b", "BEGINS_WITH", `{"B":"aA=="}`), true},
		{compared("s", "BEGINS_WITH", `{"S":"lo"}`), false},
		{`"s":{"Value":{"S":"hello"}},"n":{"Value":{"N":"6"}}`, false}, {``, true},
	}
	for _, test := range tests {
		db := newDB(t)
		putRow(t, db, legacyRow)
		if test.want {
			must(t, db, "UpdateItem", expectRow(test.expected, ""))
		} else {
			refused(t, db, "UpdateItem", expectRow(test.expected, ""), "ConditionalCheckFailedException", "The conditional request failed")
		}
	}
	db := newDB(t)
	putRow(t, db, legacyRow)
	either := `"s":{"Value":{"S":"hello"}},"n":{"Value":{"N":"6"}}`
	must(t, db, "UpdateItem", expectRow(either, `"ConditionalOperator":"OR"`))
	refused(t, db, "UpdateItem", expectRow(either, `"ConditionalOperator":"AND"`), "ConditionalCheckFailedException", "")
}

// Each of the three writes heeds Expected, and nothing is written when it fails; the exception carries the item on request.
func TestExpectedGuardsEveryWrite(t *testing.T) {
	t.Parallel()
	for op, body := range map[string]string{
		"PutItem":    `{"TableName":"leases","Item":{"k":{"S":"x"}}%s}`,
		"DeleteItem": `{"TableName":"leases","Key":{"k":{"S":"x"}}%s}`,
		"UpdateItem": `{"TableName":"leases","Key":{"k":{"S":"x"}},"AttributeUpdates":{"n":{"Action":"DELETE"}}%s}`,
	} {
		db := newDB(t)
		putRow(t, db, `"n":{"N":"5"}`)
		fault := refused(t, db, op, fmt.Sprintf(body, `,"Expected":{"n":{"Value":{"N":"6"}}},"ReturnValuesOnConditionCheckFailure":"ALL_OLD"`),
			"ConditionalCheckFailedException", "")
		if it, _ := fault.Members["Item"].(item); len(it) != 2 {
			t.Errorf("%s: the exception has %v", op, fault.Members)
		}
		wantJSON(t, row(t, db), `{"k":{"S":"x"},"n":{"N":"5"}}`)
		must(t, db, op, fmt.Sprintf(body, `,"Expected":{"n":{"Value":{"N":"5"}}}`))
		if got := row(t, db); strings.Contains(got, `"n"`) {
			t.Errorf("%s: left %s", op, got)
		}
	}
}

func TestMalformedLegacyConditionsAreRefused(t *testing.T) {
	t.Parallel()
	const s, n = `{"S":"a"}`, `{"N":"1"}`
	tests := []struct{ expected, message string }{
		{`"s":{}`, "Value must be provided when Exists is null for Attribute: s"},
		{`"s":{"Exists":true}`, "Value must be provided when Exists is true for Attribute: s"},
		{`"s":{"Exists":false,"Value":` + s + `}`, "Value cannot be used when Exists is false for Attribute: s"},
		{`"s":{"Exists":false,"ComparisonOperator":"NULL"}`, "Exists and ComparisonOperator cannot be used together for Attribute: s"},
		{`"s":{"Value":` + s + `,"AttributeValueList":[` + s + `],"ComparisonOperator":"EQ"}`, "Value and AttributeValueList cannot be used together"},
		{`"s":{"AttributeValueList":[` + s + `]}`, "AttributeValueList can only be used with a ComparisonOperator for Attribute: s"},
		{`"s":{"ComparisonOperator":"LIKE","Value":` + s + `}`, "[IN, NULL, BETWEEN, LT, NOT_CONTAINS, EQ, GT, NOT_NULL, NE, LE, BEGINS_WITH, GE, CONTAINS]"},
		{`"s":{"ComparisonOperator":"EQ"}`, "Invalid number of argument(s) for the EQ ComparisonOperator"},
		{`"s":{"ComparisonOperator":"NULL","Value":` + s + `}`, "Invalid number of argument(s) for the NULL ComparisonOperator"},
		{`"s":{"ComparisonOperator":"BETWEEN","AttributeValueList":[` + s + `]}`, "Invalid number of argument(s) for the BETWEEN"},
		{`"s":{"ComparisonOperator":"IN","AttributeValueList":[]}`, "Invalid number of argument(s) for the IN"},
		{`"s":{"ComparisonOperator":"IN","AttributeValueList":[` + s + `,` + n + `]}`, "AttributeValues inside AttributeValueList must be of same type"},
		{`"s":{"ComparisonOperator":"LT","Value":{"BOOL":true}}`, "ComparisonOperator LT is not valid for BOOL AttributeValue type"},
		{`"s":{"ComparisonOperator":"BEGINS_WITH","Value":` + n + `}`, "ComparisonOperator BEGINS_WITH is not valid for N"},
		{`"s":{"ComparisonOperator":"CONTAINS","Value":{"SS":["a"]}}`, "ComparisonOperator CONTAINS is not valid for SS"},
		{`"s":{"ComparisonOperator":"BETWEEN","AttributeValueList":[{"N":"2"},` + n + `]}`, "lower bound is greater than the upper bound"},
		{`"s":{"Value":{}}`, "Supplied AttributeValue is empty"},
		{`"s":{"ComparisonOperator":"EQ","Value":{"N":"x"}}`, "cannot be converted to a numeric value"},
	}
	db := newDB(t)
	for _, test := range tests {
		refused(t, db, "UpdateItem", expectRow(test.expected, ""), "ValidationException", test.message)
	}
	const one = `"s":{"Exists":false}`
	refused(t, db, "UpdateItem", expectRow(one, `"ConditionalOperator":"OR"`), "ValidationException", "has two or more elements")
	refused(t, db, "UpdateItem", updateRow("", "", `"ConditionalOperator":"OR"`), "ValidationException", "cannot be used without Filter or Expected")
	refused(t, db, "UpdateItem", expectRow(one+`,"n":{"Exists":false}`, `"ConditionalOperator":"XOR"`), "ValidationException", "[OR, AND]")
	refused(t, db, "Scan", `{"TableName":"leases","ScanFilter":{"s":{"AttributeValueList":[]}}}`, "ValidationException", "comparisonOperator")
	refused(t, db, "Scan", `{"TableName":"leases","ScanFilter":{"s":{"Exists":false}}}`, "ValidationException", `parameter "Exists"`)
	if got := row(t, db); got != "{}" {
		t.Fatalf("a refused request has stored %s", got)
	}
}

func TestLegacyAndExpressionParametersDoNotMix(t *testing.T) {
	t.Parallel()
	const mixed = "Can not use both expression and non-expression parameters in the same request: "
	const row = `"TableName":"leases","Key":{"k":{"S":"x"}}`
	const condition = `"ConditionExpression":"attribute_exists(k)"`
	tests := []struct{ op, body, message string }{
		{"UpdateItem", `{` + row + `,"UpdateExpression":"REMOVE a","AttributeUpdates":{},"Expected":{},` + condition + `}`,
			"Non-expression parameters: {AttributeUpdates, Expected} Expression parameters: {UpdateExpression, ConditionExpression}"},
		{"UpdateItem", `{` + row + `,"AttributeUpdates":{},` + condition + `}`, "{AttributeUpdates} Expression parameters: {ConditionExpression}"},
		{"DeleteItem", `{` + row + `,"Expected":{},` + condition + `}`, "{Expected} Expression parameters: {ConditionExpression}"},
		{"PutItem", `{"TableName":"leases","Item":{"k":{"S":"x"}},"Expected":{},` + condition + `}`, "{Expected}"},
		{"GetItem", `{` + row + `,"AttributesToGet":["k"],"ProjectionExpression":"k"}`, "{AttributesToGet} Expression parameters: {ProjectionExpression}"},
		{"BatchGetItem", `{"RequestItems":{"leases":{"Keys":[{"k":{"S":"x"}}],"AttributesToGet":["k"],"ProjectionExpression":"k"}}}`, "{AttributesToGet}"},
		{"Scan", `{"TableName":"leases","ScanFilter":{},"FilterExpression":"attribute_exists(a)"}`, "{ScanFilter} Expression parameters: {FilterExpression}"},
		{"Query", `{"TableName":"events","KeyConditions":{},"KeyConditionExpression":"id = :a"}`, "{KeyConditions} Expression parameters: {KeyConditionExpression}"},
		{"Query", `{"TableName":"events","QueryFilter":{},"AttributesToGet":["a"],"ConditionalOperator":"OR","KeyConditionExpression":"id = :a"}`,
			"{AttributesToGet, QueryFilter, ConditionalOperator} Expression parameters: {KeyConditionExpression}"},
	}
	db := newDB(t)
	for _, test := range tests {
		fault := refused(t, db, test.op, test.body, "ValidationException", test.message)
		if !strings.HasPrefix(fault.Message, mixed) {
			t.Errorf("%s: %s", test.op, fault.Message)
		}
	}
	refused(t, db, "UpdateItem", updateRow("", `":a":{"S":""}`, `"AttributeUpdates":{}`), "ValidationException",
		"ExpressionAttributeValues can only be specified when using expressions")
}

func TestAttributeUpdates(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, updates, want string }{
		{"put is the default", `"n":{"Value":{"N":"9"}}`, `"n":{"N":"9"},"ss":{"SS":["x","y"]},"l":{"L":[{"S":"x"}]}`},
		{"put of a new one", `"q":{"Action":"PUT","Value":{"S":"z"}},"ss":{"Action":"DELETE"},"l":{"Action":"DELETE"}`, `"n":{"N":"5"},"q":{"S":"z"}`},
		{"add a number", `"n":{"Action":"ADD","Value":{"N":"-7"}},"m":{"Action":"ADD","Value":{"N":"1"}},"ss":{"Action":"DELETE"},"l":{"Action":"DELETE"}`,
			`"n":{"N":"-2"},"m":{"N":"1"}`},
		{"add to a set and a list", `"ss":{"Action":"ADD","Value":{"SS":["z","x"]}},"l":{"Action":"ADD","Value":{"L":[{"S":"x"}]}}`,
			`"n":{"N":"5"},"ss":{"SS":["x","y","z"]},"l":{"L":[{"S":"x"},{"S":"x"}]}`},
		{"delete from a set", `"ss":{"Action":"DELETE","Value":{"SS":["x","q"]}},"gone":{"Action":"DELETE"},"l":{"Action":"DELETE"}`,
			`"n":{"N":"5"},"ss":{"SS":["y"]}`},
		{"delete all of a set", `"ss":{"Action":"DELETE","Value":{"SS":["x","y"]}}`, `"n":{"N":"5"},"l":{"L":[{"S":"x"}]}`},
	}
	for _, test := range tests {
		db := newDB(t)
		putRow(t, db, `"n":{"N":"5"},"ss":{"SS":["x","y"]},"l":{"L":[{"S":"x"}]}`)
		must(t, db, "UpdateItem", updateRow("", "", `"AttributeUpdates":{`+test.updates+`}`))
		t.Log(test.name)
		wantJSON(t, row(t, db), `{"k":{"S":"x"},`+test.want+`}`)
	}

	db := newDB(t)
	must(t, db, "UpdateItem", updateRow("", "", `"AttributeUpdates":{"n":{"Action":"DELETE"}}`))
	if got := row(t, db); got != "{}" {
		t.Fatalf("a deletion has created %s", got)
	}
	wantJSON(t, must(t, db, "UpdateItem", updateRow("", "", `"AttributeUpdates":{"n":{"Action":"ADD","Value":{"N":"3"}}},"ReturnValues":"UPDATED_NEW"`)),
		`{"Attributes":{"n":{"N":"3"}}}`)
	wantJSON(t, must(t, db, "UpdateItem", updateRow("", "", `"AttributeUpdates":{"n":{"Value":{"N":"4"}}},"ReturnValues":"UPDATED_OLD"`)),
		`{"Attributes":{"n":{"N":"3"}}}`)
	for updates, message := range map[string]string{
		`"n":{}`:               "Only DELETE action is allowed when no attribute value is specified",
		`"n":{"Action":"ADD"}`: "Only DELETE action is allowed",
		`"n":{"Action":"DELETE","Value":{"N":"1"}}`:    "DELETE action with value is not supported for the type N",
		`"n":{"Action":"ADD","Value":{"S":"1"}}`:       "ADD action is not supported for the type S",
		`"n":{"Action":"ADD","Value":{"SS":["1"]}}`:    "Type mismatch for attribute to update",
		`"n":{"Action":"DELETE","Value":{"SS":["1"]}}`: "Type mismatch for attribute to update",
		`"n":{"Action":"DROP"}`:                        "[ADD, PUT, DELETE]",
		`"k":{"Value":{"S":"y"}}`:                      "Cannot update attribute k. This attribute is part of the key",
		`"n":{"Value":{}}`:                             "Supplied AttributeValue is empty",
		`"owner_":{"Value":{"N":"1"}}`:                 "Type mismatch for Index Key owner_",
	} {
		refused(t, db, "UpdateItem", updateRow("", "", `"AttributeUpdates":{`+updates+`}`), "ValidationException", message)
	}
}

func TestLegacyReads(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	for i := range 5 {
		must(t, db, "PutItem", fmt.Sprintf(`{"TableName":"events","Item":{"id":{"S":"a"},"seq":{"N":"%d"},"n":{"N":"%d"},"a.b":{"S":"v"}}}`, i, i%2))
	}
	const query = `{"TableName":"events","KeyConditions":{"id":{"ComparisonOperator":"EQ","AttributeValueList":[{"S":"a"}]}%s}%s}`
	between := `,"seq":{"ComparisonOperator":"BETWEEN","AttributeValueList":[{"N":"1"},{"N":"3"}]}`
	filter := `,"QueryFilter":{"n":{"ComparisonOperator":"EQ","AttributeValueList":[{"N":"1"}]},"z":{"ComparisonOperator":"NULL"}}`
	wantJSON(t, must(t, db, "Query", fmt.Sprintf(query, between, filter+`,"AttributesToGet":["seq","a.b"]`)),
		`{"Items":[{"seq":{"N":"1"},"a.b":{"S":"v"}},{"seq":{"N":"3"},"a.b":{"S":"v"}}],"Count":2,"ScannedCount":3}`)
	wantJSON(t, must(t, db, "Query", fmt.Sprintf(query, between, `,"FilterExpression":"n = :n","ExpressionAttributeValues":{":n":{"N":"0"}},"Select":"COUNT"`)),
		`{"Count":1,"ScannedCount":3}`)
	wantJSON(t, must(t, db, "Scan", `{"TableName":"events","Select":"COUNT","ConditionalOperator":"OR","ScanFilter":{
		"n":{"ComparisonOperator":"EQ","AttributeValueList":[{"N":"1"}]},"seq":{"ComparisonOperator":"LT","AttributeValueList":[{"N":"1"}]}}}`),
		`{"Count":3,"ScannedCount":5}`)
	must(t, db, "PutItem", `{"TableName":"leases","Item":{"k":{"S":"x"},"a":{"S":"1"},"b":{"S":"2"}}}`)
	wantJSON(t, must(t, db, "GetItem", `{"TableName":"leases","Key":{"k":{"S":"x"}},"AttributesToGet":["a","gone"]}`), `{"Item":{"a":{"S":"1"}}}`)

	tests := []struct{ op, body, message string }{
		{"Query", `{"TableName":"events","KeyConditions":{}}`, "Conditions can be of length 1 or 2 only"},
		{"Query", `{"TableName":"events","KeyConditions":{"seq":{"ComparisonOperator":"EQ","AttributeValueList":[{"N":"1"}]}}}`, "missed key schema element: id"},
		{"Query", `{"TableName":"events","KeyConditions":{"id":{"ComparisonOperator":"LT","AttributeValueList":[{"S":"1"}]}}}`, "Query key condition not supported"},
		{"Query", `{"TableName":"events","KeyConditions":{"id":{"ComparisonOperator":"NE","AttributeValueList":[{"S":"1"}]}}}`, "not an indexable operation"},
		{"Query", fmt.Sprintf(query, "", `,"QueryFilter":{"seq":{"ComparisonOperator":"NULL"}}`), "QueryFilter can only contain non-primary key attributes: Primary key attribute: seq"},
		{"Query", fmt.Sprintf(query, "", `,"AttributesToGet":["n"],"Select":"COUNT"`), "Cannot specify the AttributesToGet when choosing to get only the Count"},
		{"Scan", `{"TableName":"events","AttributesToGet":[]}`, "attributesToGet"},
		{"GetItem", `{"TableName":"leases","Key":{"k":{"S":"x"}},"AttributesToGet":["a","a"]}`, "Duplicate value in attribute name: a"},
	}
	for _, test := range tests {
		refused(t, db, test.op, test.body, "ValidationException", test.message)
	}
}
