package iamcheck_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesiskit/kinesiskit/consumer"
	"github.com/kinesiskit/kinesiskit/internal/iamcheck"
	"github.com/kinesiskit/kinesiskit/kinesistest"
	"github.com/kinesiskit/kinesiskit/lease/dynamostore"
	"github.com/kinesiskit/kinesiskit/producer"
)

const (
	streamName = "orders"
	tableName  = "orders-app"
	program    = "program" // the client whose calls count
)

// account is a server with a stream of two shards. Whatever runs under the program's name is compared with a policy.
type account struct {
	t *testing.T
	s *kinesistest.Server
}

func policies(t *testing.T) map[string][]string {
	t.Helper()
	document, err := os.ReadFile("../../docs/iam.md")
	if err != nil {
		t.Fatal(err)
	}
	policies, err := iamcheck.Policies(string(document))
	if err != nil {
		t.Fatal(err)
	}
	return policies
}

// allowed runs what needs a policy in virtual time, and compares. besides are actions that IAM wants and no request names.
func allowed(t *testing.T, policy string, besides []string, run func(a *account)) {
	t.Helper()
	t.Parallel()
	policies := policies(t)
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New()
		defer func() { _ = s.Close() }()
		s.CreateStream(streamName, 2)
		run(&account{t, s})
		called := append(s.Operations(program), besides...)
		slices.Sort(called)
		for _, op := range called {
			if !slices.Contains(policies[policy], op) {
				t.Errorf("docs/iam.md: policy %s lacks %s, which is called", policy, op)
			}
		}
		for _, op := range policies[policy] {
			if !slices.Contains(called, op) {
				t.Errorf("docs/iam.md: policy %s allows %s, which is not called", policy, op)
			}
		}
	})
}

func (a *account) must(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

// table is the lease table by the eyes of a client, which nobody but Open makes.
func (a *account) table(client string, cfg dynamostore.Config) *dynamostore.Store {
	cfg.Table = tableName
	return dynamostore.New(dynamodb.NewFromConfig(a.s.Config(client)), cfg)
}

// put writes some records for every part of the ring, and aggregates among them.
func (a *account) put(client string) {
	a.t.Helper()
	p, err := producer.New(producer.Config{Stream: streamName}, kinesis.NewFromConfig(a.s.Config(client)))
	a.must(err)
	records := make([]producer.Record, 50)
	for i := range records {
		records[i] = producer.Record{PartitionKey: fmt.Sprint("key ", i), Data: []byte("data")}
	}
	_, err = p.PutAll(a.t.Context(), records)
	a.must(errors.Join(err, p.Close(a.t.Context())))
}

// life is a worker's, from the first start on a new table to the last: a second one joins, the stream is resharded, one stops and then the other, when
// what is left of shards has been read and cleaned up.
func (a *account) life(cfg consumer.Config) {
	a.t.Helper()
	a.must(a.table("operator", dynamostore.Config{}).Open(a.t.Context()))
	a.put("operator")
	first, stopFirst := a.worker(cfg, "first")
	second, stopSecond := a.worker(cfg, "second")
	time.Sleep(2 * time.Minute)
	a.s.Split(streamName, "shardId-000000000000")
	a.put("operator")
	time.Sleep(12 * time.Minute)
	stopSecond()
	a.must(<-second)
	time.Sleep(time.Minute)
	stopFirst()
	a.must(<-first)
}

func (a *account) worker(cfg consumer.Config, name string) (done chan error, stop context.CancelFunc) {
	a.t.Helper()
	cfg.Application, cfg.Stream, cfg.Worker = "app", streamName, name
	handler := consumer.Each(func(context.Context, *consumer.Record) error { return nil })
	c, err := consumer.New(cfg, kinesis.NewFromConfig(a.s.Config(program)), a.table(program, dynamostore.Config{NeverCreate: true}), handler)
	a.must(err)
	ctx, stop := context.WithCancel(a.t.Context())
	done = make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	return done, stop
}

// inLargeFleets is what workers call when the table is so large that not each of them reads all of it.
var inLargeFleets = []string{"dynamodb:Query"}

func TestAWorkerNeedsWhatItsPolicyAllows(t *testing.T) {
	allowed(t, "consumer", inLargeFleets, func(a *account) { a.life(consumer.Config{}) })
}

func TestAWorkerWithFanOutNeedsWhatItsPolicyAllows(t *testing.T) {
	allowed(t, "consumer-fan-out", inLargeFleets, func(a *account) { a.life(consumer.Config{FanOut: &consumer.FanOut{Deregister: true}}) })
}

// Whatever a worker asks of another table than its own is what the policy for KCL 3.x allows, and it does without.
func TestAWorkerLooksForKCL3WithWhatItsPolicyAllows(t *testing.T) {
	t.Parallel()
	policies := policies(t)
	synctest.Test(t, func(t *testing.T) {
		a := &account{t, kinesistest.New()}
		defer func() { _ = a.s.Close() }()
		a.s.CreateStream(streamName, 2)
		elsewhere := func(r *kinesistest.Request) bool { return r.Service == "dynamodb" && r.Table != tableName }
		denied := map[string]bool{}
		a.s.On("*", kinesistest.Do(func(ctx context.Context, r *kinesistest.Request, _ func() kinesistest.Reply) kinesistest.Reply {
			denied["dynamodb:"+r.Op] = true
			if r.Table != "app-CoordinatorState" && r.Table != "app-WorkerMetricStats" {
				t.Errorf("%s asks table %q", r.Op, r.Table)
			}
			return kinesistest.Reply{Status: 400, Body: []byte(`{"__type": "AccessDeniedException", "message": "denied"}`)}
		})).From(program).When(elsewhere).MustHit(t)
		a.life(consumer.Config{})
		if called := slices.Sorted(maps.Keys(denied)); !slices.Equal(called, policies["consumer-kcl3"]) {
			t.Errorf("docs/iam.md: policy consumer-kcl3 allows %q, called was %q", policies["consumer-kcl3"], called)
		}
	})
}

func TestMakingTheTableNeedsWhatItsPolicyAllows(t *testing.T) {
	allowed(t, "lease-table", []string{"dynamodb:TagResource"}, func(a *account) {
		cfg := dynamostore.Config{Tags: map[string]string{"team": "orders"}, DeletionProtection: true, PointInTimeRecovery: true}
		a.must(a.table(program, cfg).Open(a.t.Context()))
	})
}

func TestAProducerNeedsWhatItsPolicyAllows(t *testing.T) {
	allowed(t, "producer", nil, func(a *account) {
		a.put(program)
		a.s.Split(streamName, "shardId-000000000000")
		a.put(program)
	})
}
