package main

import (
	"os"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/lease"
	"github.com/kinesiskit/kinesiskit/lease/dynamostore"
)

// MIGRATION.md tells whoever comes from a library with another table to make an empty one by hand, and to place the application with a file.
func TestAnEmptyTableIsFilledFromAFileOfPositions(t *testing.T) {
	a := newApplication(t)
	db := dynamodb.NewFromConfig(a.s.Config("operator"))
	if _, err := db.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName:            aws.String("placed"),
		BillingMode:          types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("leaseKey"), AttributeType: "S"}, {AttributeName: aws.String("leaseOwner"), AttributeType: "S"}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("leaseKey"), KeyType: types.KeyTypeHash}},
		GlobalSecondaryIndexes: []types.GlobalSecondaryIndex{{
			IndexName:  aws.String("LeaseOwnerToLeaseKeyIndex"),
			KeySchema:  []types.KeySchemaElement{{AttributeName: aws.String("leaseOwner"), KeyType: types.KeyTypeHash}, {AttributeName: aws.String("leaseKey"), KeyType: types.KeyTypeRange}},
			Projection: &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly},
		}},
	}); err != nil {
		t.Fatal(err)
	}
	rows := a.rows()
	open, left := rows["shardId-000000000001"].Checkpoint.Position, rows["shardId-000000000002"].Checkpoint.Position
	file := `{"leases": [
		{"shard": "shardId-000000000000", "checkpoint": "SHARD_END"},
		{"shard": "shardId-000000000001", "checkpoint": "` + open.Sequence() + `"},
		{"shard": "shardId-000000000002", "checkpoint": "` + left.Sequence() + `"},
		{"shard": "shardId-000000000003", "checkpoint": "TRIM_HORIZON"}
	]}`
	if err := os.WriteFile("positions.json", []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	a.must("reset -table placed -stream orders -to positions.json -execute")
	placed := map[string]lease.Lease{}
	store := dynamostore.New(db, dynamostore.Config{Table: "placed", NeverCreate: true})
	if err := store.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	for l, err := range store.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		placed[l.Key] = l
	}
	// A child whose parent is finished begins at its first record, which TRIM_HORIZON does not say: it would wait for the parent.
	if p := placed["shardId-000000000003"].Checkpoint.Position; p.Sub() != -1 {
		t.Errorf("the child that was not begun stands at %s, want before its first record", p)
	}
	for shard, want := range map[string]checkpoint.Position{
		"shardId-000000000000": checkpoint.ShardEnd, "shardId-000000000001": open, "shardId-000000000002": left,
	} {
		if got := placed[shard]; got.Checkpoint.Position != want || got.Owner != "" {
			t.Errorf("%s stands at %s, owned by %q; want %s and nobody", shard, got.Checkpoint.Position, got.Owner, want)
		}
	}
}
