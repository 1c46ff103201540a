package consumer

import (
	"errors"

	"github.com/kinesiskit/kinesiskit/aggregation"
	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/consumer/internal/fetch"
	"github.com/kinesiskit/kinesiskit/shard"
)

// aggregateKey is the partition key that KPL, and package producer, give to the Kinesis record around an aggregate. Other aggregators choose keys of
// their own, and know nothing of shards: what they pack is where it belongs by definition.
const aggregateKey = "a"

// keptEntries bounds what a shard keeps between pages to save an allocation, some 256 KiB: shards at the tip are many, and their pages small.
const keptEntries = 4096

// unpacker makes user records of Kinesis records.
type unpacker struct {
	shard     *Shard
	start     checkpoint.Position // up to here everything is done
	own       shard.HashRange
	ancestors []shard.HashRange
	buf       []aggregation.Record
}

// unpacked is a page as your code gets it.
type unpacked struct {
	records []Record
	end     checkpoint.Position // of the page, whether or not its last records are delivered; zero for an empty page
	drops   []DropEvent
	corrupt error // the first aggregate with entries that cannot be read
}

// newUnpacker looks the ranges up in the listing, never in the lease's row: a row can be wrong, and a wrong range would drop records.
func newUnpacker(s *Shard, start checkpoint.Position, g *shard.Graph) *unpacker {
	u := &unpacker{shard: s, start: start}
	listed, ok := g.Shard(s.ID())
	if !ok || !listed.Range.Known() {
		return u
	}
	u.own = listed.Range
	for a := range g.Ancestors(s.ID()) {
		if a.Range.Known() {
			u.ancestors = append(u.ancestors, a.Range)
		}
	}
	return u
}

// part is one Kinesis record of a page: entries from..to of buf, or itself.
type part struct {
	from, to int
	plain    bool
	stale    bool
	corrupt  *aggregation.CorruptError
}

// unpack works in two passes, so that a page costs one slice of records of exactly its size.
func (u *unpacker) unpack(p *fetch.Page) unpacked {
	u.buf = u.buf[:0]
	parts := make([]part, len(p.Records))
	total := 0
	for i := range p.Records {
		parts[i] = u.decode(&p.Records[i])
		total += parts[i].to - parts[i].from
		if parts[i].plain {
			total++
		}
	}
	out := unpacked{records: make([]Record, 0, total)}
	for i := range p.Records {
		u.add(&out, &p.Records[i], parts[i])
	}
	clear(u.buf) // it must not keep the page alive
	if cap(u.buf) > keptEntries {
		u.buf = nil
	}
	return out
}

func (u *unpacker) decode(r *fetch.Record) part {
	p := part{from: len(u.buf)}
	var err error
	u.buf, err = aggregation.Decode(u.buf, r.Data)
	p.to = len(u.buf)
	if err == nil {
		p.stale = r.PartitionKey == aggregateKey && u.isStale(u.buf[p.from:])
		return p
	}
	// An aggregate with unreadable entries is never stale: what they were is not known, so nor is where it belongs.
	p.plain = !errors.As(err, &p.corrupt)
	return p
}

// isStale reports whether an ancestor of this shard would hold every record of the aggregate: then it was packed for that ancestor, before the
// producer learned of the reshard, and what is outside this shard's range was sent to its own shard once more. Any other aggregate is delivered whole.
func (u *unpacker) isStale(records []aggregation.Record) bool {
	if len(u.ancestors) == 0 || len(records) == 0 {
		return false
	}
	low, high := shard.MaxHashKey, shard.HashKey{}
	for i := range records {
		k, err := records[i].HashKey()
		if err != nil {
			return false
		}
		if k.Compare(low) < 0 {
			low = k
		}
		if k.Compare(high) > 0 {
			high = k
		}
	}
	if u.own.Contains(low) && u.own.Contains(high) {
		return false
	}
	for _, a := range u.ancestors {
		if a.Contains(low) && a.Contains(high) {
			return true
		}
	}
	return false
}

// add appends what is to be delivered of one Kinesis record, and accounts for what is not.
func (u *unpacker) add(out *unpacked, r *fetch.Record, p part) {
	rec := Record{shard: u.shard, ArrivalTime: r.Arrival, Encrypted: r.Encrypted}
	if p.plain {
		rec.PartitionKey, rec.Data, rec.Position = r.PartitionKey, r.Data, r.Position
		out.end = r.Position
		if r.Position.Compare(u.start) > 0 {
			out.records = append(out.records, rec)
		}
		return
	}
	rec.Aggregated = true
	var outside gap
	for i := range u.buf[p.from:p.to] {
		in := &u.buf[p.from+i]
		at := sub(r.Position, in.Sub)
		if at.Compare(u.start) <= 0 {
			continue
		}
		if p.stale {
			if k, err := in.HashKey(); err == nil && !u.own.Contains(k) {
				outside.add(at)
				continue
			}
		}
		rec.PartitionKey, rec.ExplicitHashKey, rec.Data, rec.Position = in.PartitionKey, in.ExplicitHashKey, in.Data, at
		out.records = append(out.records, rec)
	}
	out.drop(outside, OutsideRange, u.shard)
	var unreadable gap
	entries := p.to - p.from
	if p.corrupt != nil {
		entries += len(p.corrupt.Subs)
		for _, i := range p.corrupt.Subs {
			if at := sub(r.Position, i); at.Compare(u.start) > 0 {
				unreadable.add(at)
			}
		}
		if out.corrupt == nil && unreadable.n > 0 {
			out.corrupt = p.corrupt
		}
	}
	out.drop(unreadable, Corrupt, u.shard)
	// The place behind the aggregate is its last entry, delivered or not; of one without entries, the record itself.
	out.end = sub(r.Position, max(0, entries-1))
}

// sub is the place of an entry of the aggregate at p.
func sub(p checkpoint.Position, entry int) checkpoint.Position {
	if entry == 0 {
		return p
	}
	at, _ := checkpoint.At(p.Sequence(), int64(entry)) // cannot fail: the sequence number is p's
	return at
}

// gap is a number of records that are not delivered.
type gap struct {
	n           int
	first, last checkpoint.Position
}

func (g *gap) add(p checkpoint.Position) {
	if g.n == 0 {
		g.first = p
	}
	g.n++
	g.last = p
}

func (o *unpacked) drop(g gap, why DropReason, s *Shard) {
	if g.n > 0 {
		o.drops = append(o.drops, DropEvent{Stream: s.stream, Shard: s.ID(), Why: why, Records: g.n, First: g.first, Last: g.last})
	}
}
