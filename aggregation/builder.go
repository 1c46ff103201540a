package aggregation

import (
	"crypto/md5" //nolint:gosec // the format's checksum; nothing is protected by it.
	"encoding/binary"
	"slices"
)

// Builder makes one aggregate at a time. The zero value is ready; Reset keeps
// the memory, so that a Builder that is used again allocates nothing for a
// record. Not safe for concurrent use, not to be copied after its first record.
//
// Records keep the order in which they were added. Keys are stored once however
// many records share them. An explicit hash key is stored only for records that
// have one, as KPL does, and as it is given: bringing it into the canonical form
// (decimal, no leading zeros, below 2^128) is the caller's job, since a reader
// rejects any other.
type Builder struct {
	keys     table
	hashKeys table
	records  []byte // encoded
	count    int
}

// table is a table of strings and its encoding under one tag.
type table struct {
	index   map[string]uint64
	encoded []byte

	// The place found last: Add mostly follows a SizeWith of the same record.
	latest   string
	latestAt uint64
	found    bool
}

// place is where s stands or would stand in the table, and whether it would be
// new there.
func (t *table) place(s string) (index uint64, isNew bool) {
	if t.found && t.latest == s {
		return t.latestAt, false
	}
	index, ok := t.index[s]
	if !ok {
		return uint64(len(t.index)), true
	}
	t.latest, t.latestAt, t.found = s, index, true
	return index, false
}

func (t *table) add(tag byte, s string) uint64 {
	index, isNew := t.place(s)
	if isNew {
		if t.index == nil {
			t.index = make(map[string]uint64)
		}
		t.index[s] = index
		t.encoded = append(t.encoded, tag)
		t.encoded = binary.AppendUvarint(t.encoded, uint64(len(s)))
		t.encoded = append(t.encoded, s...)
	}
	return index
}

func (t *table) reset() {
	clear(t.index)
	t.encoded = t.encoded[:0]
	t.latest, t.found = "", false
}

// SizeWith is what Size would be if r were added: exact, tables, framing and
// checksum included.
func (b *Builder) SizeWith(r Record) int {
	key, isNew := b.keys.place(r.PartitionKey)
	size := frameSize + len(b.keys.encoded) + len(b.hashKeys.encoded) + len(b.records)
	if isNew {
		size += bytesFieldSize(len(r.PartitionKey))
	}
	body := 1 + varintSize(key) + bytesFieldSize(len(r.Data))
	if r.ExplicitHashKey != "" {
		hashKey, isNew := b.hashKeys.place(r.ExplicitHashKey)
		if isNew {
			size += bytesFieldSize(len(r.ExplicitHashKey))
		}
		body += 1 + varintSize(hashKey)
	}
	return size + bytesFieldSize(body)
}

// Add appends r to the aggregate. It copies the data; the strings, which cannot
// change, are held until Reset.
func (b *Builder) Add(r Record) {
	key := b.keys.add(tagKeyTable, r.PartitionKey)
	body := 1 + varintSize(key) + bytesFieldSize(len(r.Data))
	var hashKey uint64
	if r.ExplicitHashKey != "" {
		hashKey = b.hashKeys.add(tagHashKeyTable, r.ExplicitHashKey)
		body += 1 + varintSize(hashKey)
	}

	b.records = append(b.records, tagRecord)
	b.records = binary.AppendUvarint(b.records, uint64(body))
	b.records = append(b.records, tagKeyIndex)
	b.records = binary.AppendUvarint(b.records, key)
	if r.ExplicitHashKey != "" {
		b.records = append(b.records, tagHashKeyIndex)
		b.records = binary.AppendUvarint(b.records, hashKey)
	}
	b.records = append(b.records, tagData)
	b.records = binary.AppendUvarint(b.records, uint64(len(r.Data)))
	b.records = append(b.records, r.Data...)
	b.count++
}

// Len is the number of records added since the last Reset.
func (b *Builder) Len() int { return b.count }

// Size is the exact number of bytes that AppendTo would append: 0 without
// records.
func (b *Builder) Size() int {
	if b.count == 0 {
		return 0
	}
	return frameSize + len(b.keys.encoded) + len(b.hashKeys.encoded) + len(b.records)
}

// AppendTo appends the aggregate's bytes to dst and returns the extended slice.
// The Builder stays as it is. Without records nothing is appended: readers take
// a frame around an empty message for an ordinary record.
func (b *Builder) AppendTo(dst []byte) []byte {
	if b.count == 0 {
		return dst
	}
	dst = slices.Grow(dst, b.Size())
	dst = append(dst, magic...)
	message := len(dst)
	// KPL's order of fields: both tables, then the records.
	dst = append(dst, b.keys.encoded...)
	dst = append(dst, b.hashKeys.encoded...)
	dst = append(dst, b.records...)
	sum := md5.Sum(dst[message:]) //nolint:gosec // see the import
	return append(dst, sum[:]...)
}

// Reset empties the Builder and keeps its memory.
func (b *Builder) Reset() {
	b.keys.reset()
	b.hashKeys.reset()
	b.records = b.records[:0]
	b.count = 0
}
