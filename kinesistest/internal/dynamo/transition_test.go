package dynamo

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestTablesAndIndexesTakeTheirTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const d = 10 * time.Second
		db := New()
		db.SetTransitions(d)
		status := func(want string) {
			t.Helper()
			if got := describeTable(t, db, "leases").TableStatus; got != want {
				t.Fatalf("%s, want %s", got, want)
			}
		}
		unusable := func() {
			t.Helper()
			for op, body := range map[string]string{
				"GetItem": `{"TableName":"leases","Key":{"k":{"S":"x"}}}`, "PutItem": `{"TableName":"leases","Item":{"k":{"S":"x"}}}`,
				"Scan": `{"TableName":"leases"}`, "BatchGetItem": `{"RequestItems":{"leases":{"Keys":[{"k":{"S":"x"}}]}}}`,
				"TransactWriteItems": transaction(onKey("Delete", "x", "")), "Query": `{"TableName":"leases","KeyConditionExpression":"k = :k","ExpressionAttributeValues":{":k":{"S":""}}}`,
			} {
				refused(t, db, op, body, "ResourceNotFoundException", "Requested resource not found")
			}
			wantJSON(t, must(t, db, "ListTables", `{}`), `{"TableNames":["leases"]}`)
		}
		if reply := must(t, db, "CreateTable", createLeases); !strings.Contains(reply, `"TableStatus":"CREATING"`) {
			t.Fatal(reply)
		}
		time.Sleep(d - 1)
		status("CREATING")
		unusable()
		refused(t, db, "DeleteTable", `{"TableName":"leases"}`, "ResourceInUseException", "Table is being created: leases")
		refused(t, db, "UpdateTable", updateTable(`"DeletionProtectionEnabled":true`), "ResourceInUseException", "Table is being created: leases")
		refused(t, db, "CreateTable", createLeases, "ResourceInUseException", "Table already exists: leases")
		time.Sleep(1)
		status("ACTIVE")
		putRow(t, db, `"n":{"N":"1"}`)

		must(t, db, "UpdateTable", updateTable(`"DeletionProtectionEnabled":false`))
		time.Sleep(d - 1)
		status("UPDATING")
		putRow(t, db, `"n":{"N":"1"}`)
		refused(t, db, "DeleteTable", `{"TableName":"leases"}`, "ResourceInUseException", "Table is being updated: leases")
		time.Sleep(1)

		must(t, db, "DeleteTable", `{"TableName":"leases"}`)
		time.Sleep(d - 1)
		status("DELETING")
		unusable()
		if reply := must(t, db, "DeleteTable", `{"TableName":"leases"}`); !strings.Contains(reply, `"TableStatus":"DELETING"`) {
			t.Fatal(reply)
		}
		refused(t, db, "CreateTable", createLeases, "ResourceInUseException", "Table is being deleted: leases")
		time.Sleep(1)
		refused(t, db, "DescribeTable", `{"TableName":"leases"}`, "ResourceNotFoundException", "Table: leases not found")
		wantJSON(t, must(t, db, "ListTables", `{}`), `{"TableNames":[]}`)
		must(t, db, "CreateTable", createLeases)
	})
}

func TestAnIndexIsReadWhenItIsActive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const d = 10 * time.Second
		db := newDB(t)
		db.SetTransitions(d)
		putRow(t, db, `"n":{"N":"1"}`)
		state := func(want string) {
			t.Helper()
			table := describeTable(t, db, "leases")
			got := table.TableStatus
			for _, x := range table.GlobalSecondaryIndexes[1:] {
				got += " " + x.IndexName + " " + x.IndexStatus
				if x.Backfilling != nil {
					got += fmt.Sprint(" ", *x.Backfilling)
				}
			}
			if got != want {
				t.Fatalf("%s, want %s", got, want)
			}
		}
		const scan = `{"TableName":"leases","IndexName":"by-n"}`
		must(t, db, "UpdateTable", updateTable(defineN+indexUpdates(createN)))
		state("UPDATING by-n CREATING false")
		time.Sleep(d / 2)
		state("ACTIVE by-n CREATING true")
		refused(t, db, "Scan", scan, "ValidationException", "Cannot read from backfilling global secondary index: by-n")
		refused(t, db, "UpdateTable", updateTable(indexUpdates(deleteBy)), "LimitExceededException", "Only 1 online index")
		must(t, db, "PutItem", `{"TableName":"leases","Item":{"k":{"S":"y"},"n":{"N":"1"}}}`)
		time.Sleep(d / 2)
		state("ACTIVE by-n ACTIVE")
		if reply := must(t, db, "Scan", scan); !strings.Contains(reply, `"Count":2`) {
			t.Fatal(reply)
		}
		must(t, db, "UpdateTable", updateTable(indexUpdates(deleteN)))
		state("UPDATING by-n DELETING")
		refused(t, db, "Scan", scan, "ValidationException", "does not have the specified index: by-n")
		time.Sleep(d)
		state("ACTIVE")

		must(t, db, "UpdateTable", updateTable(defineN+indexUpdates(createN)))
		time.Sleep(d / 2)
		must(t, db, "UpdateTable", updateTable(indexUpdates(deleteN)))
		state("UPDATING by-n DELETING")
	})
}

func TestItemsVanishWhenTheirTimeHasPassed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := newDB(t)
		start := time.Now().Unix()
		put := func(key string, expires string) {
			must(t, db, "PutItem", fmt.Sprintf(`{"TableName":"leases","Item":{"k":{"S":"%s"},"owner_":{"S":"w"},"ttl":%s}}`, key, expires))
		}
		at := func(seconds int64) string { return fmt.Sprintf(`{"N":"%d"}`, start+seconds) }
		put("before", at(10))
		const spec = `{"TableName":"leases","TimeToLiveSpecification":{"AttributeName":"%s","Enabled":%v}}`
		wantJSON(t, must(t, db, "UpdateTimeToLive", fmt.Sprintf(spec, "ttl", true)), `{"TimeToLiveSpecification":{"AttributeName":"ttl","Enabled":true}}`)
		put("later", at(20))
		put("text", `{"S":"1"}`)
		put("millis", fmt.Sprintf(`{"N":"%d000"}`, start))
		put("six years ago", at(-6*365*24*3600))
		put("huge", `{"N":"1e100"}`)
		count := func(want int) {
			t.Helper()
			if got := len(db.Items("leases")); got != want {
				t.Fatalf("%d items, want %d: %v", got, want, db.Items("leases"))
			}
			if reply := must(t, db, "Scan", `{"TableName":"leases","IndexName":"by-owner"}`); !strings.Contains(reply, fmt.Sprintf(`"Count":%d`, want)) {
				t.Fatalf("the index has %s", reply)
			}
		}
		time.Sleep(10 * time.Second)
		count(6)
		time.Sleep(1)
		count(5)
		put("past", at(-1))
		count(5)
		time.Sleep(10 * time.Second)
		count(4)
		refused(t, db, "UpdateItem", `{"TableName":"leases","Key":{"k":{"S":"later"}},"ConditionExpression":"attribute_exists(k)"}`,
			"ConditionalCheckFailedException", "")

		refused(t, db, "UpdateTimeToLive", fmt.Sprintf(spec, "ttl", true), "ValidationException", "TimeToLive is already enabled")
		refused(t, db, "UpdateTimeToLive", fmt.Sprintf(spec, "other", true), "ValidationException", "different AttributeName: current AttributeName is ttl")
		refused(t, db, "UpdateTimeToLive", fmt.Sprintf(spec, "", true), "ValidationException", "attributeName")
		refused(t, db, "UpdateTimeToLive", `{"TableName":"leases"}`, "ValidationException", "TimeToLiveSpecification")
		refused(t, db, "UpdateTimeToLive", strings.Replace(fmt.Sprintf(spec, "ttl", true), "leases", "other", 1), "ResourceNotFoundException", "")
		must(t, db, "UpdateTimeToLive", fmt.Sprintf(spec, "ttl", false))
		put("past", at(-1))
		count(5)
		refused(t, db, "UpdateTimeToLive", fmt.Sprintf(spec, "ttl", false), "ValidationException", "TimeToLive is already disabled")
	})
}

func TestTimeToLiveIsEnabledAfterItsTransition(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := newDB(t)
		db.SetTransitions(time.Minute)
		describe := func(want string) {
			t.Helper()
			wantJSON(t, must(t, db, "DescribeTimeToLive", `{"TableName":"leases"}`), `{"TimeToLiveDescription":{`+want+`}}`)
		}
		putRow(t, db, fmt.Sprintf(`"ttl":{"N":"%d"}`, time.Now().Unix()-1))
		describe(`"TimeToLiveStatus":"DISABLED"`)
		const spec = `{"TableName":"leases","TimeToLiveSpecification":{"AttributeName":"ttl","Enabled":%v}}`
		must(t, db, "UpdateTimeToLive", fmt.Sprintf(spec, true))
		describe(`"TimeToLiveStatus":"ENABLING","AttributeName":"ttl"`)
		refused(t, db, "UpdateTimeToLive", fmt.Sprintf(spec, false), "ValidationException", "modified multiple times within a fixed interval")
		time.Sleep(time.Minute - 1)
		if row(t, db) == "{}" {
			t.Fatal("an item has expired too early")
		}
		time.Sleep(1)
		if got := row(t, db); got != "{}" {
			t.Fatalf("not expired: %s", got)
		}
		describe(`"TimeToLiveStatus":"ENABLED","AttributeName":"ttl"`)
		must(t, db, "UpdateTimeToLive", fmt.Sprintf(spec, false))
		describe(`"TimeToLiveStatus":"DISABLING","AttributeName":"ttl"`)
		time.Sleep(time.Minute)
		describe(`"TimeToLiveStatus":"DISABLED"`)
	})
}
