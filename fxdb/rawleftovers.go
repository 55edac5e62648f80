package fxdb

import (
	"reflect"
	"runtime"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/agentagency/onepool/internal/backend"
	"github.com/agentagency/onepool/internal/sqllex"
)

// taints judges a text as the function taints does. The method also warns, once for each kind, of
// what a statement of the raw pool leaves in vain. The warning names the root client.
func (c *core) taints(conn *pgx.Conn, text backend.Text) (taint backend.Taint, single bool) {
	taint, single = taints(conn, text)
	if taint == backend.Plain || text.Prepared || rewritingOf(text.Args) == unseen {
		return taint, single
	}
	left := taintInVain(text.SQL)
	if left == 0 {
		return taint, single
	}
	switch rawMethod() {
	case "Exec", "Query", "QueryRow":
		c.root.warnOf(left)
	case "SendBatch": // a later member meets a setting
		c.root.warnOf(left & (sqllex.AdvisoryLock | sqllex.Listen))
	}
	return taint, single
}

// poolMethods is the prefix of the methods of the raw pool in a stack.
var poolMethods = reflect.TypeFor[pgxpool.Pool]().PkgPath() + ".(*Pool)."

// rawMethod returns the method of the raw pool that sends the text of the caller's caller. For a
// text of a held connection or of a method of *DB, rawMethod returns an empty string.
func rawMethod() string {
	var pcs [24]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs[:])])
	for {
		f, more := frames.Next()
		if method, ok := strings.CutPrefix(f.Function, poolMethods); ok {
			return method
		}
		if !more {
			return ""
		}
	}
}
