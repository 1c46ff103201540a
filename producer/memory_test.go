package producer_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesiskit/kinesiskit/producer"
)

// counts is what a record of so many bytes, with its keys, counts in the buffer.
func counts(bytes int64) int64 { return 400 + 2*bytes }

// still is a stream that answers nothing while it is held.
type still struct {
	null
	held chan struct{}
}

func (s *still) PutRecords(ctx context.Context, in *kinesis.PutRecordsInput, opts ...func(*kinesis.Options)) (*kinesis.PutRecordsOutput, error) {
	select {
	case <-s.held:
		return s.null.PutRecords(ctx, in, opts...)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// A buffer that is full, with as much of it on its way as can be, takes no more memory than BufferBytes says, whatever the size of the records; and not so
// much less that the bound would say nothing.
func TestTheBufferCountsTheMemoryThatRecordsTake(t *testing.T) {
	const most = 32 << 20
	for _, size := range []int{10, 100, 1000, 20_000, 500_000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := &still{held: make(chan struct{})}
				p, err := producer.New(producer.Config{Stream: "s", BufferBytes: most, BufferRecords: 1 << 30, RateLimit: -1}, k)
				if err != nil {
					t.Fatal(err)
				}
				data := make([]byte, size)
				if _, err := p.Put(t.Context(), producer.Record{PartitionKey: "key", Data: data}); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				before := heap()
				for n := 0; ; n++ {
					_, err := p.TryPut(producer.Record{PartitionKey: fmt.Sprint("key", n), Data: data})
					if errors.Is(err, producer.ErrFull) {
						break
					}
					if err != nil {
						t.Fatal(err)
					}
				}
				synctest.Wait()
				took := int64(heap() - before)
				t.Logf("%d records in %d KiB", p.Health().BufferedRecords, took>>10)
				if took > most || took < most/4 {
					t.Errorf("takes %d KiB of %d KiB", took>>10, most>>10)
				}
				close(k.held)
				if err := p.Close(context.Background()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC() // the first may leave what finalizers hold
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
