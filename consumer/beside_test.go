package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddb "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/kinesiskit/kinesiskit/consumer"
	"github.com/kinesiskit/kinesiskit/lease"
)

// keyed puts a record every 100 ms until stop is closed, each with its number as data, over sixteen keys.
func (f *fleet) keyed(stop <-chan struct{}) (n *atomic.Int64, done chan struct{}) {
	n, done = new(atomic.Int64), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
			}
			i := n.Load()
			f.put(fmt.Sprint("key", i%16), fmt.Sprint(i))
			n.Add(1)
		}
	}()
	return n, done
}

// One application, workers of both kinds: they come, share, go on across a reshard, and go; no record is lost, and none comes before an earlier one of its key.
func TestWorkersOfBothKindsShareAStream(t *testing.T) {
	bubble(t, 8, func(f *fleet) {
		f.javaTable()
		a := f.java("java-a", nil)
		time.Sleep(5 * time.Second)
		b := f.java("java-b", nil)
		stop := make(chan struct{})
		puts, done := f.keyed(stop)
		time.Sleep(2 * time.Minute)
		g := f.start("go")
		f.until("shares are equal", 2*time.Minute, func() bool {
			n := f.javaShares()
			return n["java-a"] >= 2 && n["java-b"] >= 2 && n[g.Health().Worker] >= 2
		})
		rest := f.javaShares()
		time.Sleep(2 * time.Minute)
		if now := f.javaShares(); fmt.Sprint(now) != fmt.Sprint(rest) {
			t.Errorf("shares %v, two minutes later %v", rest, now)
		}
		f.s.Split(streamName, shard0)
		f.s.Split(streamName, shard1)
		time.Sleep(2 * time.Minute)
		a.quit()
		time.Sleep(time.Minute)
		if err := g.leave(); err != nil {
			t.Errorf("run: %v", err)
		}
		time.Sleep(2 * time.Minute)
		if n := f.javaShares(); n["java-b"] != len(f.s.Items(tableName)) {
			t.Errorf("%v: want all of %d with java-b", n, len(f.s.Items(tableName)))
		}
		close(stop)
		<-done
		time.Sleep(10 * time.Second)
		b.quit()
		repeated := f.processed(int(puts.Load()))
		by := map[string]int{}
		for _, d := range f.deliveries() {
			by[d.worker]++
		}
		if by["go"] < 500 || by["java-a"] < 500 || by["java-b"] < 500 {
			t.Errorf("delivered by worker: %v", by)
		}
		t.Logf("%d records, %d delivered again; by worker %v", puts.Load(), repeated, by)
	})
}

// An application of Java stops in the middle of an aggregate, one of ours goes on behind the very record, stops in the middle of another, and is followed by Java
// again: every record is delivered once, and what the rows hold beside our attributes stays.
func TestAnApplicationMovesFromJavaAndBack(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		f.javaTable()
		n := 0
		more := func() {
			var users []string
			for range 6 {
				users = append(users, fmt.Sprintf("k=%d", n))
				n++
			}
			f.putRaw("k", "", aggregate(users...))
		}
		more()
		more()
		a := f.java("java-a", func(j *java) { j.each, j.most = true, 8 })
		f.delivered(8)
		a.quit()
		last := f.deliveries()[7]
		if p := f.row(shard0).Checkpoint.Position; p != last.position || p.Sub() != 1 {
			t.Fatalf("java stored %v, delivered up to %v", p, last.position)
		}
		db := dynamodb.NewFromConfig(f.s.Config("test"))
		_, err := db.UpdateItem(context.Background(), &dynamodb.UpdateItemInput{
			TableName: ptr(tableName), Key: map[string]ddb.AttributeValue{"leaseKey": str(shard0)},
			AttributeUpdates: map[string]ddb.AttributeValueUpdate{"throughputKBps": {Action: ddb.AttributeActionPut, Value: &ddb.AttributeValueMemberN{Value: "1.5"}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		before := f.s.Items(tableName)[0]

		more()
		g := f.run(fast("go"), consumer.Each(func(_ context.Context, r *consumer.Record) error {
			if string(r.Data) == "15" {
				return errors.New("not here")
			}
			f.note("go", r)
			return nil
		}))
		f.delivered(15)
		if err := g.leave(); err != nil {
			t.Fatal(err)
		}
		after := f.s.Items(tableName)[0]
		if after["leaseOwner"] != nil || textOf(after["checkpoint"]) != f.deliveries()[14].position.Sequence() || numberOf(after["checkpointSubSequenceNumber"]) != 2 {
			t.Errorf("left behind: %v", after)
		}
		for _, name := range []string{"throughputKBps", "startingHashKey", "endingHashKey"} {
			if fmt.Sprint(after[name]) == "<nil>" || textOf(after[name]) != textOf(before[name]) {
				t.Errorf("%s was %v, is %v", name, before[name], after[name])
			}
		}

		more()
		b := f.java("java-b", nil)
		f.delivered(n)
		time.Sleep(time.Minute)
		b.quit()
		if repeated := f.processed(n); repeated > 0 {
			t.Errorf("%d records were delivered again", repeated)
		}
		if p := f.row(shard0).Checkpoint.Position; p != f.deliveries()[n-1].position {
			t.Errorf("stored %v at the end", p)
		}
	})
}

// What KCL takes we notice with the next renewal: until then both may process, and no longer.
func TestAShardThatJavaTookIsLeftWithTheNextRenewal(t *testing.T) {
	bubble(t, 1, func(f *fleet) {
		g := f.start("go")
		stop := make(chan struct{})
		puts, done := f.keyed(stop)
		f.delivered(100)
		row := f.row(shard0)
		thief := "java-a"
		if _, err := f.store.Write(context.Background(), shard0, lease.Condition{Counter: &row.Counter}, lease.Change{AddCounter: 1, Owner: &thief}); err != nil {
			t.Fatal(err)
		}
		stolen := time.Now()
		time.Sleep(failover)
		close(stop)
		<-done
		for _, d := range f.deliveries() {
			if late := d.at.Sub(stolen); late > failover/3+failover/6 {
				t.Errorf("%s was delivered %v after the lease was taken", d.data, late)
			}
		}
		if got := f.row(shard0); got.Counter != row.Counter+1 || got.Checkpoint.Position != row.Checkpoint.Position {
			t.Errorf("%+v: written by its former owner", got)
		}
		f.delivered(int(puts.Load()))
		f.processed(int(puts.Load()))
		if !f.owns(g, shard0) {
			t.Error("the lease of a thief that does not live was not taken back")
		}
	})
}
