package dynamo

import (
	"encoding/base64"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

type kind uint8

const (
	kindS kind = iota + 1
	kindN
	kindB
	kindBOOL
	kindNULL
	kindM
	kindL
	kindSS
	kindNS
	kindBS
)

var kindNames = [...]string{
	kindS: "S", kindN: "N", kindB: "B", kindBOOL: "BOOL", kindNULL: "NULL",
	kindM: "M", kindL: "L", kindSS: "SS", kindNS: "NS", kindBS: "BS",
}

func (k kind) String() string { return kindNames[k] }

// ordered tells whether <, BETWEEN and the like apply.
func (k kind) ordered() bool { return k == kindS || k == kindN || k == kindB }

func (k kind) set() bool { return k == kindSS || k == kindNS || k == kindBS }

// element is the kind of a set's members.
func (k kind) element() kind { return k - kindSS + kindS }

// value is one attribute value. It is immutable once it can be seen by a second goroutine: updates build new maps and lists.
type value struct {
	kind  kind
	bool  bool
	bytes string // of S and B
	num   number // of N
	list  []value
	m     item
}

// item is a set of named attributes; nil is an item that does not exist.
type item map[string]value

// The members of a set are kept ordered, so that equality does not depend on the order they came in and answers are the same each time.
func newSet(k kind, members []value) value {
	slices.SortFunc(members, func(a, b value) int { return a.compare(b) })
	return value{kind: k, list: members}
}

// compare orders two values of the same ordered kind.
func (v value) compare(w value) int {
	if v.kind == kindN {
		return v.num.compare(w.num)
	}
	return strings.Compare(v.bytes, w.bytes)
}

func (v value) equal(w value) bool {
	if v.kind != w.kind {
		return false
	}
	switch v.kind {
	case kindS, kindB:
		return v.bytes == w.bytes
	case kindN:
		return v.num == w.num
	case kindBOOL:
		return v.bool == w.bool
	case kindNULL:
		return true
	case kindM:
		return maps.EqualFunc(v.m, w.m, value.equal)
	default:
		return slices.EqualFunc(v.list, w.list, value.equal)
	}
}

// has tells whether a set contains a member.
func (v value) has(member value) bool {
	if v.kind.element() != member.kind {
		return false
	}
	_, found := slices.BinarySearchFunc(v.list, member, value.compare)
	return found
}

// union returns a set of both sets' members; the kinds are equal.
func (v value) union(w value) value {
	members := slices.Clone(v.list)
	for _, member := range w.list {
		if !v.has(member) {
			members = append(members, member)
		}
	}
	return newSet(v.kind, members)
}

// without returns the set less the members of w; it may be empty, which must not be stored.
func (v value) without(w value) value {
	var members []value
	for _, member := range v.list {
		if !w.has(member) {
			members = append(members, member)
		}
	}
	return value{kind: v.kind, list: members}
}

// text is a key value as a person writes it.
func (v value) text() string {
	switch v.kind {
	case kindS:
		return v.bytes
	case kindN:
		return v.num.String()
	case kindB:
		return base64.StdEncoding.EncodeToString([]byte(v.bytes))
	}
	return ""
}

func (it item) toSDK() map[string]types.AttributeValue {
	out := make(map[string]types.AttributeValue, len(it))
	for name, v := range it {
		out[name] = v.toSDK()
	}
	return out
}

func (v value) toSDK() types.AttributeValue {
	switch v.kind {
	case kindS:
		return &types.AttributeValueMemberS{Value: v.bytes}
	case kindN:
		return &types.AttributeValueMemberN{Value: v.num.String()}
	case kindB:
		return &types.AttributeValueMemberB{Value: []byte(v.bytes)}
	case kindBOOL:
		return &types.AttributeValueMemberBOOL{Value: v.bool}
	case kindM:
		return &types.AttributeValueMemberM{Value: v.m.toSDK()}
	case kindL:
		list := make([]types.AttributeValue, len(v.list))
		for i, element := range v.list {
			list[i] = element.toSDK()
		}
		return &types.AttributeValueMemberL{Value: list}
	case kindSS:
		return &types.AttributeValueMemberSS{Value: v.texts()}
	case kindNS:
		return &types.AttributeValueMemberNS{Value: v.texts()}
	case kindBS:
		members := make([][]byte, len(v.list))
		for i, member := range v.list {
			members[i] = []byte(member.bytes)
		}
		return &types.AttributeValueMemberBS{Value: members}
	}
	return &types.AttributeValueMemberNULL{Value: true}
}

func (v value) texts() []string {
	out := make([]string, len(v.list))
	for i, member := range v.list {
		out[i] = member.text()
	}
	return out
}
