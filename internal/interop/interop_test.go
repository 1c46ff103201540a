package interop_test

import (
	"bytes"
	"crypto/md5"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/awslabs/kinesis-aggregation/go/v2/deaggregator"
	"github.com/awslabs/kinesis-aggregation/go/v2/records"
	"github.com/golang/protobuf/proto" //nolint:staticcheck // the messages of the library under test are of this API

	"github.com/kinesiskit/kinesiskit/aggregation"
	"github.com/kinesiskit/kinesiskit/shard"
)

var aggregates = flag.Int("aggregates", 20_000, "how many random aggregates make the round trip")

// random makes the records of one aggregate: few or many, with keys of all lengths and alphabets that repeat or do not, with and without explicit hash
// keys, of data from none to more than two bytes of length can tell.
func random(r *rand.Rand) []aggregation.Record {
	keys := make([]string, 1+r.IntN(8))
	for i := range keys {
		alphabet := []rune("abcdefghijklmnopqrstuvwxyz0123456789-_/\"\\\x00\x7fäßЖ日本🌍")
		key := make([]rune, 1+r.IntN([]int{1, 12, 256}[r.IntN(3)]))
		for j := range key {
			key[j] = alphabet[r.IntN(len(alphabet))]
		}
		keys[i] = string(key)
	}
	most := []int{1, 40, 200, 20_000}[r.IntN(4)]
	out := make([]aggregation.Record, 1+r.IntN([]int{2, 10, 150}[r.IntN(3)]))
	if most > 1000 {
		out = out[:min(len(out), 5)]
	}
	for i := range out {
		out[i].PartitionKey = keys[r.IntN(len(keys))]
		if r.IntN(4) == 0 {
			out[i].ExplicitHashKey = shard.HashKey{Hi: r.Uint64() >> r.IntN(64), Lo: r.Uint64()}.String()
		}
		out[i].Data = make([]byte, r.IntN(most))
		for j := range out[i].Data {
			out[i].Data[j] = byte(r.Uint32())
		}
		out[i].Sub = i
	}
	return out
}

func ours(in []aggregation.Record) []byte {
	var b aggregation.Builder
	for _, r := range in {
		b.Add(r)
	}
	return b.AppendTo(nil)
}

// theirs encodes by the generated messages and the protobuf runtime.
func theirs(in []aggregation.Record) ([]byte, error) {
	message := new(records.AggregatedRecord)
	place := func(table *[]string, s string) *uint64 {
		for i, t := range *table {
			if s == t {
				return proto.Uint64(uint64(i))
			}
		}
		*table = append(*table, s)
		return proto.Uint64(uint64(len(*table) - 1))
	}
	for _, r := range in {
		record := &records.Record{PartitionKeyIndex: place(&message.PartitionKeyTable, r.PartitionKey), Data: r.Data}
		if r.ExplicitHashKey != "" {
			record.ExplicitHashKeyIndex = place(&message.ExplicitHashKeyTable, r.ExplicitHashKey)
		}
		message.Records = append(message.Records, record)
	}
	body, err := proto.Marshal(message)
	if err != nil {
		return nil, err
	}
	sum := md5.Sum(body)
	return append(append([]byte("\xf3\x89\x9a\xc2"), body...), sum[:]...), nil
}

// roundTrip sends one aggregate both ways.
func roundTrip(in []aggregation.Record) error {
	data := ours(in)
	made, err := theirs(in)
	if err != nil {
		return err
	}
	if !bytes.Equal(data, made) {
		return fmt.Errorf("ours %x\ntheirs %x", data, made)
	}
	out, err := deaggregator.DeaggregateRecords([]types.Record{{Data: data}})
	if err != nil || len(out) != len(in) {
		return fmt.Errorf("theirs reads %d records of %d, error %w", len(out), len(in), err)
	}
	message := new(records.AggregatedRecord) // their decoder does not tell explicit hash keys
	if err := proto.Unmarshal(data[4:len(data)-md5.Size], message); err != nil {
		return err
	}
	back, err := aggregation.Decode(nil, made)
	if err != nil || len(back) != len(in) {
		return fmt.Errorf("ours reads %d records of %d, error %w", len(back), len(in), err)
	}
	for i, r := range in {
		explicit := ""
		if at := message.Records[i].ExplicitHashKeyIndex; at != nil {
			explicit = message.ExplicitHashKeyTable[*at]
		}
		if *out[i].PartitionKey != r.PartitionKey || !bytes.Equal(out[i].Data, r.Data) || explicit != r.ExplicitHashKey {
			return fmt.Errorf("record %d: theirs reads %q %q %x of %+v", i, *out[i].PartitionKey, explicit, out[i].Data, r)
		}
		b := back[i]
		if b.PartitionKey != r.PartitionKey || b.ExplicitHashKey != r.ExplicitHashKey || !bytes.Equal(b.Data, r.Data) || b.Sub != i {
			return fmt.Errorf("record %d: ours reads %+v of %+v", i, b, r)
		}
	}
	return nil
}

func TestRandomAggregatesAreTheSameToAnIndependentLibrary(t *testing.T) {
	var wg sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	for w := range workers {
		wg.Go(func() {
			for i := w; i < *aggregates && !t.Failed(); i += workers {
				if err := roundTrip(random(rand.New(rand.NewPCG(1, uint64(i))))); err != nil {
					t.Errorf("aggregate %d: %v", i, err)
				}
			}
		})
	}
	wg.Wait()
}

// What the other library writes may differ from what a message of ours looks like: tags, tables with entries that repeat or that nothing uses.
func TestWhatTheFormatAllowsBesideIsRead(t *testing.T) {
	message := &records.AggregatedRecord{
		PartitionKeyTable:    []string{"unused", "k", "k"},
		ExplicitHashKeyTable: []string{"7", "unused"},
		Records: []*records.Record{
			{PartitionKeyIndex: proto.Uint64(1), Data: []byte("1"), Tags: []*records.Tag{{Key: proto.String("id"), Value: proto.String("x")}}},
			{PartitionKeyIndex: proto.Uint64(2), ExplicitHashKeyIndex: proto.Uint64(0), Data: []byte{}},
		},
	}
	body, err := proto.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	sum := md5.Sum(body)
	got, err := aggregation.Decode(nil, append(append([]byte("\xf3\x89\x9a\xc2"), body...), sum[:]...))
	if err != nil || len(got) != 2 || got[0].PartitionKey != "k" || string(got[0].Data) != "1" || got[1].ExplicitHashKey != "7" || len(got[1].Data) != 0 {
		t.Errorf("%+v, %v", got, err)
	}
}

// The comparison notices a single bit.
func TestTheComparisonCanFail(t *testing.T) {
	in := []aggregation.Record{{PartitionKey: "a", Data: []byte(strings.Repeat("x", 100))}}
	data := ours(in)
	data[len(data)/2] ^= 1
	out, err := deaggregator.DeaggregateRecords([]types.Record{{Data: data}})
	if err != nil || len(out) != 1 || out[0].PartitionKey != nil {
		t.Errorf("a damaged aggregate is read as %+v, %v", out, err)
	}
}
