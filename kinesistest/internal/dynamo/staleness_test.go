package dynamo

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const (
	getEventually = `{"TableName":"leases","Key":{"k":{"S":"x"}}}`
	getStrongly   = `{"TableName":"leases","Key":{"k":{"S":"x"}},"ConsistentRead":true}`
	byOwner       = `{"TableName":"leases","IndexName":"by-owner","KeyConditionExpression":"owner_ = :o","ExpressionAttributeValues":{":o":{"S":"%s"}},"Select":"COUNT"}`
)

// Without a source of ages every eventually consistent read sees the state of exactly d ago.
func TestStaleReadsSeeThePast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const d = 10 * time.Second
		db := newDB(t)
		putRow(t, db, `"n":{"N":"0"},"owner_":{"S":"a"}`)
		db.SetStaleness(d, nil)
		same := func(op, body, want string) {
			t.Helper()
			wantJSON(t, must(t, db, op, body), want)
		}
		all := func(item string, count int) {
			t.Helper()
			got, list := `{}`, ``
			if item != "" {
				got, list = `{"Item":`+item+`}`, item
			}
			same("GetItem", getEventually, got)
			same("Scan", `{"TableName":"leases"}`, fmt.Sprintf(`{"Items":[%s],"Count":%d,"ScannedCount":%d}`, list, count, count))
			same("Query", `{"TableName":"leases","KeyConditionExpression":"k = :k","ExpressionAttributeValues":{":k":{"S":"x"}}}`,
				fmt.Sprintf(`{"Items":[%s],"Count":%d,"ScannedCount":%d}`, list, count, count))
			same("BatchGetItem", `{"RequestItems":{"leases":{"Keys":[{"k":{"S":"x"}}]}}}`, `{"Responses":{"leases":[`+list+`]},"UnprocessedKeys":{}}`)
		}
		owners := func(a, b int) {
			t.Helper()
			same("Query", fmt.Sprintf(byOwner, "a"), fmt.Sprintf(`{"Count":%d,"ScannedCount":%d}`, a, a))
			same("Query", fmt.Sprintf(byOwner, "b"), fmt.Sprintf(`{"Count":%d,"ScannedCount":%d}`, b, b))
		}
		zero := `{"k":{"S":"x"},"n":{"N":"0"},"owner_":{"S":"a"}}`
		one := `{"k":{"S":"x"},"n":{"N":"1"},"owner_":{"S":"b"}}`
		two := `{"k":{"S":"x"},"n":{"N":"2"},"owner_":{"S":"b"}}`
		all(zero, 1)
		putRow(t, db, `"n":{"N":"1"},"owner_":{"S":"b"}`)
		time.Sleep(4 * time.Second)
		putRow(t, db, `"n":{"N":"2"},"owner_":{"S":"b"}`)
		all(zero, 1)
		owners(1, 0)
		same("GetItem", getStrongly, `{"Item":`+two+`}`)
		same("Scan", `{"TableName":"leases","ConsistentRead":true}`, `{"Items":[`+two+`],"Count":1,"ScannedCount":1}`)
		same("BatchGetItem", `{"RequestItems":{"leases":{"Keys":[{"k":{"S":"x"}}],"ConsistentRead":true}}}`, `{"Responses":{"leases":[`+two+`]},"UnprocessedKeys":{}}`)
		same("TransactGetItems", transaction(onKey("Get", "x", "")), `{"Responses":[{"Item":`+two+`}]}`)
		time.Sleep(6 * time.Second)
		all(one, 1)
		owners(0, 1)
		must(t, db, "DeleteItem", getEventually)
		time.Sleep(4 * time.Second)
		all(two, 1)
		same("GetItem", getStrongly, `{}`)
		time.Sleep(6 * time.Second)
		all("", 0)

		putRow(t, db, `"n":{"N":"0"}`)
		all("", 0)
		db.SetStaleness(0, nil)
		all(`{"k":{"S":"x"},"n":{"N":"0"}}`, 1)
	})
}

func TestEachReadDrawsItsAgeAndASeedRepeatsThem(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		run := func(seed uint64) string {
			db := newDB(t)
			const d = 100 * time.Millisecond
			db.SetStaleness(d, rand.New(rand.NewPCG(seed, 0)))
			var seen strings.Builder
			for i := range 200 {
				putRow(t, db, fmt.Sprintf(`"n":{"N":"%d"}`, i))
				time.Sleep(d / 10)
				var n int
				reply := must(t, db, "GetItem", getEventually)
				if _, err := fmt.Sscanf(reply, `{"Item":{"k":{"S":"x"},"n":{"N":"%d"}}}`, &n); err != nil && i > 10 {
					t.Fatalf("%v: %s", err, reply)
				}
				if i > 10 && (n < i-9 || n > i) {
					t.Fatalf("after write %d a read saw %d", i, n)
				}
				fmt.Fprint(&seen, i-n, " ")
			}
			if kept := len(db.tables["leases"].items.past.changes); kept > 12 {
				t.Fatalf("%d versions are kept of the last 11", kept)
			}
			return seen.String()
		}
		first := run(1)
		for age := range 10 {
			if !strings.Contains(first, fmt.Sprint(" ", age, " ")) {
				t.Errorf("no read was %d writes old: %s", age, first)
			}
		}
		if first != run(1) || first == run(2) {
			t.Fatal("the seed does not determine the ages")
		}
	})
}

// A read of the past pages through the state of then, also where items have since been inserted and deleted.
func TestStaleScansSeeOneState(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := newDB(t)
		put := func(from, to int) {
			for i := from; i < to; i++ {
				must(t, db, "PutItem", fmt.Sprintf(`{"TableName":"leases","Item":{"k":{"S":"%d"},"owner_":{"S":"w"}}}`, i))
			}
		}
		put(0, 20)
		before := must(t, db, "Scan", `{"TableName":"leases"}`)
		index := must(t, db, "Scan", `{"TableName":"leases","IndexName":"by-owner"}`)
		db.SetStaleness(time.Second, nil)
		for range 3 {
			put(10, 40)
			for i := range 15 {
				must(t, db, "DeleteItem", fmt.Sprintf(`{"TableName":"leases","Key":{"k":{"S":"%d"}}}`, i))
			}
			put(0, 5)
		}
		wantJSON(t, must(t, db, "Scan", `{"TableName":"leases"}`), before)
		wantJSON(t, must(t, db, "Scan", `{"TableName":"leases","IndexName":"by-owner"}`), index)
		time.Sleep(time.Second)
		wantJSON(t, must(t, db, "Scan", `{"TableName":"leases"}`), must(t, db, "Scan", `{"TableName":"leases","ConsistentRead":true}`))
	})
}
