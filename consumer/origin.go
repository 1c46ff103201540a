package consumer

import (
	"context"
	"fmt"
	"time"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/consumer/internal/fetch"
	"github.com/kinesiskit/kinesiskit/lease"
)

// Start says where an application begins: made by [TrimHorizon], [Latest] or [At]. It counts once, when the application has no rows in its lease table;
// from then on the table says where each shard is continued. The zero value is TrimHorizon. Comparable with ==.
//
// Its text form is KCL's name, "TRIM_HORIZON" or "LATEST", or a time in RFC 3339.
type Start struct{ s lease.Start }

// TrimHorizon begins with the oldest records that the stream still has.
func TrimHorizon() Start { return Start{} }

// Latest begins with what arrives from the application's first start on. That instant, to the second by the clock of Kinesis, is kept in the lease table:
// a worker that takes a shard over before its first record was read misses nothing.
func Latest() Start { return Start{lease.Start{Latest: true}} }

// At begins with what arrived at t or later, cut to the millisecond. A time before the oldest record is as good as TrimHorizon; one that has not come yet
// ends Run with a *ConfigError. The zero time is TrimHorizon.
func At(t time.Time) Start {
	if t.IsZero() {
		return Start{}
	}
	return Start{lease.Start{At: time.UnixMilli(t.UnixMilli()).UTC()}}
}

// The texts of what is no time.
const (
	trimHorizon = "TRIM_HORIZON"
	latest      = "LATEST"
)

// String is the text form.
func (s Start) String() string {
	switch {
	case s.s.Latest:
		return latest
	case s.s.At.IsZero():
		return trimHorizon
	}
	return s.s.At.Format(time.RFC3339Nano)
}

// MarshalText returns the text form. It never fails.
func (s Start) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the text form. The empty text is an error: it is what a setting that somebody forgot looks like. On an error s stays as it was.
func (s *Start) UnmarshalText(b []byte) error {
	switch text := string(b); text {
	case trimHorizon:
		*s = TrimHorizon()
	case latest:
		*s = Latest()
	default:
		t, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return fmt.Errorf("consumer: start %.64q is neither TRIM_HORIZON nor LATEST nor a time in RFC 3339", text)
		}
		*s = At(t)
	}
	return nil
}

// pin stores the place before the first record of a shard that begins at an instant, before anything of it is delivered. From then on whoever reads the
// shard, KCL included, begins with exactly that record; until then it begins at the instant, which the row has, too.
func (s *session) pin(ctx, stay context.Context, p *fetch.Page) error {
	if !s.unpinned || len(p.Records) == 0 {
		return nil
	}
	before, err := checkpoint.At(p.Records[0].Position.Sequence(), -1)
	if err != nil {
		return err
	}
	s.tenure.Pass(before)
	if err := s.tenure.Checkpoint(stay, before); err != nil {
		return s.because(ctx, err)
	}
	s.unpinned = false
	return nil
}
