package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddb "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesiskit/kinesiskit/aggregation"
	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/internal/kcl"
)

// java is a worker of KCL 2.x at the server: what it decides is kcl's, what it sends is what KCL sends, in DynamoDB's older parameters too.
type java struct {
	f     *fleet
	name  string
	db    *dynamodb.Client
	api   *kinesis.Client
	began time.Time
	each  bool // it stores every record's position, not every page's
	most  int  // records, after which it is stopped; 0: no such thing

	stop context.CancelFunc
	ctx  context.Context
	wg   sync.WaitGroup

	mu      sync.Mutex // of what follows; never held across a request
	w       kcl.Worker
	rng     *rand.Rand
	tenures map[string]int
	busy    map[string]chan struct{}
	seen    int
}

// java starts one.
func (f *fleet) java(name string, more func(*java)) *java {
	j := &java{
		f: f, name: name, db: dynamodb.NewFromConfig(f.s.Config(name)), api: kinesis.NewFromConfig(f.s.Config(name)), began: time.Now(),
		w: kcl.Worker{ID: name, Failover: failover, Release: true}, rng: rand.New(rand.NewPCG(1, uint64(len(name)))), tenures: map[string]int{}, busy: map[string]chan struct{}{},
	}
	if more != nil {
		more(j)
	}
	j.ctx, j.stop = context.WithCancel(context.Background())
	j.wg.Go(j.take)
	j.wg.Go(j.renew)
	return j
}

// quit stops it as the end of its process does: its leases stay as they are.
func (j *java) quit() {
	j.stop()
	j.wg.Wait()
}

// javaTable makes the table and the rows of an application of Java that begins with the oldest records.
func (f *fleet) javaTable() {
	f.t.Helper()
	db := dynamodb.NewFromConfig(f.s.Config("java"))
	_, err := db.CreateTable(context.Background(), &dynamodb.CreateTableInput{
		TableName: ptr(tableName), BillingMode: ddb.BillingModePayPerRequest,
		AttributeDefinitions: []ddb.AttributeDefinition{{AttributeName: ptr("leaseKey"), AttributeType: ddb.ScalarAttributeTypeS}},
		KeySchema:            []ddb.KeySchemaElement{{AttributeName: ptr("leaseKey"), KeyType: ddb.KeyTypeHash}},
	})
	if err != nil {
		f.t.Fatal(err)
	}
	out, err := f.api.ListShards(context.Background(), &kinesis.ListShardsInput{StreamName: ptr(streamName)})
	if err != nil {
		f.t.Fatal(err)
	}
	j := &java{f: f, db: db, ctx: context.Background()}
	for _, s := range out.Shards {
		if s.ParentShardId == nil {
			j.create(*s.ShardId, nil, s.HashKeyRange)
		}
	}
}

func (j *java) now() time.Duration { return time.Since(j.began) }

func (j *java) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-j.ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// create is createLeaseIfNotExists.
func (j *java) create(id string, parents []string, keys *types.HashKeyRange) {
	item := map[string]ddb.AttributeValue{
		"leaseKey": str(id), "leaseCounter": num(0), "ownerSwitchesSinceCheckpoint": num(0), "checkpoint": str(kcl.TrimHorizon), "checkpointSubSequenceNumber": num(0),
		"startingHashKey": str(*keys.StartingHashKey), "endingHashKey": str(*keys.EndingHashKey),
	}
	if len(parents) > 0 {
		item["parentShardId"] = &ddb.AttributeValueMemberSS{Value: parents}
	}
	_, err := j.db.PutItem(j.ctx, &dynamodb.PutItemInput{
		TableName: ptr(tableName), Item: item, Expected: map[string]ddb.ExpectedAttributeValue{"leaseKey": {Exists: aws.Bool(false)}},
	})
	j.tell("create", err)
}

// tell fails the test if a request failed for another reason than its condition.
func (j *java) tell(what string, err error) {
	var refused *ddb.ConditionalCheckFailedException
	if err != nil && !errors.As(err, &refused) && j.ctx.Err() == nil {
		j.f.t.Errorf("%s: %s: %v", j.name, what, err)
	}
}

func str(s string) ddb.AttributeValue { return &ddb.AttributeValueMemberS{Value: s} }
func num(n int64) ddb.AttributeValue {
	return &ddb.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

func textOf(v ddb.AttributeValue) string {
	if s, ok := v.(*ddb.AttributeValueMemberS); ok {
		return s.Value
	}
	return ""
}

func numberOf(v ddb.AttributeValue) int64 {
	n, ok := v.(*ddb.AttributeValueMemberN)
	if !ok {
		return 0
	}
	i, _ := strconv.ParseInt(n.Value, 10, 64)
	return i
}

func setOf(v ddb.AttributeValue) []string {
	if s, ok := v.(*ddb.AttributeValueMemberSS); ok {
		return s.Value
	}
	return nil
}

func rowOf(item map[string]ddb.AttributeValue) kcl.Row {
	return kcl.Row{
		Key: textOf(item["leaseKey"]), Owner: textOf(item["leaseOwner"]), Counter: numberOf(item["leaseCounter"]), Switches: numberOf(item["ownerSwitchesSinceCheckpoint"]),
		Checkpoint: textOf(item["checkpoint"]), Sub: numberOf(item["checkpointSubSequenceNumber"]), Parents: setOf(item["parentShardId"]), Children: setOf(item["childShardIds"]),
	}
}

func (j *java) get(key string) (kcl.Row, bool) {
	out, err := j.db.GetItem(j.ctx, &dynamodb.GetItemInput{TableName: ptr(tableName), Key: map[string]ddb.AttributeValue{"leaseKey": str(key)}})
	j.tell("get", err)
	if err != nil || len(out.Item) == 0 {
		return kcl.Row{}, false
	}
	return rowOf(out.Item), true
}

// write is one UpdateItem.
func (j *java) write(x kcl.Write) bool {
	put := func(v ddb.AttributeValue) ddb.AttributeValueUpdate {
		return ddb.AttributeValueUpdate{Action: ddb.AttributeActionPut, Value: v}
	}
	set := map[string]ddb.AttributeValueUpdate{}
	when := map[string]ddb.ExpectedAttributeValue{"leaseCounter": {Value: num(x.Counter)}}
	if x.Kind == kcl.Children {
		when = map[string]ddb.ExpectedAttributeValue{"leaseKey": {Value: str(x.Key)}}
	} else {
		set["leaseCounter"] = put(num(x.Counter + 1))
	}
	switch x.Kind {
	case kcl.Take:
		set["leaseOwner"] = put(str(x.Owner))
		if x.Adds > 0 {
			set["ownerSwitchesSinceCheckpoint"] = ddb.AttributeValueUpdate{Action: ddb.AttributeActionAdd, Value: num(x.Adds)}
		}
	case kcl.Store:
		set["checkpoint"], set["checkpointSubSequenceNumber"], set["ownerSwitchesSinceCheckpoint"] = put(str(x.Checkpoint)), put(num(x.Sub)), put(num(0))
		for _, name := range []string{"pendingCheckpoint", "pendingCheckpointSubSequenceNumber", "pendingCheckpointState"} {
			set[name] = ddb.AttributeValueUpdate{Action: ddb.AttributeActionDelete}
		}
	}
	if len(x.Children) > 0 {
		set["childShardIds"] = put(&ddb.AttributeValueMemberSS{Value: x.Children})
	}
	_, err := j.db.UpdateItem(j.ctx, &dynamodb.UpdateItemInput{
		TableName: ptr(tableName), Key: map[string]ddb.AttributeValue{"leaseKey": str(x.Key)}, AttributeUpdates: set, Expected: when,
	})
	j.tell("write", err)
	return err == nil
}

// take is the taker's thread.
func (j *java) take() {
	for {
		out, err := j.db.Scan(j.ctx, &dynamodb.ScanInput{TableName: ptr(tableName)})
		j.tell("scan", err)
		if err == nil {
			var rows []kcl.Row
			for _, item := range out.Items {
				rows = append(rows, rowOf(item))
			}
			j.mu.Lock()
			takes := j.w.Look(rows, j.now(), j.rng.IntN)
			j.mu.Unlock()
			for _, x := range takes {
				if j.write(x) {
					j.took(x)
				}
			}
		}
		if !j.sleep(j.w.TakeEvery()) {
			return
		}
	}
}

func (j *java) took(x kcl.Write) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.w.Took(x, j.now())
	j.tenures[x.Key]++
	if j.busy[x.Key] == nil {
		j.busy[x.Key] = make(chan struct{}, 1)
	}
	tenure := j.tenures[x.Key]
	j.wg.Go(func() { j.serve(x.Key, tenure) })
}

func (j *java) renew() {
	for j.sleep(j.w.RenewEvery()) {
		j.mu.Lock()
		keys := j.w.Held(j.now())
		j.mu.Unlock()
		for _, key := range keys {
			j.store(key, func() (kcl.Write, bool) {
				for _, x := range j.w.Renewals(j.now()) {
					if x.Key == key {
						return x, true
					}
				}
				return kcl.Write{}, false
			})
		}
	}
}

// store makes a write of a lease that is held, one at a time.
func (j *java) store(key string, choose func() (kcl.Write, bool)) bool {
	j.mu.Lock()
	busy := j.busy[key]
	j.mu.Unlock()
	busy <- struct{}{}
	defer func() { <-busy }()
	j.mu.Lock()
	x, ok := choose()
	j.mu.Unlock()
	if !ok {
		return false
	}
	done := j.write(x)
	var row *kcl.Row
	if !done {
		if r, ok := j.get(key); ok {
			row = &r
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if done {
		j.w.Done(x, j.now())
	} else if j.ctx.Err() == nil {
		j.w.Refused(x, row, j.now())
	}
	return done
}

func (j *java) holds(key string, tenure int) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.ctx.Err() == nil && j.tenures[key] == tenure && j.w.Holds(key, j.now())
}

// checkpoint stores a position whatever is stored.
func (j *java) checkpoint(key string, tenure int, position string, sub int64, children []string) bool {
	if !j.holds(key, tenure) {
		return false
	}
	return j.store(key, func() (kcl.Write, bool) {
		if !j.w.Holds(key, j.now()) {
			return kcl.Write{}, false
		}
		return j.w.Store(key, position, sub, children), true
	})
}

// serve is a shard's consumer.
func (j *java) serve(key string, tenure int) {
	var row kcl.Row
	for blocked := true; blocked; {
		if !j.holds(key, tenure) {
			return
		}
		row, _ = j.get(key)
		var parents []kcl.Row
		for _, id := range row.Parents {
			if parent, ok := j.get(id); ok {
				parents = append(parents, parent)
			}
		}
		if blocked = kcl.Blocked(parents); blocked {
			j.sleep(time.Second)
		}
	}
	if row.Ended() {
		return
	}
	in := &kinesis.GetShardIteratorInput{StreamName: ptr(streamName), ShardId: &key, ShardIteratorType: types.ShardIteratorTypeTrimHorizon}
	var from checkpoint.Position
	if row.Checkpoint != kcl.TrimHorizon {
		in.ShardIteratorType, in.StartingSequenceNumber = types.ShardIteratorTypeAtSequenceNumber, &row.Checkpoint
		from = at(j.f.t, row.Checkpoint, row.Sub)
	}
	it, err := j.api.GetShardIterator(j.ctx, in)
	j.tell("iterator", err)
	if err != nil {
		return
	}
	for iterator := it.ShardIterator; j.holds(key, tenure); {
		out, err := j.api.GetRecords(j.ctx, &kinesis.GetRecordsInput{ShardIterator: iterator})
		j.tell("records", err)
		if err != nil {
			return
		}
		if !j.process(key, tenure, from, out.Records) {
			return
		}
		if out.NextShardIterator == nil {
			j.finish(key, tenure, out.ChildShards)
			return
		}
		iterator = out.NextShardIterator
		j.sleep(time.Second)
	}
}

// process delivers a page behind from, and stores how far it is.
func (j *java) process(key string, tenure int, from checkpoint.Position, records []types.Record) bool {
	var last checkpoint.Position
	for _, r := range records {
		users, err := aggregation.Decode(nil, r.Data)
		if err != nil {
			users = []aggregation.Record{{PartitionKey: *r.PartitionKey, Data: r.Data}}
		}
		for _, u := range users {
			p := at(j.f.t, *r.SequenceNumber, int64(u.Sub))
			if p.Compare(from) <= 0 {
				continue
			}
			if !j.deliver(delivery{j.name, key, u.PartitionKey, string(u.Data), p, time.Now()}) {
				return false
			}
			last = p
			if j.each && !j.checkpoint(key, tenure, p.Sequence(), p.Sub(), nil) {
				return false
			}
		}
	}
	return j.each || last == checkpoint.Position{} || j.checkpoint(key, tenure, last.Sequence(), last.Sub(), nil)
}

// deliver notes a record, unless the process ends here.
func (j *java) deliver(d delivery) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.most > 0 && j.seen == j.most {
		j.stop()
		return false
	}
	j.seen++
	j.f.mu.Lock()
	defer j.f.mu.Unlock()
	j.f.got = append(j.f.got, d)
	return true
}

// finish ends a shard as KCL does.
func (j *java) finish(key string, tenure int, children []types.ChildShard) {
	var ids []string
	for _, c := range children {
		ids = append(ids, *c.ShardId)
		j.create(*c.ShardId, c.ParentShards, c.HashKeyRange)
	}
	if !j.holds(key, tenure) || !j.write(kcl.Write{Kind: kcl.Children, Key: key, Children: ids}) {
		return
	}
	j.checkpoint(key, tenure, kcl.ShardEnd, 0, ids)
}

// javaShares counts the leases of a table by owner.
func (f *fleet) javaShares() map[string]int {
	count := map[string]int{}
	for _, item := range f.s.Items(tableName) {
		count[textOf(item["leaseOwner"])]++
	}
	return count
}

// processed demands that each of n records, whose data are their numbers, was delivered, and the first time in the order of its key.
func (f *fleet) processed(n int) (repeated int) {
	f.t.Helper()
	times := make([]int, n)
	last := map[string]int{}
	for _, d := range f.deliveries() {
		i, err := strconv.Atoi(d.data)
		if err != nil || i >= n {
			f.t.Fatalf("delivered %q: %v", d.data, err)
		}
		if times[i]++; times[i] > 1 {
			repeated++
			continue
		}
		if before, ok := last[d.key]; ok && before > i {
			f.t.Errorf("key %s: %d came for the first time after %d", d.key, i, before)
		}
		last[d.key] = i
	}
	for i, k := range times {
		if k == 0 {
			f.t.Errorf("record %d was never delivered", i)
		}
	}
	return repeated
}

func (j *java) String() string { return fmt.Sprint(j.name, " ", j.w.Held(j.now())) }
