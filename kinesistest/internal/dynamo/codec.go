package dynamo

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

// maxNesting is the service's limit on maps and lists within each other.
const maxNesting = 32

const (
	emptyValue   = "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"
	severalTypes = "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes"
	tooNested    = "Nesting Levels have exceeded supported limits"
	badParameter = "One or more parameter values were invalid: "
)

// request makes an operation of a function of the decoded request.
func request[T any](do func(*DB, *T) (any, *wire.Error)) operation {
	return func(db *DB, body []byte) (any, *wire.Error) {
		req, fault := decode[T](body)
		if fault != nil {
			return nil, fault
		}
		return do(db, req)
	}
}

// decode reads a request. A member that T does not have is a parameter this server does not implement: ignoring it would make a test
// pass that fails against the service.
func decode[T any](body []byte) (*T, *wire.Error) {
	req := new(T)
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	err := dec.Decode(req)
	if err == nil {
		if _, err = dec.Token(); errors.Is(err, io.EOF) {
			return req, nil
		}
		err = errors.New("unexpected token after the request")
	}
	if field, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return nil, invalid("this server does not implement the parameter %s", field)
	}
	message := err.Error()
	var mismatch *json.UnmarshalTypeError
	if errors.As(err, &mismatch) {
		kind, _, _ := strings.Cut(mismatch.Value, " ")
		message = strings.ToUpper(kind) + "_VALUE cannot be converted to " + mismatch.Type.String()
	}
	return nil, &wire.Error{Code: "SerializationException", Message: message}
}

// wireValue is an attribute value as it is transmitted: one member is set. Its nil slices and maps are absent members.
type wireValue struct {
	S    *string
	N    *string
	B    *[]byte
	BOOL *bool
	NULL *bool
	M    map[string]wireValue
	L    []wireValue
	SS   []string
	NS   []string
	BS   [][]byte
}

// value validates; depth is the number of maps and lists around it.
func (w *wireValue) value(depth int) (v value, problem string) {
	members := 0
	for _, set := range [...]bool{
		w.S != nil, w.N != nil, w.B != nil, w.BOOL != nil, w.NULL != nil,
		w.M != nil, w.L != nil, w.SS != nil, w.NS != nil, w.BS != nil,
	} {
		if set {
			members++
		}
	}
	switch {
	case members == 0:
		return value{}, emptyValue
	case members > 1:
		return value{}, severalTypes
	case w.S != nil:
		return value{kind: kindS, bytes: *w.S}, ""
	case w.N != nil:
		n, problem := parseNumber(*w.N)
		return value{kind: kindN, num: n}, problem
	case w.B != nil:
		return value{kind: kindB, bytes: string(*w.B)}, ""
	case w.BOOL != nil:
		return value{kind: kindBOOL, bool: *w.BOOL}, ""
	case w.NULL != nil:
		if !*w.NULL {
			return value{}, badParameter + "Null attribute value types must have the value of true"
		}
		return value{kind: kindNULL}, ""
	case w.M != nil || w.L != nil:
		return w.document(depth + 1)
	}
	return w.set()
}

func (w *wireValue) document(depth int) (v value, problem string) {
	if depth > maxNesting {
		return value{}, tooNested
	}
	if w.M != nil {
		m, problem := toItem(w.M, depth)
		return value{kind: kindM, m: m}, problem
	}
	list := make([]value, len(w.L))
	for i := range w.L {
		if list[i], problem = w.L[i].value(depth); problem != "" {
			return value{}, problem
		}
	}
	return value{kind: kindL, list: list}, ""
}

func (w *wireValue) set() (v value, problem string) {
	var members []value
	var k kind
	var empty string
	switch {
	case w.SS != nil:
		k, empty = kindSS, "An string set  may not be empty"
		for _, s := range w.SS {
			members = append(members, value{kind: kindS, bytes: s})
		}
	case w.NS != nil:
		k, empty = kindNS, "An number set  may not be empty"
		for _, s := range w.NS {
			n, problem := parseNumber(s)
			if problem != "" {
				return value{}, problem
			}
			members = append(members, value{kind: kindN, num: n})
		}
	default:
		k, empty = kindBS, "Binary sets should not be empty"
		for _, b := range w.BS {
			members = append(members, value{kind: kindB, bytes: string(b)})
		}
	}
	if len(members) == 0 {
		return value{}, badParameter + empty
	}
	given := value{kind: k, list: slices.Clone(members)}
	v = newSet(k, members)
	for i := 1; i < len(v.list); i++ {
		if v.list[i].equal(v.list[i-1]) {
			if k == kindNS {
				return value{}, "Input collection contains duplicates"
			}
			return value{}, badParameter + "Input collection [" + strings.Join(given.texts(), ", ") + "] contains duplicates."
		}
	}
	return v, ""
}

// toItem never returns nil for a map that is present: nil is an absent item.
func toItem(raw map[string]wireValue, depth int) (it item, problem string) {
	it = make(item, len(raw))
	for _, name := range slices.Sorted(maps.Keys(raw)) {
		member := raw[name]
		v, problem := member.value(depth)
		if problem != "" {
			return nil, problem
		}
		if name == "" {
			return nil, badParameter + "Empty attribute name"
		}
		it[name] = v
	}
	return it, ""
}

// MarshalJSON writes the attributes ordered by name: equal items are equal bytes.
func (it item) MarshalJSON() ([]byte, error) {
	return appendItem(nil, it), nil
}

func appendItem(dst []byte, it item) []byte {
	dst = append(dst, '{')
	for i, name := range slices.Sorted(maps.Keys(it)) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(wire.AppendString(dst, name), ':')
		dst = appendValue(dst, it[name])
	}
	return append(dst, '}')
}

func appendValue(dst []byte, v value) []byte {
	dst = append(append(append(dst, `{"`...), v.kind.String()...), `":`...)
	switch v.kind {
	case kindBOOL:
		if v.bool {
			dst = append(dst, "true"...)
		} else {
			dst = append(dst, "false"...)
		}
	case kindNULL:
		dst = append(dst, "true"...)
	case kindM:
		dst = appendItem(dst, v.m)
	case kindL, kindSS, kindNS, kindBS:
		dst = append(dst, '[')
		for i, element := range v.list {
			if i > 0 {
				dst = append(dst, ',')
			}
			if v.kind == kindL {
				dst = appendValue(dst, element)
			} else {
				dst = appendScalar(dst, element)
			}
		}
		dst = append(dst, ']')
	default:
		dst = appendScalar(dst, v)
	}
	return append(dst, '}')
}

func appendScalar(dst []byte, v value) []byte {
	switch v.kind {
	case kindB:
		dst = append(dst, '"')
		dst = base64.StdEncoding.AppendEncode(dst, []byte(v.bytes))
		return append(dst, '"')
	case kindN:
		return append(append(append(dst, '"'), v.num.String()...), '"')
	}
	return wire.AppendString(dst, v.bytes)
}
