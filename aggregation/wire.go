package aggregation

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// An aggregate's frame.
const (
	magic        = "\xf3\x89\x9a\xc2"
	checksumSize = 16 // MD5
	frameSize    = len(magic) + checksumSize
)

// Field numbers of the two messages.
const (
	fieldKeyTable     = 1
	fieldHashKeyTable = 2
	fieldRecord       = 3

	fieldKeyIndex     = 1
	fieldHashKeyIndex = 2
	fieldData         = 3
)

// Protobuf's wire types. 3 and 4, the group of proto1, and 6 and 7, which do not
// exist, are not read.
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireFixed32 = 5
)

// Tags of the fields, number<<3 | wire type; each is one byte.
const (
	tagKeyTable     = fieldKeyTable<<3 | wireBytes
	tagHashKeyTable = fieldHashKeyTable<<3 | wireBytes
	tagRecord       = fieldRecord<<3 | wireBytes
	tagKeyIndex     = fieldKeyIndex<<3 | wireVarint
	tagHashKeyIndex = fieldHashKeyIndex<<3 | wireVarint
	tagData         = fieldData<<3 | wireBytes
)

// field is one field of a message. tag is its number and wire type; of its
// value there is what the wire type has: number for a varint, bytes for bytes,
// nothing for the fixed ones, which no message of this format uses.
type field struct {
	tag    uint64
	number uint64
	bytes  []byte
}

// nextField splits the first field off b. It is false where b does not begin
// with one whole field; every length is compared with what is left before it is
// used.
func nextField(b []byte) (f field, rest []byte, ok bool) {
	tag, n := binary.Uvarint(b)
	if n <= 0 || tag > math.MaxUint32 { // a tag has 32 bits at most
		return field{}, nil, false
	}
	f.tag, b = tag, b[n:]
	switch tag & 7 {
	case wireVarint:
		f.number, n = binary.Uvarint(b)
		if n <= 0 {
			return field{}, nil, false
		}
	case wireBytes:
		size, k := binary.Uvarint(b)
		if k <= 0 || size > uint64(len(b)-k) {
			return field{}, nil, false
		}
		n = k + int(size)
		// The capacity ends with the value, so that appending to a record's
		// data cannot write over the next record.
		f.bytes = b[k:n:n]
	case wireFixed64:
		n = 8
	case wireFixed32:
		n = 4
	default:
		return field{}, nil, false
	}
	if n > len(b) {
		return field{}, nil, false
	}
	return f, b[n:], true
}

// varintSize is the number of bytes of v as a varint, 1 to 10.
func varintSize(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }

// bytesFieldSize is the size of a field of n bytes with a one-byte tag.
func bytesFieldSize(n int) int { return 1 + varintSize(uint64(n)) + n }
