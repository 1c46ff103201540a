package dynamostore

import (
	"regexp"
	"strings"

	"github.com/kinesiskit/kinesiskit/lease"
)

// Config says which table, and how Open makes it if it is not there. Of an existing table nothing is changed.
type Config struct {
	// Table is the table's name: 3 to 255 characters of a-z, A-Z, 0-9, '_', '-' and '.' (AWS limit). KCL's table is named like its application.
	// Required.
	Table string

	// NeverCreate makes Open refuse a table that does not exist, for a table that other tools own: Open then only looks at it, and needs no permission but
	// DescribeTable. The table needs the key leaseKey (S), and should have the index LeaseOwnerToLeaseKeyIndex: leaseOwner (S) and leaseKey, keys
	// only; without it a large fleet reads much more. Default: false.
	NeverCreate bool

	// ReadUnits and WriteUnits are the provisioned capacity of a new table and of its index, per second: one strongly consistent read, or two others,
	// of 4 KB; one write of 1 KB. Either both are set or none. Default: 0, on demand (KCL's default too; its provisioned tables start with 10 and 10).
	ReadUnits  int64
	WriteUnits int64

	// Tags are put on a new table, up to 50 (AWS limit). Default: none.
	Tags map[string]string

	// DeletionProtection makes DynamoDB refuse to delete a new table until somebody takes the protection off. Default: false (KCL
	// leaseTableDeletionProtectionEnabled).
	DeletionProtection bool

	// PointInTimeRecovery lets a new table be restored as it was at any second of the last 35 days, for a price. A restored lease table replays what was
	// processed since. Default: false (KCL leaseTablePitrEnabled).
	PointInTimeRecovery bool
}

var tableName = regexp.MustCompile(`^[a-zA-Z0-9_.-]{3,255}$`)

// Validate refuses a configuration that cannot work with a *lease.TableError that names everything that is wrong. Open calls it first.
func (s *Store) Validate() error {
	var problems []string
	if s.db == nil {
		problems = append(problems, "config: no DynamoDB client")
	}
	switch {
	case s.cfg.Table == "":
		problems = append(problems, "config: Table is empty")
	case !tableName.MatchString(s.cfg.Table):
		problems = append(problems, "config: Table is not a name of 3 to 255 characters of a-z, A-Z, 0-9, '_', '-' and '.'")
	}
	if s.cfg.ReadUnits < 0 || s.cfg.WriteUnits < 0 {
		problems = append(problems, "config: ReadUnits or WriteUnits is negative")
	} else if (s.cfg.ReadUnits == 0) != (s.cfg.WriteUnits == 0) {
		problems = append(problems, "config: only one of ReadUnits and WriteUnits is set")
	}
	if len(problems) > 0 {
		return &lease.TableError{Table: s.cfg.Table, Problem: strings.Join(problems, "; ")}
	}
	return nil
}
