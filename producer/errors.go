package producer

import (
	"errors"
	"fmt"
	"time"
)

var (
	// ErrClosed: the producer takes no records any more, or was closed before this one could be stored.
	ErrClosed = errors.New("producer: closed")

	// ErrFull: TryPut found no space in the buffer.
	ErrFull = errors.New("producer: buffer full")

	// ErrExpired: the record was not stored within Config.RecordTTL.
	ErrExpired = errors.New("producer: record outlived RecordTTL")

	// ErrPredecessor: with Config.Ordered, an earlier record of the same key failed, and this one was put before the program was told.
	ErrPredecessor = errors.New("producer: an earlier record of the key failed")
)

// InvalidError is a setting or a record that cannot be used. Nothing was accepted.
type InvalidError struct {
	Field   string // of Config or Record
	Problem string
}

func (e *InvalidError) Error() string { return fmt.Sprintf("producer: %s %s", e.Field, e.Problem) }

// RecordError is the fate of a record that is not known to be stored.
type RecordError struct {
	Record Record

	// Attempts are the requests that carried the record, oldest first. Of a record that was tried very often, the first 32 and the latest 32.
	Attempts []Attempt

	// MayExist: the record may be in the stream all the same: an attempt had no answer, or the record was in an aggregate that reached a shard which
	// does not hold all of it. Putting it again may store it twice. If false, it is certainly not there.
	MayExist bool

	// Err is ErrExpired, ErrClosed, ErrPredecessor, from PutAll the error of its ctx, or the service's typed error, for instance a
	// *types.ResourceNotFoundException of the SDK.
	Err error
}

func (e *RecordError) Error() string {
	may := ""
	if e.MayExist {
		may = ", may be stored"
	}
	return fmt.Sprintf("producer: record with partition key %.64q: %d attempts%s: %v", e.Record.PartitionKey, len(e.Attempts), may, e.Err)
}

// Unwrap returns Err, so that errors.Is and errors.As reach it.
func (e *RecordError) Unwrap() error { return e.Err }

// Attempt is one request that carried a record.
type Attempt struct {
	Waited time.Duration // since the record was accepted or the attempt before ended
	Took   time.Duration // from sending to the answer, or to giving up on one
	Shard  string        // where it was stored; empty if it was not

	// Code is the service's error code, WrongShard for an aggregate that was stored on a shard which does not hold all of it, RequestTimeout for a
	// request that had no answer in time, or NoAnswer for one whose connection broke. Message is the service's, or the error's text.
	Code, Message string
}
