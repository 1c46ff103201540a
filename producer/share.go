package producer

// amount is what records take in the buffer.
type amount struct {
	bytes   int64
	records int
}

func (a amount) within(most amount) bool { return a.bytes <= most.bytes && a.records <= most.records }

func (a amount) plus(b amount) amount { return amount{a.bytes + b.bytes, a.records + b.records} }

func (a amount) minus(b amount) amount { return amount{a.bytes - b.bytes, a.records - b.records} }

// beyond is what of a is more than most.
func (a amount) beyond(most amount) amount {
	return amount{max(0, a.bytes-most.bytes), max(0, a.records-most.records)}
}

// budget divides the buffer among the streams, so that one that stands still does not stop the others. Of several streams each has a part of its own, and
// all these parts are half of the buffer; the other half is for whoever comes first. One stream alone has everything. It belongs to the inbox and its lock.
type budget struct {
	limit  amount
	least  int // how many streams there are to be counted at least: one that does not know its stream yet must not take all
	shares []*share

	own    amount // what is reserved for each stream
	common amount // what is for all
	lent   amount // of that, taken
	held   amount
}

// share is what one stream holds: accepted and without a verdict, or granted to somebody who waits for it.
type share struct {
	held    amount
	waiting int    // Puts that wait for space
	passed  uint64 // the latest grant that found no space for the first of them
}

// join adds a stream.
func (b *budget) join(s *share) {
	b.shares = append(b.shares, s)
	n := max(len(b.shares), b.least)
	b.own, b.common = b.limit, amount{}
	if n > 1 {
		b.own = amount{b.limit.bytes / int64(2*n), b.limit.records / (2 * n)}
		b.common = amount{b.limit.bytes - int64(n)*b.own.bytes, b.limit.records - n*b.own.records}
	}
	b.lent = amount{}
	for _, s := range b.shares {
		b.lent = b.lent.plus(s.held.beyond(b.own))
	}
}

// fits reports whether there is space for a record of s; common: it may use what is for all.
//
// While a new stream's part is still occupied by the others, the bound of the whole decides. A record that is larger than a stream may ever hold gets
// what it needs when its stream holds nothing else: otherwise its Put would wait for ever.
func (b *budget) fits(s *share, size int64, common bool) bool {
	one := amount{size, 1}
	if !b.held.plus(one).within(b.limit) {
		return false
	}
	after := s.held.plus(one)
	if after.within(b.own) {
		return true
	}
	if !common {
		return false
	}
	lent := b.lent.minus(s.held.beyond(b.own)).plus(after.beyond(b.own))
	return lent.within(b.common) || s.held == amount{}
}

func (b *budget) take(s *share, a amount) { b.move(s, s.held.plus(a)) }

func (b *budget) give(s *share, a amount) { b.move(s, s.held.minus(a)) }

func (b *budget) move(s *share, held amount) {
	b.lent = b.lent.minus(s.held.beyond(b.own)).plus(held.beyond(b.own))
	b.held = b.held.minus(s.held).plus(held)
	s.held = held
}
