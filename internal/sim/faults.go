package sim

import (
	"math/rand/v2"
	"reflect"
	"time"
)

// faults is what may befall one run. Each seed draws some of them: a run with everything at once exercises the first thing that fails and nothing behind it.
type faults struct {
	lost, lostReply, late, slow float64 // of a request

	leave, crash, cut, reshard time.Duration // in the mean between two; 0: never
	failing, sluggish          float64       // of the calls of the program's code
}

func drawFaults(rng *rand.Rand) faults {
	rare := func() float64 { return []float64{0, 0, 0.005, 0.02, 0.08}[rng.IntN(5)] }
	often := func(usual time.Duration) time.Duration {
		return []time.Duration{0, 0, 4 * usual, 2 * usual, usual}[rng.IntN(5)]
	}
	return faults{
		lost: rare(), lostReply: rare(), late: rare(), slow: rare(),
		leave: often(30 * time.Second), crash: often(40 * time.Second), cut: often(40 * time.Second), reshard: often(30 * time.Second),
		failing: rare(), sluggish: rare() / 20,
	}
}

// Counts proves that what a simulation is for took place.
type Counts struct {
	Requests, Lost, LostReplies, AppliedLate, Slow int
	Leaves, Crashes, Partitions, Splits, Merges    int
	Tenures, OwnerChanges, HandOffs                int
	Deliveries, Redeliveries, Failures             int
	Puts, Stored, MayRepeat                        int
}

// Add adds o to c.
func (c *Counts) Add(o Counts) {
	sum, more := reflect.ValueOf(c).Elem(), reflect.ValueOf(o)
	for i := range sum.NumField() {
		sum.Field(i).SetInt(sum.Field(i).Int() + more.Field(i).Int())
	}
}
