package dynamo

import (
	"strconv"
	"time"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

// maxOverdue is how long past an expiry may be: of an older one the service takes no notice, lest a wrong unit delete everything.
const maxOverdue = 5 * 365 * 24 * time.Hour

// timeToLive is a table's setting and when it next matters. It is guarded by DB.mu.
type timeToLive struct {
	attribute string
	enabled   bool
	state     transition // ENABLING or DISABLING
	due       time.Time  // nothing expires before; the zero time is never
}

// status has a pair of states of its own besides the two that last.
func (l *timeToLive) status(now time.Time) string {
	switch {
	case l.state.pending(now):
		return l.state.kind
	case l.enabled:
		return "ENABLED"
	}
	return "DISABLED"
}

// expiry is the second after which an item expires.
func (l *timeToLive) expiry(it item, now time.Time) (time.Time, bool) {
	v := it[l.attribute]
	if v.kind != kindN {
		return time.Time{}, false
	}
	// The value is a number that String writes in plain notation: ParseInt fails on what is no time.
	seconds, err := strconv.ParseInt(v.num.String(), 10, 64)
	if err != nil || seconds < now.Add(-maxOverdue).Unix() || seconds > 1<<40 {
		return time.Time{}, false
	}
	return time.Unix(seconds, 0), true
}

// note takes a written item into account.
func (l *timeToLive) note(it item) {
	if !l.enabled {
		return
	}
	if at, ok := l.expiry(it, time.Now()); ok && (l.due.IsZero() || at.Before(l.due)) {
		l.due = at
	}
}

// expire deletes what has expired. The caller holds the lock.
func (t *table) expire(now time.Time) {
	if !t.ttl.enabled || t.ttl.state.pending(now) || t.ttl.due.IsZero() || !now.After(t.ttl.due) {
		return
	}
	var expired []string
	t.ttl.due = time.Time{}
	for _, e := range t.items.entries {
		at, ok := t.ttl.expiry(e.item, now)
		switch {
		case !ok:
		case now.After(at):
			expired = append(expired, e.key)
		case t.ttl.due.IsZero() || at.Before(t.ttl.due):
			t.ttl.due = at
		}
	}
	for _, key := range expired {
		t.set(key, nil)
	}
}

type timeToLiveSpecification struct {
	AttributeName string
	Enabled       bool
}

type timeToLiveRequest struct {
	TableName               string
	TimeToLiveSpecification *timeToLiveSpecification
}

func (db *DB) updateTimeToLive(req *timeToLiveRequest) (any, *wire.Error) {
	spec := req.TimeToLiveSpecification
	if spec == nil {
		return nil, invalid("The parameter 'TimeToLiveSpecification' is required but was not present in the request")
	}
	if spec.AttributeName == "" || len(spec.AttributeName) > 255 {
		return nil, invalid("1 validation error detected: Value '%s' at 'timeToLiveSpecification.attributeName' failed to satisfy "+
			"constraint: Member must have length between 1 and 255", spec.AttributeName)
	}
	return db.locked(db.namedTable, req.TableName, func(t *table) (any, *wire.Error) {
		now := time.Now()
		if fault := t.checkActive(now); fault != nil {
			return nil, fault
		}
		if fault := t.ttl.checkChange(spec, now); fault != nil {
			return nil, fault
		}
		kind := "DISABLING"
		if spec.Enabled {
			kind = "ENABLING"
		}
		t.ttl = timeToLive{attribute: spec.AttributeName, enabled: spec.Enabled, state: db.begin(kind)}
		for _, e := range t.items.entries {
			t.ttl.note(e.item)
		}
		return map[string]any{"TimeToLiveSpecification": spec}, nil
	})
}

func (l *timeToLive) checkChange(spec *timeToLiveSpecification, now time.Time) *wire.Error {
	switch {
	case l.state.pending(now):
		return invalid("Time to live has been modified multiple times within a fixed interval")
	case l.enabled && spec.AttributeName != l.attribute:
		return invalid("TimeToLive is active on a different AttributeName: current AttributeName is %s", l.attribute)
	case l.enabled && spec.Enabled:
		return invalid("TimeToLive is already enabled")
	case !l.enabled && !spec.Enabled:
		return invalid("TimeToLive is already disabled")
	}
	return nil
}

func (db *DB) describeTimeToLive(req *tableRequest) (any, *wire.Error) {
	return db.locked(db.namedTable, req.TableName, func(t *table) (any, *wire.Error) {
		status := t.ttl.status(time.Now())
		d := map[string]any{"TimeToLiveStatus": status}
		if status != "DISABLED" {
			d["AttributeName"] = t.ttl.attribute
		}
		return map[string]any{"TimeToLiveDescription": d}, nil
	})
}
