package kinesis

import (
	"fmt"
	"sort"
	"time"
)

// record is one stored record. Nothing of it ever changes, so that a page can be encoded while the shard goes on.
type record struct {
	data    []byte
	key     string
	arrival int64 // Unix milliseconds, as the API reports it
	kms     bool  // encrypted
}

func (r *record) size() int { return len(r.data) + len(r.key) }

// shard is one shard. Its lineage and range never change.
type shard struct {
	id               string
	parent, adjacent string
	keys             hashRange
	sequence         sequence
	created, closed  time.Time // closed is zero while the shard takes records

	records []record // those within retention, oldest first
	trimmed uint64   // how many came before records[0]
	dead    int      // how many trimmed records the array under records still holds

	meter   meter
	waiting []*Subscription // those that wait for more records, or for the shard's end
}

// count is the number of records that were ever put, and the index of the next one.
func (sh *shard) count() uint64 { return sh.trimmed + uint64(len(sh.records)) }

func (sh *shard) open() bool { return sh.closed.IsZero() }

// trim drops what arrived before the horizon.
//
// Dropped records are not cleared in place: a GetRecords that took its page before may be encoding them, outside the lock. Instead the
// rest moves to a new array once the dropped part outweighs it.
func (sh *shard) trim(horizon time.Time) {
	n := sh.arrivedBefore(horizon.UnixMilli())
	if n == 0 {
		return
	}
	sh.trimmed += uint64(n)
	sh.records = sh.records[n:]
	if sh.dead += n; sh.dead > len(sh.records) {
		sh.records = append([]record(nil), sh.records...)
		sh.dead = 0
	}
}

// arrivedBefore is how many of the kept records arrived before ms. Arrival times never go back.
func (sh *shard) arrivedBefore(ms int64) int {
	if len(sh.records) == 0 || sh.records[0].arrival >= ms {
		return 0 // nearly always
	}
	return sort.Search(len(sh.records), func(i int) bool { return sh.records[i].arrival >= ms })
}

// The statuses of a stream.
const (
	statusCreating = "CREATING"
	statusActive   = "ACTIVE"
	statusUpdating = "UPDATING"
	statusDeleting = "DELETING"
)

type stream struct {
	name, arn string
	id        uint64 // tells streams of one name apart
	created   time.Time
	trimmedTo time.Time // by Trim; retention may be further
	last      time.Time // the newest time that instant gave
	configuration
	labels

	doing string    // what the stream is until then, when it is ACTIVE again or gone
	until time.Time // zero: nothing is being done

	shards  []*shard          // those that are not expired, by id
	byID    map[string]*shard // the same
	serving []*shard          // the open ones, by hash key
	made    int               // shards ever; numbers the next one

	consumers []*consumer // by name
	turn      int         // the place in serving of the shard that takes the next record without a key

	calls map[string]*bucket     // by operation
	done  map[string][]time.Time // what may be done only so often in 24 hours
}

// configuration is what operations on a stream's settings change.
type configuration struct {
	Mode      string
	Retention time.Duration
	MaxRecord int    // KiB
	KMSKey    string // empty: not encrypted
	Metrics   []string
	Warm      int  // MiB a second
	Spread    bool // records go to any shard, whatever their keys
}

// status is what a stream is now.
func (st *stream) status(now time.Time) string {
	if now.Before(st.until) {
		return st.doing
	}
	return statusActive
}

// gone reports whether the stream's deletion is over.
func (st *stream) gone(now time.Time) bool {
	return st.doing == statusDeleting && !now.Before(st.until)
}

// begin puts the stream into a status for d. What the status stands for has been done already, but for a deletion.
func (st *stream) begin(status string, now time.Time, d time.Duration) {
	st.doing, st.until = status, now.Add(d)
}

// instant gives the times of a stream's events: now, but each later than the one before. Two reshardings at one instant of a test's
// virtual clock must still come one after the other, or "which shards were open at t" had no answer.
func (st *stream) instant(now time.Time) time.Time {
	if !now.After(st.last) {
		now = st.last.Add(1)
	}
	st.last = now
	return now
}

// horizon is the oldest arrival time that can still be read.
func (st *stream) horizon(now time.Time) time.Time {
	oldest := st.created
	if kept := now.Add(-st.Retention); kept.After(oldest) {
		oldest = kept
	}
	if st.trimmedTo.After(oldest) {
		oldest = st.trimmedTo
	}
	return oldest
}

// expire forgets the shards that were closed before everything that is kept.
func (st *stream) expire(now time.Time) {
	horizon := st.horizon(now)
	kept := st.shards[:0]
	for _, sh := range st.shards {
		if !sh.open() && sh.closed.Before(horizon) {
			delete(st.byID, sh.id)
			continue
		}
		kept = append(kept, sh)
	}
	clear(st.shards[len(kept):])
	st.shards = kept
}

// add makes a shard. The caller rebuilds serving with route.
func (st *stream) add(at time.Time, epoch uint64, keys hashRange, parent, adjacent string) *shard {
	sh := &shard{
		id:     fmt.Sprintf("shardId-%012d", st.made),
		parent: parent, adjacent: adjacent,
		keys:     keys,
		sequence: newSequence(epoch),
		created:  at,
	}
	st.made++
	st.shards = append(st.shards, sh)
	st.byID[sh.id] = sh
	return sh
}

// route rebuilds the table by which records find their shards.
func (st *stream) route() {
	st.serving = nil
	for _, sh := range st.shards {
		if sh.open() {
			st.serving = append(st.serving, sh)
		}
	}
	sort.Slice(st.serving, func(i, j int) bool { return st.serving[i].keys.start.compare(st.serving[j].keys.start) < 0 })
}

// owner is the open shard that takes k. The open shards' ranges cover the ring without a gap.
func (st *stream) owner(k hashKey) *shard {
	i := sort.Search(len(st.serving), func(i int) bool { return st.serving[i].keys.end.compare(k) >= 0 })
	return st.serving[i]
}

// children are the shards that were made of one.
func (st *stream) children(id string) []*shard {
	var found []*shard
	for _, sh := range st.shards {
		if sh.parent == id || sh.adjacent == id {
			found = append(found, sh)
		}
	}
	return found
}
