package onepoolcheck

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/types"
	"strings"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/passes/inspect"
	"golang.org/x/tools/go/ast/inspector"
)

// TenantLost reports a context without the tenant of the function's own context.
var TenantLost = &analysis.Analyzer{
	Name: "tenantlost",
	Doc: `report context.Background() if the function has a context, and tenant.System without a reason

The tenant travels in the context. context.Background() and context.TODO() lose the tenant:

	func (s *Store) Save(ctx context.Context) error {
		_, err := s.db.Exec(context.Background(), "…") // ctx, or context.WithoutCancel(ctx)
		return err
	}

The suggested fix is context.WithoutCancel(ctx): the call keeps the tenant, and no caller
cancels the call, as before. tenant.System lifts the limits of tenants: the reason is a
constant text, for a search to find the reason.`,
	URL:      docURL,
	Requires: []*analysis.Analyzer{functionsAnalyzer, inspect.Analyzer},
	Run:      runTenantLost,
}

func runTenantLost(pass *analysis.Pass) (any, error) {
	f := pass.ResultOf[functionsAnalyzer].(*functions)
	r, err := newReporter(pass)
	if err != nil {
		return nil, err
	}
	in := pass.ResultOf[inspect.Analyzer].(*inspector.Inspector)
	in.WithStack([]ast.Node{(*ast.CallExpr)(nil)}, func(n ast.Node, push bool, stack []ast.Node) bool {
		if call := n.(*ast.CallExpr); push {
			f.checkReason(r, call)
			f.checkContext(r, call, stack)
		}
		return true
	})
	return nil, nil
}

func (f *functions) checkReason(r *reporter, call *ast.CallExpr) {
	if funcName(callee(f.pass.TypesInfo, call)) != tenantPath+".System" || len(call.Args) != 2 {
		return
	}
	reason := f.pass.TypesInfo.Types[call.Args[1]].Value
	switch {
	case reason == nil:
		r.report(call.Args[1], "tenant.System needs a constant reason: a reader must find the text")
	case strings.TrimSpace(constant.StringVal(reason)) == "":
		r.report(call.Args[1], "tenant.System needs a reason: say why the work belongs to no tenant")
	}
}

func (f *functions) checkContext(r *reporter, call *ast.CallExpr, stack []ast.Node) {
	fn := callee(f.pass.TypesInfo, call)
	if fn == nil || len(call.Args) == 0 || !firstIsContext(fn) || !carriesTenant(fn, stack) {
		return
	}
	lost := f.lost(call.Args[0], 0)
	if lost == nil {
		return
	}
	has := f.ownContext(stack, call)
	if has == "" {
		return
	}
	var fixes []analysis.SuggestedFix
	if sel, ok := lost.Fun.(*ast.SelectorExpr); ok && has != "_" && f.ownContext(stack, lost) == has {
		if pkg, ok := sel.X.(*ast.Ident); ok {
			text := fmt.Sprintf("%s.WithoutCancel(%s)", pkg.Name, has)
			fixes = append(fixes, analysis.SuggestedFix{Message: "Keep the values of the function's context",
				TextEdits: []analysis.TextEdit{{Pos: lost.Pos(), End: lost.End(), NewText: []byte(text)}}})
		}
	}
	r.report(call.Args[0], fmt.Sprintf("%s gets a context without the tenant of the function's own context: hand on the own context, or context.WithoutCancel of the own context", shortName(fn)), fixes...)
}

// carriesTenant reports whether the tenant of a call's context matters: a statement of a
// pool, or a method of a client with a *fxdb.DB.
func carriesTenant(fn *types.Func, stack []ast.Node) bool {
	recv := signature(fn).Recv()
	if recv == nil {
		return false
	}
	switch name := typeName(recv.Type()); {
	case name == fxdbPath+".DB":
		return takers[name][fn.Name()] && fn.Name() != "Ping"
	case takers[name] != nil:
		// A program without tenants cleans up with a new context.
		return takers[name][fn.Name()] && !strings.HasPrefix(fn.Name(), "Ping") && !isDetached(stack)
	}
	return !lifecycleNames[fn.Name()] && holdsDB(recv.Type(), 0)
}

// lifecycleNames are methods of a client outside of requests.
var lifecycleNames = set("Close Stop Shutdown Start Run Ping Listen Serve")

// isDetached reports whether the call is deferred, in a new goroutine, or in a function for a
// test's Cleanup or an AfterFunc: the function's own context may have ended.
func isDetached(stack []ast.Node) bool {
	for i, n := range stack {
		switch n := n.(type) {
		case *ast.DeferStmt, *ast.GoStmt:
			return true
		case *ast.CallExpr:
			if i == len(stack)-1 {
				continue
			}
			_, isFunc := stack[i+1].(*ast.FuncLit)
			if name := calledName(n); isFunc && (name == "Cleanup" || name == "AfterFunc") {
				return true
			}
		}
	}
	return false
}

// holdsDB reports whether a struct has a field of type *fxdb.DB.
func holdsDB(t types.Type, depth int) bool {
	if p, ok := types.Unalias(t).(*types.Pointer); ok {
		t = p.Elem()
	}
	st, ok := t.Underlying().(*types.Struct)
	if !ok || depth > 1 || strings.HasPrefix(typeName(t), fxdbPath) {
		return false
	}
	for i := range st.NumFields() {
		field := st.Field(i).Type()
		if typeName(field) == fxdbPath+".DB" || holdsDB(field, depth+1) {
			return true
		}
	}
	return false
}

// lost returns the call of context.Background or context.TODO at the origin of a context. A
// context with a new identity is not lost.
func (f *functions) lost(e ast.Expr, depth int) *ast.CallExpr {
	if depth > 6 {
		return nil
	}
	switch e := ast.Unparen(e).(type) {
	case *ast.Ident:
		if d := f.defs[f.pass.TypesInfo.ObjectOf(e)]; d.count == 1 && d.value != nil && d.index == 0 {
			return f.lost(d.value, depth+1)
		}
	case *ast.CallExpr:
		fn := callee(f.pass.TypesInfo, e)
		switch name := funcName(fn); {
		case name == "context.Background" || name == "context.TODO":
			return e
		case strings.HasPrefix(name, "context.With") && len(e.Args) > 0:
			return f.lost(e.Args[0], depth+1)
		}
	}
	return nil
}

// ownContext returns the text of the context of the innermost function with a context, "_" for
// a context without a usable name, "" for none.
func (f *functions) ownContext(stack []ast.Node, at ast.Node) string {
	for i := len(stack) - 1; i >= 0; i-- {
		var params *ast.FieldList
		switch fn := stack[i].(type) {
		case *ast.FuncLit:
			params = fn.Type.Params
		case *ast.FuncDecl:
			params = fn.Type.Params
		default:
			continue
		}
		if text := f.contextAmong(params, at); text != "" {
			return text
		}
	}
	return ""
}

func (f *functions) contextAmong(params *ast.FieldList, at ast.Node) string {
	for _, field := range params.List {
		suffix, ok := contextOf[typeName(f.pass.TypesInfo.TypeOf(field.Type))]
		if !ok {
			continue
		}
		if len(field.Names) == 0 {
			return "_"
		}
		name := field.Names[0]
		obj := f.pass.TypesInfo.Defs[name]
		scope := f.pass.Pkg.Scope().Innermost(at.Pos())
		if name.Name == "_" || scope == nil {
			return "_"
		}
		if _, visible := scope.LookupParent(name.Name, at.Pos()); visible != obj || f.defs[obj].count > 0 {
			return "_"
		}
		return name.Name + suffix
	}
	return ""
}

// contextOf maps the type of a parameter to the selector of the parameter's context.
var contextOf = map[string]string{"context.Context": "", "net/http.Request": ".Context()"}
