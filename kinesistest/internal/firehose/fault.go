package firehose

import (
	"context"
	"math/rand/v2"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

// Failing picks entries of a PutRecordBatch that fail while the request as a whole succeeds.
type Failing struct {
	Code  string     // "ServiceUnavailableException" or "InternalFailure"
	Share float64    // of the entries, drawn one by one; 1: all
	Draw  *rand.Rand // used by one call alone
}

type failingKey struct{}

// WithFailing makes the Call of PutRecordBatch that gets the ctx fail entries. Other operations take no notice.
func WithFailing(ctx context.Context, f *Failing) context.Context {
	return context.WithValue(ctx, failingKey{}, f)
}

func failing(ctx context.Context) *Failing {
	f, _ := ctx.Value(failingKey{}).(*Failing)
	return f
}

// pick says whether an entry fails, and as what.
func (f *Failing) pick() *wire.Error {
	switch {
	case f == nil || f.Draw.Float64() >= f.Share:
		return nil
	case f.Code == "ServiceUnavailableException":
		return slowDown()
	}
	return failure(f.Code, "Internal service failure.")
}
