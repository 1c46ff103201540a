package producer_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesiskit/kinesiskit/kinesistest"
	"github.com/kinesiskit/kinesiskit/producer"
	"github.com/kinesiskit/kinesiskit/shard"
)

// poison makes the server refuse every request that holds the record "poison", as it refuses what is not valid.
func poison(w *world, message func(index int) string) {
	w.s.On("PutRecords", kinesistest.Do(func(_ context.Context, r *kinesistest.Request, next func() kinesistest.Reply) kinesistest.Reply {
		before, _, found := strings.Cut(string(r.Body), `"PartitionKey":"poison"`)
		if !found {
			return next()
		}
		index := strings.Count(before, `"PartitionKey"`)
		return kinesistest.Reply{Status: 400, Body: fmt.Appendf(nil, `{"__type":"ValidationException","message":%q}`, message(index))}
	}))
}

func TestAPoisonRecordIsIsolatedAndItsNeighboursAreStored(t *testing.T) {
	for name, c := range map[string]struct {
		message func(int) string
		most    int
	}{
		"named": {func(i int) string {
			return fmt.Sprintf("1 validation error detected: Value at 'records.%d.member.data' failed to satisfy constraint", i+1)
		}, 3},
		"not named":   {func(int) string { return "something is wrong" }, 20},
		"named badly": {func(i int) string { return fmt.Sprintf("Value at 'records.%d.member.data' failed", (i+40)%100+1) }, 22},
	} {
		for _, inFlight := range []int{1, 24} {
			t.Run(fmt.Sprint(name, " in flight ", inFlight), func(t *testing.T) {
				bubble(t, 100, producer.Config{AggregateBytes: -1, InFlight: inFlight}, func(w *world) {
					w.ready()
					poison(w, c.message)
					before := w.s.Calls("PutRecords")
					step := shard.MaxHashKey.Hi / 100
					var futures []*producer.Future
					for i := range 100 {
						key := fmt.Sprint("good-", i)
						if i == 60 {
							key = "poison"
						}
						hash := shard.HashKey{Hi: step*uint64(i) + step/2}
						f, err := w.p.Put(context.Background(), producer.Record{PartitionKey: key, ExplicitHashKey: hash.String()})
						if err != nil {
							w.Fatal(err)
						}
						futures = append(futures, f)
					}
					for i, f := range futures {
						if i != 60 {
							w.stored(f)
							continue
						}
						var invalid *types.ValidationException
						if e := w.failed(f); !errors.As(e, &invalid) || e.MayExist || e.Record.PartitionKey != "poison" {
							w.Errorf("got %+v", e)
						}
					}
					if n := w.s.Calls("PutRecords") - before; n > c.most {
						w.Errorf("%d requests", n)
					}
				})
			})
		}
	}
}
