// Package apicheck holds the record of the module's exported API. The record is text in api/, one file for each public package, and a test
// compares it with the source: no change of what users see can happen unnoticed, and every one is read in a review as a difference of api/.
package apicheck

import (
	"errors"
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Module returns the records of all public packages under root, keyed by the slash-separated path of the package below root. Public is what
// another module can import: not internal, not a command, not examples, not testdata, not a nested module. A package that exports nothing has no record.
func Module(root string) (map[string]string, error) {
	records := map[string]string{}
	err := filepath.WalkDir(root, func(dir string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if dir != root && private(dir, d.Name()) {
			return filepath.SkipDir
		}
		rel, err := filepath.Rel(root, dir)
		if err != nil {
			return err
		}
		text, err := Package(dir)
		if err != nil {
			return fmt.Errorf("package %s: %w", rel, err)
		}
		if text != "" {
			records[filepath.ToSlash(rel)] = text
		}
		return nil
	})
	return records, err
}

func private(dir, name string) bool {
	switch {
	case name == "internal", name == "testdata", name == "examples", name == "cmd", name == "vendor":
		return true
	case strings.HasPrefix(name, "."), strings.HasPrefix(name, "_"):
		return true
	}
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

// Package returns the record of the package in dir: one declaration for each exported constant, variable, function, type and method, without
// comments and bodies, types with their methods, everything in alphabetical order. It is empty when there is no package in dir, when the package
// is a command, and when it exports nothing.
func Package(dir string) (string, error) {
	pkg, err := build.ImportDir(dir, 0)
	var none *build.NoGoError
	if errors.As(err, &none) || err == nil && pkg.IsCommand() {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	fset := token.NewFileSet()
	files := make([]*ast.File, len(pkg.GoFiles))
	for i, name := range pkg.GoFiles {
		if files[i], err = parser.ParseFile(fset, filepath.Join(dir, name), nil, parser.SkipObjectResolution); err != nil {
			return "", err
		}
	}
	return render(pkg.Name, fset, files)
}

// Differences compares the records with the files under dir, and returns one text for each package that differs, in alphabetical order.
func Differences(dir string, records map[string]string) ([]string, error) {
	files, err := recorded(dir)
	if err != nil {
		return nil, err
	}
	var out []string
	names := maps.Clone(records)
	maps.Copy(names, files)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		have, want := records[name], files[name]
		switch {
		case have == want:
		case want == "":
			out = append(out, name+": a new package without a record")
		case have == "":
			out = append(out, name+": a record without a package")
		default:
			out = append(out, name+":\n"+lineDiff(want, have))
		}
	}
	return out, nil
}

// Write makes the files under dir say what the records say, and removes those of packages that are no more.
func Write(dir string, records map[string]string) error {
	files, err := recorded(dir)
	if err != nil {
		return err
	}
	for name := range files {
		if _, ok := records[name]; !ok {
			if err := os.Remove(fileOf(dir, name)); err != nil {
				return err
			}
		}
	}
	for name, text := range records {
		file := fileOf(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// fileOf mirrors the tree: lease/dynamostore is recorded in api/lease/dynamostore.txt. The package at the root is called root.
func fileOf(dir, name string) string {
	if name == "." {
		name = "root"
	}
	return filepath.Join(dir, filepath.FromSlash(name)+".txt")
}

func recorded(dir string) (map[string]string, error) {
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && file == dir {
			return filepath.SkipDir
		}
		if err != nil || d.IsDir() || path.Ext(file) != ".txt" {
			return err
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, strings.TrimSuffix(file, ".txt"))
		if err != nil {
			return err
		}
		if rel == "root" {
			rel = "."
		}
		files[filepath.ToSlash(rel)] = string(text)
		return nil
	})
	return files, err
}
