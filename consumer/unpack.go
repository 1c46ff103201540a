package consumer

import (
	"errors"
	"slices"

	"github.com/kinesiskit/kinesiskit/aggregation"
	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/consumer/internal/fetch"
)

// keptEntries bounds what a shard keeps between pages to save an allocation, some 256 KiB: shards at the tip are many, and their pages small.
const keptEntries = 4096

// firstGuess is how many user records a page is given room for at most, beyond twice those that were found, before a page of the shard is known: 4 MiB.
const firstGuess = 1 << 15

// unpacker makes user records of Kinesis records.
type unpacker struct {
	shard   *Shard
	start   checkpoint.Position // up to here everything is done
	sieve   sieve
	byKeys  func() bool          // records are known to be where their keys say
	buf     []aggregation.Record // of one aggregate
	outside []bool               // of the same entries
	dense   float64              // user records for each byte of the last page; 0 before the first
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

// unpack takes one Kinesis record after the other apart, so that what it needs for that stays in the processor's cache, and guesses how much room all of
// them need: a page should cost one slice of records.
func (u *unpacker) unpack(p *fetch.Page) unpacked {
	if len(p.Records) == 0 {
		return unpacked{}
	}
	byKeys := u.sieve.looks() && u.byKeys()
	out := unpacked{records: make([]Record, 0, max(len(p.Records), int(u.dense*float64(p.Bytes)*17/16)))}
	read, found := 0, 0
	for i := range p.Records {
		r := &p.Records[i]
		read += len(r.Data) + len(r.PartitionKey)
		var corrupt *aggregation.CorruptError
		var err error
		u.buf, err = aggregation.Decode(u.buf[:0], r.Data)
		found += max(1, len(u.buf))
		if need := len(out.records) + max(1, len(u.buf)); need > cap(out.records) {
			all := float64(need) * float64(p.Bytes) / float64(read) * 17 / 16
			out.records = slices.Grow(out.records, min(int(all), 2*need+firstGuess)-len(out.records))
		}
		if err != nil && !errors.As(err, &corrupt) {
			u.plain(&out, r)
			continue
		}
		u.aggregate(&out, r, corrupt, byKeys)
	}
	u.dense = float64(found) / float64(max(1, read))
	clear(u.buf[:cap(u.buf)]) // it must not keep the page alive
	if cap(u.buf) > keptEntries {
		u.buf, u.outside = nil, nil
	}
	return out
}

// plain appends a record that is no aggregate.
func (u *unpacker) plain(out *unpacked, r *fetch.Record) {
	out.end = r.Position
	if r.Position.Compare(u.start) > 0 {
		out.records = append(out.records, Record{
			PartitionKey: r.PartitionKey, Data: r.Data, Position: r.Position, ArrivalTime: r.Arrival, Encrypted: r.Encrypted, shard: u.shard,
		})
	}
}

// aggregate appends what is to be delivered of the aggregate in buf, and accounts for what is not.
func (u *unpacker) aggregate(out *unpacked, r *fetch.Record, corrupt *aggregation.CorruptError, byKeys bool) {
	fate, outside := u.judge(r, corrupt == nil, byKeys)
	begun := r.Position.Compare(u.start) > 0 // then so are all entries
	var dropped gap
	for i := range u.buf {
		in := &u.buf[i]
		at := r.Position.WithSub(int64(in.Sub))
		if !begun && at.Compare(u.start) <= 0 {
			continue
		}
		away := outside > 0 && u.outside[i]
		if fate == dropAll || fate == dropOutside && away {
			dropped.add(at)
			continue
		}
		if away {
			out.outside.add(at)
		}
		out.records = append(out.records, Record{
			PartitionKey: in.PartitionKey, ExplicitHashKey: in.ExplicitHashKey, Data: in.Data, Position: at, ArrivalTime: r.Arrival,
			Aggregated: true, Encrypted: r.Encrypted, shard: u.shard,
		})
	}
	out.drop(dropped, OutsideRange, u.shard)
	entries := len(u.buf)
	if corrupt != nil {
		entries += len(corrupt.Subs)
		u.unreadable(out, r, corrupt)
	}
	// The place behind the aggregate is its last entry, delivered or not; of one without entries, the record itself.
	out.end = r.Position.WithSub(int64(max(0, entries-1)))
}

// judge says what becomes of the aggregate in buf, and how many of its entries lie outside the shard.
func (u *unpacker) judge(r *fetch.Record, whole, byKeys bool) (f fate, outside int) {
	if !u.sieve.looks() {
		return keepAll, 0
	}
	u.outside = append(u.outside[:0], make([]bool, len(u.buf))...)
	outside, f = u.sieve.judge(r.PartitionKey, u.buf, whole, u.outside)
	if !byKeys {
		f = keepAll
	}
	return f, outside
}

// unreadable accounts for entries that cannot be read.
func (u *unpacker) unreadable(out *unpacked, r *fetch.Record, corrupt *aggregation.CorruptError) {
	var g gap
	for _, i := range corrupt.Subs {
		if at := r.Position.WithSub(int64(i)); at.Compare(u.start) > 0 {
			g.add(at)
		}
	}
	if out.corrupt == nil && g.n > 0 {
		out.corrupt = corrupt
	}
	out.drop(g, Corrupt, u.shard)
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
