package reset

import (
	"context"
	"fmt"
	"time"

	"github.com/kinesiskit/kinesiskit/internal/retry"
	"github.com/kinesiskit/kinesiskit/lease"
)

const (
	// kclFailover is KCL's default failoverTimeMillis; its rows do not name it.
	kclFailover = 10 * time.Second

	// looks is how often the table is read while it is watched: a fleet that runs is noticed early.
	looks = 4
)

// watch reports who is alive: the owners of leases whose counters move while it looks. It takes as long as it must only if nobody is.
func watch(ctx context.Context, s lease.Store, window time.Duration) (owners []string, active bool, err error) {
	before, _, err := readRows(ctx, s)
	if err != nil {
		return nil, false, err
	}
	owned, longest := false, kclFailover
	for _, row := range before {
		owned = owned || row.Owner != ""
		longest = max(longest, row.FailoverTime)
	}
	if !owned {
		return nil, false, nil
	}
	if window <= 0 {
		window = longest + longest/5
	}
	for range looks {
		if err := retry.Sleep(ctx, window/looks); err != nil {
			return nil, false, fmt.Errorf("reset: watch owners: %w", err)
		}
		after, _, err := readRows(ctx, s)
		if err != nil {
			return nil, false, err
		}
		if owners, active := moved(before, after); active {
			return owners, true, nil
		}
	}
	return nil, false, nil
}

// moved lists the owners of rows whose counters differ.
func moved(before, after map[string]lease.Lease) (owners []string, active bool) {
	alive := make(map[string]bool)
	for key, row := range after {
		old, ok := before[key]
		if !ok || old.Counter == row.Counter {
			continue
		}
		active = true
		for _, owner := range []string{old.Owner, row.Owner} {
			if owner != "" {
				alive[owner] = true
			}
		}
	}
	return sorted(alive), active
}
