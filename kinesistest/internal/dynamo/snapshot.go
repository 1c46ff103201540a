package dynamo

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

// snapshotVersion is of the format; Load takes no other.
const snapshotVersion = 1

// snapshot is a database as it is saved; I is item when it is written and what items are decoded from when it is read.
type snapshot[I any] struct {
	Version int
	Created int
	Tables  []savedTable[I]
}

type savedTable[I any] struct {
	ID            int
	Created       float64
	OnDemandSince float64
	Definition    *createTableRequest
	Backups       savedBackups
	TimeToLive    timeToLiveSpecification
	Items         []I
}

type savedBackups struct {
	Enabled bool
	Days    int
	Since   time.Time
}

// Save writes all tables with their settings, tags and items as one JSON document; equal databases are written alike. A transition ends
// with it: a table or index that is being deleted is not saved, others are saved as ACTIVE. Not saved are what SetTransitions and
// SetStaleness set, and the tokens of transactions. The error is w's.
func (db *DB) Save(w io.Writer) error {
	saved := db.snapshot()
	if err := json.NewEncoder(w).Encode(saved); err != nil {
		return fmt.Errorf("dynamo: save: %w", err)
	}
	return nil
}

func (db *DB) snapshot() *snapshot[item] {
	db.mu.Lock()
	defer db.mu.Unlock()
	out := &snapshot[item]{Version: snapshotVersion, Created: db.created, Tables: []savedTable[item]{}}
	for _, name := range db.tableNames() {
		t := db.tables[name]
		if t.state.kind == statusDeleting {
			continue
		}
		definition := *t.request
		definition.Tags = t.tags
		saved := savedTable[item]{
			ID: t.id, Created: t.created, OnDemandSince: t.onDemandSince, Definition: &definition,
			Backups:    savedBackups{t.backups.enabled, t.backups.days, t.backups.since},
			TimeToLive: timeToLiveSpecification{t.ttl.attribute, t.ttl.enabled},
			Items:      make([]item, 0, len(t.items.entries)),
		}
		for _, e := range t.items.entries {
			saved.Items = append(saved.Items, e.item)
		}
		out.Tables = append(out.Tables, saved)
	}
	return out
}

// Load replaces all tables by those that Save wrote. What is not such a document, or breaks a rule of the service, is refused with an
// error, and the tables stay as they are.
func (db *DB) Load(r io.Reader) error {
	var saved snapshot[map[string]wireValue]
	dec := json.NewDecoder(r)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&saved); err != nil {
		return fmt.Errorf("dynamo: load: %w", err)
	}
	if saved.Version != snapshotVersion {
		return fmt.Errorf("dynamo: load: version %d of the format is not %d", saved.Version, snapshotVersion)
	}
	tables := make(map[string]*table)
	for i := range saved.Tables {
		t, fault := restore(&saved.Tables[i])
		if fault != nil {
			return fmt.Errorf("dynamo: load: table %d: %w", i, fault)
		}
		if tables[t.name] != nil {
			return fmt.Errorf("dynamo: load: table %q is there twice", t.name)
		}
		tables[t.name] = t
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	for _, t := range tables {
		t.remember(db.staleness)
	}
	db.tables, db.created, db.replays = tables, saved.Created, newReplays()
	return nil
}

// restore makes a table that nobody else can see yet, so no lock is needed.
func restore(saved *savedTable[map[string]wireValue]) (*table, *wire.Error) {
	if saved.Definition == nil {
		return nil, invalid("no definition")
	}
	t, fault := saved.Definition.table()
	if fault != nil {
		return nil, fault
	}
	t.id, t.created, t.onDemandSince = saved.ID, saved.Created, saved.OnDemandSince
	t.backups = pointInTime{saved.Backups.Enabled, saved.Backups.Days, saved.Backups.Since}
	t.ttl = timeToLive{attribute: saved.TimeToLive.AttributeName, enabled: saved.TimeToLive.Enabled}
	for _, raw := range saved.Items {
		it, problem := toItem(raw, 0)
		if problem != "" {
			return nil, invalid("%s", problem)
		}
		// Not checkItem: what is in a table when an index comes to it need not fit the index.
		key, fault := t.checkKeys(it)
		if fault != nil {
			return nil, fault
		}
		t.set(key, it)
	}
	return t, nil
}
