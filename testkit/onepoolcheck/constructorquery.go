package onepoolcheck

import (
	"go/ast"
	"go/token"
	"go/types"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/passes/inspect"
	"golang.org/x/tools/go/ast/inspector"
)

// ConstructorQuery reports statements of a constructor.
var ConstructorQuery = &analysis.Analyzer{
	Name: "constructorquery",
	Doc: `report a statement in a function that fx calls before the pool starts

fx calls constructors before OnStart. Before OnStart the pool has no connection, and each
statement fails with fxdb.ErrNotStarted:

	fx.Provide(func(db *fxdb.DB) (*Store, error) {
		_, err := db.Exec(ctx, "…") // append a hook with OnStart instead
		return &Store{db}, err
	})

The analyzer looks at functions for fx.Provide, fx.Decorate, fx.Invoke and fxdb.Client.`,
	URL:      docURL,
	Requires: []*analysis.Analyzer{functionsAnalyzer, inspect.Analyzer},
	Run:      runConstructorQuery,
}

func runConstructorQuery(pass *analysis.Pass) (any, error) {
	f := pass.ResultOf[functionsAnalyzer].(*functions)
	r, err := newReporter(pass)
	if err != nil {
		return nil, err
	}
	in := pass.ResultOf[inspect.Analyzer].(*inspector.Inspector)
	in.Preorder([]ast.Node{(*ast.CallExpr)(nil)}, func(n ast.Node) {
		call := n.(*ast.CallExpr)
		switch funcName(callee(pass.TypesInfo, call)) {
		case fxPath + ".Provide", fxPath + ".Decorate", fxPath + ".Invoke":
			for _, arg := range call.Args {
				f.checkConstructor(r, arg)
			}
		case fxdbPath + ".Client":
			if len(call.Args) > 1 {
				f.checkConstructor(r, call.Args[1])
			}
		}
	})
	return nil, nil
}

// checkConstructor reports the constructor's statements on a pool that a caller hands in.
func (f *functions) checkConstructor(r *reporter, arg ast.Expr) {
	arg = ast.Unparen(arg)
	switch a := arg.(type) {
	case *ast.CallExpr:
		if funcName(callee(f.pass.TypesInfo, a)) == fxPath+".Annotate" && len(a.Args) > 0 {
			f.checkConstructor(r, a.Args[0])
		}
		return
	case *ast.CompositeLit:
		for _, element := range a.Elts {
			if kv, ok := element.(*ast.KeyValueExpr); ok && typeName(f.pass.TypesInfo.TypeOf(a)) == fxPath+".Annotated" {
				f.checkConstructor(r, kv.Value)
			}
		}
		return
	}
	var body *ast.BlockStmt
	var from token.Pos // of the parameters
	if lit := f.literal(arg); lit != nil {
		from, body = lit.Pos(), lit.Body
	} else if fn := f.declared(arg); fn != nil {
		if f.decls[fn] == nil {
			f.checkForeign(r, arg, fn)
			return
		}
		from, body = f.decls[fn].Pos(), f.decls[fn].Body
	}
	if body == nil {
		return
	}
	f.visit(body, true, false, func(call *ast.CallExpr) {
		for _, pool := range f.taken(call) {
			if f.isGiven(pool, from, body) && f.isPool(pool) {
				r.report(call, shortName(callee(f.pass.TypesInfo, call))+" runs in a constructor, before the pool starts: run the statement in an OnStart hook")
			}
		}
	})
}

// checkForeign reports a constructor of another package.
func (f *functions) checkForeign(r *reporter, at ast.Expr, fn *types.Func) {
	s := f.summaries[fn]
	if s == nil {
		return
	}
	for _, u := range s.Uses {
		if u.Root >= 0 && u.Root < signature(fn).Params().Len() || u.Root == ofPackage {
			r.report(at, "the constructor "+shortName(fn)+" runs a statement before the pool starts: run the statement in an OnStart hook")
			return
		}
	}
}

// isGiven reports whether the pool is a parameter's or a variable of the package. A pool
// that the body opened, or the function around the body, may be started.
func (f *functions) isGiven(pool valuePath, from token.Pos, body *ast.BlockStmt) bool {
	at := pool.root.Pos()
	return pool.root.Parent() == f.pass.Pkg.Scope() || from <= at && at < body.Pos()
}

// isPool reports whether the last field of the path can be a pool.
func (f *functions) isPool(pool valuePath) bool {
	t := pool.root.Type()
	for fields := pool.fields; fields != ""; {
		var name string
		name, fields = cutField(fields)
		obj, _, _ := types.LookupFieldOrMethod(t, true, f.pass.Pkg, name)
		if obj == nil {
			return true // a getter's result, or a field of another package
		}
		t = obj.Type()
	}
	return takers[typeName(t)] != nil || types.IsInterface(t)
}
