package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddb "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/kinesiskit/kinesiskit/consumer"
)

// kcl3 is what an application of KCL 3.x keeps beside its leases: in the lease table, or in two tables of its own.
type kcl3 struct {
	f                    *fleet
	db                   *dynamodb.Client
	state, metrics       string // tables
	stateKey, metricsKey string
	beat                 int
}

func (f *fleet) kcl3(apart bool) *kcl3 {
	k := &kcl3{f: f, db: dynamodb.NewFromConfig(f.s.Config("java3")), state: tableName, metrics: tableName, stateKey: "leaseKey", metricsKey: "leaseKey"}
	if apart {
		k.state, k.metrics, k.stateKey, k.metricsKey = "app-CoordinatorState", "app-WorkerMetricStats", "key", "wid"
	}
	return k
}

func (k *kcl3) table(name, key string) {
	k.f.t.Helper()
	_, err := k.db.CreateTable(context.Background(), &dynamodb.CreateTableInput{
		TableName: &name, BillingMode: ddb.BillingModePayPerRequest,
		AttributeDefinitions: []ddb.AttributeDefinition{{AttributeName: &key, AttributeType: ddb.ScalarAttributeTypeS}},
		KeySchema:            []ddb.KeySchemaElement{{AttributeName: &key, KeyType: ddb.KeyTypeHash}},
	})
	if err != nil {
		k.f.t.Fatal(err)
	}
}

func (k *kcl3) put(table string, item map[string]ddb.AttributeValue) {
	k.f.t.Helper()
	if _, err := k.db.PutItem(context.Background(), &dynamodb.PutItemInput{TableName: &table, Item: item}); err != nil {
		k.f.t.Fatal(err)
	}
}

// ran leaves behind what the application writes, its leases still owned.
func (k *kcl3) ran(mode string) {
	k.f.javaTable()
	if k.state != tableName {
		k.table(k.state, k.stateKey)
		k.table(k.metrics, k.metricsKey)
	}
	for _, item := range k.f.s.Items(tableName) {
		item["leaseOwner"], item["leaseCounter"], item["entityType"], item["throughputKBps"] = str("java3"), num(7), str("LEASE"), num(1)
		k.put(tableName, item)
	}
	k.put(k.state, map[string]ddb.AttributeValue{
		k.stateKey: str("Migration3.0"), "entityType": str("CLIENT_VERSION_MIGRATION"), "cv": str("CLIENT_VERSION_" + mode), "mb": str("java3"), "mts": num(1),
	})
	k.lead()
	k.report()
}

// lead is the leader's heartbeat.
func (k *kcl3) lead() {
	k.beat++
	k.put(k.state, map[string]ddb.AttributeValue{
		k.stateKey: str("Leader"), "entityType": str("LEADER"), "ownerName": str("java3-leader"), "leaseDuration": str("120000"), "recordVersionNumber": str(fmt.Sprint("rvn-", k.beat)),
	})
}

// report is a worker's. The time in it is its host's, which is wrong.
func (k *kcl3) report() {
	k.beat++
	k.put(k.metrics, map[string]ddb.AttributeValue{
		k.metricsKey: str("java3"), "entityType": str("WORKER_METRIC_STATS"), "lut": num(int64(99_000_000_000 - k.beat)), "sts": &ddb.AttributeValueMemberM{}, "sup": num(1),
	})
}

// items is all that the tables hold, in a form that can be compared.
func (k *kcl3) items() string {
	var all []string
	for _, table := range slices.Compact([]string{tableName, k.state, k.metrics}) {
		for _, item := range k.f.s.Items(table) {
			var attributes []string
			for name, v := range item {
				attributes = append(attributes, name+"="+textOf(v)+fmt.Sprint(numberOf(v)))
			}
			slices.Sort(attributes)
			all = append(all, table+": "+strings.Join(attributes, " "))
		}
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

// foreign is those of the items that are no leases.
func (k *kcl3) foreign() string {
	return strings.Join(slices.DeleteFunc(strings.Split(k.items(), "\n"), func(s string) bool { return strings.Contains(s, "leaseCounter") }), "\n")
}

// every calls beat as KCL does, until the test's worker is done.
func (k *kcl3) every(d time.Duration, w *worker, beat func()) {
	for {
		select {
		case <-w.done:
			return
		case <-time.After(d):
			beat()
		}
	}
}

// endsWith waits for Run to end, and wants a FleetError of owner.
func (w *worker) endsWith(limit time.Duration, owner string) {
	w.f.t.Helper()
	w.f.until("run ends", limit, func() bool {
		select {
		case <-w.done:
			return true
		default:
			return false
		}
	})
	var fleet *consumer.FleetError
	if !errors.As(w.err, &fleet) || !slices.Contains(fleet.Owners, owner) {
		w.f.t.Errorf("run: %v", w.err)
	}
}

func TestALiveFleetOfKCL3IsRefusedAndNothingWritten(t *testing.T) {
	for name, c := range map[string]struct {
		apart bool
		owner string
		beat  func(k *kcl3)
	}{
		"a worker reports": {false, "java3", (*kcl3).report}, "a worker reports in a table of its own": {true, "java3", (*kcl3).report},
		"the leader leads": {false, "java3-leader", (*kcl3).lead}, "the leader leads in a table of its own": {true, "java3-leader", (*kcl3).lead},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 2, func(f *fleet) {
				k := f.kcl3(c.apart)
				k.ran("3X")
				puts := f.s.Calls("PutItem")
				w := f.start("go")
				go k.every(30*time.Second, w, func() { c.beat(k) })
				w.endsWith(40*time.Second, c.owner)
				if n := f.s.Calls("PutItem") - puts; n != 1 || f.s.Calls("UpdateItem") > 0 {
					t.Errorf("%d rows written by somebody else than the leader, %d updates", n-1, f.s.Calls("UpdateItem"))
				}
				time.Sleep(time.Minute)
			})
		})
	}
}

// What a fleet of KCL 3.x leaves behind when it stops holds nobody up for longer than it takes to see that it stands still, is named once, and stays.
func TestAStoppedFleetOfKCL3IsContinued(t *testing.T) {
	for name, apart := range map[string]bool{"in one table": false, "in three tables": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 2, func(f *fleet) {
				k := f.kcl3(apart)
				k.ran("3X")
				before := k.foreign()
				f.put("a", "0", "1")
				f.put("b", "2", "3")
				core, logs := observer.New(zap.InfoLevel)
				w := f.run(fast("go"), nil, consumer.WithLogger(zap.New(core)))
				f.delivered(4)
				time.Sleep(3 * time.Minute)
				if k.foreign() != before {
					t.Errorf("rows were\n%s\nand are\n%s", before, k.foreign())
				}
				if err := w.leave(); err != nil {
					t.Errorf("run: %v", err)
				}
				said := map[string]int{}
				for _, e := range logs.FilterMessageSnippet("row of the lease table skipped").All() {
					said[fmt.Sprint(e.ContextMap())]++
				}
				if want := map[bool]int{false: 3, true: 0}[apart]; len(said) != want || slices.ContainsFunc(slices.Collect(maps.Values(said)), func(n int) bool { return n != 1 }) {
					t.Errorf("said of skipped rows: %v", said)
				}
				for _, item := range f.s.Items(tableName) {
					if item["leaseCounter"] != nil && (item["leaseOwner"] != nil || item["checkpointOwner"] != nil || textOf(item["entityType"]) != "LEASE" || numberOf(item["throughputKBps"]) != 1) {
						t.Errorf("left for KCL: %v", item)
					}
				}
			})
		})
	}
}

// A fleet that is being upgraded, or was set back, takes leases as 2.x does, whatever its workers report. When it goes over to 3.x ours stop.
func TestAFleetOfKCL3ThatIsSetTo2IsSharedUntilItGoesOver(t *testing.T) {
	bubble(t, 2, func(f *fleet) {
		k := f.kcl3(true)
		k.ran("UPGRADE_FROM_2X")
		w := f.start("go")
		go k.every(30*time.Second, w, k.report)
		f.until("the leases are ours", 2*time.Minute, func() bool { return f.owns(w, shard0) && f.owns(w, shard1) })
		time.Sleep(3 * time.Minute)
		if !f.owns(w, shard0) {
			t.Fatal("not ours any more")
		}
		k.put(k.state, map[string]ddb.AttributeValue{k.stateKey: str("Migration3.0"), "cv": str("CLIENT_VERSION_3X_WITH_ROLLBACK")})
		w.endsWith(2*time.Minute, "java3")
		if n := f.javaShares(); n[""] != 2 {
			t.Errorf("left behind: %v", n)
		}
	})
}

// A leader of KCL 3.x hands a lease of ours to one of its workers: the lease is lost, the others are given back, and nothing more is taken.
func TestALeaderOfKCL3ThatTakesALeaseInHandStopsUs(t *testing.T) {
	bubble(t, 2, func(f *fleet) {
		w := f.start("go")
		f.until("the leases are ours", time.Minute, func() bool { return f.owns(w, shard0) && f.owns(w, shard1) })
		me := w.Health().Worker
		db := dynamodb.NewFromConfig(f.s.Config("java3"))
		put := func(v string) ddb.AttributeValueUpdate {
			return ddb.AttributeValueUpdate{Action: ddb.AttributeActionPut, Value: str(v)}
		}
		_, err := db.UpdateItem(context.Background(), &dynamodb.UpdateItemInput{
			TableName: ptr(tableName), Key: map[string]ddb.AttributeValue{"leaseKey": str(shard0)},
			AttributeUpdates: map[string]ddb.AttributeValueUpdate{"leaseOwner": put("java3"), "checkpointOwner": put(me)},
		})
		if err != nil {
			t.Fatal(err)
		}
		taken := f.row(shard0)
		w.endsWith(failover, "java3")
		if got := f.row(shard0); got.Owner != "java3" || got.CheckpointOwner != me || got.Counter != taken.Counter {
			t.Errorf("%+v became %+v", taken, got)
		}
		if got := f.row(shard1); got.Owner != "" {
			t.Errorf("%+v was not given back", got)
		}
	})
}
