package dynamostore_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/kinesistest"
	"github.com/kinesiskit/kinesiskit/lease"
	"github.com/kinesiskit/kinesiskit/lease/dynamostore"
)

// big has a table of n rows of 100 KB, opened again so that the store knows its size.
func big(t *testing.T, n int) (*kinesistest.Server, *dynamostore.Store) {
	t.Helper()
	server, s := opened(t)
	l := lease.Lease{Checkpoint: checkpoint.Checkpoint{Position: checkpoint.TrimHorizon, Pending: checkpoint.TrimHorizon, State: make([]byte, 100<<10)}}
	for i := range n {
		l.Key = fmt.Sprintf("shardId-%012d", i)
		if err := s.Create(t.Context(), l); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return server, s
}

func TestABigTableIsScannedInSegmentsAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const rows = 200 // 20 MB: five segments of four pages
		server, s := big(t, rows)
		server.On("Scan", kinesistest.Delay(time.Second))
		started, before := time.Now(), server.Calls("Scan")
		keys := make(map[string]int)
		for l, err := range s.List(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			keys[l.Key]++
		}
		if len(keys) != rows {
			t.Errorf("%d keys, want %d", len(keys), rows)
		}
		calls, took := server.Calls("Scan")-before, time.Since(started)
		if took > 8*time.Second || calls < 20 {
			t.Errorf("%d pages took %v, a second each", calls, took)
		}
	})
}

func TestAParallelScanEndsWithItsFirstErrorOrItsCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // the bubble ends only if no scan is left
		server, s := big(t, 100)
		for _, err := range s.List(t.Context()) {
			if err != nil {
				t.Error(err)
			}
			break
		}
		rule := server.On("Scan", kinesistest.Throttle()).Times(1)
		var last error
		for _, last = range s.List(t.Context()) {
		}
		var throttled *types.ProvisionedThroughputExceededException
		if !errors.As(last, &throttled) || rule.Hits() != 1 {
			t.Errorf("the list ends with %v, want the throttle", last)
		}
	})
}

func TestListsByOwnerSayThatThereIsNoIndex(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		arrange func(t *testing.T, server *kinesistest.Server)
	}{
		"none": {func(t *testing.T, server *kinesistest.Server) {
			create(t, server, []types.KeySchemaElement{{AttributeName: aws.String("leaseKey"), KeyType: types.KeyTypeHash}}, types.ScalarAttributeTypeS)
		}},
		"not allowed": {func(t *testing.T, server *kinesistest.Server) {
			for _, op := range []string{"Query", "Scan"} {
				server.On(op, kinesistest.Exception("AccessDeniedException", "not authorized on index"))
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := kinesistest.New()
			c.arrange(t, server)
			s := dynamostore.New(client(server), dynamostore.Config{Table: table})
			if err := s.Open(t.Context()); err != nil {
				t.Fatal(err)
			}
			var owned, owners error
			for _, owned = range s.ListOwned(t.Context(), "w1") {
			}
			for _, owners = range s.ListOwners(t.Context()) {
			}
			if !errors.Is(owned, lease.ErrNoIndex) || !errors.Is(owners, lease.ErrNoIndex) {
				t.Errorf("ListOwned: %v; ListOwners: %v; want lease.ErrNoIndex", owned, owners)
			}
		})
	}
}

// A throttle says nothing about the index: a fleet that took it for "no index" would begin to scan the table that is throttled.
func TestAThrottleIsNotTheLackOfAnIndex(t *testing.T) {
	t.Parallel()
	server, s := opened(t)
	server.On("Query", kinesistest.Throttle())
	for _, err := range s.ListOwned(t.Context(), "w1") {
		if err == nil || errors.Is(err, lease.ErrNoIndex) {
			t.Errorf("ListOwned = %v", err)
		}
	}
}

func TestListsByOwnerReadPageByPage(t *testing.T) {
	t.Parallel()
	server, s := opened(t)
	long := strings.Repeat("o", 1000)
	for i := range 1200 { // 1.2 MB of the index
		put(t, server, map[string]types.AttributeValue{
			"leaseKey":   &types.AttributeValueMemberS{Value: fmt.Sprintf("shardId-%012d", i)},
			"leaseOwner": &types.AttributeValueMemberS{Value: long}, "leaseCounter": &types.AttributeValueMemberN{Value: "1"},
		})
	}
	owned, owners := 0, 0
	for _, err := range s.ListOwned(t.Context(), long) {
		if err != nil {
			t.Fatal(err)
		}
		owned++
	}
	for o, err := range s.ListOwners(t.Context()) {
		if err != nil || o.Owner != long {
			t.Fatal(o, err)
		}
		owners++
	}
	if owned != 1200 || owners != 1200 || server.Calls("Query") != 2 {
		t.Errorf("%d owned in %d queries, %d owners; want 1200 in 2, 1200", owned, server.Calls("Query"), owners)
	}
}

func TestATableOfOthersIsOpenedWithoutPermissionToCreateOne(t *testing.T) {
	t.Parallel()
	server, s := opened(t)
	if err := s.Create(t.Context(), lease.Lease{Key: key, Checkpoint: checkpoint.Checkpoint{Position: checkpoint.TrimHorizon}}); err != nil {
		t.Fatal(err)
	}
	created := server.Calls("CreateTable")
	for _, op := range []string{"CreateTable", "UpdateTable", "DeleteTable", "TagResource", "UpdateContinuousBackups"} {
		server.On(op, kinesistest.Exception("AccessDeniedException", "not authorized"))
	}
	for _, never := range []bool{true, false} {
		theirs := dynamostore.New(client(server), dynamostore.Config{
			Table: table, NeverCreate: never, ReadUnits: 5, WriteUnits: 5, Tags: map[string]string{"a": "b"}, DeletionProtection: true, PointInTimeRecovery: true,
		})
		if err := theirs.Open(t.Context()); err != nil {
			t.Errorf("NeverCreate %v: Open = %v", never, err)
		}
		if l, err := theirs.Get(t.Context(), key); err != nil || l.Key != key {
			t.Errorf("NeverCreate %v: Get = %+v, %v", never, l, err)
		}
	}
	if n := server.Calls("CreateTable") - created; n != 0 {
		t.Errorf("%d attempts to create the table", n)
	}
}

func TestOpenRefusesAnIndexThatIsSomethingElse(t *testing.T) {
	t.Parallel()
	server := kinesistest.New()
	if _, err := client(server).CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: aws.String(table), BillingMode: types.BillingModePayPerRequest,
		KeySchema: []types.KeySchemaElement{{AttributeName: aws.String("leaseKey"), KeyType: types.KeyTypeHash}},
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String("leaseKey"), AttributeType: types.ScalarAttributeTypeS},
		},
		GlobalSecondaryIndexes: []types.GlobalSecondaryIndex{{
			IndexName:  aws.String("LeaseOwnerToLeaseKeyIndex"),
			KeySchema:  []types.KeySchemaElement{{AttributeName: aws.String("leaseKey"), KeyType: types.KeyTypeHash}},
			Projection: &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly},
		}},
	}); err != nil {
		t.Fatal(err)
	}
	err := dynamostore.New(client(server), dynamostore.Config{Table: table, NeverCreate: true}).Open(t.Context())
	var bad *lease.TableError
	if !errors.As(err, &bad) || !strings.Contains(bad.Problem, "LeaseOwnerToLeaseKeyIndex") {
		t.Errorf("Open = %v, want a *lease.TableError about the index", err)
	}
}

func TestANewTableIsProtectedAsConfigured(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := kinesistest.New(kinesistest.WithTransitions(3 * time.Second))
		server.On("UpdateContinuousBackups", kinesistest.Exception("ContinuousBackupsUnavailableException", "not yet")).Times(2)
		server.On("UpdateContinuousBackups", kinesistest.Status(500)).Times(1) // the newest rule goes first
		s := dynamostore.New(client(server), dynamostore.Config{Table: table, DeletionProtection: true, PointInTimeRecovery: true})
		if err := s.Open(t.Context()); err == nil {
			t.Fatal("Open went well, although the service was in trouble")
		}
		if err := s.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := describe(t, server); got.DeletionProtectionEnabled == nil || !*got.DeletionProtectionEnabled {
			t.Error("no deletion protection")
		}
		out, err := client(server).DescribeContinuousBackups(t.Context(), &dynamodb.DescribeContinuousBackupsInput{TableName: aws.String(table)})
		if err != nil {
			t.Fatal(err)
		}
		got := out.ContinuousBackupsDescription.PointInTimeRecoveryDescription
		if got == nil || got.PointInTimeRecoveryStatus != types.PointInTimeRecoveryStatusEnabled {
			t.Errorf("point-in-time recovery %+v, want it enabled", got)
		}
	})
}

func TestOpenSaysThatRecoveryCannotBeTurnedOn(t *testing.T) {
	t.Parallel()
	server := kinesistest.New()
	server.On("UpdateContinuousBackups", kinesistest.Exception("AccessDeniedException", "no"))
	err := dynamostore.New(client(server), dynamostore.Config{Table: table, PointInTimeRecovery: true}).Open(t.Context())
	var bad *lease.TableError
	if !errors.As(err, &bad) || !strings.Contains(bad.Problem, "point-in-time recovery") {
		t.Errorf("Open = %v, want a *lease.TableError about point-in-time recovery", err)
	}
}
