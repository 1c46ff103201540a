package dynamostore_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/kinesiskit/kinesiskit/kinesistest"
	"github.com/kinesiskit/kinesiskit/lease"
	"github.com/kinesiskit/kinesiskit/lease/dynamostore"
)

func describe(t *testing.T, server *kinesistest.Server) *types.TableDescription {
	t.Helper()
	out, err := client(server).DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: aws.String(table)})
	if err != nil {
		t.Fatal(err)
	}
	return out.Table
}

func TestOpenCreatesTheTableOfKCLWithItsIndex(t *testing.T) {
	t.Parallel()
	server, _ := opened(t)
	got := describe(t, server)
	if mode := got.BillingModeSummary; mode == nil || mode.BillingMode != types.BillingModePayPerRequest {
		t.Errorf("billing mode %+v, want on demand", mode)
	}
	if len(got.GlobalSecondaryIndexes) != 1 {
		t.Fatalf("%d indexes, want 1", len(got.GlobalSecondaryIndexes))
	}
	index := got.GlobalSecondaryIndexes[0]
	keys := make(map[string]types.KeyType)
	for _, k := range index.KeySchema {
		keys[*k.AttributeName] = k.KeyType
	}
	if want := map[string]types.KeyType{"leaseOwner": types.KeyTypeHash, "leaseKey": types.KeyTypeRange}; !maps.Equal(keys, want) ||
		*index.IndexName != "LeaseOwnerToLeaseKeyIndex" || index.Projection.ProjectionType != types.ProjectionTypeKeysOnly {
		t.Errorf("index %s on %v with %s", *index.IndexName, keys, index.Projection.ProjectionType)
	}
}

func TestOpenCreatesTheTableAsConfigured(t *testing.T) {
	t.Parallel()
	server := kinesistest.New()
	cfg := dynamostore.Config{Table: table, ReadUnits: 7, WriteUnits: 9, Tags: map[string]string{"team": "seismology", "cost": "42"}}
	if err := dynamostore.New(client(server), cfg).Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := describe(t, server)
	units := got.GlobalSecondaryIndexes[0].ProvisionedThroughput
	for what, n := range map[string][2]*int64{
		"table": {got.ProvisionedThroughput.ReadCapacityUnits, got.ProvisionedThroughput.WriteCapacityUnits},
		"index": {units.ReadCapacityUnits, units.WriteCapacityUnits},
	} {
		if *n[0] != 7 || *n[1] != 9 {
			t.Errorf("%s has %d and %d units, want 7 and 9", what, *n[0], *n[1])
		}
	}
	out, err := client(server).ListTagsOfResource(t.Context(), &dynamodb.ListTagsOfResourceInput{ResourceArn: got.TableArn})
	if err != nil {
		t.Fatal(err)
	}
	tags := make(map[string]string)
	for _, tag := range out.Tags {
		tags[*tag.Key] = *tag.Value
	}
	if !maps.Equal(tags, cfg.Tags) {
		t.Errorf("tags %v, want %v", tags, cfg.Tags)
	}
}

func TestOpenOfAnExistingTableNeedsNoPermissionToCreate(t *testing.T) {
	t.Parallel()
	server, s := opened(t)
	denied := server.On("CreateTable", kinesistest.Exception("AccessDeniedException", "not authorized to perform: dynamodb:CreateTable"))
	if err := s.Open(t.Context()); err != nil {
		t.Error(err)
	}
	if denied.Hits() != 0 {
		t.Error("Open tried to create a table that exists")
	}
}

func TestOpenTakesATableWithoutTheIndex(t *testing.T) {
	t.Parallel()
	server := kinesistest.New()
	create(t, server, []types.KeySchemaElement{{AttributeName: aws.String("leaseKey"), KeyType: types.KeyTypeHash}}, types.ScalarAttributeTypeS)
	if err := dynamostore.New(client(server), dynamostore.Config{Table: table, NeverCreate: true}).Open(t.Context()); err != nil {
		t.Error(err)
	}
}

// create makes a table as somebody else would have made it.
func create(t *testing.T, server *kinesistest.Server, schema []types.KeySchemaElement, key types.ScalarAttributeType) {
	t.Helper()
	in := &dynamodb.CreateTableInput{TableName: aws.String(table), BillingMode: types.BillingModePayPerRequest, KeySchema: schema}
	for _, k := range schema {
		in.AttributeDefinitions = append(in.AttributeDefinitions, types.AttributeDefinition{AttributeName: k.AttributeName, AttributeType: key})
	}
	if _, err := client(server).CreateTable(t.Context(), in); err != nil {
		t.Fatal(err)
	}
}

func TestOpenRefusesATableThatIsSomethingElse(t *testing.T) {
	t.Parallel()
	hash := func(name string) types.KeySchemaElement {
		return types.KeySchemaElement{AttributeName: &name, KeyType: types.KeyTypeHash}
	}
	for name, c := range map[string]struct {
		schema []types.KeySchemaElement
		key    types.ScalarAttributeType
	}{
		"another key":          {[]types.KeySchemaElement{hash("id")}, types.ScalarAttributeTypeS},
		"a key that is binary": {[]types.KeySchemaElement{hash("leaseKey")}, types.ScalarAttributeTypeB},
		"a sort key": {
			[]types.KeySchemaElement{hash("leaseKey"), {AttributeName: aws.String("at"), KeyType: types.KeyTypeRange}}, types.ScalarAttributeTypeS,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := kinesistest.New()
			create(t, server, c.schema, c.key)
			err := dynamostore.New(client(server), dynamostore.Config{Table: table}).Open(t.Context())
			var bad *lease.TableError
			if !errors.As(err, &bad) || bad.Table != table || !strings.Contains(bad.Problem, "leaseKey") {
				t.Errorf("Open = %v, want a *lease.TableError about the key", err)
			}
		})
	}
}

func TestOpenDoesNotCreateWhatItMustNot(t *testing.T) {
	t.Parallel()
	server := kinesistest.New()
	err := dynamostore.New(client(server), dynamostore.Config{Table: table, NeverCreate: true}).Open(t.Context())
	var bad *lease.TableError
	var absent *types.ResourceNotFoundException
	if !errors.As(err, &bad) || !errors.As(err, &absent) || bad.Table != table {
		t.Errorf("Open = %v, want a *lease.TableError with the service's error", err)
	}
	if calls := server.Calls("CreateTable"); calls != 0 {
		t.Errorf("%d tables created", calls)
	}
}

func TestOpenSaysForGoodThatItMayNotCreate(t *testing.T) {
	t.Parallel()
	for fault, forGood := range map[string]bool{
		"AccessDeniedException": true, "ValidationException": true, "LimitExceededException": false, "InternalServerError": false,
	} {
		server := kinesistest.New()
		server.On("CreateTable", kinesistest.Exception(fault, "no")).Times(1)
		s := dynamostore.New(client(server), dynamostore.Config{Table: table})
		err := s.Open(t.Context())
		var bad *lease.TableError
		if err == nil || errors.As(err, &bad) != forGood {
			t.Errorf("after %s Open = %v; a *lease.TableError is wanted: %v", fault, err, forGood)
		}
		if err := s.Open(t.Context()); err != nil {
			t.Errorf("the second Open after %s = %v", fault, err)
		}
	}
}

func TestOpenMayBeCalledByAllWorkersAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := kinesistest.New()
		server.On("DescribeTable", kinesistest.Delay(time.Second)).Times(8) // so that all of them see that there is no table
		var wg sync.WaitGroup
		for w := range 8 {
			wg.Go(func() {
				db := dynamodb.NewFromConfig(server.Config(fmt.Sprint("w", w)))
				if err := dynamostore.New(db, dynamostore.Config{Table: table}).Open(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if calls := server.Calls("CreateTable"); calls != 8 {
			t.Errorf("%d workers tried to create the table, want 8: there was no race", calls)
		}
	})
}

// showing makes DescribeTable and CreateTable report a status instead of ACTIVE.
func showing(status types.TableStatus) kinesistest.Fault {
	return kinesistest.Do(func(_ context.Context, _ *kinesistest.Request, next func() kinesistest.Reply) kinesistest.Reply {
		reply := next()
		reply.Body = []byte(strings.Replace(string(reply.Body), `"TableStatus":"ACTIVE"`, `"TableStatus":"`+string(status)+`"`, 1))
		return reply
	})
}

func TestOpenWaitsUntilTheTableCanBeUsed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := kinesistest.New()
		server.On("CreateTable", showing(types.TableStatusCreating))
		server.On("DescribeTable", showing(types.TableStatusCreating)).Times(5) // the first finds no table
		started := time.Now()
		if err := dynamostore.New(client(server), dynamostore.Config{Table: table}).Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		if calls := server.Calls("DescribeTable"); calls != 6 {
			t.Errorf("%d looks, want 6", calls)
		}
		if calls := server.Calls("CreateTable"); calls != 1 {
			t.Errorf("%d creations, want 1", calls)
		}
		if took := time.Since(started); took == 0 || took > time.Minute {
			t.Errorf("took %v", took)
		}
	})
}

func TestOpenTakesATableThatIsBeingUpdated(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server, s := opened(t)
		looks := server.Calls("DescribeTable")
		server.On("DescribeTable", showing(types.TableStatusUpdating))
		if err := s.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		if calls := server.Calls("DescribeTable") - looks; calls != 1 {
			t.Errorf("%d looks, want 1", calls)
		}
	})
}

// It does not matter what the table was.
func TestOpenWaitsOutATableThatIsBeingDeletedAndCreatesAnother(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := kinesistest.New()
		create(t, server, []types.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: types.KeyTypeHash}}, types.ScalarAttributeTypeS)
		s := dynamostore.New(client(server), dynamostore.Config{Table: table})
		server.On("DescribeTable", showing(types.TableStatusDeleting))
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := s.Open(t.Context()); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(3 * time.Second)
		if calls := server.Calls("CreateTable"); calls != 1 {
			t.Errorf("%d creations, want only that of the table that is being deleted", calls)
		}
		if _, err := client(server).DeleteTable(t.Context(), &dynamodb.DeleteTableInput{TableName: aws.String(table)}); err != nil {
			t.Error(err)
		}
		wg.Wait()
		if calls := server.Calls("CreateTable"); calls != 2 {
			t.Errorf("%d creations, want 2", calls)
		}
	})
}

func TestOpenGivesUpOnATableThatNeverBecomesUsable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server, s := opened(t)
		server.On("DescribeTable", showing(types.TableStatusCreating))
		started := time.Now()
		err := s.Open(t.Context())
		var bad *lease.TableError
		if !errors.As(err, &bad) || !strings.Contains(bad.Problem, "CREATING") {
			t.Errorf("Open = %v, want a *lease.TableError about the status", err)
		}
		if took := time.Since(started); took < 10*time.Minute || took > 11*time.Minute {
			t.Errorf("gave up after %v, want 10 minutes", took)
		}
		if calls := server.Calls("DescribeTable"); calls > 200 {
			t.Errorf("%d looks in 10 minutes", calls)
		}
	})
}

func TestOpenRefusesATableThatWaitingDoesNotMend(t *testing.T) {
	t.Parallel()
	for _, status := range []types.TableStatus{types.TableStatusInaccessibleEncryptionCredentials, types.TableStatusArchiving, types.TableStatusArchived} {
		synctest.Test(t, func(t *testing.T) {
			server, s := opened(t)
			server.On("DescribeTable", showing(status))
			started := time.Now()
			err := s.Open(t.Context())
			var bad *lease.TableError
			if !errors.As(err, &bad) || !strings.Contains(bad.Problem, string(status)) {
				t.Errorf("Open = %v, want a *lease.TableError about %s", err, status)
			}
			if took := time.Since(started); took != 0 {
				t.Errorf("waited %v", took)
			}
		})
	}
}

func TestOpenEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server, s := opened(t)
		server.On("DescribeTable", showing(types.TableStatusCreating))
		ctx, cancel := context.WithTimeout(t.Context(), 1100*time.Millisecond)
		defer cancel()
		started := time.Now()
		if err := s.Open(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Open = %v, want context.DeadlineExceeded", err)
		}
		if took := time.Since(started); took != 1100*time.Millisecond {
			t.Errorf("ended after %v, want 1.1s", took)
		}
	})
}

func TestOpenAnswersTheServicesErrorAndMayBeCalledAgain(t *testing.T) {
	t.Parallel()
	server := kinesistest.New()
	server.On("DescribeTable", kinesistest.Exception("InternalServerError", "try again")).Times(1)
	s := dynamostore.New(client(server), dynamostore.Config{Table: table})
	err := s.Open(t.Context())
	var internal *types.InternalServerError
	if !errors.As(err, &internal) {
		t.Errorf("Open = %v, want the service's error", err)
	}
	if calls := server.Calls("DescribeTable"); calls != 1 {
		t.Errorf("%d looks, want 1", calls)
	}
	if err := s.Open(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestOpenTakesNoAnswerForNoTable(t *testing.T) {
	t.Parallel()
	server, s := opened(t)
	server.On("DescribeTable", kinesistest.Do(func(context.Context, *kinesistest.Request, func() kinesistest.Reply) kinesistest.Reply {
		return kinesistest.Reply{Body: []byte("{}")}
	}))
	if err := s.Open(t.Context()); err == nil || !strings.Contains(err.Error(), "no description") {
		t.Errorf("Open = %v, want an error about the answer", err)
	}
}

func TestABadConfigurationIsRefusedBeforeAnyRequest(t *testing.T) {
	t.Parallel()
	server := kinesistest.New()
	for name, c := range map[string]struct {
		cfg     dynamostore.Config
		problem string // empty: none
	}{
		"least":           {dynamostore.Config{Table: "a-b"}, ""},
		"longest":         {dynamostore.Config{Table: strings.Repeat("aZ0_-.", 42) + "xyz", ReadUnits: 1, WriteUnits: 1}, ""},
		"no table":        {dynamostore.Config{}, "Table is empty"},
		"too short":       {dynamostore.Config{Table: "ab"}, "3 to 255"},
		"too long":        {dynamostore.Config{Table: strings.Repeat("a", 256)}, "3 to 255"},
		"strange":         {dynamostore.Config{Table: "quakes/2"}, "3 to 255"},
		"two lines":       {dynamostore.Config{Table: "quakes\n"}, "3 to 255"},
		"one unit":        {dynamostore.Config{Table: table, ReadUnits: 5}, "only one"},
		"the other unit":  {dynamostore.Config{Table: table, WriteUnits: 5}, "only one"},
		"negative":        {dynamostore.Config{Table: table, ReadUnits: -1, WriteUnits: 5}, "negative"},
		"negative, other": {dynamostore.Config{Table: table, ReadUnits: 5, WriteUnits: -1}, "negative"},
		"two things":      {dynamostore.Config{ReadUnits: 5}, "Table is empty; config: only one"},
	} {
		s := dynamostore.New(client(server), c.cfg)
		err := s.Validate()
		if c.problem == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		for from, err := range map[string]error{"Validate": err, "Open": s.Open(t.Context())} {
			var bad *lease.TableError
			if !errors.As(err, &bad) || !strings.Contains(bad.Problem, c.problem) {
				t.Errorf("%s: %s = %v, want a *lease.TableError that says %q", name, from, err, c.problem)
			}
		}
	}
	if err := dynamostore.New(nil, dynamostore.Config{Table: table}).Open(t.Context()); err == nil {
		t.Error("Open without a client went well")
	}
	if calls := server.Calls("*"); calls != 0 {
		t.Errorf("%d requests, want none", calls)
	}
}
