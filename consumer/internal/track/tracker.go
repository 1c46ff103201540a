package track

import (
	"container/heap"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
)

// Limits bound the window, which reaches from the oldest record that is not done to the newest that was added. It has room for one more record as long
// as it is within all of them.
type Limits struct {
	Records int
	Bytes   int64
	Age     time.Duration // of the oldest record that is not done
}

// Tracker is the window. Records are added in the order of the shard, begin in the order of their key, one of a key at a time, and end in any order.
// T is what the caller works with. Not safe for concurrent use.
type Tracker[T any] struct {
	limits  Limits
	window  []*entry[T] // by position; the first is not done
	next    uint64      // id of the next entry
	bytes   int64       // of the window
	undone  int         // of the window
	running int

	keys   map[string]*key[T]
	ready  []*key[T] // those with a record that may begin, in the order in which it could
	parked parking[T]

	done   checkpoint.Position // everything up to here is done
	moved  bool                // since the last Progress
	begun  uint64              // behind the last id that began
	closed bool
	limit  uint64 // once it is closed: nothing from here on begins
}

// entry is one record, or the end of a page of which nothing behind the last record needs to be done.
type entry[T any] struct {
	id    uint64
	key   *key[T] // nil: it was done from the beginning
	at    checkpoint.Position
	bytes int64
	added time.Time
	done  bool
	due   time.Time // while it is parked
	item  T
}

// key is a partition key with the records of it that are not done. The first of them is the one that runs, is parked, or may begin.
type key[T any] struct {
	name  string
	queue []*entry[T]
}

// New returns an empty Tracker.
func New[T any](l Limits) *Tracker[T] {
	return &Tracker[T]{limits: l, keys: make(map[string]*key[T])}
}

// Full reports whether nothing should be added now.
func (t *Tracker[T]) Full(now time.Time) bool {
	if len(t.window) == 0 {
		return false
	}
	return len(t.window) >= t.limits.Records || t.bytes >= t.limits.Bytes || now.Sub(t.window[0].added) >= t.limits.Age
}

// Low reports whether a quarter of the window is free: time to go on adding, if it was full. The age is not looked at.
func (t *Tracker[T]) Low() bool {
	return len(t.window) <= t.limits.Records/4*3 && t.bytes <= t.limits.Bytes/4*3
}

// Add appends a record; at is behind everything that was added before.
func (t *Tracker[T]) Add(partitionKey string, at checkpoint.Position, bytes int, now time.Time, item T) {
	k := t.keys[partitionKey]
	if k == nil {
		k = &key[T]{name: partitionKey}
		t.keys[partitionKey] = k
	}
	e := &entry[T]{id: t.next, key: k, at: at, bytes: int64(bytes), added: now, item: item}
	t.next++
	t.window = append(t.window, e)
	t.bytes += e.bytes
	t.undone++
	if k.queue = append(k.queue, e); len(k.queue) == 1 {
		t.ready = append(t.ready, k)
	}
}

// Pass says that nothing more needs to be done up to p, which is behind everything that was added before: once that is done, p is.
func (t *Tracker[T]) Pass(p checkpoint.Position) {
	if len(t.window) == 0 {
		t.progress(p)
		return
	}
	if last := t.window[len(t.window)-1]; last.key == nil {
		last.at = p // so that a shard of which nothing is delivered does not fill the window
		return
	}
	t.window = append(t.window, &entry[T]{id: t.next, at: p, done: true})
	t.next++
}

// Next begins a record: none of its key runs, and all that stood before it with its key are done. ok is false if there is none that may begin.
func (t *Tracker[T]) Next() (id uint64, item T, ok bool) {
	for len(t.ready) > 0 {
		k := t.ready[0]
		t.ready[0] = nil
		t.ready = t.ready[1:]
		e := k.queue[0]
		if t.closed && e.id >= t.limit {
			continue // it stays undone
		}
		t.running++
		t.begun = max(t.begun, e.id+1)
		return e.id, e.item, true
	}
	return 0, item, false
}

// Ready is how many records may begin at the most.
func (t *Tracker[T]) Ready() int { return len(t.ready) }

// Done ends a record that runs, for good.
func (t *Tracker[T]) Done(id uint64) {
	e := t.at(id)
	e.done = true
	t.running--
	t.undone--
	var none T
	e.item = none // nothing of it is needed any more, though its place is
	k := e.key
	k.queue[0] = nil
	if k.queue = k.queue[1:]; len(k.queue) > 0 {
		t.ready = append(t.ready, k)
	} else {
		delete(t.keys, k.name)
	}
	for len(t.window) > 0 && t.window[0].done {
		first := t.window[0]
		t.window[0] = nil
		t.window = t.window[1:]
		t.bytes -= first.bytes
		t.progress(first.at)
	}
}

// Park ends a record that runs and is to begin again when its time has come. Its key waits with it.
func (t *Tracker[T]) Park(id uint64, until time.Time) {
	e := t.at(id)
	e.due = until
	t.running--
	heap.Push(&t.parked, e)
	if t.closed {
		t.limit = min(t.limit, id)
	}
}

// Due is when the first parked record may begin again; ok is false if none is parked.
func (t *Tracker[T]) Due() (at time.Time, ok bool) {
	if len(t.parked) == 0 {
		return time.Time{}, false
	}
	return t.parked[0].due, true
}

// Wake lets the parked records begin whose time has come.
func (t *Tracker[T]) Wake(now time.Time) {
	for len(t.parked) > 0 && !t.parked[0].due.After(now) {
		e := heap.Pop(&t.parked).(*entry[T])
		e.due = time.Time{}
		t.ready = append(t.ready, e.key)
	}
}

// Close lets only those begin that have to, so that what was done can count: records in front of one that began, unless one that is parked stands
// before them, since nothing behind that counts. Nothing may be added afterwards.
func (t *Tracker[T]) Close() {
	t.closed, t.limit = true, t.begun
	for _, e := range t.parked {
		t.limit = min(t.limit, e.id)
	}
}

// Progress returns the position up to which everything is done. moved reports whether it is another than the last time; the zero position says that
// nothing was done yet.
func (t *Tracker[T]) Progress() (p checkpoint.Position, moved bool) {
	moved, t.moved = t.moved, false
	return t.done, moved
}

// Undone is how many records were added and are not done, Running how many of them run, Parked how many are parked.
func (t *Tracker[T]) Undone() int { return t.undone }

// Running is how many records run.
func (t *Tracker[T]) Running() int { return t.running }

// Parked is how many records are parked.
func (t *Tracker[T]) Parked() int { return len(t.parked) }

// Oldest is the oldest record that is not done: its key, its place, and when it was added. ok is false if there is none.
func (t *Tracker[T]) Oldest() (key string, at checkpoint.Position, added time.Time, ok bool) {
	if len(t.window) == 0 {
		return "", checkpoint.Position{}, time.Time{}, false
	}
	e := t.window[0]
	return e.key.name, e.at, e.added, true
}

// Stuck reports whether the oldest record that is not done is parked.
func (t *Tracker[T]) Stuck() bool { return len(t.window) > 0 && !t.window[0].due.IsZero() }

func (t *Tracker[T]) progress(p checkpoint.Position) { t.done, t.moved = p, true }

// at finds an entry of the window, whose ids have no gap.
func (t *Tracker[T]) at(id uint64) *entry[T] { return t.window[id-t.window[0].id] }

// parking is a heap of what is parked, by time and then by place.
type parking[T any] []*entry[T]

func (p parking[T]) Len() int { return len(p) }

func (p parking[T]) Less(i, j int) bool {
	if !p[i].due.Equal(p[j].due) {
		return p[i].due.Before(p[j].due)
	}
	return p[i].id < p[j].id
}

func (p parking[T]) Swap(i, j int) { p[i], p[j] = p[j], p[i] }

// Push is for package heap.
func (p *parking[T]) Push(x any) { *p = append(*p, x.(*entry[T])) }

// Pop is for package heap.
func (p *parking[T]) Pop() any {
	last := (*p)[len(*p)-1]
	(*p)[len(*p)-1] = nil
	*p = (*p)[:len(*p)-1]
	return last
}
