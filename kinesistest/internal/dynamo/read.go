package dynamo

import (
	"maps"
	"slices"
	"time"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

// readOptions is what Query and Scan share.
type readOptions struct {
	TableName            string
	IndexName            string
	ConsistentRead       bool
	Select               string
	Limit                *int
	ExclusiveStartKey    map[string]wireValue
	FilterExpression     *string
	ProjectionExpression *string
	AttributesToGet      []string
	ConditionalOperator  string
	substitutions
	capacityOption
}

// reading is what the parsed expressions of a Query or Scan and its table make of the request.
type reading struct {
	*readOptions
	table      *table
	index      *index // nil reads the table
	keys       keySchema
	filter     condition // nil keeps all
	filters    []path    // the filter's
	projection *projection
	span       span
}

// legacyFilter is the QueryFilter or ScanFilter of a request.
type legacyFilter struct {
	member     string
	conditions map[string]legacyCondition
}

// prepare parses what Query and Scan share. keyed is the key condition of a Query, whose parsed form is returned.
func (o *readOptions) prepare(legacy legacyFilter, keyed ...expression) (r *reading, key condition, fault *wire.Error) {
	if fault := o.checkMembers(); fault != nil {
		return nil, nil, fault
	}
	filtering := expression{"FilterExpression", o.FilterExpression}
	projecting := expression{"ProjectionExpression", o.ProjectionExpression}
	ph, fault := o.placeholders(append(keyed, filtering, projecting)...)
	if fault != nil {
		return nil, nil, fault
	}
	for _, e := range keyed {
		if key, fault = parse(e, ph, (*parser).condition); fault != nil {
			return nil, nil, fault
		}
	}
	r = &reading{readOptions: o}
	r.filter, fault = parse(filtering, ph, func(p *parser) condition {
		c := p.condition()
		r.filters = p.paths
		return c
	})
	if fault != nil {
		return nil, nil, fault
	}
	if r.projection, fault = parse(projecting, ph, (*parser).projection); fault != nil {
		return nil, nil, fault
	}
	if fault := ph.checkUsed(); fault != nil {
		return nil, nil, fault
	}
	if fault := r.setLegacy(legacy); fault != nil {
		return nil, nil, fault
	}
	if o.Limit != nil {
		r.span.limit = *o.Limit
	}
	return r, key, nil
}

// setLegacy sets the filter and the projection that the older members ask for; those of the expressions are absent then.
func (r *reading) setLegacy(legacy legacyFilter) (fault *wire.Error) {
	if fault := checkOperator(r.ConditionalOperator, legacy.conditions != nil, len(legacy.conditions)); fault != nil {
		return fault
	}
	if legacy.conditions != nil {
		if r.filter, fault = legacy.parse(r.ConditionalOperator); fault != nil {
			return fault
		}
		for _, name := range slices.Sorted(maps.Keys(legacy.conditions)) {
			r.filters = append(r.filters, path{{name: name}})
		}
	}
	if r.AttributesToGet != nil {
		r.projection, fault = legacyProjection(r.AttributesToGet)
	}
	return fault
}

// checkMixed refuses a request in both languages; query are the legacy members that the caller has besides those of readOptions.
func (o *readOptions) checkMixed(query []legacyMember, expressions ...expression) *wire.Error {
	legacy := append([]legacyMember{{"AttributesToGet", o.AttributesToGet != nil}}, query...)
	legacy = append(legacy, legacyMember{"ConditionalOperator", o.ConditionalOperator != ""})
	return checkMixed(legacy, append([]expression{
		{"ProjectionExpression", o.ProjectionExpression}, {"FilterExpression", o.FilterExpression},
	}, expressions...)...)
}

func (o *readOptions) checkMembers() *wire.Error {
	if o.Limit != nil && *o.Limit < 1 {
		return invalid("1 validation error detected: Value '%d' at 'limit' failed to satisfy constraint: "+
			"Member must have value greater than or equal to 1", *o.Limit)
	}
	fault := checkEnum("select", o.Select, "SPECIFIC_ATTRIBUTES", "COUNT", "ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES")
	if fault != nil {
		return fault
	}
	projecting := ""
	switch {
	case o.ProjectionExpression != nil:
		projecting = "ProjectionExpression"
	case o.AttributesToGet != nil:
		projecting = "AttributesToGet"
	}
	switch {
	case projecting != "" && o.Select == "COUNT":
		return invalidValue("Cannot specify the %s when choosing to get only the Count", projecting)
	case projecting != "" && o.Select != "" && o.Select != "SPECIFIC_ATTRIBUTES":
		return invalidValue("Cannot specify the %s when choosing to get %s", projecting, o.Select)
	case projecting == "" && o.Select == "SPECIFIC_ATTRIBUTES":
		return invalidValue("Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES")
	case o.Select == "ALL_PROJECTED_ATTRIBUTES" && o.IndexName == "":
		return invalidValue("ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName")
	}
	return o.capacityOption.check()
}

// checkIndex finds the index and refuses what an index cannot answer. The caller holds the lock.
func (r *reading) checkIndex() (fault *wire.Error) {
	r.keys = r.table.keys
	r.index, fault = r.table.find(r.IndexName)
	if r.index == nil || fault != nil {
		return fault
	}
	r.keys = r.index.keys
	if r.index.creating(time.Now()) {
		return invalid("Cannot read from backfilling global secondary index: %s", r.IndexName)
	}
	if r.ConsistentRead {
		return invalid("Consistent reads are not supported on global secondary indexes")
	}
	if r.Select == "ALL_ATTRIBUTES" && r.index.projected != nil {
		return invalidValue("Select type ALL_ATTRIBUTES is not supported for global secondary index %s "+
			"because its projection type is not ALL", r.IndexName)
	}
	if r.projection != nil {
		for _, p := range r.projection.paths {
			if name := p[0].name; !r.index.projects(r.table, name) {
				return invalidValue("Global secondary index %s does not project [%s]", r.IndexName, name)
			}
		}
	}
	return nil
}

// startAttributes are the keys of the table and, for an index, its keys too: what ExclusiveStartKey and LastEvaluatedKey consist of.
func (r *reading) startAttributes() []keyAttribute {
	attributes := r.table.keys.attributes()
	if r.index == nil {
		return attributes
	}
	for _, a := range r.index.keys.attributes() {
		if a != r.table.keys.hash && a != r.table.keys.rng {
			attributes = append(attributes, a)
		}
	}
	return attributes
}

// setStart reads ExclusiveStartKey. The item it names need not exist any more.
func (r *reading) setStart() *wire.Error {
	if r.ExclusiveStartKey == nil {
		return nil
	}
	it, problem := toItem(r.ExclusiveStartKey, 0)
	if problem != "" {
		return invalid("The provided starting key is invalid: %s", problem)
	}
	attributes := r.startAttributes()
	if len(it) != len(attributes) {
		return invalid("The provided starting key is invalid: The provided key element does not match the schema")
	}
	for _, a := range attributes {
		v, ok := a.of(it)
		if !ok {
			return invalid("The provided starting key is invalid: The provided key element does not match the schema")
		}
		if fault := r.table.checkKeyValue(a, v); fault != nil {
			return invalid("The provided starting key is invalid: %s", fault.Message)
		}
	}
	r.span.after, _ = r.table.keys.sortKey(it)
	if r.index != nil {
		r.span.after, _ = r.index.sortKey(r.span.after, it)
	}
	return nil
}

// readReply has no Items when only the count was selected.
type readReply struct {
	Items            *[]item `json:",omitempty"`
	Count            int
	ScannedCount     int
	LastEvaluatedKey item      `json:",omitempty"`
	ConsumedCapacity *capacity `json:",omitempty"`
}

// read answers a prepared Query or Scan: place checks what is left against the table and sets the span. The page is read under the
// lock; stored items do not change, so the filter and the projection are applied after it.
func (db *DB) read(r *reading, place func() *wire.Error) (*readReply, *wire.Error) {
	page, more, fault := db.page(r, place)
	if fault != nil {
		return nil, fault
	}
	return r.reply(page, more), nil
}

func (db *DB) page(r *reading, place func() *wire.Error) (page []entry, more bool, fault *wire.Error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if r.table, fault = db.table(r.TableName); fault != nil {
		return nil, false, fault
	}
	if fault := r.checkIndex(); fault != nil {
		return nil, false, fault
	}
	if fault := place(); fault != nil {
		return nil, false, fault
	}
	from := &r.table.items
	if r.index != nil {
		from = &r.index.items
	}
	page, more = from.asOf(db.horizon(r.ConsistentRead)).read(r.span)
	return page, more, nil
}

func (r *reading) reply(page []entry, more bool) *readReply {
	items := []item{}
	size := 0
	for _, e := range page {
		size += e.size
		if r.filter == nil || r.filter.holds(e.item) {
			items = append(items, r.projection.of(e.item))
		}
	}
	reply := &readReply{
		Count:            len(items),
		ScannedCount:     len(page),
		ConsumedCapacity: r.consumed(r.table.name, r.IndexName, readUnits(size, r.ConsistentRead)),
	}
	if r.Select != "COUNT" {
		reply.Items = &items
	}
	if more {
		reply.LastEvaluatedKey = make(item)
		last := page[len(page)-1].item
		for _, a := range r.startAttributes() {
			reply.LastEvaluatedKey[a.name] = last[a.name]
		}
	}
	return reply
}
