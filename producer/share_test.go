package producer

import (
	"math/rand/v2"
	"testing"
)

// Whatever is taken and given back, the buffer's bound holds, the books agree with the shares, and a stream gets its part while nobody was there before it.
func TestTheBufferIsDividedAmongStreams(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 0))
		b := budget{limit: amount{int64(1 + r.IntN(10_000)), 1 + r.IntN(100)}, least: 1 + r.IntN(2)}
		taken := make(map[*share][]amount)
		late := false // a stream has joined when others held something
		for range 500 {
			if len(b.shares) == 0 || len(b.shares) < 6 && r.IntN(40) == 0 {
				late = late || b.held != amount{}
				b.join(new(share))
			}
			s := b.shares[r.IntN(len(b.shares))]
			size := int64(r.IntN(int(b.limit.bytes)/(1+r.IntN(20)) + 1))
			if held := taken[s]; len(held) > 0 && r.IntN(2) == 0 {
				b.give(s, held[0])
				taken[s] = held[1:]
			} else if common := r.IntN(4) > 0; b.fits(s, size, common) {
				b.take(s, amount{size, 1})
				taken[s] = append(taken[s], amount{size, 1})
			} else if !late && s.held.plus(amount{size, 1}).within(b.own) && !b.overdrawn() {
				t.Fatalf("seed %d: a stream with %v of its %v is refused %d bytes: %+v", seed, s.held, b.own, size, b)
			}
			var held, lent amount
			for _, s := range b.shares {
				held, lent = held.plus(s.held), lent.plus(s.held.beyond(b.own))
			}
			if held != b.held || lent != b.lent || !held.within(b.limit) {
				t.Fatalf("seed %d: %v held, %v lent: %+v", seed, held, lent, b)
			}
		}
	}
}

// overdrawn: a stream holds one record for which its part and what is for all did not suffice.
func (b *budget) overdrawn() bool { return !b.lent.within(b.common) }
