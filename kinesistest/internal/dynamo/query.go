package dynamo

import (
	"strings"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

type queryRequest struct {
	readOptions
	KeyConditionExpression *string
	KeyConditions          map[string]legacyCondition
	QueryFilter            map[string]legacyCondition
	ScanIndexForward       *bool
}

func (db *DB) query(req *queryRequest) (any, *wire.Error) {
	keyed := expression{"KeyConditionExpression", req.KeyConditionExpression}
	// KeyConditions may stand beside a filter or projection expression, though not beside a key condition expression.
	legacy := []legacyMember{{"QueryFilter", req.QueryFilter != nil}, {"KeyConditions", req.KeyConditions != nil && keyed.text != nil}}
	if fault := req.checkMixed(legacy, keyed); fault != nil {
		return nil, fault
	}
	if req.KeyConditionExpression == nil && req.KeyConditions == nil {
		return nil, invalid("Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.")
	}
	r, key, fault := req.prepare(legacyFilter{"QueryFilter", req.QueryFilter}, keyed)
	if fault != nil {
		return nil, fault
	}
	terms, fault := req.terms(key)
	if fault != nil {
		return nil, fault
	}
	return db.read(r, func() *wire.Error { return req.place(r, terms) })
}

// terms are those of whichever key condition the request has; key is the parsed expression.
func (q *queryRequest) terms(key condition) (map[string]keyTerm, *wire.Error) {
	if q.KeyConditions != nil {
		return legacyKeyTerms(q.KeyConditions)
	}
	terms, problem := keyTerms(key)
	if problem != "" {
		return nil, invalid("%s", problem)
	}
	return terms, nil
}

// place sets the span of a query.
func (q *queryRequest) place(r *reading, terms map[string]keyTerm) *wire.Error {
	prefix, fault := r.setKeys(terms)
	if fault != nil {
		return fault
	}
	for _, p := range r.filters {
		if p[0].name == r.keys.hash.name || p[0].name == r.keys.rng.name {
			kind := "Filter Expression"
			if q.QueryFilter != nil {
				kind = "QueryFilter"
			}
			return invalid("%s can only contain non-primary key attributes: Primary key attribute: %s", kind, p[0].name)
		}
	}
	r.span.low, r.span.high = prefix, endOf(prefix)
	r.span.backward = q.ScanIndexForward != nil && !*q.ScanIndexForward
	if fault := r.setStart(); fault != nil {
		return fault
	}
	if r.span.after != "" && !strings.HasPrefix(r.span.after, prefix) {
		return invalid("The provided starting key is outside query boundaries based on provided conditions")
	}
	return nil
}

// setKeys takes the terms as conditions on the keys that are read: equality on the hash key, anything indexable on the range key. It
// returns what the sort keys of that hash key begin with.
func (r *reading) setKeys(terms map[string]keyTerm) (prefix string, fault *wire.Error) {
	hash, ok := terms[r.keys.hash.name]
	if !ok {
		return "", invalid("Query condition missed key schema element: %s", r.keys.hash.name)
	}
	rng, hasRange := terms[r.keys.rng.name]
	if len(terms) > 2 || len(terms) == 2 && !hasRange {
		if r.keys.rng.name == "" || len(terms) > 2 {
			return "", invalid("Query key condition not supported")
		}
		return "", invalid("Query condition missed key schema element: %s", r.keys.rng.name)
	}
	if !hash.equality {
		return "", invalid("Query key condition not supported")
	}
	if fault := hash.check(r.keys.hash); fault != nil {
		return "", fault
	}
	if hasRange {
		if fault := rng.check(r.keys.rng); fault != nil {
			return "", fault
		}
		r.span.keep = rng.condition
	}
	return partition(hash.values[0]), nil
}

// keyTerm is the condition on one key attribute.
type keyTerm struct {
	condition condition
	equality  bool
	values    []value
}

func (t keyTerm) check(a keyAttribute) *wire.Error {
	for _, v := range t.values {
		if v.kind != a.kind {
			return invalidValue("Condition parameter type does not match schema type")
		}
		if t.equality && a.kind != kindN && v.bytes == "" {
			return invalid("One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty "+
				"%s value. Key: %s", emptyName(a.kind), a.name)
		}
	}
	return nil
}

// keyTerms takes a key condition apart by attribute; problem is the service's wording of what a key condition cannot have.
func keyTerms(c condition) (terms map[string]keyTerm, problem string) {
	terms = make(map[string]keyTerm)
	return terms, addKeyTerms(terms, c)
}

func addKeyTerms(terms map[string]keyTerm, c condition) (problem string) {
	if both, ok := c.(and); ok {
		if problem := addKeyTerms(terms, both.left); problem != "" {
			return problem
		}
		return addKeyTerms(terms, both.right)
	}
	operator, operands := keyOperands(c)
	if operands == nil {
		return "Invalid operator used in KeyConditionExpression: " + operator
	}
	term := keyTerm{condition: c, equality: operator == "="}
	name := ""
	for i, o := range operands {
		switch o := o.(type) {
		case path:
			switch {
			case name != "":
				return "Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition"
			case len(o) > 1:
				return "KeyConditionExpressions cannot have conditions on nested attributes"
			case i > 0 && (operator == "BETWEEN" || operator == "begins_with"):
				return "Invalid condition in KeyConditionExpression: " + operator + " operator must have the key attribute as its first operand"
			}
			name = o[0].name
		case literal:
			term.values = append(term.values, o.v)
		default:
			return "KeyConditionExpressions cannot contain nested operations"
		}
	}
	if name == "" {
		return "Invalid condition in KeyConditionExpression: No key attribute specified"
	}
	if _, twice := terms[name]; twice {
		return "KeyConditionExpressions must only contain one condition per key"
	}
	terms[name] = term
	return ""
}

// keyOperands returns no operands for what is not an operator of key conditions.
func keyOperands(c condition) (operator string, operands []operand) {
	switch c := c.(type) {
	case comparison:
		if c.operator == "<>" {
			return c.operator, nil
		}
		return c.operator, []operand{c.left, c.right}
	case between:
		return "BETWEEN", []operand{c.x, c.low, c.high}
	case beginsWith:
		return "begins_with", []operand{c.x, c.prefix}
	case or:
		return "OR", nil
	case not:
		return "NOT", nil
	case in:
		return "IN", nil
	case contains:
		return "contains", nil
	case hasType:
		return "attribute_type", nil
	case exists:
		if !c.wanted {
			return "attribute_not_exists", nil
		}
	}
	return "attribute_exists", nil
}
