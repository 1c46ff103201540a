package checkpoint

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// maxDigits bounds a sequence number: the API's pattern for one is
// 0|([1-9]\d{0,128}); the service's own have 56 digits.
const maxDigits = 129

// beforeSequence is the sub-sequence number of the place before every record of
// a sequence number; records themselves count from 0.
const beforeSequence = -1

// Position is a place in a shard: a sequence number with a sub-sequence number,
// or a sentinel. It is immutable and comparable with ==: two positions are equal
// exactly if they are the same place. The zero value is "none": no place at all.
// It sorts before all others and is not a sentinel.
type Position struct {
	// A sentinel's name, or a decimal number without leading zeros, or empty.
	// One spelling for each place is what makes == right, and the number stays
	// text because it has more digits than any integer type and is only ever
	// compared and written.
	sequence string
	sub      int64
}

// KCL's sentinels, in their order, with every number between Latest and
// ShardEnd. Read only.
var (
	// AtTimestamp is a shard that is to be started at a time.
	AtTimestamp = Position{sequence: atTimestamp}
	// TrimHorizon is a shard that is to be started at its oldest record.
	TrimHorizon = Position{sequence: trimHorizon}
	// Latest is a shard that is to be started at what comes next.
	Latest = Position{sequence: latest}
	// ShardEnd is a shard that was closed by a split or merge and of which every
	// record is done.
	ShardEnd = Position{sequence: shardEnd}
)

// The sentinels' names, as KCL stores them.
const (
	atTimestamp = "AT_TIMESTAMP"
	trimHorizon = "TRIM_HORIZON"
	latest      = "LATEST"
	shardEnd    = "SHARD_END"
)

// At is the place of the record with this sequence number, decimal, 1 to 129
// digits without a sign or leading zeros, and this sub-sequence number: 0 for a
// record that is in no aggregate, the place in its aggregate for one that is.
// Sub -1 is the place before the first record of that sequence number: whoever
// continues there begins with that record.
//
// Errors match strconv.ErrSyntax or, for too many digits and a sub below -1,
// strconv.ErrRange.
func At(sequence string, sub int64) (Position, error) {
	if sequence == "" || sequence[0] == '0' && len(sequence) > 1 {
		return Position{}, positionError("sequence number", sequence, strconv.ErrSyntax)
	}
	for i := range len(sequence) {
		if sequence[i] < '0' || sequence[i] > '9' {
			return Position{}, positionError("sequence number", sequence, strconv.ErrSyntax)
		}
	}
	if len(sequence) > maxDigits {
		return Position{}, positionError("sequence number", sequence, strconv.ErrRange)
	}
	if sub < beforeSequence {
		return Position{}, positionError("sub-sequence number", strconv.FormatInt(sub, 10), strconv.ErrRange)
	}
	return Position{sequence: sequence, sub: sub}, nil
}

// WithSub is another place at p's sequence number: what At(p.Sequence(), sub)
// returns, without another look at the number. A sentinel is returned as it is,
// and so is p if sub is none that At takes.
func (p Position) WithSub(sub int64) Position {
	if p.IsSentinel() || p.sequence == "" || sub < beforeSequence {
		return p
	}
	return Position{sequence: p.sequence, sub: sub}
}

// Parse is String's inverse: a sentinel's name, a sequence number, or a sequence
// number and a sub-sequence number with a colon between them; without one the
// sub-sequence number is 0. The empty text is an error: it is what a place that
// somebody forgot looks like. Errors are those of At.
func Parse(s string) (Position, error) {
	if p := (Position{sequence: s}); p.IsSentinel() {
		return p, nil
	}
	sequence, text, found := strings.Cut(s, ":")
	if !found {
		return At(s, 0)
	}
	sub, err := parseSub(text)
	if err != nil {
		return Position{}, positionError("position", s, err)
	}
	return At(sequence, sub)
}

// parseSub takes exactly what String writes: no plus, no leading zero, and no
// minus but that of -1.
func parseSub(text string) (int64, error) {
	sub, err := strconv.ParseInt(text, 10, 64)
	if errors.Is(err, strconv.ErrRange) {
		return 0, strconv.ErrRange
	}
	if err != nil || strconv.FormatInt(sub, 10) != text {
		return 0, strconv.ErrSyntax
	}
	return sub, nil
}

// positionError quotes no more than the longest legal sequence number, so that a
// hostile text does not fill a log.
func positionError(what, text string, cause error) error {
	return fmt.Errorf("checkpoint: %s %.*q: %w", what, maxDigits, text, cause)
}

// Sequence is the sequence number, decimal; of a sentinel its name, of the zero
// value the empty text. It is what a lease table has under "checkpoint".
func (p Position) Sequence() string { return p.sequence }

// Sub is the sub-sequence number, -1 for the place before the first record of
// the sequence number; 0 for sentinels and the zero value.
func (p Position) Sub() int64 { return p.sub }

// IsSentinel reports whether p is TrimHorizon, Latest, AtTimestamp or ShardEnd.
// The zero value is none of them.
func (p Position) IsSentinel() bool {
	return p.sequence != "" && p.rank() != rankNumber
}

// The order of the kinds of positions, KCL's.
const (
	rankNone = iota
	rankAtTimestamp
	rankTrimHorizon
	rankLatest
	rankNumber
	rankShardEnd
)

func (p Position) rank() int {
	switch p.sequence {
	case "":
		return rankNone
	case atTimestamp:
		return rankAtTimestamp
	case trimHorizon:
		return rankTrimHorizon
	case latest:
		return rankLatest
	case shardEnd:
		return rankShardEnd
	default:
		return rankNumber
	}
}

// Compare is -1, 0 or +1 as p is before, at or after q; 0 exactly if p == q.
// The order: the zero value, AtTimestamp, TrimHorizon, Latest, every number,
// ShardEnd; numbers by sequence number, as numbers, then by sub-sequence number.
func (p Position) Compare(q Position) int {
	// Without leading zeros the number with more digits is the larger one, and
	// among equally long ones the digits compare as text. Of each other kind
	// there is one position.
	return cmp.Or(
		cmp.Compare(p.rank(), q.rank()),
		cmp.Compare(len(p.sequence), len(q.sequence)),
		cmp.Compare(p.sequence, q.sequence),
		cmp.Compare(p.sub, q.sub),
	)
}

// String is the one text of this place: "TRIM_HORIZON", "4959…" (sub-sequence
// number 0), "4959…:7", "4959…:-1"; empty for the zero value. Parse reads it.
func (p Position) String() string {
	if p.sub == 0 {
		return p.sequence
	}
	return p.sequence + ":" + strconv.FormatInt(p.sub, 10)
}

// MarshalText is String, empty for the zero value. It never fails.
func (p Position) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads what MarshalText wrote: Parse, with the empty text for the
// zero value. On an error p stays as it was.
func (p *Position) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*p = Position{}
		return nil
	}
	q, err := Parse(string(b))
	if err != nil {
		return err
	}
	*p = q
	return nil
}
