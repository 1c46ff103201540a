package aggregation

import (
	"errors"
	"fmt"
	"strings"
)

// ErrNotAggregate is Decode's answer to an ordinary record.
var ErrNotAggregate = errors.New("aggregation: not an aggregate")

// CorruptError says which entries of an aggregate could not be read. All others
// were returned.
type CorruptError struct {
	// Subs are the places of these entries, ascending, at least one. Together
	// with the Subs of the records that were returned they are 0 … n-1.
	Subs []int
	// Reason is what is wrong with the first of them. It never quotes a payload.
	Reason string
}

// shownSubs bounds the error's text: an aggregate can have millions of entries.
const shownSubs = 8

// Error is one line of at most some 300 bytes, however many entries there are.
func (e *CorruptError) Error() string {
	shown := e.Subs
	if len(shown) > shownSubs {
		shown = shown[:shownSubs]
	}
	list := strings.Trim(fmt.Sprint(shown), "[]")
	if more := len(e.Subs) - len(shown); more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	return fmt.Sprintf("aggregation: decode: entries %s cannot be read: %.100s", list, e.Reason)
}
