package consumer

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

var (
	// ErrRunning is Run's answer to a second call, also after the first one has returned: a Consumer lives once.
	ErrRunning = errors.New("consumer: already running")

	// ErrStopped is the cause with which your contexts end at a hard stop: the time for a graceful one was over.
	ErrStopped = errors.New("consumer: stopped")

	// ErrHalted is what Health says of a shard that the error policy halted, beside the error of your code, and the cause of Close if it was Flush that was
	// halted.
	ErrHalted = errors.New("consumer: shard halted by the error policy")

	// ErrNotHalted is Resume's answer for a shard that this consumer does not hold, or that is not halted.
	ErrNotHalted = errors.New("consumer: shard is not halted here")
)

// ErrExpired is the cause with which Close is called when the shard itself has aged out of the stream before it was read to its end.
var ErrExpired = errors.New("consumer: shard has aged out of the stream")

// Failure is a call of your code that did not succeed, as the error policy and the Failed hook get it.
type Failure struct {
	Shard   *Shard
	Records []Record  // what failed: the record that a *RecordError names, else all that were handed over; empty for open and Flush. Read only
	Err     error     // a *PanicError if it panicked
	Attempt int       // from 1, at this call with these records; after a Skip, a Split or a Resume it begins anew
	Since   time.Time // of the first attempt
}

// RecordError, returned by your code for a batch, says that everything before Record is done and Record is what failed. Record is found by its
// position; a record that is not in the batch makes it an ordinary error. Of a Processor the records before it count as accepted.
type RecordError struct {
	Record *Record
	Err    error
}

func (e *RecordError) Error() string {
	if e.Record == nil {
		return fmt.Sprintf("consumer: record: %v", e.Err)
	}
	return fmt.Sprintf("consumer: record %s: %v", e.Record.Position, e.Err)
}

func (e *RecordError) Unwrap() error { return e.Err }

// PanicError is a panic of your code.
type PanicError struct {
	Value any
	Stack []byte // of the goroutine that panicked, as runtime/debug.Stack has it
}

func (e *PanicError) Error() string { return fmt.Sprintf("consumer: panic: %v", e.Value) }

// Unwrap returns the value of the panic if that is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// ConfigError names something given to New or found by Run that cannot be worked with: a field of Config, by its path ("Polling.MaxRecords"),
// or "Handler", "Store", "Kinesis".
type ConfigError struct {
	Field, Problem string
	Err            error // what said so, if it was not this package
}

func (e *ConfigError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("consumer: config: %s: %s: %v", e.Field, e.Problem, e.Err)
	}
	return fmt.Sprintf("consumer: config: %s: %s", e.Field, e.Problem)
}

func (e *ConfigError) Unwrap() error { return e.Err }

// IdentityError says that the lease table is about another stream, or about one of the same name that was deleted and made again: reading on would take
// one stream's positions for the other's. Nothing was written because of it. To begin anew, give the application another table, or delete this one.
type IdentityError struct {
	Stream string // the one that was to be read
	Shard  string // whose row says otherwise
	Stored string // what the row says: a stream's name, or that of the shard which tells it from another one of the same id
	Found  string // what was found instead
}

func (e *IdentityError) Error() string {
	return fmt.Sprintf("consumer: stream %s: shard %s: the lease table is about another stream: it has %s, found was %s", e.Stream, e.Shard, e.Stored, e.Found)
}

// FleetError says that workers of KCL 3.x run this application, and live. Their leader assigns shards, so a worker that takes them cannot join: let them
// stop first, or set their fleet back to the protocol of 2.x (KclMigrationTool). Rows and tables that a stopped fleet left behind do no harm.
type FleetError struct{ Owners []string }

func (e *FleetError) Error() string {
	return fmt.Sprintf("consumer: live workers of KCL 3.x run this application: %s", strings.Join(e.Owners, ", "))
}

// DrainError is Run's answer when a graceful stop was cut short: the leases of these shards were not released, because your code had not returned
// from them. Other workers take them when they have expired; nothing is lost.
type DrainError struct{ Shards []string }

func (e *DrainError) Error() string {
	return fmt.Sprintf("consumer: stopped before these shards were released: %s", strings.Join(e.Shards, ", "))
}
