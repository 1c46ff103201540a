package producer_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/kinesiskit/kinesiskit/producer"
	"github.com/kinesiskit/kinesiskit/shard"
)

func TestKeysThatAreRememberedKeepTheirPlaces(t *testing.T) {
	bubble(t, 8, producer.Config{BufferRecords: 1 << 20}, func(w *world) {
		for i := range 10_000 {
			key := fmt.Sprintf("%d", i)
			if i%10 == 0 {
				key += strings.Repeat("x", 65) // too long to be remembered
			}
			for range 3 {
				w.put(key, "x")
			}
		}
		w.flush()
		for _, c := range w.contents() {
			if c.dropped || c.explicit != "" {
				w.Fatalf("%s, at %v, is in an aggregate of %s", c.key, shard.HashOf(c.key), c.shard)
			}
		}
	})
}

func TestAPutAllocatesOneObject(t *testing.T) {
	p, err := producer.New(producer.Config{Stream: "s", BufferRecords: 1 << 20, RateLimit: -1}, new(null))
	if err != nil {
		t.Fatal(err)
	}
	record := producer.Record{PartitionKey: "key", Data: make([]byte, 100)}
	const batch = 10_000
	put := func() {
		for range batch {
			if _, err := p.Put(context.Background(), record); err != nil {
				t.Fatal(err)
			}
		}
	}
	// Everything counts: the engine, the aggregates and the requests too.
	if n := testing.AllocsPerRun(10, put) / batch; n > 1.2 {
		t.Errorf("%.3f allocations a record", n)
	}
	if err := p.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}
