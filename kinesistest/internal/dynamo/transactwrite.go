package dynamo

import (
	"crypto/sha256"
	"encoding/json"
	"time"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

var errSeveralOperations = invalid("Transaction request cannot include multiple operations on one item")

// transactOptions is what the actions of a transaction share.
type transactOptions struct {
	TableName                           string
	ConditionExpression                 *string
	ReturnValuesOnConditionCheckFailure string
	substitutions
}

type transactKeyed struct {
	Key map[string]wireValue
	transactOptions
}

type transactPut struct {
	Item map[string]wireValue
	transactOptions
}

type transactUpdate struct {
	Key              map[string]wireValue
	UpdateExpression *string
	transactOptions
}

// transactWrite has one member set.
type transactWrite struct {
	ConditionCheck *transactKeyed
	Put            *transactPut
	Delete         *transactKeyed
	Update         *transactUpdate
}

// write parses what the actions share.
func (o *transactOptions) write(kind writeKind, key map[string]wireValue) (*write, *wire.Error) {
	if fault := checkReturnFailed(o.ReturnValuesOnConditionCheckFailure); fault != nil {
		return nil, fault
	}
	c, fault := o.substitutions.condition(expression{"ConditionExpression", o.ConditionExpression})
	if fault != nil {
		return nil, fault
	}
	return &write{
		kind: kind, tableName: o.TableName, key: key, condition: c, returnFailed: o.ReturnValuesOnConditionCheckFailure == "ALL_OLD",
	}, nil
}

func (t *transactPut) parse() (*write, *wire.Error) {
	put, problem := toItem(t.Item, 0)
	if problem != "" {
		return nil, invalid("%s", problem)
	}
	w, fault := t.write(writePut, nil)
	if fault != nil {
		return nil, fault
	}
	w.put = put
	return w, nil
}

func (t *transactUpdate) parse() (*write, *wire.Error) {
	if t.UpdateExpression == nil {
		return nil, errAbsent("update.updateExpression")
	}
	if fault := checkReturnFailed(t.ReturnValuesOnConditionCheckFailure); fault != nil {
		return nil, fault
	}
	u, c, fault := t.expressions(
		expression{"UpdateExpression", t.UpdateExpression}, expression{"ConditionExpression", t.ConditionExpression})
	if fault != nil {
		return nil, fault
	}
	return &write{
		kind: writeUpdate, tableName: t.TableName, key: t.Key, update: u, condition: c,
		returnFailed: t.ReturnValuesOnConditionCheckFailure == "ALL_OLD",
	}, nil
}

func errAbsent(member string) *wire.Error {
	return invalid("1 validation error detected: Value null at 'transactItems.member.%s' failed to satisfy constraint: "+
		"Member must not be null", member)
}

func (t *transactWrite) parse() (*write, *wire.Error) {
	members := 0
	for _, set := range [...]bool{t.ConditionCheck != nil, t.Put != nil, t.Delete != nil, t.Update != nil} {
		if set {
			members++
		}
	}
	switch {
	case members != 1:
		return nil, invalid("TransactItems can only contain one of Check, Put, Update or Delete")
	case t.Put != nil:
		return t.Put.parse()
	case t.Update != nil:
		return t.Update.parse()
	case t.Delete != nil:
		return t.Delete.write(writeDelete, t.Delete.Key)
	case t.ConditionCheck.ConditionExpression == nil:
		return nil, errAbsent("conditionCheck.conditionExpression")
	}
	return t.ConditionCheck.write(writeNothing, t.ConditionCheck.Key)
}

type transactWriteRequest struct {
	TransactItems               []transactWrite
	ClientRequestToken          string
	ReturnItemCollectionMetrics string
	capacityOption
}

type transactWriteReply struct {
	ConsumedCapacity []*capacity `json:",omitempty"`
}

func (db *DB) transactWriteItems(req *transactWriteRequest) (any, *wire.Error) {
	if fault := req.check(); fault != nil {
		return nil, fault
	}
	writes := make([]*write, len(req.TransactItems))
	for i := range req.TransactItems {
		var fault *wire.Error
		if writes[i], fault = req.TransactItems[i].parse(); fault != nil {
			return nil, fault
		}
	}
	digest, fault := req.digest()
	if fault != nil {
		return nil, fault
	}
	spent, fault := db.transact(writes, req.ClientRequestToken, digest)
	if fault != nil {
		return nil, fault
	}
	return &transactWriteReply{req.consumedBy(spent)}, nil
}

func (r *transactWriteRequest) check() *wire.Error {
	if fault := checkTransaction(len(r.TransactItems)); fault != nil {
		return fault
	}
	if len(r.ClientRequestToken) > 36 {
		return invalid("1 validation error detected: Value '%s' at 'clientRequestToken' failed to satisfy constraint: "+
			"Member must have length less than or equal to 36", r.ClientRequestToken)
	}
	if fault := checkMetrics(r.ReturnItemCollectionMetrics); fault != nil {
		return fault
	}
	return r.capacityOption.check()
}

// digest is equal for requests that ask for the same, in whatever order their maps were transmitted.
func (r *transactWriteRequest) digest() ([sha256.Size]byte, *wire.Error) {
	canonical, err := json.Marshal(r.TransactItems)
	if err != nil {
		return [sha256.Size]byte{}, &wire.Error{Code: "InternalServerError", Message: err.Error(), Status: 500}
	}
	return sha256.Sum256(canonical), nil
}

// transact performs all writes or none. A repetition of a transaction with the same token performs nothing and is answered as the
// first was, at the price of reading the items.
func (db *DB) transact(writes []*write, token string, digest [sha256.Size]byte) (tally, *wire.Error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if earlier, ok := db.replays.find(token); ok {
		if earlier.digest != digest {
			return nil, &wire.Error{
				Code:    "IdempotentParameterMismatchException",
				Message: "Idempotent parameter mismatch: the token was used for another transaction",
			}
		}
		return earlier.reads, nil
	}
	if fault := db.tryAll(writes); fault != nil {
		return nil, fault
	}
	spent, reads := make(tally), make(tally)
	for _, w := range writes {
		w.store()
		spent[w.tableName] += transactional * w.units()
		reads[w.tableName] += transactional * readUnits(w.now.size(), true)
	}
	db.replays.add(token, replay{digest, reads})
	return spent, nil
}

// tryAll evaluates the writes of a transaction and tells of all that fail. The caller holds the lock.
func (db *DB) tryAll(writes []*write) *wire.Error {
	faults := make([]*wire.Error, len(writes))
	seen := make(map[itemID]bool)
	for i, w := range writes {
		if fault := w.find(db); fault != nil {
			return fault
		}
		if faults[i] = w.place(); faults[i] != nil {
			continue
		}
		id := itemID{w.tableName, w.at}
		if seen[id] {
			return errSeveralOperations
		}
		seen[id] = true
	}
	size := 0
	for i, w := range writes {
		if faults[i] == nil {
			faults[i] = w.evaluate()
			size += w.now.size()
		}
	}
	if fault := cancelled(faults); fault != nil {
		return fault
	}
	if size > maxTransactionSize {
		return errTransactionSize
	}
	return nil
}

// replayWindow is for how long the service knows a token.
const replayWindow = 10 * time.Minute

// replay is a transaction that took place.
type replay struct {
	digest [sha256.Size]byte
	reads  tally
}

// replays are the transactions of the last ten minutes by token. They are guarded by DB.mu.
type replays struct {
	known map[string]replay
	order []usedToken // oldest first
}

type usedToken struct {
	token string
	at    time.Time
}

func newReplays() replays { return replays{known: make(map[string]replay)} }

func (r *replays) find(token string) (replay, bool) {
	now := time.Now()
	for len(r.order) > 0 && now.Sub(r.order[0].at) >= replayWindow {
		delete(r.known, r.order[0].token)
		r.order = r.order[1:]
	}
	found, ok := r.known[token]
	return found, ok
}

func (r *replays) add(token string, done replay) {
	if token == "" {
		return
	}
	r.known[token] = done
	r.order = append(r.order, usedToken{token, time.Now()})
}
