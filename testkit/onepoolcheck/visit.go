package onepoolcheck

import (
	"go/ast"
	"slices"
)

// visit calls found for each call that happens while node runs. visit follows neither go
// statements nor function literals that node keeps for later. Deferred calls count if deferred
// is true. If eager is true, visit takes for granted that an unknown function calls a literal
// among the arguments.
func (f *functions) visit(node ast.Node, deferred, eager bool, found func(*ast.CallExpr)) {
	v := visitor{f: f, deferred: deferred, eager: eager, found: found, seen: make(map[*ast.FuncLit]bool)}
	v.walk(node)
}

type visitor struct {
	f        *functions
	deferred bool
	eager    bool
	found    func(*ast.CallExpr)
	seen     map[*ast.FuncLit]bool
}

func (v *visitor) walk(node ast.Node) {
	ast.Inspect(node, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt, *ast.FuncLit:
			return false
		case *ast.DeferStmt:
			return v.deferred
		case *ast.CallExpr:
			v.call(n)
			return false
		}
		return true
	})
}

func (v *visitor) call(call *ast.CallExpr) {
	v.found(call)
	if lit := v.f.literal(call.Fun); lit != nil {
		v.body(lit)
	} else {
		v.walk(call.Fun)
	}
	for i, arg := range call.Args {
		if lit := v.f.literal(arg); lit != nil && v.f.runsNow(call, i, v.eager) {
			v.body(lit)
			continue
		}
		v.walk(arg)
	}
}

func (v *visitor) body(lit *ast.FuncLit) {
	if v.seen[lit] {
		return
	}
	v.seen[lit] = true
	v.walk(lit.Body)
}

// laterNames are functions that keep a function among the arguments for later.
var laterNames = set("AfterFunc AfterCommit afterCommit OnCommit OnRollback OnClose Cleanup AddCleanup SetFinalizer HandleFunc Handle append make " +
	"Provide Invoke Decorate Annotate Supply Hook StartHook StopHook StartStopHook OnceFunc OnceValue OnceValues RegisterOnShutdown")

// nowNames are functions of the standard library that call a function among the arguments.
var nowNames = set("Do Func SortFunc SortStableFunc IndexFunc ContainsFunc DeleteFunc Slice SliceStable Search Walk WalkDir")

// runsNow reports whether a call runs the function in the argument.
func (f *functions) runsNow(call *ast.CallExpr, arg int, eager bool) bool {
	name := calledName(call)
	if s := f.summaries[callee(f.pass.TypesInfo, call)]; s != nil && slices.Contains(s.Calls, arg) {
		return true
	}
	return starters[name] || nowNames[name] || eager && !laterNames[name]
}
