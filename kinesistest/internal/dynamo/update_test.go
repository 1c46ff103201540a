package dynamo

import (
	"fmt"
	"strings"
	"testing"
)

func TestUpdateExpressions(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, before, expression, values, after string }{
		{"set and copy read the old item", `"a":{"N":"1"},"b":{"N":"2"}`, "SET a = b, b = a", "", `"a":{"N":"2"},"b":{"N":"1"}`},
		{"remove reads the old item too", `"a":{"N":"1"}`, "REMOVE a SET b = a", "", `"b":{"N":"1"}`},
		{"plus and minus", `"a":{"N":"1"}`, "SET a = a + :i, b = a - :i, c = (:i + a)", `":i":{"N":"0.5"}`,
			`"a":{"N":"1.5"},"b":{"N":"0.5"},"c":{"N":"1.5"}`},
		{"38 digits exactly", `"a":{"N":"99999999999999999999999999999999999998"}`, "SET a = a + :i", `":i":{"N":"1"}`,
			`"a":{"N":"99999999999999999999999999999999999999"}`},
		{"if_not_exists", `"a":{"N":"1"}`, "SET a = if_not_exists(a, :i), b = if_not_exists(b, :i) + :i", `":i":{"N":"7"}`,
			`"a":{"N":"1"},"b":{"N":"14"}`},
		{"list_append", `"l":{"L":[{"S":"b"}]}`, "SET l = list_append(:a, l), m = list_append(l, l)", `":a":{"L":[{"S":"a"}]}`,
			`"l":{"L":[{"S":"a"},{"S":"b"}]},"m":{"L":[{"S":"b"},{"S":"b"}]}`},
		{"list_append creates", "", "SET l = list_append(if_not_exists(l, :e), :a)", `":a":{"L":[{"S":"a"}]},":e":{"L":[]}`, `"l":{"L":[{"S":"a"}]}`},
		{"add number", `"a":{"N":"1"}`, "ADD a :i, b :i", `":i":{"N":"-3"}`, `"a":{"N":"-2"},"b":{"N":"-3"}`},
		{"add to set", `"a":{"SS":["x","y"]}`, "ADD a :s, b :s", `":s":{"SS":["y","z"]}`, `"a":{"SS":["x","y","z"]},"b":{"SS":["y","z"]}`},
		{"delete from set", `"a":{"NS":["1","2"]},"b":{"NS":["1"]}`, "DELETE a :s, b :s, c :s", `":s":{"NS":["1.0","9"]}`, `"a":{"NS":["2"]}`},
		{"nested", `"m":{"M":{"x":{"N":"1"},"y":{"N":"2"},"d":{"M":{}}}}`, "SET m.z = :v, m.d.e = :v REMOVE m.x, m.nil_ ADD m.y :v",
			`":v":{"N":"3"}`, `"m":{"M":{"y":{"N":"5"},"z":{"N":"3"},"d":{"M":{"e":{"N":"3"}}}}}`},
		{"list elements by old index", `"l":{"L":[{"N":"0"},{"N":"1"},{"N":"2"}]}`, "REMOVE l[0], l[1], l[3] SET l[2] = :v, l[30] = :v, l[20] = :w",
			`":v":{"S":"v"},":w":{"S":"w"}`, `"l":{"L":[{"S":"v"},{"S":"w"},{"S":"v"}]}`},
		{"list in list", `"l":{"L":[{"L":[{"N":"0"},{"N":"1"}]},{"M":{}}]}`, "REMOVE l[0][0] SET l[1].x = :v", `":v":{"BOOL":false}`,
			`"l":{"L":[{"L":[{"N":"1"}]},{"M":{"x":{"BOOL":false}}}]}`},
		{"keywords in any case", `"a":{"N":"1"}`, "set b = a remove a", "", `"b":{"N":"1"}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			db := newDB(t)
			putRow(t, db, test.before)
			must(t, db, "UpdateItem", updateRow(test.expression, test.values, ""))
			wantJSON(t, row(t, db), `{"k":{"S":"x"}`+prefixComma(test.after)+`}`)
		})
	}
}

func TestMalformedUpdatesAreRefusedAndChangeNothing(t *testing.T) {
	t.Parallel()
	const before = `"n":{"N":"1"},"s":{"S":"a"},"m":{"M":{}},"l":{"L":[{"N":"0"}]},"ss":{"SS":["x"]},"big":{"N":"1E+125"}`
	const values = `":n":{"N":"1"}`
	tests := []struct{ expression, values, message string }{
		{"", "", "Invalid UpdateExpression: The expression can not be empty;"},
		{"HELLO a = :n", values, `Syntax error; token: "HELLO"`}, {"SET a", "", "Syntax error"}, {"SET a = :n,", values, "Syntax error"},
		{"SET a = :n + :n + :n", values, "Syntax error"}, {"SET a :n", values, "Syntax error"}, {"REMOVE a = :n", values, "Syntax error"},
		{"ADD a n", "", "Syntax error"}, {"SET a = :n SET b = :n", values, `The "SET" section can only be used once in an update expression;`},
		{"SET a = :n, a = :n", values, "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [a], path two: [a]"},
		{"SET m.x = :n REMOVE m", values, "path one: [m, x], path two: [m]"},
		{"SET l[0] = :n, l.x = :n", values, "Two document paths conflict with each other; must remove or rewrite one of these paths; path one: [l, [0]], path two: [l, x]"},
		{"SET k = :n", values, "Cannot update attribute k. This attribute is part of the key"},
		{"REMOVE k", "", "Cannot update attribute k. This attribute is part of the key"},
		{"SET a = nothing", "", "The provided expression refers to an attribute that does not exist in the item"},
		{"SET a = s + :n", values, "An operand in the update expression has an incorrect data type"},
		{"SET a = list_append(s, l)", "", "An operand in the update expression has an incorrect data type"},
		{"ADD s :n", values, "An operand in the update expression has an incorrect data type"},
		{"DELETE s :v", `":v":{"SS":["x"]}`, "An operand in the update expression has an incorrect data type"},
		{"ADD ss :v", `":v":{"NS":["1"]}`, "An operand in the update expression has an incorrect data type"},
		{"SET nothing.x = :n", values, "The document path provided in the update expression is invalid for update"},
		{"SET s.x = :n", values, "The document path provided in the update expression is invalid for update"},
		{"SET m[0] = :n", values, "The document path provided in the update expression is invalid for update"},
		{"SET l[4].x = :n", values, "The document path provided in the update expression is invalid for update"},
		{"REMOVE nothing.x", "", "The document path provided in the update expression is invalid for update"},
		{"SET a = :v + :n", `":v":{"S":"x"},":n":{"N":"1"}`, "Incorrect operand type for operator or function; operator or function: +, operand type: S"},
		{"ADD a :v", `":v":{"S":"x"}`, "Incorrect operand type for operator or function; operator: ADD, operand type: STRING"},
		{"DELETE a :n", values, "Incorrect operand type for operator or function; operator: DELETE, operand type: NUMBER"},
		{"SET a = foo(s)", "", "Invalid function name; function: foo"},
		{"SET a = LIST_APPEND(l, l)", "", "Invalid function name; function: LIST_APPEND"},
		{"SET a = size(l)", "", "The function is not allowed in an update expression; function: size"},
		{"SET a = list_append(l)", "", "Incorrect number of operands for operator or function; operator or function: list_append, number of operands: 1"},
		{"SET a = if_not_exists(:n, :n)", values, "Operator or function requires a document path; operator or function: if_not_exists"},
		{"SET a = big + :v", `":v":{"N":"9E+125"}`, "Number overflow"},
		{"SET a = big + :n", values, "Number overflow"},
		{"SET data = :n", values, "Attribute name is a reserved keyword; reserved keyword: data"},
		{"SET owner_ = :n", values, "Type mismatch for Index Key owner_ Expected: S Actual: N IndexName: by-owner"},
		{"SET a = :v", `":v":{"S":"` + strings.Repeat("x", maxItemSize) + `"}`, "Item size to update has exceeded the maximum allowed size"},
		{"SET a = :v", `":v":` + strings.Repeat(`{"L":[`, 33) + strings.Repeat(`]}`, 33), "Nesting Levels have exceeded supported limits"},
		{"SET m.x = :v", `":v":` + strings.Repeat(`{"L":[`, 32) + strings.Repeat(`]}`, 32), "Nesting Levels have exceeded supported limits"},
	}
	for i, test := range tests {
		t.Run(fmt.Sprintf("%d %.40s", i, test.expression), func(t *testing.T) {
			t.Parallel()
			db := newDB(t)
			putRow(t, db, before)
			had := row(t, db)
			body := updateRow(test.expression, test.values, "")
			if test.expression == "" {
				body = updateRow("", "", `"UpdateExpression":""`)
			}
			refused(t, db, "UpdateItem", body, "ValidationException", test.message)
			wantJSON(t, row(t, db), had)
		})
	}
}

func TestUpdateOfAnAbsentItemCreatesItUnlessRefusedOrOnlyRemoving(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, body, after string }{
		{"no expression", updateRow("", "", ""), `{"k":{"S":"x"}}`},
		{"set", updateRow("SET a = :a", `":a":{"N":"1"}`, ""), `{"k":{"S":"x"},"a":{"N":"1"}}`},
		{"add", updateRow("ADD a :a REMOVE b", `":a":{"N":"1"}`, ""), `{"k":{"S":"x"},"a":{"N":"1"}}`},
		{"condition that holds", updateRow("SET a = :a", `":a":{"N":"1"}`, `"ConditionExpression":"attribute_not_exists(k)"`),
			`{"k":{"S":"x"},"a":{"N":"1"}}`},
		{"condition that an absent item meets", updateRow("SET a = :a", `":a":{"N":"1"}`, `"ConditionExpression":"b <> :a"`),
			`{"k":{"S":"x"},"a":{"N":"1"}}`},
		{"remove only", updateRow("REMOVE a, b.c", "", ""), `{}`},
		{"delete only", updateRow("DELETE a :a", `":a":{"SS":["x"]}`, ""), `{}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			db := newDB(t)
			must(t, db, "UpdateItem", test.body)
			wantJSON(t, row(t, db), test.after)
		})
	}
	db := newDB(t)
	refused(t, db, "UpdateItem", updateRow("SET a = :a", `":a":{"N":"1"}`,
		`"ConditionExpression":"attribute_exists(k)","ReturnValuesOnConditionCheckFailure":"ALL_OLD"`), "ConditionalCheckFailedException", "")
	wantJSON(t, row(t, db), "{}")
}

func TestReturnValues(t *testing.T) {
	t.Parallel()
	tests := []struct{ returns, want string }{
		{"NONE", `{}`},
		{"ALL_OLD", `{"Attributes":{"k":{"S":"x"},"a":{"N":"1"},"c":{"N":"3"},"m":{"M":{"p":{"N":"1"},"q":{"N":"2"}}}}}`},
		{"ALL_NEW", `{"Attributes":{"k":{"S":"x"},"a":{"N":"2"},"b":{"N":"1"},"m":{"M":{"p":{"N":"9"},"q":{"N":"2"}}}}}`},
		{"UPDATED_OLD", `{"Attributes":{"a":{"N":"1"},"c":{"N":"3"},"m":{"M":{"p":{"N":"1"}}}}}`},
		{"UPDATED_NEW", `{"Attributes":{"a":{"N":"2"},"b":{"N":"1"},"m":{"M":{"p":{"N":"9"}}}}}`},
	}
	for _, test := range tests {
		t.Run(test.returns, func(t *testing.T) {
			t.Parallel()
			db := newDB(t)
			putRow(t, db, `"a":{"N":"1"},"c":{"N":"3"},"m":{"M":{"p":{"N":"1"},"q":{"N":"2"}}}`)
			wantJSON(t, must(t, db, "UpdateItem", updateRow("SET a = a + :i, b = :i, m.p = :n REMOVE c", `":i":{"N":"1"},":n":{"N":"9"}`,
				`"ReturnValues":"`+test.returns+`"`)), test.want)
		})
	}
	db := newDB(t)
	refused(t, db, "UpdateItem", updateRow("", "", `"ReturnValues":"SOME"`), "ValidationException",
		"Value 'SOME' at 'returnValues' failed to satisfy constraint: Member must satisfy enum value set")
	refused(t, db, "PutItem", `{"TableName":"leases","Item":{"k":{"S":"x"}},"ReturnValues":"ALL_NEW"}`, "ValidationException",
		"Return values set to invalid value")
	putRow(t, db, `"a":{"N":"1"}`)
	wantJSON(t, must(t, db, "PutItem", `{"TableName":"leases","Item":{"k":{"S":"x"}},"ReturnValues":"ALL_OLD"}`),
		`{"Attributes":{"k":{"S":"x"},"a":{"N":"1"}}}`)
	wantJSON(t, must(t, db, "DeleteItem", `{"TableName":"leases","Key":{"k":{"S":"x"}},"ReturnValues":"ALL_OLD"}`), `{"Attributes":{"k":{"S":"x"}}}`)
	wantJSON(t, must(t, db, "DeleteItem", `{"TableName":"leases","Key":{"k":{"S":"x"}},"ReturnValues":"ALL_OLD"}`), `{}`)
}

func TestWritesAreConditional(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	const put = `{"TableName":"leases","Item":{"k":{"S":"x"},"a":{"N":"%d"}},"ConditionExpression":"attribute_not_exists(k)"%s}`
	must(t, db, "PutItem", fmt.Sprintf(put, 1, ""))
	fault := refused(t, db, "PutItem", fmt.Sprintf(put, 2, `,"ReturnValuesOnConditionCheckFailure":"ALL_OLD"`), "ConditionalCheckFailedException", "")
	found, ok := fault.Members["Item"].(item)
	if !ok || !found["a"].equal(value{kind: kindN, num: numberOf(1)}) {
		t.Fatalf("want the item that refused the write, got %v", fault.Members)
	}
	const remove = `{"TableName":"leases","Key":{"k":{"S":"x"}},"ConditionExpression":"a = :a","ExpressionAttributeValues":{":a":{"N":"%d"}}}`
	refused(t, db, "DeleteItem", fmt.Sprintf(remove, 2), "ConditionalCheckFailedException", "")
	wantJSON(t, row(t, db), `{"k":{"S":"x"},"a":{"N":"1"}}`)
	must(t, db, "DeleteItem", fmt.Sprintf(remove, 1))
	wantJSON(t, row(t, db), `{}`)
	fault = refused(t, db, "DeleteItem", fmt.Sprintf(remove, 1), "ConditionalCheckFailedException", "")
	if fault.Members != nil {
		t.Fatalf("there is no item to return: %v", fault.Members)
	}
}
