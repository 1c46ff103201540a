package dynamo

import (
	"encoding/json"
	"testing"
)

// No expression makes a parser panic or hang, and what is accepted can be evaluated.
func FuzzExpressions(f *testing.F) {
	for _, seed := range []string{
		"", "a", "a = :v", "NOT (a.b[0] < :v) AND size(#n) BETWEEN :v AND :v OR c IN (:v, d)", "attribute_type(a, :s)",
		"begins_with(a, :s) OR contains(l, :v)", "((a = :v))", "SET a = b + :v, l[3] = list_append(l, :l) REMOVE m.x ADD n :v DELETE ss :ss",
		"SET a.b.c = if_not_exists(a, (:v - :v))", "a, b.c, #n[1][2]", "SET l[0] = :v, l[1].x = :v", "a = \x00", "(((((", "NOT NOT NOT", "a[", "a.",
		"SET", "#", ":", "a BETWEEN b", "a IN (", "f(", "REMOVE l[99999999999999999999999]", "é = :v", "SET m.m.m = m", "REMOVE l[0], l[1]",
	} {
		f.Add(seed)
	}
	values := map[string]wireValue{}
	if err := json.Unmarshal([]byte(`{":v":{"N":"1"},":s":{"S":"SS"},":l":{"L":[{"N":"1"}]},":ss":{"SS":["x"]}}`), &values); err != nil {
		f.Fatal(err)
	}
	raw := map[string]wireValue{}
	if err := json.Unmarshal([]byte(`{"a":{"N":"1"},"l":{"L":[{"N":"1"},{"M":{}}]},"m":{"M":{"m":{"M":{}},"x":{"NULL":true}}},"ss":{"SS":["x","y"]},
		"n":{"N":"1e125"},"s":{"S":"text"},"b":{"B":"AA=="}}`), &raw); err != nil {
		f.Fatal(err)
	}
	stored, problem := toItem(raw, 0)
	if problem != "" {
		f.Fatal(problem)
	}
	before, err := json.Marshal(stored)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, src string) {
		s := substitutions{map[string]string{"#n": "n"}, values}
		e := expression{"ConditionExpression", &src}
		ph, fault := s.placeholders(e)
		if fault != nil {
			t.Fatal(fault)
		}
		if c, fault := parse(e, ph, (*parser).condition); fault == nil {
			c.holds(nil)
			c.holds(stored)
			_, _ = keyTerms(c)
		}
		if u, fault := parse(e, ph, (*parser).update); fault == nil {
			for _, old := range []item{nil, stored} {
				if now, fault := u.apply(old, item{"k": {kind: kindS, bytes: "x"}}); fault == nil {
					u.paths().of(now)
				}
			}
		}
		if pr, fault := parse(e, ph, (*parser).projection); fault == nil {
			pr.of(stored)
		}
		if after, err := json.Marshal(stored); err != nil || string(after) != string(before) {
			t.Fatalf("a stored item was changed by %q: %s", src, after)
		}
	})
}

// No request makes Call panic; what it answers is JSON.
func FuzzCall(f *testing.F) {
	seeds := []struct{ op, body string }{
		{"CreateTable", createLeases}, {"CreateTable", createEvents}, {"CreateTable", `{"TableName":"tab","KeySchema":[{},{},{}]}`},
		{"DescribeTable", `{"TableName":"leases"}`}, {"DeleteTable", `{"TableName":"leases"}`}, {"ListTables", `{"Limit":1}`},
		{"ListTagsOfResource", `{"ResourceArn":"arn"}`}, {"DescribeContinuousBackups", `{"TableName":"leases"}`},
		{"UpdateContinuousBackups", `{"TableName":"leases","PointInTimeRecoverySpecification":{"PointInTimeRecoveryEnabled":true}}`},
		{"GetItem", `{"TableName":"leases","Key":{"k":{"S":"x"}},"ProjectionExpression":"a.b"}`},
		{"PutItem", `{"TableName":"leases","Item":{"k":{"S":"x"},"l":{"L":[{"M":{"a":{"NS":["1","2"]}}}]},"bs":{"BS":["AA=="]}},"ReturnValues":"ALL_OLD"}`},
		{"UpdateItem", updateRow("SET a = :a ADD s :s", `":a":{"N":"1"},":s":{"SS":["x"]}`, `"ReturnValues":"UPDATED_NEW","ReturnConsumedCapacity":"INDEXES"`)},
		{"UpdateItem", updateRow("", "", `"ConditionExpression":"attribute_exists(k)","ReturnValuesOnConditionCheckFailure":"ALL_OLD"`)},
		{"DeleteItem", `{"TableName":"leases","Key":{"k":{"S":"x"}}}`},
		{"Query", queryBody("id = :a AND seq > :b", `":a":{"S":"a"},":b":{"N":"1"}`, `"Limit":1,"ScanIndexForward":false`)},
		{"Query", queryBody("grp = :a", `":a":{"S":"a"}`, `"IndexName":"grp-tag","ExclusiveStartKey":{"id":{"S":"a"}}`)},
		{"Scan", `{"TableName":"leases","Segment":1,"TotalSegments":3,"ExclusiveStartKey":{"k":{"S":"x"}}}`},
		{"Scan", `{"TableName":"leases","FilterExpression":"size(a) > :a","ExpressionAttributeValues":{":a":{"N":"1"}},"Select":"COUNT"}`},
		{"GetItem", `null`}, {"GetItem", `[]`}, {"GetItem", `{"Key":null}`}, {"PutItem", `{"TableName":"leases","Item":{"k":null}}`}, {"Nope", ``},
	}
	for _, seed := range seeds {
		f.Add(seed.op, []byte(seed.body))
	}
	f.Fuzz(func(t *testing.T, op string, body []byte) {
		db := newDB(t)
		putRow(t, db, `"a":{"N":"1"},"owner_":{"S":"w"}`)
		must(t, db, "PutItem", `{"TableName":"events","Item":{"id":{"S":"a"},"seq":{"N":"2"},"grp":{"S":"a"},"tag":{"B":"AA=="}}}`)
		db.Key(op, body)
		reply, fault := db.Call(t.Context(), op, body)
		switch {
		case fault == nil && !json.Valid(reply):
			t.Fatalf("not JSON: %s", reply)
		case fault != nil && (fault.Code == "" || reply != nil):
			t.Fatalf("%+v with reply %s", fault, reply)
		case fault != nil && fault.Code == "InternalServerError":
			t.Fatal(fault)
		}
	})
}
