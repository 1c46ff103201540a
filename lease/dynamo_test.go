package lease_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/kinesiskit/kinesiskit/kinesistest"
	"github.com/kinesiskit/kinesiskit/lease"
	"github.com/kinesiskit/kinesiskit/lease/dynamostore"
)

const tableName = "leases"

// dynamo is one worker's store on a server, through the SDK's client.
func dynamo(t *testing.T, server *kinesistest.Server, client string) lease.Store {
	t.Helper()
	s := dynamostore.New(dynamodb.NewFromConfig(server.Config(client)), dynamostore.Config{Table: tableName})
	if err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// The whole way: coordinator, store, SDK, and a server that throttles, loses requests and replies, and applies writes after the client gave up.
func TestLeasesSurviveAServiceInTrouble(t *testing.T) {
	bubble(t, func(t *testing.T) {
		server := kinesistest.New(kinesistest.WithSeed(3))
		defer server.Close()
		s := dynamo(t, server, "admin")
		for _, r := range rows(6) {
			if err := s.Create(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
		work := func(ctx context.Context, tn *lease.Tenure) error {
			for n := 2; ; n++ {
				if err := tn.Admit(ctx, at(n)); err != nil {
					return err
				}
				if err := tn.Mark(at(n)); err != nil {
					return err
				}
				if n%3 == 0 {
					if err := tn.Checkpoint(ctx, at(n)); err != nil {
						return err
					}
				}
				select {
				case <-ctx.Done():
					return context.Cause(ctx)
				case <-tn.Leaving():
					return nil
				case <-time.After(2 * time.Second):
				}
			}
		}
		a, b := run(t, "a", dynamo(t, server, "a"), work), run(t, "b", dynamo(t, server, "b"), work)
		time.Sleep(20 * time.Second)
		faults := map[string]*kinesistest.Rule{
			"lost replies":   server.On("UpdateItem", kinesistest.LoseReply()).Sometimes(0.1),
			"lost requests":  server.On("UpdateItem", kinesistest.LoseRequest()).Sometimes(0.1),
			"throttling":     server.On("UpdateItem", kinesistest.Throttle()).Sometimes(0.05),
			"late writes":    server.On("UpdateItem", kinesistest.ApplyLate(4*time.Second)).Sometimes(0.05),
			"failing scans":  server.On("Scan", kinesistest.Status(500)).Sometimes(0.2),
			"throttled gets": server.On("GetItem", kinesistest.Throttle()).Sometimes(0.2),
		}
		time.Sleep(3 * time.Minute)
		for name, r := range faults {
			if r.Hits() == 0 && name != "throttled gets" {
				t.Errorf("%s: none", name)
			}
			r.Remove()
		}
		time.Sleep(30 * time.Second)
		count := owners(t, s)
		if count[a.Owner()]+count[b.Owner()] != 6 {
			t.Errorf("owners %v, want each lease to have one", count)
		}
		for _, r := range rows(6) {
			if got := get(t, s, r.Key).Checkpoint.Position; got.Compare(at(30)) < 0 {
				t.Errorf("%s stands at %v", r.Key, got)
			}
		}
		a.quit()
		b.quit()
		if n := owners(t, s)[""]; n != 6 {
			t.Errorf("%d of 6 released", n)
		}
	})
}

// One worker is cut off: another has all its leases within FailoverTime and a look, and nobody processes one before the other's time is over.
func TestWorkerThatIsCutOffIsReplaced(t *testing.T) {
	bubble(t, func(t *testing.T) {
		server := kinesistest.New()
		defer server.Close()
		s := dynamo(t, server, "admin")
		for _, r := range rows(4) {
			if err := s.Create(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
		a := run(t, "a", dynamo(t, server, "a"), hold)
		time.Sleep(20 * time.Second)
		b := run(t, "b", dynamo(t, server, "b"), hold)
		time.Sleep(20 * time.Second)
		if count := owners(t, s); count[a.Owner()] != 2 || count[b.Owner()] != 2 {
			t.Fatalf("owners %v, want two leases each", count)
		}
		cut := server.On("*", kinesistest.LoseRequest()).From("a")
		when := time.Now()
		time.Sleep(failover + 2*lookMax + 2*time.Second)
		if n := owners(t, s)[b.Owner()]; n != 4 {
			t.Errorf("b has %d of 4", n)
		}
		ended := a.seen("cancelled", "")
		won := slices.DeleteFunc(b.seen("acquired", ""), func(e happened) bool { return e.when.Before(when) })
		if len(ended) != 2 || len(won) != 2 {
			t.Fatalf("a lost %d, b won %d, want 2 each", len(ended), len(won))
		}
		for i, e := range ended {
			if !errors.Is(e.err, lease.ErrLost) || e.when.Sub(when) > failover-margin {
				t.Errorf("%s ended after %v with %v", e.key, e.when.Sub(when), e.err)
			}
			for _, o := range won {
				if o.key == e.key && !o.when.After(ended[i].when) {
					t.Errorf("%s: b from %v, a until %v", e.key, o.when, e.when)
				}
			}
		}
		cut.Remove()
		a.quit()
		b.quit()
	})
}

// A table that refuses a third of everything for minutes: renewals are repeated in time, readings more rarely, and nobody loses anything.
func TestAThrottledTableCostsNoLease(t *testing.T) {
	bubble(t, func(t *testing.T) {
		server := kinesistest.New(kinesistest.WithSeed(5))
		defer server.Close()
		s := dynamo(t, server, "admin")
		for _, r := range rows(20) {
			if err := s.Create(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
		a, b := run(t, "a", dynamo(t, server, "a"), hold), run(t, "b", dynamo(t, server, "b"), hold)
		time.Sleep(30 * time.Second)
		writes := server.On("UpdateItem", kinesistest.Throttle()).Sometimes(0.35)
		reads := server.On("Scan", kinesistest.Throttle())
		before := server.Calls("Scan")
		time.Sleep(3 * time.Minute)
		if n := server.Calls("Scan") - before; n > 2*(int(3*time.Minute/(failover/3))) {
			t.Errorf("%d scans of a table that refuses them", n)
		}
		if writes.Hits() < 100 || reads.Hits() < 10 {
			t.Errorf("%d writes and %d reads were throttled", writes.Hits(), reads.Hits())
		}
		for _, w := range []*worker{a, b} {
			if lost := w.seen("cancelled", ""); len(lost) > 0 {
				t.Errorf("%s lost %d leases", w.Owner(), len(lost))
			}
		}
		writes.Remove()
		reads.Remove()
		time.Sleep(10 * time.Second)
		if n := owners(t, s); n[a.Owner()] != 10 || n[b.Owner()] != 10 {
			t.Errorf("owners %v", n)
		}
		a.quit()
		b.quit()
	})
}
