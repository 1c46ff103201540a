package apicheck

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"go/ast"
	"go/constant"
	"go/format"
	"go/printer"
	"go/token"
	"go/types"
	"slices"
	"strings"
)

// group orders a record: constants, variables, functions, then each type followed by its methods.
type group int

const (
	constants group = iota
	variables
	functions
	typesAndMethods
)

type entry struct {
	group  group
	name   string // of a method: Type.Method, which sorts after Type and before every longer name of a type
	text   string
	method bool
}

type renderer struct {
	fset    *token.FileSet
	pkg     *types.Package
	defs    map[*ast.Ident]types.Object
	entries []entry
}

func render(name string, fset *token.FileSet, files []*ast.File) (string, error) {
	r := renderer{fset: fset, defs: map[*ast.Ident]types.Object{}}
	// The values of constants come from the type checker, because an enumeration's are implied. It is not given the imports, so that no
	// dependency is compiled to read an API: what it then cannot know (a type or a value that another package declares) is shown as written.
	check := types.Config{Importer: noImports{}, Error: func(error) {}, IgnoreFuncBodies: true}
	r.pkg, _ = check.Check(name, fset, files, &types.Info{Defs: r.defs})
	for _, f := range files {
		for _, d := range f.Decls {
			if g, ok := d.(*ast.GenDecl); ok {
				r.values(g)
			}
		}
		ast.FileExports(f)
		for _, d := range f.Decls {
			if err := r.declaration(d); err != nil {
				return "", err
			}
		}
	}
	if len(r.entries) == 0 {
		return "", nil
	}
	slices.SortFunc(r.entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.group, b.group), strings.Compare(a.name, b.name))
	})
	var out strings.Builder
	fmt.Fprintf(&out, "package %s\n", name)
	for i, e := range r.entries {
		if i == 0 || e.group != r.entries[i-1].group || e.group == typesAndMethods && !e.method {
			out.WriteByte('\n')
		}
		out.WriteString(e.text)
		out.WriteByte('\n')
	}
	return out.String(), nil
}

type noImports struct{}

func (noImports) Import(string) (*types.Package, error) {
	return nil, errors.New("imports are not read")
}

// values records the exported names of a const or var declaration. A const without type and value repeats those of the one above it.
func (r *renderer) values(g *ast.GenDecl) {
	if g.Tok != token.CONST && g.Tok != token.VAR {
		return
	}
	var above *ast.ValueSpec
	for _, s := range g.Specs {
		spec, ok := s.(*ast.ValueSpec)
		if !ok {
			continue
		}
		if g.Tok == token.VAR || len(spec.Values) > 0 {
			above = spec
		}
		for i, name := range spec.Names {
			if !name.IsExported() {
				continue
			}
			e := entry{group: variables, name: name.Name, text: "var " + name.Name + variable(r.source, above, i)}
			if g.Tok == token.CONST {
				e.group, e.text = constants, "const "+name.Name+r.constant(name, above, i)
			}
			r.entries = append(r.entries, e)
		}
	}
}

func (r *renderer) constant(name *ast.Ident, spec *ast.ValueSpec, i int) string {
	if c, ok := r.defs[name].(*types.Const); ok && c.Val().Kind() != constant.Unknown && c.Type() != types.Typ[types.Invalid] {
		typ := ""
		if b, basic := c.Type().(*types.Basic); !basic || b.Info()&types.IsUntyped == 0 {
			typ = " " + types.TypeString(c.Type(), types.RelativeTo(r.pkg))
		}
		return typ + " = " + c.Val().ExactString()
	}
	text := ""
	if spec.Type != nil {
		text = " " + r.source(spec.Type)
	}
	return text + " = " + r.source(spec.Values[i])
}

// variable returns the type of a variable, or the expression that it starts from where that does not show its type.
func variable(source func(ast.Node) string, spec *ast.ValueSpec, i int) string {
	if spec.Type != nil {
		return " " + source(spec.Type)
	}
	if i >= len(spec.Values) {
		return " = " + source(spec.Values[0])
	}
	switch v := spec.Values[i].(type) {
	case *ast.CompositeLit:
		return " " + source(v.Type)
	case *ast.UnaryExpr:
		if lit, ok := v.X.(*ast.CompositeLit); ok && v.Op == token.AND {
			return " *" + source(lit.Type)
		}
	case *ast.FuncLit:
		return " " + source(v.Type)
	case *ast.CallExpr:
		if f := source(v.Fun); f == "errors.New" || f == "fmt.Errorf" {
			return " error"
		}
	}
	return " = " + source(spec.Values[i])
}

// declaration records a function, a method or a type of a file that ast.FileExports has stripped.
func (r *renderer) declaration(d ast.Decl) error {
	switch d := d.(type) {
	case *ast.FuncDecl:
		d.Body = nil
		e := entry{group: functions, name: d.Name.Name}
		if d.Recv != nil {
			of := receiver(d.Recv.List[0].Type)
			if !ast.IsExported(of) {
				return nil
			}
			e = entry{group: typesAndMethods, name: of + "." + d.Name.Name, method: true}
		}
		return r.add(e, d)
	case *ast.GenDecl:
		if d.Tok != token.TYPE {
			return nil
		}
		for _, spec := range d.Specs {
			t, ok := spec.(*ast.TypeSpec)
			if !ok {
				continue
			}
			one := &ast.GenDecl{Tok: token.TYPE, Specs: []ast.Spec{spec}}
			if err := r.add(entry{group: typesAndMethods, name: t.Name.Name}, one); err != nil {
				return err
			}
		}
	}
	return nil
}

func receiver(t ast.Expr) string {
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

// add formats the node without the empty lines and the alignment that comments left behind, so that a change of a comment changes no record.
func (r *renderer) add(e entry, node ast.Node) error {
	var kept []string
	for line := range strings.SplitSeq(r.source(node), "\n") {
		if strings.TrimSpace(line) != "" {
			kept = append(kept, line)
		}
	}
	text, err := format.Source([]byte(strings.Join(kept, "\n")))
	if err != nil {
		return fmt.Errorf("%s: %w", e.name, err)
	}
	e.text = string(text)
	r.entries = append(r.entries, e)
	return nil
}

func (r *renderer) source(node ast.Node) string {
	var out bytes.Buffer
	if err := printer.Fprint(&out, r.fset, node); err != nil {
		return err.Error()
	}
	return out.String()
}
