package aggregation_test

import (
	"errors"
	"fmt"

	"github.com/kinesiskit/kinesiskit/aggregation"
)

// Three small records travel as one Kinesis record.
func Example() {
	var b aggregation.Builder
	for _, text := range []string{"one", "two", "three"} {
		b.Add(aggregation.Record{PartitionKey: "numbers", Data: []byte(text)})
	}
	kinesisRecord := b.AppendTo(nil)
	fmt.Println(b.Len(), "records in", len(kinesisRecord), "bytes")

	records, err := aggregation.Decode(nil, kinesisRecord)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range records {
		fmt.Printf("%d: %s %s\n", r.Sub, r.PartitionKey, r.Data)
	}
	// Output:
	// 3 records in 58 bytes
	// 0: numbers one
	// 1: numbers two
	// 2: numbers three
}

// A consumer reads streams that have ordinary records, aggregates and now and
// then a damaged one.
func ExampleDecode() {
	deliver := func(data []byte) {
		records, err := aggregation.Decode(nil, data)
		var corrupt *aggregation.CorruptError
		switch {
		case errors.Is(err, aggregation.ErrNotAggregate):
			fmt.Printf("ordinary: %s\n", data)
			return
		case errors.As(err, &corrupt):
			fmt.Println("report:", corrupt)
		}
		for _, r := range records {
			fmt.Printf("user record %d: %s\n", r.Sub, r.Data)
		}
	}

	deliver([]byte("hello"))

	var b aggregation.Builder
	b.Add(aggregation.Record{PartitionKey: "k", ExplicitHashKey: "not a number", Data: []byte("x")})
	b.Add(aggregation.Record{PartitionKey: "k", Data: []byte("y")})
	deliver(b.AppendTo(nil))
	// Output:
	// ordinary: hello
	// report: aggregation: decode: entries 0 cannot be read: entry 0: its explicit hash key is not a decimal number below 2^128
	// user record 1: y
}
