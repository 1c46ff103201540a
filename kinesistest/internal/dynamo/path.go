package dynamo

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// step is one dereference of a document path: a map's member or, when name is "", a list's element.
type step struct {
	name  string
	index int
}

// path is a document path such as a.b[0]; its first step is a name.
type path []step

func (p path) String() string {
	parts := make([]string, len(p))
	for i, s := range p {
		parts[i] = s.name
		if s.name == "" {
			parts[i] = "[" + strconv.Itoa(s.index) + "]"
		}
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

func (p path) value(it item) (value, bool) {
	v, ok := it[p[0].name]
	for _, s := range p[1:] {
		switch {
		case !ok:
			return value{}, false
		case s.name != "":
			v, ok = v.m[s.name] // a nil map unless v is one
		case v.kind == kindL && s.index < len(v.list):
			v = v.list[s.index]
		default:
			return value{}, false
		}
	}
	return v, ok
}

// clash compares two paths one of which is to be changed: "overlap" when one is the other or leads to it, "conflict" when one takes
// for a map what the other takes for a list.
func (p path) clash(q path) string {
	for i := range min(len(p), len(q)) {
		if (p[i].name == "") != (q[i].name == "") {
			return "conflict"
		}
		if p[i] != q[i] {
			return ""
		}
	}
	return "overlap"
}

// checkPaths is the service's rule for update and projection expressions; it returns its wording.
func checkPaths(paths []path) (problem string) {
	for i, q := range paths {
		for _, p := range paths[:i] {
			if clash := p.clash(q); clash != "" {
				return "Two document paths " + clash + " with each other; must remove or rewrite one of these paths; " +
					"path one: " + p.String() + ", path two: " + q.String()
			}
		}
	}
	return ""
}

// tree is a set of paths that do not clash. A leaf is where a path ends.
type tree[T any] struct {
	leaf     bool
	data     T // of a leaf
	members  map[string]*tree[T]
	elements map[int]*tree[T]
}

func (t *tree[T]) insert(p path, data T) {
	for _, s := range p {
		t = t.child(s)
	}
	t.leaf, t.data = true, data
}

func (t *tree[T]) child(s step) *tree[T] {
	if s.name == "" {
		if t.elements == nil {
			t.elements = make(map[int]*tree[T])
		}
		return childOf(t.elements, s.index)
	}
	if t.members == nil {
		t.members = make(map[string]*tree[T])
	}
	return childOf(t.members, s.name)
}

func childOf[K comparable, T any](children map[K]*tree[T], key K) *tree[T] {
	next := children[key]
	if next == nil {
		next = new(tree[T])
		children[key] = next
	}
	return next
}

// projection is the set of paths a read is limited to; nil is no limit.
type projection struct {
	paths []path
	root  tree[struct{}]
}

func newProjection(paths []path) *projection {
	pr := &projection{paths: paths}
	for _, p := range paths {
		pr.root.insert(p, struct{}{})
	}
	return pr
}

// of returns what the paths lead to; list elements close up.
func (pr *projection) of(it item) item {
	if pr == nil || it == nil {
		return it
	}
	return projectMap(&pr.root, it)
}

func projectMap(t *tree[struct{}], it item) item {
	out := make(item)
	for name, child := range t.members {
		if v, ok := it[name]; ok {
			if v, ok = project(child, v); ok {
				out[name] = v
			}
		}
	}
	return out
}

func project(t *tree[struct{}], v value) (value, bool) {
	switch {
	case t.leaf:
		return v, true
	case t.members != nil && v.kind == kindM:
		m := projectMap(t, v.m)
		return value{kind: kindM, m: m}, len(m) > 0
	case t.elements != nil && v.kind == kindL:
		var list []value
		for _, i := range slices.Sorted(maps.Keys(t.elements)) {
			if i < len(v.list) {
				if element, ok := project(t.elements[i], v.list[i]); ok {
					list = append(list, element)
				}
			}
		}
		return value{kind: kindL, list: list}, len(list) > 0
	}
	return value{}, false
}
