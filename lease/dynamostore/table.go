package dynamostore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/kinesiskit/kinesiskit/internal/awsx"
	"github.com/kinesiskit/kinesiskit/lease"
)

// ownerIndex is KCL 3.x's name for it.
const ownerIndex = "LeaseOwnerToLeaseKeyIndex"

// A table is created within seconds; one that is not usable after ten minutes (KCL's bound too) will not be.
const (
	tableTimeout  = 10 * time.Minute
	firstTableGap = 200 * time.Millisecond
	maxTableGap   = 5 * time.Second
)

// Open looks whether the table is there and is a lease table, creates it if it is not there, and waits until it can be used, at most ten minutes.
// Several workers may do this at once. For a table that exists it needs no permission to create one.
//
// Errors: *lease.TableError if the configuration is wrong, the table is something else, it does not exist and must not be created, or its creation
// was refused for good. After any other error Open may be called again.
func (s *Store) Open(ctx context.Context) error {
	if err := s.Validate(); err != nil {
		return err
	}
	started := time.Now()
	for gap := firstTableGap; ; gap = min(2*gap, maxTableGap) {
		if err := ctx.Err(); err != nil {
			return s.failed("open", "", err)
		}
		status, err := s.look(ctx)
		if err == nil && usable(status) {
			status, err = s.protect(ctx, status)
		}
		if err != nil || usable(status) {
			return err
		}
		if time.Since(started) >= tableTimeout {
			return s.unusable(fmt.Sprintf("is still %s after %v", status, tableTimeout), nil)
		}
		select {
		case <-ctx.Done():
		case <-time.After(gap):
		}
	}
}

// usable: a table whose settings or indexes are being changed serves reads and writes.
func usable(status types.TableStatus) bool {
	return status == types.TableStatusActive || status == types.TableStatusUpdating
}

// look reads the table's state and creates one where there is none. That it may be called again right after the creation, when an answer can still
// be that there is no table, does no harm: the second creation is refused as one in use.
func (s *Store) look(ctx context.Context) (types.TableStatus, error) {
	out, err := s.db.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &s.cfg.Table}, awsx.DynamoOnce)
	var absent *types.ResourceNotFoundException
	switch {
	case err == nil:
		return s.judge(out.Table)
	case !errors.As(err, &absent):
		return "", s.failed("describe", "", err)
	case s.cfg.NeverCreate:
		return "", s.unusable("does not exist", err)
	}
	return s.create(ctx)
}

func (s *Store) create(ctx context.Context) (types.TableStatus, error) {
	out, err := s.db.CreateTable(ctx, s.blueprint(), awsx.DynamoOnce)
	var exists *types.ResourceInUseException
	switch {
	case err == nil:
		s.mine.Store(true)
		return s.judge(out.TableDescription)
	case errors.As(err, &exists): // another worker was faster
		s.mine.Store(true)
		return types.TableStatusCreating, nil
	}
	if class := awsx.Classify(err); class == awsx.Denied || class == awsx.Invalid {
		return "", s.unusable("does not exist and cannot be created", err)
	}
	return "", s.failed("create table", "", err)
}

// protect turns on what a table cannot be created with. Every worker that was there when the table was made does so, since the one that made it may have
// died before. A table that is new may have to wait for it.
func (s *Store) protect(ctx context.Context, status types.TableStatus) (types.TableStatus, error) {
	if !s.cfg.PointInTimeRecovery || !s.mine.Load() {
		return status, nil
	}
	_, err := s.db.UpdateContinuousBackups(ctx, &dynamodb.UpdateContinuousBackupsInput{
		TableName:                        &s.cfg.Table,
		PointInTimeRecoverySpecification: &types.PointInTimeRecoverySpecification{PointInTimeRecoveryEnabled: aws.Bool(true)},
	}, awsx.DynamoOnce)
	var later *types.ContinuousBackupsUnavailableException
	switch {
	case err == nil:
		return status, nil
	case errors.As(err, &later):
		return types.TableStatusCreating, nil
	}
	if class := awsx.Classify(err); class == awsx.Denied || class == awsx.Invalid {
		return "", s.unusable("was created, but its point-in-time recovery cannot be turned on", err)
	}
	return "", s.failed("update continuous backups", "", err)
}

func (s *Store) blueprint() *dynamodb.CreateTableInput {
	in := &dynamodb.CreateTableInput{
		TableName:   &s.cfg.Table,
		BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String(attrKey), AttributeType: types.ScalarAttributeTypeS},
			{AttributeName: aws.String(attrOwner), AttributeType: types.ScalarAttributeTypeS},
		},
		KeySchema: []types.KeySchemaElement{{AttributeName: aws.String(attrKey), KeyType: types.KeyTypeHash}},
		GlobalSecondaryIndexes: []types.GlobalSecondaryIndex{{
			IndexName: aws.String(ownerIndex),
			KeySchema: []types.KeySchemaElement{
				{AttributeName: aws.String(attrOwner), KeyType: types.KeyTypeHash},
				{AttributeName: aws.String(attrKey), KeyType: types.KeyTypeRange},
			},
			Projection: &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly},
		}},
	}
	if s.cfg.ReadUnits > 0 {
		units := &types.ProvisionedThroughput{ReadCapacityUnits: &s.cfg.ReadUnits, WriteCapacityUnits: &s.cfg.WriteUnits}
		in.BillingMode = types.BillingModeProvisioned
		in.ProvisionedThroughput = units
		in.GlobalSecondaryIndexes[0].ProvisionedThroughput = units
	}
	if s.cfg.DeletionProtection {
		in.DeletionProtectionEnabled = aws.Bool(true)
	}
	for _, key := range slices.Sorted(maps.Keys(s.cfg.Tags)) {
		in.Tags = append(in.Tags, types.Tag{Key: &key, Value: aws.String(s.cfg.Tags[key])})
	}
	return in
}

// judge refuses a table that is something else, and one that will not become usable by waiting.
func (s *Store) judge(t *types.TableDescription) (types.TableStatus, error) {
	if t == nil {
		return "", s.failed("describe", "", errNoDescription)
	}
	switch t.TableStatus {
	case types.TableStatusDeleting: // until it is gone, and then there is none
		return t.TableStatus, nil
	case types.TableStatusInaccessibleEncryptionCredentials, types.TableStatusArchiving, types.TableStatusArchived:
		return "", s.unusable("is "+string(t.TableStatus), nil)
	}
	if !keyedByLease(t) {
		return "", s.unusable("is not a lease table: its key is not "+attrKey+" (S) alone", nil)
	}
	for _, x := range t.GlobalSecondaryIndexes {
		if aws.ToString(x.IndexName) == ownerIndex && !isKeyedBy(x.KeySchema, attrOwner, attrKey) {
			return "", s.unusable("its index "+ownerIndex+" is not one of "+attrOwner+" and "+attrKey, nil)
		}
	}
	s.bytes.Store(aws.ToInt64(t.TableSizeBytes))
	return t.TableStatus, nil
}

var errNoDescription = errors.New("the answer has no description of the table")

func keyedByLease(t *types.TableDescription) bool {
	return isKeyedBy(t.KeySchema, attrKey) && slices.ContainsFunc(t.AttributeDefinitions, func(d types.AttributeDefinition) bool {
		return aws.ToString(d.AttributeName) == attrKey && d.AttributeType == types.ScalarAttributeTypeS
	})
}

// isKeyedBy reports whether a key consists of these attributes: the first is hashed, the second sorted by.
func isKeyedBy(schema []types.KeySchemaElement, attributes ...string) bool {
	kinds := []types.KeyType{types.KeyTypeHash, types.KeyTypeRange}
	return slices.EqualFunc(schema, attributes, func(e types.KeySchemaElement, name string) bool {
		return aws.ToString(e.AttributeName) == name && e.KeyType == kinds[slices.Index(attributes, name)]
	})
}

func (s *Store) unusable(problem string, err error) error {
	return &lease.TableError{Table: s.cfg.Table, Problem: problem, Err: err}
}
