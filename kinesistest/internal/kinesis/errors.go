package kinesis

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

func failure(code, format string, args ...any) *wire.Error {
	return &wire.Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

func invalid(format string, args ...any) *wire.Error {
	return failure("InvalidArgumentException", format, args...)
}

func notFound(format string, args ...any) *wire.Error {
	return failure("ResourceNotFoundException", format, args...)
}

func inUse(format string, args ...any) *wire.Error {
	return failure("ResourceInUseException", format, args...)
}

func exceeded(format string, args ...any) *wire.Error {
	return failure("LimitExceededException", format, args...)
}

// violations is what the API's model has against a request. The service looks for all of them before it does anything else.
type violations []string

// add notes that a member, named by its path with a small first letter and "member" for an element of a list, breaks a constraint. The
// value is the request's, nil if it had none.
func (v *violations) add(member string, value any, constraint string, args ...any) {
	shown := "null"
	if value != nil {
		shown = fmt.Sprintf("'%v'", value)
	}
	*v = append(*v, fmt.Sprintf("Value %s at '%s' failed to satisfy constraint: Member %s", shown, member, fmt.Sprintf(constraint, args...)))
}

// within notes a number that is missing or out of its range.
func (v *violations) within(member string, n *int32, low, high int32) {
	switch {
	case n == nil:
		v.add(member, nil, "must not be null")
	case *n < low:
		v.add(member, *n, "must have value greater than or equal to %d", low)
	case *n > high:
		v.add(member, *n, "must have value less than or equal to %d", high)
	}
}

// length notes a text that is missing, or has too few or too many characters.
func (v *violations) length(member, text string, low, high int) {
	switch n := utf8.RuneCountInString(text); {
	case n == 0 && low > 0:
		v.add(member, nil, "must not be null")
	case n < low:
		v.add(member, text, "must have length greater than or equal to %d", low)
	case n > high:
		v.add(member, text, "must have length less than or equal to %d", high)
	}
}

// oneOf notes a member that is missing or has none of the values.
func (v *violations) oneOf(member, value string, values ...string) {
	switch {
	case slices.Contains(values, value):
	case value == "":
		v.add(member, nil, "must not be null")
	default:
		v.add(member, value, "must satisfy enum value set: [%s]", strings.Join(values, ", "))
	}
}

// err is the refusal, in the service's words, or nil.
func (v *violations) err() *wire.Error {
	if len(*v) == 0 {
		return nil
	}
	detected := "1 validation error detected"
	if n := len(*v); n > 1 {
		detected = fmt.Sprintf("%d validation errors detected", n)
	}
	return failure("ValidationException", "%s", detected+": "+strings.Join(*v, "; "))
}

// violation is a request that the API's model refuses for one member alone.
func violation(member string, value any, constraint string) *wire.Error {
	var v violations
	v.add(member, value, "%s", constraint)
	return v.err()
}
