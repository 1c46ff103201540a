package dynamo

import (
	"strings"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

// Limits of the service.
const (
	maxTransaction     = 100     // items
	maxTransactionSize = 4 << 20 // bytes of them
)

// Both halves of a transaction, its preparation and its commit, are charged.
const transactional = 2

// checkTransaction checks the number of a transaction's items.
func checkTransaction(n int) *wire.Error {
	if n < 1 || n > maxTransaction {
		return invalid("1 validation error detected: Value at 'transactItems' failed to satisfy constraint: " +
			"Member must have length between 1 and 100")
	}
	return nil
}

var errTransactionSize = invalid("Transaction request cannot exceed 4 MB of items")

// reason tells of one item of a cancelled transaction.
type reason struct {
	Code    string
	Message string `json:",omitempty"`
	Item    item   `json:",omitempty"`
}

// cancelled is the exception of a transaction one of whose items has a fault; nil if none has. The reasons are ordered as the items.
func cancelled(faults []*wire.Error) *wire.Error {
	reasons := make([]reason, len(faults))
	codes := make([]string, len(faults))
	failed := false
	for i, fault := range faults {
		reasons[i].Code = "None"
		if fault != nil {
			failed = true
			reasons[i] = reasonOf(fault)
		}
		codes[i] = reasons[i].Code
	}
	if !failed {
		return nil
	}
	return &wire.Error{
		Code: "TransactionCanceledException",
		Message: "Transaction cancelled, please refer cancellation reasons for specific reasons [" +
			strings.Join(codes, ", ") + "]",
		Members: map[string]any{"CancellationReasons": reasons},
	}
}

func reasonOf(fault *wire.Error) reason {
	r := reason{Code: "ValidationError", Message: fault.Message}
	if fault.Code == codeConditionFailed {
		r.Code = "ConditionalCheckFailed"
		r.Item, _ = fault.Members["Item"].(item)
	}
	return r
}

type transactGet struct {
	Get *struct {
		TableName                string
		Key                      map[string]wireValue
		ProjectionExpression     *string
		ExpressionAttributeNames map[string]string
	}
}

type transactGetRequest struct {
	TransactItems []transactGet
	capacityOption
}

type transactGetReply struct {
	Responses        []presentItem
	ConsumedCapacity []*capacity `json:",omitempty"`
}

func (db *DB) transactGetItems(req *transactGetRequest) (any, *wire.Error) {
	if fault := req.capacityOption.check(); fault != nil {
		return nil, fault
	}
	if fault := checkTransaction(len(req.TransactItems)); fault != nil {
		return nil, fault
	}
	projections := make([]*projection, len(req.TransactItems))
	for i, one := range req.TransactItems {
		if one.Get == nil {
			return nil, invalid("1 validation error detected: Value null at 'transactItems.%d.member.get' failed to satisfy constraint: "+
				"Member must not be null", i+1)
		}
		names := substitutions{ExpressionAttributeNames: one.Get.ExpressionAttributeNames}
		var fault *wire.Error
		if projections[i], fault = names.projection(one.Get.ProjectionExpression, nil); fault != nil {
			return nil, fault
		}
	}
	entries, fault := db.readTogether(req.TransactItems)
	if fault != nil {
		return nil, fault
	}
	reply := &transactGetReply{Responses: make([]presentItem, len(entries))}
	spent := make(tally)
	size := 0
	for i, e := range entries {
		reply.Responses[i].Item = projectedItem(projections[i], e.item)
		spent[req.TransactItems[i].Get.TableName] += transactional * readUnits(e.size, true)
		size += e.size
	}
	if size > maxTransactionSize {
		return nil, errTransactionSize
	}
	reply.ConsumedCapacity = req.consumedBy(spent)
	return reply, nil
}

// readTogether reads the items of a transaction in one atomic step.
func (db *DB) readTogether(items []transactGet) ([]entry, *wire.Error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	entries := make([]entry, len(items))
	faults := make([]*wire.Error, len(items))
	seen := make(map[itemID]bool)
	for i, one := range items {
		t, fault := db.table(one.Get.TableName)
		if fault != nil {
			return nil, fault
		}
		_, key, fault := t.key(one.Get.Key)
		if fault != nil {
			faults[i] = fault
			continue
		}
		id := itemID{t.name, key}
		if seen[id] {
			return nil, errSeveralOperations
		}
		seen[id] = true
		entries[i] = t.items.get(key)
	}
	return entries, cancelled(faults)
}
