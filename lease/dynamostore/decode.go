package dynamostore

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/lease"
	"github.com/kinesiskit/kinesiskit/shard"
)

// quoted bounds what a message repeats of a value, which may have 400 KB.
const quoted = 64

// decode reads a row as a lease; a row that is none is a *lease.RowError.
func decode(item map[string]types.AttributeValue) (lease.Lease, error) {
	r := &reader{item: item}
	r.key = r.need(attrKey)
	r.kind()
	l := lease.Lease{
		Key:             r.key,
		Owner:           r.owner(attrOwner),
		CheckpointOwner: r.owner(attrCheckpointOwner),
		AskedBy:         r.owner(attrAskedBy),
		AskedOf:         r.owner(attrAskedOf),
		Speaks:          r.owner(attrSpeaks),
		Counter:         r.counter(),
		OwnerSwitches:   r.number(attrOwnerSwitches),
		Checkpoint:      r.checkpoint(),
		Parents:         r.set(attrParents),
		Children:        r.set(attrChildren),
		HashRange:       r.hashRange(),
		Stream:          r.text(attrStream),
		FailoverTime:    r.failover(),
		StartAt:         r.instant(attrStartAt),
		First:           r.first(),
		ReadTo:          r.instant(attrReadTo),
	}
	if r.err != nil {
		return lease.Lease{}, r.err
	}
	return l, nil
}

// reader reads attributes and keeps the first thing that is wrong.
type reader struct {
	item map[string]types.AttributeValue
	key  string
	err  *lease.RowError
}

func (r *reader) wrong(attribute, format string, args ...any) {
	if r.err == nil {
		r.err = &lease.RowError{Key: r.key, Attribute: attribute, Reason: fmt.Sprintf(format, args...)}
	}
}

func (r *reader) wrongType(attribute string, got types.AttributeValue, want string) {
	r.wrong(attribute, "is of type %s, not %s", strings.TrimPrefix(fmt.Sprintf("%T", got), "*types.AttributeValueMember"), want)
}

func (r *reader) has(attribute string) bool {
	_, ok := r.item[attribute]
	return ok
}

// text is empty if there is no such attribute.
func (r *reader) text(attribute string) string {
	switch v := r.item[attribute].(type) {
	case nil:
		return ""
	case *types.AttributeValueMemberS:
		return v.Value
	default:
		r.wrongType(attribute, v, "S")
		return ""
	}
}

func (r *reader) need(attribute string) string {
	value := r.text(attribute)
	if value == "" {
		r.wrong(attribute, "is missing or empty")
	}
	return value
}

// owner must not be empty where it is present: the condition "nobody" is absence, so such a lease could never be taken.
func (r *reader) owner(attribute string) string {
	if !r.has(attribute) {
		return ""
	}
	return r.need(attribute)
}

// number is 0 if there is no such attribute.
func (r *reader) number(attribute string) int64 {
	switch v := r.item[attribute].(type) {
	case nil:
		return 0
	case *types.AttributeValueMemberN:
		n, err := strconv.ParseInt(v.Value, 10, 64)
		if err != nil {
			r.wrong(attribute, "%.*q is not a whole number of 64 bits", quoted, v.Value)
		}
		return n
	default:
		r.wrongType(attribute, v, "N")
		return 0
	}
}

func (r *reader) set(attribute string) []string {
	switch v := r.item[attribute].(type) {
	case nil:
		return nil
	case *types.AttributeValueMemberSS:
		return slices.Sorted(slices.Values(v.Value)) // a set has no order, so that of the answer is an accident
	default:
		r.wrongType(attribute, v, "SS")
		return nil
	}
}

// kind refuses rows that are something else, before their attributes are complained about one by one.
func (r *reader) kind() {
	if r.has(attrEntityType) {
		if kind := r.text(attrEntityType); kind != entityLease {
			r.wrong(attrEntityType, "%.*q is not %s", quoted, kind, entityLease)
		}
	}
	for _, attribute := range [...]string{attrStreamName, attrShardID} {
		if r.has(attribute) {
			r.wrong(attribute, "this table holds rows of an application that reads several streams")
		}
	}
}

func (r *reader) counter() int64 {
	if !r.has(attrCounter) {
		r.wrong(attrCounter, "is missing")
	}
	return r.number(attrCounter)
}

func (r *reader) checkpoint() checkpoint.Checkpoint {
	c := checkpoint.Checkpoint{Position: r.position(attrCheckpoint, attrCheckpointSub)}
	if !r.has(attrCheckpoint) && r.has(attrCheckpointSub) {
		r.wrong(attrCheckpoint, "is missing, its sub-sequence number is not")
	}
	if !r.has(attrPending) {
		return c
	}
	c.Pending = r.position(attrPending, attrPendingSub)
	switch v := r.item[attrPendingState].(type) {
	case nil:
	case *types.AttributeValueMemberN:
		// Java's way of creating a row writes a sub-sequence number here by mistake. It stays in the row; the application's bytes it is not.
	case *types.AttributeValueMemberB:
		if len(v.Value) > 0 {
			c.State = v.Value
		}
	default:
		r.wrongType(attrPendingState, v, "B")
	}
	return c
}

// position reads a place from two attributes. The sub-sequence number of a sentinel means nothing and is passed over, so that somebody who sets a row
// to TRIM_HORIZON by hand need not know of it.
func (r *reader) position(sequence, sub string) checkpoint.Position {
	if !r.has(sequence) {
		return checkpoint.Position{}
	}
	name, within := r.text(sequence), r.number(sub)
	if p, err := checkpoint.Parse(name); err == nil && p.IsSentinel() {
		return p
	}
	p, err := checkpoint.At(name, 0)
	if err != nil {
		r.wrong(sequence, "%.*q is neither a sequence number nor a sentinel", quoted, name)
		return p
	}
	if p, err = checkpoint.At(name, within); err != nil {
		r.wrong(sub, "%d is not a sub-sequence number", within)
	}
	return p
}

// hashRange is unknown unless both ends are there, as for KCL.
func (r *reader) hashRange() shard.HashRange {
	start, end := r.text(attrStartingHashKey), r.text(attrEndingHashKey)
	if start == "" || end == "" {
		return shard.HashRange{}
	}
	keys, err := shard.ParseHashRange(start, end)
	if err != nil {
		attribute := attrStartingHashKey
		if _, err := shard.ParseHashKey(start); err == nil {
			attribute = attrEndingHashKey
		}
		r.wrong(attribute, "not a hash range: %v", cause(err))
	}
	return keys
}

// cause is the innermost error; those around it repeat the value.
func cause(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

func (r *reader) failover() time.Duration {
	ms := r.number(attrFailover)
	if ms < 0 || ms > maxMilliseconds {
		r.wrong(attrFailover, "%d is not a number of milliseconds", ms)
		return 0
	}
	return time.Duration(ms) * time.Millisecond
}

// instant is the zero time if there is no such attribute. One before 1970, or that no time.Time can hold, is none.
func (r *reader) instant(attribute string) time.Time {
	if !r.has(attribute) {
		return time.Time{}
	}
	ms := r.number(attribute)
	if ms <= 0 || ms > maxMilliseconds {
		r.wrong(attribute, "%d is not a time in Unix milliseconds", ms)
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// first has to be a sequence number: it is compared with those of the stream.
func (r *reader) first() string {
	first := r.text(attrFirst)
	if first == "" {
		return ""
	}
	if _, err := checkpoint.At(first, 0); err != nil {
		r.wrong(attrFirst, "%.*q is not a sequence number", quoted, first)
	}
	return first
}
