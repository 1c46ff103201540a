package conformance

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

var tableBehaviours = []behaviour{
	{
		name: "a new table becomes ACTIVE and describes itself",
		says: "CreateTable: TableStatus CREATING, then ACTIVE; DescribeTable: key schema, attribute definitions, ARN, billing mode, item count",
		run: func(t testing.TB, e *env) {
			tb := e.sorted(t, "N")
			d := tb.describe()
			equal(t, "name", *d.TableName, *tb.name)
			equal(t, "hash key", *d.KeySchema[0].AttributeName, "id")
			equal(t, "sort key", d.KeySchema[1].KeyType, types.KeyTypeRange)
			equal(t, "definitions", len(d.AttributeDefinitions), 2)
			equal(t, "billing", d.BillingModeSummary.BillingMode, types.BillingModePayPerRequest)
			equal(t, "items", *d.ItemCount, 0)
			if !strings.HasSuffix(*d.TableArn, ":table/"+*tb.name) || time.Since(*d.CreationDateTime).Abs() > time.Minute {
				t.Errorf("ARN %s, created %v", *d.TableArn, d.CreationDateTime)
			}
		},
	},
	{
		name: "a table's name is taken once",
		says: "CreateTable: ResourceInUseException, you attempted to recreate an existing table",
		run: func(t testing.TB, e *env) {
			tb := e.table(t)
			_, err := e.dynamo.CreateTable(t.Context(), &dynamodb.CreateTableInput{
				TableName: tb.name, AttributeDefinitions: defs("id", "S"), KeySchema: keys("id"), BillingMode: types.BillingModePayPerRequest,
			})
			typed[*types.ResourceInUseException](t, err)
		},
	},
	{
		name: "keys are defined, and nothing else is",
		says: "CreateTable: the attributes in KeySchema must also be defined in AttributeDefinitions; only attributes of keys are",
		run: func(t testing.TB, e *env) {
			for _, d := range [][]types.AttributeDefinition{defs("other", "S"), defs("id", "S", "other", "S")} {
				_, err := e.dynamo.CreateTable(t.Context(), &dynamodb.CreateTableInput{
					TableName: fresh(), AttributeDefinitions: d, KeySchema: keys("id"), BillingMode: types.BillingModePayPerRequest,
				})
				refused(t, err, validation)
			}
		},
	},
	{
		name: "provisioned throughput and on-demand billing exclude each other",
		says: "CreateTable: if you set BillingMode as PAY_PER_REQUEST, you cannot specify ProvisionedThroughput; as PROVISIONED, you must",
		run: func(t testing.TB, e *env) {
			_, err := e.dynamo.CreateTable(t.Context(), &dynamodb.CreateTableInput{
				TableName: fresh(), AttributeDefinitions: defs("id", "S"), KeySchema: keys("id"), BillingMode: types.BillingModeProvisioned,
			})
			refused(t, err, validation)
			_, err = e.dynamo.CreateTable(t.Context(), &dynamodb.CreateTableInput{
				TableName: fresh(), AttributeDefinitions: defs("id", "S"), KeySchema: keys("id"), BillingMode: types.BillingModePayPerRequest,
				ProvisionedThroughput: &types.ProvisionedThroughput{ReadCapacityUnits: aws.Int64(1), WriteCapacityUnits: aws.Int64(1)},
			})
			refused(t, err, validation)
		},
	},
	{
		name: "a missing table is not found, whatever is asked of it",
		says: "DescribeTable, GetItem, PutItem, UpdateItem, Scan, DeleteTable: ResourceNotFoundException, the table or index does not exist",
		run: func(t testing.TB, e *env) {
			tb := &table{env: e, t: t, name: fresh()}
			_, err := e.dynamo.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: tb.name})
			typed[*types.ResourceNotFoundException](t, err)
			typed[*types.ResourceNotFoundException](t, tb.tryPut(it("id", "a")))
			_, err = tb.tryUpdate(it("id", "a"), expr{text: "REMOVE x"})
			typed[*types.ResourceNotFoundException](t, err)
			_, err = e.dynamo.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: tb.name, Key: it("id", "a")})
			typed[*types.ResourceNotFoundException](t, err)
			_, err = e.dynamo.Scan(t.Context(), &dynamodb.ScanInput{TableName: tb.name})
			typed[*types.ResourceNotFoundException](t, err)
			_, err = e.dynamo.DeleteTable(t.Context(), &dynamodb.DeleteTableInput{TableName: tb.name})
			typed[*types.ResourceNotFoundException](t, err)
		},
	},
	{
		name: "a deleted table is gone with its items",
		says: "DeleteTable: deletes a table and all of its items; DELETING, then ResourceNotFoundException",
		run: func(t testing.TB, e *env) {
			tb := e.table(t)
			tb.put(it("id", "a"))
			ok(e.dynamo.DeleteTable(t.Context(), &dynamodb.DeleteTableInput{TableName: tb.name}))(t)
			await(t, "the table is gone", func() bool {
				_, err := e.dynamo.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: tb.name})
				if err != nil {
					typed[*types.ResourceNotFoundException](t, err)
				}
				return err != nil
			})
			ok(e.dynamo.CreateTable(t.Context(), &dynamodb.CreateTableInput{
				TableName: tb.name, AttributeDefinitions: defs("id", "S"), KeySchema: keys("id"), BillingMode: types.BillingModePayPerRequest,
			}))(t)
			equal(t, "attributes of an old item", len(tb.settle().get(it("id", "a"))), 0)
		},
	},
	{
		name: "tables are listed by name, page by page",
		says: "ListTables: Limit names at most; LastEvaluatedTableName is the ExclusiveStartTableName of the next page",
		run: func(t testing.TB, e *env) {
			prefix := *fresh()
			var want []string
			for i := range 3 {
				want = append(want, fmt.Sprintf("%s-%d", prefix, i))
				ok(e.dynamo.CreateTable(t.Context(), &dynamodb.CreateTableInput{
					TableName: &want[i], AttributeDefinitions: defs("id", "S"), KeySchema: keys("id"), BillingMode: types.BillingModePayPerRequest,
				}))(t)
			}
			first := ok(e.dynamo.ListTables(t.Context(), &dynamodb.ListTablesInput{ExclusiveStartTableName: &prefix, Limit: aws.Int32(2)}))(t)
			sameList(t, "names", first.TableNames, want[:2])
			rest := ok(e.dynamo.ListTables(t.Context(), &dynamodb.ListTablesInput{ExclusiveStartTableName: first.LastEvaluatedTableName, Limit: aws.Int32(1)}))(t)
			sameList(t, "names", rest.TableNames, want[2:])
		},
	},
	{
		name: "billing is changed",
		says: "UpdateTable: BillingMode, controls how you are charged",
		run: func(t testing.TB, e *env) {
			tb := e.table(t)
			ok(e.dynamo.UpdateTable(t.Context(), &dynamodb.UpdateTableInput{
				TableName: tb.name, BillingMode: types.BillingModeProvisioned,
				ProvisionedThroughput: &types.ProvisionedThroughput{ReadCapacityUnits: aws.Int64(3), WriteCapacityUnits: aws.Int64(2)},
			}))(t)
			equal(t, "capacity", *tb.settle().describe().ProvisionedThroughput.ReadCapacityUnits, 3)
		},
	},
	{
		name: "an index is added and removed",
		says: "UpdateTable: GlobalSecondaryIndexUpdates, Create and Delete",
		run: func(t testing.TB, e *env) {
			tb := e.table(t)
			tb.put(it("id", "a", "owner", "x"), it("id", "b"))
			ok(e.dynamo.UpdateTable(t.Context(), &dynamodb.UpdateTableInput{
				TableName: tb.name, AttributeDefinitions: defs("id", "S", "owner", "S"),
				GlobalSecondaryIndexUpdates: []types.GlobalSecondaryIndexUpdate{{Create: &types.CreateGlobalSecondaryIndexAction{
					IndexName: aws.String("byOwner"), KeySchema: keys("owner"), Projection: &types.Projection{ProjectionType: types.ProjectionTypeAll},
				}}},
			}))(t)
			await(t, "the index is ACTIVE", func() bool {
				d := tb.describe().GlobalSecondaryIndexes
				return len(d) == 1 && d[0].IndexStatus == types.IndexStatusActive
			})
			found := tb.query(expr{"#o = :o", map[string]string{"#o": "owner"}, map[string]any{":o": "x"}}, onIndex("byOwner"))
			sameList(t, "items", column(found, "id"), []string{"a"})
			ok(e.dynamo.UpdateTable(t.Context(), &dynamodb.UpdateTableInput{
				TableName:                   tb.name,
				GlobalSecondaryIndexUpdates: []types.GlobalSecondaryIndexUpdate{{Delete: &types.DeleteGlobalSecondaryIndexAction{IndexName: aws.String("byOwner")}}},
			}))(t)
			await(t, "the index is gone", func() bool { return len(tb.describe().GlobalSecondaryIndexes) == 0 })
		},
		skips: skips{dynalite: "demands ProvisionedThroughput for the index of an on-demand table"},
	},
	{
		name: "time to live is a setting",
		says: "UpdateTimeToLive: enables TTL on an attribute; DescribeTimeToLive: ENABLED, and the attribute's name",
		run: func(t testing.TB, e *env) {
			tb := e.table(t)
			ok(e.dynamo.UpdateTimeToLive(t.Context(), &dynamodb.UpdateTimeToLiveInput{
				TableName: tb.name, TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: aws.String("until"), Enabled: aws.Bool(true)},
			}))(t)
			await(t, "TTL is ENABLED", func() bool {
				d := ok(e.dynamo.DescribeTimeToLive(t.Context(), &dynamodb.DescribeTimeToLiveInput{TableName: tb.name}))(t).TimeToLiveDescription
				return d.TimeToLiveStatus == types.TimeToLiveStatusEnabled && aws.ToString(d.AttributeName) == "until"
			})
		},
		skips: skips{dynalite: unknownHere},
	},
	{
		name: "point-in-time recovery is a setting",
		says: "UpdateContinuousBackups: enables point-in-time recovery for the table; DescribeContinuousBackups",
		run: func(t testing.TB, e *env) {
			tb := e.table(t)
			out := ok(e.dynamo.UpdateContinuousBackups(t.Context(), &dynamodb.UpdateContinuousBackupsInput{
				TableName: tb.name, PointInTimeRecoverySpecification: &types.PointInTimeRecoverySpecification{PointInTimeRecoveryEnabled: aws.Bool(true)},
			}))(t)
			d := out.ContinuousBackupsDescription.PointInTimeRecoveryDescription
			equal(t, "status", d.PointInTimeRecoveryStatus, types.PointInTimeRecoveryStatusEnabled)
		},
		skips: skips{dynalite: unknownHere},
	},
	{
		name: "tables are tagged",
		says: "TagResource, UntagResource, ListTagsOfResource: by the table's ARN",
		run: func(t testing.TB, e *env) {
			tb := e.table(t)
			arn := tb.describe().TableArn
			ok(e.dynamo.TagResource(t.Context(), &dynamodb.TagResourceInput{ResourceArn: arn, Tags: []types.Tag{
				{Key: aws.String("a"), Value: aws.String("1")}, {Key: aws.String("b"), Value: aws.String("2")},
			}}))(t)
			ok(e.dynamo.UntagResource(t.Context(), &dynamodb.UntagResourceInput{ResourceArn: arn, TagKeys: []string{"a"}}))(t)
			tags := ok(e.dynamo.ListTagsOfResource(t.Context(), &dynamodb.ListTagsOfResourceInput{ResourceArn: arn}))(t).Tags
			equal(t, "tags", len(tags), 1)
			equal(t, "tag", *tags[0].Key+"="+*tags[0].Value, "b=2")
		},
	},
	{
		name: "a protected table is not deleted",
		says: "CreateTable, UpdateTable: DeletionProtectionEnabled, true protects the table from being deleted",
		run: func(t testing.TB, e *env) {
			tb := e.table(t)
			ok(e.dynamo.UpdateTable(t.Context(), &dynamodb.UpdateTableInput{TableName: tb.name, DeletionProtectionEnabled: aws.Bool(true)}))(t)
			_, err := tb.settle().dynamo.DeleteTable(t.Context(), &dynamodb.DeleteTableInput{TableName: tb.name})
			refused(t, err, validation)
		},
		skips: skips{dynalite: "knows no protection"},
	},
}
