package dynamo

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

// maxIndexes is the service's default quota of global secondary indexes of a table.
const maxIndexes = 20

type attributeDefinition struct {
	AttributeName, AttributeType string
}

type keyElement struct {
	AttributeName, KeyType string
}

type throughput struct {
	ReadCapacityUnits, WriteCapacityUnits int64
}

type indexProjection struct {
	ProjectionType   string
	NonKeyAttributes []string `json:",omitempty"`
}

type indexRequest struct {
	IndexName             string
	KeySchema             []keyElement
	Projection            *indexProjection
	ProvisionedThroughput *throughput
}

type tag struct {
	Key, Value string
}

type encryption struct {
	Enabled        *bool
	SSEType        string
	KMSMasterKeyId string
}

type createTableRequest struct {
	TableName                 string
	AttributeDefinitions      []attributeDefinition
	KeySchema                 []keyElement
	BillingMode               string
	ProvisionedThroughput     *throughput
	GlobalSecondaryIndexes    []indexRequest
	Tags                      []tag
	SSESpecification          *encryption
	TableClass                string
	DeletionProtectionEnabled bool
}

const (
	provisioned = "PROVISIONED"
	onDemand    = "PAY_PER_REQUEST"
)

// billing is the billing mode with the service's default.
func (r *createTableRequest) billing() string { return cmp.Or(r.BillingMode, provisioned) }

func (db *DB) createTable(req *createTableRequest) (any, *wire.Error) {
	t, fault := req.table()
	if fault != nil {
		return nil, fault
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	if old := db.find(t.name); old != nil {
		if old.status(time.Now()) == statusDeleting {
			return nil, old.checkActive(time.Now())
		}
		return nil, inUse("Table already exists: %s", t.name)
	}
	db.created++
	t.id = db.created
	t.created = unixSeconds(time.Now())
	if req.billing() == onDemand {
		t.onDemandSince = t.created
	}
	t.state = db.begin(statusCreating)
	for _, x := range t.indexes {
		x.state = t.state
	}
	t.remember(db.staleness)
	db.tables[t.name] = t
	return map[string]any{"TableDescription": db.describe(t)}, nil
}

func unixSeconds(at time.Time) float64 { return float64(at.UnixMilli()) / 1000 }

var tableName = regexp.MustCompile(`^[a-zA-Z0-9_.-]+$`)

func checkTableName(name string) *wire.Error {
	return checkName("TableName", "tableName", name)
}

func checkName(parameter, member, name string) *wire.Error {
	switch {
	case len(name) < 3 || len(name) > 255:
		return invalid("%s must be at least 3 characters long and at most 255 characters long", parameter)
	case !tableName.MatchString(name):
		return invalid("1 validation error detected: Value '%s' at '%s' failed to satisfy constraint: "+
			"Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+", name, member)
	}
	return nil
}

// checkEnum accepts "", which is an absent member.
func checkEnum(member, given string, allowed ...string) *wire.Error {
	if given == "" || slices.Contains(allowed, given) {
		return nil
	}
	return invalid("1 validation error detected: Value '%s' at '%s' failed to satisfy constraint: "+
		"Member must satisfy enum value set: [%s]", given, member, strings.Join(allowed, ", "))
}

// table validates the request.
func (r *createTableRequest) table() (*table, *wire.Error) {
	if fault := checkTableName(r.TableName); fault != nil {
		return nil, fault
	}
	if fault := r.checkBilling(); fault != nil {
		return nil, fault
	}
	if fault := checkEnum("tableClass", r.TableClass, "STANDARD", "STANDARD_INFREQUENT_ACCESS"); fault != nil {
		return nil, fault
	}
	definitions := make(map[string]kind)
	for _, d := range r.AttributeDefinitions {
		k := kind(slices.Index(kindNames[:], d.AttributeType))
		if d.AttributeType == "" || !k.ordered() {
			return nil, invalid("1 validation error detected: Value '%s' at 'attributeDefinitions.member.attributeType' failed to "+
				"satisfy constraint: Member must satisfy enum value set: [B, N, S]", d.AttributeType)
		}
		if _, twice := definitions[d.AttributeName]; twice || d.AttributeName == "" {
			return nil, invalidValue("Duplicate or empty AttributeName in AttributeDefinitions: %s", d.AttributeName)
		}
		definitions[d.AttributeName] = k
	}
	t := &table{name: r.TableName, request: r, tags: r.Tags}
	used := make(map[string]bool)
	var fault *wire.Error
	if t.keys, fault = r.keySchema(r.KeySchema, definitions, used); fault != nil {
		return nil, fault
	}
	if fault = r.addIndexes(t, definitions, used); fault != nil {
		return nil, fault
	}
	if len(used) != len(definitions) {
		if len(t.indexes) == 0 {
			return nil, invalidValue("Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions")
		}
		return nil, invalidValue("Some AttributeDefinitions are not used. AttributeDefinitions: [%s], keys used: [%s]",
			sortedList(definitions), sortedList(used))
	}
	return t, checkTags(r.Tags)
}

func sortedList[V any](m map[string]V) string {
	return strings.Join(slices.Sorted(maps.Keys(m)), ", ")
}

func (r *createTableRequest) checkBilling() *wire.Error {
	if fault := checkEnum("billingMode", r.BillingMode, provisioned, onDemand); fault != nil {
		return fault
	}
	if r.billing() == onDemand {
		if r.ProvisionedThroughput != nil {
			return invalidValue("Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST")
		}
		return nil
	}
	if p := r.ProvisionedThroughput; p == nil || p.ReadCapacityUnits < 1 || p.WriteCapacityUnits < 1 {
		return invalidValue("ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED")
	}
	return nil
}

func (r *createTableRequest) keySchema(elements []keyElement, definitions map[string]kind, used map[string]bool) (keySchema, *wire.Error) {
	if len(elements) == 0 || len(elements) > 2 {
		return keySchema{}, invalid("1 validation error detected: Value at 'keySchema' failed to satisfy constraint: " +
			"Member must have length between 1 and 2")
	}
	var attributes [2]keyAttribute
	for i, e := range elements {
		want := [2]string{"HASH", "RANGE"}[i]
		if e.KeyType != want {
			ordinal := [2]string{"first", "second"}[i]
			return keySchema{}, invalid("Invalid KeySchema: The %s KeySchemaElement is not a %s key type", ordinal, want)
		}
		k, ok := definitions[e.AttributeName]
		if !ok {
			return keySchema{}, invalidValue("Some index key attributes are not defined in AttributeDefinitions. "+
				"Keys: [%s], AttributeDefinitions: [%s]", e.AttributeName, sortedList(definitions))
		}
		attributes[i] = keyAttribute{e.AttributeName, k}
		used[e.AttributeName] = true
	}
	if attributes[0] == attributes[1] {
		return keySchema{}, invalid("Both the Hash Key and the Range Key element in the KeySchema have the same name")
	}
	return keySchema{attributes[0], attributes[1]}, nil
}

func (r *createTableRequest) addIndexes(t *table, definitions map[string]kind, used map[string]bool) *wire.Error {
	if r.GlobalSecondaryIndexes != nil && len(r.GlobalSecondaryIndexes) == 0 {
		return invalidValue("List of GlobalSecondaryIndexes is empty")
	}
	if len(r.GlobalSecondaryIndexes) > maxIndexes {
		return invalidValue("GlobalSecondaryIndex count exceeds the per-table limit of 20")
	}
	for _, x := range r.GlobalSecondaryIndexes {
		if fault := checkName("IndexName", "globalSecondaryIndexes.member.indexName", x.IndexName); fault != nil {
			return fault
		}
		if declared, _ := t.find(x.IndexName); declared != nil {
			return invalidValue("Duplicate index name: %s", x.IndexName)
		}
		keys, fault := r.keySchema(x.KeySchema, definitions, used)
		if fault != nil {
			return fault
		}
		switch p := x.ProvisionedThroughput; {
		case r.billing() == onDemand && p != nil:
			return invalidValue("ProvisionedThroughput should not be specified for index: %s when BillingMode is PAY_PER_REQUEST", x.IndexName)
		case r.billing() != onDemand && (p == nil || p.ReadCapacityUnits < 1 || p.WriteCapacityUnits < 1):
			return invalidValue("ProvisionedThroughput must be specified for index: %s", x.IndexName)
		}
		built := &index{name: x.IndexName, keys: keys, request: x}
		if fault := built.setProjection(x.Projection); fault != nil {
			return fault
		}
		t.indexes = append(t.indexes, built)
	}
	return nil
}

func (x *index) setProjection(p *indexProjection) *wire.Error {
	if p == nil || p.ProjectionType == "" {
		return invalidValue("Unknown ProjectionType: null")
	}
	if fault := checkEnum("projectionType", p.ProjectionType, "ALL", "INCLUDE", "KEYS_ONLY"); fault != nil {
		return fault
	}
	if len(p.NonKeyAttributes) > 0 && p.ProjectionType != "INCLUDE" {
		return invalidValue("ProjectionType is %s, but NonKeyAttributes is specified", p.ProjectionType)
	}
	if len(p.NonKeyAttributes) == 0 && p.ProjectionType == "INCLUDE" {
		return invalidValue("ProjectionType is INCLUDE, but NonKeyAttributes is not specified")
	}
	if p.ProjectionType != "ALL" {
		x.projected = make(map[string]bool)
		for _, name := range p.NonKeyAttributes {
			x.projected[name] = true
		}
	}
	return nil
}
