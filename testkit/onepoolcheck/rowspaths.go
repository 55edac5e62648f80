package onepoolcheck

import (
	"go/ast"
	"go/token"
	"go/types"

	"golang.org/x/tools/go/cfg"
)

// follow walks all paths from the statement on, until the rows are closed.
func (o *openRows) follow(graph *cfg.CFG) {
	type state struct {
		block *cfg.Block
		err   types.Object
	}
	seen := make(map[state]bool)
	var walk func(b *cfg.Block, from int, err types.Object)
	walk = func(b *cfg.Block, from int, err types.Object) {
		for _, node := range b.Nodes[from:] {
			if o.fills(node) {
				o.over = true
				return
			}
			if o.closes(node) || o.closedByAssertion(node, err) {
				return
			}
			if ret, ok := node.(*ast.ReturnStmt); ok {
				o.exits = append(o.exits, ret)
				return
			}
			err = o.errorAfter(node, err)
		}
		for i, next := range b.Succs {
			if len(b.Succs) == 2 && len(b.Nodes) > 0 {
				if cond, ok := b.Nodes[len(b.Nodes)-1].(ast.Expr); ok && o.closedIf(cond, i == 0, err) {
					continue
				}
			}
			if s := (state{next, err}); !seen[s] {
				seen[s] = true
				walk(next, 0, err)
			}
		}
	}
	for _, b := range graph.Blocks {
		for i, node := range b.Nodes {
			if node == o.stmt && b.Live {
				walk(b, i+1, o.err)
			}
		}
	}
}

// fills reports whether a node assigns the variable.
func (o *openRows) fills(node ast.Node) bool {
	if node == o.stmt {
		return true
	}
	assign, ok := node.(*ast.AssignStmt)
	if !ok || !assigns(o.info, node, o.v) {
		return false
	}
	for _, rhs := range assign.Rhs {
		if uses(o.info, rhs, o.v) {
			return false
		}
	}
	return true
}

// errorAfter returns the variable that holds an error only after the rows are closed.
func (o *openRows) errorAfter(node ast.Node, err types.Object) types.Object {
	assign, ok := node.(*ast.AssignStmt)
	if !ok {
		return err
	}
	if len(assign.Rhs) == 1 && o.kind == pgxPath+".Rows" {
		if call, ok := ast.Unparen(assign.Rhs[0]).(*ast.CallExpr); ok {
			if sel, ok := receiver(o.info, call); ok && isObject(o.info, sel.X, o.v) && closing[sel.Sel.Name] {
				if id, ok := assign.Lhs[len(assign.Lhs)-1].(*ast.Ident); ok {
					return o.info.ObjectOf(id)
				}
			}
		}
	}
	if assigns(o.info, node, err) {
		return nil
	}
	return err
}

// closing are the methods of pgx.Rows that close the rows before the methods return an error.
var closing = set("Scan Values Err")

// closedIf reports whether the rows are closed if the condition has the value.
func (o *openRows) closedIf(cond ast.Expr, value bool, err types.Object) bool {
	switch c := ast.Unparen(cond).(type) {
	case *ast.UnaryExpr:
		return c.Op == token.NOT && o.closedIf(c.X, !value, err)
	case *ast.BinaryExpr:
		switch c.Op {
		case token.LAND, token.LOR:
			x, y := o.closedIf(c.X, value, err), o.closedIf(c.Y, value, err)
			if (c.Op == token.LAND) == value {
				return x || y // both parts have the value
			}
			return x && y
		case token.EQL, token.NEQ:
			if !isNil(o.info, c.Y) {
				return false
			}
			equal := (c.Op == token.EQL) == value
			return isObject(o.info, c.X, err) && !equal || isObject(o.info, c.X, o.v) && equal || o.failedDirectly(c.X) && !equal
		}
	case *ast.CallExpr:
		if sel, ok := receiver(o.info, c); ok && isObject(o.info, sel.X, o.v) {
			return sel.Sel.Name == "Next" && !value
		}
		name := funcName(callee(o.info, c))
		return value && (name == "errors.Is" || name == "errors.As") && isObject(o.info, c.Args[0], err)
	}
	return false
}

// failedDirectly reports whether an expression is rows.Scan(…) itself.
func (o *openRows) failedDirectly(e ast.Expr) bool {
	call, ok := ast.Unparen(e).(*ast.CallExpr)
	if !ok || o.kind != pgxPath+".Rows" {
		return false
	}
	sel, ok := receiver(o.info, call)
	return ok && isObject(o.info, sel.X, o.v) && closing[sel.Sel.Name]
}

// closes reports whether a node closes the rows, or hands the rows to code that may close
// the rows.
func (o *openRows) closes(node ast.Node) bool {
	closed := false
	if o.v == nil {
		return false
	}
	ast.PreorderStack(node, nil, func(n ast.Node, stack []ast.Node) bool {
		id, ok := n.(*ast.Ident)
		if ok && o.info.Uses[id] == o.v && !o.keepsOpen(id, stack) {
			closed = true
		}
		return !closed
	})
	return closed
}

// closedByAssertion reports whether the rows are closed if a test's assertion holds.
func (o *openRows) closedByAssertion(node ast.Node, err types.Object) bool {
	a, ok := asserts(o.info, node)
	if !ok {
		return false
	}
	switch a.name {
	case "True", "False":
		return o.closedIf(a.args[0], a.name == "True", err)
	}
	return a.wantsFailure(o.info, err)
}

// keepsOpen reports whether a use of the variable leaves the rows open.
func (o *openRows) keepsOpen(id *ast.Ident, stack []ast.Node) bool {
	if len(stack) == 0 {
		return true
	}
	switch parent := stack[len(stack)-1].(type) {
	case *ast.SelectorExpr:
		if len(stack) < 2 || parent.X != id {
			return false
		}
		call, ok := stack[len(stack)-2].(*ast.CallExpr)
		return ok && call.Fun == parent && parent.Sel.Name != "Close"
	case *ast.BinaryExpr:
		return true
	case *ast.AssignStmt:
		return len(parent.Lhs) == 1 && isBlank(parent.Lhs[0])
	case *ast.CallExpr:
		return o.cannotClose(parent, id)
	}
	return false
}

func isBlank(e ast.Expr) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == "_"
}

// cannotClose reports whether the called function gets the rows by an interface without Close.
func (o *openRows) cannotClose(call *ast.CallExpr, id *ast.Ident) bool {
	sig, ok := o.info.TypeOf(call.Fun).(*types.Signature)
	if !ok {
		return false
	}
	for i, arg := range call.Args {
		if ast.Unparen(arg) != id || i >= sig.Params().Len() {
			continue
		}
		iface, ok := sig.Params().At(i).Type().Underlying().(*types.Interface)
		if !ok || iface.NumMethods() == 0 {
			return false
		}
		for m := range iface.NumMethods() {
			if iface.Method(m).Name() == "Close" {
				return false
			}
		}
		return true
	}
	return false
}

func uses(info *types.Info, node ast.Node, obj types.Object) bool {
	found := false
	ast.Inspect(node, func(n ast.Node) bool {
		id, ok := n.(*ast.Ident)
		found = found || ok && info.ObjectOf(id) == obj
		return !found
	})
	return found
}
