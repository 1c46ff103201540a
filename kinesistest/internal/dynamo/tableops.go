package dynamo

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

// arnPrefix is what the ARNs of this database's tables begin with.
func (db *DB) arnPrefix() string {
	return "arn:aws:dynamodb:" + db.region + ":" + db.account + ":table/"
}

// describe is a TableDescription. The service refreshes ItemCount and sizes every six hours; here they are exact. The caller holds the
// lock; what the description refers to does not change after it.
func (db *DB) describe(t *table) map[string]any {
	now := time.Now()
	d := map[string]any{
		"TableName":                 t.name,
		"TableStatus":               t.status(now),
		"TableArn":                  db.arnPrefix() + t.name,
		"TableId":                   fmt.Sprintf("00000000-0000-4000-8000-%012d", t.id),
		"CreationDateTime":          t.created,
		"AttributeDefinitions":      t.request.AttributeDefinitions,
		"KeySchema":                 t.request.KeySchema,
		"ProvisionedThroughput":     t.request.ProvisionedThroughput.describe(),
		"DeletionProtectionEnabled": t.request.DeletionProtectionEnabled,
		"ItemCount":                 len(t.items.entries),
		"TableSizeBytes":            t.items.bytes,
	}
	if t.onDemandSince != 0 {
		d["BillingModeSummary"] = map[string]any{
			"BillingMode": t.request.billing(), "LastUpdateToPayPerRequestDateTime": t.onDemandSince,
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
	for _, x := range t.indexes {
		indexes = append(indexes, db.describeIndex(t, x, now))
	}
	if t.leaving != nil {
		indexes = append(indexes, db.describeIndex(t, t.leaving, now))
	}
	if indexes != nil {
		d["GlobalSecondaryIndexes"] = indexes
	}
	return d
}

func (db *DB) describeIndex(t *table, x *index, now time.Time) map[string]any {
	d := map[string]any{
		"IndexName":             x.name,
		"IndexStatus":           x.state.status(now),
		"IndexArn":              db.arnPrefix() + t.name + "/index/" + x.name,
		"KeySchema":             x.request.KeySchema,
		"Projection":            x.request.Projection,
		"ProvisionedThroughput": x.request.ProvisionedThroughput.describe(),
		"ItemCount":             len(x.items.entries),
		"IndexSizeBytes":        x.items.bytes,
	}
	if status := t.status(now); x.creating(now) && status != statusCreating {
		d["Backfilling"] = status == statusActive
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

func (db *DB) describeTable(req *tableRequest) (any, *wire.Error) {
	return db.locked(db.namedTable, req.TableName, func(t *table) (any, *wire.Error) {
		return map[string]any{"Table": db.describe(t)}, nil
	})
}

// locked finds a table in the wording of the operation and performs the operation on it, under one lock.
func (db *DB) locked(find func(string) (*table, *wire.Error), name string, do func(*table) (any, *wire.Error)) (any, *wire.Error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	t, fault := find(name)
	if fault != nil {
		return nil, fault
	}
	return do(t)
}

// namedTable is anyTable with the wording of operations on tables. The caller holds the lock.
func (db *DB) namedTable(name string) (*table, *wire.Error) {
	t, fault := db.anyTable(name)
	if fault == errNoTable {
		return nil, noTable(name)
	}
	return t, fault
}

func (db *DB) deleteTable(req *tableRequest) (any, *wire.Error) {
	return db.locked(db.namedTable, req.TableName, func(t *table) (any, *wire.Error) {
		if t.status(time.Now()) != statusDeleting {
			if fault := t.checkActive(time.Now()); fault != nil {
				return nil, fault
			}
			if t.request.DeletionProtectionEnabled {
				return nil, invalid("Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first.")
			}
			t.state = db.begin(statusDeleting)
		}
		return map[string]any{"TableDescription": db.describe(t)}, nil
	})
}

// tableNames are those of all tables, also of those being created or deleted, in order. The caller holds the lock.
func (db *DB) tableNames() []string {
	names := slices.Sorted(maps.Keys(db.tables))
	return slices.DeleteFunc(names, func(name string) bool { return db.find(name) == nil })
}

type listTablesRequest struct {
	ExclusiveStartTableName string
	Limit                   *int
}

// maxTableNames is the service's page of ListTables.
const maxTableNames = 100

func (db *DB) listTables(req *listTablesRequest) (any, *wire.Error) {
	limit := maxTableNames
	if req.Limit != nil {
		limit = *req.Limit
	}
	if limit < 1 || limit > maxTableNames {
		return nil, invalid("1 validation error detected: Value '%d' at 'limit' failed to satisfy constraint: "+
			"Member must have value between 1 and 100", limit)
	}
	db.mu.Lock()
	names := db.tableNames()
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
