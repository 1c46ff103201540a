package aggregation_test

import (
	"errors"
	"strings"
	"testing"
	"unsafe"

	"github.com/kinesiskit/kinesiskit/aggregation"
)

// FuzzDecode feeds the decoder any bytes: once as they are, and once as the
// message of a frame with a right checksum, where all the parsing is.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		goldenA, goldenB, goldenA[8 : len(goldenA)-32], goldenB[8 : len(goldenB)-32],
		"1a0508001a0178 0a0161", "0a0161 1a00 1a0508001a0178", "0a0161 1a0a08001a017822030a0161", "1affffffff0f", "0a0161 2b2c",
	} {
		f.Add(unhex(f, seed))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		checkDecode(t, message)
		checkDecode(t, frame(message))
	})
}

func checkDecode(t *testing.T, data []byte) {
	t.Helper()
	records, err := aggregation.Decode(nil, data)
	if errors.Is(err, aggregation.ErrNotAggregate) {
		if len(records) != 0 {
			t.Fatalf("%d records of no aggregate", len(records))
		}
		return
	}
	n := countEntries(data[4 : len(data)-16])
	var bad []int
	if err != nil {
		var corrupt *aggregation.CorruptError
		if !errors.As(err, &corrupt) || len(corrupt.Subs) == 0 || corrupt.Reason == "" {
			t.Fatalf("error of no documented kind: %v", err)
		}
		if text := corrupt.Error(); len(text) > 350 || strings.Contains(text, "\n") {
			t.Fatalf("error text %q", text)
		}
		bad = corrupt.Subs
	}
	// Records and reported places, both ascending, are together 0 … n-1.
	if len(records)+len(bad) != n {
		t.Fatalf("%d records and %d reported of %d entries", len(records), len(bad), n)
	}
	r, b := 0, 0
	for sub := range n {
		switch {
		case r < len(records) && records[r].Sub == sub:
			r++
		case b < len(bad) && bad[b] == sub:
			b++
		default:
			t.Fatalf("place %d is neither returned nor reported", sub)
		}
	}
	for _, r := range records {
		if !within(data, r.Data) {
			t.Fatalf("record %d: data outside the aggregate's bytes", r.Sub)
		}
		if _, err := r.HashKey(); err != nil {
			t.Fatalf("record %d: %v", r.Sub, err)
		}
	}
}

// within reports whether part, its capacity included, lies in whole.
func within(whole, part []byte) bool {
	start := uintptr(unsafe.Pointer(unsafe.SliceData(whole)))
	at := uintptr(unsafe.Pointer(unsafe.SliceData(part)))
	return part != nil && at >= start && at+uintptr(cap(part)) <= start+uintptr(len(whole))
}
