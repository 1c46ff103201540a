package dynamo

import "github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"

// writeOptions is what PutItem, UpdateItem and DeleteItem share.
type writeOptions struct {
	ConditionExpression                 *string
	Expected                            map[string]expectation
	ConditionalOperator                 string
	ReturnValues                        string
	ReturnValuesOnConditionCheckFailure string
	// ReturnItemCollectionMetrics is about local secondary indexes; for a table without them the service answers as if it were absent.
	ReturnItemCollectionMetrics string
	substitutions
	capacityOption
}

func (o *writeOptions) check() *wire.Error {
	if fault := checkEnum("returnValues", o.ReturnValues, "ALL_NEW", "UPDATED_OLD", "ALL_OLD", "NONE", "UPDATED_NEW"); fault != nil {
		return fault
	}
	if fault := checkReturnFailed(o.ReturnValuesOnConditionCheckFailure); fault != nil {
		return fault
	}
	if fault := checkMetrics(o.ReturnItemCollectionMetrics); fault != nil {
		return fault
	}
	return o.capacityOption.check()
}

func checkReturnFailed(given string) *wire.Error {
	return checkEnum("returnValuesOnConditionCheckFailure", given, "ALL_OLD", "NONE")
}

func checkMetrics(given string) *wire.Error {
	return checkEnum("returnItemCollectionMetrics", given, "SIZE", "NONE")
}

func (o *writeOptions) returnFailed() bool { return o.ReturnValuesOnConditionCheckFailure == "ALL_OLD" }

// checkOld is check with the narrower choice of PutItem and DeleteItem.
func (o *writeOptions) checkOld() *wire.Error {
	if fault := o.check(); fault != nil {
		return fault
	}
	if o.ReturnValues != "" && o.ReturnValues != "NONE" && o.ReturnValues != "ALL_OLD" {
		return invalid("Return values set to invalid value")
	}
	return nil
}

func (o *writeOptions) legacy() []legacyMember {
	return []legacyMember{{"Expected", o.Expected != nil}, {"ConditionalOperator", o.ConditionalOperator != ""}}
}

// condition parses the condition of a request that has no other expressions.
func (o *writeOptions) condition() (condition, *wire.Error) {
	conditional := expression{"ConditionExpression", o.ConditionExpression}
	if fault := checkMixed(o.legacy(), conditional); fault != nil {
		return nil, fault
	}
	c, fault := o.substitutions.condition(conditional)
	if fault != nil {
		return nil, fault
	}
	return o.withExpected(c)
}

// condition parses a condition that is a request's only expression.
func (s *substitutions) condition(conditional expression) (condition, *wire.Error) {
	ph, fault := s.placeholders(conditional)
	if fault != nil {
		return nil, fault
	}
	c, fault := parse(conditional, ph, (*parser).condition)
	if fault != nil {
		return nil, fault
	}
	return c, ph.checkUsed()
}

// expressions parses those of an update.
func (s *substitutions) expressions(updating, conditional expression) (*update, condition, *wire.Error) {
	ph, fault := s.placeholders(updating, conditional)
	if fault != nil {
		return nil, nil, fault
	}
	u, fault := parse(updating, ph, (*parser).update)
	if fault != nil {
		return nil, nil, fault
	}
	c, fault := parse(conditional, ph, (*parser).condition)
	if fault != nil {
		return nil, nil, fault
	}
	return u, c, ph.checkUsed()
}

type writeKind uint8

const (
	writePut writeKind = iota + 1
	writeUpdate
	writeDelete
	writeNothing // only checks the condition
)

// write is one conditional write to one item. It is made by parsing; find, place and evaluate, in this order and under one lock, hold it
// against the table, and store performs it.
type write struct {
	kind         writeKind
	tableName    string
	put          item                 // of a put
	key          map[string]wireValue // of the others
	update       *update              // nil updates nothing, but creates the item
	condition    condition            // nil always holds
	returnFailed bool                 // with the exception, the item that fails the condition

	table      *table
	at         string // the item's place in the table
	attributes item   // of the key
	old        entry
	now        item // nil is deleted
}

func (w *write) find(db *DB) (fault *wire.Error) {
	w.table, fault = db.table(w.tableName)
	return fault
}

// place checks the write against the table's schema.
func (w *write) place() (fault *wire.Error) {
	if w.kind == writePut {
		w.at, fault = w.table.checkItem(w.put)
		return fault
	}
	if w.attributes, w.at, fault = w.table.key(w.key); fault != nil {
		return fault
	}
	return w.table.checkUpdate(w.update)
}

// evaluate checks the condition and computes what is to be stored.
func (w *write) evaluate() (fault *wire.Error) {
	w.old = w.table.items.get(w.at)
	if w.condition != nil && !w.condition.holds(w.old.item) {
		if w.returnFailed {
			return conditionFailed(w.old.item)
		}
		return conditionFailed(nil)
	}
	switch w.kind {
	case writePut:
		w.now = w.put
	case writeUpdate:
		w.now, fault = w.table.updated(w.update, w.old.item, w.attributes)
	case writeNothing:
		w.now = w.old.item
	}
	return fault
}

func (w *write) store() {
	if w.kind != writeNothing {
		w.table.set(w.at, w.now)
	}
}

func (w *write) units() float64 { return writeUnits(w.old.size, w.now.size()) }

// perform is the atomic step of a single write.
func (db *DB) perform(w *write) *wire.Error {
	db.mu.Lock()
	defer db.mu.Unlock()
	if fault := w.find(db); fault != nil {
		return fault
	}
	if fault := w.place(); fault != nil {
		return fault
	}
	if fault := w.evaluate(); fault != nil {
		return fault
	}
	w.store()
	return nil
}

type writeReply struct {
	Attributes       item      `json:",omitempty"`
	ConsumedCapacity *capacity `json:",omitempty"`
}

// reply answers a write that was performed: updated are the paths an update changed.
func (o *writeOptions) reply(w *write, updated *projection) *writeReply {
	r := &writeReply{ConsumedCapacity: o.consumed(w.tableName, "", w.units())}
	switch o.ReturnValues {
	case "ALL_OLD":
		r.Attributes = w.old.item
	case "UPDATED_OLD":
		r.Attributes = updated.of(w.old.item)
	case "ALL_NEW":
		r.Attributes = w.now
	case "UPDATED_NEW":
		r.Attributes = updated.of(w.now)
	}
	return r
}

// updated is the item after an update, checked for what an update can break.
func (t *table) updated(u *update, old, key item) (item, *wire.Error) {
	now, fault := u.apply(old, key)
	if fault != nil {
		return nil, fault
	}
	if fault := t.checkIndexKeys(now); fault != nil {
		return nil, fault
	}
	if now.size() > maxItemSize {
		return nil, invalid("Item size to update has exceeded the maximum allowed size")
	}
	return now, nil
}
