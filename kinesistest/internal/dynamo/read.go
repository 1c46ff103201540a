package dynamo

import (
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

// prepare parses and checks what Query and Scan share. keyed is the key condition of a Query, whose parsed form is returned.
func (o *readOptions) prepare(db *DB, keyed ...expression) (r *reading, key condition, fault *wire.Error) {
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
	if r.table, fault = db.table(o.TableName); fault != nil {
		return nil, nil, fault
	}
	if o.Limit != nil {
		r.span.limit = *o.Limit
	}
	return r, key, r.checkIndex()
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
	projecting := o.ProjectionExpression != nil
	switch {
	case projecting && o.Select == "COUNT":
		return invalidValue("Cannot specify the ProjectionExpression when choosing to get only the Count")
	case projecting && o.Select != "" && o.Select != "SPECIFIC_ATTRIBUTES":
		return invalidValue("Cannot specify the ProjectionExpression when choosing to get %s", o.Select)
	case !projecting && o.Select == "SPECIFIC_ATTRIBUTES":
		return invalidValue("Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES")
	case o.Select == "ALL_PROJECTED_ATTRIBUTES" && o.IndexName == "":
		return invalidValue("ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName")
	}
	return o.capacityOption.check()
}

// checkIndex finds the index and refuses what an index cannot answer.
func (r *reading) checkIndex() (fault *wire.Error) {
	r.keys = r.table.keys
	r.index, fault = r.table.find(r.IndexName)
	if r.index == nil || fault != nil {
		return fault
	}
	r.keys = r.index.keys
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

// run reads one page under the lock; stored items do not change, so the filter and the projection are applied after it.
func (r *reading) run(db *DB) (*readReply, *wire.Error) {
	from := &r.table.items
	if r.index != nil {
		from = &r.index.items
	}
	db.mu.Lock()
	gone := r.table.deleted
	page, more := from.read(r.span)
	db.mu.Unlock()
	if gone {
		return nil, errNoTable
	}
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
	return reply, nil
}
