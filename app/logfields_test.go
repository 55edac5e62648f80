package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// A JSON object with the same key twice is refused by stores of logs.
func TestNoLogFieldHasANameThatZapGivesToItsOwn(t *testing.T) {
	t.Parallel()
	var taken []string
	for _, c := range []zapcore.EncoderConfig{zap.NewProductionEncoderConfig(), zap.NewDevelopmentEncoderConfig()} {
		taken = append(taken, c.MessageKey, c.LevelKey, c.TimeKey, c.NameKey, c.CallerKey, c.StacktraceKey)
	}
	taken = append(taken, "function")
	read := 0
	require.NoError(t, filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			name, ok := logField(n)
			if ok {
				read++
				if slices.Contains(taken, name) {
					t.Errorf("%s: the log field %q", path, name)
				}
			}
			return true
		})
		return nil
	}))
	require.Greater(t, read, 50, "the test reads the fields")
}

// logField is the name that a call like zap.String("name", v) or enc.AddString("name", v)
// gives to a field.
func logField(n ast.Node) (string, bool) {
	call, ok := n.(*ast.CallExpr)
	if !ok || len(call.Args) < 2 {
		return "", false
	}
	fun, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return "", false
	}
	on, _ := fun.X.(*ast.Ident)
	if on == nil || on.Name != "zap" && (on.Name != "enc" || !strings.HasPrefix(fun.Sel.Name, "Add")) {
		return "", false
	}
	literal, ok := call.Args[0].(*ast.BasicLit)
	if !ok || literal.Kind != token.STRING {
		return "", false
	}
	name, err := strconv.Unquote(literal.Value)
	return name, err == nil
}
