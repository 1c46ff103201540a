package aggregation

import (
	"crypto/md5" //nolint:gosec // the format's checksum; nothing is protected by it.
	"fmt"
	"slices"

	"github.com/kinesiskit/kinesiskit/shard"
)

// minReadable is the size of the smallest entry that can be read: an index and
// empty data.
const minReadable = 4

// Decode appends the user records of one aggregate to dst, in their order, and
// returns the extended slice. Their Data aliases data, is never nil, and cannot
// be appended to in place; records with one partition key share its string.
//
// ErrNotAggregate: data is an ordinary record, to be delivered as it is; dst is
// returned as it was. That is so for data that is too short, without the
// format's first bytes or with a wrong checksum, and, as in KCL, for a message
// that cannot be parsed although the checksum is right: a field of it is cut
// off, is a group, or is one of the format's own in another wire type.
//
// *CorruptError: the framing holds but some entries cannot be read; dst has
// every other one, each with its true Sub. KCL loses what comes after the first
// of these.
//
// An aggregate may have no records at all: then dst is returned as it was,
// without an error. Unknown fields and tags are skipped, and a table may stand
// behind the records that use it, as protobuf allows.
func Decode(dst []Record, data []byte) ([]Record, error) {
	message, ok := unframe(data)
	if !ok {
		return dst, ErrNotAggregate
	}
	in, ok := readTables(message)
	if !ok {
		return dst, ErrNotAggregate
	}
	dst = slices.Grow(dst, in.readable)
	var corrupt *CorruptError
	sub := 0
	for len(message) > 0 {
		var f field
		f, message, _ = nextField(message) // readTables has followed the framing to its end
		if f.tag != tagRecord {
			continue
		}
		r, problem := in.read(f.bytes)
		if problem == noProblem {
			r.Sub = sub
			dst = append(dst, r)
		} else {
			if corrupt == nil {
				corrupt = &CorruptError{Reason: fmt.Sprintf("entry %d: %s", sub, problem)}
			}
			corrupt.Subs = append(corrupt.Subs, sub)
		}
		sub++
	}
	if corrupt != nil {
		return dst, corrupt
	}
	return dst, nil
}

// unframe returns the message between magic and checksum. Most records of a
// stream without aggregates end at its first comparison.
func unframe(data []byte) (message []byte, ok bool) {
	if len(data) <= frameSize || string(data[:len(magic)]) != magic {
		return nil, false
	}
	message = data[len(magic) : len(data)-checksumSize]
	sum := md5.Sum(message) //nolint:gosec // see the import
	return message, string(sum[:]) == string(data[len(data)-checksumSize:])
}

// tables is what the records of one message refer to.
type tables struct {
	keys     []string
	hashKeys []string // empty where the entry is no hash key
	readable int      // no more records than this can be read
}

// readTables follows the framing of the whole message and collects its tables,
// wherever they stand. It is false where the framing breaks: a field is cut off,
// a group, or one of the format's own fields in another wire type.
func readTables(message []byte) (in tables, ok bool) {
	keys, hashKeys := 0, 0
	for rest := message; len(rest) > 0; {
		var f field
		if f, rest, ok = nextField(rest); !ok {
			return tables{}, false
		}
		switch f.tag {
		case tagKeyTable:
			keys++
		case tagHashKeyTable:
			hashKeys++
		case tagRecord:
			// Only what can be read is given room in advance: else a hostile
			// record of two-byte entries would claim memory many times its size.
			if len(f.bytes) >= minReadable {
				in.readable++
			}
		default:
			if f.tag>>3 <= fieldRecord { // one of ours, or 0, which does not exist
				return tables{}, false
			}
		}
	}
	in.keys = make([]string, 0, keys)
	in.hashKeys = make([]string, 0, hashKeys)
	// Every writer known puts the tables first, so this ends with them.
	for len(in.keys) < keys || len(in.hashKeys) < hashKeys {
		var f field
		f, message, _ = nextField(message)
		switch f.tag {
		case tagKeyTable:
			in.keys = append(in.keys, string(f.bytes))
		case tagHashKeyTable:
			in.hashKeys = append(in.hashKeys, hashKeyOf(f.bytes))
		}
	}
	return in, true
}

// hashKeyOf is the table entry as a string, empty if it is no hash key.
func hashKeyOf(entry []byte) string {
	s := string(entry)
	if _, err := shard.ParseHashKey(s); err != nil {
		return ""
	}
	return s
}

// problem says why an entry cannot be read.
type problem string

const (
	noProblem        problem = ""
	badField         problem = "a field is cut off or malformed"
	noKey            problem = "it has no partition key"
	noData           problem = "it has no data"
	keyOutside       problem = "its partition key is outside the table"
	hashKeyOutside   problem = "its explicit hash key is outside the table"
	hashKeyMalformed problem = "its explicit hash key is not a decimal number below 2^128"
)

// read decodes one entry. Of a field that is repeated the last one counts, as in
// protobuf.
func (in *tables) read(entry []byte) (Record, problem) {
	var key, hashKey uint64
	var hasKey, hasHashKey, hasData bool
	var r Record
	for len(entry) > 0 {
		f, rest, ok := nextField(entry)
		if !ok {
			return Record{}, badField
		}
		entry = rest
		switch f.tag {
		case tagKeyIndex:
			key, hasKey = f.number, true
		case tagHashKeyIndex:
			hashKey, hasHashKey = f.number, true
		case tagData:
			r.Data, hasData = f.bytes, true
		default:
			if f.tag>>3 <= fieldData { // as in readTables
				return Record{}, badField
			}
		}
	}
	switch {
	case !hasKey:
		return Record{}, noKey
	case !hasData:
		return Record{}, noData
	case key >= uint64(len(in.keys)):
		return Record{}, keyOutside
	}
	r.PartitionKey = in.keys[key]
	if hasHashKey {
		if hashKey >= uint64(len(in.hashKeys)) {
			return Record{}, hashKeyOutside
		}
		if r.ExplicitHashKey = in.hashKeys[hashKey]; r.ExplicitHashKey == "" {
			return Record{}, hashKeyMalformed
		}
	}
	return r, noProblem
}
