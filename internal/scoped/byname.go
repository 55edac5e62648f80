package scoped

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/agentagency/onepool/internal/backend"
)

// byName returns the statement that the caller has prepared on the connection under name,
// or nil. pgx knows the statement, and sends nothing to describe the statement.
func byName(ctx context.Context, conn *pgx.Conn, name string) (*pgconn.StatementDescription, error) {
	if len(name) >= 64 || strings.ContainsAny(name, " \t\n") { // most texts
		return nil, nil
	}
	sql, ok := backend.Of(conn).PreparedAs(name)
	if !ok {
		return nil, nil
	}
	return conn.Prepare(context.WithValue(ctx, localKey{}, true), name, sql)
}

// localKey marks the context of a call of pgx that sends nothing.
type localKey struct{}

// IsLocal reports whether ctx is the context of a call of pgx that sends nothing: the tracers
// of the application learn nothing of the call.
func IsLocal(ctx context.Context) bool { return ctx.Value(localKey{}) != nil }
