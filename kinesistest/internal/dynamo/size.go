package dynamo

import (
	"maps"
	"slices"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

// Limits and units of the service, in bytes.
const (
	maxItemSize = 400 << 10
	maxPageSize = 1 << 20 // of the items a Query or Scan reads before it filters
	maxHashKey  = 2048
	maxRangeKey = 1024
	readUnit    = 4 << 10
	writeUnit   = 1 << 10
)

// size is what the service bills and limits: the bytes of names and values.
func (it item) size() int {
	total := 0
	for name, v := range it {
		total += len(name) + v.size()
	}
	return total
}

// A map or list costs 3 bytes and one for each element, whatever is in it.
func (v value) size() int {
	switch v.kind {
	case kindS, kindB:
		return len(v.bytes)
	case kindN:
		return v.num.size()
	case kindBOOL, kindNULL:
		return 1
	case kindM:
		return 3 + len(v.m) + v.m.size()
	}
	total := 0
	if v.kind == kindL {
		total = 3 + len(v.list)
	}
	for _, element := range v.list {
		total += element.size()
	}
	return total
}

func (it item) nesting() int {
	deepest := 0
	for _, v := range it {
		deepest = max(deepest, v.nesting())
	}
	return deepest
}

func (v value) nesting() int {
	switch v.kind {
	case kindM:
		return 1 + v.m.nesting()
	case kindL:
		deepest := 0
		for _, element := range v.list {
			deepest = max(deepest, element.nesting())
		}
		return 1 + deepest
	}
	return 0
}

type capacity struct {
	TableName              string
	CapacityUnits          float64
	Table                  *units           `json:",omitempty"`
	GlobalSecondaryIndexes map[string]units `json:",omitempty"`
}

type units struct {
	CapacityUnits float64
}

// capacityOption is the ReturnConsumedCapacity of a request.
type capacityOption struct {
	ReturnConsumedCapacity string
}

func (o capacityOption) check() *wire.Error {
	return checkEnum("returnConsumedCapacity", o.ReturnConsumedCapacity, "INDEXES", "TOTAL", "NONE")
}

// consumed is nil when the request did not ask. index is the index that was read, "" for the table.
func (o capacityOption) consumed(table, index string, spent float64) *capacity {
	if o.ReturnConsumedCapacity == "" || o.ReturnConsumedCapacity == "NONE" {
		return nil
	}
	c := &capacity{TableName: table, CapacityUnits: spent}
	if o.ReturnConsumedCapacity == "INDEXES" {
		if index == "" {
			c.Table = &units{spent}
		} else {
			c.Table = &units{}
			c.GlobalSecondaryIndexes = map[string]units{index: {spent}}
		}
	}
	return c
}

// tally is what a request spent by table.
type tally map[string]float64

// consumedBy is consumed of a request about several tables, in the order of their names.
func (o capacityOption) consumedBy(spent tally) []*capacity {
	var all []*capacity
	for _, name := range slices.Sorted(maps.Keys(spent)) {
		if c := o.consumed(name, "", spent[name]); c != nil {
			all = append(all, c)
		}
	}
	return all
}

// readUnits costs at least one read, also of nothing; an eventually consistent one is half price.
func readUnits(size int, consistent bool) float64 {
	n := float64(max(1, (size+readUnit-1)/readUnit))
	if consistent {
		return n
	}
	return n / 2
}

// writeUnits is charged for the larger of the item before and after. What index maintenance costs is not added.
func writeUnits(before, after int) float64 {
	return float64(max(1, (max(before, after)+writeUnit-1)/writeUnit))
}
