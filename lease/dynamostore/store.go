package dynamostore

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/kinesiskit/kinesiskit/internal/awsx"
	"github.com/kinesiskit/kinesiskit/lease"
)

// API is the part of DynamoDB that a Store uses; *dynamodb.Client implements it. It may gain methods in a minor version: embed a *dynamodb.Client when
// wrapping one.
type API interface {
	DescribeTable(ctx context.Context, in *dynamodb.DescribeTableInput, opts ...func(*dynamodb.Options)) (*dynamodb.DescribeTableOutput, error)
	CreateTable(ctx context.Context, in *dynamodb.CreateTableInput, opts ...func(*dynamodb.Options)) (*dynamodb.CreateTableOutput, error)
	GetItem(ctx context.Context, in *dynamodb.GetItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error)
	PutItem(ctx context.Context, in *dynamodb.PutItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error)
	UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error)
	DeleteItem(ctx context.Context, in *dynamodb.DeleteItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.DeleteItemOutput, error)
	Scan(ctx context.Context, in *dynamodb.ScanInput, opts ...func(*dynamodb.Options)) (*dynamodb.ScanOutput, error)
	Query(ctx context.Context, in *dynamodb.QueryInput, opts ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error)
	UpdateContinuousBackups(ctx context.Context, in *dynamodb.UpdateContinuousBackupsInput, opts ...func(*dynamodb.Options)) (*dynamodb.UpdateContinuousBackupsOutput, error)
}

var (
	_ API               = (*dynamodb.Client)(nil)
	_ lease.Store       = (*Store)(nil)
	_ lease.OwnerLister = (*Store)(nil)
)

var errNoKey = errors.New("a lease needs a key")

// Store is the lease table in DynamoDB. It is safe for concurrent use.
//
// Every method makes one attempt per request, the SDK's retries are off: when a write was sent, and how often, decides what may be believed about a
// lease, so only its caller may repeat it. Besides the errors named below, a method returns the SDK's, wrapped: errors.As finds the service's.
type Store struct {
	db  API
	cfg Config

	bytes atomic.Int64 // of the table, as far as anybody has said
	mine  atomic.Bool  // Open made the table, or met another worker that was making it
}

// New makes a store; it does no I/O and judges nothing, see Validate.
func New(db API, cfg Config) *Store { return &Store{db: db, cfg: cfg} }

// Get reads one lease, strongly consistent. Errors: lease.ErrNotFound, *lease.RowError.
func (s *Store) Get(ctx context.Context, key string) (lease.Lease, error) {
	if err := ctx.Err(); err != nil {
		return lease.Lease{}, s.failed("get", key, err)
	}
	out, err := s.db.GetItem(ctx, &dynamodb.GetItemInput{
		TableName:      &s.cfg.Table,
		Key:            keyOf(key),
		ConsistentRead: aws.Bool(true),
	}, awsx.DynamoOnce)
	if err != nil {
		return lease.Lease{}, s.failed("get", key, err)
	}
	if len(out.Item) == 0 {
		return lease.Lease{}, s.failed("get", key, lease.ErrNotFound)
	}
	return decode(out.Item)
}

// Create adds a lease unless its key exists. Errors: lease.ErrExists.
func (s *Store) Create(ctx context.Context, l lease.Lease) error {
	if err := ctx.Err(); err != nil {
		return s.failed("create", l.Key, err)
	}
	if l.Key == "" {
		return s.failed("create", l.Key, errNoKey)
	}
	item, err := encode(l)
	if err != nil {
		return s.failed("create", l.Key, err)
	}
	// The only PutItem there is: it replaces whole rows, which the condition excludes.
	e := newExpression()
	absent := "attribute_not_exists(" + e.name(attrKey) + ")"
	_, err = s.db.PutItem(ctx, &dynamodb.PutItemInput{
		TableName:                &s.cfg.Table,
		Item:                     item,
		ConditionExpression:      &absent,
		ExpressionAttributeNames: e.names,
	}, awsx.DynamoOnce)
	var refused *types.ConditionalCheckFailedException
	if errors.As(err, &refused) {
		return s.failed("create", l.Key, lease.ErrExists)
	}
	if err != nil {
		return s.failed("create", l.Key, err)
	}
	return nil
}

// Write changes a row if when holds. Errors: *lease.ConflictError, with the row if DynamoDB sent it and it is a lease. DynamoDB does not say whether
// a row was there, and some servers that stand in for it never send one, so Absent is never set: Get tells.
func (s *Store) Write(ctx context.Context, key string, when lease.Condition, set lease.Change) (lease.Lease, error) {
	if err := ready(ctx, when); err != nil {
		return lease.Lease{}, s.failed("write", key, err)
	}
	e := newExpression()
	update, err := e.update(set)
	if err != nil {
		return lease.Lease{}, s.failed("write", key, err)
	}
	condition := e.condition(when)
	out, err := s.db.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName:                           &s.cfg.Table,
		Key:                                 keyOf(key),
		UpdateExpression:                    update,
		ConditionExpression:                 &condition,
		ExpressionAttributeNames:            e.names,
		ExpressionAttributeValues:           e.values,
		ReturnValues:                        types.ReturnValueAllNew,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}, awsx.DynamoOnce)
	if err != nil {
		return lease.Lease{}, s.refused("write", key, err)
	}
	return decode(out.Attributes)
}

// Delete removes a row if when holds. Errors: *lease.ConflictError, as Write has it.
func (s *Store) Delete(ctx context.Context, key string, when lease.Condition) error {
	if err := ready(ctx, when); err != nil {
		return s.failed("delete", key, err)
	}
	e := newExpression()
	condition := e.condition(when)
	_, err := s.db.DeleteItem(ctx, &dynamodb.DeleteItemInput{
		TableName:                           &s.cfg.Table,
		Key:                                 keyOf(key),
		ConditionExpression:                 &condition,
		ExpressionAttributeNames:            e.names,
		ExpressionAttributeValues:           e.values,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}, awsx.DynamoOnce)
	if err != nil {
		return s.refused("delete", key, err)
	}
	return nil
}

func ready(ctx context.Context, when lease.Condition) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return when.Validate()
}

// refused makes a *lease.ConflictError of a failed condition and wraps any other error. A row that cannot be decoded is as good as not sent: whoever
// asks for it next is told why.
func (s *Store) refused(op, key string, err error) error {
	var refused *types.ConditionalCheckFailedException
	if !errors.As(err, &refused) {
		return s.failed(op, key, err)
	}
	conflict := &lease.ConflictError{Key: key}
	if len(refused.Item) > 0 {
		if l, err := decode(refused.Item); err == nil {
			conflict.Current = &l
		}
	}
	return conflict
}

func (s *Store) failed(op, key string, err error) error {
	if key != "" {
		op += " " + key
	}
	return fmt.Errorf("lease table %s: %s: %w", s.cfg.Table, op, err)
}
