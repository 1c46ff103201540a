package dynamo

import (
	"bytes"
	"encoding/json"
	"strings"
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
		{"UpdateItem", expectRow(`"a":{"Value":{"N":"1"}},"b":{"Exists":false},"s":{"ComparisonOperator":"IN","AttributeValueList":[{"S":"x"},{"S":"y"}]}`,
			`"ConditionalOperator":"OR","AttributeUpdates":{"a":{"Action":"ADD","Value":{"N":"2"}},"b":{"Value":{"L":[]}},"c":{"Action":"DELETE"}}`)},
		{"DeleteItem", `{"TableName":"leases","Key":{"k":{"S":"x"}},"Expected":{"a":{"ComparisonOperator":"BETWEEN","AttributeValueList":[{"N":"0"},{"N":"2"}]}}}`},
		{"PutItem", `{"TableName":"leases","Item":{"k":{"S":"x"}},"Expected":{"a":{"ComparisonOperator":"NOT_CONTAINS","Value":{"S":""}}}}`},
		{"Query", `{"TableName":"events","KeyConditions":{"id":{"ComparisonOperator":"EQ","AttributeValueList":[{"S":"a"}]},
			"seq":{"ComparisonOperator":"BETWEEN","AttributeValueList":[{"N":"0"},{"N":"9"}]}},"QueryFilter":{"n":{"ComparisonOperator":"NULL"}}}`},
		{"Scan", `{"TableName":"leases","ScanFilter":{"a":{"ComparisonOperator":"BEGINS_WITH","AttributeValueList":[{"B":"AA=="}]}},"AttributesToGet":["a"]}`},
		{"BatchGetItem", `{"RequestItems":{"leases":{"Keys":[{"k":{"S":"x"}}],"AttributesToGet":["a"]},"events":{"Keys":[]}}}`},
		{"BatchWriteItem", `{"RequestItems":{"leases":[{"PutRequest":{"Item":{"k":{"S":"y"}}}},{"DeleteRequest":{"Key":{"k":{"S":"x"}}}},{}]}}`},
		{"TransactGetItems", transaction(onKey("Get", "x", `"ProjectionExpression":"a"`))},
		{"TransactWriteItems", `{"ClientRequestToken":"t",` + transaction(onKey("ConditionCheck", "x", `"ConditionExpression":"attribute_exists(k)"`),
			onKey("Update", "y", `"UpdateExpression":"REMOVE a"`), onKey("Delete", "z", ""), `{"Put":{"TableName":"events","Item":{}}}`)[1:]},
		{"UpdateTable", updateTable(defineN + indexUpdates(createN))}, {"UpdateTable", updateTable(indexUpdates(deleteBy))},
		{"UpdateTable", updateTable(`"BillingMode":"PROVISIONED","ProvisionedThroughput":{"ReadCapacityUnits":1,"WriteCapacityUnits":1}`)},
		{"UpdateTimeToLive", `{"TableName":"leases","TimeToLiveSpecification":{"AttributeName":"a","Enabled":true}}`},
		{"DescribeTimeToLive", `{"TableName":"leases"}`}, {"UntagResource", `{"ResourceArn":"` + testARN + `leases","TagKeys":["a"]}`},
		{"TagResource", `{"ResourceArn":"` + testARN + `leases","Tags":[{"Key":"a","Value":"b"}]}`},
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
		// Whatever has been done to it, a database can be saved and comes back as it was.
		before := saved(t, db)
		if err := db.Load(strings.NewReader(before)); err != nil {
			t.Fatalf("%v: %s", err, before)
		}
		if after := saved(t, db); after != before {
			t.Fatalf("saved:\n%s\nand loaded:\n%s", before, after)
		}
	})
}

// No document makes Load panic; what it accepts it saves so that it is accepted again.
func FuzzLoad(f *testing.F) {
	db := newDB(f)
	putRow(f, db, `"a":{"N":"1"},"owner_":{"S":"w"}`)
	must(f, db, "UpdateTimeToLive", `{"TableName":"events","TimeToLiveSpecification":{"AttributeName":"a","Enabled":true}}`)
	f.Add([]byte(saved(f, db)))
	f.Add([]byte(`{"Version":1,"Tables":[{"Definition":{}}]}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, document []byte) {
		db := New()
		if db.Load(bytes.NewReader(document)) != nil {
			return
		}
		if err := db.Load(strings.NewReader(saved(t, db))); err != nil {
			t.Fatal(err)
		}
	})
}
