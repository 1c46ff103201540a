package dynamo

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func saved(t testing.TB, db *DB) string {
	t.Helper()
	var out bytes.Buffer
	if err := db.Save(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestASnapshotKeepsAllThatCanBeRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := newDB(t)
		putRow(t, db, `"owner_":{"S":"w"},"s":{"S":"é\n\"<>"},"n":{"N":"-12.5e-20"},"b":{"B":"AP8="},"t":{"BOOL":false},"z":{"NULL":true},
			"m":{"M":{"l":{"L":[]}}},"ss":{"SS":["","a"]},"ns":{"NS":["1"]},"bs":{"BS":["AA=="]},"ttl":{"N":"4000000000"}`)
		must(t, db, "PutItem", `{"TableName":"leases","Item":{"k":{"S":"y"},"new":{"S":"not a number"}}}`)
		must(t, db, "PutItem", `{"TableName":"events","Item":{"id":{"S":"a"},"seq":{"N":"2"},"grp":{"S":"a"},"tag":{"B":"AA=="}}}`)
		must(t, db, "TagResource", `{"ResourceArn":"`+testARN+`leases","Tags":[{"Key":"a","Value":"b"}]}`)
		must(t, db, "UpdateTimeToLive", `{"TableName":"leases","TimeToLiveSpecification":{"AttributeName":"ttl","Enabled":true}}`)
		must(t, db, "UpdateContinuousBackups", `{"TableName":"leases","PointInTimeRecoverySpecification":{"PointInTimeRecoveryEnabled":true,"RecoveryPeriodInDays":7}}`)
		must(t, db, "UpdateTable", updateTable(`"AttributeDefinitions":[{"AttributeName":"new","AttributeType":"N"}],"DeletionProtectionEnabled":true,`+
			indexUpdates(`{"Create":{"IndexName":"by-new","KeySchema":[{"AttributeName":"new","KeyType":"HASH"}],"Projection":{"ProjectionType":"ALL"}}}`)))
		document := saved(t, db)

		loaded := New()
		must(t, loaded, "CreateTable", strings.ReplaceAll(createLeases, "leases", "replaced"))
		if err := loaded.Load(strings.NewReader(document)); err != nil {
			t.Fatal(err)
		}
		if again := saved(t, loaded); again != document {
			t.Fatalf("\n%s\n%s", document, again)
		}
		for _, read := range []struct{ op, body string }{
			{"ListTables", `{}`}, {"DescribeTable", `{"TableName":"leases"}`}, {"DescribeTable", `{"TableName":"events"}`},
			{"Scan", `{"TableName":"leases"}`}, {"Scan", `{"TableName":"leases","IndexName":"by-owner"}`}, {"Scan", `{"TableName":"leases","IndexName":"by-new"}`},
			{"Scan", `{"TableName":"events","IndexName":"grp-tag"}`}, {"DescribeTimeToLive", `{"TableName":"leases"}`},
			{"DescribeContinuousBackups", `{"TableName":"leases"}`}, {"ListTagsOfResource", `{"ResourceArn":"` + testARN + `leases"}`},
		} {
			wantJSON(t, must(t, loaded, read.op, read.body), must(t, db, read.op, read.body))
		}
		must(t, db, "CreateTable", strings.ReplaceAll(createLeases, "leases", "more"))
		must(t, loaded, "CreateTable", strings.ReplaceAll(createLeases, "leases", "more"))
		wantJSON(t, must(t, loaded, "DescribeTable", `{"TableName":"more"}`), must(t, db, "DescribeTable", `{"TableName":"more"}`))
	})
}

func TestASnapshotEndsTransitions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := newDB(t)
		db.SetTransitions(time.Hour)
		must(t, db, "CreateTable", strings.ReplaceAll(createLeases, "leases", "new"))
		must(t, db, "DeleteTable", `{"TableName":"events"}`)
		must(t, db, "UpdateTable", updateTable(indexUpdates(deleteBy)))
		loaded := New()
		if err := loaded.Load(strings.NewReader(saved(t, db))); err != nil {
			t.Fatal(err)
		}
		wantJSON(t, must(t, loaded, "ListTables", `{}`), `{"TableNames":["leases","new"]}`)
		if d := describeTable(t, loaded, "new"); d.TableStatus != "ACTIVE" || d.GlobalSecondaryIndexes[0].IndexStatus != "ACTIVE" {
			t.Fatalf("%+v", d)
		}
		if d := describeTable(t, loaded, "leases"); d.TableStatus != "ACTIVE" || d.GlobalSecondaryIndexes != nil {
			t.Fatalf("%+v", d)
		}
	})
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func TestABadSnapshotChangesNothing(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	putRow(t, db, "")
	before := saved(t, db)
	for name, broken := range map[string]string{
		"nothing":      ``,
		"cut":          before[:len(before)/2],
		"version":      strings.Replace(before, `"Version":1`, `"Version":2`, 1),
		"member":       strings.Replace(before, `"Version":1`, `"Version":1,"Other":1`, 1),
		"no table":     strings.Replace(before, `"KeySchema":[`, `"KeySchema":[{},{},`, 1),
		"definition":   `{"Version":1,"Tables":[{}]}`,
		"twice":        strings.Replace(before, `"TableName":"events"`, `"TableName":"leases"`, 1),
		"item":         strings.Replace(before, `{"k":{"S":"x"}}`, `{"q":{"S":"x"}}`, 1),
		"value":        strings.Replace(before, `{"k":{"S":"x"}}`, `{"k":{}}`, 1),
		"another type": `[]`,
	} {
		if err := db.Load(strings.NewReader(broken)); err == nil || broken == before {
			t.Errorf("%s: loaded, or not broken", name)
		}
		if after := saved(t, db); after != before {
			t.Fatalf("%s: changed the tables: %s", name, after)
		}
	}
	if err := db.Save(brokenWriter{}); !errors.Is(err, io.ErrShortWrite) {
		t.Fatalf("got %v", err)
	}
}
