package apicheck

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// name is an identifier of a public package as the papers write it, in code: `consumer.Config.Polling`.
var name = regexp.MustCompile("`(aggregation|checkpoint|consumer|dynamostore|kinesistest|lease|leasetest|memstore|producer|reset|shard)\\.([A-Z][A-Za-z]*(?:\\.[A-Z][A-Za-z]*)*)")

// What the papers call by name is there: fields and methods too.
func TestPapersNameWhatThereIs(t *testing.T) {
	root := filepath.Join("..", "..")
	packages := records(t, root)
	var papers []string
	for _, pattern := range []string{"*.md", "docs/*.md"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		papers = append(papers, files...)
	}
	found := 0
	for _, file := range papers {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(text), "\n") {
			for _, m := range name.FindAllStringSubmatch(line, -1) {
				found++
				if err := packages.look(m[1], strings.Split(m[2], ".")); err != nil {
					t.Errorf("%s:%d: %s.%s: %v", filepath.Base(file), i+1, m[1], m[2], err)
				}
			}
		}
	}
	if found < 50 {
		t.Errorf("%d names in %q: that is not all of them", found, papers)
	}
}

// exported is what the records in api/ have: by package, then by name, and the members of types.
type exported map[string]map[string]*declared

type declared struct {
	fields  map[string]ast.Expr // of a struct, with their types
	methods map[string]bool
}

func records(t *testing.T, root string) exported {
	t.Helper()
	files := map[string]string{}
	for _, pattern := range []string{"api/*.txt", "api/*/*.txt"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range found {
			files[strings.TrimSuffix(filepath.Base(file), ".txt")] = file
		}
	}
	all := exported{}
	for pkg, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		all[pkg] = map[string]*declared{}
		for _, d := range parsed.Decls {
			all.add(pkg, d)
		}
	}
	return all
}

func (e exported) at(pkg, name string) *declared {
	if e[pkg][name] == nil {
		e[pkg][name] = &declared{fields: map[string]ast.Expr{}, methods: map[string]bool{}}
	}
	return e[pkg][name]
}

func (e exported) add(pkg string, d ast.Decl) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil {
			e.at(pkg, d.Name.Name)
			return
		}
		receiver := d.Recv.List[0].Type
		if pointer, ok := receiver.(*ast.StarExpr); ok {
			receiver = pointer.X
		}
		if ident, ok := receiver.(*ast.Ident); ok {
			e.at(pkg, ident.Name).methods[d.Name.Name] = true
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.ValueSpec:
				for _, n := range s.Names {
					e.at(pkg, n.Name)
				}
			case *ast.TypeSpec:
				e.at(pkg, s.Name.Name).members(s.Type)
			}
		}
	}
}

func (d *declared) members(t ast.Expr) {
	switch t := t.(type) {
	case *ast.StructType:
		for _, f := range t.Fields.List {
			for _, n := range f.Names {
				d.fields[n.Name] = f.Type
			}
		}
	case *ast.InterfaceType:
		for _, f := range t.Methods.List {
			for _, n := range f.Names {
				d.methods[n.Name] = true
			}
		}
	}
}

func (e exported) look(pkg string, path []string) error {
	d, ok := e[pkg][path[0]]
	if !ok {
		return fmt.Errorf("package %s has no %s", pkg, path[0])
	}
	for i, member := range path[1:] {
		field, ok := d.fields[member]
		if !ok {
			if d.methods[member] && i == len(path)-2 {
				return nil
			}
			return fmt.Errorf("%s has no %s", path[i], member)
		}
		if d = e.typeOf(pkg, field); d == nil && i < len(path)-2 {
			return fmt.Errorf("%s is no struct of ours", member)
		}
	}
	return nil
}

// typeOf finds the declaration of a field's type, nil if it is not ours.
func (e exported) typeOf(pkg string, field ast.Expr) *declared {
	switch x := field.(type) {
	case *ast.StarExpr:
		return e.typeOf(pkg, x.X)
	case *ast.Ident:
		return e[pkg][x.Name]
	case *ast.SelectorExpr:
		if p, ok := x.X.(*ast.Ident); ok {
			return e[p.Name][x.Sel.Name]
		}
	}
	return nil
}

// quoted is a text that a paper says the log or an error has.
var quoted = regexp.MustCompile("`\"([^\"`]+)\"`")

// What an operator is told to look for is what the code says, in these words.
func TestQuotedMessagesAreThoseOfTheCode(t *testing.T) {
	root := filepath.Join("..", "..")
	var code strings.Builder
	for _, dir := range []string{"consumer", "lease", "producer", "checkpoint"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(file string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
				return err
			}
			text, err := os.ReadFile(file)
			code.Write(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(filepath.Join(root, "TROUBLESHOOTING.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := quoted.FindAllStringSubmatch(string(text), -1)
	for _, m := range found {
		if !strings.Contains(code.String(), m[1]) {
			t.Errorf("TROUBLESHOOTING.md: nothing says %q", m[1])
		}
	}
	if len(found) < 10 {
		t.Errorf("%d messages are quoted: that is not all of them", len(found))
	}
}

var testName = regexp.MustCompile(`\bTest[A-Z][A-Za-z0-9]+\b`)

// What the design names as a proof can be run.
func TestTheDesignNamesTestsThatThereAre(t *testing.T) {
	root := filepath.Join("..", "..")
	text, err := os.ReadFile(filepath.Join(root, "DESIGN.md"))
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	err = filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllStringSubmatch(string(source), -1) {
			there[m[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	named := testName.FindAllString(string(text), -1)
	for _, n := range named {
		if !there[n] {
			t.Errorf("DESIGN.md names %s, which is nowhere", n)
		}
	}
	if len(named) < 100 {
		t.Errorf("%d names: that is not all of them", len(named))
	}
}
