package aggregation

import (
	"fmt"

	"github.com/kinesiskit/kinesiskit/shard"
)

// Record is one user record of an aggregate.
type Record struct {
	// PartitionKey is 1 to 256 characters where Kinesis accepts it. Decode
	// returns the bytes as they were written, be they valid UTF-8 or not.
	PartitionKey string
	// ExplicitHashKey is a decimal number, 0 … 2^128-1; empty means none.
	ExplicitHashKey string
	Data            []byte
	// Sub is the record's place in its aggregate, from 0, entries that cannot be
	// read included. Decode sets it, Builder ignores it.
	Sub int
}

// HashKey is the record's place on Kinesis's ring: the explicit hash key if
// there is one, else that of the partition key. An explicit hash key that is no
// such number is an error that matches strconv.ErrSyntax or strconv.ErrRange; a
// record from Decode has none such.
func (r Record) HashKey() (shard.HashKey, error) {
	if r.ExplicitHashKey == "" {
		return shard.HashOf(r.PartitionKey), nil
	}
	k, err := shard.ParseHashKey(r.ExplicitHashKey)
	if err != nil {
		return shard.HashKey{}, fmt.Errorf("aggregation: explicit hash key: %w", err)
	}
	return k, nil
}
