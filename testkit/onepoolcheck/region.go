package onepoolcheck

import (
	"go/ast"
	"go/token"
	"go/types"
	"regexp"

	"golang.org/x/tools/go/cfg"
)

// region is code that runs while a transaction holds a connection of the pool.
type region struct {
	pool     valuePath
	nodes    []ast.Node
	deferred bool     // deferred calls of the nodes run inside too
	ref      ast.Expr // a declared function that was handed in, instead of nodes
}

// regions finds the transactions of a declaration, and of the function literals inside.
func (f *functions) regions(decl *ast.FuncDecl) (found []region) {
	bodies := []*ast.BlockStmt{decl.Body}
	ast.Inspect(decl.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			bodies = append(bodies, n.Body)
		case *ast.CallExpr:
			found = append(found, f.handedIn(n)...)
		}
		return true
	})
	for _, body := range bodies {
		found = append(found, f.betweenBeginAndCommit(body)...)
	}
	return found
}

// handedIn returns the functions that a call runs in a transaction.
func (f *functions) handedIn(call *ast.CallExpr) (found []region) {
	info := f.pass.TypesInfo
	fn := callee(info, call)
	if fn == nil {
		return nil
	}
	add := func(arg ast.Expr, pool valuePath) {
		if !pool.known() || f.isTransaction(pool) {
			return
		}
		if lit := f.literal(arg); lit != nil {
			found = append(found, region{pool: pool, nodes: []ast.Node{lit.Body}, deferred: true})
		} else {
			found = append(found, region{pool: pool, ref: arg})
		}
	}
	if s := f.summaries[fn]; s != nil && len(s.Runs) > 0 {
		for _, run := range s.Runs {
			if run.Param < len(call.Args) {
				add(call.Args[run.Param], f.absolute(run.Pool, fn, call.Fun, call.Args))
			}
		}
		return found
	}
	var pool valuePath
	sel, method := receiver(info, call)
	switch {
	case beginners[funcName(fn)] && len(call.Args) > 1 && !inTransaction[typeName(info.TypeOf(call.Args[1]))]:
		pool = f.pathOf(call.Args[1])
	case method && starters[fn.Name()] && f.takesConnection(call):
		pool = embedded(f.pathOf(sel.X), info.Selections[sel], false)
	default:
		return nil
	}
	for _, arg := range call.Args {
		if _, ok := info.TypeOf(arg).Underlying().(*types.Signature); ok {
			add(arg, pool)
		}
	}
	return found
}

// isTransaction reports whether a path is the parameter of a transaction's function. The
// parameter has a pool's type, and the transaction's connection.
func (f *functions) isTransaction(p valuePath) bool {
	v, ok := p.root.(*types.Var)
	if !ok || p.fields != "" || !f.isTransactor(v.Type()) {
		return false
	}
	for fn := range f.decls {
		if paramIndex(fn, v) >= 0 {
			return false
		}
	}
	return f.defs[v].count == 0 && v.Parent() != f.pass.Pkg.Scope()
}

// finishes are names of functions that end the transaction in an argument.
var finishes = regexp.MustCompile(`(?i)commit|rollback|finish|close|done|end`)

// opened is a transaction after Begin.
type opened struct {
	tx, err types.Object
	pool    valuePath
}

// betweenBeginAndCommit follows the control flow of a body from each Begin.
func (f *functions) betweenBeginAndCommit(body *ast.BlockStmt) (found []region) {
	begins := f.begins(body)
	if len(begins) == 0 {
		return nil
	}
	graph := cfg.New(body, func(call *ast.CallExpr) bool { return mayReturn(f.pass.TypesInfo, call) })
	for _, block := range graph.Blocks {
		for i, node := range block.Nodes {
			if o, ok := begins[node]; ok && block.Live {
				found = append(found, region{pool: o.pool, nodes: f.untilEnd(block, i+1, o)})
			}
		}
	}
	return found
}

// begins finds tx, err := pool.Begin(ctx), not in the function literals of the body.
func (f *functions) begins(body *ast.BlockStmt) map[ast.Node]opened {
	info := f.pass.TypesInfo
	begins := make(map[ast.Node]opened)
	ast.Inspect(body, func(n ast.Node) bool {
		if _, ok := n.(*ast.FuncLit); ok {
			return false
		}
		assign, ok := n.(*ast.AssignStmt)
		if !ok || len(assign.Lhs) != 2 || len(assign.Rhs) != 1 {
			return true
		}
		call, ok := ast.Unparen(assign.Rhs[0]).(*ast.CallExpr)
		if !ok || !f.takesConnection(call) {
			return true
		}
		fn := callee(info, call)
		tx, ok := ast.Unparen(assign.Lhs[0]).(*ast.Ident)
		if !ok || tx.Name == "_" || signature(fn).Results().Len() != 2 || !inTransaction[typeName(signature(fn).Results().At(0).Type())] || fn.Name() == "Acquire" || fn.Name() == "Conn" {
			return true
		}
		sel, _ := receiver(info, call)
		o := opened{tx: info.ObjectOf(tx), pool: embedded(f.pathOf(sel.X), info.Selections[sel], false)}
		if id, ok := assign.Lhs[1].(*ast.Ident); ok {
			o.err = info.ObjectOf(id)
		}
		if o.pool.known() {
			begins[assign] = o
		}
		return true
	})
	return begins
}

// untilEnd collects the nodes from a place on, up to the transaction's end on each path.
func (f *functions) untilEnd(block *cfg.Block, from int, o opened) (nodes []ast.Node) {
	type state struct {
		block *cfg.Block
		err   bool // the error is still Begin's
	}
	seen := make(map[state]bool)
	var walk func(b *cfg.Block, from int, err bool)
	walk = func(b *cfg.Block, from int, err bool) {
		for _, node := range b.Nodes[from:] {
			if f.ends(node, o.tx) {
				return
			}
			if a, ok := asserts(f.pass.TypesInfo, node); ok && err && a.wantsFailure(f.pass.TypesInfo, o.err) {
				return // Begin failed
			}
			if _, ok := node.(*ast.DeferStmt); ok {
				continue
			}
			err = err && !assigns(f.pass.TypesInfo, node, o.err)
			nodes = append(nodes, node)
		}
		for i, next := range b.Succs {
			if err && len(b.Succs) == 2 && i == failed(f.pass.TypesInfo, b, o.err) {
				continue // Begin failed: no connection is held
			}
			if s := (state{next, err}); !seen[s] {
				seen[s] = true
				walk(next, 0, err)
			}
		}
	}
	walk(block, from, o.err != nil)
	return nodes
}

// failed returns the block's successor for a non-nil err, -1 for no test of err.
func failed(info *types.Info, b *cfg.Block, err types.Object) int {
	if len(b.Nodes) == 0 {
		return -1
	}
	cond, ok := b.Nodes[len(b.Nodes)-1].(*ast.BinaryExpr)
	if !ok || !isNil(info, cond.Y) || !isObject(info, cond.X, err) {
		return -1
	}
	switch cond.Op {
	case token.NEQ:
		return 0
	case token.EQL:
		return 1
	}
	return -1
}

func isObject(info *types.Info, e ast.Expr, obj types.Object) bool {
	id, ok := ast.Unparen(e).(*ast.Ident)
	return ok && obj != nil && info.ObjectOf(id) == obj
}

func assigns(info *types.Info, node ast.Node, obj types.Object) bool {
	assign, ok := node.(*ast.AssignStmt)
	if !ok {
		return false
	}
	for _, lhs := range assign.Lhs {
		if isObject(info, lhs, obj) {
			return true
		}
	}
	return false
}

// ends reports whether a node commits, rolls back or replaces the transaction.
func (f *functions) ends(node ast.Node, tx types.Object) bool {
	if assigns(f.pass.TypesInfo, node, tx) {
		return true
	}
	ended := false
	f.visit(node, false, false, func(call *ast.CallExpr) {
		sel, method := receiver(f.pass.TypesInfo, call)
		if method && isObject(f.pass.TypesInfo, sel.X, tx) {
			ended = ended || sel.Sel.Name == "Commit" || sel.Sel.Name == "Rollback"
			return
		}
		for _, arg := range call.Args {
			if isObject(f.pass.TypesInfo, arg, tx) && finishes.MatchString(calledName(call)) {
				ended = true
			}
		}
	})
	return ended
}

func calledName(call *ast.CallExpr) string {
	switch fun := ast.Unparen(call.Fun).(type) {
	case *ast.Ident:
		return fun.Name
	case *ast.SelectorExpr:
		return fun.Sel.Name
	}
	return ""
}

// mayReturn is false for a call that ends the function.
func mayReturn(info *types.Info, call *ast.CallExpr) bool {
	if id, ok := ast.Unparen(call.Fun).(*ast.Ident); ok && id.Name == "panic" {
		if _, builtin := info.Uses[id].(*types.Builtin); builtin {
			return false
		}
	}
	return !neverReturn[funcName(callee(info, call))]
}

var neverReturn = set("os.Exit runtime.Goexit log.Fatal log.Fatalf log.Fatalln log.Logger.Fatal log.Logger.Fatalf " +
	"testing.common.Fatal testing.common.Fatalf testing.common.FailNow testing.common.Skip testing.common.Skipf testing.common.SkipNow " +
	"testing.TB.Fatal testing.TB.Fatalf testing.TB.FailNow")
