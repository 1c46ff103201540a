package dynamo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
)

// transport answers the SDK from a database without a connection.
type transport struct{ db *DB }

func (tr transport) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	_, op, _ := strings.Cut(req.Header.Get("X-Amz-Target"), ".")
	reply, fault := tr.db.Call(req.Context(), op, body)
	status := http.StatusOK
	if fault != nil {
		status = http.StatusBadRequest
		members := map[string]any{"__type": "com.amazonaws.dynamodb.v20120810#" + fault.Code, "message": fault.Message}
		maps.Copy(members, fault.Members)
		if reply, err = json.Marshal(members); err != nil {
			return nil, err
		}
	}
	return &http.Response{
		StatusCode: status, Request: req, Body: io.NopCloser(bytes.NewReader(reply)),
		Header: http.Header{"Content-Type": {"application/x-amz-json-1.0"}},
	}, nil
}

func newClient(t testing.TB, db *DB) *dynamodb.Client {
	t.Helper()
	return dynamodb.New(dynamodb.Options{
		Region:       "us-east-1",
		BaseEndpoint: aws.String("http://dynamo.test"),
		Credentials:  credentials.NewStaticCredentialsProvider("id", "secret", ""),
		HTTPClient:   &http.Client{Transport: transport{db}},
		Retryer:      aws.NopRetryer{},
	})
}

func str(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func num(n any) types.AttributeValue { return &types.AttributeValueMemberN{Value: fmt.Sprint(n)} }

func leaseKey(k string) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{"k": str(k)}
}

func TestSDKCreatesDescribesAndWaitsForATable(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	c := newClient(t, New())
	create := &dynamodb.CreateTableInput{
		TableName: aws.String("leases"), BillingMode: types.BillingModePayPerRequest, DeletionProtectionEnabled: aws.Bool(false),
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("k"), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("k"), KeyType: types.KeyTypeHash}},
		Tags:                 []types.Tag{{Key: aws.String("a"), Value: aws.String("b")}},
	}
	if _, err := c.CreateTable(ctx, create); err != nil {
		t.Fatal(err)
	}
	_, err := c.CreateTable(ctx, create)
	if inUse := new(types.ResourceInUseException); !errors.As(err, &inUse) {
		t.Fatalf("got %v", err)
	}
	waiter := dynamodb.NewTableExistsWaiter(c)
	if err := waiter.Wait(ctx, &dynamodb.DescribeTableInput{TableName: aws.String("leases")}, time.Second); err != nil {
		t.Fatal(err)
	}
	d, err := c.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: aws.String("leases")})
	if err != nil || d.Table.TableStatus != types.TableStatusActive || d.Table.CreationDateTime.Year() < 2000 {
		t.Fatalf("%v %+v", err, d)
	}
	tags, err := c.ListTagsOfResource(ctx, &dynamodb.ListTagsOfResourceInput{ResourceArn: d.Table.TableArn})
	if err != nil || len(tags.Tags) != 1 {
		t.Fatalf("%v %+v", err, tags)
	}
	if _, err := c.UpdateContinuousBackups(ctx, &dynamodb.UpdateContinuousBackupsInput{
		TableName:                        aws.String("leases"),
		PointInTimeRecoverySpecification: &types.PointInTimeRecoverySpecification{PointInTimeRecoveryEnabled: aws.Bool(true)},
	}); err != nil {
		t.Fatal(err)
	}
	b, err := c.DescribeContinuousBackups(ctx, &dynamodb.DescribeContinuousBackupsInput{TableName: aws.String("leases")})
	if err != nil || b.ContinuousBackupsDescription.PointInTimeRecoveryDescription.PointInTimeRecoveryStatus != types.PointInTimeRecoveryStatusEnabled {
		t.Fatalf("%v %+v", err, b)
	}
	if _, err := c.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: aws.String("leases")}); err != nil {
		t.Fatal(err)
	}
	_, err = c.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: aws.String("leases")})
	if missing := new(types.ResourceNotFoundException); !errors.As(err, &missing) {
		t.Fatalf("got %v", err)
	}
}

func TestSDKConditionFailureCarriesTheItem(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	c := newClient(t, db)
	putRow(t, db, `"owner_":{"S":"A"},"counter_":{"N":"7"},"set":{"SS":["p"]}`)
	_, err := c.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
		TableName: aws.String("leases"), Key: leaseKey("x"),
		UpdateExpression:                    aws.String("SET counter_ = :next"),
		ConditionExpression:                 aws.String("owner_ = :me AND counter_ = :c"),
		ExpressionAttributeValues:           map[string]types.AttributeValue{":next": num(8), ":me": str("B"), ":c": num(7)},
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	failed := new(types.ConditionalCheckFailedException)
	if !errors.As(err, &failed) || failed.ErrorMessage() != "The conditional request failed" {
		t.Fatalf("got %v", err)
	}
	if owner, ok := failed.Item["owner_"].(*types.AttributeValueMemberS); !ok || owner.Value != "A" || len(failed.Item) != 4 {
		t.Fatalf("item: %v", failed.Item)
	}
	_, err = c.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
		TableName: aws.String("leases"), Key: leaseKey("x"), UpdateExpression: aws.String("SET status = k"),
	})
	var coded smithy.APIError
	if !errors.As(err, &coded) || coded.ErrorCode() != "ValidationException" {
		t.Fatalf("got %v", err)
	}
}

func TestSDKConditionalIncrementsAreExactUnderContention(t *testing.T) {
	t.Parallel()
	const workers, increments = 8, 50
	db := newDB(t)
	c := newClient(t, db)
	putRow(t, db, `"n":{"N":"0"}`)
	var refusals atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range increments {
				for !increment(t, c, &refusals) {
				}
			}
		})
	}
	wg.Wait()
	if got := db.Items("leases")[0]["n"].(*types.AttributeValueMemberN).Value; got != fmt.Sprint(workers*increments) {
		t.Fatalf("%d acknowledged increments gave %s", workers*increments, got)
	}
	t.Logf("%d writes were refused", refusals.Load())
}

// increment reads and writes once; false means another worker was between.
func increment(t *testing.T, c *dynamodb.Client, refusals *atomic.Int64) bool {
	got, err := c.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: aws.String("leases"), Key: leaseKey("x"), ConsistentRead: aws.Bool(true)})
	if err != nil {
		t.Error(err)
		return true
	}
	_, err = c.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
		TableName: aws.String("leases"), Key: leaseKey("x"),
		UpdateExpression: aws.String("SET n = n + :one"), ConditionExpression: aws.String("n = :n"),
		ExpressionAttributeValues: map[string]types.AttributeValue{":one": num(1), ":n": got.Item["n"]},
	})
	if failed := new(types.ConditionalCheckFailedException); errors.As(err, &failed) {
		refusals.Add(1)
		return false
	}
	if err != nil {
		t.Error(err)
	}
	return true
}

func TestSDKPaginatorsReadEveryItem(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	fillLeases(t, db, 120, `"owner_":{"S":"w"}`)
	c := newClient(t, db)
	scan := dynamodb.NewScanPaginator(c, &dynamodb.ScanInput{TableName: aws.String("leases"), Limit: aws.Int32(50), ConsistentRead: aws.Bool(true)})
	if n := countPages(t, scan.HasMorePages, func(ctx context.Context) (int32, error) {
		page, err := scan.NextPage(ctx)
		if err != nil {
			return 0, err
		}
		return page.Count, nil
	}); n != 120 {
		t.Fatalf("scan: %d", n)
	}
	query := dynamodb.NewQueryPaginator(c, &dynamodb.QueryInput{
		TableName: aws.String("leases"), IndexName: aws.String("by-owner"), Limit: aws.Int32(50),
		KeyConditionExpression:    aws.String("owner_ = :w"),
		ExpressionAttributeValues: map[string]types.AttributeValue{":w": str("w")},
	})
	if n := countPages(t, query.HasMorePages, func(ctx context.Context) (int32, error) {
		page, err := query.NextPage(ctx)
		if err != nil {
			return 0, err
		}
		return page.Count, nil
	}); n != 120 {
		t.Fatalf("query: %d", n)
	}
}

func countPages(t *testing.T, more func() bool, next func(context.Context) (int32, error)) (n int32) {
	t.Helper()
	for more() {
		count, err := next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		n += count
	}
	return n
}

// Every type survives the SDK in both directions.
func TestSDKRoundTripsAllTypes(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	c := newClient(t, db)
	item := map[string]types.AttributeValue{
		"k": str("x"), "s": str(""), "n": num("-0.001"), "b": &types.AttributeValueMemberB{Value: []byte{0, 255}},
		"t": &types.AttributeValueMemberBOOL{Value: true}, "z": &types.AttributeValueMemberNULL{Value: true},
		"l":  &types.AttributeValueMemberL{Value: []types.AttributeValue{str("a"), num(1)}},
		"m":  &types.AttributeValueMemberM{Value: map[string]types.AttributeValue{"a.b": str("c")}},
		"ss": &types.AttributeValueMemberSS{Value: []string{"a", "b"}}, "ns": &types.AttributeValueMemberNS{Value: []string{"-1", "2.5"}},
		"bs": &types.AttributeValueMemberBS{Value: [][]byte{{1}, {2}}},
	}
	if _, err := c.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String("leases"), Item: item}); err != nil {
		t.Fatal(err)
	}
	got, err := c.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: aws.String("leases"), Key: leaseKey("x")})
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprint(describeItem(item))
	if fmt.Sprint(describeItem(got.Item)) != want || fmt.Sprint(describeItem(db.Items("leases")[0])) != want {
		t.Fatalf("\n got %v\nwant %v", describeItem(got.Item), want)
	}
}

// describeItem replaces the pointers of SDK values by what they point to.
func describeItem(it map[string]types.AttributeValue) map[string]string {
	out := map[string]string{}
	for name, v := range it {
		switch v := v.(type) {
		case *types.AttributeValueMemberM:
			out[name] = fmt.Sprint(describeItem(v.Value))
		case *types.AttributeValueMemberL:
			for i, element := range v.Value {
				out[name] += fmt.Sprint(describeItem(map[string]types.AttributeValue{fmt.Sprint(i): element}))
			}
		default:
			out[name] = strings.TrimPrefix(fmt.Sprintf("%T%+v", v, v), "*types.")
		}
	}
	return out
}
