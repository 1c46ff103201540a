package dynamo

import (
	"fmt"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

// errNoTable is the answer of item operations; those on tables name the table.
var errNoTable = &wire.Error{Code: "ResourceNotFoundException", Message: "Requested resource not found"}

// noTable is the answer of operations on tables.
func noTable(name string) *wire.Error {
	return &wire.Error{
		Code:    "ResourceNotFoundException",
		Message: "Requested resource not found: Table: " + name + " not found",
	}
}

func inUse(format string, args ...any) *wire.Error {
	return &wire.Error{Code: "ResourceInUseException", Message: fmt.Sprintf(format, args...)}
}

func invalid(format string, args ...any) *wire.Error {
	return &wire.Error{Code: "ValidationException", Message: fmt.Sprintf(format, args...)}
}

// invalidValue is the commonest of the service's wordings.
func invalidValue(format string, args ...any) *wire.Error {
	return invalid("One or more parameter values were invalid: "+format, args...)
}

// conditionFailed carries the item the condition was refused by, when the request asked for it and there is one.
func conditionFailed(found item) *wire.Error {
	fault := &wire.Error{Code: codeConditionFailed, Message: "The conditional request failed"}
	if found != nil {
		fault.Members = map[string]any{"Item": found}
	}
	return fault
}

const codeConditionFailed = "ConditionalCheckFailedException"
