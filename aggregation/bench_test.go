package aggregation_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/kinesiskit/kinesiskit/aggregation"
)

// aggregateBytes is KPL's default aggregationMaxSize.
const aggregateBytes = 50 << 10

func benchmarkRecords(keys int) []aggregation.Record {
	records := make([]aggregation.Record, 1000)
	for i := range records {
		records[i] = aggregation.Record{PartitionKey: fmt.Sprintf("partition-key-%02d", i%keys), Data: make([]byte, 100)}
	}
	return records
}

// perRecord reports ns and allocations for each record of what ran since start.
type perRecord struct {
	records int
	mallocs uint64
}

func (p *perRecord) start() {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	p.mallocs = m.Mallocs
}

func (p *perRecord) report(b *testing.B) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	n := float64(p.records)
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/n, "ns/record")
	b.ReportMetric(float64(m.Mallocs-p.mallocs)/n, "allocs/record")
	b.ReportMetric(n/b.Elapsed().Seconds(), "records/s")
}

// Records of 100 bytes into aggregates of 50 KiB; one operation is one aggregate.
func BenchmarkEncode(b *testing.B) {
	for _, keys := range []int{1, 16, 1000} {
		b.Run(fmt.Sprintf("keys=%d", keys), func(b *testing.B) {
			records := benchmarkRecords(keys)
			var builder aggregation.Builder
			out := make([]byte, 0, 2*aggregateBytes)
			next := 0
			var p perRecord
			one := func() {
				builder.Reset()
				for builder.SizeWith(records[next%len(records)]) <= aggregateBytes {
					builder.Add(records[next%len(records)])
					next++
				}
				out = builder.AppendTo(out[:0])
			}
			one()
			next = 0
			p.start()
			for b.Loop() {
				one()
			}
			p.records = next
			b.SetBytes(int64(len(out)))
			p.report(b)
		})
	}
}

// The same aggregates read into a slice that is used again.
func BenchmarkDecode(b *testing.B) {
	for _, keys := range []int{1, 16, 1000} {
		b.Run(fmt.Sprintf("keys=%d", keys), func(b *testing.B) {
			records := benchmarkRecords(keys)
			var builder aggregation.Builder
			for i := 0; builder.SizeWith(records[i]) <= aggregateBytes; i++ {
				builder.Add(records[i])
			}
			data := builder.AppendTo(nil)
			var dst []aggregation.Record
			var p perRecord
			p.start()
			for b.Loop() {
				var err error
				if dst, err = aggregation.Decode(dst[:0], data); err != nil {
					b.Fatal(err)
				}
				p.records += len(dst)
			}
			b.SetBytes(int64(len(data)))
			p.report(b)
		})
	}
}
