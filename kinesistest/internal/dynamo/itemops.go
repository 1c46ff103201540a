package dynamo

import "github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"

type getItemRequest struct {
	TableName            string
	Key                  map[string]wireValue
	ConsistentRead       bool
	ProjectionExpression *string
	AttributesToGet      []string
	substitutions
	capacityOption
}

func (db *DB) getItem(req *getItemRequest) (any, *wire.Error) {
	if fault := req.capacityOption.check(); fault != nil {
		return nil, fault
	}
	projected, fault := req.substitutions.projection(req.ProjectionExpression, req.AttributesToGet)
	if fault != nil {
		return nil, fault
	}
	found, fault := db.lookup(req.TableName, req.Key, req.ConsistentRead)
	if fault != nil {
		return nil, fault
	}
	return &presentItem{
		Item:             projectedItem(projected, found.item),
		ConsumedCapacity: req.consumed(req.TableName, "", readUnits(found.size, req.ConsistentRead)),
	}, nil
}

// projection parses what a request for single items has of expressions, or of their older form.
func (s *substitutions) projection(text *string, legacy []string) (*projection, *wire.Error) {
	projecting := expression{"ProjectionExpression", text}
	if fault := checkMixed([]legacyMember{{"AttributesToGet", legacy != nil}}, projecting); fault != nil {
		return nil, fault
	}
	ph, fault := s.placeholders(projecting)
	if fault != nil {
		return nil, fault
	}
	if legacy != nil {
		return legacyProjection(legacy)
	}
	projected, fault := parse(projecting, ph, (*parser).projection)
	if fault != nil {
		return nil, fault
	}
	return projected, ph.checkUsed()
}

func (db *DB) lookup(name string, raw map[string]wireValue, consistent bool) (entry, *wire.Error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	t, fault := db.table(name)
	if fault != nil {
		return entry{}, fault
	}
	_, key, fault := t.key(raw)
	if fault != nil {
		return entry{}, fault
	}
	return t.items.getAsOf(key, db.horizon(consistent)), nil
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

type putItemRequest struct {
	TableName string
	Item      map[string]wireValue
	writeOptions
}

func (db *DB) putItem(req *putItemRequest) (any, *wire.Error) {
	if fault := req.checkOld(); fault != nil {
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
	return db.performOne(&req.writeOptions, &write{kind: writePut, tableName: req.TableName, put: put, condition: c}, nil)
}

type deleteItemRequest struct {
	TableName string
	Key       map[string]wireValue
	writeOptions
}

func (db *DB) deleteItem(req *deleteItemRequest) (any, *wire.Error) {
	if fault := req.checkOld(); fault != nil {
		return nil, fault
	}
	c, fault := req.condition()
	if fault != nil {
		return nil, fault
	}
	return db.performOne(&req.writeOptions, &write{kind: writeDelete, tableName: req.TableName, key: req.Key, condition: c}, nil)
}

type updateItemRequest struct {
	TableName        string
	Key              map[string]wireValue
	UpdateExpression *string
	AttributeUpdates map[string]attributeUpdate
	writeOptions
}

func (db *DB) updateItem(req *updateItemRequest) (any, *wire.Error) {
	if fault := req.check(); fault != nil {
		return nil, fault
	}
	u, c, fault := req.parse()
	if fault != nil {
		return nil, fault
	}
	var updated *projection
	if req.ReturnValues == "UPDATED_OLD" || req.ReturnValues == "UPDATED_NEW" {
		updated = u.paths()
	}
	return db.performOne(&req.writeOptions, &write{kind: writeUpdate, tableName: req.TableName, key: req.Key, update: u, condition: c}, updated)
}

// performOne performs the only write of a request, and answers as its options want.
func (db *DB) performOne(o *writeOptions, w *write, updated *projection) (any, *wire.Error) {
	w.returnFailed = o.returnFailed()
	if fault := db.perform(w); fault != nil {
		return nil, fault
	}
	return o.reply(w, updated), nil
}

func (r *updateItemRequest) parse() (*update, condition, *wire.Error) {
	updating := expression{"UpdateExpression", r.UpdateExpression}
	conditional := expression{"ConditionExpression", r.ConditionExpression}
	legacy := append([]legacyMember{{"AttributeUpdates", r.AttributeUpdates != nil}}, r.legacy()...)
	if fault := checkMixed(legacy, updating, conditional); fault != nil {
		return nil, nil, fault
	}
	u, c, fault := r.expressions(updating, conditional)
	if fault != nil {
		return nil, nil, fault
	}
	if r.AttributeUpdates != nil {
		if u, fault = legacyUpdate(r.AttributeUpdates); fault != nil {
			return nil, nil, fault
		}
	}
	c, fault = r.withExpected(c)
	return u, c, fault
}
