package dynamo

import (
	"strings"
	"testing"
)

const conditionRow = `"s":{"S":"hello"},"n":{"N":"5"},"m5":{"N":"5.0"},"b":{"B":"aGk="},"t":{"BOOL":true},"z":{"NULL":true},
	"ss":{"SS":["x","y"]},"ns":{"NS":["1","2.50"]},"bs":{"BS":["aGk="]},
	"l":{"L":[{"N":"1"},{"M":{"c":{"S":"deep"}}}]},"doc":{"M":{"x":{"L":[{"S":"q"}]},"a.b":{"N":"1"}}}`

const conditionValues = `":s":{"S":"hello"},":he":{"S":"he"},":n4":{"N":"4"},":n5":{"N":"5.00"},":n6":{"N":"6e0"},":b":{"B":"aGk="},
	":x":{"S":"x"},":two":{"N":"2.5"},":str5":{"S":"5"},":deep":{"S":"deep"},":type":{"S":"SS"},":list":{"L":[{"N":"1"},{"M":{"c":{"S":"deep"}}}]},
	":yes":{"BOOL":true},":null":{"NULL":true},":set":{"SS":["y","x"]},":one":{"N":"1"},":map":{"M":{"c":{"S":"deep"}}}`

// conditionRequest gives only the placeholders an expression uses: unused ones are refused.
func conditionRequest(expression string) string {
	var values, names []string
	for _, pair := range splitMembers(conditionValues) {
		name := strings.Trim(pair[:strings.Index(pair[1:], `"`)+2], `"`)
		for _, tok := range lex(expression) {
			if tok.text == name {
				values = append(values, pair)
				break
			}
		}
	}
	if strings.Contains(expression, "#d") {
		names = append(names, `"#d":"a.b"`)
	}
	if strings.Contains(expression, "#s") {
		names = append(names, `"#s":"s"`)
	}
	rest := `"ConditionExpression":` + quote(expression)
	if names != nil {
		rest += `,"ExpressionAttributeNames":{` + strings.Join(names, ",") + `}`
	}
	return updateRow("", strings.Join(values, ","), rest)
}

// splitMembers cuts at the commas outside of brackets.
func splitMembers(s string) (parts []string) {
	depth, from := 0, 0
	for i, c := range s {
		switch c {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case ',':
			if depth == 0 {
				parts = append(parts, strings.TrimSpace(s[from:i]))
				from = i + 1
			}
		}
	}
	return append(parts, strings.TrimSpace(s[from:]))
}

func TestConditionsHoldAsInTheService(t *testing.T) {
	t.Parallel()
	tests := []struct {
		expression string
		want       bool
	}{
		{"s = :s", true}, {"s <> :s", false}, {"n = :n5", true}, {"n = m5", true}, {"n < :n6", true}, {"n <= :n5", true},
		{"n > :n5", false}, {"n >= :n5", true}, {":n4 < n", true},
		{"s = :str5", false}, {"n = :str5", false}, {"n <> :str5", true}, {"n < :str5", false}, {"n > :str5", false},
		{"gone = :s", false}, {"gone <> :s", true}, {"gone <> nowhere", true}, {"gone = nowhere", false},
		{"gone < :s", false}, {"gone >= :s", false},
		{"n BETWEEN :n4 AND :n6", true}, {"n between :n5 and :n6", true}, {"n BETWEEN :n6 AND :n6", false},
		{"gone BETWEEN :n4 AND :n6", false}, {"NOT n BETWEEN :n4 AND :n6", false},
		{"s IN (:x, :s)", true}, {"s IN (:x)", false}, {"gone IN (:x)", false},
		{"t = :yes", true}, {"z = :null", true}, {"ss = :set", true}, {"l = :list", true}, {"l[1] = :map", true},
		{"attribute_exists(s)", true}, {"attribute_exists(gone)", false}, {"attribute_not_exists(gone)", true},
		{"attribute_not_exists (l[1].c)", false}, {"attribute_not_exists(l[1].d)", true}, {"attribute_exists(l[2])", false},
		{"attribute_exists(s.c)", false}, {"attribute_exists(doc.x[0])", true},
		{"attribute_type(ss, :type)", true}, {"attribute_type(s, :type)", false}, {"attribute_type(gone, :type)", false},
		{"begins_with(s, :he)", true}, {"begins_with(s, :x)", false}, {"begins_with(n, :he)", false}, {"begins_with(b, :b)", true},
		{"contains(s, :he)", true}, {"contains(ss, :x)", true}, {"contains(ss, :he)", false}, {"contains(ns, :two)", true},
		{"contains(ns, :x)", false}, {"contains(bs, :b)", true}, {"contains(bs, :x)", false}, {"contains(l, :map)", true},
		{"contains(l, :n4)", false}, {"contains(gone, :x)", false}, {"contains(doc, :x)", false},
		{"size(s) = :n5", true}, {"size(ss) < :n4", true}, {"size(b) < :n4", true}, {"size(l) < :n4", true}, {"size(doc) < :n4", true},
		{"size(n) < :n4", false}, {"size(gone) < :n4", false}, {"size(s) = n", true},
		{"l[1].c = :deep", true}, {"doc.x[0] = :x", false}, {"doc.#d = :one", true}, {"#s = :s", true},
		{"s = :s AND n = :n4 OR n = :n5", true}, {"n = :n5 OR s = :s AND n = :n4", true}, {"(n = :n5 OR s = :s) AND n = :n4", false},
		{"NOT s = :x AND n = :n5", true}, {"NOT (s = :s AND n = :n5)", false}, {"not not s = :s", true},
		{"s=:s aNd(n=:n5)", true}, {"(s) = (:s)", true}, {"(size(s)) = (n)", true},
		{"NOT attribute_exists(gone) AND (attribute_exists(s))", true},
	}
	for _, test := range tests {
		t.Run(test.expression, func(t *testing.T) {
			t.Parallel()
			db := newDB(t)
			putRow(t, db, conditionRow)
			body := conditionRequest(test.expression)
			if test.want {
				must(t, db, "UpdateItem", body)
				return
			}
			fault := refused(t, db, "UpdateItem", body, "ConditionalCheckFailedException", "The conditional request failed")
			if fault.Members != nil {
				t.Fatalf("the item was not asked for: %v", fault.Members)
			}
		})
	}
}

func TestMalformedConditionsAreRefused(t *testing.T) {
	t.Parallel()
	tests := []struct{ expression, message string }{
		{"", "Invalid ConditionExpression: The expression can not be empty;"},
		{"s", "Syntax error; token: \"<EOF>\""}, {"s = ", "Syntax error"}, {"s = :s :s", "Syntax error; token: \":s\", near: \":s :s\""},
		{"s == :s", "Syntax error"}, {"AND", "Syntax error"}, {"(s = :s", "Syntax error"}, {"s = :s)", "Syntax error"},
		{"s ! :s", "Syntax error; token: \"!\""}, {"s = 5", "Syntax error"}, {"s = # ", "Syntax error"}, {"l[x] = :s", "Syntax error"},
		{"l[-1] = :s", "Syntax error"}, {"s BETWEEN :he OR :x", "Syntax error"}, {"s IN :s", "Syntax error"}, {"s IN ()", "Syntax error"},
		{"a. = :s", "Syntax error"}, {"(s = :s) = :x", "Syntax error"}, {"NOT s", "Syntax error"},
		{"((s = :s))", "The expression has redundant parentheses;"},
		{"s = :nope", "An expression attribute value used in expression is not defined; attribute value: :nope"},
		{"#nope = :s", "An expression attribute name used in the document path is not defined; attribute name: #nope"},
		{"status = :s", "Attribute name is a reserved keyword; reserved keyword: status"},
		{"Name = :s", "reserved keyword: Name"},
		{"size(s)", "The function is not allowed to be used this way in an expression; function: size"},
		{"attribute_exists(s) = :s", "not allowed to be used this way in an expression; function: attribute_exists"},
		{"attribute_exists(:s)", "Operator or function requires a document path; operator or function: attribute_exists"},
		{"attribute_exists(s, n)", "Incorrect number of operands for operator or function; operator or function: attribute_exists, number of operands: 2"},
		{"dog(s) = :s", "Invalid function name; function: dog"},
		{"ATTRIBUTE_EXISTS(s)", "Invalid function name; function: ATTRIBUTE_EXISTS"},
		{"if_not_exists(s, n) = :s", "The function is not allowed in a condition expression"},
		{"begins_with(s, :n4)", "Incorrect operand type for operator or function; operator or function: begins_with, operand type: N"},
		{"attribute_type(s, :x)", "Invalid attribute type name found; type: x"},
		{"attribute_type(s, n)", "operator or function: attribute_type, operand type: {NS,SS,L,BS,N,M,B,BOOL,NULL,S}"},
		{"s < :yes", "Incorrect operand type for operator or function; operator: <, operand type: BOOL"},
		{"n BETWEEN :n6 AND :n4", "The BETWEEN operator requires upper bound to be greater than or equal to lower bound"},
		{"n BETWEEN :n6 AND :x", "The BETWEEN operator requires same data type"},
		{"s = s", "The first operand must be distinct from the remaining operands"},
		{"contains(s, #s)", "The first operand must be distinct"},
		{"l[99999999999999999999] = :s", "List index is not within the allowable range"},
		{strings.Repeat("(", 2000), "Syntax error"},
		{strings.Repeat("a", maxExpression) + " = :s", "Expression size has exceeded the maximum allowed size"},
	}
	for _, test := range tests {
		t.Run(test.message, func(t *testing.T) {
			t.Parallel()
			db := newDB(t)
			refused(t, db, "UpdateItem", conditionRequest(test.expression), "ValidationException", test.message)
			if got := row(t, db); got != "{}" {
				t.Fatalf("a refused request has stored %s", got)
			}
		})
	}
}

func TestPlaceholdersAreAllDefinedAndAllUsed(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, body, message string }{
		{"unused value", updateRow("SET a = :a", `":a":{"S":""},":c":{"S":""},":b":{"S":""}`, ""),
			"Value provided in ExpressionAttributeValues unused in expressions: keys: {:b, :c}"},
		{"unused name", updateRow("REMOVE #a", "", `"ExpressionAttributeNames":{"#a":"a","#b":"b"}`),
			"Value provided in ExpressionAttributeNames unused in expressions: keys: {#b}"},
		{"values without expression", updateRow("", `":a":{"S":""}`, ""),
			"ExpressionAttributeValues can only be specified when using expressions: UpdateExpression and ConditionExpression are null"},
		{"names without expression", updateRow("", "", `"ExpressionAttributeNames":{"#a":"a"}`),
			"ExpressionAttributeNames can only be specified when using expressions"},
		{"empty names", updateRow("REMOVE a", "", `"ExpressionAttributeNames":{}`), "ExpressionAttributeNames must not be empty"},
		{"empty values", updateRow("REMOVE a", "", `"ExpressionAttributeValues":{}`), "ExpressionAttributeValues must not be empty"},
		{"bad name", updateRow("REMOVE #a", "", `"ExpressionAttributeNames":{"#a-":"a"}`),
			`ExpressionAttributeNames contains invalid key: Syntax error; key: "#a-"`},
		{"bad value name", updateRow("REMOVE a", `"a":{"S":""}`, ""),
			`ExpressionAttributeValues contains invalid key: Syntax error; key: "a"`},
		{"bad value", updateRow("SET a = :a", `":a":{"N":"x"}`, ""),
			"ExpressionAttributeValues contains invalid value: The parameter cannot be converted to a numeric value: x for key :a"},
		{"value used by the condition only", updateRow("SET a = :a", `":a":{"S":""},":b":{"S":""}`, `"ConditionExpression":"a = :c"`),
			"not defined; attribute value: :c"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			refused(t, newDB(t), "UpdateItem", test.body, "ValidationException", test.message)
		})
	}
}
