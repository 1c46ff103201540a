package dynamostore_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/kinesistest"
	"github.com/kinesiskit/kinesiskit/lease"
	"github.com/kinesiskit/kinesiskit/lease/dynamostore"
	"github.com/kinesiskit/kinesiskit/lease/leasetest"
)

const (
	table = "quakes"
	key   = "shardId-000000000012"
)

func client(s *kinesistest.Server) *dynamodb.Client { return dynamodb.NewFromConfig(s.Config("w1")) }

// opened is a store on an empty table of a server of its own.
func opened(t *testing.T) (*kinesistest.Server, *dynamostore.Store) {
	t.Helper()
	server := kinesistest.New()
	s := dynamostore.New(client(server), dynamostore.Config{Table: table})
	if err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return server, s
}

func put(t *testing.T, server *kinesistest.Server, item map[string]types.AttributeValue) {
	t.Helper()
	name := table
	if _, err := client(server).PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &name, Item: item}); err != nil {
		t.Fatal(err)
	}
}

func ptr[T any](v T) *T { return &v }

func at(t *testing.T, sequence string, sub int64) checkpoint.Position {
	t.Helper()
	p, err := checkpoint.At(sequence, sub)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestStoreKeepsTheContract(t *testing.T) {
	t.Parallel()
	leasetest.Run(t, func(*testing.T) lease.Store {
		return dynamostore.New(client(kinesistest.New()), dynamostore.Config{Table: table})
	})
}

// dynalite passes over ReturnValuesOnConditionCheckFailure without a word.
func TestStoreKeepsTheContractOnAServerThatDoesNotSendTheRefusingRow(t *testing.T) {
	t.Parallel()
	leasetest.Run(t, func(t *testing.T) lease.Store {
		server := kinesistest.New()
		withoutRow := kinesistest.Do(func(_ context.Context, r *kinesistest.Request, next func() kinesistest.Reply) kinesistest.Reply {
			var body map[string]json.RawMessage
			if err := json.Unmarshal(r.Body, &body); err != nil {
				t.Error(err)
			}
			delete(body, "ReturnValuesOnConditionCheckFailure")
			var err error
			if r.Body, err = json.Marshal(body); err != nil {
				t.Error(err)
			}
			return next()
		})
		server.On("UpdateItem", withoutRow)
		server.On("DeleteItem", withoutRow)
		return dynamostore.New(client(server), dynamostore.Config{Table: table})
	})
}

func TestAConflictHasTheRowThatRefused(t *testing.T) {
	t.Parallel()
	_, s := opened(t)
	l := lease.Lease{Key: key, Owner: "w1", Counter: 7, Checkpoint: checkpoint.Checkpoint{Position: at(t, "49", 3)}}
	if err := s.Create(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	when := lease.Condition{Counter: ptr(int64(6))}
	_, written := s.Write(t.Context(), key, when, lease.Change{AddCounter: 1})
	for op, err := range map[string]error{"Write": written, "Delete": s.Delete(t.Context(), key, when)} {
		var conflict *lease.ConflictError
		if !errors.As(err, &conflict) || conflict.Current == nil {
			t.Errorf("%s: %v, want a *lease.ConflictError with the row", op, err)
			continue
		}
		if got := conflict.Current; got.Owner != "w1" || got.Counter != 7 || got.Checkpoint.Position != l.Checkpoint.Position {
			t.Errorf("%s: the conflict's row is %+v", op, *got)
		}
	}
}

// No row in the refusal means that there is none only where it is known that the server sends rows, which nothing tells.
func TestAConflictAboutNoRowClaimsNothing(t *testing.T) {
	t.Parallel()
	_, s := opened(t)
	when := lease.Condition{Counter: ptr(int64(6))}
	_, written := s.Write(t.Context(), key, when, lease.Change{AddCounter: 1})
	for op, err := range map[string]error{"Write": written, "Delete": s.Delete(t.Context(), key, when)} {
		var conflict *lease.ConflictError
		if !errors.As(err, &conflict) || conflict.Current != nil || conflict.Absent {
			t.Errorf("%s: %v, want a *lease.ConflictError that knows nothing", op, err)
		}
	}
}

func TestAConflictWithARowThatIsNoLeaseHasNoRow(t *testing.T) {
	t.Parallel()
	server, s := opened(t)
	put(t, server, map[string]types.AttributeValue{"leaseKey": text(key), "entityType": text("LEADER")})
	_, err := s.Write(t.Context(), key, lease.Condition{Counter: ptr(int64(6))}, lease.Change{AddCounter: 1})
	var conflict *lease.ConflictError
	if !errors.As(err, &conflict) || conflict.Current != nil {
		t.Errorf("%v, want a *lease.ConflictError without a row", err)
	}
}

func TestAListGoesOnPastRowsThatAreNoLeasesAndOverPages(t *testing.T) {
	t.Parallel()
	server, s := opened(t)
	large := text(strings.Repeat("x", 200_000))
	for i := range 7 {
		put(t, server, map[string]types.AttributeValue{
			"leaseKey": text(fmt.Sprintf("shardId-%012d", i)), "leaseCounter": number("1"), "checkpoint": text("TRIM_HORIZON"), "foreign": large,
		})
		put(t, server, map[string]types.AttributeValue{"leaseKey": text(fmt.Sprintf("worker-%d", i)), "entityType": text("WORKER_METRIC_STATS")})
	}
	leases, rows := 0, 0
	for l, err := range s.List(t.Context()) {
		var row *lease.RowError
		switch {
		case errors.As(err, &row):
			rows++
			if !strings.HasPrefix(row.Key, "worker-") || row.Attribute != "entityType" || !strings.Contains(row.Reason, "WORKER_METRIC_STATS") {
				t.Errorf("row error %v", row)
			}
		case err != nil:
			t.Fatal(err)
		case l.Checkpoint.Position != checkpoint.TrimHorizon:
			t.Errorf("lease %+v", l)
		default:
			leases++
		}
	}
	if leases != 7 || rows != 7 {
		t.Errorf("%d leases and %d row errors, want 7 of each", leases, rows)
	}
	if pages := server.Calls("Scan"); pages < 2 {
		t.Errorf("the table came in %d pages, which tests nothing", pages)
	}
}

func TestAListEndsWithTheErrorOfAPage(t *testing.T) {
	t.Parallel()
	server, s := opened(t)
	for i := range 2 {
		put(t, server, map[string]types.AttributeValue{
			"leaseKey": text(fmt.Sprintf("shardId-%012d", i)), "leaseCounter": number("1"), "checkpoint": text("TRIM_HORIZON"),
		})
	}
	server.On("Scan", kinesistest.Throttle())
	yields := 0
	for _, err := range s.List(t.Context()) {
		yields++
		var throttled *types.ProvisionedThroughputExceededException
		if !errors.As(err, &throttled) {
			t.Errorf("error %v, want the service's", err)
		}
	}
	if yields != 1 {
		t.Errorf("%d yields, want the error alone", yields)
	}
}

func TestGetReadsConsistently(t *testing.T) {
	t.Parallel()
	server, s := opened(t)
	stale := server.On("GetItem", kinesistest.Status(500)).When(func(r *kinesistest.Request) bool {
		return !strings.Contains(string(r.Body), `"ConsistentRead":true`)
	})
	if _, err := s.Get(t.Context(), key); !errors.Is(err, lease.ErrNotFound) {
		t.Errorf("Get = %v, want lease.ErrNotFound", err)
	}
	if stale.Hits() != 0 {
		t.Error("Get asked for a read that may be stale")
	}
}

// each runs every method that the protocol calls while a worker runs.
func each(ctx context.Context, s *dynamostore.Store) map[string]error {
	counter := int64(1)
	when := lease.Condition{Counter: &counter}
	errs := map[string]error{"PutItem": s.Create(ctx, lease.Lease{Key: "shardId-000000000099"})}
	_, errs["GetItem"] = s.Get(ctx, key)
	_, errs["UpdateItem"] = s.Write(ctx, key, when, lease.Change{AddCounter: 1})
	errs["DeleteItem"] = s.Delete(ctx, key, when)
	for _, err := range s.List(ctx) {
		errs["Scan"] = err
	}
	return errs
}

func TestAFailedRequestIsNotRepeated(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]kinesistest.Fault{
		"throttled":     kinesistest.Throttle(),
		"server error":  kinesistest.Status(503),
		"reply lost":    kinesistest.LoseReply(),
		"request lost":  kinesistest.LoseRequest(),
		"expired token": kinesistest.Exception("ExpiredTokenException", "The security token included in the request is expired"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, s := opened(t)
			for _, op := range []string{"PutItem", "GetItem", "UpdateItem", "DeleteItem", "Scan"} {
				server.On(op, fault)
			}
			for op, err := range each(t.Context(), s) {
				if err == nil {
					t.Errorf("%s: no error", op)
				}
				if calls := server.Calls(op); calls != 1 {
					t.Errorf("%s: %d requests, want 1", op, calls)
				}
			}
		})
	}
}

func TestATableThatVanishesIsReportedAndNotCreatedAgain(t *testing.T) {
	t.Parallel()
	server, s := opened(t)
	name := table
	if _, err := client(server).DeleteTable(t.Context(), &dynamodb.DeleteTableInput{TableName: &name}); err != nil {
		t.Fatal(err)
	}
	for op, err := range each(t.Context(), s) {
		var gone *types.ResourceNotFoundException
		if !errors.As(err, &gone) {
			t.Errorf("%s: %v, want *types.ResourceNotFoundException", op, err)
		}
	}
	if created := server.Calls("CreateTable"); created != 1 {
		t.Errorf("the table was created %d times, want only by Open", created)
	}
}

func TestErrorsNameTheTableAndTheLease(t *testing.T) {
	t.Parallel()
	server, s := opened(t)
	server.On("*", kinesistest.Status(500))
	for op, err := range each(t.Context(), s) {
		want := "lease table quakes: "
		if op != "Scan" {
			want = "shardId-"
		}
		if !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "lease table quakes: ") {
			t.Errorf("%s: %v", op, err)
		}
	}
}

func TestANegativeFailoverTimeIsRefusedBeforeItSpoilsARow(t *testing.T) {
	t.Parallel()
	server, s := opened(t)
	before := server.Calls("*")
	if err := s.Create(t.Context(), lease.Lease{Key: key, FailoverTime: -1}); err == nil {
		t.Error("Create took a negative failover time")
	}
	if _, err := s.Write(t.Context(), key, lease.Condition{Counter: ptr(int64(0))}, lease.Change{FailoverTime: -1}); err == nil {
		t.Error("Write took a negative failover time")
	}
	if calls := server.Calls("*") - before; calls != 0 {
		t.Errorf("%d requests, want none", calls)
	}
}

func TestAConsistentListSeesWhatWasJustWritten(t *testing.T) {
	t.Parallel()
	s := dynamostore.New(client(kinesistest.New(kinesistest.WithStaleReads(time.Hour))), dynamostore.Config{Table: table})
	if err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Create(t.Context(), lease.Lease{Key: key, Checkpoint: checkpoint.Checkpoint{Position: checkpoint.TrimHorizon}}); err != nil {
		t.Fatal(err)
	}
	count := func(rows iter.Seq2[lease.Lease, error]) (n int) {
		for _, err := range rows {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		return n
	}
	stale := 0
	for range 20 {
		if n := count(s.ListConsistent(t.Context())); n != 1 {
			t.Fatalf("%d rows", n)
		}
		stale += 1 - count(s.List(t.Context()))
	}
	if stale == 0 {
		t.Error("the server was never stale")
	}
}
