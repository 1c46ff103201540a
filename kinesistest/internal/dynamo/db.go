// Package dynamo is the part of Amazon DynamoDB that lease tables need, in memory: tables with global secondary indexes, single-item
// reads and conditional writes, Query and Scan.
//
// It answers requests of the JSON 1.0 protocol and is meant to be indistinguishable for a client of the operations it has; a
// parameter it does not have is refused with a ValidationException and never ignored. It differs from the service on purpose in three
// things: a table is ACTIVE as soon as CreateTable returns, an index shows a write at once, and provisioned capacity is counted but
// never exhausted.
package dynamo

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

// DB is one account's tables. Its methods may be called from any goroutine; every item operation is atomic.
type DB struct {
	// mu guards tables and everything a table says it guards. It is held for lookups and for the evaluation of one operation's
	// expressions, never while a request is decoded or an answer encoded: stored items are immutable, so they can be encoded later.
	mu      sync.Mutex
	tables  map[string]*table
	created int // tables ever created; numbers the table ids
}

// New returns a database without tables.
func New() *DB {
	return &DB{tables: make(map[string]*table)}
}

type operation func(db *DB, body []byte) (any, *wire.Error)

var operations = map[string]operation{
	"CreateTable":               (*DB).createTable,
	"DescribeTable":             (*DB).describeTable,
	"DeleteTable":               (*DB).deleteTable,
	"ListTables":                (*DB).listTables,
	"ListTagsOfResource":        (*DB).listTagsOfResource,
	"UpdateContinuousBackups":   (*DB).updateContinuousBackups,
	"DescribeContinuousBackups": (*DB).describeContinuousBackups,
	"GetItem":                   (*DB).getItem,
	"PutItem":                   (*DB).putItem,
	"UpdateItem":                (*DB).updateItem,
	"DeleteItem":                (*DB).deleteItem,
	"Query":                     (*DB).query,
	"Scan":                      (*DB).scan,
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
	t := db.tables[name]
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
	t, fault := db.table(req.TableName)
	if fault != nil {
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

// table finds a table. Its description is immutable; its items may only be touched under the lock.
func (db *DB) table(name string) (*table, *wire.Error) {
	if name == "" {
		return nil, invalid("The parameter 'TableName' is required but was not present in the request")
	}
	db.mu.Lock()
	t := db.tables[name]
	db.mu.Unlock()
	if t != nil {
		return t, nil
	}
	if fault := checkTableName(name); fault != nil {
		return nil, fault
	}
	return nil, errNoTable
}
