package onepoolcheck_test

import (
	"fmt"
	"go/types"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/analysistest"
	"golang.org/x/tools/go/packages"

	"github.com/agentagency/onepool/testkit/onepoolcheck"
)

// The cases stand in testdata/src, in a package for each rule. The packages of pgx, fx and
// onepool there stand in for the real ones, so that a case is checked in milliseconds;
// TestStandInsAreTrue compares the two.
func TestRules(t *testing.T) {
	for _, a := range onepoolcheck.Analyzers() {
		t.Run(a.Name, func(t *testing.T) {
			t.Parallel()
			analysistest.Run(t, analysistest.TestData(), a, a.Name+"/...")
		})
	}
}

func TestFixes(t *testing.T) {
	for pkg, a := range map[string]*analysis.Analyzer{
		"fixrowsopen": onepoolcheck.RowsOpen, "fixtenantlost": onepoolcheck.TenantLost,
	} {
		t.Run(a.Name, func(t *testing.T) {
			t.Parallel()
			analysistest.RunWithSuggestedFixes(t, analysistest.TestData(), a, pkg)
		})
	}
}

func TestAnAllowanceNeedsAReason(t *testing.T) {
	t.Parallel()
	var got complaints
	analysistest.Run(&got, analysistest.TestData(), onepoolcheck.NewPool, "broken")
	if all := strings.Join(got, "\n"); !strings.Contains(all, "each entry of allow needs a path and a reason") {
		t.Errorf("the analyzer said: %q", all)
	}
}

type complaints []string

func (c *complaints) Errorf(format string, args ...any) {
	*c = append(*c, strings.TrimSpace(fmt.Sprintf(format, args...)))
}

// TestStandInsAreTrue compares each name of a stand-in with the real package's, so that a
// name that moves or changes does not silence a rule.
func TestStandInsAreTrue(t *testing.T) {
	t.Parallel()
	repository, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(repository, "fxdb")); err != nil {
		t.Skip("the repository around the module is needed")
	}
	paths := []string{
		"github.com/jackc/pgx/v5", "github.com/jackc/pgx/v5/pgconn", "github.com/jackc/pgx/v5/pgxpool", "github.com/jackc/pgx/v5/stdlib",
		"github.com/agentagency/onepool/fxdb", "github.com/agentagency/onepool/tenant", "go.uber.org/fx",
		"github.com/stretchr/testify/require",
	}
	actual := load(t, repository, nil, paths)
	standIns := load(t, filepath.Join(analysistest.TestData(), "src"),
		[]string{"GOPATH=" + analysistest.TestData(), "GO111MODULE=off"}, paths)
	for _, path := range paths {
		compare(t, path, standIns[path].Scope(), actual[path].Scope())
	}
}

func load(t *testing.T, dir string, env, paths []string) map[string]*types.Package {
	t.Helper()
	cfg := &packages.Config{Mode: packages.LoadTypes, Dir: dir, Env: append(os.Environ(), env...)}
	found, err := packages.Load(cfg, paths...)
	if err != nil {
		t.Fatal(err)
	}
	byPath := make(map[string]*types.Package)
	for _, p := range found {
		for _, e := range p.Errors {
			t.Fatal(e)
		}
		byPath[p.PkgPath] = p.Types
	}
	return byPath
}

// compare wants each exported function and method of a stand-in in the actual package, with
// the same types.
func compare(t *testing.T, path string, standIn, actual *types.Scope) {
	t.Helper()
	for _, name := range standIn.Names() {
		mine, theirs := standIn.Lookup(name), actual.Lookup(name)
		if !mine.Exported() {
			continue
		}
		if theirs == nil {
			t.Errorf("%s has no %s", path, name)
			continue
		}
		if _, ok := mine.(*types.TypeName); !ok {
			sameSignature(t, path+"."+name, mine, theirs)
			continue
		}
		methods := types.NewMethodSet(pointerTo(mine.Type()))
		for i := range methods.Len() {
			method := methods.At(i).Obj()
			if !method.Exported() {
				continue
			}
			other, _, _ := types.LookupFieldOrMethod(theirs.Type(), true, theirs.Pkg(), method.Name())
			if other == nil {
				t.Errorf("%s.%s has no method %s", path, name, method.Name())
				continue
			}
			sameSignature(t, path+"."+name+"."+method.Name(), method, other)
		}
	}
}

func pointerTo(typ types.Type) types.Type {
	if types.IsInterface(typ) {
		return typ
	}
	return types.NewPointer(typ)
}

// sameSignature compares the types as text, without the names of parameters.
func sameSignature(t *testing.T, name string, mine, theirs types.Object) {
	t.Helper()
	if a, b := signatureText(mine.Type()), signatureText(theirs.Type()); a != b {
		t.Errorf("%s: the stand-in has %s, the package %s", name, a, b)
	}
}

func signatureText(typ types.Type) string {
	sig, ok := typ.(*types.Signature)
	if !ok {
		return typ.String()
	}
	unnamed := func(tuple *types.Tuple) *types.Tuple {
		vars := make([]*types.Var, tuple.Len())
		for i := range vars {
			vars[i] = types.NewParam(0, nil, "", tuple.At(i).Type())
		}
		return types.NewTuple(vars...)
	}
	text := types.NewSignatureType(nil, nil, nil, unnamed(sig.Params()), unnamed(sig.Results()), sig.Variadic()).String()
	return strings.ReplaceAll(text, "interface{}", "any")
}
