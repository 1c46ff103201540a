package dynamo

import (
	"maps"
	"slices"
	"strings"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

// legacyMember is a parameter of the time before expressions.
type legacyMember struct {
	name    string
	present bool
}

// checkMixed refuses a request in both languages.
func checkMixed(legacy []legacyMember, expressions ...expression) *wire.Error {
	var old, present []string
	for _, m := range legacy {
		if m.present {
			old = append(old, m.name)
		}
	}
	for _, e := range expressions {
		if e.text != nil {
			present = append(present, e.member)
		}
	}
	if len(old) == 0 || len(present) == 0 {
		return nil
	}
	return invalid("Can not use both expression and non-expression parameters in the same request: "+
		"Non-expression parameters: {%s} Expression parameters: {%s}", strings.Join(old, ", "), strings.Join(present, ", "))
}

// checkOperator checks a ConditionalOperator, which joins n conditions where given.
func checkOperator(operator string, given bool, n int) *wire.Error {
	if fault := checkEnum("conditionalOperator", operator, "OR", "AND"); fault != nil {
		return fault
	}
	switch {
	case operator != "" && !given:
		return invalidValue("ConditionalOperator cannot be used without Filter or Expected")
	case operator != "" && n < 2:
		return invalidValue("ConditionalOperator can only be used when Filter or Expected has two or more elements")
	}
	return nil
}

// legacyCondition is a condition on one top-level attribute, which the map it stands in names; dots in that name have no meaning.
type legacyCondition struct {
	ComparisonOperator string
	AttributeValueList []wireValue
}

// expectation is a condition of Expected: one with an operator, or that an attribute has a value or is missing.
type expectation struct {
	legacyCondition
	Value  *wireValue
	Exists *bool
}

// legacyOperator is what an operator takes.
type legacyOperator struct {
	atLeast, atMost int  // arguments
	scalar          bool // only strings, numbers and binaries
}

// No request comes near what makes a list of arguments too long.
const anyNumber = 1 << 30

var legacyOperators = map[string]legacyOperator{
	"EQ": {1, 1, false}, "NE": {1, 1, false}, "NULL": {}, "NOT_NULL": {},
	"LT": {1, 1, true}, "LE": {1, 1, true}, "GT": {1, 1, true}, "GE": {1, 1, true}, "BETWEEN": {2, 2, true},
	"IN": {1, anyNumber, true}, "CONTAINS": {1, 1, true}, "NOT_CONTAINS": {1, 1, true}, "BEGINS_WITH": {1, 1, true},
}

// legacyOperatorNames are ordered as the service lists them.
var legacyOperatorNames = []string{
	"IN", "NULL", "BETWEEN", "LT", "NOT_CONTAINS", "EQ", "GT", "NOT_NULL", "NE", "LE", "BEGINS_WITH", "GE", "CONTAINS",
}

var legacyComparisons = map[string]string{"EQ": "=", "NE": "<>", "LT": "<", "LE": "<=", "GT": ">", "GE": ">="}

// parse makes a condition on the attribute name.
func (l *legacyCondition) parse(name string) (c condition, values []value, fault *wire.Error) {
	operator := l.ComparisonOperator
	if operator == "" {
		return nil, nil, invalid("1 validation error detected: Value null at '%s.member.comparisonOperator' failed to satisfy constraint: "+
			"Member must not be null", name)
	}
	if fault := checkEnum(name+".member.comparisonOperator", operator, legacyOperatorNames...); fault != nil {
		return nil, nil, fault
	}
	takes := legacyOperators[operator]
	if n := len(l.AttributeValueList); n < takes.atLeast || n > takes.atMost {
		return nil, nil, invalidValue("Invalid number of argument(s) for the %s ComparisonOperator", operator)
	}
	for i := range l.AttributeValueList {
		v, problem := l.AttributeValueList[i].value(0)
		switch {
		case problem != "":
			return nil, nil, invalid("%s", problem)
		case takes.scalar && !v.kind.ordered(), operator == "BEGINS_WITH" && v.kind == kindN:
			return nil, nil, invalidValue("ComparisonOperator %s is not valid for %s AttributeValue type", operator, v.kind)
		case i > 0 && v.kind != values[0].kind:
			return nil, nil, invalidValue("AttributeValues inside AttributeValueList must be of same type")
		}
		values = append(values, v)
	}
	if operator == "BETWEEN" && values[0].compare(values[1]) > 0 {
		return nil, nil, invalid("The BETWEEN condition was provided a range where the lower bound is greater than the upper bound")
	}
	return legacyComparison(operator, path{{name: name}}, values), values, nil
}

// legacyComparison takes values that were checked. Unlike NE, NOT_CONTAINS does not hold for a missing attribute.
func legacyComparison(operator string, at path, values []value) condition {
	operands := make([]operand, len(values))
	for i, v := range values {
		operands[i] = literal{v}
	}
	switch operator {
	case "NULL", "NOT_NULL":
		return exists{at, operator == "NOT_NULL"}
	case "BETWEEN":
		return between{at, operands[0], operands[1]}
	case "IN":
		return in{at, operands}
	case "CONTAINS":
		return contains{at, operands[0]}
	case "NOT_CONTAINS":
		return and{exists{at, true}, not{contains{at, operands[0]}}}
	case "BEGINS_WITH":
		return beginsWith{at, operands[0]}
	}
	return comparison{legacyComparisons[operator], at, operands[0]}
}

// parse makes a condition on the attribute name.
func (e *expectation) parse(name string) (condition, *wire.Error) {
	if e.AttributeValueList != nil && e.Value != nil {
		return nil, invalidValue("Value and AttributeValueList cannot be used together for Attribute: %s", name)
	}
	if e.ComparisonOperator != "" {
		if e.Exists != nil {
			return nil, invalidValue("Exists and ComparisonOperator cannot be used together for Attribute: %s", name)
		}
		compared := e.legacyCondition
		if e.Value != nil {
			compared.AttributeValueList = []wireValue{*e.Value}
		}
		c, _, fault := compared.parse(name)
		return c, fault
	}
	given := "null"
	if e.Exists != nil {
		given = "true"
	}
	missing := e.Exists != nil && !*e.Exists
	switch {
	case e.AttributeValueList != nil:
		return nil, invalidValue("AttributeValueList can only be used with a ComparisonOperator for Attribute: %s", name)
	case missing && e.Value != nil:
		return nil, invalidValue("Value cannot be used when Exists is false for Attribute: %s", name)
	case missing:
		return exists{path{{name: name}}, false}, nil
	case e.Value == nil:
		return nil, invalidValue("Value must be provided when Exists is %s for Attribute: %s", given, name)
	}
	v, problem := e.Value.value(0)
	if problem != "" {
		return nil, invalid("%s", problem)
	}
	return comparison{"=", path{{name: name}}, literal{v}}, nil
}

// join makes one condition of several; nil of none.
func join(operator string, conditions []condition) condition {
	var all condition
	for _, c := range conditions {
		switch {
		case all == nil:
			all = c
		case operator == "OR":
			all = or{all, c}
		default:
			all = and{all, c}
		}
	}
	return all
}

func (f *legacyFilter) parse(operator string) (condition, *wire.Error) {
	var conditions []condition
	for _, name := range slices.Sorted(maps.Keys(f.conditions)) {
		l := f.conditions[name]
		c, _, fault := l.parse(name)
		if fault != nil {
			return nil, fault
		}
		conditions = append(conditions, c)
	}
	return join(operator, conditions), nil
}

// withExpected returns the condition of Expected where there is one, and otherwise c, that of an expression.
func (o *writeOptions) withExpected(c condition) (condition, *wire.Error) {
	if fault := checkOperator(o.ConditionalOperator, o.Expected != nil, len(o.Expected)); fault != nil {
		return nil, fault
	}
	if o.Expected == nil {
		return c, nil
	}
	var conditions []condition
	for _, name := range slices.Sorted(maps.Keys(o.Expected)) {
		e := o.Expected[name]
		c, fault := e.parse(name)
		if fault != nil {
			return nil, fault
		}
		conditions = append(conditions, c)
	}
	return join(o.ConditionalOperator, conditions), nil
}

// legacyKeyTerms are the terms of KeyConditions.
func legacyKeyTerms(conditions map[string]legacyCondition) (map[string]keyTerm, *wire.Error) {
	if len(conditions) < 1 || len(conditions) > 2 {
		return nil, invalid("Conditions can be of length 1 or 2 only")
	}
	terms := make(map[string]keyTerm)
	for _, name := range slices.Sorted(maps.Keys(conditions)) {
		l := conditions[name]
		c, values, fault := l.parse(name)
		if fault != nil {
			return nil, fault
		}
		if !slices.Contains([]string{"EQ", "LE", "LT", "GE", "GT", "BEGINS_WITH", "BETWEEN"}, l.ComparisonOperator) {
			return nil, invalid("Attempted conditional constraint is not an indexable operation")
		}
		terms[name] = keyTerm{condition: c, equality: l.ComparisonOperator == "EQ", values: values}
	}
	return terms, nil
}

// legacyProjection is that of AttributesToGet.
func legacyProjection(names []string) (*projection, *wire.Error) {
	if len(names) == 0 {
		return nil, invalid("1 validation error detected: Value '[]' at 'attributesToGet' failed to satisfy constraint: " +
			"Member must have length greater than or equal to 1")
	}
	seen := make(map[string]bool)
	var paths []path
	for _, name := range names {
		switch {
		case name == "":
			return nil, invalidValue("Empty attribute name")
		case seen[name]:
			return nil, invalidValue("Duplicate value in attribute name: %s", name)
		}
		seen[name] = true
		paths = append(paths, path{{name: name}})
	}
	return newProjection(paths), nil
}

// attributeUpdate is an element of AttributeUpdates.
type attributeUpdate struct {
	Action string
	Value  *wireValue
}

// legacyUpdate is AttributeUpdates as the sections of an expression; nil for none.
func legacyUpdate(updates map[string]attributeUpdate) (*update, *wire.Error) {
	if len(updates) == 0 {
		return nil, nil
	}
	u := &update{}
	for _, name := range slices.Sorted(maps.Keys(updates)) {
		one := updates[name]
		a, fault := one.action(name)
		if fault != nil {
			return nil, fault
		}
		u.actions = append(u.actions, a)
	}
	return u, nil
}

func (u *attributeUpdate) action(name string) (a action, fault *wire.Error) {
	if fault := checkEnum(name+".member.action", u.Action, "ADD", "PUT", "DELETE"); fault != nil {
		return a, fault
	}
	if name == "" {
		return a, invalidValue("Empty attribute name")
	}
	a = action{path: path{{name: name}}, legacy: true}
	if u.Value == nil {
		if u.Action != "DELETE" {
			return a, invalidValue("Only DELETE action is allowed when no attribute value is specified")
		}
		a.section = sectionRemove
		return a, nil
	}
	v, problem := u.Value.value(0)
	if problem != "" {
		return a, invalid("%s", problem)
	}
	a.operand = v
	switch u.Action {
	case "DELETE":
		if !v.kind.set() {
			return a, invalidValue("DELETE action with value is not supported for the type %s", v.kind)
		}
		a.section = sectionDelete
	case "ADD":
		if !v.kind.set() && v.kind != kindN && v.kind != kindL {
			return a, invalidValue("ADD action is not supported for the type %s", v.kind)
		}
		a.section = sectionAdd
	default:
		a.section, a.term = sectionSet, constant{v}
	}
	return a, nil
}
