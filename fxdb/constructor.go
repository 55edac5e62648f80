package fxdb

import (
	"database/sql"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/dig"
	"go.uber.org/fx"
	"go.uber.org/zap"

	"github.com/agentagency/onepool/internal/graph"
)

// checkName returns an error for a client's name that no reader could distinguish from a missing
// name. call is the function that got the name.
func checkName(call, name string) error {
	var reason string
	switch {
	case strings.TrimSpace(name) == "":
		reason = "the name is blank: errors, logs and statistics need a name"
	case !utf8.ValidString(name) || strings.ContainsRune(name, 0):
		reason = "the name is not UTF-8, or holds a NUL byte: labels of metrics and the server's application_name can't take the name"
	default:
		return nil
	}
	return &ConfigError{Setting: fmt.Sprintf("%s(%q)", call, name), Reason: reason}
}

// databases are the types that a client may take the database as.
var databases = []reflect.Type{reflect.TypeFor[*DB](), reflect.TypeFor[*sql.DB](), reflect.TypeFor[*pgxpool.Pool]()}

// takesDatabase reports whether a constructor takes one of databases: as a parameter,
// or as a field of a struct that embeds fx.In. A database with a name tag does not count: a
// pool of ModuleNamed has no client's name. fx refuses a constructor that is no function.
func takesDatabase(constructor any) bool {
	var tags []string
	if annotated := reflect.ValueOf(constructor); annotated.Kind() == reflect.Struct {
		target := annotated.FieldByName("Target") // of fx.Annotated, and of fx.Annotate's result
		if !target.IsValid() || target.Kind() != reflect.Interface || target.IsNil() {
			return true
		}
		constructor = target.Interface()
		if of := annotated.FieldByName("ParamTags"); of.IsValid() && of.CanInterface() {
			tags, _ = of.Interface().([]string)
		}
	}
	t := reflect.TypeOf(constructor)
	if t == nil || t.Kind() != reflect.Func {
		return true
	}
	for i := range t.NumIn() {
		if isDatabase(t.In(i)) && (i >= len(tags) || !nameTag(tags[i])) {
			return true
		}
	}
	return false
}

func isDatabase(t reflect.Type) bool {
	if slices.Contains(databases, t) {
		return true
	}
	if t.Kind() != reflect.Struct || !dig.IsIn(t) {
		return false
	}
	for i := range t.NumField() {
		if f := t.Field(i); isDatabase(f.Type) && !nameTag(string(f.Tag)) {
			return true
		}
	}
	return false
}

func nameTag(tag string) bool { return reflect.StructTag(tag).Get("name") != "" }

// warnOfConstructor warns at start, because a program may build a graph only to check the
// graph.
func warnOfConstructor(client string) fx.Option {
	return fx.Invoke(func(p struct {
		fx.In
		Lifecycle fx.Lifecycle
		Log       *zap.Logger             `optional:"true"`
		Swap      graph.Swap[Config, *DB] `optional:"true"`
	}) {
		if p.Log == nil {
			if p.Swap.Database != nil {
				return
			}
			p.Log = stderrLog()
		}
		p.Lifecycle.Append(fx.StartHook(func() {
			p.Log.Warn("the constructor given to fxdb.Client takes neither *fxdb.DB, *sql.DB nor *pgxpool.Pool: the client's name and options do not reach the statements of the constructor's result (for a database with a name tag, put the client inside fxdb.ModuleNamed)",
				zap.String("client", client))
		}))
	})
}
