package dynamostore

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/kinesiskit/kinesiskit/internal/awsx"
	"github.com/kinesiskit/kinesiskit/lease"
)

// What KCL 3.x keeps beside leases. From 3.5 on it is in the lease table; before, and in applications that are older, in two tables of its own.
const (
	coordinatorTable = "-CoordinatorState"
	metricsTable     = "-WorkerMetricStats"
	attrStateKey     = "key"
	attrWorker       = "wid"
	leaderRow        = "Leader"
	migrationRow     = "Migration3.0"
	attrLeader       = "ownerName"
	attrVersion      = "recordVersionNumber"
	attrMode         = "cv"
	attrUpdated      = "lut"
)

var _ lease.SignReader = (*Store)(nil)

// Signs reads what workers of KCL 3.x write beside leases, as lease.SignReader has it: at five requests, and a scan of the lease table with all. The tables beside the
// lease table are found by KCL's default names.
func (s *Store) Signs(ctx context.Context, application string, all bool) ([]lease.Sign, error) {
	if application == "" {
		application = s.cfg.Table
	}
	coordinator, metrics := application+coordinatorTable, application+metricsTable
	found, err := s.states(ctx, s.cfg.Table, attrKey)
	if err != nil {
		return nil, err
	}
	elsewhere, err := s.states(ctx, coordinator, attrStateKey)
	if err != nil {
		return nil, err
	}
	found = append(found, elsewhere...)
	workers, err := s.signsIn(ctx, &dynamodb.ScanInput{TableName: &metrics}, attrWorker)
	if err != nil {
		return nil, err
	}
	found = append(found, workers...)
	if all {
		e := newExpression()
		filter := "(" + e.exists(attrEntityType) + " AND " + e.name(attrEntityType) + " <> " + e.value(text(entityLease)) + ") OR " + e.exists(attrCheckpointOwner)
		in := &dynamodb.ScanInput{TableName: &s.cfg.Table, FilterExpression: &filter, ExpressionAttributeNames: e.names, ExpressionAttributeValues: e.values}
		beside, err := s.signsIn(ctx, in, attrKey)
		if err != nil {
			return nil, err
		}
		found = append(found, beside...)
	}
	slices.SortStableFunc(found, func(a, b lease.Sign) int { return strings.Compare(a.Place, b.Place) })
	return slices.CompactFunc(found, func(a, b lease.Sign) bool { return a.Place == b.Place }), nil
}

// states reads the two rows of a table that are about the fleet as a whole.
func (s *Store) states(ctx context.Context, table, key string) (found []lease.Sign, err error) {
	for _, name := range [...]string{leaderRow, migrationRow} {
		if err := ctx.Err(); err != nil {
			return nil, s.failed("get", name, err)
		}
		out, err := s.db.GetItem(ctx, &dynamodb.GetItemInput{TableName: &table, Key: map[string]types.AttributeValue{key: text(name)}}, awsx.DynamoOnce)
		switch {
		case s.isElsewhere(table, err):
			return nil, nil
		case err != nil:
			return nil, s.failed("get", name, err)
		case len(out.Item) > 0:
			found = append(found, sign(table, name, out.Item))
		}
	}
	return found, nil
}

// signsIn scans for signs; key is the table's key attribute. A table that is there and empty is one too.
func (s *Store) signsIn(ctx context.Context, in *dynamodb.ScanInput, key string) (found []lease.Sign, err error) {
	table := *in.TableName
	for items, err := range s.pages(ctx, in) {
		switch {
		case s.isElsewhere(table, err):
			return nil, nil
		case err != nil:
			return nil, err
		}
		for _, item := range items {
			found = append(found, sign(table, plain(item[key]), item))
		}
	}
	if table != s.cfg.Table {
		found = append(found, lease.Sign{Place: table})
	}
	return found, nil
}

// isElsewhere reports whether err says of one of KCL's own tables that it does not exist, or may not be read, which a worker need not be allowed.
func (s *Store) isElsewhere(table string, err error) bool {
	var absent *types.ResourceNotFoundException
	return table != s.cfg.Table && err != nil && (errors.As(err, &absent) || awsx.Classify(err) == awsx.Denied)
}

// sign makes one of a row, whatever it is.
func sign(table, key string, item map[string]types.AttributeValue) lease.Sign {
	found := lease.Sign{Place: table + "/" + key}
	switch {
	case key == leaderRow:
		found.Owner, found.Beat, found.Leads = plain(item[attrLeader]), plain(item[attrVersion]), true
	case key == migrationRow:
		found.Mode = plain(item[attrMode])
	case item[attrCheckpointOwner] != nil:
		found.Owner, found.Leads = plain(item[attrOwner]), true
		found.Beat = plain(item[attrCheckpointOwner]) + " to " + found.Owner
	case item[attrUpdated] != nil:
		found.Owner, found.Beat = key, plain(item[attrUpdated])
	}
	return found
}

// plain is the text of a string or a number.
func plain(v types.AttributeValue) string {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return v.Value
	case *types.AttributeValueMemberN:
		return v.Value
	}
	return ""
}
