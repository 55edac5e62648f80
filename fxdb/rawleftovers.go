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

// cleanupOf judges a text as the function of the same name does. The method also warns, once for
// each kind, of what a statement of the raw pool leaves in vain. The warning names the root client.
func (c *core) cleanupOf(conn *pgx.Conn, text backend.Text) (cleanup backend.Cleanup, single bool) {
	cleanup, single = cleanupOf(conn, text)
	if cleanup == backend.NoCleanup || text.Prepared || rewritingOf(text.Args) == unseen {
		return cleanup, single
	}
	left := taintInVain(text.SQL)
	if left == 0 {
		return cleanup, single
	}
	switch rawMethod() {
	case "Exec", "Query", "QueryRow":
		c.root.warnOf(left)
	case "SendBatch": // a later member meets a setting
		c.root.warnOf(left & (sqllex.AdvisoryLock | sqllex.Listen))
	}
	return cleanup, single
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
