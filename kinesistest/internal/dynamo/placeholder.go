package dynamo

import (
	"maps"
	"slices"
	"strings"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

// substitutions are the # and : members of a request.
type substitutions struct {
	ExpressionAttributeNames  map[string]string
	ExpressionAttributeValues map[string]wireValue
}

// placeholders resolves them while a request's expressions are parsed and knows which were used.
type placeholders struct {
	names      map[string]string
	values     map[string]value
	usedNames  map[string]bool
	usedValues map[string]bool
}

// expression is one expression member of a request; nil text means absent.
type expression struct {
	member string
	text   *string
}

// placeholders checks what the request gives. expressions are all it has; a projection uses no values.
func (s *substitutions) placeholders(expressions ...expression) (*placeholders, *wire.Error) {
	present, withValues, absent := 0, 0, []string(nil)
	for _, e := range expressions {
		switch {
		case e.text != nil:
			present++
			if e.member != "ProjectionExpression" {
				withValues++
			}
		case e.member != "ProjectionExpression":
			absent = append(absent, e.member)
		}
	}
	switch {
	case s.ExpressionAttributeNames != nil && present == 0:
		return nil, invalid("ExpressionAttributeNames can only be specified when using expressions")
	case s.ExpressionAttributeValues != nil && withValues == 0:
		verb := " is null"
		if len(absent) > 1 {
			verb = " are null"
		}
		return nil, invalid("ExpressionAttributeValues can only be specified when using expressions: %s%s",
			strings.Join(absent, " and "), verb)
	case s.ExpressionAttributeNames != nil && len(s.ExpressionAttributeNames) == 0:
		return nil, invalid("ExpressionAttributeNames must not be empty")
	case s.ExpressionAttributeValues != nil && len(s.ExpressionAttributeValues) == 0:
		return nil, invalid("ExpressionAttributeValues must not be empty")
	}
	ph := &placeholders{
		names:      s.ExpressionAttributeNames,
		values:     make(map[string]value, len(s.ExpressionAttributeValues)),
		usedNames:  make(map[string]bool, len(s.ExpressionAttributeNames)),
		usedValues: make(map[string]bool, len(s.ExpressionAttributeValues)),
	}
	for _, key := range slices.Sorted(maps.Keys(ph.names)) {
		if !placeholderKey(key, '#') {
			return nil, invalid("ExpressionAttributeNames contains invalid key: Syntax error; key: \"%s\"", key)
		}
		if ph.names[key] == "" {
			return nil, invalid("ExpressionAttributeNames contains invalid value: Empty attribute name for key %s", key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(s.ExpressionAttributeValues)) {
		if !placeholderKey(key, ':') {
			return nil, invalid("ExpressionAttributeValues contains invalid key: Syntax error; key: \"%s\"", key)
		}
		raw := s.ExpressionAttributeValues[key]
		v, problem := raw.value(0)
		if problem != "" {
			return nil, invalid("ExpressionAttributeValues contains invalid value: %s for key %s", problem, key)
		}
		ph.values[key] = v
	}
	return ph, nil
}

func placeholderKey(key string, mark byte) bool {
	return len(key) > 1 && key[0] == mark && endOfWord(key, 1) == len(key)
}

// checkUsed is called when all expressions are parsed: the service refuses what no expression refers to.
func (ph *placeholders) checkUsed() *wire.Error {
	if keys := unused(ph.names, ph.usedNames); keys != "" {
		return invalid("Value provided in ExpressionAttributeNames unused in expressions: keys: {%s}", keys)
	}
	if keys := unused(ph.values, ph.usedValues); keys != "" {
		return invalid("Value provided in ExpressionAttributeValues unused in expressions: keys: {%s}", keys)
	}
	return nil
}

func unused[V any](given map[string]V, used map[string]bool) string {
	if len(given) == len(used) {
		return ""
	}
	var keys []string
	for key := range given {
		if !used[key] {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return strings.Join(keys, ", ")
}
