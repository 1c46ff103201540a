package leasetest_test

import (
	"testing"

	"github.com/kinesiskit/kinesiskit/lease"
	"github.com/kinesiskit/kinesiskit/lease/leasetest"
	"github.com/kinesiskit/kinesiskit/lease/memstore"
)

// The test of a store of your own: open returns an empty one each time it is called.
func Example() {
	_ = func(t *testing.T) {
		leasetest.Run(t, func(*testing.T) lease.Store { return memstore.New() })
	}
	// Output:
}
