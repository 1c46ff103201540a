package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"
)

// maxDepth bounds the nesting that Skip follows; no request of these services nests deeper than an attribute value's 32 levels.
const maxDepth = 100

var errSyntax = errors.New("wire: not the JSON that was expected")

// Reader walks a JSON document in one pass and copies nothing: a PutRecords body is hundreds of KiB of base64, which encoding/json
// would scan twice and copy. It accepts one thing that JSON does not: raw control characters inside strings.
//
// After the first mistake every method returns at once, and End reports it.
type Reader struct {
	b    []byte
	i    int
	bad  bool
	deep int
}

// NewReader reads b, which must not change while slices from String are in use.
func NewReader(b []byte) *Reader { return &Reader{b: b} }

// End reports whether the document was well formed as far as it was walked, and is at its end.
func (r *Reader) End() error {
	if r.space(); r.bad || r.i != len(r.b) {
		return errSyntax
	}
	return nil
}

// Object calls member for each member of the object that comes next; member must read or Skip the value. Null is an empty object.
func (r *Reader) Object(member func(name []byte)) {
	if r.null() || !r.enter('{') {
		return
	}
	for first := true; !r.leave('}', first); first = false {
		name, ok := r.String()
		if !ok || !r.expect(':') {
			r.bad = true
			return
		}
		member(name)
	}
}

// Array calls element for each element of the array that comes next; element must read or Skip it. Null is an empty array.
func (r *Reader) Array(element func()) {
	if r.null() || !r.enter('[') {
		return
	}
	for first := true; !r.leave(']', first); first = false {
		element()
	}
}

// String reads a string; ok is false for null and after a mistake. The slice may alias the document.
func (r *Reader) String() (s []byte, ok bool) {
	if r.null() || !r.expect('"') {
		return nil, false
	}
	rest := r.b[r.i:]
	end := bytes.IndexByte(rest, '"')
	if end < 0 {
		r.bad = true
		return nil, false
	}
	if bytes.IndexByte(rest[:end], '\\') < 0 {
		r.i += end + 1
		if s = rest[:end]; !utf8.Valid(s) {
			s = []byte(string([]rune(string(s)))) // U+FFFD for each byte that is wrong, as encoding/json does
		}
		return s, true
	}
	return r.escaped(rest)
}

// escaped reads a string that has escapes; rest starts behind its opening quote.
func (r *Reader) escaped(rest []byte) (s []byte, ok bool) {
	for i := 0; i < len(rest); i++ {
		switch rest[i] {
		case '\\':
			i++
		case '"':
			var text string
			if json.Unmarshal(r.b[r.i-1:r.i+i+1], &text) != nil {
				r.bad = true
				return nil, false
			}
			r.i += i + 1
			return []byte(text), true
		}
	}
	r.bad = true
	return nil, false
}

// Bool reads true or false; null is false.
func (r *Reader) Bool() bool {
	if r.null() || r.bad {
		return false
	}
	for _, word := range []string{"true", "false"} {
		if bytes.HasPrefix(r.b[r.i:], []byte(word)) {
			r.i += len(word)
			return word == "true"
		}
	}
	r.bad = true
	return false
}

// Skip passes over any value.
func (r *Reader) Skip() {
	switch r.space(); r.peek() {
	case '{':
		r.Object(func([]byte) { r.Skip() })
	case '[':
		r.Array(r.Skip)
	case '"':
		r.String()
	default:
		start := r.i
		for r.i < len(r.b) && strings.IndexByte(",]} \t\r\n", r.b[r.i]) < 0 {
			r.i++
		}
		if !json.Valid(r.b[start:r.i]) {
			r.bad = true
		}
	}
}

func (r *Reader) enter(open byte) bool {
	if r.deep++; r.deep > maxDepth {
		r.bad = true
	}
	return r.expect(open)
}

// leave reports whether the container ends here: at its closing byte, or for a mistake. Otherwise it has passed the comma.
func (r *Reader) leave(closing byte, first bool) bool {
	if r.space(); r.bad {
		return true
	}
	if r.peek() == closing {
		r.i++
		r.deep--
		return true
	}
	return !first && !r.expect(',')
}

func (r *Reader) null() bool {
	if r.space(); !r.bad && bytes.HasPrefix(r.b[r.i:], []byte("null")) {
		r.i += len("null")
		return true
	}
	return false
}

func (r *Reader) expect(c byte) bool {
	if r.space(); r.bad || r.peek() != c {
		r.bad = true
		return false
	}
	r.i++
	return true
}

func (r *Reader) peek() byte {
	if r.i < len(r.b) {
		return r.b[r.i]
	}
	return 0
}

func (r *Reader) space() {
	for r.i < len(r.b) {
		switch r.b[r.i] {
		case ' ', '\t', '\r', '\n':
			r.i++
		default:
			return
		}
	}
}
