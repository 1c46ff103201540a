// Package dynamo is the part of Amazon DynamoDB that lease tables and their tools need, in memory: tables with global secondary indexes,
// single-item reads and conditional writes in both languages, that of expressions and the older one of Expected and AttributeUpdates,
// Query and Scan, batches, transactions, time to live, tags.
//
// It answers requests of the JSON 1.0 protocol and is meant to be indistinguishable for a client of the operations it has; a
// parameter it does not have is refused with a ValidationException and never ignored. It differs from the service on purpose in these
// things: a table or index is ACTIVE as soon as it is asked for unless SetTransitions gives it time, a read that need not be consistent
// sees the last write all the same unless SetStaleness lets it see an earlier state, items vanish the moment their time to live has
// passed and not within days, provisioned capacity is counted but never exhausted, and nothing conflicts with a transaction because
// each is one atomic step.
package dynamo

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

// DB is one account's tables. Its methods may be called from any goroutine; every item operation, batch and transaction is atomic.
type DB struct {
	// mu guards what is below and everything a table says it guards. An operation takes it once, for all it does with tables, so that
	// a table cannot change or go between two steps of it. It is not held while a request is decoded or an answer encoded: stored items
	// are immutable, so they can be encoded later.
	mu          sync.Mutex
	account     string
	region      string
	tables      map[string]*table
	created     int // tables ever created; numbers the table ids
	transitions time.Duration
	staleness   time.Duration
	ages        *rand.Rand // draws how old what a stale read sees is; nil is always staleness
	replays     replays
}

// New returns a database without tables.
func New() *DB {
	return &DB{account: "000000000000", region: "us-east-1", tables: make(map[string]*table), replays: newReplays()}
}

// SetPlace says whose the database is, for the ARNs. It is called before the first request, if at all.
func (db *DB) SetPlace(account, region string) { db.account, db.region = account, region }

type operation func(db *DB, body []byte) (any, *wire.Error)

var operations = map[string]operation{
	"CreateTable":               request((*DB).createTable),
	"DescribeTable":             request((*DB).describeTable),
	"UpdateTable":               request((*DB).updateTable),
	"DeleteTable":               request((*DB).deleteTable),
	"ListTables":                request((*DB).listTables),
	"TagResource":               request((*DB).tagResource),
	"UntagResource":             request((*DB).untagResource),
	"ListTagsOfResource":        request((*DB).listTagsOfResource),
	"UpdateTimeToLive":          request((*DB).updateTimeToLive),
	"DescribeTimeToLive":        request((*DB).describeTimeToLive),
	"UpdateContinuousBackups":   request((*DB).updateContinuousBackups),
	"DescribeContinuousBackups": request((*DB).describeContinuousBackups),
	"GetItem":                   request((*DB).getItem),
	"PutItem":                   request((*DB).putItem),
	"UpdateItem":                request((*DB).updateItem),
	"DeleteItem":                request((*DB).deleteItem),
	"BatchGetItem":              request((*DB).batchGetItem),
	"BatchWriteItem":            request((*DB).batchWriteItem),
	"TransactGetItems":          request((*DB).transactGetItems),
	"TransactWriteItems":        request((*DB).transactWriteItems),
	"Query":                     request((*DB).query),
	"Scan":                      request((*DB).scan),
}

// Call performs one operation: op is what follows the dot in X-Amz-Target ("UpdateItem"), body the JSON request. It returns the JSON
// answer or the modelled exception; an operation it does not know is an UnknownOperationException. It neither blocks nor waits, so ctx
// is not consulted: a call that was begun takes effect.
func (db *DB) Call(_ context.Context, op string, body []byte) ([]byte, *wire.Error) {
	run, ok := operations[op]
	if !ok {
		return nil, &wire.Error{Code: "UnknownOperationException", Message: "Unknown operation: " + op}
	}
	reply, fault := run(db, body)
	if fault != nil {
		return nil, fault
	}
	out, err := json.Marshal(reply)
	if err != nil {
		return nil, &wire.Error{Code: "InternalServerError", Message: err.Error(), Status: 500}
	}
	return out, nil
}

// Items returns deep copies of a table's items, ordered by key: strings and binaries by their bytes, numbers by value. It panics when
// there is no such table, which in a test is a mistake of the test.
func (db *DB) Items(name string) []map[string]types.AttributeValue {
	db.mu.Lock()
	t := db.find(name)
	if t == nil {
		db.mu.Unlock()
		panic(fmt.Sprintf("dynamo: no table %q", name))
	}
	stored := slices.Clone(t.items.entries)
	db.mu.Unlock()

	slices.SortFunc(stored, func(a, b entry) int { return t.keys.compare(a.item, b.item) })
	items := make([]map[string]types.AttributeValue, len(stored))
	for i, e := range stored {
		items[i] = e.item.toSDK()
	}
	return items
}

// Key names the table of a request and, for a request about a single item, the value of the item's hash key as text: a string as it
// is, a number in plain decimal notation, a binary in base64. What the request does not tell, or tells in a malformed way, is "".
func (db *DB) Key(op string, body []byte) (table, key string) {
	var req struct {
		TableName string
		Key, Item map[string]json.RawMessage
	}
	if json.Unmarshal(body, &req) != nil {
		return "", ""
	}
	attributes := req.Key
	switch op {
	case "PutItem":
		attributes = req.Item
	case "GetItem", "UpdateItem", "DeleteItem":
	default:
		return req.TableName, ""
	}
	db.mu.Lock()
	t := db.tables[req.TableName]
	db.mu.Unlock()
	if t == nil {
		return req.TableName, ""
	}
	var raw wireValue
	if json.Unmarshal(attributes[t.keys.hash.name], &raw) != nil {
		return req.TableName, ""
	}
	v, problem := raw.value(0)
	if problem != "" {
		return req.TableName, ""
	}
	return req.TableName, v.text()
}

// find returns a table in whatever state it is, after time has done to it what it does; nil if there is none. The caller holds the lock.
func (db *DB) find(name string) *table {
	t := db.tables[name]
	if t == nil {
		return nil
	}
	now := time.Now()
	if t.gone(now) {
		delete(db.tables, name)
		return nil
	}
	t.settle(now)
	return t
}

// anyTable is find with the exceptions of item operations. The caller holds the lock.
func (db *DB) anyTable(name string) (*table, *wire.Error) {
	if name == "" {
		return nil, invalid("The parameter 'TableName' is required but was not present in the request")
	}
	if t := db.find(name); t != nil {
		return t, nil
	}
	if fault := checkTableName(name); fault != nil {
		return nil, fault
	}
	return nil, errNoTable
}

// table finds a table for an operation on its items, for which one that is still being created, or already being deleted, does not
// exist. The caller holds the lock.
func (db *DB) table(name string) (*table, *wire.Error) {
	t, fault := db.anyTable(name)
	if fault != nil {
		return nil, fault
	}
	if status := t.status(time.Now()); status == statusCreating || status == statusDeleting {
		return nil, errNoTable
	}
	return t, nil
}
