package reset

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/kinesiskit/kinesiskit/lease"
)

// list reads the table once: its leases by key, and the rows that are none.
func list(ctx context.Context, s lease.Store) (rows map[string]lease.Lease, foreign map[string]*lease.RowError, err error) {
	rows, foreign = make(map[string]lease.Lease), make(map[string]*lease.RowError)
	for l, err := range s.List(ctx) {
		var row *lease.RowError
		switch {
		case errors.As(err, &row):
			foreign[row.Key] = row
		case err != nil:
			return nil, nil, err
		default:
			rows[l.Key] = l
		}
	}
	return rows, foreign, nil
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
