package apicheck_test

import (
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kinesiskit/kinesiskit/internal/apicheck"
)

var update = flag.Bool("update", false, "write the record of the exported API instead of comparing with it")

const (
	root   = "../.."
	record = root + "/api"
)

func TestExportedAPIIsTheRecordedOne(t *testing.T) {
	t.Parallel()
	records, err := apicheck.Module(root)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := apicheck.Write(record, records); err != nil {
			t.Fatal(err)
		}
		return
	}
	differences, err := apicheck.Differences(record, records)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range differences {
		t.Errorf("%s\nIf the change of the API is meant, run `make api` and commit the record with it.", d)
	}
}

const source = `// Package p is documented.
package p

import (
	"errors"
	"time"
	"unknown.invalid/elsewhere"
)

type Class int

const (
	None Class = iota
	_
	hidden
	Three // three
	Four
)

const Wait = 3 * time.Second
const Name, other = "n", 1
const Typed time.Duration = 5

var ErrGone = errors.New("p: gone") // gone
var Default, unexported = Options{}, 2
var Shared = &Options{}
var Limit int64 = 5
var Made = make(map[string]int)

// Options are documented.
type Options struct {
	A int // a

	// B has a comment above it.
	Longer elsewhere.Thing
	c      int
}

type Store interface {
	Get(key string) (int, error)
	hide()
}

type (
	Alias = Options
	Pair[K comparable, V any] struct{ Key K; Value V }
	inner struct{ X int }
)

func (p *Pair[K, V]) Swap() { panic("body") }
func (o Options) Validate() error { return nil }
func (o *Options) private()       {}
func (i inner) Exported()         {}

// New is documented.
func New(name string, opts ...func(*Options)) (*Options, error) { return nil, nil }
func helper()                                                   {}
`

const want = `package p

const Four Class = 4
const Name = "n"
const None Class = 0
const Three Class = 3
const Typed time.Duration = 5
const Wait = 3 * time.Second

var Default Options
var ErrGone error
var Limit int64
var Made = make(map[string]int)
var Shared *Options

func New(name string, opts ...func(*Options)) (*Options, error)

type Alias = Options

type Class int

type Options struct {
	A      int
	Longer elsewhere.Thing
	// contains filtered or unexported fields
}
func (o Options) Validate() error

type Pair[K comparable, V any] struct {
	Key   K
	Value V
}
func (p *Pair[K, V]) Swap()

type Store interface {
	Get(key string) (int, error)
	// contains filtered or unexported methods
}
`

func TestRecordShowsEveryExportedDeclarationAndNothingElse(t *testing.T) {
	t.Parallel()
	if got := packageOf(t, map[string]string{"p.go": source}); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestRecordDoesNotDependOnCommentsBodiesFilesOrOrder(t *testing.T) {
	t.Parallel()
	a := packageOf(t, map[string]string{
		"a.go": "package p\n\n// A does.\nfunc A() int { return 1 }\n\ntype T struct {\n\tX int\n\n\t// Y is\n\t// long.\n\tY string\n}\n",
		"b.go": "package p\n\nfunc (T) B() {}\n",
	})
	b := packageOf(t, map[string]string{
		"z.go": "package p\n\nfunc (T) B() { println() }\ntype T struct {\n\tX int // x\n\tY string\n}\n\nfunc A() int { return 2 }\n",
	})
	if a != b {
		t.Errorf("two records of one API:\n%s\n%s", a, b)
	}
}

func TestEveryChangeOfTheAPIChangesTheRecord(t *testing.T) {
	t.Parallel()
	for _, change := range [][2]string{
		{"Get(key string) (int, error)", "Get(key []byte) (int, error)"},
		{"A int // a", "A int64 // a"},
		{"opts ...func(*Options)", "opts []func(*Options)"},
		{"Limit int64", "Limit int32"},
		{"_\n", ""},
		{"Alias = Options", "Alias Options"},
		{"(o Options) Validate", "(o *Options) Validate"},
		{"func helper()", "func Helper()"},
		{"c      int", "C      int"},
		{"hide()", ""},
		{"3 * time.Second", "4 * time.Second"},
	} {
		changed := strings.Replace(source, change[0], change[1], 1)
		if changed == source {
			t.Fatalf("%q is not in the source", change[0])
		}
		if packageOf(t, map[string]string{"p.go": changed}) == want {
			t.Errorf("%q → %q leaves the record as it was", change[0], change[1])
		}
	}
}

func TestPublicPackagesAreFoundAndOthersAreNot(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{
		"go.mod":                "module m\n",
		"doc.go":                "package m\n",
		"a/a.go":                "package a\n\nfunc A() {}\n",
		"a/b/b.go":              "package b\n\nfunc B() {}\n",
		"a/internal/c/c.go":     "package c\n\nfunc C() {}\n",
		"a/testdata/d/d.go":     "package d\n\nfunc D() {}\n",
		"tool/main.go":          "package main\n\nfunc E() {}\n",
		"examples/f/f.go":       "package f\n\nfunc F() {}\n",
		"cmd/g/g.go":            "package g\n\nfunc G() {}\n",
		"plugin/go.mod":         "module m/plugin\n",
		"plugin/h.go":           "package plugin\n\nfunc H() {}\n",
		"onlytests/i_test.go":   "package onlytests\n\nfunc I() {}\n",
		".hidden/j.go":          "package j\n\nfunc J() {}\n",
		"unexported/k.go":       "package unexported\n\nfunc k() {}\n",
		"a/b/b_test.go":         "package b\n\nfunc Test() {}\n",
		"documentation/what.md": "text",
	})
	records, err := apicheck.Module(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := slices.Sorted(maps.Keys(records)); !slices.Equal(got, []string{"a", "a/b"}) {
		t.Errorf("public packages: %q", got)
	}
}

func TestDifferencesAreSeenUntilTheyAreWritten(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{
		"same.txt":        "package same\n",
		"changed.txt":     "package changed\n\nfunc A()\nfunc B()\nfunc C()\n",
		"gone.txt":        "package gone\n",
		"deep/nested.txt": "package nested\n",
	})
	records := map[string]string{
		"same":        "package same\n",
		"changed":     "package changed\n\nfunc A()\nfunc B(int)\nfunc C()\n",
		"deep/nested": "package nested\n",
		"deep/new":    "package new\n",
		".":           "package root\n",
	}
	differences, err := apicheck.Differences(dir, records)
	if err != nil {
		t.Fatal(err)
	}
	expected := []string{
		".: a new package without a record",
		"changed:\n  - func B()\n  + func B(int)\n",
		"deep/new: a new package without a record",
		"gone: a record without a package",
	}
	if !slices.Equal(differences, expected) {
		t.Errorf("differences: %q, want %q", differences, expected)
	}
	if err := apicheck.Write(dir, records); err != nil {
		t.Fatal(err)
	}
	if differences, err = apicheck.Differences(dir, records); err != nil || len(differences) != 0 {
		t.Errorf("after writing: %q, %v", differences, err)
	}
}

func TestAnAPIWithoutARecordIsADifference(t *testing.T) {
	t.Parallel()
	differences, err := apicheck.Differences(filepath.Join(t.TempDir(), "absent"), map[string]string{"a": "package a\n"})
	if err != nil || len(differences) != 1 {
		t.Errorf("differences: %q, %v", differences, err)
	}
}

func packageOf(t *testing.T, files map[string]string) string {
	t.Helper()
	text, err := apicheck.Package(tree(t, files))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
