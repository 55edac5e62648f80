package onepoolcheck

import (
	"go/ast"
	"go/types"
	"regexp"
	"strings"

	"golang.org/x/tools/go/types/typeutil"
)

// The packages of the rules, without the suffix of a major version.
const (
	pgxPath    = "github.com/jackc/pgx"
	fxdbPath   = "github.com/agentagency/onepool/fxdb"
	tenantPath = "github.com/agentagency/onepool/tenant"
	fxPath     = "go.uber.org/fx"
)

var majorVersion = regexp.MustCompile(`/v[0-9]+(/|$)`)

// packagePath returns the import path without the suffix of a major version.
func packagePath(pkg *types.Package) string {
	if pkg == nil {
		return ""
	}
	return strings.TrimSuffix(majorVersion.ReplaceAllString(pkg.Path(), "/"), "/")
}

// typeName returns the path and name of a named type, also behind a pointer.
func typeName(t types.Type) string {
	if t == nil {
		return ""
	}
	t = types.Unalias(t)
	if p, ok := t.(*types.Pointer); ok {
		t = types.Unalias(p.Elem())
	}
	named, ok := t.(*types.Named)
	if !ok || named.Obj().Pkg() == nil {
		return ""
	}
	return packagePath(named.Obj().Pkg()) + "." + named.Obj().Name()
}

// callee returns the function or method of a call, nil for a value of a function type.
func callee(info *types.Info, call *ast.CallExpr) *types.Func {
	fn, _ := typeutil.Callee(info, call).(*types.Func)
	if fn == nil {
		return nil
	}
	return fn.Origin()
}

func signature(fn *types.Func) *types.Signature { return fn.Type().(*types.Signature) }

// funcName returns "path.Func" or "path.Type.Method".
func funcName(fn *types.Func) string {
	if fn == nil {
		return ""
	}
	if recv := signature(fn).Recv(); recv != nil {
		return typeName(recv.Type()) + "." + fn.Name()
	}
	return packagePath(fn.Pkg()) + "." + fn.Name()
}

// shortName returns "pkg.Func" or "pkg.Type.Method", for messages.
func shortName(fn *types.Func) string {
	name := funcName(fn)
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		name = name[i+1:]
	}
	return name
}

// receiver returns x of a method call x.M().
func receiver(info *types.Info, call *ast.CallExpr) (*ast.SelectorExpr, bool) {
	sel, ok := ast.Unparen(call.Fun).(*ast.SelectorExpr)
	if !ok {
		return nil, false
	}
	s := info.Selections[sel]
	return sel, s != nil && s.Kind() == types.MethodVal
}

func isContext(t types.Type) bool { return typeName(t) == "context.Context" }

// firstIsContext reports whether a function takes a context first.
func firstIsContext(fn *types.Func) bool {
	params := signature(fn).Params()
	return params.Len() > 0 && isContext(params.At(0).Type())
}

func isNil(info *types.Info, e ast.Expr) bool {
	return info.Types[e].IsNil()
}

// set makes a set of the words of a text.
func set(words string) map[string]bool {
	s := make(map[string]bool)
	for _, w := range strings.Fields(words) {
		s[w] = true
	}
	return s
}
