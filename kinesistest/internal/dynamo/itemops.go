package dynamo

import "github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"

type getItemRequest struct {
	TableName            string
	Key                  map[string]wireValue
	ConsistentRead       bool
	ProjectionExpression *string
	substitutions
	capacityOption
}

func (db *DB) getItem(body []byte) (any, *wire.Error) {
	req, fault := decode[getItemRequest](body)
	if fault != nil {
		return nil, fault
	}
	if fault := req.capacityOption.check(); fault != nil {
		return nil, fault
	}
	projecting := expression{"ProjectionExpression", req.ProjectionExpression}
	ph, fault := req.placeholders(projecting)
	if fault != nil {
		return nil, fault
	}
	projected, fault := parse(projecting, ph, (*parser).projection)
	if fault != nil {
		return nil, fault
	}
	if fault := ph.checkUsed(); fault != nil {
		return nil, fault
	}
	t, fault := db.table(req.TableName)
	if fault != nil {
		return nil, fault
	}
	_, key, fault := t.key(req.Key)
	if fault != nil {
		return nil, fault
	}
	db.mu.Lock()
	found := t.items.get(key)
	db.mu.Unlock()
	return &presentItem{
		Item:             projectedItem(projected, found.item),
		ConsumedCapacity: req.consumed(t.name, "", readUnits(found.size, req.ConsistentRead)),
	}, nil
}

// presentItem has an Item if there is one, though it may be empty: a projection can leave nothing of an item that exists.
type presentItem struct {
	Item             *item     `json:",omitempty"`
	ConsumedCapacity *capacity `json:",omitempty"`
}

func projectedItem(pr *projection, found item) *item {
	if found == nil {
		return nil
	}
	out := pr.of(found)
	return &out
}

// writeOptions is what the three writes share.
type writeOptions struct {
	ConditionExpression                 *string
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
	if fault := checkEnum("returnValuesOnConditionCheckFailure", o.ReturnValuesOnConditionCheckFailure, "ALL_OLD", "NONE"); fault != nil {
		return fault
	}
	if fault := checkEnum("returnItemCollectionMetrics", o.ReturnItemCollectionMetrics, "SIZE", "NONE"); fault != nil {
		return fault
	}
	return o.capacityOption.check()
}

// onlyOld is the narrower choice of PutItem and DeleteItem.
func (o *writeOptions) onlyOld() *wire.Error {
	if o.ReturnValues != "" && o.ReturnValues != "NONE" && o.ReturnValues != "ALL_OLD" {
		return invalid("Return values set to invalid value")
	}
	return nil
}

// condition parses the expressions of a request that has no others.
func (o *writeOptions) condition() (condition, *wire.Error) {
	conditional := expression{"ConditionExpression", o.ConditionExpression}
	ph, fault := o.placeholders(conditional)
	if fault != nil {
		return nil, fault
	}
	c, fault := parse(conditional, ph, (*parser).condition)
	if fault != nil {
		return nil, fault
	}
	return c, ph.checkUsed()
}

// write is one conditional write to one item.
type write struct {
	table      *table
	key        string
	condition  condition // nil always holds
	put        item      // what replaces the item; nil deletes it
	updating   bool      // instead of put: update, which is nil for none, of the item or of one that has only attributes, its key
	update     *update
	attributes item
}

func (w *write) next(old item) (item, *wire.Error) {
	if w.updating {
		return w.table.updated(w.update, old, w.attributes)
	}
	return w.put, nil
}

// perform is the atomic step of every write.
func (db *DB) perform(w *write, o *writeOptions) (old entry, now item, fault *wire.Error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if w.table.deleted {
		return old, nil, errNoTable
	}
	old = w.table.items.get(w.key)
	if w.condition != nil && !w.condition.holds(old.item) {
		if o.ReturnValuesOnConditionCheckFailure == "ALL_OLD" {
			return old, nil, conditionFailed(old.item)
		}
		return old, nil, conditionFailed(nil)
	}
	if now, fault = w.next(old.item); fault == nil {
		w.table.set(w.key, now)
	}
	return old, now, fault
}

type putItemRequest struct {
	TableName string
	Item      map[string]wireValue
	writeOptions
}

func (db *DB) putItem(body []byte) (any, *wire.Error) {
	req, fault := decode[putItemRequest](body)
	if fault != nil {
		return nil, fault
	}
	if fault := req.check(); fault != nil {
		return nil, fault
	}
	if fault := req.onlyOld(); fault != nil {
		return nil, fault
	}
	put, problem := toItem(req.Item, 0)
	if problem != "" {
		return nil, invalid("%s", problem)
	}
	c, fault := req.condition()
	if fault != nil {
		return nil, fault
	}
	t, fault := db.table(req.TableName)
	if fault != nil {
		return nil, fault
	}
	key, fault := t.checkItem(put)
	if fault != nil {
		return nil, fault
	}
	old, _, fault := db.perform(&write{table: t, key: key, condition: c, put: put}, &req.writeOptions)
	if fault != nil {
		return nil, fault
	}
	return req.reply(t, old, put, nil), nil
}

type writeReply struct {
	Attributes       item      `json:",omitempty"`
	ConsumedCapacity *capacity `json:",omitempty"`
}

// reply answers a write: updated are the paths an update changed.
func (o *writeOptions) reply(t *table, old entry, now item, updated *projection) *writeReply {
	r := &writeReply{ConsumedCapacity: o.consumed(t.name, "", writeUnits(old.size, now.size()))}
	switch o.ReturnValues {
	case "ALL_OLD":
		r.Attributes = old.item
	case "UPDATED_OLD":
		r.Attributes = updated.of(old.item)
	case "ALL_NEW":
		r.Attributes = now
	case "UPDATED_NEW":
		r.Attributes = updated.of(now)
	}
	return r
}

type deleteItemRequest struct {
	TableName string
	Key       map[string]wireValue
	writeOptions
}

func (db *DB) deleteItem(body []byte) (any, *wire.Error) {
	req, fault := decode[deleteItemRequest](body)
	if fault != nil {
		return nil, fault
	}
	if fault := req.check(); fault != nil {
		return nil, fault
	}
	if fault := req.onlyOld(); fault != nil {
		return nil, fault
	}
	c, fault := req.condition()
	if fault != nil {
		return nil, fault
	}
	t, fault := db.table(req.TableName)
	if fault != nil {
		return nil, fault
	}
	_, key, fault := t.key(req.Key)
	if fault != nil {
		return nil, fault
	}
	old, _, fault := db.perform(&write{table: t, key: key, condition: c}, &req.writeOptions)
	if fault != nil {
		return nil, fault
	}
	return req.reply(t, old, nil, nil), nil
}

type updateItemRequest struct {
	TableName        string
	Key              map[string]wireValue
	UpdateExpression *string
	writeOptions
}

func (db *DB) updateItem(body []byte) (any, *wire.Error) {
	req, fault := decode[updateItemRequest](body)
	if fault != nil {
		return nil, fault
	}
	if fault := req.check(); fault != nil {
		return nil, fault
	}
	u, c, fault := req.expressions()
	if fault != nil {
		return nil, fault
	}
	t, fault := db.table(req.TableName)
	if fault != nil {
		return nil, fault
	}
	attributes, key, fault := t.key(req.Key)
	if fault != nil {
		return nil, fault
	}
	if fault := t.checkUpdate(u); fault != nil {
		return nil, fault
	}
	w := &write{table: t, key: key, condition: c, updating: true, update: u, attributes: attributes}
	old, now, fault := db.perform(w, &req.writeOptions)
	if fault != nil {
		return nil, fault
	}
	var updated *projection
	if req.ReturnValues == "UPDATED_OLD" || req.ReturnValues == "UPDATED_NEW" {
		updated = u.paths()
	}
	return req.reply(t, old, now, updated), nil
}

func (r *updateItemRequest) expressions() (*update, condition, *wire.Error) {
	updating := expression{"UpdateExpression", r.UpdateExpression}
	conditional := expression{"ConditionExpression", r.ConditionExpression}
	ph, fault := r.placeholders(updating, conditional)
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
