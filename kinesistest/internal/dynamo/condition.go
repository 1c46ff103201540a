package dynamo

import "strings"

// condition is a parsed condition, filter or key condition.
type condition interface {
	// holds evaluates against an item; nil is an absent one, of which every attribute is missing.
	holds(it item) bool
}

// operand yields a value, or false when its attribute is missing or has no size.
type operand interface {
	value(it item) (value, bool)
}

type literal struct{ v value }

func (l literal) value(item) (value, bool) { return l.v, l.v.kind != 0 }

type sizeOf struct{ of operand }

func (s sizeOf) value(it item) (value, bool) {
	v, ok := s.of.value(it)
	if !ok {
		return value{}, false
	}
	var n int
	switch v.kind {
	case kindS, kindB:
		n = len(v.bytes)
	case kindM:
		n = len(v.m)
	case kindL, kindSS, kindNS, kindBS:
		n = len(v.list)
	default:
		return value{}, false
	}
	return value{kind: kindN, num: numberOf(n)}, true
}

type and struct{ left, right condition }

func (c and) holds(it item) bool { return c.left.holds(it) && c.right.holds(it) }

type or struct{ left, right condition }

func (c or) holds(it item) bool { return c.left.holds(it) || c.right.holds(it) }

type not struct{ of condition }

func (c not) holds(it item) bool { return !c.of.holds(it) }

type comparison struct {
	operator    string
	left, right operand
}

// A missing operand is unequal to everything, another missing one included, and in no order to anything; so are values of two types.
func (c comparison) holds(it item) bool {
	l, okL := c.left.value(it)
	r, okR := c.right.value(it)
	equal := okL && okR && l.equal(r)
	switch c.operator {
	case "=":
		return equal
	case "<>":
		return !equal
	}
	if !okL || !okR || l.kind != r.kind || !l.kind.ordered() {
		return false
	}
	order := l.compare(r)
	switch c.operator {
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	}
	return order >= 0
}

type between struct{ x, low, high operand }

func (c between) holds(it item) bool {
	return comparison{">=", c.x, c.low}.holds(it) && comparison{"<=", c.x, c.high}.holds(it)
}

type in struct {
	x    operand
	list []operand
}

func (c in) holds(it item) bool {
	for _, element := range c.list {
		if (comparison{"=", c.x, element}).holds(it) {
			return true
		}
	}
	return false
}

type exists struct {
	path   path
	wanted bool
}

func (c exists) holds(it item) bool {
	_, ok := c.path.value(it)
	return ok == c.wanted
}

type hasType struct {
	x    operand
	kind string
}

func (c hasType) holds(it item) bool {
	v, ok := c.x.value(it)
	return ok && v.kind.String() == c.kind
}

type beginsWith struct{ x, prefix operand }

func (c beginsWith) holds(it item) bool {
	v, okV := c.x.value(it)
	prefix, okP := c.prefix.value(it)
	return okV && okP && v.kind == prefix.kind && (v.kind == kindS || v.kind == kindB) && strings.HasPrefix(v.bytes, prefix.bytes)
}

type contains struct{ x, part operand }

func (c contains) holds(it item) bool {
	v, okV := c.x.value(it)
	part, okP := c.part.value(it)
	if !okV || !okP {
		return false
	}
	switch v.kind {
	case kindS, kindB:
		return v.kind == part.kind && strings.Contains(v.bytes, part.bytes)
	case kindSS, kindNS, kindBS:
		return v.has(part)
	case kindL:
		for _, element := range v.list {
			if element.equal(part) {
				return true
			}
		}
	}
	return false
}
