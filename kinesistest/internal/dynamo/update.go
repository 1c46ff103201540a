package dynamo

import (
	"maps"
	"slices"

	"github.com/kinesiskit/kinesiskit/kinesistest/internal/wire"
)

var (
	errOperandType = invalid("An operand in the update expression has an incorrect data type")
	errNoAttribute = invalid("The provided expression refers to an attribute that does not exist in the item")
	errLegacyType  = invalid("Type mismatch for attribute to update")
	errBadPath     = invalid("The document path provided in the update expression is invalid for update")
)

type section uint8

const (
	sectionSet section = iota + 1
	sectionRemove
	sectionAdd
	sectionDelete
)

// update is a parsed update: an expression, or AttributeUpdates.
type update struct {
	actions []action
}

// action changes what one path leads to.
type action struct {
	section section
	path    path
	term    term  // of SET
	operand value // of ADD and DELETE
	legacy  bool  // from AttributeUpdates, where ADD appends to a list and a wrong type is worded otherwise
}

func (a action) mismatch() *wire.Error {
	if a.legacy {
		return errLegacyType
	}
	return errOperandType
}

// term is the right-hand side of a SET; it reads the item as it was before the update.
type term interface {
	compute(old item) (value, *wire.Error)
}

type constant struct{ v value }

func (c constant) compute(item) (value, *wire.Error) { return c.v, nil }

type attribute struct{ path path }

func (a attribute) compute(old item) (value, *wire.Error) {
	v, ok := a.path.value(old)
	if !ok {
		return value{}, errNoAttribute
	}
	return v, nil
}

type ifNotExists struct {
	path  path
	other term
}

func (f ifNotExists) compute(old item) (value, *wire.Error) {
	if v, ok := f.path.value(old); ok {
		return v, nil
	}
	return f.other.compute(old)
}

type listAppend struct{ first, second term }

func (f listAppend) compute(old item) (value, *wire.Error) {
	a, b, fault := computeBoth(old, f.first, f.second, kindL)
	if fault != nil {
		return value{}, fault
	}
	return value{kind: kindL, list: slices.Concat(a.list, b.list)}, nil
}

type sum struct {
	left, right term
	minus       bool
}

func (s sum) compute(old item) (value, *wire.Error) {
	a, b, fault := computeBoth(old, s.left, s.right, kindN)
	if fault != nil {
		return value{}, fault
	}
	if s.minus {
		b.num = b.num.negate()
	}
	return addNumbers(a, b)
}

func computeBoth(old item, first, second term, wanted kind) (a, b value, fault *wire.Error) {
	if a, fault = first.compute(old); fault != nil {
		return a, b, fault
	}
	if b, fault = second.compute(old); fault != nil {
		return a, b, fault
	}
	if a.kind != wanted || b.kind != wanted {
		return a, b, errOperandType
	}
	return a, b, nil
}

func addNumbers(a, b value) (value, *wire.Error) {
	total, problem := a.num.add(b.num)
	if problem != "" {
		return value{}, invalid("%s", problem)
	}
	return value{kind: kindN, num: total}, nil
}

// edit is an action with its value computed; remove has none.
type edit struct {
	path   path
	remove bool
	v      value
}

// apply returns the item after the update; key are the attributes of its key. The old item is not changed, and nil stands for an item
// that does not exist: it is created, except by an update that only removes, which then leaves it absent.
func (u *update) apply(old, key item) (item, *wire.Error) {
	if old == nil {
		if u.onlyRemoves() {
			return nil, nil
		}
		old = key
	}
	if u == nil {
		return old, nil
	}
	var root tree[edit]
	for _, a := range u.actions {
		e, change, fault := a.edit(old)
		if fault != nil {
			return nil, fault
		}
		if change {
			root.insert(e.path, e)
		}
	}
	changed, fault := rebuildMap(&root, old)
	if fault != nil {
		return nil, fault
	}
	if changed.nesting() > maxNesting {
		return nil, invalid(tooNested)
	}
	return changed, nil
}

// onlyRemoves is false for an update without an expression: that one creates.
func (u *update) onlyRemoves() bool {
	if u == nil {
		return false
	}
	for _, a := range u.actions {
		if a.section == sectionSet || a.section == sectionAdd {
			return false
		}
	}
	return true
}

// edit computes what the action does to the old item; change is false when that is nothing.
func (a action) edit(old item) (e edit, change bool, fault *wire.Error) {
	e = edit{path: a.path}
	found, ok := a.path.value(old)
	switch a.section {
	case sectionSet:
		e.v, fault = a.term.compute(old)
		return e, true, fault
	case sectionRemove:
		e.remove = true
		return e, true, nil
	case sectionAdd:
		switch {
		case !ok:
			e.v = a.operand
		case found.kind != a.operand.kind:
			return e, false, a.mismatch()
		case found.kind == kindN:
			e.v, fault = addNumbers(found, a.operand)
		case found.kind == kindL:
			e.v = value{kind: kindL, list: slices.Concat(found.list, a.operand.list)}
		default:
			e.v = found.union(a.operand)
		}
		return e, true, fault
	}
	if !ok {
		return e, false, nil
	}
	if found.kind != a.operand.kind {
		return e, false, a.mismatch()
	}
	e.v = found.without(a.operand)
	e.remove = len(e.v.list) == 0
	return e, true, nil
}

func rebuildMap(t *tree[edit], old item) (item, *wire.Error) {
	out := make(item, len(old)+len(t.members))
	maps.Copy(out, old)
	// Which of two faulty paths is met first must not depend on map order, so children are visited by name.
	for _, name := range slices.Sorted(maps.Keys(t.members)) {
		child := t.members[name]
		switch {
		case child.leaf && child.data.remove:
			delete(out, name)
		case child.leaf:
			out[name] = child.data.v
		default:
			v, fault := rebuild(child, old[name])
			if fault != nil {
				return nil, fault
			}
			out[name] = v
		}
	}
	return out, nil
}

// rebuild copies what is changed below a value; the zero value stands for a missing one, below which nothing can be changed.
func rebuild(t *tree[edit], old value) (value, *wire.Error) {
	switch {
	case t.members != nil && old.kind == kindM:
		m, fault := rebuildMap(t, old.m)
		return value{kind: kindM, m: m}, fault
	case t.elements != nil && old.kind == kindL:
		return rebuildList(t, old.list)
	}
	return value{}, errBadPath
}

// rebuildList takes all indices as those of the old list: what is set beyond its end is appended in order of the indices, and removed
// elements close up only when everything else is done.
func rebuildList(t *tree[edit], old []value) (value, *wire.Error) {
	list := slices.Clone(old)
	removed := make(map[int]bool)
	for _, i := range slices.Sorted(maps.Keys(t.elements)) {
		child := t.elements[i]
		switch {
		case child.leaf && child.data.remove:
			removed[i] = true
		case child.leaf && i < len(old):
			list[i] = child.data.v
		case child.leaf:
			list = append(list, child.data.v)
		case i >= len(old):
			return value{}, errBadPath
		default:
			v, fault := rebuild(child, old[i])
			if fault != nil {
				return value{}, fault
			}
			list[i] = v
		}
	}
	kept := make([]value, 0, len(list))
	for i, v := range list {
		if i >= len(old) || !removed[i] {
			kept = append(kept, v)
		}
	}
	return value{kind: kindL, list: kept}, nil
}

// paths are those UPDATED_OLD and UPDATED_NEW report.
func (u *update) paths() *projection {
	var paths []path
	if u != nil {
		for _, a := range u.actions {
			paths = append(paths, a.path)
		}
	}
	return newProjection(paths)
}
