package kinesis

import (
	"math/big"
	"math/rand/v2"
	"testing"
	"time"
)

func TestHashKeysAreComputedAsBigIntegersAre(t *testing.T) {
	t.Parallel()
	ring := new(big.Int).Lsh(big.NewInt(1), 128)
	toBig := func(k hashKey) *big.Int {
		n := new(big.Int).Lsh(new(big.Int).SetUint64(k.hi), 64)
		return n.Add(n, new(big.Int).SetUint64(k.lo))
	}
	same := func(what string, got hashKey, want *big.Int) {
		t.Helper()
		if want = new(big.Int).Mod(want, ring); toBig(got).Cmp(want) != 0 || got.String() != want.String() {
			t.Errorf("%s is %s, want %s", what, got, want)
		}
	}
	draw := rand.New(rand.NewPCG(1, 2))
	keys := []hashKey{{}, {0, 1}, lastHashKey, {1, 0}, {0, ^uint64(0)}, {1, 1}, {0, 1e19}, {5e18, 1e19}}
	for range 500 {
		keys = append(keys, hashKey{draw.Uint64() >> draw.UintN(64), draw.Uint64() >> draw.UintN(64)})
	}
	for i, k := range keys {
		o := keys[(i*7+3)%len(keys)]
		n := draw.Uint64() >> draw.UintN(64)
		back, ok := parseHashKey(k.String())
		if !ok {
			t.Errorf("%s is refused", k)
		}
		same("the key read back", back, toBig(k))
		same("plus", k.plus(n), new(big.Int).Add(toBig(k), new(big.Int).SetUint64(n)))
		same("minus", k.minus(o), new(big.Int).Sub(toBig(k), toBig(o)))
		same("times", k.times(n), new(big.Int).Mul(toBig(k), new(big.Int).SetUint64(n)))
		same("half", k.half(), new(big.Int).Rsh(toBig(k), 1))
		if k.compare(o) != toBig(k).Cmp(toBig(o)) {
			t.Errorf("%s compares to %s as %d", k, o, k.compare(o))
		}
		if n > 0 {
			same("share", share(n), new(big.Int).Div(ring, new(big.Int).SetUint64(n)))
		}
	}
	for _, s := range []string{"", "x", "-1", "+1", "01", " 1", "1 ", "1e3", "340282366920938463463374607431768211456", "999999999999999999999999999999999999999"} {
		if k, ok := parseHashKey(s); ok {
			t.Errorf("%q is read as %s", s, k)
		}
	}
}

func TestASequenceNumberIsFoundAgain(t *testing.T) {
	t.Parallel()
	s, other := newSequence(1_763_000_000_000_000), newSequence(1_763_000_000_000_001)
	const n = 1000
	for i := range uint64(n) {
		number := string(s.appendNumber(nil, i))
		if at, after, ok := s.place(number, n); !ok || at != i || after != i+1 {
			t.Fatalf("record %d is found at %d, after %d, %v", i, at, after, ok)
		}
		if _, _, ok := other.place(number, n); ok {
			t.Fatal("another shard takes it for its own")
		}
	}
	if at, after, ok := s.place(s.starting(), n); !ok || at != 0 || after != 0 {
		t.Error("the start is not before record 0")
	}
	if at, after, ok := s.place(s.ending(n), n); !ok || at != n || after != n+1 {
		t.Error("the end is not behind the last record:", at, after, ok)
	}
	if _, _, ok := s.place(string(s.appendNumber(nil, n+1)), n); ok {
		t.Error("a number that was not given yet is accepted")
	}
}

func TestTokensOfOneKindAreNotTakenForAnother(t *testing.T) {
	t.Parallel()
	for made := 1; made < 8; made++ {
		parts := make([]string, made)
		token := seal(made, parts...)
		for read := range 8 {
			if _, ok := unseal(read, token); ok != (made == read) {
				t.Errorf("kind %d read as kind %d: %v", made, read, ok)
			}
		}
	}
}

// AT_TIMESTAMP and the end of retention search by arrival time.
func TestArrivalTimesDoNotGoBackWithTheClock(t *testing.T) {
	t.Parallel()
	sh := &shard{}
	for _, ms := range []int64{5, 9, 7, 12} {
		sh.append(record{}, time.UnixMilli(ms))
	}
	for i, want := range []int64{5, 9, 9, 12} {
		if got := sh.records[i].arrival; got != want {
			t.Errorf("record %d arrived at %d, want %d", i, got, want)
		}
	}
}

// A reader may be encoding a page while the shard forgets it, and what is forgotten must not be kept for ever.
func TestTrimmedRecordsAreLetGoButNotTouched(t *testing.T) {
	t.Parallel()
	sh := &shard{sequence: newSequence(1)}
	for i := range 100 {
		sh.append(record{data: []byte{byte(i)}}, time.UnixMilli(int64(i)))
	}
	page := sh.records[:10]
	for i := range 100 {
		sh.trim(time.UnixMilli(int64(i)))
		if sh.count() != 100 || len(sh.records) != 100-i || sh.records[0].data[0] != byte(i) {
			t.Fatalf("%d records after trim %d", len(sh.records), i)
		}
		if sh.dead > len(sh.records) {
			t.Fatalf("%d records hold on to %d dead ones", len(sh.records), sh.dead)
		}
	}
	for i, r := range page {
		if r.data[0] != byte(i) {
			t.Error("a page was changed under its reader")
		}
	}
}
