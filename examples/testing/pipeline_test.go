package pipeline

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesiskit/kinesiskit/kinesistest"
)

// Whatever happens, each order is billed, and a customer's bills come in the order of the orders. A bill may come again.
func TestEveryOrderIsBilledInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // on a virtual clock: the minutes below take milliseconds
		s := kinesistest.New()
		defer func() { _ = s.Close() }()
		s.CreateStream("orders", 2)
		s.CreateStream("bills", 1)

		// What happens to a pipeline once in a while happens to this one now. A rule that never fires fails the test.
		s.On("GetRecords", kinesistest.Throttle()).From("billing").After(5).Times(3).MustHit(t)
		s.On("PutRecords", kinesistest.LoseReply()).After(10).Times(1).MustHit(t) // stored, and nobody knows
		s.On("PutRecords", kinesistest.FailRecords("ProvisionedThroughputExceededException", 0.5)).Times(8).MustHit(t)
		s.On("UpdateItem", kinesistest.LoseReply()).Table("billing").After(10).Times(1).MustHit(t)

		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- Run(ctx, s.Config("billing")) }() // the program itself, with this aws.Config

		takeOrders(t, s, 0, 200)
		left, right := s.Split("orders", "shardId-000000000000")
		takeOrders(t, s, 200, 400)
		time.Sleep(20 * time.Second)
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}

		bills := make(map[string][]string) // of each customer, without repetitions
		for _, r := range s.Records("bills") {
			if bill := string(r.Data); !slices.Contains(bills[r.PartitionKey], bill) {
				bills[r.PartitionKey] = append(bills[r.PartitionKey], bill)
			}
		}
		want, resharded := make(map[string][]string), 0
		for i := range 400 {
			want[customer(i)] = append(want[customer(i)], fmt.Sprintf("bill for order %d", i))
		}
		for c := range want {
			if !slices.Equal(bills[c], want[c]) {
				t.Errorf("%s got %q", c, bills[c])
			}
		}
		for _, r := range s.Records("orders") {
			if r.Shard == left || r.Shard == right {
				resharded++
			}
		}
		if resharded == 0 {
			t.Error("the split has tested nothing")
		}
	})
}

// takeOrders puts ten orders a second into the stream.
func takeOrders(t *testing.T, s *kinesistest.Server, from, to int) {
	t.Helper()
	shop := kinesis.NewFromConfig(s.Config("shop"))
	for i := from; i < to; i++ {
		if _, err := shop.PutRecord(t.Context(), &kinesis.PutRecordInput{
			StreamName: aws.String("orders"), PartitionKey: aws.String(customer(i)), Data: fmt.Appendf(nil, "order %d", i),
		}); err != nil {
			t.Error(err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func customer(i int) string { return fmt.Sprintf("customer-%d", i%6) }
