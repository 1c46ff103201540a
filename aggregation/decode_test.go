package aggregation_test

import (
	"bytes"
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/kinesiskit/kinesiskit/aggregation"
)

// Aggregates written by hand from the format's definition; the official
// deaggregator reads them.
const (
	goldenA = "f3899ac2" + "0a0161" + "0a0162" + "1a0908001a0568656c6c6f" + "1a0908011a05776f726c64" + "1a0508001a0121" +
		"71c8c0d3a7dd0bd27002a12e99423013"
	goldenB = "f3899ac2" + "0a0161" + "0a0162" + "1203313233" + "1a0908001a0568656c6c6f" + "1a0b080110001a05776f726c64" +
		"03df21c9456b8cb24a2cd0db8a70f0a9"
)

func goldenRecords() (a, b []aggregation.Record) {
	return []aggregation.Record{
			{PartitionKey: "a", Data: []byte("hello"), Sub: 0},
			{PartitionKey: "b", Data: []byte("world"), Sub: 1},
			{PartitionKey: "a", Data: []byte("!"), Sub: 2},
		}, []aggregation.Record{
			{PartitionKey: "a", Data: []byte("hello"), Sub: 0},
			{PartitionKey: "b", ExplicitHashKey: "123", Data: []byte("world"), Sub: 1},
		}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// frame puts magic and checksum around a message.
func frame(message []byte) []byte {
	sum := md5.Sum(message)
	return slices.Concat([]byte{0xf3, 0x89, 0x9a, 0xc2}, message, sum[:])
}

func sameRecords(t *testing.T, got, want []aggregation.Record) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d records, want %d: %+v", len(got), len(want), got)
	}
	for i, w := range want {
		g := got[i]
		if g.PartitionKey != w.PartitionKey || g.ExplicitHashKey != w.ExplicitHashKey || !bytes.Equal(g.Data, w.Data) || g.Sub != w.Sub {
			t.Fatalf("record %d: got %+v, want %+v", i, g, w)
		}
	}
}

func TestDecodeReadsTheGoldenAggregates(t *testing.T) {
	t.Parallel()
	a, b := goldenRecords()
	for name, c := range map[string]struct {
		bytes string
		want  []aggregation.Record
	}{"A": {goldenA, a}, "B": {goldenB, b}} {
		got, err := aggregation.Decode(nil, unhex(t, c.bytes))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		sameRecords(t, got, c.want)
	}
}

func TestDecodeLeavesOrdinaryRecordsAlone(t *testing.T) {
	t.Parallel()
	whole := unhex(t, goldenA)
	flipped := slices.Clone(whole)
	flipped[len(flipped)-1] ^= 1
	changed := slices.Clone(whole)
	changed[12] ^= 1
	for name, data := range map[string][]byte{
		"nil":                               nil,
		"empty":                             {},
		"text":                              []byte(`{"not":"an aggregate","but":"long enough"}`),
		"magic alone":                       whole[:4],
		"frame without a message":           frame(nil),
		"other magic":                       slices.Concat([]byte{0xf3, 0x89, 0x9a, 0xc3}, whole[4:]),
		"other checksum":                    flipped,
		"other message":                     changed,
		"a byte too many":                   append(slices.Clone(whole), 0),
		"table entry cut off":               frame(unhex(t, "0a0261")),
		"record cut off":                    frame(unhex(t, "0a0161 1a0908001a05")),
		"length without end":                frame(unhex(t, "0affffffffffffffffffff01")),
		"length of 2^63":                    frame(unhex(t, "0a808080808080808080 01")),
		"tag without value":                 frame(unhex(t, "0a0161 1a")),
		"unknown varint cut off":            frame(unhex(t, "0a0161 2080")),
		"unknown fixed64 cut off":           frame(unhex(t, "0a0161 21 00000000000000")),
		"unknown fixed32 cut off":           frame(unhex(t, "0a0161 25 000000")),
		"records as varint":                 frame(unhex(t, "0a0161 1805")),
		"partition keys as varint":          frame(unhex(t, "0805")),
		"explicit hash keys as fixed32":     frame(unhex(t, "1500000000")),
		"group":                             frame(unhex(t, "0a0161 2b 2c")),
		"end of group":                      frame(unhex(t, "0a0161 2c")),
		"wire type 6":                       frame(unhex(t, "0a0161 26")),
		"field number 0":                    frame(unhex(t, "0a0161 0000")),
		"tag of more than 32 bits":          frame(unhex(t, "0a0161 808080801000")),
		"good records, then a broken frame": frame(unhex(t, "0a0161 1a0908001a0568656c6c6f ff")),
	} {
		dst := []aggregation.Record{{PartitionKey: "kept"}}
		got, err := aggregation.Decode(dst, data)
		if !errors.Is(err, aggregation.ErrNotAggregate) || len(got) != 1 || got[0].PartitionKey != "kept" {
			t.Errorf("%s: got %d records, %v", name, len(got)-1, err)
		}
	}
}

// Every case has readable entries around the bad one, and these come out with
// the places they were written at.
func TestDecodeReportsBadEntriesAndReturnsTheOthers(t *testing.T) {
	t.Parallel()
	const tables = "0a0161 12026161 1203313233 1200 1227" + // a; aa, 123, "", and 2^128 as the fourth
		"333430323832333636393230393338343633343633333734363037343331373638323131343536"
	for name, bad := range map[string]string{
		"empty entry":                       "",
		"no partition key":                  "1a0178",
		"no data":                           "0800",
		"partition key outside":             "08011a0178",
		"partition key far outside":         "08ffffffffffffffffff011a0178",
		"partition key index without end":   "08ffffffffffffffffffff1a0178",
		"partition key index over 64 bits":  "08ffffffffffffffffff021a0178",
		"partition key as bytes":            "0a00 1a0178",
		"data cut off":                      "08001a0278",
		"data as varint":                    "08001878",
		"hash key outside":                  "080010041a0178",
		"hash key not a number":             "080010001a0178",
		"hash key empty":                    "080010021a0178",
		"hash key 2^128":                    "080010031a0178",
		"hash key index as fixed32":         "0800 1500000000 1a0178",
		"tag cut off":                       "08001a01782205",
		"group":                             "08001a0178 2b2c",
		"field number 0":                    "08001a0178 0000",
		"last index counts: outside":        "080008071a0178",
		"last hash key counts: not a value": "0800 1001 1000 1a0178",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			entry := unhex(t, bad)
			message := unhex(t, tables+"1a0508001a0131")
			message = append(message, 0x1a, byte(len(entry)))
			message = append(message, entry...)
			message = append(message, unhex(t, "1a07080010011a0133")...)
			message = append(message, 0x1a, byte(len(entry)))
			message = append(message, entry...)
			message = append(message, unhex(t, "1a0508001a0135")...)

			got, err := aggregation.Decode(nil, frame(message))
			var corrupt *aggregation.CorruptError
			if !errors.As(err, &corrupt) || !slices.Equal(corrupt.Subs, []int{1, 3}) {
				t.Fatalf("got %v", err)
			}
			if !strings.HasPrefix(corrupt.Reason, "entry 1: ") || len(corrupt.Reason) < 20 {
				t.Errorf("reason %q", corrupt.Reason)
			}
			sameRecords(t, got, []aggregation.Record{
				{PartitionKey: "a", Data: []byte("1"), Sub: 0},
				{PartitionKey: "a", ExplicitHashKey: "123", Data: []byte("3"), Sub: 2},
				{PartitionKey: "a", Data: []byte("5"), Sub: 4},
			})
		})
	}
}

func TestDecodeReadsWhatProtobufAllows(t *testing.T) {
	t.Parallel()
	one := []aggregation.Record{{PartitionKey: "a", Data: []byte("x")}}
	for name, c := range map[string]struct {
		message string
		want    []aggregation.Record
	}{
		"no records":               {"0a0161", nil},
		"only an unknown field":    {"2001", nil},
		"table behind the records": {"1a0508001a0178 0a0161", one},
		"tables between records": {"1a0708001a01781001 0a0161 1201311a0508001a0179 120132", []aggregation.Record{
			{PartitionKey: "a", ExplicitHashKey: "2", Data: []byte("x"), Sub: 0},
			{PartitionKey: "a", Data: []byte("y"), Sub: 1}}},
		"unused and repeated table entries": {"0a0162 0a0161 0a0161 1a0508021a0178", one},
		"unused malformed hash key":         {"0a0161 120161 1a0508001a0178", one},
		"unknown fields in the message":     {"2001 0a0161 2102030405060708ff 1a0508001a0178 250a0b0c0d 2a0161", one},
		"unknown fields in the record":      {"0a0161 1a18 3001 0800 310203040506070809 350a0b0c0d 1a0178 3a0161", one},
		"a tag":                             {"0a0161 1a0a 08001a0178 2203 0a0161", one},
		"data before index":                 {"0a0161 1a051a01780800", one},
		"the last index counts":             {"0a0162 0a0161 1a09 0805 0800 0801 1a0178", one},
		"the last data counts":              {"0a0161 1a0a 0800 1a0379797a 1a0178", one},
		"a varint longer than it must be":   {"0a0161 1a08 0880808000 1a0178", one},
		"empty partition key and data":      {"0a00 1a0408001a00", []aggregation.Record{{}}},
		"partition key that is not UTF-8":   {"0a01ff 1a0508001a0178", []aggregation.Record{{PartitionKey: "\xff", Data: []byte("x")}}},
		"the ring's last hash key": {"0a0161 1227" + hex.EncodeToString([]byte("340282366920938463463374607431768211455")) + "1a07080010001a0178",
			[]aggregation.Record{{PartitionKey: "a", ExplicitHashKey: "340282366920938463463374607431768211455", Data: []byte("x")}}},
	} {
		got, err := aggregation.Decode(nil, frame(unhex(t, c.message)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		sameRecords(t, got, c.want)
	}
}

func TestDecodeAppendsAndAliases(t *testing.T) {
	t.Parallel()
	data := unhex(t, goldenA)
	before := []aggregation.Record{{PartitionKey: "before"}}
	got, err := aggregation.Decode(before, data)
	if err != nil || len(got) != 4 || got[0].PartitionKey != "before" {
		t.Fatalf("got %+v, %v", got, err)
	}
	first := got[1].Data
	data[bytes.Index(data, []byte("hello"))] = 'J'
	if string(first) != "Jello" {
		t.Errorf("data is a copy: %q", first)
	}
	_ = append(first, "overwrites what follows"...)
	if string(got[2].Data) != "world" {
		t.Errorf("appending to one record's data changed the next: %q", got[2].Data)
	}
}

func TestDecodeAllocatesPerTableEntryNotPerRecord(t *testing.T) {
	var b aggregation.Builder
	for i := range 1000 {
		b.Add(aggregation.Record{PartitionKey: []string{"red", "green"}[i%2], ExplicitHashKey: "7", Data: []byte("payload")})
	}
	data := b.AppendTo(nil)
	dst := make([]aggregation.Record, 0, 1000)
	// Two tables, two keys, one hash key.
	if n := testing.AllocsPerRun(20, func() { _, _ = aggregation.Decode(dst, data) }); n > 5 {
		t.Errorf("%v allocations for an aggregate of 1,000 records with 3 table entries", n)
	}
	// And one for all the records.
	if n := testing.AllocsPerRun(20, func() { _, _ = aggregation.Decode(nil, data) }); n > 6 {
		t.Errorf("%v allocations where dst has no room", n)
	}
	ordinary := bytes.Repeat([]byte("ordinary"), 100)
	if n := testing.AllocsPerRun(20, func() { _, _ = aggregation.Decode(dst, ordinary) }); n != 0 {
		t.Errorf("%v allocations for an ordinary record", n)
	}
}

func TestDecodeOfHostileEntriesTakesMemoryInProportion(t *testing.T) {
	message := bytes.Repeat([]byte{0x1a, 0x00}, 100_000)
	data := frame(message)
	got, err := aggregation.Decode(nil, data)
	var corrupt *aggregation.CorruptError
	if !errors.As(err, &corrupt) || len(corrupt.Subs) != 100_000 || cap(got) != 0 {
		t.Fatalf("%d reported, room for %d records", len(corrupt.Subs), cap(got))
	}
	if text := corrupt.Error(); len(text) > 300 || text != strings.ToLower(text) || strings.Contains(text, "\n") {
		t.Errorf("error text %q", text)
	}
}

func TestCorruptErrorTextIsBounded(t *testing.T) {
	t.Parallel()
	subs := make([]int, 20)
	for i := range subs {
		subs[i] = 1<<62 + i
	}
	e := &aggregation.CorruptError{Subs: subs, Reason: strings.Repeat("r", 10_000)}
	if n := len(e.Error()); n > 350 {
		t.Errorf("%d bytes", n)
	}
	e = &aggregation.CorruptError{Subs: []int{2, 5}, Reason: "entry 2: it has no data"}
	if want := "aggregation: decode: entries 2 5 cannot be read: entry 2: it has no data"; e.Error() != want {
		t.Errorf("got %q, want %q", e, want)
	}
}

func TestHashKeyIsTheExplicitOneElseThePartitionKeys(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ key, explicit, want string }{
		{"a", "", "16955237001963240173058271559858726497"},
		{"b", "", "195289424170611159128911017612795795343"},
		{"a", "0", "0"},
		{"a", "340282366920938463463374607431768211455", "340282366920938463463374607431768211455"},
	} {
		k, err := aggregation.Record{PartitionKey: c.key, ExplicitHashKey: c.explicit}.HashKey()
		if err != nil || k.String() != c.want {
			t.Errorf("%q %q: got %v, %v, want %s", c.key, c.explicit, k, err, c.want)
		}
	}
	for _, bad := range []string{"x", "-1", "007", "340282366920938463463374607431768211456"} {
		if k, err := (aggregation.Record{PartitionKey: "a", ExplicitHashKey: bad}).HashKey(); err == nil {
			t.Errorf("%q: got %v", bad, k)
		}
	}
}

// countEntries counts field 3 of a message whose framing holds; it knows nothing
// of the decoder.
func countEntries(message []byte) int {
	n := 0
	for len(message) > 0 {
		tag, k := binary.Uvarint(message)
		message = message[k:]
		if tag>>3 == 3 {
			n++
		}
		switch tag & 7 {
		case 0:
			_, k = binary.Uvarint(message)
			message = message[k:]
		case 1:
			message = message[8:]
		case 2:
			size, k := binary.Uvarint(message)
			message = message[k+int(size):]
		case 5:
			message = message[4:]
		}
	}
	return n
}
