package lease

import (
	"fmt"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/shard"
)

// IdentityError says that a row is not about the shard of that id which the stream has: the stream was deleted and made again, or the row was written for
// another one. Its position means nothing in this stream.
type IdentityError struct {
	Key    string
	Stored string // what the row says
	Found  string // what the stream says
}

func (e *IdentityError) Error() string {
	return fmt.Sprintf("lease %s: is about another shard of that name: the row has %s, the stream %s", e.Key, e.Stored, e.Found)
}

// Identify refuses a row that is not about s, a shard of its name: *IdentityError. The starting sequence number decides, if the row has it: no two shards
// ever have the same. Rows of Java's do not, so whatever they say is looked at; what they do not say they are not refused for.
func (l Lease) Identify(s shard.Shard) error {
	differ := func(stored, found string) error { return &IdentityError{Key: l.Key, Stored: stored, Found: found} }
	if l.First != "" {
		if s.First != "" && s.First != l.First {
			return differ("starting sequence number "+l.First, s.First)
		}
		return nil
	}
	p := l.Checkpoint.Position
	first, err := checkpoint.At(s.First, -1)
	switch {
	case err == nil && p.Sequence() != "" && !p.IsSentinel() && p.Compare(first) < 0:
		return differ("position "+p.String(), "starting sequence number "+s.First)
	case l.Ended() && s.Open():
		return differ("position "+p.String(), "an open shard")
	case l.HashRange.Known() && s.Range.Known() && l.HashRange != s.Range:
		return differ(fmt.Sprintf("hash keys %s to %s", l.HashRange.Start, l.HashRange.End), fmt.Sprintf("%s to %s", s.Range.Start, s.Range.End))
	case len(l.Parents) > 0 && len(s.Parents) > 0 && !sameSet(l.Parents, s.Parents):
		return differ(fmt.Sprintf("parents %q", l.Parents), fmt.Sprintf("%q", s.Parents))
	}
	return nil
}
