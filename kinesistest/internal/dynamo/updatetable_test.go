package dynamo

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// described is what tests look at of a TableDescription.
type described struct {
	TableStatus               string
	AttributeDefinitions      []attributeDefinition
	DeletionProtectionEnabled bool
	BillingModeSummary        *struct{ BillingMode string }
	ProvisionedThroughput     throughput
	GlobalSecondaryIndexes    []struct {
		IndexName, IndexStatus string
		Backfilling            *bool
		ItemCount              int
		ProvisionedThroughput  throughput
	}
}

func describeTable(t testing.TB, db *DB, name string) described {
	t.Helper()
	var reply struct{ Table described }
	if err := json.Unmarshal([]byte(must(t, db, "DescribeTable", `{"TableName":"`+name+`"}`)), &reply); err != nil {
		t.Fatal(err)
	}
	return reply.Table
}

func updateTable(rest string) string { return `{"TableName":"leases",` + rest + `}` }

func indexUpdates(updates ...string) string {
	return `"GlobalSecondaryIndexUpdates":[` + strings.Join(updates, ",") + `]`
}

const (
	defineN  = `"AttributeDefinitions":[{"AttributeName":"n","AttributeType":"N"}],`
	createN  = `{"Create":{"IndexName":"by-n","KeySchema":[{"AttributeName":"n","KeyType":"HASH"}],"Projection":{"ProjectionType":"KEYS_ONLY"}}}`
	deleteN  = `{"Delete":{"IndexName":"by-n"}}`
	deleteBy = `{"Delete":{"IndexName":"by-owner"}}`
)

func TestAnAddedIndexHasTheItemsAndFollowsWrites(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	for i, value := range []string{`{"N":"1"}`, `{"N":"1"}`, `{"N":"2"}`, `{"S":"of another type"}`} {
		must(t, db, "PutItem", fmt.Sprintf(`{"TableName":"leases","Item":{"k":{"S":"%d"},"n":%s}}`, i, value))
	}
	count := func(n string, want int) {
		t.Helper()
		reply := must(t, db, "Query", `{"TableName":"leases","IndexName":"by-n","KeyConditionExpression":"n = :n","Select":"COUNT",
			"ExpressionAttributeValues":{":n":{"N":"`+n+`"}}}`)
		wantJSON(t, reply, fmt.Sprintf(`{"Count":%d,"ScannedCount":%d}`, want, want))
	}
	must(t, db, "UpdateTable", updateTable(defineN+indexUpdates(createN)))
	count("1", 2)
	must(t, db, "DeleteItem", `{"TableName":"leases","Key":{"k":{"S":"0"}}}`)
	must(t, db, "PutItem", `{"TableName":"leases","Item":{"k":{"S":"3"},"n":{"N":"2"}}}`)
	count("1", 1)
	count("2", 2)
	refused(t, db, "PutItem", `{"TableName":"leases","Item":{"k":{"S":"3"},"n":{"S":"2"}}}`, "ValidationException", "IndexName: by-n")
	d := describeTable(t, db, "leases")
	if len(d.GlobalSecondaryIndexes) != 2 || d.GlobalSecondaryIndexes[1].ItemCount != 3 || d.GlobalSecondaryIndexes[1].IndexStatus != "ACTIVE" ||
		len(d.AttributeDefinitions) != 3 {
		t.Fatalf("%+v", d)
	}

	must(t, db, "UpdateTable", updateTable(indexUpdates(deleteN)))
	refused(t, db, "Scan", `{"TableName":"leases","IndexName":"by-n"}`, "ValidationException", "does not have the specified index: by-n")
	must(t, db, "PutItem", `{"TableName":"leases","Item":{"k":{"S":"3"},"n":{"S":"2"}}}`)
	must(t, db, "UpdateTable", updateTable(indexUpdates(deleteBy)))
	if d := describeTable(t, db, "leases"); d.GlobalSecondaryIndexes != nil || len(d.AttributeDefinitions) != 1 {
		t.Fatalf("%+v", d)
	}
}

func TestBillingThroughputAndProtectionChange(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	const units = `"ProvisionedThroughput":{"ReadCapacityUnits":%d,"WriteCapacityUnits":2}`
	perIndex := fmt.Sprintf(`{"Update":{"IndexName":"by-owner",`+units+`}}`, 4)
	refused(t, db, "UpdateTable", updateTable(fmt.Sprintf(units, 1)), "ValidationException", "when BillingMode is PAY_PER_REQUEST")
	refused(t, db, "UpdateTable", updateTable(`"BillingMode":"PROVISIONED"`), "ValidationException", "must both be specified")
	refused(t, db, "UpdateTable", updateTable(`"BillingMode":"PROVISIONED",`+fmt.Sprintf(units, 1)), "ValidationException",
		"ProvisionedThroughput must be specified for index: by-owner")
	must(t, db, "UpdateTable", updateTable(`"BillingMode":"PROVISIONED",`+fmt.Sprintf(units, 1)+`,`+indexUpdates(perIndex)))
	d := describeTable(t, db, "leases")
	if d.ProvisionedThroughput.ReadCapacityUnits != 1 || d.GlobalSecondaryIndexes[0].ProvisionedThroughput.ReadCapacityUnits != 4 ||
		d.BillingModeSummary == nil || d.BillingModeSummary.BillingMode != "PROVISIONED" {
		t.Fatalf("%+v", d)
	}
	refused(t, db, "UpdateTable", updateTable(fmt.Sprintf(units, 1)), "ValidationException", "The provisioned throughput for the table will not change")
	must(t, db, "UpdateTable", updateTable(fmt.Sprintf(units, 3)))
	must(t, db, "UpdateTable", updateTable(`"BillingMode":"PAY_PER_REQUEST"`))
	if d := describeTable(t, db, "leases"); d.ProvisionedThroughput.ReadCapacityUnits != 0 || d.BillingModeSummary.BillingMode != "PAY_PER_REQUEST" {
		t.Fatalf("%+v", d)
	}

	must(t, db, "UpdateTable", updateTable(`"DeletionProtectionEnabled":true`))
	refused(t, db, "DeleteTable", `{"TableName":"leases"}`, "ValidationException", "protected against deletion")
	must(t, db, "UpdateTable", updateTable(`"DeletionProtectionEnabled":false,"TableClass":"STANDARD_INFREQUENT_ACCESS","SSESpecification":{"Enabled":true}`))
	if reply := must(t, db, "DescribeTable", `{"TableName":"leases"}`); !strings.Contains(reply, "INFREQUENT") || !strings.Contains(reply, `"Status":"ENABLED"`) {
		t.Fatal(reply)
	}
	must(t, db, "DeleteTable", `{"TableName":"leases"}`)
}

func TestMalformedTableUpdatesAreRefused(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	before := must(t, db, "DescribeTable", `{"TableName":"leases"}`)
	update := `{"Update":{"IndexName":"by-n","ProvisionedThroughput":{"ReadCapacityUnits":1,"WriteCapacityUnits":1}}}`
	tests := []struct{ body, code, message string }{
		{`{"TableName":"leases"}`, "ValidationException", "At least one of ProvisionedThroughput"},
		{`{"TableName":"other","DeletionProtectionEnabled":true}`, "ResourceNotFoundException", "Table: other not found"},
		{updateTable(indexUpdates(`{}`)), "ValidationException", "must not be null"},
		{updateTable(indexUpdates(createN)), "ValidationException", "Some index key attributes are not defined in AttributeDefinitions"},
		{updateTable(defineN + indexUpdates(strings.Replace(createN, "by-n", "by-owner", 1))), "ValidationException", "already exists"},
		{updateTable(defineN + indexUpdates(createN, deleteBy)), "LimitExceededException", "Only 1 online index can be created or deleted simultaneously"},
		{updateTable(indexUpdates(deleteBy, deleteBy)), "ValidationException", "Only one global secondary index update per index"},
		{updateTable(indexUpdates(deleteN)), "ResourceNotFoundException", "by-n"},
		{updateTable(indexUpdates(update)), "ResourceNotFoundException", "by-n"},
		{updateTable(indexUpdates(strings.Replace(update, "by-n", "by-owner", 1))), "ValidationException", "when BillingMode is PAY_PER_REQUEST"},
		{updateTable(defineN + `"DeletionProtectionEnabled":true`), "ValidationException", "Some AttributeDefinitions are not used"},
		{updateTable(`"AttributeDefinitions":[{"AttributeName":"k","AttributeType":"N"}],"DeletionProtectionEnabled":true`), "ValidationException", "Duplicate"},
		{updateTable(`"BillingMode":"FREE"`), "ValidationException", "billingMode"},
	}
	for _, test := range tests {
		refused(t, db, "UpdateTable", test.body, test.code, test.message)
	}
	wantJSON(t, must(t, db, "DescribeTable", `{"TableName":"leases"}`), before)
}

func TestTagsAreMergedAndRemoved(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	const arn = `"ResourceArn":"` + testARN + `leases"`
	list := func(want string) {
		t.Helper()
		wantJSON(t, must(t, db, "ListTagsOfResource", `{`+arn+`}`), `{"Tags":[`+want+`]}`)
	}
	wantJSON(t, must(t, db, "TagResource", `{`+arn+`,"Tags":[{"Key":"a","Value":"1"},{"Key":"b","Value":"2"}]}`), `{}`)
	must(t, db, "TagResource", `{`+arn+`,"Tags":[{"Key":"c","Value":"3"},{"Key":"a","Value":""}]}`)
	list(`{"Key":"a","Value":""},{"Key":"b","Value":"2"},{"Key":"c","Value":"3"}`)
	must(t, db, "UntagResource", `{`+arn+`,"TagKeys":["b","gone"]}`)
	list(`{"Key":"a","Value":""},{"Key":"c","Value":"3"}`)
	refused(t, db, "TagResource", `{`+arn+`,"Tags":[`+repeated(49, `{"Key":"k%d","Value":""}`)+`]}`, "ValidationException", "at most 50")
	refused(t, db, "TagResource", `{`+arn+`}`, "ValidationException", "Tag needs to be provided")
	refused(t, db, "UntagResource", `{`+arn+`}`, "ValidationException", "Tag Key needs to be provided")
	refused(t, db, "TagResource", `{"ResourceArn":"arn:x","Tags":[{"Key":"a","Value":""}]}`, "ValidationException", "Invalid TableArn")
	refused(t, db, "UntagResource", `{"ResourceArn":"`+testARN+`other","TagKeys":["a"]}`, "ResourceNotFoundException", "not found")
	list(`{"Key":"a","Value":""},{"Key":"c","Value":"3"}`)
}
