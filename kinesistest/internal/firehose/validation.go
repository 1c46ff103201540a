package firehose

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

// violations collects what the API's model refuses in a request, before the service looks at it. All of them go into one answer.
type violations []string

func (v *violations) add(value, member, constraint string, args ...any) {
	*v = append(*v, "Value "+value+" at '"+member+"' failed to satisfy constraint: Member must "+fmt.Sprintf(constraint, args...))
}

func (v *violations) err() *wire.Error {
	if len(*v) == 0 {
		return nil
	}
	plural := "s"
	if len(*v) == 1 {
		plural = ""
	}
	return failure("ValidationException", "%d validation error%s detected: %s", len(*v), plural, strings.Join(*v, "; "))
}

// rule is what the API's model says of a text. Lengths are in characters.
type rule struct {
	least, most int
	pattern     *regexp.Regexp // whole; nil: anything
	shown       string         // the pattern as the model writes it
	values      []string       // an enumeration, instead of the others
}

func pattern(least, most int, shown string) rule {
	return rule{least: least, most: most, pattern: regexp.MustCompile(`^(?:` + shown + `)$`), shown: shown}
}

var (
	nameRule        = pattern(1, 64, `[a-zA-Z0-9_.-]+`)
	destinationRule = pattern(1, 100, `[a-zA-Z0-9-]+`)
	versionRule     = pattern(1, 50, `[0-9]+`)
	roleRule        = pattern(1, 512, `arn:.*:iam::\d{12}:role/[a-zA-Z_0-9+=,.@\-_/]+`)
	bucketRule      = pattern(1, 2048, `arn:.*:s3:::[\w\.\-]{1,255}`)
	streamARNRule   = pattern(1, 512, `arn:.*:kinesis:[a-zA-Z0-9\-]+:\d{12}:stream/[a-zA-Z0-9_.-]+`)
	keyARNRule      = pattern(1, 512, `arn:.*:kms:[a-zA-Z0-9\-]+:\d{12}:(key|alias)/[a-zA-Z_0-9+=,.@\-_/]+`)
	tagKeyRule      = rule{
		// The model's look-ahead is not in Go's language: the expression without it, and the prefix is looked at apart.
		least: 1, most: 128, pattern: regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:\/=+\-@%]*$`),
		shown: `^(?!aws:)[\p{L}\p{Z}\p{N}_.:\/=+\-@%]*$`,
	}
	tagValueRule = pattern(0, 256, `^[\p{L}\p{Z}\p{N}_.:\/=+\-@%]*$`)
	typeRule     = rule{values: []string{directPut, kinesisSource, "MSKAsSource", "DatabaseAsSource"}}
	keyTypeRule  = rule{values: []string{ownedKey, customerKey}}
)

// required checks a text that must be there.
func (v *violations) required(member string, value *string, r rule) {
	if value == nil {
		v.add("null", member, "not be null")
		return
	}
	v.optional(member, value, r)
}

// optional checks a text that may be missing.
func (v *violations) optional(member string, value *string, r rule) {
	if value == nil {
		return
	}
	shown := "'" + *value + "'"
	if r.values != nil {
		if !slices.Contains(r.values, *value) {
			v.add(shown, member, "satisfy enum value set: [%s]", strings.Join(r.values, ", "))
		}
		return
	}
	switch length := utf8.RuneCountInString(*value); {
	case length < r.least:
		v.add(shown, member, "have length greater than or equal to %d", r.least)
	case length > r.most:
		v.add(shown, member, "have length less than or equal to %d", r.most)
	}
	if !r.pattern.MatchString(*value) {
		v.add(shown, member, "satisfy regular expression pattern: %s", r.shown)
	}
}

// limit checks the size that a caller wants a page to have.
func (v *violations) limit(value *int32, most int32) {
	switch {
	case value == nil:
	case *value < 1:
		v.add(fmt.Sprintf("'%d'", *value), "limit", "have value greater than or equal to 1")
	case *value > most:
		v.add(fmt.Sprintf("'%d'", *value), "limit", "have value less than or equal to %d", most)
	}
}

// length checks how many elements a list has that must be there.
func (v *violations) length(member string, present bool, n, least, most int) {
	switch {
	case !present:
		v.add("null", member, "not be null")
	case n < least:
		v.add("'[]'", member, "have length greater than or equal to %d", least)
	case n > most:
		v.add(fmt.Sprintf("'[%d elements]'", n), member, "have length less than or equal to %d", most)
	}
}

// members are those of a JSON object that is kept as it was given. Once it is built, it is never changed: an answer that has it can be
// encoded outside the lock.
type members map[string]json.RawMessage

// given tells whether a member is there: null is no value.
func (m members) given(name string) bool {
	raw, ok := m[name]
	return ok && string(raw) != "null"
}

// text reads a member that is a string; nil when it is not there.
func (m members) text(name string) (*string, *wire.Error) {
	if !m.given(name) {
		return nil, nil
	}
	var value string
	if err := json.Unmarshal(m[name], &value); err != nil {
		return nil, serialization(err)
	}
	return &value, nil
}

// object reads a member that is an object; nil when it is not there.
func (m members) object(name string) (members, *wire.Error) {
	if !m.given(name) {
		return nil, nil
	}
	value := members{}
	if err := json.Unmarshal(m[name], &value); err != nil {
		return nil, serialization(err)
	}
	return value, nil
}

// path is a member's name as validation messages have it.
func path(names ...string) string {
	for i, name := range names {
		if name != "" {
			names[i] = strings.ToLower(name[:1]) + name[1:]
		}
	}
	return strings.Join(names, ".")
}
