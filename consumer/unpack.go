package consumer

import (
	"errors"

	"github.com/kinesiskit/kinesiskit/aggregation"
	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/consumer/internal/fetch"
)

// keptEntries bounds what a shard keeps between pages to save an allocation, some 256 KiB: shards at the tip are many, and their pages small.
const keptEntries = 4096

// unpacker makes user records of Kinesis records.
type unpacker struct {
	shard   *Shard
	start   checkpoint.Position // up to here everything is done
	sieve   sieve
	byKeys  func() bool // records are known to be where their keys say
	buf     []aggregation.Record
	outside []bool // of the same entries
}

// unpacked is a page as your code gets it.
type unpacked struct {
	records []Record
	end     checkpoint.Position // of the page, whether or not its last records are delivered; zero for an empty page
	drops   []DropEvent
	corrupt error // the first aggregate with entries that cannot be read
	outside gap   // what is delivered although it lies outside the shard
}

func newUnpacker(s *Shard, start checkpoint.Position, filter sieve, byKeys func() bool) *unpacker {
	return &unpacker{shard: s, start: start, sieve: filter, byKeys: byKeys}
}

// part is one Kinesis record of a page: entries from..to of buf, or itself.
type part struct {
	from, to int
	plain    bool
	outside  int // of the entries
	fate     fate
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
	u.filter(p, parts)
	out := unpacked{records: make([]Record, 0, total)}
	for i := range p.Records {
		u.add(&out, &p.Records[i], &parts[i])
	}
	clear(u.buf) // it must not keep the page alive
	if cap(u.buf) > keptEntries {
		u.buf, u.outside = nil, nil
	}
	return out
}

func (u *unpacker) decode(r *fetch.Record) part {
	p := part{from: len(u.buf)}
	var err error
	u.buf, err = aggregation.Decode(u.buf, r.Data)
	p.to = len(u.buf)
	p.plain = err != nil && !errors.As(err, &p.corrupt)
	return p
}

// filter decides what becomes of the aggregates of a page.
func (u *unpacker) filter(p *fetch.Page, parts []part) {
	if !u.sieve.looks() {
		return
	}
	byKeys := u.byKeys()
	u.outside = append(u.outside[:0], make([]bool, len(u.buf))...)
	for i := range parts {
		q := &parts[i]
		q.outside, q.fate = u.sieve.judge(p.Records[i].PartitionKey, u.buf[q.from:q.to], q.corrupt == nil, u.outside[q.from:q.to])
		if !byKeys {
			q.fate = keepAll
		}
	}
}

// add appends what is to be delivered of one Kinesis record, and accounts for what is not.
func (u *unpacker) add(out *unpacked, r *fetch.Record, p *part) {
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
	var dropped gap
	for i := range u.buf[p.from:p.to] {
		in := &u.buf[p.from+i]
		at := sub(r.Position, in.Sub)
		if at.Compare(u.start) <= 0 {
			continue
		}
		outside := p.outside > 0 && u.outside[p.from+i]
		if p.fate == dropAll || p.fate == dropOutside && outside {
			dropped.add(at)
			continue
		}
		if outside {
			out.outside.add(at)
		}
		rec.PartitionKey, rec.ExplicitHashKey, rec.Data, rec.Position = in.PartitionKey, in.ExplicitHashKey, in.Data, at
		out.records = append(out.records, rec)
	}
	out.drop(dropped, OutsideRange, u.shard)
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
