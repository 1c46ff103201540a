package shard_test

import (
	"crypto/md5"
	"errors"
	"math/big"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/kinesiskit/kinesiskit/shard"
)

const maxDecimal = "340282366920938463463374607431768211455"

func toBig(k shard.HashKey) *big.Int {
	n := new(big.Int).SetUint64(k.Hi)
	return n.Add(n.Lsh(n, 64), new(big.Int).SetUint64(k.Lo))
}

func fromBig(n *big.Int) shard.HashKey {
	return shard.HashKey{Hi: new(big.Int).Rsh(n, 64).Uint64(), Lo: new(big.Int).And(n, new(big.Int).SetUint64(^uint64(0))).Uint64()}
}

// randomKey favours the places where carries and lost digits hide.
func randomKey(r *rand.Rand) shard.HashKey {
	switch r.IntN(5) {
	case 0: // around a power of ten
		n := new(big.Int).Exp(big.NewInt(10), big.NewInt(r.Int64N(39)), nil)
		return fromBig(n.Add(n, big.NewInt(r.Int64N(3)-1)).Abs(n))
	case 1: // around a power of two
		n := new(big.Int).Lsh(big.NewInt(1), uint(r.IntN(128)))
		return fromBig(n.Add(n, big.NewInt(r.Int64N(3)-1)))
	case 2: // near the end
		return shard.HashKey{Hi: ^uint64(0), Lo: ^uint64(0) - r.Uint64N(3)}
	default:
		return shard.HashKey{Hi: r.Uint64() >> r.IntN(65), Lo: r.Uint64() >> r.IntN(65)}
	}
}

func mustKey(t testing.TB, decimal string) shard.HashKey {
	t.Helper()
	k, err := shard.ParseHashKey(decimal)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestHashOfIsTheBigEndianMD5(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]string{
		"a": "16955237001963240173058271559858726497",
		"b": "195289424170611159128911017612795795343",
	} {
		if got := shard.HashOf(key).String(); got != want {
			t.Errorf("%q: got %s, want %s", key, got, want)
		}
	}
	for _, n := range []int{0, 1, 31, 32, 33, 63, 64, 256, 1023, 1024, 1025, 5000} {
		key := strings.Repeat("ü", n)[:n]
		sum := md5.Sum([]byte(key))
		if got, want := toBig(shard.HashOf(key)), new(big.Int).SetBytes(sum[:]); got.Cmp(want) != 0 {
			t.Errorf("%d bytes: got %v, want %v", n, got, want)
		}
	}
}

func TestHashOfAllocatesNothing(t *testing.T) {
	for _, key := range []string{"k", strings.Repeat("\U0001F30D", 256)} {
		if n := testing.AllocsPerRun(100, func() { _ = shard.HashOf(key) }); n != 0 {
			t.Errorf("%v allocations for a key of %d bytes", n, len(key))
		}
	}
}

func TestHashKeyTextRoundTripsAndAgreesWithBigIntegers(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		k, o := randomKey(r), randomKey(r)
		if got, want := k.String(), toBig(k).String(); got != want {
			t.Fatalf("%#v: got %s, want %s", k, got, want)
		}
		if back := mustKey(t, k.String()); back != k {
			t.Fatalf("%v came back as %v", k, back)
		}
		if got, want := k.Compare(o), toBig(k).Cmp(toBig(o)); got != want {
			t.Fatalf("compare %v and %v: got %d, want %d", k, o, got, want)
		}
	}
}

func TestParseHashKeyTakesOnlyKinesisForm(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]error{
		"0": nil, "9": nil, "10": nil, maxDecimal: nil,
		"": strconv.ErrSyntax, "00": strconv.ErrSyntax, "01": strconv.ErrSyntax, "+1": strconv.ErrSyntax, "-1": strconv.ErrSyntax,
		"1 ": strconv.ErrSyntax, " 1": strconv.ErrSyntax, "1_0": strconv.ErrSyntax, "0x1": strconv.ErrSyntax, "1e3": strconv.ErrSyntax, "١": strconv.ErrSyntax,
		"340282366920938463463374607431768211456": strconv.ErrRange,
		"999999999999999999999999999999999999999": strconv.ErrRange,
		maxDecimal + "0":                   strconv.ErrRange,
		strings.Repeat("9", 100_000):       strconv.ErrRange,
		strings.Repeat("9", 100_000) + "x": strconv.ErrSyntax,
	} {
		k, err := shard.ParseHashKey(text)
		if !errors.Is(err, want) || (err == nil && k.String() != text) || (err != nil && k != shard.HashKey{}) {
			t.Errorf("%.50q: got %v, %v, want %v", text, k, err, want)
		}
		if err != nil && len(err.Error()) > 200 {
			t.Errorf("%.50q: an error of %d bytes", text, len(err.Error()))
		}
	}
	if mustKey(t, maxDecimal) != shard.MaxHashKey {
		t.Errorf("MaxHashKey is %v", shard.MaxHashKey)
	}
}

// FuzzParse compares the parser with big integers on any text.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"0", "1", "01", "-1", "", maxDecimal, "340282366920938463463374607431768211456", "18446744073709551616"} {
		f.Add(seed)
	}
	end := toBig(shard.MaxHashKey)
	f.Fuzz(func(t *testing.T, text string) {
		k, err := shard.ParseHashKey(text)
		n, ok := new(big.Int).SetString(text, 10)
		legal := ok && n.String() == text && n.Sign() >= 0 && n.Cmp(end) <= 0
		if legal != (err == nil) {
			t.Fatalf("%q: %v", text, err)
		}
		if err == nil && k.String() != text {
			t.Fatalf("%q came back as %q", text, k)
		}
		if err != nil && !errors.Is(err, strconv.ErrSyntax) && !errors.Is(err, strconv.ErrRange) {
			t.Fatalf("%q: error of no documented kind: %v", text, err)
		}
	})
}
