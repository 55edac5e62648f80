package onepoolcheck

import (
	"go/ast"

	"golang.org/x/tools/go/analysis"
)

// TxIO reports calls over the network, and locks, while a transaction holds a connection.
var TxIO = &analysis.Analyzer{
	Name: "txio",
	Doc: `report a network call or a lock inside a transaction

A transaction holds a connection and row locks. A slow peer, or the holder of a mutex that
waits for a connection, holds the whole pool:

	db.InTx(ctx, opts, func(tx pgx.Tx) error {
		...
		_, err := http.Post(hook, "application/json", body) // after the commit instead
		return err
	})`,
	URL:      docURL,
	Requires: []*analysis.Analyzer{functionsAnalyzer},
	Run:      runTxIO,
}

func runTxIO(pass *analysis.Pass) (any, error) {
	f := pass.ResultOf[functionsAnalyzer].(*functions)
	r, err := newReporter(pass)
	if err != nil {
		return nil, err
	}
	for _, decl := range f.decls {
		for _, reg := range f.regions(decl) {
			for _, node := range reg.nodes {
				f.visit(node, reg.deferred, true, func(call *ast.CallExpr) { f.checkIO(r, call) })
			}
			if fn := f.declared(reg.ref); fn != nil && f.summaries[fn] != nil && f.sameProgram(fn.Pkg()) {
				if network := f.summaries[fn].Network; network != "" {
					r.report(reg.ref, "the transaction's function calls "+network+" while the transaction holds a connection: call before Begin or after the commit")
				}
			}
		}
	}
	return nil, nil
}

func (f *functions) checkIO(r *reporter, call *ast.CallExpr) {
	fn := callee(f.pass.TypesInfo, call)
	if fn == nil {
		return
	}
	if locks[funcName(fn)] {
		r.report(call, shortName(fn)+" waits for a lock while the transaction holds a connection: lock before Begin or after the commit")
		return
	}
	network := f.network(call)
	if network == "" {
		return
	}
	name := shortName(fn)
	if name != network {
		name += " (which calls " + network + ")"
	}
	r.report(call, name+" waits for the network while the transaction holds a connection: call before Begin or after the commit")
}
