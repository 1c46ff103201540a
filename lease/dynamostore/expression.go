package dynamostore

import (
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/lease"
)

// expression collects the placeholders that the expressions of one request share. Names have one each, so that no attribute can ever be one of
// DynamoDB's reserved words.
type expression struct {
	names  map[string]string
	values map[string]types.AttributeValue // nil until there is one: DynamoDB refuses an empty map
}

func newExpression() *expression { return &expression{names: make(map[string]string)} }

func (e *expression) name(attribute string) string {
	e.names["#"+attribute] = attribute
	return "#" + attribute
}

func (e *expression) value(v types.AttributeValue) string {
	if e.values == nil {
		e.values = make(map[string]types.AttributeValue)
	}
	placeholder := fmt.Sprintf(":v%d", len(e.values))
	e.values[placeholder] = v
	return placeholder
}

// update is the UpdateExpression of a change; nil if it changes nothing.
func (e *expression) update(set lease.Change) (*string, error) {
	assignments, err := ofChange(set)
	if err != nil {
		return nil, err
	}
	var sets, removes []string
	if set.AddCounter != 0 {
		// Not ADD, which would give a counter to a row that has none.
		counter := e.name(attrCounter)
		sets = append(sets, counter+" = "+counter+" + "+e.value(number(set.AddCounter)))
	}
	for _, a := range assignments {
		switch {
		case a.value == nil:
			removes = append(removes, e.name(a.attribute))
		case a.once:
			sets = append(sets, e.name(a.attribute)+" = if_not_exists("+e.name(a.attribute)+", "+e.value(a.value)+")")
		default:
			sets = append(sets, e.name(a.attribute)+" = "+e.value(a.value))
		}
	}
	var clauses []string
	if len(sets) > 0 {
		clauses = append(clauses, "SET "+strings.Join(sets, ", "))
	}
	if len(removes) > 0 {
		clauses = append(clauses, "REMOVE "+strings.Join(removes, ", "))
	}
	if len(clauses) == 0 {
		return nil, nil
	}
	text := strings.Join(clauses, " ")
	return &text, nil
}

// condition is the ConditionExpression of when. It always asks for the row itself: an UpdateItem creates what it does not find, and "nobody owns it"
// holds for a row that is not there.
func (e *expression) condition(when lease.Condition) string {
	all := []string{e.exists(attrKey)}
	if when.Counter != nil {
		all = append(all, e.equal(attrCounter, number(*when.Counter)))
	}
	if when.Owner != nil {
		all = append(all, e.textOrAbsent(attrOwner, *when.Owner))
	}
	if when.CheckpointOwner != nil {
		all = append(all, e.textOrAbsent(attrCheckpointOwner, *when.CheckpointOwner))
	}
	if when.AskedBy != nil {
		all = append(all, e.textOrAbsent(attrAskedBy, *when.AskedBy))
	}
	if when.AskedOf != nil {
		all = append(all, e.textOrAbsent(attrAskedOf, *when.AskedOf))
	}
	if when.Speaks != nil {
		all = append(all, e.textOrAbsent(attrSpeaks, *when.Speaks))
	}
	if when.Position != nil {
		all = append(all, e.position(*when.Position)...)
	}
	return strings.Join(all, " AND ")
}

// position is equality with what decode makes of the row.
func (e *expression) position(p checkpoint.Position) []string {
	switch {
	case p == checkpoint.Position{}:
		return []string{e.absent(attrCheckpoint), e.absent(attrCheckpointSub)}
	case p.IsSentinel():
		return []string{e.equal(attrCheckpoint, text(p.Sequence()))}
	case p.Sub() == 0:
		return []string{
			e.equal(attrCheckpoint, text(p.Sequence())),
			"(" + e.equal(attrCheckpointSub, number(0)) + " OR " + e.absent(attrCheckpointSub) + ")",
		}
	}
	return []string{e.equal(attrCheckpoint, text(p.Sequence())), e.equal(attrCheckpointSub, number(p.Sub()))}
}

func (e *expression) textOrAbsent(attribute, value string) string {
	if value == "" {
		return e.absent(attribute)
	}
	return e.equal(attribute, text(value))
}

func (e *expression) equal(attribute string, v types.AttributeValue) string {
	return e.name(attribute) + " = " + e.value(v)
}

func (e *expression) exists(attribute string) string {
	return "attribute_exists(" + e.name(attribute) + ")"
}

func (e *expression) absent(attribute string) string {
	return "attribute_not_exists(" + e.name(attribute) + ")"
}
