package dynamo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
)

func equals(v types.AttributeValue) types.ExpectedAttributeValue {
	return types.ExpectedAttributeValue{Value: v}
}

func set(action types.AttributeAction, v types.AttributeValue) types.AttributeValueUpdate {
	return types.AttributeValueUpdate{Action: action, Value: v}
}

// The life of a lease as the Java KCL writes it: created, taken, renewed, stolen, deleted, each with Expected and AttributeUpdates.
func TestSDKLeaseInTheOlderLanguage(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	db := newDB(t)
	c := newClient(t, db)
	table := aws.String("leases")
	create := &dynamodb.PutItemInput{
		TableName: table, Item: map[string]types.AttributeValue{"k": str("x"), "leaseCounter": num(0), "parents": &types.AttributeValueMemberSS{Value: []string{"p"}}},
		Expected: map[string]types.ExpectedAttributeValue{"k": {Exists: aws.Bool(false)}},
	}
	if _, err := c.PutItem(ctx, create); err != nil {
		t.Fatal(err)
	}
	failed := new(types.ConditionalCheckFailedException)
	if _, err := c.PutItem(ctx, create); !errors.As(err, &failed) {
		t.Fatalf("got %v", err)
	}
	update := func(counter int, expected map[string]types.ExpectedAttributeValue, updates map[string]types.AttributeValueUpdate) error {
		expected["leaseCounter"] = equals(num(counter))
		updates["leaseCounter"] = set(types.AttributeActionPut, num(counter+1))
		_, err := c.UpdateItem(ctx, &dynamodb.UpdateItemInput{
			TableName: table, Key: leaseKey("x"), Expected: expected, AttributeUpdates: updates,
			ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
		})
		return err
	}
	type expected = map[string]types.ExpectedAttributeValue
	type updates = map[string]types.AttributeValueUpdate
	take := updates{
		"owner_": set(types.AttributeActionPut, str("A")), "checkpointOwner": {Action: types.AttributeActionDelete},
		"ownerSwitches": set(types.AttributeActionAdd, num(1)),
	}
	if err := update(0, expected{"owner_": {ComparisonOperator: types.ComparisonOperatorNull}}, take); err != nil {
		t.Fatal(err)
	}
	if err := update(1, expected{"checkpointOwner": {Exists: aws.Bool(false)}}, updates{}); err != nil {
		t.Fatal(err)
	}
	err := update(1, expected{"owner_": equals(str("A"))}, updates{})
	if !errors.As(err, &failed) || len(failed.Item) != 5 {
		t.Fatalf("%v with item %v", err, failed.Item)
	}
	wantJSON(t, row(t, db), `{"k":{"S":"x"},"leaseCounter":{"N":"2"},"owner_":{"S":"A"},"ownerSwitches":{"N":"1"},"parents":{"SS":["p"]}}`)
	err = update(2, expected{}, updates{"owner_": set(types.AttributeActionAdd, str("B"))})
	var coded smithy.APIError
	if !errors.As(err, &coded) || coded.ErrorCode() != "ValidationException" {
		t.Fatalf("got %v", err)
	}
	if _, err := c.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: table, Key: leaseKey("x"), Expected: expected{"owner_": equals(str("B"))}}); !errors.As(err, &failed) {
		t.Fatalf("got %v", err)
	}
	if _, err := c.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: table, Key: leaseKey("x"), Expected: expected{"owner_": equals(str("A"))}}); err != nil {
		t.Fatal(err)
	}
}

func TestSDKCancelledTransactionTellsItsReasons(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	c := newClient(t, db)
	putRow(t, db, `"n":{"N":"1"}`)
	items := []types.TransactWriteItem{
		{Put: &types.Put{TableName: aws.String("leases"), Item: leaseKey("y")}},
		{ConditionCheck: &types.ConditionCheck{
			TableName: aws.String("leases"), Key: leaseKey("x"), ConditionExpression: aws.String("attribute_not_exists(k)"),
			ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
		}},
	}
	_, err := c.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{TransactItems: items})
	cancelled := new(types.TransactionCanceledException)
	if !errors.As(err, &cancelled) || len(cancelled.CancellationReasons) != 2 {
		t.Fatalf("got %v", err)
	}
	first, second := cancelled.CancellationReasons[0], cancelled.CancellationReasons[1]
	if aws.ToString(first.Code) != "None" || aws.ToString(second.Code) != "ConditionalCheckFailed" || len(second.Item) != 2 {
		t.Fatalf("%+v %+v", first, second)
	}
	items[1].ConditionCheck.ConditionExpression = aws.String("attribute_exists(k)")
	if _, err := c.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{TransactItems: items}); err != nil {
		t.Fatal(err)
	}
	got, err := c.TransactGetItems(t.Context(), &dynamodb.TransactGetItemsInput{TransactItems: []types.TransactGetItem{
		{Get: &types.Get{TableName: aws.String("leases"), Key: leaseKey("gone")}}, {Get: &types.Get{TableName: aws.String("leases"), Key: leaseKey("y")}},
	}})
	if err != nil || len(got.Responses) != 2 || got.Responses[0].Item != nil || len(got.Responses[1].Item) != 1 {
		t.Fatalf("%v %+v", err, got)
	}
	mismatch := new(types.IdempotentParameterMismatchException)
	for i, token := range []string{"a", "a"} {
		_, err := c.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{ClientRequestToken: aws.String(token), TransactItems: items[i : i+1]})
		if i == 1 && !errors.As(err, &mismatch) || i == 0 && err != nil {
			t.Fatalf("%d: got %v", i, err)
		}
	}
}

func TestSDKBatchesTablesAndTags(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	c := newClient(t, newDB(t))
	written, err := c.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{
		"leases": {{PutRequest: &types.PutRequest{Item: leaseKey("a")}}, {DeleteRequest: &types.DeleteRequest{Key: leaseKey("b")}}},
	}})
	if err != nil || len(written.UnprocessedItems) != 0 {
		t.Fatalf("%v %+v", err, written)
	}
	read, err := c.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{
		"leases": {Keys: []map[string]types.AttributeValue{leaseKey("a"), leaseKey("b")}},
	}})
	if err != nil || len(read.Responses["leases"]) != 1 || len(read.UnprocessedKeys) != 0 {
		t.Fatalf("%v %+v", err, read)
	}
	updated, err := c.UpdateTable(ctx, &dynamodb.UpdateTableInput{
		TableName: aws.String("leases"), DeletionProtectionEnabled: aws.Bool(true),
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("n"), AttributeType: types.ScalarAttributeTypeN}},
		GlobalSecondaryIndexUpdates: []types.GlobalSecondaryIndexUpdate{{Create: &types.CreateGlobalSecondaryIndexAction{
			IndexName: aws.String("by-n"), Projection: &types.Projection{ProjectionType: types.ProjectionTypeAll},
			KeySchema: []types.KeySchemaElement{{AttributeName: aws.String("n"), KeyType: types.KeyTypeHash}},
		}}},
	})
	if err != nil || len(updated.TableDescription.GlobalSecondaryIndexes) != 2 || !aws.ToBool(updated.TableDescription.DeletionProtectionEnabled) {
		t.Fatalf("%v %+v", err, updated)
	}
	arn := updated.TableDescription.TableArn
	if _, err := c.TagResource(ctx, &dynamodb.TagResourceInput{ResourceArn: arn, Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("1")}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.UntagResource(ctx, &dynamodb.UntagResourceInput{ResourceArn: arn, TagKeys: []string{"a"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.UpdateTimeToLive(ctx, &dynamodb.UpdateTimeToLiveInput{TableName: aws.String("leases"),
		TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: aws.String("ttl"), Enabled: aws.Bool(true)}}); err != nil {
		t.Fatal(err)
	}
	ttl, err := c.DescribeTimeToLive(ctx, &dynamodb.DescribeTimeToLiveInput{TableName: aws.String("leases")})
	if err != nil || ttl.TimeToLiveDescription.TimeToLiveStatus != types.TimeToLiveStatusEnabled {
		t.Fatalf("%v %+v", err, ttl)
	}
	var names []string
	pages := dynamodb.NewListTablesPaginator(c, &dynamodb.ListTablesInput{Limit: aws.Int32(1)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, page.TableNames...)
	}
	if !slices.Equal(names, []string{"events", "leases"}) {
		t.Fatal(names)
	}
}

// The SDK's waiter sees a table become ACTIVE and go, in the time of the bubble.
func TestSDKWaitsForTransitions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := New()
		db.SetTransitions(time.Minute)
		must(t, db, "CreateTable", createLeases)
		c := newClient(t, db)
		name := &dynamodb.DescribeTableInput{TableName: aws.String("leases")}
		start := time.Now()
		if err := dynamodb.NewTableExistsWaiter(c).Wait(t.Context(), name, time.Hour); err != nil {
			t.Fatal(err)
		}
		must(t, db, "DeleteTable", `{"TableName":"leases"}`)
		if err := dynamodb.NewTableNotExistsWaiter(c).Wait(t.Context(), name, time.Hour); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < 2*time.Minute {
			t.Fatalf("took %v", took)
		}
	})
}

// Money moves between rows while others read both rows, tables are changed and snapshots taken: no read sees a sum of its own.
func TestTransactionsAreAtomicForAllReaders(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	c := newClient(t, db)
	ctx := t.Context()
	const accounts, each = 4, 100
	for i := range accounts {
		must(t, db, "PutItem", fmt.Sprintf(`{"TableName":"leases","Item":{"k":{"S":"%d"},"n":{"N":"%d"}}}`, i, each))
	}
	move := func(from, to string) error {
		step := func(key, by string) types.TransactWriteItem {
			return types.TransactWriteItem{Update: &types.Update{
				TableName: aws.String("leases"), Key: leaseKey(key), UpdateExpression: aws.String("ADD n :by"),
				ConditionExpression: aws.String("n > :zero"), ExpressionAttributeValues: map[string]types.AttributeValue{":by": num(by), ":zero": num(0)},
			}}
		}
		_, err := c.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{step(from, "-1"), step(to, "1")}})
		return err
	}
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 50 {
				var cancelled *types.TransactionCanceledException
				if err := move(fmt.Sprint((i+w)%accounts), fmt.Sprint((i+w+1)%accounts)); err != nil && !errors.As(err, &cancelled) {
					t.Error(err)
					return
				}
			}
		})
		wg.Go(func() {
			for range 50 {
				if total, err := sumOf(ctx, c); err != nil || total != accounts*each {
					t.Errorf("a read saw %d: %v", total, err)
					return
				}
			}
		})
	}
	wg.Go(func() {
		for range 20 {
			err := db.Save(io.Discard)
			_, created := db.Call(ctx, "UpdateTable", []byte(updateTable(defineN+indexUpdates(createN))))
			_ = db.Items("leases")
			_, deleted := db.Call(ctx, "UpdateTable", []byte(updateTable(indexUpdates(deleteN))))
			if err != nil || created != nil || deleted != nil {
				t.Error(err, created, deleted)
				return
			}
		}
	})
	wg.Wait()
}

func sumOf(ctx context.Context, c *dynamodb.Client) (total int, err error) {
	keys := types.KeysAndAttributes{Keys: []map[string]types.AttributeValue{leaseKey("0"), leaseKey("1"), leaseKey("2"), leaseKey("3")}}
	out, err := c.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{"leases": keys}})
	if err != nil {
		return 0, err
	}
	for _, it := range out.Responses["leases"] {
		var n int
		if _, err := fmt.Sscan(it["n"].(*types.AttributeValueMemberN).Value, &n); err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}
