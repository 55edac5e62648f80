package docs

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/size"
)

const root = ".."

// pages are the Markdown files that the tests read, relative to the root.
func pages(t *testing.T) []string {
	out, err := exec.Command("git", "-C", root, "ls-files", "--cached", "--others", "--exclude-standard", "*.md").Output()
	require.NoError(t, err)
	return strings.Fields(string(out))
}

func read(t *testing.T, page string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, page))
	require.NoError(t, err)
	return string(b)
}

// block is a fenced Go block of a page. The info string may name the nested module whose
// dependencies the block uses: ```go module=fxdb/fxdbprom
type block struct {
	page   string
	line   int // of the first line of code
	module string
	code   string
}

var fence = regexp.MustCompile("(?ms)^```go([^\n]*)\n(.*?)^```$")

func blocksOf(t *testing.T, page string) (all []block) {
	text := read(t, page)
	for _, m := range fence.FindAllStringSubmatchIndex(text, -1) {
		line := 1 + strings.Count(text[:m[0]], "\n")
		module, found := strings.CutPrefix(strings.TrimSpace(text[m[2]:m[3]]), "module=")
		require.True(t, found || module == "", "%s:%d: the info string is go, or go module=folder", page, line)
		all = append(all, block{page, line + 1, module, text[m[4]:m[5]]})
	}
	return all
}

// TestTheGoBlocksOfThePagesCompile type-checks each block as a package of its own. A block
// that is no whole file may use the names of testdata/scope.go. Unused variables and
// imports are no errors in a block.
func TestTheGoBlocksOfThePagesCompile(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	byModule := make(map[string][]block)
	for _, page := range pages(t) {
		for _, b := range blocksOf(t, page) {
			byModule[b.module] = append(byModule[b.module], b)
		}
	}
	require.Contains(t, byModule, "")
	for module, blocks := range byModule {
		t.Run(path.Join("module", module), func(t *testing.T) {
			t.Parallel()
			checkBlocks(t, module, blocks)
		})
	}
}

func checkBlocks(t *testing.T, module string, blocks []block) {
	fset := token.NewFileSet()
	needed := make(map[string]bool)
	packages := make([][]*ast.File, len(blocks))
	for i, b := range blocks {
		own, whole := parse(t, fset, b)
		packages[i] = []*ast.File{own}
		if !whole {
			scope, err := parser.ParseFile(fset, "testdata/scope.go", nil, 0)
			require.NoError(t, err)
			without(scope, own)
			packages[i] = append(packages[i], scope)
		}
		for _, f := range packages[i] {
			for _, spec := range f.Imports {
				needed[strings.Trim(spec.Path.Value, `"`)] = true
			}
		}
	}
	lookup := exports(t, module, slices.Sorted(maps.Keys(needed)))
	config := types.Config{Importer: importer.ForCompiler(fset, "gc", lookup)}
	for _, files := range packages {
		config.Error = func(err error) {
			if e, ok := err.(types.Error); !ok || !e.Soft { //nolint:errorlint // types.Config documents the type
				t.Error(err)
			}
		}
		_, _ = config.Check("scope", fset, files, nil)
	}
}

// parse reads a block as a whole file, as declarations or as statements, and adds imports
// for the packages that the block names. Errors have the page's lines.
func parse(t *testing.T, fset *token.FileSet, b block) (f *ast.File, whole bool) {
	t.Helper()
	code := fmt.Sprintf("\n//line %s:%d\n%s", b.page, b.line, b.code)
	if strings.HasPrefix(b.code, "package ") {
		f, err := parser.ParseFile(fset, b.page, code, 0)
		require.NoError(t, err)
		return f, true
	}
	var err error
	for _, form := range []string{"package scope\n%s\n%s", "package scope\n%s\nfunc _() error {%s\npanic(0)\n}"} {
		if f, err = parser.ParseFile(fset, b.page, fmt.Sprintf(form, "", code), 0); err == nil {
			f, err = parser.ParseFile(fset, b.page, fmt.Sprintf(form, importsOf(f), code), 0)
			break
		}
	}
	require.NoError(t, err, "%s:%d: neither declarations nor statements", b.page, b.line)
	return f, false
}

// known are the packages that a block may use without an import.
var known = map[string]string{
	"context": "context", "errors": "errors", "fmt": "fmt", "http": "net/http", "slog": "log/slog", "sql": "database/sql", "time": "time", "os": "os", "testing": "testing", "embed": "embed",
	"fx": "go.uber.org/fx", "fxtest": "go.uber.org/fx/fxtest", "zap": "go.uber.org/zap",
	"pgx": "github.com/jackc/pgx/v5", "pgconn": "github.com/jackc/pgx/v5/pgconn", "pgxpool": "github.com/jackc/pgx/v5/pgxpool",
	"fxdb": modulePath + "/fxdb", "fxdbsql": modulePath + "/fxdb/fxdbsql", "devdb": modulePath + "/fxdb/devdb",
	"fxdbprom": modulePath + "/fxdb/fxdbprom", "fxdbotel": modulePath + "/fxdb/fxdbotel",
	"tenant": modulePath + "/tenant", "rls": modulePath + "/tenant/rls", "lifecycle": modulePath + "/lifecycle",
	"testkit": modulePath + "/testkit", "container": modulePath + "/testkit/container", "modules": modulePath + "/modules", "agentregistry": modulePath + "/modules/agentregistry",
	"orchestrator": modulePath + "/modules/orchestrator", "knowledge": modulePath + "/modules/knowledge",
	"prometheus": "github.com/prometheus/client_golang/prometheus", "trace": "go.opentelemetry.io/otel/trace", "metric": "go.opentelemetry.io/otel/metric",
	"river": "github.com/riverqueue/river", "gorm": "gorm.io/gorm", "postgres": "gorm.io/driver/postgres",
}

const modulePath = "github.com/agentagency/onepool"

func importsOf(f *ast.File) string {
	var all []string
	for _, id := range f.Unresolved {
		if p, ok := known[id.Name]; ok && !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	var b strings.Builder
	for _, p := range all {
		fmt.Fprintf(&b, "import %q; ", p)
	}
	return b.String()
}

// without drops the declarations of scope that own has too.
func without(scope, own *ast.File) {
	declared := make(map[string]bool)
	for _, d := range own.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			declared[d.Name.Name] = d.Recv == nil
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				for _, name := range namesOf(spec) {
					declared[name.Name] = true
				}
			}
		}
	}
	scope.Decls = slices.DeleteFunc(scope.Decls, func(d ast.Decl) bool {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv != nil {
				star, ok := d.Recv.List[0].Type.(*ast.StarExpr)
				return ok && declared[star.X.(*ast.Ident).Name]
			}
			return declared[d.Name.Name]
		case *ast.GenDecl:
			d.Specs = slices.DeleteFunc(d.Specs, func(s ast.Spec) bool {
				names := namesOf(s)
				return len(names) == 1 && declared[names[0].Name]
			})
			return len(d.Specs) == 0
		}
		return false
	})
}

func namesOf(spec ast.Spec) []*ast.Ident {
	switch s := spec.(type) {
	case *ast.TypeSpec:
		return []*ast.Ident{s.Name}
	case *ast.ValueSpec:
		return s.Names
	}
	return nil
}

// exports returns the lookup of compiled packages of a module of the repository, and of the
// packages that they import.
func exports(t *testing.T, module string, packages []string) func(string) (io.ReadCloser, error) {
	t.Helper()
	list := exec.Command("go", append([]string{"list", "-export", "-deps", "-f", "{{.ImportPath}} {{.Export}}"}, packages...)...)
	list.Dir = filepath.Join(root, module)
	var stderr bytes.Buffer
	list.Stderr = &stderr
	out, err := list.Output()
	require.NoError(t, err, stderr.String())
	files := make(map[string]string)
	for line := range strings.Lines(string(out)) {
		name, file, _ := strings.Cut(strings.TrimSpace(line), " ")
		files[name] = file
	}
	return func(name string) (io.ReadCloser, error) {
		if files[name] == "" {
			return nil, fmt.Errorf("%s: not compiled", name)
		}
		return os.Open(files[name])
	}
}
