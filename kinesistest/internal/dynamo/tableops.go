package dynamo

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

// Where the tables claim to be; the account number is the one of AWS's documentation.
const arnPrefix = "arn:aws:dynamodb:us-east-1:123456789012:table/"

// tableSizes are the numbers of a description that change; items and bytes of the table first, then of each index.
type tableSizes []struct{ items, bytes int }

// sizes is called under the lock.
func (t *table) sizes() tableSizes {
	sizes := tableSizes{{len(t.items.entries), t.items.bytes}}
	for _, x := range t.indexes {
		sizes = append(sizes, struct{ items, bytes int }{len(x.items.entries), x.items.bytes})
	}
	return sizes
}

func (s tableSizes) put(description map[string]any, i int, bytesMember string) {
	description["ItemCount"], description[bytesMember] = 0, 0
	if i < len(s) {
		description["ItemCount"], description[bytesMember] = s[i].items, s[i].bytes
	}
}

// describe is a TableDescription. The service refreshes ItemCount and sizes every six hours; here they are exact.
func (t *table) describe(status string, sizes tableSizes) map[string]any {
	d := map[string]any{
		"TableName":                 t.name,
		"TableStatus":               status,
		"TableArn":                  arnPrefix + t.name,
		"TableId":                   fmt.Sprintf("00000000-0000-4000-8000-%012d", t.id),
		"CreationDateTime":          t.created,
		"AttributeDefinitions":      t.request.AttributeDefinitions,
		"KeySchema":                 t.request.KeySchema,
		"ProvisionedThroughput":     t.request.ProvisionedThroughput.describe(),
		"DeletionProtectionEnabled": t.request.DeletionProtectionEnabled,
	}
	sizes.put(d, 0, "TableSizeBytes")
	if t.request.BillingMode == "PAY_PER_REQUEST" {
		d["BillingModeSummary"] = map[string]any{
			"BillingMode": "PAY_PER_REQUEST", "LastUpdateToPayPerRequestDateTime": t.created,
		}
	}
	if t.request.TableClass != "" {
		d["TableClassSummary"] = map[string]any{"TableClass": t.request.TableClass}
	}
	if e := t.request.SSESpecification; e != nil && e.Enabled != nil && *e.Enabled {
		sse := map[string]any{"Status": "ENABLED", "SSEType": "KMS"}
		if e.KMSMasterKeyId != "" {
			sse["KMSMasterKeyArn"] = e.KMSMasterKeyId
		}
		d["SSEDescription"] = sse
	}
	var indexes []map[string]any
	for i, x := range t.request.GlobalSecondaryIndexes {
		description := map[string]any{
			"IndexName":             x.IndexName,
			"IndexStatus":           status,
			"IndexArn":              arnPrefix + t.name + "/index/" + x.IndexName,
			"KeySchema":             x.KeySchema,
			"Projection":            x.Projection,
			"ProvisionedThroughput": x.ProvisionedThroughput.describe(),
		}
		sizes.put(description, i+1, "IndexSizeBytes")
		indexes = append(indexes, description)
	}
	if indexes != nil {
		d["GlobalSecondaryIndexes"] = indexes
	}
	return d
}

// describe of nil is what an on-demand table reports.
func (p *throughput) describe() map[string]any {
	if p == nil {
		p = &throughput{}
	}
	return map[string]any{
		"ReadCapacityUnits": p.ReadCapacityUnits, "WriteCapacityUnits": p.WriteCapacityUnits, "NumberOfDecreasesToday": 0,
	}
}

type tableRequest struct {
	TableName string
}

func (db *DB) describeTable(body []byte) (any, *wire.Error) {
	req, fault := decode[tableRequest](body)
	if fault != nil {
		return nil, fault
	}
	t, fault := db.namedTable(req.TableName)
	if fault != nil {
		return nil, fault
	}
	db.mu.Lock()
	sizes := t.sizes()
	db.mu.Unlock()
	return map[string]any{"Table": t.describe("ACTIVE", sizes)}, nil
}

// namedTable is table with the wording of operations on tables.
func (db *DB) namedTable(name string) (*table, *wire.Error) {
	t, fault := db.table(name)
	if fault == errNoTable {
		return nil, noTable(name)
	}
	return t, fault
}

func (db *DB) deleteTable(body []byte) (any, *wire.Error) {
	req, fault := decode[tableRequest](body)
	if fault != nil {
		return nil, fault
	}
	t, fault := db.namedTable(req.TableName)
	if fault != nil {
		return nil, fault
	}
	if t.request.DeletionProtectionEnabled {
		return nil, invalid("Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first.")
	}
	db.mu.Lock()
	first := !t.deleted
	if first {
		t.deleted = true
		delete(db.tables, t.name)
	}
	sizes := t.sizes()
	db.mu.Unlock()
	if !first {
		return nil, noTable(req.TableName)
	}
	return map[string]any{"TableDescription": t.describe("DELETING", sizes)}, nil
}

type listTablesRequest struct {
	ExclusiveStartTableName string
	Limit                   *int
}

// maxTableNames is the service's page of ListTables.
const maxTableNames = 100

func (db *DB) listTables(body []byte) (any, *wire.Error) {
	req, fault := decode[listTablesRequest](body)
	if fault != nil {
		return nil, fault
	}
	limit := maxTableNames
	if req.Limit != nil {
		limit = *req.Limit
	}
	if limit < 1 || limit > maxTableNames {
		return nil, invalid("1 validation error detected: Value '%d' at 'limit' failed to satisfy constraint: "+
			"Member must have value between 1 and 100", limit)
	}
	db.mu.Lock()
	names := slices.Sorted(maps.Keys(db.tables))
	db.mu.Unlock()
	from, found := slices.BinarySearch(names, req.ExclusiveStartTableName)
	if found {
		from++
	}
	names = names[from:]
	if len(names) > limit {
		names = names[:limit]
		return map[string]any{"TableNames": names, "LastEvaluatedTableName": names[limit-1]}, nil
	}
	return map[string]any{"TableNames": append([]string{}, names...)}, nil
}

type listTagsRequest struct {
	ResourceArn string
}

// listTagsOfResource answers with the tags CreateTable gave, in that order and in one page: the service's quota is 50.
func (db *DB) listTagsOfResource(body []byte) (any, *wire.Error) {
	req, fault := decode[listTagsRequest](body)
	if fault != nil {
		return nil, fault
	}
	name, ok := strings.CutPrefix(req.ResourceArn, arnPrefix)
	if !ok {
		return nil, invalid("Invalid TableArn: Invalid ResourceArn provided as input %s", req.ResourceArn)
	}
	t, fault := db.table(name)
	if fault != nil {
		return nil, &wire.Error{
			Code:    "ResourceNotFoundException",
			Message: "Requested resource not found: ResourcArn: " + req.ResourceArn + " not found", // the service's spelling
		}
	}
	return map[string]any{"Tags": append([]tag{}, t.request.Tags...)}, nil
}

// pointInTime is a table's point-in-time recovery. Nothing is recovered here; it is kept for who sets and reads it.
type pointInTime struct {
	enabled bool
	days    int
	since   time.Time
}

// maxRecoveryDays is the service's limit and default of RecoveryPeriodInDays.
const maxRecoveryDays = 35

type updateBackupsRequest struct {
	TableName                        string
	PointInTimeRecoverySpecification *struct {
		PointInTimeRecoveryEnabled bool
		RecoveryPeriodInDays       *int
	}
}

func (db *DB) updateContinuousBackups(body []byte) (any, *wire.Error) {
	req, fault := decode[updateBackupsRequest](body)
	if fault != nil {
		return nil, fault
	}
	spec := req.PointInTimeRecoverySpecification
	if spec == nil {
		return nil, invalid("The parameter 'PointInTimeRecoverySpecification' is required but was not present in the request")
	}
	set := pointInTime{enabled: spec.PointInTimeRecoveryEnabled, days: maxRecoveryDays, since: time.Now()}
	if spec.RecoveryPeriodInDays != nil {
		set.days = *spec.RecoveryPeriodInDays
	}
	if set.days < 1 || set.days > maxRecoveryDays {
		return nil, invalid("1 validation error detected: Value '%d' at 'recoveryPeriodInDays' failed to satisfy constraint: "+
			"Member must have value between 1 and 35", set.days)
	}
	t, fault := db.backedUpTable(req.TableName)
	if fault != nil {
		return nil, fault
	}
	db.mu.Lock()
	if t.backups.enabled && set.enabled {
		set.since = t.backups.since
	}
	t.backups = set
	db.mu.Unlock()
	return set.describe(), nil
}

func (db *DB) describeContinuousBackups(body []byte) (any, *wire.Error) {
	req, fault := decode[tableRequest](body)
	if fault != nil {
		return nil, fault
	}
	t, fault := db.backedUpTable(req.TableName)
	if fault != nil {
		return nil, fault
	}
	db.mu.Lock()
	kept := t.backups
	db.mu.Unlock()
	return kept.describe(), nil
}

// backedUpTable is table with the exception that the two backup operations model.
func (db *DB) backedUpTable(name string) (*table, *wire.Error) {
	t, fault := db.table(name)
	if fault == errNoTable {
		return nil, &wire.Error{Code: "TableNotFoundException", Message: "Table not found: " + name}
	}
	return t, fault
}

func (p pointInTime) describe() map[string]any {
	recovery := map[string]any{"PointInTimeRecoveryStatus": "DISABLED"}
	if p.enabled {
		recovery = map[string]any{
			"PointInTimeRecoveryStatus":  "ENABLED",
			"RecoveryPeriodInDays":       p.days,
			"EarliestRestorableDateTime": unixSeconds(p.since),
			"LatestRestorableDateTime":   unixSeconds(time.Now()),
		}
	}
	return map[string]any{"ContinuousBackupsDescription": map[string]any{
		"ContinuousBackupsStatus": "ENABLED", "PointInTimeRecoveryDescription": recovery,
	}}
}
