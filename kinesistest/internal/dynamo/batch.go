package dynamo

import (
	"maps"
	"slices"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

// Limits of the service.
const (
	maxBatchGet   = 100
	maxBatchWrite = 25
	maxBatchReply = 16 << 20 // bytes of items; the keys of the others come back as UnprocessedKeys
)

var errDuplicateKeys = invalid("Provided list of item keys contains duplicates")

// itemID names an item of the database.
type itemID struct{ table, key string }

// checkBatch checks how many elements a batch has by table.
func checkBatch(op string, sizes map[string]int, limit int) *wire.Error {
	if len(sizes) == 0 {
		return invalid("1 validation error detected: Value '{}' at 'requestItems' failed to satisfy constraint: " +
			"Member must have length greater than or equal to 1")
	}
	total := 0
	for _, name := range slices.Sorted(maps.Keys(sizes)) {
		if sizes[name] == 0 {
			return invalid("1 validation error detected: Value '[]' at 'requestItems.%s.member' failed to satisfy constraint: "+
				"Member must have length greater than or equal to 1", name)
		}
		total += sizes[name]
	}
	if total > limit {
		return invalid("Too many items requested for the %s call", op)
	}
	return nil
}

type tableKeys struct {
	Keys                     []map[string]wireValue
	ConsistentRead           bool
	ProjectionExpression     *string
	AttributesToGet          []string
	ExpressionAttributeNames map[string]string
}

type batchGetRequest struct {
	RequestItems map[string]tableKeys
	capacityOption
}

// leftKeys is the part of a request that has to be asked for again.
type leftKeys struct {
	Keys                     []item
	ConsistentRead           bool              `json:",omitempty"`
	ProjectionExpression     *string           `json:",omitempty"`
	AttributesToGet          []string          `json:",omitempty"`
	ExpressionAttributeNames map[string]string `json:",omitempty"`
}

type batchGetReply struct {
	Responses        map[string][]item
	UnprocessedKeys  map[string]*leftKeys
	ConsumedCapacity []*capacity `json:",omitempty"`
}

func (db *DB) batchGetItem(req *batchGetRequest) (any, *wire.Error) {
	if fault := req.capacityOption.check(); fault != nil {
		return nil, fault
	}
	sizes := make(map[string]int)
	for name, keys := range req.RequestItems {
		sizes[name] = len(keys.Keys)
	}
	if fault := checkBatch("BatchGetItem", sizes, maxBatchGet); fault != nil {
		return nil, fault
	}
	projections := make(map[string]*projection)
	for _, name := range slices.Sorted(maps.Keys(req.RequestItems)) {
		keys := req.RequestItems[name]
		names := substitutions{ExpressionAttributeNames: keys.ExpressionAttributeNames}
		var fault *wire.Error
		if projections[name], fault = names.projection(keys.ProjectionExpression, keys.AttributesToGet); fault != nil {
			return nil, fault
		}
	}
	b := &batchGet{req: req, found: make(map[string][]item), left: make(map[string]*leftKeys), spent: make(tally)}
	if fault := b.run(db); fault != nil {
		return nil, fault
	}
	for name, items := range b.found {
		for i, it := range items {
			items[i] = projections[name].of(it)
		}
	}
	return &batchGetReply{b.found, b.left, req.consumedBy(b.spent)}, nil
}

// batchGet is a BatchGetItem under way.
type batchGet struct {
	req   *batchGetRequest
	size  int
	found map[string][]item
	left  map[string]*leftKeys
	spent tally
}

func (b *batchGet) run(db *DB) *wire.Error {
	db.mu.Lock()
	defer db.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(b.req.RequestItems)) {
		t, fault := db.table(name)
		if fault != nil {
			return fault
		}
		b.found[name] = []item{}
		seen := make(map[string]bool)
		keys := b.req.RequestItems[name]
		for _, raw := range keys.Keys {
			attributes, key, fault := t.key(raw)
			if fault != nil {
				return fault
			}
			if seen[key] {
				return errDuplicateKeys
			}
			seen[key] = true
			b.get(name, attributes, t.items.getAsOf(key, db.horizon(keys.ConsistentRead)))
		}
	}
	return nil
}

// get puts an item into the answer, or its key to those that are left once the answer is full.
func (b *batchGet) get(name string, key item, e entry) {
	keys := b.req.RequestItems[name]
	if b.size+e.size > maxBatchReply {
		if b.left[name] == nil {
			b.left[name] = &leftKeys{
				nil, keys.ConsistentRead, keys.ProjectionExpression, keys.AttributesToGet, keys.ExpressionAttributeNames,
			}
		}
		b.left[name].Keys = append(b.left[name].Keys, key)
		return
	}
	b.size += e.size
	b.spent[name] += readUnits(e.size, keys.ConsistentRead)
	if e.item != nil {
		b.found[name] = append(b.found[name], e.item)
	}
}

// batchWrite has one member set.
type batchWrite struct {
	PutRequest    *struct{ Item map[string]wireValue }
	DeleteRequest *struct{ Key map[string]wireValue }
}

func (b *batchWrite) parse(table string) (*write, *wire.Error) {
	switch {
	case (b.PutRequest == nil) == (b.DeleteRequest == nil):
		return nil, invalid(severalTypes) // which is what the service says here, too
	case b.DeleteRequest != nil:
		return &write{kind: writeDelete, tableName: table, key: b.DeleteRequest.Key}, nil
	}
	put, problem := toItem(b.PutRequest.Item, 0)
	if problem != "" {
		return nil, invalid("%s", problem)
	}
	return &write{kind: writePut, tableName: table, put: put}, nil
}

type batchWriteRequest struct {
	RequestItems                map[string][]batchWrite
	ReturnItemCollectionMetrics string
	capacityOption
}

type batchWriteReply struct {
	UnprocessedItems map[string][]batchWrite // always empty: capacity is never exhausted
	ConsumedCapacity []*capacity             `json:",omitempty"`
}

// batchWriteItem validates all writes before it performs the first.
func (db *DB) batchWriteItem(req *batchWriteRequest) (any, *wire.Error) {
	if fault := checkMetrics(req.ReturnItemCollectionMetrics); fault != nil {
		return nil, fault
	}
	if fault := req.capacityOption.check(); fault != nil {
		return nil, fault
	}
	sizes := make(map[string]int)
	for name, writes := range req.RequestItems {
		sizes[name] = len(writes)
	}
	if fault := checkBatch("BatchWriteItem", sizes, maxBatchWrite); fault != nil {
		return nil, fault
	}
	var writes []*write
	for _, name := range slices.Sorted(maps.Keys(req.RequestItems)) {
		for _, b := range req.RequestItems[name] {
			w, fault := b.parse(name)
			if fault != nil {
				return nil, fault
			}
			writes = append(writes, w)
		}
	}
	if fault := db.performAll(writes); fault != nil {
		return nil, fault
	}
	spent := make(tally)
	for _, w := range writes {
		spent[w.tableName] += w.units()
	}
	return &batchWriteReply{map[string][]batchWrite{}, req.consumedBy(spent)}, nil
}

// performAll performs writes that have no conditions and are to different items.
func (db *DB) performAll(writes []*write) *wire.Error {
	db.mu.Lock()
	defer db.mu.Unlock()
	seen := make(map[itemID]bool)
	for _, w := range writes {
		if fault := w.find(db); fault != nil {
			return fault
		}
		if fault := w.place(); fault != nil {
			return fault
		}
		id := itemID{w.tableName, w.at}
		if seen[id] {
			return errDuplicateKeys
		}
		seen[id] = true
		if fault := w.evaluate(); fault != nil {
			return fault
		}
	}
	for _, w := range writes {
		w.store()
	}
	return nil
}
