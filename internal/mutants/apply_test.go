package main

import (
	"path/filepath"
	"testing"
)

// A patch that does not apply to the sources breaks nothing, and proves nothing. It is noticed here, before anybody runs the mutants.
func TestEveryPatchApplies(t *testing.T) {
	root := filepath.Join("..", "..")
	patches, err := load(filepath.Join(root, "testdata", "mutants"))
	if err != nil {
		t.Fatal(err)
	}
	s := &suite{root: root}
	for _, p := range patches {
		if _, err := s.overlay(t.TempDir(), p); err != nil {
			t.Errorf("%s: %v", p.name, err)
		}
	}
}
