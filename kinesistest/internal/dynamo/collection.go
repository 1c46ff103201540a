package dynamo

import (
	"encoding/binary"
	"hash/fnv"
	"slices"
	"sort"
	"strings"
)

// entry is a stored item. Its item is immutable: a write replaces the entry.
type entry struct {
	key  string // where it sorts, see keySchema.sortKey
	item item
	size int
}

// collection is a table's or an index's items in the order a Scan returns them. It is guarded by the lock of the database.
type collection struct {
	entries []entry
	bytes   int
	past    history
}

// from is the position of the first entry whose key is not below key.
func (c *collection) from(key string) int {
	return sort.Search(len(c.entries), func(i int) bool { return c.entries[i].key >= key })
}

// get returns the entry under key, the zero entry if there is none.
func (c *collection) get(key string) entry {
	i := c.from(key)
	if i == len(c.entries) || c.entries[i].key != key {
		return entry{}
	}
	return c.entries[i]
}

func (c *collection) put(e entry) {
	i := c.from(e.key)
	c.past.note(c, i, e.key)
	c.bytes += e.size
	if i < len(c.entries) && c.entries[i].key == e.key {
		c.bytes -= c.entries[i].size
		c.entries[i] = e
		return
	}
	c.entries = slices.Insert(c.entries, i, e)
}

func (c *collection) delete(key string) {
	i := c.from(key)
	if i < len(c.entries) && c.entries[i].key == key {
		c.past.note(c, i, key)
		c.bytes -= c.entries[i].size
		c.entries = slices.Delete(c.entries, i, i+1)
	}
}

// span is the part of a collection a Query or Scan reads: low <= key < high; "" is no high end. after is the key to continue behind,
// in reading order, "" to begin.
type span struct {
	low, high, after string
	backward         bool
	keep             condition // what a condition on the range key leaves of it; nil keeps all
	limit            int       // of entries; 0 is none
}

// read collects one page. more says that a limit has ended it; as in the service nothing need follow. Such a page is not empty.
func (c *collection) read(s span) (page []entry, more bool) {
	low, high := c.from(s.low), len(c.entries)
	if s.high != "" {
		high = c.from(s.high)
	}
	if s.after != "" {
		at := c.from(s.after)
		if s.backward {
			high = min(high, at)
		} else {
			if at < len(c.entries) && c.entries[at].key == s.after {
				at++
			}
			low = max(low, at)
		}
	}
	size := 0
	for n := range high - low {
		i := low + n
		if s.backward {
			i = high - 1 - n
		}
		e := c.entries[i]
		if s.keep != nil && !s.keep.holds(e.item) {
			continue
		}
		if size += e.size; size > maxPageSize && len(page) > 0 {
			return page, true
		}
		page = append(page, e)
		if len(page) == s.limit {
			return page, true
		}
	}
	return page, false
}

// keyAttribute is a hash or range key; name is "" for the range key a table does not have.
type keyAttribute struct {
	name string
	kind kind
}

func (a keyAttribute) of(it item) (value, bool) {
	v, ok := it[a.name]
	return v, ok && v.kind == a.kind
}

type keySchema struct {
	hash, rng keyAttribute
}

func (k keySchema) attributes() []keyAttribute {
	if k.rng.name == "" {
		return []keyAttribute{k.hash}
	}
	return []keyAttribute{k.hash, k.rng}
}

// sortKey is a string that places an item: by a hash of its hash key, as the service does, so that nobody comes to rely on the order of
// hash keys; below that by hash key and range key. ok is false if the item lacks an attribute of the key.
func (k keySchema) sortKey(it item) (key string, ok bool) {
	hash, ok := k.hash.of(it)
	if !ok {
		return "", false
	}
	key = partition(hash)
	if k.rng.name != "" {
		rng, ok := k.rng.of(it)
		if !ok {
			return "", false
		}
		key += terminated(sortable(rng))
	}
	return key, true
}

// partition is what the sort keys of one hash key begin with, and no others do.
func partition(hash value) string {
	text := sortable(hash)
	h := fnv.New64a()
	_, _ = h.Write([]byte(text))
	// FNV leaves the high bits of short texts alike; they choose the segment of a parallel scan.
	x := h.Sum64()
	x = (x ^ x>>33) * 0xc4ceb9fe1a85ec53
	x ^= x >> 33
	return string(binary.BigEndian.AppendUint64(nil, x)) + terminated(text)
}

func sortable(v value) string {
	if v.kind == kindN {
		return v.num.sortable()
	}
	return v.bytes
}

const terminator = "\x00\x01"

// terminated marks the end of s such that no terminated string is the beginning of another and the order stays that of s.
func terminated(s string) string {
	return strings.ReplaceAll(s, "\x00", "\x00\xff") + terminator
}

// endOf is above all keys that begin with prefix, which ends in terminator.
func endOf(prefix string) string {
	return prefix[:len(prefix)-1] + "\x02"
}

// compare orders items by the values of their keys.
func (k keySchema) compare(a, b item) int {
	for _, attribute := range k.attributes() {
		if order := a[attribute.name].compare(b[attribute.name]); order != 0 {
			return order
		}
	}
	return 0
}

// segment bounds one segment of a parallel scan: total parts of the hash space.
func segment(i, total int) (low, high string) {
	bound := func(i int) string {
		return string(binary.BigEndian.AppendUint32(nil, uint32((uint64(i)<<32+uint64(total)-1)/uint64(total))))
	}
	if i+1 < total {
		high = bound(i + 1)
	}
	return bound(i), high
}
