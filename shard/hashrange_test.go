package shard_test

import (
	"errors"
	"math/big"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/kinesiskit/kinesiskit/shard"
)

func mustRange(t testing.TB, start, end string) shard.HashRange {
	t.Helper()
	r, err := shard.ParseHashRange(start, end)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func ring() shard.HashRange { return shard.HashRange{End: shard.MaxHashKey} }

func TestParseHashRangeRejectsWhatIsNoRange(t *testing.T) {
	t.Parallel()
	if r := mustRange(t, "0", maxDecimal); r != ring() {
		t.Errorf("got %v", r)
	}
	for _, c := range []struct {
		start, end string
		want       error
	}{
		{"", "1", strconv.ErrSyntax},
		{"1", "", strconv.ErrSyntax},
		{"01", "1", strconv.ErrSyntax},
		{"2", "1", strconv.ErrRange},
		{"0", maxDecimal + "0", strconv.ErrRange},
	} {
		if r, err := shard.ParseHashRange(c.start, c.end); !errors.Is(err, c.want) || r.Known() {
			t.Errorf("%q %q: got %v, %v", c.start, c.end, r, err)
		}
	}
}

func TestContainsIncludesBothEnds(t *testing.T) {
	t.Parallel()
	r := mustRange(t, "10", "20")
	for key, want := range map[string]bool{"9": false, "10": true, "15": true, "20": true, "21": false, maxDecimal: false, "0": false} {
		if got := r.Contains(mustKey(t, key)); got != want {
			t.Errorf("%s: got %v", key, got)
		}
	}
	if (shard.HashRange{}).Contains(shard.HashKey{}) || (shard.HashRange{}).Known() {
		t.Error("an unknown range contains something")
	}
	if !ring().Contains(shard.MaxHashKey) || !ring().Contains(shard.HashKey{}) {
		t.Error("the ring does not contain its ends")
	}
}

func TestMiddleHalvesAsKinesisDoes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ start, end, want string }{
		{"0", maxDecimal, "170141183460469231731687303715884105728"},
		{"170141183460469231731687303715884105728", maxDecimal, "255211775190703847597530955573826158592"},
		{"0", "1", "1"},
		{"0", "2", "1"},
		{"5", "5", "5"},
		{"0", "18446744073709551615", "9223372036854775808"},
		{"1", "18446744073709551616", "9223372036854775809"},
	} {
		if got := mustRange(t, c.start, c.end).Middle().String(); got != c.want {
			t.Errorf("%s to %s: got %s, want %s", c.start, c.end, got, c.want)
		}
	}
	if m := (shard.HashRange{Start: shard.HashKey{Lo: 9}, End: shard.HashKey{Lo: 3}}).Middle(); m != (shard.HashKey{Lo: 9}) {
		t.Errorf("of a reversed range: %v", m)
	}
}

func TestMiddleLeavesHalvesThatDifferByAtMostOneKey(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	for range 20_000 {
		a, b := randomKey(r), randomKey(r)
		if a.Compare(b) >= 0 {
			a, b = b, a
		}
		if a == b {
			continue
		}
		middle := toBig(shard.HashRange{Start: a, End: b}.Middle())
		lower := new(big.Int).Sub(middle, toBig(a))
		upper := new(big.Int).Sub(toBig(b), middle)
		upper.Add(upper, big.NewInt(1))
		if extra := new(big.Int).Sub(upper, lower); lower.Sign() <= 0 || !extra.IsInt64() || extra.Int64() < 0 || extra.Int64() > 1 {
			t.Fatalf("%v to %v: halves of %v and %v keys", a, b, lower, upper)
		}
	}
}

func TestHolesAreWhatIsMissing(t *testing.T) {
	t.Parallel()
	reversed := shard.HashRange{Start: shard.HashKey{Lo: 50}, End: shard.HashKey{Lo: 40}}
	for name, c := range map[string]struct{ covered, want []shard.HashRange }{
		"nothing covered":    {nil, []shard.HashRange{ring()}},
		"unknown only":       {[]shard.HashRange{{}, {}}, []shard.HashRange{ring()}},
		"reversed only":      {[]shard.HashRange{reversed}, []shard.HashRange{ring()}},
		"everything covered": {[]shard.HashRange{ring()}, nil},
		"two halves, twice": {[]shard.HashRange{mustRange(t, "100", maxDecimal), mustRange(t, "0", "99"),
			mustRange(t, "0", "99"), mustRange(t, "100", maxDecimal)}, nil},
		"start missing":     {[]shard.HashRange{mustRange(t, "7", maxDecimal)}, []shard.HashRange{mustRange(t, "0", "6")}},
		"end missing":       {[]shard.HashRange{mustRange(t, "0", "6")}, []shard.HashRange{mustRange(t, "7", maxDecimal)}},
		"last key missing":  {[]shard.HashRange{{End: shard.HashKey{Hi: ^uint64(0), Lo: ^uint64(0) - 1}}}, []shard.HashRange{{Start: shard.MaxHashKey, End: shard.MaxHashKey}}},
		"inside, contained": {[]shard.HashRange{mustRange(t, "0", "100"), mustRange(t, "3", "50"), mustRange(t, "110", maxDecimal)}, []shard.HashRange{mustRange(t, "101", "109")}},
		"across the words":  {[]shard.HashRange{mustRange(t, "0", "18446744073709551615"), mustRange(t, "18446744073709551617", maxDecimal)}, []shard.HashRange{mustRange(t, "18446744073709551616", "18446744073709551616")}},
	} {
		before := slices.Clone(c.covered)
		if got := shard.Holes(c.covered); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
		if !slices.Equal(before, c.covered) {
			t.Errorf("%s: the argument was changed", name)
		}
	}
}

// Any place is in exactly one hole or in some covered range; holes come in order
// with something covered between them.
func TestHolesAndCoverAreTheWholeRing(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 6))
	for range 3000 {
		var covered []shard.HashRange
		points := []shard.HashKey{{}, shard.MaxHashKey, {Lo: 1}}
		for range r.IntN(8) {
			c := shard.HashRange{Start: randomKey(r), End: randomKey(r)}
			if r.IntN(3) > 0 && c.Start.Compare(c.End) > 0 {
				c.Start, c.End = c.End, c.Start
			}
			covered = append(covered, c)
			for _, end := range []shard.HashKey{c.Start, c.End} {
				for _, step := range []int64{-1, 0, 1} {
					n := new(big.Int).Add(toBig(end), big.NewInt(step))
					if n.Sign() >= 0 && n.Cmp(toBig(shard.MaxHashKey)) <= 0 {
						points = append(points, fromBig(n))
					}
				}
			}
		}
		holes := shard.Holes(covered)
		for i := 1; i < len(holes); i++ {
			gap := new(big.Int).Sub(toBig(holes[i].Start), toBig(holes[i-1].End))
			if gap.Cmp(big.NewInt(2)) < 0 {
				t.Fatalf("%v: holes %v not in order or not merged", covered, holes)
			}
		}
		for _, k := range points {
			n := 0
			for _, h := range holes {
				// Not Contains: a hole of the single key 0 is the zero value.
				if h.Start.Compare(k) <= 0 && k.Compare(h.End) <= 0 {
					n++
				}
			}
			in := slices.ContainsFunc(covered, func(c shard.HashRange) bool { return c.Contains(k) })
			if (n == 1) == in || n > 1 {
				t.Fatalf("%v: %v is covered: %v, and in %d of the holes %v", covered, k, in, n, holes)
			}
		}
	}
}
