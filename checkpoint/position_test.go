package checkpoint_test

import (
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/kinesiskit/kinesiskit/checkpoint"
)

// number is of the length that Kinesis's sequence numbers have.
const number = "49590338271490256608559692538361571095921575989136588898"

func at(t testing.TB, sequence string, sub int64) checkpoint.Position {
	t.Helper()
	p, err := checkpoint.At(sequence, sub)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPositionsAreTotallyOrdered(t *testing.T) {
	t.Parallel()
	ascending := []checkpoint.Position{
		{},
		checkpoint.AtTimestamp,
		checkpoint.TrimHorizon,
		checkpoint.Latest,
		at(t, "0", -1),
		at(t, "0", 0),
		at(t, "1", 0),
		at(t, "9", math.MaxInt64),
		at(t, "10", -1),
		at(t, "10", 0),
		at(t, "10", 9),
		at(t, "10", 10),
		at(t, "100", 0),
		at(t, "99999999999999999999999999999999999999999999999999999999", 0), // 56 digits
		at(t, "100000000000000000000000000000000000000000000000000000000", 0),
		at(t, strings.Repeat("9", 129), math.MaxInt64),
		checkpoint.ShardEnd,
	}
	for i, p := range ascending {
		for j, q := range ascending {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got := p.Compare(q); got != want {
				t.Errorf("%q and %q: got %d, want %d", p, q, got, want)
			}
			if (p == q) != (i == j) {
				t.Errorf("%q == %q is %v", p, q, p == q)
			}
		}
	}
}

func TestPositionSaysWhatItIs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		p              checkpoint.Position
		text, sequence string
		sub            int64
		sentinel       bool
	}{
		{checkpoint.Position{}, "", "", 0, false},
		{checkpoint.AtTimestamp, "AT_TIMESTAMP", "AT_TIMESTAMP", 0, true},
		{checkpoint.TrimHorizon, "TRIM_HORIZON", "TRIM_HORIZON", 0, true},
		{checkpoint.Latest, "LATEST", "LATEST", 0, true},
		{checkpoint.ShardEnd, "SHARD_END", "SHARD_END", 0, true},
		{at(t, number, 0), number, number, 0, false},
		{at(t, number, 7), number + ":7", number, 7, false},
		{at(t, number, -1), number + ":-1", number, -1, false},
	} {
		if c.p.String() != c.text || c.p.Sequence() != c.sequence || c.p.Sub() != c.sub || c.p.IsSentinel() != c.sentinel {
			t.Errorf("%q: sequence %q, sub %d, sentinel %v", c.p, c.p.Sequence(), c.p.Sub(), c.p.IsSentinel())
		}
		if c.text == "" {
			continue
		}
		if back, err := checkpoint.Parse(c.text); err != nil || back != c.p {
			t.Errorf("%q came back as %q, %v", c.text, back, err)
		}
	}
}

func TestWhatIsNoPositionIsRefused(t *testing.T) {
	t.Parallel()
	check := func(input string, p checkpoint.Position, err, want error) {
		t.Helper()
		if !errors.Is(err, want) || p != (checkpoint.Position{}) || len(err.Error()) > 300 {
			t.Errorf("%.60q: got %q, %.300v, want %v", input, p, err, want)
		}
	}
	for text, want := range map[string]error{
		"": strconv.ErrSyntax, " ": strconv.ErrSyntax, "trim_horizon": strconv.ErrSyntax, "TRIM_HORIZON ": strconv.ErrSyntax,
		"TRIM_HORIZON:0": strconv.ErrSyntax, "SHARD_END:1": strconv.ErrSyntax, "NONE": strconv.ErrSyntax,
		"-1": strconv.ErrSyntax, "+1": strconv.ErrSyntax, "007": strconv.ErrSyntax, "00": strconv.ErrSyntax, "1.5": strconv.ErrSyntax,
		"١": strconv.ErrSyntax, ":": strconv.ErrSyntax, ":7": strconv.ErrSyntax, "5:": strconv.ErrSyntax, "5:7:1": strconv.ErrSyntax,
		"5:+7": strconv.ErrSyntax, "5:07": strconv.ErrSyntax, "5:-0": strconv.ErrSyntax, "5: 7": strconv.ErrSyntax, "5:0x7": strconv.ErrSyntax,
		"5:1_0": strconv.ErrSyntax,
		"5:-2":  strconv.ErrRange, "5:9223372036854775808": strconv.ErrRange, "5:-9223372036854775809": strconv.ErrRange,
		strings.Repeat("9", 130):            strconv.ErrRange,
		strings.Repeat("9", 100_000):        strconv.ErrRange,
		"5:" + strings.Repeat("x", 100_000): strconv.ErrSyntax,
	} {
		p, err := checkpoint.Parse(text)
		check(text, p, err, want)
	}
	for _, name := range []string{"", "TRIM_HORIZON", "LATEST", "AT_TIMESTAMP", "SHARD_END", "5:0", "01"} {
		p, err := checkpoint.At(name, 0)
		check(name, p, err, strconv.ErrSyntax)
	}
	p, err := checkpoint.At("5", -2)
	check("5, -2", p, err, strconv.ErrRange)
}

func TestSubZeroMayBeWritten(t *testing.T) {
	t.Parallel()
	if p, err := checkpoint.Parse(number + ":0"); err != nil || p != at(t, number, 0) || p.String() != number {
		t.Errorf("got %q, %v", p, err)
	}
}

func TestWithSubIsAnotherPlaceOfTheSameNumber(t *testing.T) {
	t.Parallel()
	p := at(t, number, 3)
	for _, sub := range []int64{-1, 0, 3, 1 << 40} {
		if got, want := p.WithSub(sub), at(t, number, sub); got != want {
			t.Errorf("%d: %v, want %v", sub, got, want)
		}
	}
	if p.WithSub(-2) != p || (checkpoint.Position{}).WithSub(1) != (checkpoint.Position{}) {
		t.Error("a place that does not exist was made")
	}
	for _, s := range []checkpoint.Position{checkpoint.AtTimestamp, checkpoint.TrimHorizon, checkpoint.Latest, checkpoint.ShardEnd} {
		if s.WithSub(1) != s {
			t.Errorf("%v has places", s)
		}
	}
}

func TestTextFormRoundTripsThroughJSON(t *testing.T) {
	t.Parallel()
	type row struct{ P, Q checkpoint.Position }
	for text, want := range map[string]row{
		`{"P":"","Q":"SHARD_END"}`:                            {checkpoint.Position{}, checkpoint.ShardEnd},
		`{"P":"` + number + `:-1","Q":"` + number + `:1707"}`: {at(t, number, -1), at(t, number, 1707)},
	} {
		b, err := json.Marshal(want)
		if err != nil || string(b) != text {
			t.Errorf("got %s, %v, want %s", b, err, text)
		}
		got := row{checkpoint.Latest, checkpoint.Latest}
		if err := json.Unmarshal([]byte(text), &got); err != nil || got != want {
			t.Errorf("%s: got %v, %v", text, got, err)
		}
	}
	p := checkpoint.Latest
	if err := p.UnmarshalText([]byte("nowhere")); !errors.Is(err, strconv.ErrSyntax) || p != checkpoint.Latest {
		t.Errorf("after a failure p is %q, %v", p, err)
	}
}

// Any two numbers compare as big integers do, then by sub-sequence number.
func TestNumbersCompareAsNumbers(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(8, 8))
	random := func() (*big.Int, int64, checkpoint.Position) {
		n := new(big.Int)
		// Lengths around each other, and digits that mostly agree.
		digits := []byte(number + number)[:1+r.IntN(60)]
		for range r.IntN(3) {
			digits[r.IntN(len(digits))] = byte('0' + r.IntN(10))
		}
		n.SetString(string(digits), 10)
		sub := r.Int64N(4) - 1
		return n, sub, at(t, n.String(), sub)
	}
	for range 20_000 {
		n, nSub, p := random()
		m, mSub, q := random()
		want := n.Cmp(m)
		if want == 0 {
			want = big.NewInt(nSub).Cmp(big.NewInt(mSub))
		}
		if got := p.Compare(q); got != want || q.Compare(p) != -want || (p == q) != (want == 0) {
			t.Fatalf("%v and %v: got %d, want %d", p, q, got, want)
		}
	}
}

func TestCompareAllocatesNothing(t *testing.T) {
	p, q := at(t, number, 1), at(t, number, 2)
	if n := testing.AllocsPerRun(100, func() { _ = p.Compare(q) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzParse: no text panics, an error is of a documented kind, and what is a
// position has one text, which reads back as itself.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"", "TRIM_HORIZON", "LATEST", "AT_TIMESTAMP", "SHARD_END", number, number + ":7", number + ":-1", "0:0", "01", "5:-2", "5:99999999999999999999"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := checkpoint.Parse(text)
		if err != nil {
			if p != (checkpoint.Position{}) || !errors.Is(err, strconv.ErrSyntax) && !errors.Is(err, strconv.ErrRange) {
				t.Fatalf("%q: %q, %v", text, p, err)
			}
			return
		}
		if canonical := strings.TrimSuffix(text, ":0"); p.String() != canonical {
			t.Fatalf("%q has the text %q", text, p)
		}
		if q, err := checkpoint.Parse(p.String()); err != nil || q != p || p.Compare(q) != 0 {
			t.Fatalf("%q came back as %q, %v", p, q, err)
		}
		if !p.IsSentinel() {
			if q, err := checkpoint.At(p.Sequence(), p.Sub()); err != nil || q != p {
				t.Fatalf("%q is not At(%q, %d): %q, %v", p, p.Sequence(), p.Sub(), q, err)
			}
			if p.Compare(checkpoint.Latest) != 1 || p.Compare(checkpoint.ShardEnd) != -1 {
				t.Fatalf("%q is not between Latest and ShardEnd", p)
			}
		}
	})
}

func BenchmarkCompare(b *testing.B) {
	p, q := at(b, number, 1), at(b, number, 2)
	b.ReportAllocs()
	for b.Loop() {
		_ = p.Compare(q)
	}
}
