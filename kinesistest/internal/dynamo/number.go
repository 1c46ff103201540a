package dynamo

import (
	"math/big"
	"strconv"
	"strings"
)

// Limits of the service's number type.
const (
	maxDigits   = 38   // significant decimal digits
	maxExponent = 125  // of the first digit: 9.99…E+125 is the largest magnitude
	minExponent = -130 // 1E-130 is the smallest magnitude
)

const (
	numberOverflow  = "Number overflow. Attempting to store a number with magnitude larger than supported range"
	numberUnderflow = "Number underflow. Attempting to store a number with magnitude smaller than supported range"
	numberPrecision = "Attempting to store more than 38 significant digits in a Number"
	notNumeric      = "The parameter cannot be converted to a numeric value"
)

// number is ±0.d₁d₂…dₙ × 10^exp with d₁ and dₙ not 0, so that equal numbers are equal values. Zero has no digits, no sign and exp 0.
type number struct {
	negative bool
	digits   string
	exp      int
}

// parseNumber reads [+-]digits[.digits][e[+-]digits]; problem is the service's wording of what is wrong, "" when nothing is.
func parseNumber(s string) (n number, problem string) {
	if s == "" {
		return number{}, notNumeric
	}
	bad := notNumeric + ": " + s
	rest := s
	negative := rest[0] == '-'
	if negative || rest[0] == '+' {
		rest = rest[1:]
	}
	mantissa, exponent, hasExponent := rest, "", false
	if i := strings.IndexAny(rest, "eE"); i >= 0 {
		mantissa, exponent, hasExponent = rest[:i], rest[i+1:], true
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	if whole+fraction == "" || !allDigits(whole) || !allDigits(fraction) {
		return number{}, bad
	}
	sign := strings.TrimLeft(exponent, "+-")
	if hasExponent && (sign == "" || !allDigits(sign) || len(exponent)-len(sign) > 1) {
		return number{}, bad
	}
	n = normalize(negative, whole+fraction, len(whole))
	if n.digits == "" {
		return n, ""
	}
	if hasExponent {
		// An exponent beyond int is out of range whatever the mantissa: bodies are far shorter than 10^9 digits.
		shift, err := strconv.Atoi(exponent)
		switch {
		case err != nil && exponent[0] == '-':
			return number{}, numberUnderflow
		case err != nil || shift > 1e9:
			return number{}, numberOverflow
		case shift < -1e9:
			return number{}, numberUnderflow
		}
		n.exp += shift
	}
	return n, n.check()
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// normalize strips zeros: point is the number of digits before the decimal point.
func normalize(negative bool, digits string, point int) number {
	trimmed := strings.TrimLeft(digits, "0")
	point -= len(digits) - len(trimmed)
	trimmed = strings.TrimRight(trimmed, "0")
	if trimmed == "" {
		return number{}
	}
	return number{negative: negative, digits: trimmed, exp: point}
}

func (n number) check() (problem string) {
	switch {
	case n.digits == "":
		return ""
	case n.exp-1 > maxExponent:
		return numberOverflow
	case n.exp-1 < minExponent:
		return numberUnderflow
	case len(n.digits) > maxDigits:
		return numberPrecision
	}
	return ""
}

// String is the plain decimal notation the service answers with, never an exponent.
func (n number) String() string {
	if n.digits == "" {
		return "0"
	}
	sign := ""
	if n.negative {
		sign = "-"
	}
	switch {
	case n.exp <= 0:
		return sign + "0." + strings.Repeat("0", -n.exp) + n.digits
	case n.exp >= len(n.digits):
		return sign + n.digits + strings.Repeat("0", n.exp-len(n.digits))
	}
	return sign + n.digits[:n.exp] + "." + n.digits[n.exp:]
}

func (n number) sign() int {
	switch {
	case n.digits == "":
		return 0
	case n.negative:
		return -1
	}
	return 1
}

func (n number) compare(m number) int {
	if s, t := n.sign(), m.sign(); s != t || s == 0 {
		return s - t
	}
	magnitude := n.exp - m.exp
	if magnitude == 0 {
		magnitude = strings.Compare(n.digits, m.digits)
	}
	return n.sign() * magnitude
}

// add is exact; a sum that needs more than 38 digits is refused, in the service's wording of that case.
func (n number) add(m number) (sum number, problem string) {
	scale := min(n.exp-len(n.digits), m.exp-len(m.digits))
	total := new(big.Int).Add(n.scaled(scale), m.scaled(scale))
	negative := total.Sign() < 0
	digits := total.Abs(total).String()
	sum = normalize(negative, digits, len(digits)+scale)
	problem = sum.check()
	if problem == numberPrecision {
		problem = numberOverflow
	}
	return sum, problem
}

func (n number) negate() number {
	if n.digits != "" {
		n.negative = !n.negative
	}
	return n
}

// scaled is n / 10^scale; scale is at most the exponent of n's last digit.
func (n number) scaled(scale int) *big.Int {
	x := new(big.Int)
	if n.digits == "" {
		return x
	}
	x.SetString(n.digits+strings.Repeat("0", n.exp-len(n.digits)-scale), 10)
	if n.negative {
		x.Neg(x)
	}
	return x
}

// sortable is a byte string that orders as the numbers do.
func (n number) sortable() string {
	switch n.sign() {
	case 0:
		return "\x80"
	case 1:
		e := n.exp + 256
		return "\xc0" + string([]byte{byte(e >> 8), byte(e)}) + n.digits
	}
	e := 256 - n.exp
	out := make([]byte, 0, len(n.digits)+4)
	out = append(out, 0x40, byte(e>>8), byte(e))
	for i := range len(n.digits) {
		out = append(out, '0'+'9'-n.digits[i])
	}
	// -1.23 is below -1.2: what is longer must come first, so the end is greater than every digit.
	return string(append(out, ':'))
}

// size follows the service's rule of thumb: a byte for two significant digits, one more for the exponent and one for a sign.
func (n number) size() int {
	size := (len(n.digits)+1)/2 + 1
	if n.negative {
		size++
	}
	return size
}

func numberOf(n int) number {
	digits := strconv.Itoa(n)
	return normalize(false, digits, len(digits))
}
