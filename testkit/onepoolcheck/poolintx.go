package onepoolcheck

import (
	"go/ast"
	"go/types"

	"golang.org/x/tools/go/analysis"
)

// PoolInTx reports a second connection in a transaction's own code.
var PoolInTx = &analysis.Analyzer{
	Name: "poolintx",
	Doc: `report a use of the pool inside the pool's own transaction

The transaction holds a connection of the pool. If each holder waits for a second
connection, a full pool stands still for ever. Also, the second connection does not see the
transaction's writes. The analyzer follows struct fields, closures, methods and wrappers:

	db.InTx(ctx, opts, func(tx pgx.Tx) error {
		return s.load(ctx) // load calls s.db.Query: hand tx to load
	})

and the code between Begin and Commit.`,
	URL:      docURL,
	Requires: []*analysis.Analyzer{functionsAnalyzer},
	Run:      runPoolInTx,
}

func runPoolInTx(pass *analysis.Pass) (any, error) {
	f := pass.ResultOf[functionsAnalyzer].(*functions)
	r, err := newReporter(pass)
	if err != nil {
		return nil, err
	}
	for _, decl := range f.decls {
		for _, reg := range f.regions(decl) {
			for _, node := range reg.nodes {
				f.visit(node, reg.deferred, true, func(call *ast.CallExpr) { f.checkPool(r, reg, call, f.taken(call)) })
			}
			if reg.ref != nil {
				f.checkPool(r, reg, reg.ref, f.takenByReference(reg.ref))
			}
		}
	}
	return nil, nil
}

func (f *functions) checkPool(r *reporter, reg region, at ast.Expr, pools []valuePath) {
	for _, pool := range pools {
		if pool != reg.pool {
			continue
		}
		what := "the transaction's function"
		if call, ok := at.(*ast.CallExpr); ok {
			what = shortName(callee(f.pass.TypesInfo, call))
		}
		r.report(at, what+" takes a second connection of "+pool.String()+" while the transaction holds one: use the transaction")
		return
	}
}

// takenByReference returns the pools whose connections a declared function takes with any
// arguments.
func (f *functions) takenByReference(ref ast.Expr) (pools []valuePath) {
	fn := f.declared(ref)
	if fn == nil || f.summaries[fn] == nil {
		return nil
	}
	for _, u := range f.summaries[fn].Uses {
		if u.Root < 0 {
			pools = append(pools, f.absolute(u, fn, ref, nil))
		}
	}
	return pools
}

// declared returns the function that an expression names.
func (f *functions) declared(e ast.Expr) *types.Func {
	var id *ast.Ident
	switch e := ast.Unparen(e).(type) {
	case *ast.Ident:
		id = e
	case *ast.SelectorExpr:
		id = e.Sel
	case *ast.IndexExpr:
		return f.declared(e.X)
	case *ast.IndexListExpr:
		return f.declared(e.X)
	default:
		return nil
	}
	fn, _ := f.pass.TypesInfo.Uses[id].(*types.Func)
	if fn == nil {
		return nil
	}
	return fn.Origin()
}
