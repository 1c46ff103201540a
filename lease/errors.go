package lease

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrLost is the cause with which a tenure's context ends, and what every method of a [Tenure] answers, once the lease may belong to another worker.
	ErrLost = errors.New("lease: lost")

	// ErrNotFound is answered by Store.Get for a key that has no row.
	ErrNotFound = errors.New("lease: not found")

	// ErrExists is answered by Store.Create for a key that has a row already.
	ErrExists = errors.New("lease: exists")

	// ErrRunning is answered by Run when it was called before.
	ErrRunning = errors.New("lease: coordinator was started before")

	errNoClock = errors.New("lease: the service does not show its clock, which an application that begins now is to begin at")

	errUnconditional = errors.New("lease: a write needs a condition")
)

// ConflictError says that a conditional write was refused: nothing was written.
type ConflictError struct {
	Key     string
	Current *Lease // the row that refused it; nil if the store could not say
	Absent  bool   // the store knows that there is no such row
}

func (e *ConflictError) Error() string {
	switch {
	case e.Absent:
		return fmt.Sprintf("lease %s: condition refused: no such row", e.Key)
	case e.Current != nil:
		return fmt.Sprintf("lease %s: condition refused: owner %q, counter %d, checkpoint %s", e.Key, e.Current.Owner, e.Current.Counter, e.Current.Checkpoint.Position)
	}
	return fmt.Sprintf("lease %s: condition refused", e.Key)
}

// RowError names a row of the table that cannot be read as a lease. Such a row is reported and left alone.
type RowError struct {
	Key       string // the row's key, if that could be read
	Attribute string
	Reason    string
}

func (e *RowError) Error() string {
	return fmt.Sprintf("lease row %q: attribute %s: %s", e.Key, e.Attribute, e.Reason)
}

// TableError says that the lease table cannot be used, now or ever, without somebody's help.
type TableError struct {
	Table   string
	Problem string
	Err     error // the service's error, if there was one
}

func (e *TableError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("lease table %s: %s: %v", e.Table, e.Problem, e.Err)
	}
	return fmt.Sprintf("lease table %s: %s", e.Table, e.Problem)
}

func (e *TableError) Unwrap() error { return e.Err }

// ConfigError names a field of [Config] that cannot be worked with.
type ConfigError struct{ Field, Problem string }

func (e *ConfigError) Error() string { return fmt.Sprintf("lease config: %s: %s", e.Field, e.Problem) }

// DrainError is Shutdown's answer when its ctx ended before every lease could be given back. The leases it names were not released, since user code was
// still running under them: they expire.
type DrainError struct{ Keys []string }

func (e *DrainError) Error() string {
	return fmt.Sprintf("lease: not released, left to expire: %s", strings.Join(e.Keys, ", "))
}
