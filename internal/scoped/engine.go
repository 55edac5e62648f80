package scoped

import (
	"errors"

	"github.com/jackc/pgx/v5"
)

// Engine is what all exchanges of a pool share. An Engine is safe for concurrent use, and does
// not change after its first use.
type Engine struct {
	Tracer   pgx.QueryTracer   // learns of statements, and of no scope
	Mode     pgx.QueryExecMode // of statements without a mode of their own
	Capacity int               // how many statements a connection keeps prepared, or described
	Pooled   bool              // a transaction pooler owns the sessions on the server
	Looks    bool              // the last exchange of a holder ends with a look at the session
}

// names reports whether scopes are prepared by name.
func (e *Engine) names() bool { return e.Mode == pgx.QueryExecModeCacheStatement }

// ErrNeedsSession is fxdb.ErrNeedsSession.
var ErrNeedsSession = errors.New("a transaction pooler (DB_POOLER=transaction) keeps no session: use Begin or InTx, with SET LOCAL, or connect to the server itself")

// ErrTenantNotCarried is fxdb.ErrTenantNotCarried.
var ErrTenantNotCarried = errors.New("the context has a tenant, but a bare connection carries no tenant: use Exec, Query, Begin or InTx of fxdb.DB; " +
	"give a library, for example a job queue, a transaction of InTx (InsertTx) or, for the library's own tables, the context of tenant.System; or see fxdb.RawPool")
