package reset

import (
	"maps"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
)

// Target is where an application should stand: made by Oldest, Now, Time or Exactly. The zero value is no target.
type Target struct {
	kind  targetKind
	at    time.Time
	named map[string]checkpoint.Position
}

type targetKind int

const (
	noTarget targetKind = iota
	oldest
	now
	atTime
	exactly
)

// Oldest is the oldest record that the stream still has.
func Oldest() Target { return Target{kind: oldest} }

// Now is Time with the service's clock when [Make] asks it, which shows whole seconds: what is in the stream already is skipped, but for what arrived in the
// second that has begun. What is stored is a place beside a record, not LATEST, so nothing is lost that arrives before a worker starts.
func Now() Target { return Target{kind: now} }

// Time is the first record of each shard that arrived at t or later, as the service tells it, to the millisecond. A time before the end of retention is
// the oldest record, with a warning; one in the future is refused. Arrival times of neighbours may be out of order by a little; the service's search decides.
func Time(t time.Time) Target { return Target{kind: atTime, at: t} }

// Exactly is a position for each shard that is named, as another application has them or a file remembers them: a sequence number, TRIM_HORIZON, or SHARD_END
// for a closed shard of which nothing is left. Descendants of a shard that is not at its end start over, whether they are named or not; other shards stay
// where they are. What would break the order is refused: a shard that begins, or is finished, while an ancestor is not.
func Exactly(byShard map[string]checkpoint.Position) Target {
	return Target{kind: exactly, named: maps.Clone(byShard)}
}
