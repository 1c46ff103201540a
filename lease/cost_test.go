package lease_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/kinesistest"
	"github.com/kinesiskit/kinesiskit/lease"
	"github.com/kinesiskit/kinesiskit/shard"
)

// KCL writes each lease every F/3 - 25 ms, and each checkpoint beside that.
const kclRenewals = 1 / 3.308

// each calls what it is given once a second while the lease is held.
func each(progress func(ctx context.Context, tn *lease.Tenure, n int) error) serveFunc {
	return func(ctx context.Context, tn *lease.Tenure) error {
		for n := number(tn.Start().Position) + 1; ; n++ {
			select {
			case <-tn.Leaving():
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(time.Second):
			}
			if err := tn.Admit(ctx, at(n)); err != nil {
				return err
			}
			if err := progress(ctx, tn, n); err != nil {
				return err
			}
		}
	}
}

func TestWritesBesideKCLs(t *testing.T) {
	for name, c := range map[string]struct {
		serve       serveFunc
		checkpoints float64 // a second, as KCL would write them
		bound       float64
	}{
		"progress once a second":           {each(func(_ context.Context, tn *lease.Tenure, n int) error { return tn.Mark(at(n)) }), 1, 0.30},
		"idle":                             {hold, 0, 1.05},
		"explicit checkpoints each second": {each(func(ctx context.Context, tn *lease.Tenure, n int) error { return tn.Checkpoint(ctx, at(n)) }), 1, 0.80},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				const leases, span = 4, 5 * time.Minute
				server := kinesistest.New()
				defer server.Close()
				s := dynamo(t, server, "admin")
				for _, r := range rows(leases) {
					if err := s.Create(t.Context(), r); err != nil {
						t.Fatal(err)
					}
				}
				w := run(t, "w", dynamo(t, server, "w"), c.serve)
				time.Sleep(30 * time.Second)
				before := server.Calls("UpdateItem")
				time.Sleep(span)
				ours := float64(server.Calls("UpdateItem")-before) / leases / span.Seconds()
				kcl := kclRenewals + c.checkpoints
				t.Logf("%.3f writes a lease and second, KCL's %.3f: %.2f of it", ours, kcl, ours/kcl)
				if ours > c.bound*kcl {
					t.Errorf("%.3f writes a lease and second are more than %.2f of KCL's %.3f", ours, c.bound, kcl)
				}
				w.quit()
			})
		})
	}
}

// What a listing costs is judged without asking the table.
func TestAListingIsWeighedAsDynamoDBCountsIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		server := kinesistest.New()
		defer server.Close()
		s := dynamo(t, server, "admin")
		var all []lease.Lease
		for i := range 200 {
			place, err := checkpoint.At("49590338271490256608559692538361571095921575989136588898", int64(i))
			if err != nil {
				t.Fatal(err)
			}
			owner := "payments-6d4cf56db6-x2x4k-0123beef"
			l := lease.Lease{
				Key: fmt.Sprintf("shardId-%012d", i), Owner: owner, Speaks: owner, Counter: 1_700_000_000_000, Stream: "transactions", FailoverTime: failover,
				Checkpoint: checkpoint.Checkpoint{Position: place}, HashRange: shard.HashRange{Start: shard.HashKey{Hi: 1 << 60}, End: shard.MaxHashKey},
			}
			if i%4 == 0 {
				l.Parents, l.Children = []string{"shardId-000000000003"}, []string{"shardId-000000000020", "shardId-000000000021"}
			}
			if err := s.Create(t.Context(), l); err != nil {
				t.Fatal(err)
			}
			all = append(all, l)
		}
		out, err := dynamodb.NewFromConfig(server.Config("admin")).Scan(t.Context(), &dynamodb.ScanInput{
			TableName: aws.String(tableName), ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
		})
		if err != nil {
			t.Fatal(err)
		}
		counted, weighed := *out.ConsumedCapacity.CapacityUnits, lease.Weigh(all)
		t.Logf("weighed %.2f, counted %.2f read units", weighed, counted)
		if weighed < 0.9*counted || weighed > 1.2*counted {
			t.Errorf("weighed %.2f, counted %.2f read units", weighed, counted)
		}
	})
}
