package dynamo

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestTablesAreActiveAtOnceAndDescribed(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	putRow(t, db, `"owner_":{"S":"w"}`)
	must(t, db, "PutItem", `{"TableName":"leases","Item":{"k":{"S":"y"}}}`)
	var reply struct {
		Table struct {
			TableStatus, TableArn, TableId string
			ItemCount, TableSizeBytes      int
			CreationDateTime               float64
			BillingModeSummary             struct{ BillingMode string }
			ProvisionedThroughput          struct{ ReadCapacityUnits int }
			DeletionProtectionEnabled      bool
			GlobalSecondaryIndexes         []struct {
				IndexName, IndexStatus, IndexArn string
				ItemCount, IndexSizeBytes        int
				Projection                       indexProjection
			}
		}
	}
	if err := json.Unmarshal([]byte(must(t, db, "DescribeTable", `{"TableName":"leases"}`)), &reply); err != nil {
		t.Fatal(err)
	}
	d := reply.Table
	if d.TableStatus != "ACTIVE" || d.ItemCount != 2 || d.TableSizeBytes != 11 || d.BillingModeSummary.BillingMode != "PAY_PER_REQUEST" ||
		d.CreationDateTime < 9e8 || !strings.HasSuffix(d.TableArn, ":table/leases") {
		t.Fatalf("table: %+v", d)
	}
	x := d.GlobalSecondaryIndexes[0]
	if x.IndexName != "by-owner" || x.IndexStatus != "ACTIVE" || x.ItemCount != 1 || x.IndexSizeBytes != 9 || x.Projection.ProjectionType != "ALL" {
		t.Fatalf("index: %+v", x)
	}
	wantJSON(t, must(t, db, "ListTables", `{}`), `{"TableNames":["events","leases"]}`)
	wantJSON(t, must(t, db, "ListTables", `{"Limit":1}`), `{"TableNames":["events"],"LastEvaluatedTableName":"events"}`)
	wantJSON(t, must(t, db, "ListTables", `{"ExclusiveStartTableName":"events"}`), `{"TableNames":["leases"]}`)
	wantJSON(t, must(t, db, "ListTables", `{"ExclusiveStartTableName":"x"}`), `{"TableNames":[]}`)
	wantJSON(t, must(t, db, "ListTables", `{"ExclusiveStartTableName":"f","Limit":1}`), `{"TableNames":["leases"]}`)
	refused(t, db, "ListTables", `{"Limit":101}`, "ValidationException", "between 1 and 100")
}

func TestTablesAreCreatedAndDeletedOnce(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	refused(t, db, "CreateTable", createLeases, "ResourceInUseException", "Table already exists: leases")
	putRow(t, db, "")
	if reply := must(t, db, "DeleteTable", `{"TableName":"leases"}`); !strings.Contains(reply, `"TableStatus":"DELETING"`) {
		t.Fatal(reply)
	}
	const missing = "Requested resource not found: Table: leases not found"
	refused(t, db, "DescribeTable", `{"TableName":"leases"}`, "ResourceNotFoundException", missing)
	refused(t, db, "DeleteTable", `{"TableName":"leases"}`, "ResourceNotFoundException", missing)
	for op, body := range map[string]string{
		"GetItem":    `{"TableName":"leases","Key":{"k":{"S":"x"}}}`,
		"PutItem":    `{"TableName":"leases","Item":{"k":{"S":"x"}}}`,
		"UpdateItem": `{"TableName":"leases","Key":{"k":{"S":"x"}}}`,
		"DeleteItem": `{"TableName":"leases","Key":{"k":{"S":"x"}}}`,
		"Scan":       `{"TableName":"leases"}`,
	} {
		refused(t, db, op, body, "ResourceNotFoundException", "Requested resource not found")
	}
	must(t, db, "CreateTable", createLeases)
	if got := row(t, db); got != "{}" {
		t.Fatalf("a new table has the old one's item %s", got)
	}
}

func TestDeletionProtection(t *testing.T) {
	t.Parallel()
	db := New()
	must(t, db, "CreateTable", strings.Replace(createLeases, `"KeySchema"`, `"DeletionProtectionEnabled":true,"KeySchema"`, 1))
	refused(t, db, "DeleteTable", `{"TableName":"leases"}`, "ValidationException", "protected against deletion")
	must(t, db, "DescribeTable", `{"TableName":"leases"}`)
}

func TestCreateTableOptionsAreKept(t *testing.T) {
	t.Parallel()
	db := New()
	body := strings.Replace(createLeases, `"BillingMode":"PAY_PER_REQUEST"`, `"BillingMode":"PROVISIONED",
		"ProvisionedThroughput":{"ReadCapacityUnits":3,"WriteCapacityUnits":4},"TableClass":"STANDARD_INFREQUENT_ACCESS",
		"SSESpecification":{"Enabled":true,"SSEType":"KMS","KMSMasterKeyId":"arn:key"},"Tags":[{"Key":"b","Value":"1"},{"Key":"a","Value":""}]`, 1)
	refused(t, db, "CreateTable", body, "ValidationException", "ProvisionedThroughput must be specified for index: by-owner")
	body = strings.Replace(body, `"Projection":`, `"ProvisionedThroughput":{"ReadCapacityUnits":1,"WriteCapacityUnits":1},"Projection":`, 1)
	must(t, db, "CreateTable", body)
	reply := must(t, db, "DescribeTable", `{"TableName":"leases"}`)
	for _, want := range []string{`"ReadCapacityUnits":3`, `"TableClass":"STANDARD_INFREQUENT_ACCESS"`, `"KMSMasterKeyArn":"arn:key"`} {
		if !strings.Contains(reply, want) {
			t.Errorf("no %s in %s", want, reply)
		}
	}
	wantJSON(t, must(t, db, "ListTagsOfResource", `{"ResourceArn":"`+testARN+`leases"}`),
		`{"Tags":[{"Key":"b","Value":"1"},{"Key":"a","Value":""}]}`)
	refused(t, db, "ListTagsOfResource", `{"ResourceArn":"`+testARN+`other"}`, "ResourceNotFoundException", "not found")
}

func TestPointInTimeRecoveryIsKept(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	const describe = `{"TableName":"leases"}`
	if reply := must(t, db, "DescribeContinuousBackups", describe); !strings.Contains(reply, `"PointInTimeRecoveryStatus":"DISABLED"`) {
		t.Fatal(reply)
	}
	const set = `{"TableName":"leases","PointInTimeRecoverySpecification":{"PointInTimeRecoveryEnabled":%v%s}}`
	must(t, db, "UpdateContinuousBackups", fmt.Sprintf(set, true, `,"RecoveryPeriodInDays":7`))
	reply := must(t, db, "DescribeContinuousBackups", describe)
	if !strings.Contains(reply, `"PointInTimeRecoveryStatus":"ENABLED"`) || !strings.Contains(reply, `"RecoveryPeriodInDays":7`) {
		t.Fatal(reply)
	}
	must(t, db, "UpdateContinuousBackups", fmt.Sprintf(set, false, ""))
	if reply := must(t, db, "DescribeContinuousBackups", describe); !strings.Contains(reply, `"PointInTimeRecoveryStatus":"DISABLED"`) {
		t.Fatal(reply)
	}
	refused(t, db, "UpdateContinuousBackups", fmt.Sprintf(set, true, `,"RecoveryPeriodInDays":36`), "ValidationException", "between 1 and 35")
	refused(t, db, "DescribeContinuousBackups", `{"TableName":"other"}`, "TableNotFoundException", "Table not found: other")
}

func TestMalformedTablesAreRefused(t *testing.T) {
	t.Parallel()
	const base = `{"TableName":"tab","BillingMode":"PAY_PER_REQUEST","AttributeDefinitions":[{"AttributeName":"k","AttributeType":"S"}],
		"KeySchema":[{"AttributeName":"k","KeyType":"HASH"}]}`
	tests := []struct{ name, old, changed, message string }{
		{"no name", `"tab"`, `""`, "TableName"}, {"short name", `"tab"`, `"ab"`, "at least 3 characters"},
		{"bad name", `"tab"`, `"a b"`, "regular expression"}, {"no billing", `"BillingMode":"PAY_PER_REQUEST",`, ``, "must both be specified"},
		{"bad billing", `PAY_PER_REQUEST`, `FREE`, "Value 'FREE' at 'billingMode'"},
		{"bad type", `"AttributeType":"S"`, `"AttributeType":"SS"`, "[B, N, S]"},
		{"range first", `"HASH"`, `"RANGE"`, "The first KeySchemaElement is not a HASH key type"},
		{"two hashes", `"HASH"}]`, `"HASH"},{"AttributeName":"k","KeyType":"HASH"}]`, "The second KeySchemaElement is not a RANGE key type"},
		{"same name", `"HASH"}]`, `"HASH"},{"AttributeName":"k","KeyType":"RANGE"}]`, "have the same name"},
		{"undefined key", `[{"AttributeName":"k","KeyType"`, `[{"AttributeName":"q","KeyType"`, "Some index key attributes are not defined"},
		{"no key", `[{"AttributeName":"k","KeyType":"HASH"}]`, `[]`, "keySchema"},
		{"unused definition", `"S"}]`, `"S"},{"AttributeName":"z","AttributeType":"N"}]`, "does not exactly match number of attributes"},
		{"empty indexes", `"HASH"}]}`, `"HASH"}],"GlobalSecondaryIndexes":[]}`, "List of GlobalSecondaryIndexes is empty"},
		{"index without projection", `"HASH"}]}`, `"HASH"}],"GlobalSecondaryIndexes":[{"IndexName":"idx","KeySchema":[{"AttributeName":"k","KeyType":"HASH"}]}]}`,
			"Unknown ProjectionType"},
		{"local index", `"HASH"}]}`, `"HASH"}],"LocalSecondaryIndexes":[]}`, `does not implement the parameter "LocalSecondaryIndexes"`},
		{"stream", `"HASH"}]}`, `"HASH"}],"StreamSpecification":{"StreamEnabled":true}}`, `does not implement the parameter "StreamSpecification"`},
		{"duplicate tag", `"HASH"}]}`, `"HASH"}],"Tags":[{"Key":"a","Value":""},{"Key":"a","Value":""}]}`, "Duplicate tag key: a"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			body := strings.Replace(base, test.old, test.changed, 1)
			if body == base {
				t.Fatal("the case changes nothing")
			}
			refused(t, New(), "CreateTable", body, "ValidationException", test.message)
		})
	}
	must(t, New(), "CreateTable", base)
}

func TestWhatIsNotImplementedIsRefused(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	refused(t, db, "ExecuteStatement", `{}`, "UnknownOperationException", "")
	refused(t, db, "", ``, "UnknownOperationException", "")
	refused(t, db, "UpdateItem", updateRow("", "", `"Nope":{}`), "ValidationException", `does not implement the parameter "Nope"`)
	refused(t, db, "UpdateTable", `{"TableName":"leases","ReplicaUpdates":[]}`, "ValidationException", `"ReplicaUpdates"`)
	refused(t, db, "GetItem", `{"TableName":"leases","Key":{"k":{"N":1}}}`, "SerializationException", "NUMBER_VALUE cannot be converted to string")
	refused(t, db, "GetItem", `{"TableName":"leases"`, "SerializationException", "")
	refused(t, db, "GetItem", `{} {}`, "SerializationException", "")
	refused(t, db, "PutItem", `{"TableName":"leases","Item":{"k":{"B":"*"}}}`, "SerializationException", "base64")
}

func TestKeyNamesTheItemOfARequest(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	tests := []struct{ op, body, table, key string }{
		{"PutItem", `{"TableName":"leases","Item":{"k":{"S":"x"},"a":{"S":"y"}}}`, "leases", "x"},
		{"GetItem", `{"TableName":"events","Key":{"seq":{"N":"1"},"id":{"S":"e"}}}`, "events", "e"},
		{"UpdateItem", updateRow("", "", ""), "leases", "x"},
		{"DeleteItem", `{"TableName":"leases","Key":{}}`, "leases", ""},
		{"DeleteItem", `{"TableName":"leases","Key":{"k":{"N":"x"}}}`, "leases", ""},
		{"GetItem", `{"TableName":"other","Key":{"k":{"S":"x"}}}`, "other", ""},
		{"Scan", `{"TableName":"leases"}`, "leases", ""},
		{"ListTables", `{}`, "", ""},
		{"GetItem", `nonsense`, "", ""},
	}
	for _, test := range tests {
		if table, key := db.Key(test.op, []byte(test.body)); table != test.table || key != test.key {
			t.Errorf("%s %s: got %q %q", test.op, test.body, table, key)
		}
	}
}
