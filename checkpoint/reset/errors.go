package reset

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrChanged is why a row was not written: it is not as it was planned, since somebody has written it in between. A new plan sees it as it is.
	ErrChanged = errors.New("reset: row was changed in between")

	// ErrAncestor is why a row was not written: an ancestor's could not be, and the shard may not start over before it.
	ErrAncestor = errors.New("reset: row of an ancestor was not written")

	// ErrBackup is answered by Undo for a backup that is none, before anything was written.
	ErrBackup = errors.New("reset: backup cannot be read")

	// ErrIncomplete is answered by Make when listings of the stream lack a part of the ring: nothing can be concluded from what they do not show.
	ErrIncomplete = errors.New("reset: open shards do not cover all hash keys")
)

// TargetError says that an application cannot stand there.
type TargetError struct {
	Shard   string // empty if it is not about a single one
	Problem string
}

func (e *TargetError) Error() string {
	if e.Shard == "" {
		return "reset: target: " + e.Problem
	}
	return fmt.Sprintf("reset: target: shard %s: %s", e.Shard, e.Problem)
}

// ActiveError is Execute's refusal: counters moved while it watched, so workers are running. Nothing was written.
type ActiveError struct{ Owners []string }

func (e *ActiveError) Error() string {
	return "reset: application is running: " + strings.Join(e.Owners, ", ")
}

// FailedError names a row that was not written, or of which that is not known. Err matches ErrChanged, ErrAncestor, or is what the store answered last.
type FailedError struct {
	Key string
	Err error
}

func (e *FailedError) Error() string { return fmt.Sprintf("reset: lease %s: %v", e.Key, e.Err) }
func (e *FailedError) Unwrap() error { return e.Err }
