package onepoolcheck

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"strings"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/passes/inspect"
	"golang.org/x/tools/go/ast/inspector"
	"golang.org/x/tools/go/cfg"
)

// RowsOpen reports rows and batch results that a path leaves open.
var RowsOpen = &analysis.Analyzer{
	Name: "rowsopen",
	Doc: `report rows or batch results that a path leaves open

Open rows hold a connection. pgx closes rows if Next returns false, if Scan or Values fails,
and in pgx.CollectRows, pgx.ForEachRow and the like. A break or a return inside of the loop
leaves the rows open. Batch results end with Close alone:

	rows, err := db.Query(ctx, "…")
	if err != nil {
		return err
	}
	defer rows.Close() // the suggested fix
	for rows.Next() {
		if found { return nil }
	}

The analyzer knows pgx.Rows, pgx.BatchResults and *sql.Rows.`,
	URL:      docURL,
	Requires: []*analysis.Analyzer{inspect.Analyzer},
	Run:      runRowsOpen,
}

// closables maps a type to the word for a message.
var closables = map[string]string{
	pgxPath + ".Rows": "rows", pgxPath + ".BatchResults": "batch results", "database/sql.Rows": "rows",
}

func runRowsOpen(pass *analysis.Pass) (any, error) {
	r, err := newReporter(pass)
	if err != nil {
		return nil, err
	}
	in := pass.ResultOf[inspect.Analyzer].(*inspector.Inspector)
	in.Preorder([]ast.Node{(*ast.FuncDecl)(nil), (*ast.FuncLit)(nil)}, func(n ast.Node) {
		switch fn := n.(type) {
		case *ast.FuncDecl:
			if fn.Body != nil {
				checkBody(r, fn.Body)
			}
		case *ast.FuncLit:
			checkBody(r, fn.Body)
		}
	})
	return nil, nil
}

// openRows is a variable with rows, from the statement on that fills the variable.
type openRows struct {
	info  *types.Info
	stmt  ast.Node
	call  *ast.CallExpr
	kind  string // the type's name
	v     types.Object
	err   types.Object
	exits []*ast.ReturnStmt
	over  bool // a statement fills the variable again while the rows are open
}

// checkBody looks at a function's body, less the function literals inside.
func checkBody(r *reporter, body *ast.BlockStmt) {
	var graph *cfg.CFG
	ast.PreorderStack(body, nil, func(n ast.Node, stack []ast.Node) bool {
		if _, ok := n.(*ast.FuncLit); ok {
			return false
		}
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		index, kind := opens(r.pass.TypesInfo, call)
		if index < 0 {
			return true
		}
		if graph == nil {
			graph = cfg.New(body, func(c *ast.CallExpr) bool { return mayReturn(r.pass.TypesInfo, c) })
		}
		checkOpening(r, graph, call, index, kind, stack, body)
		return true
	})
}

// opens returns the index of a call's result that the caller must close, -1 for none.
func opens(info *types.Info, call *ast.CallExpr) (index int, kind string) {
	fn := callee(info, call)
	if fn == nil || !firstIsContext(fn) && !strings.HasPrefix(fn.Name(), "Query") {
		return -1, "" // the function makes a value, and asks no server
	}
	switch t := info.TypeOf(call).(type) {
	case *types.Tuple:
		for i := range t.Len() {
			if name := typeName(t.At(i).Type()); closables[name] != "" {
				return i, name
			}
		}
	case types.Type:
		if name := typeName(t); closables[name] != "" {
			return 0, name
		}
	}
	return -1, ""
}

// checkOpening decides by the statement around the call.
func checkOpening(r *reporter, graph *cfg.CFG, call *ast.CallExpr, index int, kind string, stack []ast.Node, body *ast.BlockStmt) {
	word := closables[kind]
	var lhs []ast.Expr
	switch parent := stack[len(stack)-1].(type) {
	case *ast.ExprStmt:
		r.report(call, "the "+word+" are dropped and stay open: close the "+word+", or use Exec")
		return
	case *ast.SelectorExpr:
		if kind == pgxPath+".BatchResults" && strings.HasPrefix(parent.Sel.Name, "Query") || parent.Sel.Name == "Exec" {
			r.report(call, "nobody can close the batch results of this call: keep them in a variable and close them")
		}
		return
	case *ast.AssignStmt:
		lhs = parent.Lhs
		if len(parent.Lhs) == len(parent.Rhs) {
			for i, rhs := range parent.Rhs {
				if ast.Unparen(rhs) == call {
					lhs = parent.Lhs[i : i+1]
				}
			}
		}
	case *ast.ValueSpec:
		for _, name := range parent.Names {
			lhs = append(lhs, name)
		}
	default:
		return
	}
	if index >= len(lhs) {
		return
	}
	id, ok := lhs[index].(*ast.Ident)
	if !ok {
		return
	}
	o := &openRows{info: r.pass.TypesInfo, stmt: stack[len(stack)-1], call: call, kind: kind}
	if id.Name != "_" {
		o.v = r.pass.TypesInfo.ObjectOf(id)
	}
	for i, e := range lhs {
		if errID, ok := e.(*ast.Ident); ok && i != index {
			o.err = o.info.ObjectOf(errID)
		}
	}
	if o.v == nil { // the blank identifier
		if o.follow(graph); o.over || len(o.exits) > 0 {
			r.report(call, "the "+word+" are dropped and stay open: close the "+word+", or use Exec")
		}
		return
	}
	if !o.isLocal(body) {
		return
	}
	o.follow(graph)
	o.report(r, stack, word)
}

func (o *openRows) report(r *reporter, stack []ast.Node, word string) {
	switch {
	case o.over:
		r.report(o.call, fmt.Sprintf("the %s of %s stay open if the loop fills %s again: close the %s before", word, o.v.Name(), o.v.Name(), word))
	case len(o.exits) > 0:
		line := r.line(o.exits[0].Pos())
		r.report(o.call, fmt.Sprintf("the %s stay open on the path that ends in line %d: close the %s, for example by defer %s.Close()", word, line, word, o.v.Name()), o.fix(r, stack)...)
	}
}

// isLocal reports whether the body alone can close the variable's rows.
func (o *openRows) isLocal(body *ast.BlockStmt) bool {
	if o.v.Pos() < body.Pos() || o.v.Pos() > body.End() {
		return false
	}
	captured := false
	ast.Inspect(body, func(n ast.Node) bool {
		lit, ok := n.(*ast.FuncLit)
		if ok && uses(o.info, lit, o.v) {
			captured = true
		}
		if u, ok := n.(*ast.UnaryExpr); ok && u.Op == token.AND && isObject(o.info, u.X, o.v) {
			captured = true
		}
		return !ok && !captured
	})
	return !captured
}

// fix adds defer rows.Close() after the check of the query's error, outside of loops.
func (o *openRows) fix(r *reporter, stack []ast.Node) []analysis.SuggestedFix {
	if o.kind == pgxPath+".BatchResults" { // the error of Close says whether the batch was committed
		return nil
	}
	if len(stack) < 2 {
		return nil
	}
	for _, n := range stack {
		switch n.(type) {
		case *ast.ForStmt, *ast.RangeStmt:
			return nil
		}
	}
	block, ok := stack[len(stack)-2].(*ast.BlockStmt)
	if !ok {
		return nil
	}
	for i, stmt := range block.List {
		if stmt != o.stmt || i+1 >= len(block.List) {
			continue
		}
		check, ok := block.List[i+1].(*ast.IfStmt)
		if !ok || check.Init != nil || check.Else != nil || !o.closedIf(check.Cond, true, o.err) || !leaves(check.Body) {
			return nil
		}
		indent := strings.Repeat("\t", r.pass.Fset.Position(stmt.Pos()).Column-1)
		return []analysis.SuggestedFix{{Message: "Close the rows when the function ends", TextEdits: []analysis.TextEdit{{
			Pos: check.End(), End: check.End(), NewText: []byte("\n" + indent + "defer " + o.v.Name() + ".Close()")}}}}
	}
	return nil
}

// leaves reports whether a block ends with a return.
func leaves(block *ast.BlockStmt) bool {
	if len(block.List) == 0 {
		return false
	}
	_, ok := block.List[len(block.List)-1].(*ast.ReturnStmt)
	return ok
}
