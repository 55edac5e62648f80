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

	"github.com/agentagency/onepool/internal/testing/size"
)

// kinds are zap's functions by the JSON of their fields.
var kinds = strings.NewReplacer("NamedError", "text", "Stringer", "text", "String", "text", "Stack", "text",
	"Uint32", "number", "Uint64", "number", "Int64", "number", "Int32", "number", "Int", "number")

// A store of logs refuses a JSON object with the same key twice, and a key whose values have two
// types.
func TestNoLogFieldHasANameThatZapGivesToItsOwnOrTwoTypes(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	// Configurations for Google Cloud and Elastic name the level, the message and the time so.
	taken := []string{"severity", "message", "time", "timestamp", "@timestamp", "log.level"}
	types := map[string]string{}
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
			name, fn, ok := logField(n)
			if !ok {
				return true
			}
			read++
			if slices.Contains(taken, name) {
				t.Errorf("%s: the log field %q", path, name)
			}
			kind := kinds.Replace(strings.TrimPrefix(fn, "Add"))
			if before, known := types[name]; kind == "Any" || known && before != kind {
				t.Errorf("%s: the log field %q is %s, and elsewhere %s", path, name, kind, before)
			}
			types[name] = kind
			return true
		})
		return nil
	}))
	require.Greater(t, read, 50, "the test reads the fields")
}

// logField is the name that a call like zap.String("name", v) or enc.AddString("name", v)
// gives to a field, and the function's name.
func logField(n ast.Node) (name, function string, ok bool) {
	call, ok := n.(*ast.CallExpr)
	if !ok || len(call.Args) < 2 {
		return "", "", false
	}
	fun, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return "", "", false
	}
	on, _ := fun.X.(*ast.Ident)
	if on == nil || on.Name != "zap" && (on.Name != "enc" || !strings.HasPrefix(fun.Sel.Name, "Add")) {
		return "", "", false
	}
	literal, ok := call.Args[0].(*ast.BasicLit)
	if !ok || literal.Kind != token.STRING {
		return "", "", false
	}
	name, err := strconv.Unquote(literal.Value)
	return name, fun.Sel.Name, err == nil
}
