package fxdb

import (
	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/internal/scoped"
)

// ScopeError refuses a text that runs with a tenant, DB_TENANT_ROLE or limits. The text
// would end the transaction that holds these settings, or change a setting of the scope. The pool
// sent no part of the text. ScopeError has a field Reason. errors.Is finds
// ErrTenantNotCarried in a ScopeError. fxdb does not refuse texts on a transaction's Conn.
type ScopeError = scoped.Error

// refuseTextInScope returns a ScopeError if sql would end or change a scope, before pgx
// rewrites the text. watch refuses the text of a rewriter that is not pgx's own.
func refuseTextInScope(conn *pgx.Conn, g scoped.Guard, sql string, args []any) error {
	if g == scoped.NoGuard {
		return nil
	}
	switch r := rewritingOf(args); r {
	case asItIs, byNames:
		return g.Refuse(conn, sql, scoped.EffectsOf(sql, r == byNames))
	}
	return nil
}

func refuseBatchInScope(conn *pgx.Conn, g scoped.Guard, b *pgx.Batch) error {
	own := b.QueuedQueries
	if begins(b) {
		own = own[1:]
	}
	for _, q := range own {
		if err := refuseTextInScope(conn, g, q.SQL, q.Arguments); err != nil {
			return err
		}
	}
	return nil
}
