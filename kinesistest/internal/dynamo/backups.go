package dynamo

import (
	"time"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

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

func (db *DB) updateContinuousBackups(req *updateBackupsRequest) (any, *wire.Error) {
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
	return db.locked(db.backedUpTable, req.TableName, func(t *table) (any, *wire.Error) {
		if t.backups.enabled && set.enabled {
			set.since = t.backups.since
		}
		t.backups = set
		return set.describe(), nil
	})
}

func (db *DB) describeContinuousBackups(req *tableRequest) (any, *wire.Error) {
	return db.locked(db.backedUpTable, req.TableName, func(t *table) (any, *wire.Error) {
		return t.backups.describe(), nil
	})
}

// backedUpTable is anyTable with the exception that the two backup operations model. The caller holds the lock.
func (db *DB) backedUpTable(name string) (*table, *wire.Error) {
	t, fault := db.anyTable(name)
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
