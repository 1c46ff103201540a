package history

import (
	"fmt"
	"slices"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/shard"
)

// Copy is one user record where it stands in the stream. A record that was sent more than once has several.
type Copy struct {
	ID       string // of the record, the same for all of its copies
	Key      string // partition key
	Shard    string
	Position checkpoint.Position
	Hash     shard.HashKey // decides whether the shard is the record's own
}

// Row is what a lease's row says.
type Row struct {
	Key, Owner string
	Counter    int64
	Checkpoint checkpoint.Position
}

// Checker holds the invariants over one run. Not safe for concurrent use: events have an order.
type Checker struct {
	wrong []string

	shards  map[string]*shardLife
	copies  map[string][]*copyLife // by id
	keys    map[string]*keyLife
	ordered map[string][]string // of keys whose records have an order: their ids as they were accepted
	fates   map[string]int      // of accepted records: how often each was settled
	acked   map[string]Copy
	stored  int
	handled int
}

type copyLife struct {
	Copy
	own     bool // the shard's range has it
	at      int  // among its key's
	handled bool
}

// shardLife is one shard's records in order, and how far they are handled.
type shardLife struct {
	info    shard.Shard
	copies  []*copyLife
	next    int // copies before it are handled, or not this shard's
	started bool
	row     *Row
	highest checkpoint.Position // ever stored
	tenures map[string]checkpoint.Position
	counter int64 // of the latest tenure that code was called for
}

// keyLife is one partition key's copies in the order of the stream.
type keyLife struct {
	copies []*copyLife
	next   int
}

// New returns a checker of an empty history.
func New() *Checker {
	return &Checker{
		shards: map[string]*shardLife{}, copies: map[string][]*copyLife{}, keys: map[string]*keyLife{}, ordered: map[string][]string{}, fates: map[string]int{}, acked: map[string]Copy{},
	}
}

// Wrong returns every violation so far, in order.
func (c *Checker) Wrong() []string { return slices.Clone(c.wrong) }

func (c *Checker) violated(rule, format string, args ...any) {
	c.wrong = append(c.wrong, rule+": "+fmt.Sprintf(format, args...))
}

// Shard tells of a shard that is there from now on.
func (c *Checker) Shard(s shard.Shard) {
	if c.shards[s.ID] == nil {
		c.shards[s.ID] = &shardLife{info: s, tenures: map[string]checkpoint.Position{}}
	}
}

// Stored tells that the service has put a copy behind all others of its shard.
func (c *Checker) Stored(r Copy) {
	s := c.shards[r.Shard]
	if s == nil {
		c.violated("truth", "%s is stored on %s, which nobody has made", r.ID, r.Shard)
		return
	}
	if n := len(s.copies); n > 0 && r.Position.Compare(s.copies[n-1].Position) <= 0 {
		c.violated("truth", "%s: %v is stored behind %v", r.Shard, r.Position, s.copies[n-1].Position)
	}
	l := &copyLife{Copy: r, own: s.info.Range.Contains(r.Hash)}
	s.copies = append(s.copies, l)
	c.copies[r.ID] = append(c.copies[r.ID], l)
	c.stored++
	s.advance()
	if !l.own {
		return
	}
	k := c.keys[r.Key]
	if k == nil {
		k = &keyLife{}
		c.keys[r.Key] = k
	}
	l.at = len(k.copies)
	k.copies = append(k.copies, l)
}

// Ordered tells that records of a key are to be stored in the order in which they were accepted, until one of them is not stored at all.
func (c *Checker) Ordered(key string) { c.ordered[key] = nil }

// inPutOrder judges the first copies of the keys that have an order.
func (c *Checker) inPutOrder() {
	for _, key := range sorted(c.ordered) {
		last, of := -1, ""
		for _, id := range c.ordered[key] {
			first := slices.IndexFunc(c.copies[id], func(l *copyLife) bool { return l.own })
			if first < 0 {
				continue
			}
			if at := c.copies[id][first].at; at < last {
				c.violated("P3", "key %s: %s was accepted before %s, and its first copy stands behind", key, of, id)
			} else {
				last, of = at, id
			}
		}
	}
}

// Accepted tells that a producer has taken a record of a key.
func (c *Checker) Accepted(id, key string) {
	if ids, ordered := c.ordered[key]; ordered {
		c.ordered[key] = append(ids, id)
	}
	if _, ok := c.fates[id]; ok {
		c.violated("P2", "%s is accepted twice", id)
	}
	c.fates[id] = 0
}

// Settled tells what a producer said of a record: where it is, or nil if it is not stored.
func (c *Checker) Settled(id string, at *Copy) {
	n, ok := c.fates[id]
	switch {
	case !ok:
		c.violated("P2", "%s is settled and was not accepted", id)
	case n > 0:
		c.violated("P2", "%s is settled twice", id)
	}
	c.fates[id] = n + 1
	if at == nil {
		return
	}
	c.acked[id] = *at
	if !slices.ContainsFunc(c.copies[id], func(l *copyLife) bool { return l.Shard == at.Shard && l.Position == at.Position }) {
		c.violated("P1", "%s is acknowledged at %s %v, where it is not", id, at.Shard, at.Position)
	}
}

// Began tells that a tenure of a shard begins behind a position, as the program is shown it.
func (c *Checker) Began(tenure, shardID string, start checkpoint.Position) {
	if s := c.shards[shardID]; s != nil {
		s.tenures[tenure] = start
	}
}

// Admitted tells that the program's code is called for a tenure, which the lease's counter names. Once a later one was called for, an earlier one is not.
func (c *Checker) Admitted(tenure, shardID string, counter int64) {
	s := c.shards[shardID]
	if s == nil {
		return
	}
	if counter < s.counter {
		c.violated("C4", "%s: code is called for %s after it was for the tenure of counter %d", shardID, tenure, s.counter)
	}
	s.counter = max(s.counter, counter)
}

// Delivered tells that a record is handed to the program's code.
func (c *Checker) Delivered(tenure, shardID string, p checkpoint.Position, id string) {
	s := c.shards[shardID]
	if s == nil {
		c.violated("truth", "%s is delivered of %s, which nobody has made", id, shardID)
		return
	}
	if !s.started {
		s.started = true
		for _, parent := range s.info.Parents {
			if l := c.shards[parent]; l != nil && l.highest != checkpoint.ShardEnd {
				c.violated("C3", "%s is begun, and its parent %s is not finished", shardID, parent)
			}
		}
	}
	i := s.find(p)
	if i < 0 || s.copies[i].ID != id {
		c.violated("C7", "%s: %s is delivered at %v, where it is not", tenure, id, p)
	}
	if last, ok := s.tenures[tenure]; ok && !last.IsSentinel() && p.Compare(last) <= 0 {
		c.violated("C7", "%s: %s at %v is delivered after %v", tenure, id, p, last)
	}
}

// Handled tells that the program's code has returned nil for it. What it fails at may be delivered to the same tenure once more, what it has done not.
func (c *Checker) Handled(tenure, shardID string, p checkpoint.Position) {
	s := c.shards[shardID]
	if s == nil {
		return
	}
	s.tenures[tenure] = p
	i := s.find(p)
	if i < 0 || s.copies[i].handled {
		return
	}
	l := s.copies[i]
	l.handled = true
	c.handled++
	s.advance()
	c.inOrder(l)
}

// inOrder demands that of one key nothing is handled for the first time before what stands before it.
func (c *Checker) inOrder(l *copyLife) {
	k := c.keys[l.Key]
	if k == nil || !l.own {
		return
	}
	for k.next < len(k.copies) && k.copies[k.next].handled {
		k.next++
	}
	if k.next < len(k.copies) {
		if before := k.copies[k.next]; l.at > k.next {
			c.violated("C7", "key %s: %s on %s is handled before %s on %s", l.Key, l.ID, l.Shard, before.ID, before.Shard)
		}
	}
}

// advance passes what is handled, and what is not the shard's to handle.
func (s *shardLife) advance() {
	for s.next < len(s.copies) && (s.copies[s.next].handled || !s.copies[s.next].own) {
		s.next++
	}
}

func (s *shardLife) find(p checkpoint.Position) int {
	i, ok := slices.BinarySearchFunc(s.copies, p, func(l *copyLife, p checkpoint.Position) int { return l.Position.Compare(p) })
	if !ok {
		return -1
	}
	return i
}

// Committed tells that a row stands in the lease table as it does now.
func (c *Checker) Committed(r Row) {
	s := c.shards[r.Key]
	if s == nil {
		c.violated("C5", "a row of %s, which nobody has made", r.Key)
		return
	}
	before := s.row
	s.row = &r
	if before != nil && r.Counter < before.Counter {
		c.violated("C5", "%s: the counter moved back from %d to %d", r.Key, before.Counter, r.Counter)
	}
	if s.highest != (checkpoint.Position{}) && r.Checkpoint.Compare(s.highest) < 0 {
		c.violated("C2", "%s: the position moved back from %v to %v", r.Key, s.highest, r.Checkpoint)
	}
	if r.Checkpoint.Compare(s.highest) <= 0 && s.highest != (checkpoint.Position{}) {
		return
	}
	s.highest = r.Checkpoint
	if s.next < len(s.copies) {
		if l := s.copies[s.next]; l.Position.Compare(r.Checkpoint) <= 0 {
			c.violated("C1", "%s: %v is stored, and %s at %v is not handled", r.Key, r.Checkpoint, l.ID, l.Position)
		}
	}
}

// Deleted tells that a row is gone.
func (c *Checker) Deleted(key string) {
	s := c.shards[key]
	if s == nil {
		return
	}
	if s.highest != checkpoint.ShardEnd {
		c.violated("C3b", "the row of %s is deleted at %v", key, s.highest)
	}
	for id, child := range c.shards {
		if slices.Contains(child.info.Parents, key) && child.highest == (checkpoint.Position{}) {
			c.violated("C3b", "the row of %s is deleted before its child %s has one", key, id)
		}
	}
	s.row = nil
}

// Acknowledged tells that a call of Checkpoint has returned nil.
func (c *Checker) Acknowledged(shardID string, p checkpoint.Position) {
	if s := c.shards[shardID]; s != nil && s.highest.Compare(p) < 0 {
		c.violated("C6", "%s: %v is acknowledged, and %v is stored", shardID, p, s.highest)
	}
}

// Over is asked when everything is quiet: whether every record was settled, whether every one that was acknowledged was handled, and every shard read.
func (c *Checker) Over() {
	c.inPutOrder()
	for _, id := range sorted(c.fates) {
		if c.fates[id] == 0 {
			c.violated("P2", "%s was never settled", id)
		}
	}
	for _, id := range sorted(c.acked) {
		if !slices.ContainsFunc(c.copies[id], func(l *copyLife) bool { return l.handled }) {
			c.violated("C10", "%s is acknowledged and was never handled", id)
		}
	}
	for _, id := range sorted(c.shards) {
		if s := c.shards[id]; s.next < len(s.copies) {
			c.violated("C10", "%s: %s at %v was never handled", id, s.copies[s.next].ID, s.copies[s.next].Position)
		}
	}
}

// Idle reports whether every copy is handled, and every accepted record settled.
func (c *Checker) Idle() bool {
	for _, n := range c.fates {
		if n == 0 {
			return false
		}
	}
	for _, s := range c.shards {
		if s.next < len(s.copies) {
			return false
		}
	}
	return true
}

// Counts returns how many copies were stored, and how many of them handled.
func (c *Checker) Counts() (stored, handled int) { return c.stored, c.handled }
