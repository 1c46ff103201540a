package dynamo

import (
	"slices"
	"time"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

// indexUpdate has one member set.
type indexUpdate struct {
	Create *indexRequest
	Update *struct {
		IndexName             string
		ProvisionedThroughput *throughput
	}
	Delete *struct{ IndexName string }
}

func (u *indexUpdate) name() string {
	switch {
	case u.Create != nil:
		return u.Create.IndexName
	case u.Update != nil:
		return u.Update.IndexName
	case u.Delete != nil:
		return u.Delete.IndexName
	}
	return ""
}

type updateTableRequest struct {
	TableName                   string
	AttributeDefinitions        []attributeDefinition
	BillingMode                 string
	ProvisionedThroughput       *throughput
	GlobalSecondaryIndexUpdates []indexUpdate
	SSESpecification            *encryption
	TableClass                  string
	DeletionProtectionEnabled   *bool
}

func (db *DB) updateTable(req *updateTableRequest) (any, *wire.Error) {
	if fault := req.check(); fault != nil {
		return nil, fault
	}
	return db.locked(db.namedTable, req.TableName, func(t *table) (any, *wire.Error) {
		if fault := t.checkActive(time.Now()); fault != nil {
			return nil, fault
		}
		if fault := req.checkAgainst(t); fault != nil {
			return nil, fault
		}
		wanted, fault := req.changed(t.request).table()
		if fault != nil {
			return nil, fault
		}
		db.become(t, wanted, req)
		return map[string]any{"TableDescription": db.describe(t)}, nil
	})
}

func (r *updateTableRequest) check() *wire.Error {
	if r.BillingMode == "" && r.ProvisionedThroughput == nil && len(r.GlobalSecondaryIndexUpdates) == 0 && r.SSESpecification == nil &&
		r.TableClass == "" && r.DeletionProtectionEnabled == nil {
		return invalid("At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates or " +
			"SSESpecification or ReplicaUpdates is required")
	}
	named := make(map[string]bool)
	online := 0
	for _, u := range r.GlobalSecondaryIndexUpdates {
		members := 0
		for _, set := range [...]bool{u.Create != nil, u.Update != nil, u.Delete != nil} {
			if set {
				members++
			}
		}
		if members != 1 {
			return invalidValue("One of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, " +
				"GlobalSecondaryIndexUpdate.Delete must not be null")
		}
		if named[u.name()] {
			return invalidValue("Only one global secondary index update per index is allowed simultaneously. Index: %s", u.name())
		}
		named[u.name()] = true
		if u.Update == nil {
			online++
		}
	}
	if online > 1 {
		return errOneIndex
	}
	return nil
}

var errOneIndex = &wire.Error{
	Code:    "LimitExceededException",
	Message: "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table",
}

// checkAgainst refuses what the table as it is rules out. The caller holds the lock.
func (r *updateTableRequest) checkAgainst(t *table) *wire.Error {
	now := time.Now()
	for _, u := range r.GlobalSecondaryIndexUpdates {
		found, _ := t.find(u.name())
		switch {
		case u.Create != nil && found != nil:
			return invalid("Attempting to create an index which already exists")
		case u.Create == nil && found == nil:
			return &wire.Error{Code: "ResourceNotFoundException", Message: "Requested resource not found: Index: " + u.name() + " not found"}
		case u.Update != nil && found.state.pending(now):
			return inUse("Attempt to change a resource which is still in use: Index is being changed: %s", u.name())
		}
		// An index that is still being filled may be deleted, though.
		other := func(x *index) bool { return x != found && x.creating(now) }
		if u.Update == nil && (t.leaving != nil || slices.ContainsFunc(t.indexes, other)) {
			return errOneIndex
		}
	}
	old, p := t.request.ProvisionedThroughput, r.ProvisionedThroughput
	if p != nil && old != nil && *p == *old {
		return invalid("The provisioned throughput for the table will not change. The requested value equals the current value. "+
			"Current ReadCapacityUnits provisioned for the table: %d. Requested ReadCapacityUnits: %d. "+
			"Current WriteCapacityUnits provisioned for the table: %d. Requested WriteCapacityUnits: %d.",
			old.ReadCapacityUnits, p.ReadCapacityUnits, old.WriteCapacityUnits, p.WriteCapacityUnits)
	}
	return nil
}

// changed is the request that would have created the table as it shall be, so that CreateTable's rules are this operation's too.
func (r *updateTableRequest) changed(old *createTableRequest) *createTableRequest {
	next := *old
	if r.BillingMode != "" {
		next.BillingMode = r.BillingMode
	}
	if r.TableClass != "" {
		next.TableClass = r.TableClass
	}
	if r.SSESpecification != nil {
		next.SSESpecification = r.SSESpecification
	}
	if r.DeletionProtectionEnabled != nil {
		next.DeletionProtectionEnabled = *r.DeletionProtectionEnabled
	}
	next.GlobalSecondaryIndexes = slices.Clone(old.GlobalSecondaryIndexes)
	if next.billing() == onDemand {
		next.ProvisionedThroughput = nil
		for i := range next.GlobalSecondaryIndexes {
			next.GlobalSecondaryIndexes[i].ProvisionedThroughput = nil
		}
	}
	if r.ProvisionedThroughput != nil {
		next.ProvisionedThroughput = r.ProvisionedThroughput
	}
	for _, u := range r.GlobalSecondaryIndexUpdates {
		at := slices.IndexFunc(next.GlobalSecondaryIndexes, func(x indexRequest) bool { return x.IndexName == u.name() })
		switch {
		case u.Create != nil:
			next.GlobalSecondaryIndexes = append(next.GlobalSecondaryIndexes, *u.Create)
		case u.Update != nil:
			next.GlobalSecondaryIndexes[at].ProvisionedThroughput = u.Update.ProvisionedThroughput
		default:
			next.GlobalSecondaryIndexes = slices.Delete(next.GlobalSecondaryIndexes, at, at+1)
		}
	}
	if len(next.GlobalSecondaryIndexes) == 0 {
		next.GlobalSecondaryIndexes = nil // an empty list is what CreateTable refuses
	}
	next.AttributeDefinitions = r.definitions(&next, old.AttributeDefinitions)
	return &next
}

// definitions are those of the request and the old ones that a key still needs; one that is given twice, with one type, is one.
func (r *updateTableRequest) definitions(next *createTableRequest, old []attributeDefinition) []attributeDefinition {
	used := make(map[string]bool)
	for _, e := range next.KeySchema {
		used[e.AttributeName] = true
	}
	for _, x := range next.GlobalSecondaryIndexes {
		for _, e := range x.KeySchema {
			used[e.AttributeName] = true
		}
	}
	var kept []attributeDefinition
	for _, d := range old {
		if used[d.AttributeName] {
			kept = append(kept, d)
		}
	}
	for _, d := range r.AttributeDefinitions {
		if !slices.Contains(old, d) || !used[d.AttributeName] {
			kept = append(kept, d)
		}
	}
	return kept
}

// become changes a table into what a request wants it to be. The caller holds the lock.
func (db *DB) become(t, wanted *table, r *updateTableRequest) {
	updating, before := db.begin(statusUpdating), t.request.billing()
	t.state = updating
	for _, x := range wanted.indexes {
		old, _ := t.find(x.name)
		if old == nil {
			x.fill(t)
			x.state = transition{statusCreating, updating.ends}
			t.state.ends = updating.ends.Add(-db.transitions / 2)
			continue
		}
		x.state, x.items = old.state, old.items
		if slices.ContainsFunc(r.GlobalSecondaryIndexUpdates, func(u indexUpdate) bool { return u.name() == x.name }) {
			x.state = updating
		}
	}
	for _, x := range t.indexes {
		if kept, _ := wanted.find(x.name); kept == nil {
			t.leaving = x
			x.state = transition{statusDeleting, updating.ends}
		}
	}
	t.request, t.indexes = wanted.request, wanted.indexes
	if before != onDemand && t.request.billing() == onDemand {
		t.onDemandSince = unixSeconds(time.Now())
	}
	t.remember(db.staleness)
	t.settle(time.Now())
}
