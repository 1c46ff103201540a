package aggregation_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/kinesiskit/kinesiskit/aggregation"
)

func TestBuilderWritesTheGoldenAggregates(t *testing.T) {
	t.Parallel()
	a, b := goldenRecords()
	var builder aggregation.Builder
	for name, c := range map[string]struct {
		records []aggregation.Record
		want    string
	}{"A": {a, goldenA}, "B": {b, goldenB}} {
		builder.Reset()
		for _, r := range c.records {
			builder.Add(r)
		}
		if got := builder.AppendTo(nil); !bytes.Equal(got, unhex(t, c.want)) {
			t.Errorf("%s:\n got %x\nwant %s", name, got, c.want)
		}
	}
}

func TestBuilderWithoutRecordsWritesNothing(t *testing.T) {
	t.Parallel()
	var b aggregation.Builder
	check := func() {
		t.Helper()
		if got := b.AppendTo([]byte("dst")); string(got) != "dst" || b.Size() != 0 || b.Len() != 0 {
			t.Errorf("got %q, size %d, len %d", got, b.Size(), b.Len())
		}
	}
	check()
	b.Add(aggregation.Record{PartitionKey: "k", ExplicitHashKey: "1", Data: []byte("d")})
	b.Reset()
	check()
}

func TestBuilderCopiesData(t *testing.T) {
	t.Parallel()
	var b aggregation.Builder
	data := []byte("original")
	b.Add(aggregation.Record{PartitionKey: "k", Data: data})
	copy(data, "changed!")
	got, err := aggregation.Decode(nil, b.AppendTo(nil))
	if err != nil || string(got[0].Data) != "original" {
		t.Errorf("got %q, %v", got[0].Data, err)
	}
}

func TestBuilderAppendsBehindWhatIsThere(t *testing.T) {
	t.Parallel()
	a, _ := goldenRecords()
	var b aggregation.Builder
	for _, r := range a {
		b.Add(r)
	}
	want := unhex(t, goldenA)
	got := b.AppendTo([]byte("prefix"))
	if string(got[:6]) != "prefix" || !bytes.Equal(got[6:], want) {
		t.Errorf("got %x", got)
	}
	if again := b.AppendTo(got[:0]); !bytes.Equal(again, want) {
		t.Errorf("a second call gave %x", again)
	}
}

// reference writes an aggregate straight from the format's definition, slowly.
func reference(records []aggregation.Record) []byte {
	var keys, hashKeys []string
	place := func(table *[]string, s string) int {
		if i := slices.Index(*table, s); i >= 0 {
			return i
		}
		*table = append(*table, s)
		return len(*table) - 1
	}
	varint := func(n int) []byte {
		var out []byte
		for ; n >= 0x80; n >>= 7 {
			out = append(out, byte(n)|0x80)
		}
		return append(out, byte(n))
	}
	field := func(number int, b []byte) []byte {
		return slices.Concat([]byte{byte(number<<3 | 2)}, varint(len(b)), b)
	}

	var entries, message []byte
	for _, r := range records {
		body := append([]byte{0x08}, varint(place(&keys, r.PartitionKey))...)
		if r.ExplicitHashKey != "" {
			body = append(append(body, 0x10), varint(place(&hashKeys, r.ExplicitHashKey))...)
		}
		entries = append(entries, field(3, append(body, field(3, r.Data)...))...)
	}
	for _, k := range keys {
		message = append(message, field(1, []byte(k))...)
	}
	for _, k := range hashKeys {
		message = append(message, field(2, []byte(k))...)
	}
	return frame(append(message, entries...))
}

// randomRecords draws from few keys or many, with data of lengths around those
// where a length takes one more byte.
func randomRecords(r *rand.Rand) []aggregation.Record {
	lengths := []int{0, 1, 100, 119, 120, 121, 122, 123, 124, 125, 126, 127, 128, 129, 1000, 16376, 16383, 16384}
	few := 1 + r.IntN(300)
	records := make([]aggregation.Record, 1+r.IntN(400))
	for i := range records {
		records[i].PartitionKey = fmt.Sprintf("%0*d", r.IntN(3)*r.IntN(70), r.IntN(few))
		if r.IntN(3) == 0 {
			records[i].ExplicitHashKey = strconv.FormatUint(r.Uint64()>>(r.IntN(64)), 10)
		}
		length := r.IntN(40)
		if r.IntN(8) == 0 {
			length = lengths[r.IntN(len(lengths))]
		}
		records[i].Data = make([]byte, length)
		for j := range records[i].Data {
			records[i].Data[j] = byte(r.Uint32())
		}
		records[i].Sub = i
	}
	return records
}

// For any records: the predicted size, the size and the bytes agree after each
// Add, the bytes are those of the format's definition, and decoding gives the
// records back in order. One Builder serves all rounds, so nothing of a round
// may be left after Reset.
func TestBuilderIsExactForAnyRecords(t *testing.T) {
	t.Parallel()
	var b aggregation.Builder
	for seed := range uint64(200) {
		records := randomRecords(rand.New(rand.NewPCG(seed, 1)))
		b.Reset()
		for i, r := range records {
			predicted := b.SizeWith(r)
			r.Sub = 999
			b.Add(r)
			if b.Size() != predicted || b.Len() != i+1 {
				t.Fatalf("seed %d, record %d: predicted %d bytes, now %d; len %d", seed, i, predicted, b.Size(), b.Len())
			}
			if i%97 == 0 && len(b.AppendTo(nil)) != predicted {
				t.Fatalf("seed %d, record %d: predicted %d bytes, wrote %d", seed, i, predicted, len(b.AppendTo(nil)))
			}
		}
		got := b.AppendTo(nil)
		if len(got) != b.Size() || !bytes.Equal(got, reference(records)) {
			t.Fatalf("seed %d: %d bytes, size %d, unlike the format's definition", seed, len(got), b.Size())
		}
		decoded, err := aggregation.Decode(nil, got)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		sameRecords(t, decoded, records)
	}
}

// Any change of an aggregate's bytes makes it an ordinary record; any change of
// the message under a right checksum keeps what the fuzz target checks.
func TestDecodeSurvivesAnyDamage(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(7, 7))
	for range 100 {
		data := reference(randomRecords(r)[:1])
		for range 50 {
			damaged := slices.Clone(data)
			damaged[r.IntN(len(damaged))] ^= byte(1 + r.IntN(255))
			if got, err := aggregation.Decode(nil, damaged); !errors.Is(err, aggregation.ErrNotAggregate) || len(got) != 0 {
				t.Fatalf("%x: %d records, %v", damaged, len(got), err)
			}
			checkDecode(t, frame(damaged[4:len(damaged)-16]))
		}
	}
}

func TestBuilderAllocatesNothingOnceWarm(t *testing.T) {
	records := randomRecords(rand.New(rand.NewPCG(3, 3)))
	var b aggregation.Builder
	var out []byte
	round := func() {
		b.Reset()
		for _, r := range records {
			_ = b.SizeWith(r)
			b.Add(r)
		}
		out = b.AppendTo(out[:0])
	}
	round()
	if n := testing.AllocsPerRun(20, round); n != 0 {
		t.Errorf("%v allocations for %d records", n, len(records))
	}
}
