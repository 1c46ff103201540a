package dynamo

import (
	"math/big"
	"math/rand"
	"strings"
	"testing"
)

func TestNumbersAreNormalized(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"0": "0", "-0": "0", "00": "0", "0.0e5": "0", "0e-999999999999": "0", "1": "1", "+3": "3", "007": "7", "1.10": "1.1", ".5": "0.5",
		"-.5": "-0.5", "5.": "5", "1e3": "1000", "1E+3": "1000", "1.23e4": "12300", "123e-2": "1.23", "1e-3": "0.001", "-17.4E37": "-174" + strings.Repeat("0", 36),
		"1e125": "1" + strings.Repeat("0", 125), "1e-130": "0." + strings.Repeat("0", 129) + "1",
		"3.1415926535897932384626433832795028841": "3.1415926535897932384626433832795028841",
	}
	for in, want := range tests {
		n, problem := parseNumber(in)
		if problem != "" || n.String() != want {
			t.Errorf("%s: got %s %s, want %s", in, n, problem, want)
		}
	}
}

func TestInvalidNumbersAreRefused(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"": notNumeric, "NaN": notNumeric, "Infinity": notNumeric, " 1": notNumeric, "1 ": notNumeric, "1.2.3": notNumeric, ".": notNumeric,
		"-": notNumeric, "1e": notNumeric, "1e+": notNumeric, "1e+-2": notNumeric, "0x10": notNumeric, "1_0": notNumeric, "--1": notNumeric,
		"1e126": numberOverflow, "11e125": numberOverflow, "1e99999999999999999999": numberOverflow, "1e2000000000": numberOverflow,
		"1e-131": numberUnderflow, "0.9e-130": numberUnderflow, "-1e-99999999999999999999": numberUnderflow, "1e-2000000000": numberUnderflow,
		"3.14159265358979323846264338327950288419":   numberPrecision,
		"314159265358979323846264338327950288419e30": numberPrecision,
	}
	for in, want := range tests {
		if _, problem := parseNumber(in); !strings.HasPrefix(problem, want) {
			t.Errorf("%q: got %q, want %q", in, problem, want)
		}
	}
}

// The reference is exact rational arithmetic.
func TestNumbersCompareAddAndSortExactly(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewSource(1))
	random := func() number {
		digits := make([]byte, 1+rnd.Intn(20))
		for i := range digits {
			digits[i] = '0' + byte(rnd.Intn(10))
		}
		return normalize(rnd.Intn(2) == 0, string(digits), rnd.Intn(30)-5)
	}
	rational := func(n number) *big.Rat {
		r, ok := new(big.Rat).SetString(n.String())
		if !ok {
			t.Fatalf("not a number: %s", n)
		}
		return r
	}
	for range 20_000 {
		a, b := random(), random()
		if rnd.Intn(4) == 0 {
			b = a
			b.digits += "1"
		}
		want := rational(a).Cmp(rational(b))
		if got := a.compare(b); got < 0 != (want < 0) || got > 0 != (want > 0) {
			t.Fatalf("compare(%s, %s) = %d, want %d", a, b, got, want)
		}
		if got := strings.Compare(terminated(a.sortable()), terminated(b.sortable())); got != want {
			t.Fatalf("sort keys of %s and %s compare %d, want %d", a, b, got, want)
		}
		sum, problem := a.add(b)
		if exact := new(big.Rat).Add(rational(a), rational(b)); problem == "" && rational(sum).Cmp(exact) != 0 {
			t.Fatalf("%s + %s = %s, want %s", a, b, sum, exact.FloatString(60))
		} else if problem != "" && len(sum.digits) <= maxDigits {
			t.Fatalf("%s + %s refused: %s", a, b, problem)
		}
		if back, problem := parseNumber(a.String()); problem != "" && len(a.digits) <= maxDigits || problem == "" && back != a {
			t.Fatalf("%s read back as %s %s", a, back, problem)
		}
	}
}
