package dynamo

import (
	"slices"
	"time"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

// table is immutable but for what the lock of the database guards.
type table struct {
	name    string
	keys    keySchema
	id      int
	created float64 // Unix seconds, as the protocol transmits times

	// Guarded by DB.mu.
	request       *createTableRequest // with what UpdateTable made of it; each change is a new one
	indexes       []*index            // in the order they were declared
	leaving       *index              // being deleted: only its description is left
	state         transition
	onDemandSince float64 // Unix seconds of the last change to PAY_PER_REQUEST; 0 is never
	items         collection
	tags          []tag // each change is a new slice
	backups       pointInTime
	ttl           timeToLive
}

type index struct {
	name      string
	keys      keySchema
	request   indexRequest
	projected map[string]bool // besides the keys; nil projects all

	// Guarded by DB.mu.
	state transition
	items collection
}

// find returns a table's index; the name "" is the table itself.
func (t *table) find(name string) (*index, *wire.Error) {
	if name == "" {
		return nil, nil
	}
	for _, x := range t.indexes {
		if x.name == name {
			return x, nil
		}
	}
	return nil, invalid("The table does not have the specified index: %s", name)
}

// settle lets what time has ended vanish: a deleted index, expired items. The caller holds the lock.
func (t *table) settle(now time.Time) {
	if t.leaving != nil && !t.leaving.state.pending(now) {
		t.leaving = nil
	}
	t.expire(now)
}

// gone is true after the deletion. The caller holds the lock.
func (t *table) gone(now time.Time) bool {
	return t.state.kind == statusDeleting && !t.state.pending(now)
}

func (t *table) status(now time.Time) string { return t.state.status(now) }

// set stores an item and keeps the indexes; nil deletes. The caller holds the lock.
func (t *table) set(key string, now item) {
	old := t.items.get(key)
	if now == nil {
		t.items.delete(key)
	} else {
		t.items.put(entry{key, now, now.size()})
		t.ttl.note(now)
	}
	for _, x := range t.indexes {
		before, had := x.sortKey(key, old.item)
		after, has := x.sortKey(key, now)
		if had && (!has || before != after) {
			x.items.delete(before)
		}
		if has {
			x.put(t, after, now)
		}
	}
}

func (x *index) put(t *table, key string, it item) {
	projected := x.project(t, it)
	x.items.put(entry{key, projected, projected.size()})
}

// fill puts the items of a table into a new index; those whose attributes are no keys of it are left out, also when it is their type
// that is wrong. The caller holds the lock.
func (x *index) fill(t *table) {
	for _, e := range t.items.entries {
		if key, ok := x.sortKey(e.key, e.item); ok {
			x.put(t, key, e.item)
		}
	}
}

// sortKey places an item in the index: those with equal index keys by the key of the table. An item without the index's key attributes
// is not in it.
func (x *index) sortKey(key string, it item) (string, bool) {
	k, ok := x.keys.sortKey(it)
	return k + key, ok
}

func (x *index) project(t *table, it item) item {
	if x.projected == nil {
		return it
	}
	out := make(item)
	for name, v := range it {
		if x.projects(t, name) {
			out[name] = v
		}
	}
	return out
}

func (x *index) projects(t *table, name string) bool {
	if x.projected == nil || x.projected[name] {
		return true
	}
	isKey := func(a keyAttribute) bool { return a.name == name }
	return slices.ContainsFunc(t.keys.attributes(), isKey) || slices.ContainsFunc(x.keys.attributes(), isKey)
}

// key reads the Key of a request.
func (t *table) key(raw map[string]wireValue) (it item, key string, fault *wire.Error) {
	it, problem := toItem(raw, 0)
	if problem != "" {
		return nil, "", invalid("%s", problem)
	}
	if len(it) != len(t.keys.attributes()) {
		return nil, "", invalid("The provided key element does not match the schema")
	}
	for _, a := range t.keys.attributes() {
		v, ok := a.of(it)
		if !ok {
			return nil, "", invalid("The provided key element does not match the schema")
		}
		if fault := t.checkKeyValue(a, v); fault != nil {
			return nil, "", fault
		}
	}
	key, _ = t.keys.sortKey(it)
	return it, key, nil
}

// checkItem validates an item to be stored and returns its key.
func (t *table) checkItem(it item) (key string, fault *wire.Error) {
	if key, fault = t.checkKeys(it); fault != nil {
		return "", fault
	}
	if fault := t.checkIndexKeys(it); fault != nil {
		return "", fault
	}
	if it.size() > maxItemSize {
		return "", invalid("Item size has exceeded the maximum allowed size")
	}
	return key, nil
}

// checkKeys validates the attributes of an item's key.
func (t *table) checkKeys(it item) (key string, fault *wire.Error) {
	for _, a := range t.keys.attributes() {
		v, ok := it[a.name]
		if !ok {
			return "", invalidValue("Missing the key %s in the item", a.name)
		}
		if v.kind != a.kind {
			return "", invalidValue("Type mismatch for key %s expected: %s actual: %s", a.name, a.kind, v.kind)
		}
		if fault := t.checkKeyValue(a, v); fault != nil {
			return "", fault
		}
	}
	key, _ = t.keys.sortKey(it)
	return key, nil
}

func (t *table) checkKeyValue(a keyAttribute, v value) *wire.Error {
	if a.kind == kindN {
		return nil
	}
	if v.bytes == "" {
		return invalidValue("The AttributeValue for a key attribute cannot contain an empty %s value. Key: %s", emptyName(a.kind), a.name)
	}
	if a == t.keys.hash && len(v.bytes) > maxHashKey {
		return invalidValue("Size of hashkey has exceeded the maximum size limit of2048 bytes")
	}
	if a != t.keys.hash && len(v.bytes) > maxRangeKey {
		return invalidValue("Aggregated size of all range keys has exceeded the size limit of 1024 bytes")
	}
	return nil
}

func emptyName(k kind) string {
	if k == kindB {
		return "binary"
	}
	return "string"
}

// checkIndexKeys: an attribute that an index has for a key may be missing but not be of another type or empty.
func (t *table) checkIndexKeys(it item) *wire.Error {
	for _, x := range t.indexes {
		for _, a := range x.keys.attributes() {
			v, ok := it[a.name]
			switch {
			case !ok:
			case v.kind != a.kind:
				return invalidValue("Type mismatch for Index Key %s Expected: %s Actual: %s IndexName: %s", a.name, a.kind, v.kind, x.name)
			case a.kind != kindN && v.bytes == "":
				return invalidValue("The AttributeValue for a key attribute cannot contain an empty %s value. IndexName: %s, IndexKey: %s",
					emptyName(a.kind), x.name, a.name)
			}
		}
	}
	return nil
}

// checkUpdate refuses what would move an item: its key is not updatable.
func (t *table) checkUpdate(u *update) *wire.Error {
	if u == nil {
		return nil
	}
	for _, a := range t.keys.attributes() {
		for _, act := range u.actions {
			if act.path[0].name == a.name {
				return invalidValue("Cannot update attribute %s. This attribute is part of the key", a.name)
			}
		}
	}
	return nil
}
