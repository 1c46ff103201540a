package history

import (
	"maps"
	"slices"
)

// sorted makes what is reported the same in each run.
func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
