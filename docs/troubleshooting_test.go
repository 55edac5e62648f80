package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// talking are the folders whose errors and log lines a user meets.
var talking = []string{"fxdb", "fxdb/fxdbsql", "internal/migrate", "internal/scoped", "lifecycle", "tenant", "tenant/rls"}

// parts are messages that stand inside another message of the page only.
var parts = map[string]string{
	"PrepareConn panicked":                         "the panic goes on in the caller",
	"pool can't start: ":                           "the reason follows",
	"the function of InTx panicked":                "tracers alone see the error; the caller sees the panic",
	"probe the server: the server returned no row": "inside of: the server can't be reached",
	"is empty":                               "a reason of rls.CheckTables",
	"is empty or has an empty part":          "a reason of rls.CheckTables",
	"has a double quote that is not closed":  "a reason of rls.CheckTables",
	"goes on behind a closing double quote":  "a reason of rls.CheckTables",
	"has more than two parts: must be table": "a reason of rls.CheckTables",
	"is not valid UTF-8":                     "a reason of rls.CheckTables",
	"holds a control character":              "a reason of rls.CheckTables",
}

func TestThePageOfErrorsHasEveryErrorAndLogLine(t *testing.T) {
	t.Parallel()
	page := read(t, "docs/troubleshooting.md")
	for _, folder := range talking {
		for place, message := range messagesOf(t, folder) {
			if isPart(message) {
				continue
			}
			assertOK(t, strings.Contains(page, message), "docs/troubleshooting.md lacks %q of %s", message, place)
		}
	}
}

func isPart(message string) bool {
	for part := range parts {
		if strings.HasPrefix(message, part) {
			return true
		}
	}
	return false
}

// messagesOf returns the texts of errors.New and of the log lines in a folder, by place. A
// text that a call builds counts up to the first part that is no constant.
func messagesOf(t *testing.T, folder string) map[string]string {
	t.Helper()
	out, err := exec.Command("git", "-C", root, "ls-files", folder+"/*.go").Output()
	require.NoError(t, err)
	all := make(map[string]string)
	for _, file := range strings.Fields(string(out)) {
		if path.Dir(file) != folder || strings.HasSuffix(file, "_test.go") {
			continue
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, filepath.Join(root, file), nil, 0)
		require.NoError(t, err)
		ast.Inspect(f, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				if text := messageOf(call); text != "" {
					all[file+":"+strconv.Itoa(fset.Position(call.Pos()).Line)] = text
				}
			}
			return true
		})
	}
	require.NotEmpty(t, all, folder)
	return all
}

func messageOf(call *ast.CallExpr) string {
	f, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || len(call.Args) == 0 {
		return ""
	}
	switch {
	case isName(f.X, "errors") && f.Sel.Name == "New":
		return constant(call.Args[0])
	case f.Sel.Name == "Log" && len(call.Args) > 1 && isLogger(f.X):
		return constant(call.Args[1])
	case slices.Contains([]string{"Debug", "Info", "Warn", "Error"}, f.Sel.Name) && isLogger(f.X):
		return constant(call.Args[0])
	}
	return ""
}

func isLogger(x ast.Expr) bool {
	if s, ok := x.(*ast.SelectorExpr); ok {
		return strings.EqualFold(s.Sel.Name, "log")
	}
	return isName(x, "log")
}

func isName(x ast.Expr, name string) bool {
	id, ok := x.(*ast.Ident)
	return ok && id.Name == name
}

// constant is the beginning of a text that is known without running the program.
func constant(x ast.Expr) string {
	switch x := x.(type) {
	case *ast.BasicLit:
		text, _ := strconv.Unquote(x.Value)
		return text
	case *ast.BinaryExpr:
		left := constant(x.X)
		if l, ok := x.X.(*ast.BinaryExpr); ok && constant(l.Y) == "" {
			return left
		}
		return left + constant(x.Y)
	}
	return ""
}
