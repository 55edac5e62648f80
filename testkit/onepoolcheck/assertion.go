package onepoolcheck

import (
	"go/ast"
	"go/types"
	"strings"
)

// assertion is a check of testify: the code after the check may count on the check.
type assertion struct {
	name string
	args []ast.Expr // without t
}

// asserts returns a statement as an assertion, and whether the statement asserts.
func asserts(info *types.Info, node ast.Node) (assertion, bool) {
	stmt, ok := node.(*ast.ExprStmt)
	if !ok {
		return assertion{}, false
	}
	call, ok := stmt.X.(*ast.CallExpr)
	if !ok {
		return assertion{}, false
	}
	fn := callee(info, call)
	if fn == nil || !strings.HasPrefix(packagePath(fn.Pkg()), "github.com/stretchr/testify") {
		return assertion{}, false
	}
	args := call.Args
	if signature(fn).Recv() == nil && len(args) > 0 {
		args = args[1:]
	}
	return assertion{strings.TrimSuffix(fn.Name(), "f"), args}, len(args) > 0
}

// failures are the assertions of a non-nil error.
var failures = set("Error ErrorIs ErrorAs ErrorContains EqualError NotNil")

// wantsFailure reports whether the assertion holds only if err is not nil.
func (a assertion) wantsFailure(info *types.Info, err types.Object) bool {
	return failures[a.name] && isObject(info, a.args[0], err)
}
